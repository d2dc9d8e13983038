/* SPDX-License-Identifier: MIT */
/*
 * Rounds as text: the writer, and a parser that names the line it cannot read. The format is in case.h. The parser takes
 * nothing that it does not understand: a wrong word would make a case show something else than it says.
 */
#include "case.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <quire/types.h>

#include "names.h"

#define NEAR_PAGES                                                                                 \
	65536ull /* this near to a place that has a name, an address is written relative to it */

/* ---- Writing ------------------------------------------------------------------------------- */

/* Bytes as pages and what is over, after text that stands there already. */
static void print_offset(char *buf, size_t size, uint64_t bytes, char sign)
{
	uint64_t pages = bytes / STEP_PAGE, rest = bytes % STEP_PAGE;
	char first[2] = {sign, 0};

	if (sign == '+' && !buf[0])
		first[0] = 0;
	if (pages)
		snprintf(buf + strlen(buf), size - strlen(buf), "%s%" PRIu64 "p", first, pages);
	if (rest)
		snprintf(buf + strlen(buf), size - strlen(buf), "%s%" PRIu64,
			 pages ? (char[]){sign, 0} : first, rest);
}

/* base, and how far from it: true if it is near. */
static bool print_relative(char *buf, size_t size, const char *name, uint64_t base, uint64_t value)
{
	uint64_t above = value - base, below = base - value;

	if (above >= NEAR_PAGES * STEP_PAGE && below >= NEAR_PAGES * STEP_PAGE)
		return false;
	snprintf(buf, size, "%s", name);
	print_offset(buf, size, above < below ? above : below, above < below ? '+' : '-');
	return true;
}

static void print_size(uint64_t value, char *buf, size_t size)
{
	if (value == 0)
		snprintf(buf, size, "0");
	else if (!print_relative(buf, size, "", 0, value))
		snprintf(buf, size, "%#" PRIx64, value);
}

void fuzz_address_print(uint64_t value, char *buf, size_t size)
{
	if (value == STEP_VEC)
		snprintf(buf, size, "vec");
	else if ((value < STEP_WINDOW - 64 * STEP_PAGE ||
		  !print_relative(buf, size, "w", STEP_WINDOW, value)) &&
		 (value < STEP_LOW || !print_relative(buf, size, "low", STEP_LOW, value)) &&
		 !print_relative(buf, size, "end", STEP_TASK_END, value))
		print_size(value, buf, size);
}

static void print_file(uint64_t value, char *buf, size_t size)
{
	if (value >= STEP_FD && value < STEP_FD + STEP_NR_FILES)
		snprintf(buf, size, "%s", fuzz_file_names[value - STEP_FD]);
	else
		print_size(value, buf, size);
}

static void print_operand(const struct step *s, unsigned arg, enum operand operand, char *buf,
			  size_t size)
{
	uint64_t value = s->arg[arg];
	char slot[8];

	if (s->slot_arg == (int)arg) {
		snprintf(slot, sizeof(slot), s->slot == STEP_BREAK ? "break" : "s%d", s->slot);
		if (!print_relative(buf, size, slot, 0, value))
			snprintf(buf, size, "%s+%#" PRIx64, slot, value);
		return;
	}
	switch (operand) {
	case OPERAND_ADDRESS:
		fuzz_address_print(value, buf, size);
		break;
	case OPERAND_FILE:
		print_file(s->kind == STEP_WRITE ? value + STEP_FD : value, buf, size);
		break;
	case OPERAND_PROCESS:
		snprintf(buf, size, "p%" PRIu64, value);
		break;
	case OPERAND_SIZE:
		print_size(value, buf, size);
		break;
	case OPERAND_NUMBER:
		snprintf(buf, size, value < 10 ? "%" PRIu64 : "%#" PRIx64, value);
		break;
	default:
		fuzz_flags_print(&fuzz_flags[operand], value, false, buf, size);
	}
}

/* The call a step is; one of ours whose number has no name gets six plain arguments. */
static struct fuzz_call call_of(const struct step *s, char *name, size_t size)
{
	const struct fuzz_call *call =
		s->kind == STEP_CALL ? fuzz_call_by_nr(s->nr) : fuzz_kind_call(s->kind);
	struct fuzz_call other = {name, s->nr, {0}};

	if (call)
		return *call;
	snprintf(name, size, "call%d", s->nr);
	memset(other.operand, OPERAND_SIZE, sizeof(other.operand));
	return other;
}

static void print_expected(const struct step *s, char *buf, size_t size)
{
	const char *name;

	buf[0] = 0;
	if (s->expect == STEP_EXPECT_SIGNAL) {
		name = fuzz_signal_name((int)(s->expected >> 32), (int)s->expected);
		snprintf(buf, size, " = %s", name ? name : "?");
	} else if (s->expect == STEP_EXPECT_RESULT) {
		name = s->expected < 0 ? fuzz_errno_name((int)-s->expected) : NULL;
		snprintf(buf, size, " = %s", name ? name : "");
		if (!name && s->kind == STEP_CALL)
			fuzz_address_print((uint64_t)s->expected, buf + 3, size - 3);
		else if (!name)
			snprintf(buf + 3, size - 3, "%#" PRIx64, (uint64_t)s->expected);
	}
}

void fuzz_step_print(const struct step *step, char *buf, size_t size)
{
	char name[16], text[256];
	struct fuzz_call call = call_of(step, name, sizeof(name));
	unsigned n = fuzz_call_nr_operands(&call), i;
	size_t used;

	used = (size_t)snprintf(buf, size, "p%u %s(", step->process, call.name);
	for (i = 0; i < n && used < size; i++) {
		print_operand(step, i, (enum operand)call.operand[i], text, sizeof(text));
		used += (size_t)snprintf(buf + used, size - used, "%s%s", i ? ", " : "", text);
	}
	print_expected(step, text, sizeof(text));
	if (used < size)
		used += (size_t)snprintf(buf + used, size - used, ")%s", text);
	if (used < size && step->into_slot >= 0)
		snprintf(buf + used, size - used, " -> s%d", step->into_slot);
}

static void write_limit(FILE *to, const char *name, uint64_t value)
{
	char text[64];

	if (value == ~0ull)
		return;
	print_size(value, text, sizeof(text));
	fprintf(to, " %s=%s", name, text);
}

void fuzz_case_write(FILE *to, const struct round *round, const char *comment)
{
	char line[1024];
	size_t len;
	unsigned i;

	for (; comment && *comment; comment += len + (comment[len] == '\n')) {
		len = strcspn(comment, "\n");
		fprintf(to, "# %.*s\n", (int)len, comment);
	}
	if ((round->limit_as & round->limit_data & round->limit_stack & round->limit_memlock &
	     round->limit_maps) !=
	    ~0ull) {
		fputs("limits", to);
		write_limit(to, "as", round->limit_as);
		write_limit(to, "data", round->limit_data);
		write_limit(to, "stack", round->limit_stack);
		write_limit(to, "memlock", round->limit_memlock);
		write_limit(to, "maps", round->limit_maps);
		fputc('\n', to);
	}
	if (round->overcommit != STEP_OVERCOMMIT_HOSTS)
		fprintf(to, "overcommit %u\n", round->overcommit);
	if (round->no_random)
		fputs("no_random\n", to);
	for (i = 0; i < round->nr_steps; i++) {
		if (round->left_out && round->left_out[i])
			continue;
		fuzz_step_print(&round->steps[i], line, sizeof(line));
		fprintf(to, "%s\n", line);
	}
}

/* ---- Answers ------------------------------------------------------------------------------- */

bool fuzz_expected(const struct step *step, const struct answer *answer)
{
	if (!answer->made)
		return step->expect == STEP_EXPECT_NOTHING;
	switch (step->expect) {
	case STEP_EXPECT_SIGNAL:
		return step->expected == ((int64_t)answer->signo << 32 | answer->code);
	case STEP_EXPECT_RESULT:
		return !answer->signo && step->expected == answer->result;
	default:
		return true;
	}
}

/* Places that a round decides on itself, so that they are the same each time. */
static bool is_settled(uint64_t addr)
{
	return addr < 0x400000 ||
	       (addr >= STEP_WINDOW - 64 * STEP_PAGE && addr < STEP_WINDOW + (1ull << 40));
}

static bool answers_address(const struct fuzz_call *call)
{
	return !strcmp(call->name, "mmap") || !strcmp(call->name, "mremap") ||
	       !strcmp(call->name, "brk") || !strcmp(call->name, "shmat");
}

static void print_place(uint64_t addr, char *buf, size_t size)
{
	if (is_settled(addr))
		snprintf(buf, size, "%#" PRIx64, addr);
	else
		snprintf(buf, size, "somewhere");
}

void fuzz_answer_print(unsigned number, const struct step *step, const struct answer *answer,
		       char *buf, size_t size)
{
	char name[16], text[64];
	struct fuzz_call call = call_of(step, name, sizeof(name));
	const char *word;
	size_t used = (size_t)snprintf(buf, size, "%u p%u %s", number, step->process, call.name);

	if (used >= size)
		return;
	if (!answer->made) {
		snprintf(buf + used, size - used, ": not made");
	} else if (answer->signo) {
		word = fuzz_signal_name(answer->signo, answer->code);
		print_place(answer->address, text, sizeof(text));
		if (word)
			snprintf(buf + used, size - used, ": %s at %s", word, text);
		else
			snprintf(buf + used, size - used, ": signal %d code %d at %s",
				 answer->signo, answer->code, text);
	} else if (answer->result < 0 && answer->result > -4096 && step->kind != STEP_LOAD) {
		word = fuzz_errno_name((int)-answer->result);
		if (word)
			snprintf(buf + used, size - used, " = %s", word);
		else
			snprintf(buf + used, size - used, " = errno %d", (int)-answer->result);
	} else if (answers_address(&call)) {
		print_place((uint64_t)answer->result, text, sizeof(text));
		snprintf(buf + used, size - used, " = %s", text);
	} else {
		snprintf(buf + used, size - used, " = %#" PRIx64, (uint64_t)answer->result);
	}
}

/* ---- Reading ------------------------------------------------------------------------------- */

struct reader {
	const char *name, *at; /* the file, and where in the line we are */
	unsigned line;
	char *message; /* what is wrong; stays empty while nothing is */
	size_t size;
	int slot; /* that the last sum was relative to; STEP_NO_SLOT */
};

/* The first complaint is the one to keep. */
static bool __attribute__((format(printf, 2, 3)))
complain(struct reader *r, const char *format, ...)
{
	size_t used;
	va_list ap;

	if (r->message[0])
		return false;
	snprintf(r->message, r->size, "%s:%u: ", r->name, r->line);
	used = strlen(r->message);
	va_start(ap, format);
	vsnprintf(r->message + used, r->size - used, format, ap);
	va_end(ap);
	return false;
}

static void skip_blanks(struct reader *r)
{
	while (*r->at == ' ' || *r->at == '\t')
		r->at++;
}

static bool accept(struct reader *r, const char *sign)
{
	skip_blanks(r);
	if (strncmp(r->at, sign, strlen(sign)))
		return false;
	r->at += strlen(sign);
	return true;
}

static bool expect_sign(struct reader *r, const char *sign)
{
	if (accept(r, sign))
		return true;
	return complain(r, "'%s' expected before '%.20s'", sign, r->at);
}

/* A word, empty if there is none; one too long for the buffer is no word we know. */
static bool read_word(struct reader *r, char *buf, size_t size)
{
	size_t len = 0;

	skip_blanks(r);
	while (isalnum((unsigned char)r->at[len]) || r->at[len] == '_')
		len++;
	if (len >= size)
		return complain(r, "no such word: '%.*s'", (int)len, r->at);
	memcpy(buf, r->at, len);
	buf[len] = 0;
	r->at += len;
	return true;
}

static bool parse_number(struct reader *r, const char *word, uint64_t *value)
{
	static const struct {
		char unit;
		unsigned shift;
	} units[] = {{'p', 12}, {'K', 10}, {'M', 20}, {'G', 30}};
	bool hex = word[0] == '0' && word[1] == 'x';
	unsigned base = hex ? 16 : 10, i;
	const char *p = hex ? word + 2 : word;
	const char *first = p;

	*value = 0;
	for (; hex ? isxdigit((unsigned char)*p) : isdigit((unsigned char)*p); p++) {
		unsigned digit = isdigit((unsigned char)*p) ? (unsigned)(*p - '0')
							    : (unsigned)(tolower(*p) - 'a') + 10u;

		if (__builtin_mul_overflow(*value, (uint64_t)base, value) ||
		    __builtin_add_overflow(*value, digit, value))
			return complain(r, "number too big: '%s'", word);
	}
	if (p == first || (p - first > 1 && first[0] == '0' && !hex))
		return complain(r, "no number: '%s'", word);
	for (i = 0; *p && i < QUIRE_ARRAY_SIZE(units); i++) {
		if (p[0] != units[i].unit || p[1])
			continue;
		if (*value << units[i].shift >> units[i].shift != *value)
			return complain(r, "number too big: '%s'", word);
		*value <<= units[i].shift;
		return true;
	}
	return !*p || complain(r, "no number: '%s'", word);
}

static bool parse_term(struct reader *r, const char *word, bool slots, uint64_t *value)
{
	static const struct fuzz_name places[] = {
		{"w", STEP_WINDOW},
		{"low", STEP_LOW},
		{"end", STEP_TASK_END},
		{"vec", STEP_VEC},
	};
	size_t i;

	*value = 0;
	for (i = 0; i < QUIRE_ARRAY_SIZE(places); i++) {
		if (strcmp(places[i].name, word))
			continue;
		*value = places[i].value;
		return true;
	}
	if (strcmp(word, "break") == 0 ||
	    (word[0] == 's' && word[1] >= '0' && word[1] < '0' + STEP_MAX_SLOTS && !word[2])) {
		if (!slots || r->slot != STEP_NO_SLOT)
			return complain(r, "'%s' cannot stand here", word);
		r->slot = word[0] == 'b' ? STEP_BREAK : word[1] - '0';
		return true;
	}
	return parse_number(r, word, value);
}

/* From word on, which has been read; empty: what comes next is a sign. */
static bool parse_sum(struct reader *r, const char *word, bool slots, uint64_t *value)
{
	char next[32];
	uint64_t term;
	bool minus = false;

	*value = 0;
	r->slot = STEP_NO_SLOT;
	if (!word[0]) {
		minus = accept(r, "-");
		if (!read_word(r, next, sizeof(next)))
			return false;
		word = next;
	}
	for (;;) {
		if (!word[0])
			return complain(r, "a number expected before '%.20s'", r->at);
		if (!parse_term(r, word, slots && !minus, &term))
			return false;
		*value += minus ? -term : term;
		skip_blanks(r);
		/* "->" is no minus. */
		if (*r->at != '+' && (*r->at != '-' || r->at[1] == '>'))
			return true;
		minus = *r->at++ == '-';
		if (!read_word(r, next, sizeof(next)))
			return false;
		word = next;
	}
}

static bool parse_flags(struct reader *r, const struct fuzz_flags *flags, uint64_t *value)
{
	char word[32];
	uint64_t bits;
	unsigned i;

	*value = 0;
	do {
		if (!read_word(r, word, sizeof(word)))
			return false;
		for (i = 0; i < flags->nr && strcmp(flags->names[i].name, word); i++)
			;
		if (i < flags->nr)
			bits = flags->names[i].value;
		else if (!isdigit((unsigned char)word[0]))
			return complain(r, "no such flag: '%s'", word);
		else if (!parse_number(r, word, &bits))
			return false;
		*value |= bits;
	} while (accept(r, "|"));
	return true;
}

static bool parse_file(struct reader *r, uint64_t *value)
{
	char word[32];
	unsigned i;

	if (!read_word(r, word, sizeof(word)))
		return false;
	for (i = 0; i < STEP_NR_FILES; i++) {
		if (strcmp(fuzz_file_names[i], word))
			continue;
		*value = STEP_FD + i;
		return true;
	}
	if (isalpha((unsigned char)word[0]))
		return complain(r, "no such file: '%s'", word);
	return parse_sum(r, word, false, value);
}

static bool parse_process(struct reader *r, const char *word, uint64_t *process)
{
	if (word[0] != 'p' || word[1] < '0' || word[1] >= '0' + STEP_MAX_PROCESSES || word[2])
		return complain(r, "no such process: '%s'", word);
	*process = (uint64_t)(word[1] - '0');
	return true;
}

static bool parse_operand(struct reader *r, struct step *s, unsigned arg, enum operand operand)
{
	char word[32];

	switch (operand) {
	case OPERAND_ADDRESS:
	case OPERAND_SIZE:
	case OPERAND_NUMBER:
		if (!read_word(r, word, sizeof(word)) || !parse_sum(r, word, true, &s->arg[arg]))
			return false;
		if (r->slot == STEP_NO_SLOT)
			return true;
		if (s->slot_arg != STEP_NO_SLOT || s->kind == STEP_WRITE || s->kind == STEP_FORK ||
		    s->kind == STEP_THREAD)
			return complain(r, "only one argument can be relative to a result");
		s->slot_arg = (int8_t)arg;
		s->slot = (int8_t)r->slot;
		return true;
	case OPERAND_FILE:
		if (!parse_file(r, &s->arg[arg]))
			return false;
		if (s->kind != STEP_WRITE)
			return true;
		s->arg[arg] -= STEP_FD;
		return s->arg[arg] < STEP_NR_FILES || complain(r, "write() needs one of the files");
	case OPERAND_PROCESS:
		return read_word(r, word, sizeof(word)) && parse_process(r, word, &s->arg[arg]);
	default:
		return parse_flags(r, &fuzz_flags[operand], &s->arg[arg]);
	}
}

/* What stands after "=". */
static bool parse_expected(struct reader *r, struct step *s)
{
	uint64_t value;
	char word[32];
	int signo, code;

	if (!read_word(r, word, sizeof(word)))
		return false;
	s->expect = STEP_EXPECT_RESULT;
	if (fuzz_signal_number(word, &signo, &code)) {
		s->expect = STEP_EXPECT_SIGNAL;
		s->expected = (int64_t)signo << 32 | code;
		return true;
	}
	if (fuzz_errno_number(word)) {
		s->expected = -fuzz_errno_number(word);
		return true;
	}
	if (!parse_sum(r, word, false, &value))
		return false;
	s->expected = (int64_t)value;
	return true;
}

/* The call that a word names: in *call, and in the step its kind and number. */
static bool parse_call(struct reader *r, struct step *s, struct fuzz_call *call)
{
	uint64_t nr;
	char word[32];
	unsigned i;

	if (!read_word(r, word, sizeof(word)))
		return false;
	for (i = 0; i < FUZZ_NR_KINDS; i++) {
		if (!fuzz_kind_call(i) || strcmp(fuzz_kind_call(i)->name, word))
			continue;
		s->kind = (uint8_t)i;
		*call = *fuzz_kind_call(i);
		return true;
	}
	s->kind = STEP_CALL;
	for (i = 0; i < fuzz_nr_calls; i++) {
		if (strcmp(fuzz_calls[i].name, word))
			continue;
		s->nr = fuzz_calls[i].nr;
		*call = fuzz_calls[i];
		return true;
	}
	if (strncmp(word, "call", 4) || !isdigit((unsigned char)word[4]))
		return complain(r, "no such call: '%s'", word);
	if (!parse_number(r, word + 4, &nr))
		return false;
	if (nr > INT16_MAX)
		return complain(r, "no such call: '%s'", word);
	s->nr = (int16_t)nr;
	memset(call->operand, OPERAND_SIZE, sizeof(call->operand));
	return true;
}

static bool parse_step(struct reader *r, const char *process, struct step *s)
{
	struct fuzz_call call = {0};
	uint64_t number = 0;
	char word[32];
	unsigned i, n;

	memset(s, 0, sizeof(*s));
	s->slot_arg = s->into_slot = STEP_NO_SLOT;
	if (!parse_process(r, process, &number) || !parse_call(r, s, &call) || !expect_sign(r, "("))
		return false;
	s->process = (uint8_t)number;
	n = fuzz_call_nr_operands(&call);
	for (i = 0; i < n; i++)
		if ((i && !expect_sign(r, ",")) ||
		    !parse_operand(r, s, i, (enum operand)call.operand[i]))
			return false;
	if (!expect_sign(r, ")"))
		return false;
	if (s->kind == STEP_STORE_WORD && s->slot_arg != 1 && s->arg[1] != step_access_bytes(s->kind, s->arg))
		return complain(r, "a word has 1, 2, 4 or 8 bytes");
	if (accept(r, "=") && !parse_expected(r, s))
		return false;
	if (accept(r, "->")) {
		if (s->kind != STEP_CALL || !read_word(r, word, sizeof(word)) || word[0] != 's' ||
		    word[1] < '0' || word[1] >= '0' + STEP_MAX_SLOTS || word[2])
			return complain(r, "a result goes to s0 to s%d, and a call's only",
					STEP_MAX_SLOTS - 1);
		s->into_slot = (int8_t)(word[1] - '0');
	}
	if (s->kind == STEP_EXIT && s->process == 0)
		return complain(r, "process 0 never exits");
	return true;
}

static bool parse_limits(struct reader *r, struct round *round)
{
	const struct {
		const char *name;
		uint64_t *limit;
	} limits[] = {
		{"as", &round->limit_as},
		{"data", &round->limit_data},
		{"stack", &round->limit_stack},
		{"memlock", &round->limit_memlock},
		{"maps", &round->limit_maps},
	};
	char word[32], value[32];
	size_t i;

	do {
		if (!read_word(r, word, sizeof(word)))
			return false;
		for (i = 0; i < QUIRE_ARRAY_SIZE(limits) && strcmp(limits[i].name, word); i++)
			;
		if (i == QUIRE_ARRAY_SIZE(limits))
			return complain(r, "no such limit: '%s'", word);
		if (!expect_sign(r, "=") || !read_word(r, value, sizeof(value)) ||
		    !parse_sum(r, value, false, limits[i].limit))
			return false;
		skip_blanks(r);
	} while (*r->at);
	return true;
}

static bool parse_line(struct reader *r, struct round *round)
{
	char word[32];

	skip_blanks(r);
	if (*r->at == '#' || !*r->at)
		return true;
	if (!read_word(r, word, sizeof(word)))
		return false;
	if (strcmp(word, "limits") == 0) {
		if (!parse_limits(r, round))
			return false;
	} else if (strcmp(word, "overcommit") == 0) {
		if (!read_word(r, word, sizeof(word)))
			return false;
		if (strcmp(word, "1") && strcmp(word, "2"))
			return complain(r, "overcommit is 1 or 2, not '%s'", word);
		round->overcommit = (uint8_t)(word[0] - '0');
	} else if (strcmp(word, "no_random") == 0) {
		round->no_random = true;
	} else if (round->nr_steps == STEP_MAX) {
		return complain(r, "more than %d steps", STEP_MAX);
	} else if (!parse_step(r, word, &round->steps[round->nr_steps])) {
		return false;
	} else {
		round->nr_steps++;
	}
	skip_blanks(r);
	return !*r->at || complain(r, "nothing expected here: '%.20s'", r->at);
}

int fuzz_case_read(FILE *from, const char *name, struct round *round, char *message, size_t size)
{
	struct reader r = {.name = name, .message = message, .size = size};
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;

	*round = (struct round){.profile = "case",
				.limit_as = ~0ull,
				.limit_data = ~0ull,
				.limit_stack = ~0ull,
				.limit_memlock = ~0ull,
				.limit_maps = ~0ull,
				.overcommit = STEP_OVERCOMMIT_HOSTS};
	message[0] = 0;
	round->steps = calloc(STEP_MAX, sizeof(*round->steps));
	if (!round->steps)
		complain(&r, "no memory");
	while (!message[0] && (len = getline(&line, &cap, from)) >= 0) {
		r.line++;
		if (strlen(line) != (size_t)len)
			complain(&r, "this is no text");
		line[strcspn(line, "\r\n")] = 0;
		r.at = line;
		if (!message[0])
			parse_line(&r, round);
	}
	if (!message[0] && ferror(from))
		complain(&r, "cannot be read");
	if (!message[0] && !round->nr_steps)
		complain(&r, "no step");
	free(line);
	if (!message[0])
		return 0;
	fuzz_case_free(round);
	return -1;
}

void fuzz_case_free(struct round *round)
{
	free(round->steps);
	free(round->left_out);
	round->steps = NULL;
	round->left_out = NULL;
	round->nr_steps = 0;
}
