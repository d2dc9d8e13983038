/* SPDX-License-Identifier: MIT */
/*
 * Counts what has been compared. Called by `quire fuzz` after each round in which nothing differed, for every step of it.
 *
 * Each call has rows: one for all of it, and one for each flag, combination of rights, kind of file that its arguments can
 * have; a call counts in every row that it belongs to. walk() knows the rows; counting and printing both use it, so that they
 * cannot come apart.
 */
#include "tally.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#include <quire/mm.h>

#include "names.h"

struct visitor {
	void (*visit)(struct visitor *v, unsigned row, const char *prefix, const char *name);
	const uint64_t *
		arg; /* NULL: every row is visited; else those that a call with these arguments belongs to */
	unsigned row; /* the next row's number */
};

static void row(struct visitor *v, bool belongs, const char *prefix, const char *name)
{
	if (!v->arg || belongs)
		v->visit(v, v->row, prefix, name);
	v->row++;
}

static void walk_prot(struct visitor *v, uint64_t prot)
{
	static const char *const rights[8] = {"NONE", "READ",	   "WRITE",	 "READ|WRITE",
					      "EXEC", "READ|EXEC", "WRITE|EXEC", "READ|WRITE|EXEC"};
	const struct fuzz_flags *f = &fuzz_flags[OPERAND_PROT];
	uint64_t known = 7;
	unsigned i;

	for (i = 0; i < 8; i++)
		row(v, (prot & 7) == i, f->prefix, rights[i]);
	for (i = 0; i < f->nr; i++) {
		if (f->names[i].value <= 7)
			continue;
		row(v, (prot & f->names[i].value) != 0, f->prefix, f->names[i].name);
		known |= f->names[i].value;
	}
	row(v, (prot & ~known) != 0, "other ", f->prefix);
}

static void walk_flags(struct visitor *v, const struct fuzz_flags *f, uint64_t value)
{
	uint64_t known = f->field;
	bool in_field = false;
	unsigned i;

	for (i = 0; i < f->nr; i++) {
		const struct fuzz_name *n = &f->names[i];
		bool is_flag = (n->value & ~f->field) != 0;
		bool belongs = is_flag ? (value & n->value) != 0 : (value & f->field) == n->value;

		row(v, belongs, f->prefix, n->name);
		known |= n->value;
		in_field |= belongs && !is_flag;
	}
	if (!f->field)
		row(v, value == 0, "", "0");
	row(v, (value & ~known) || (f->field && !in_field), "other ",
	    f->prefix[0] ? f->prefix : "flags");
}

static void walk_files(struct visitor *v, uint64_t fd, bool counts)
{
	unsigned i;

	for (i = 0; i < STEP_NR_FILES; i++)
		row(v, counts && fd == STEP_FD + i, "file ", fuzz_file_names[i]);
	row(v, counts && fd - STEP_FD >= STEP_NR_FILES, "file ", "none");
}

static void walk(struct visitor *v, const struct fuzz_call *call)
{
	static const uint64_t nothing[6];
	const uint64_t *a = v->arg ? v->arg : nothing;
	unsigned i;

	row(v, true, "", "all");
	for (i = 0; i < 6 && call->operand[i] != OPERAND_END; i++) {
		switch (call->operand[i]) {
		case OPERAND_ADDRESS:
		case OPERAND_SIZE:
		case OPERAND_NUMBER:
		case OPERAND_PROCESS:
			break;
		case OPERAND_FILE:
			walk_files(v, a[i], call->nr != SYS_mmap || !(a[3] & QUIRE_MAP_ANONYMOUS));
			break;
		case OPERAND_PROT:
			walk_prot(v, a[i]);
			break;
		default:
			/* remap_file_pages() takes mmap()'s flags, and heeds one of them. */
			if (call->nr == SYS_remap_file_pages) {
				row(v, (a[i] & QUIRE_MAP_NONBLOCK) != 0, "MAP_", "NONBLOCK");
				row(v, (a[i] & ~(uint64_t)QUIRE_MAP_NONBLOCK) != 0, "other ",
				    "MAP_");
			} else {
				walk_flags(v, &fuzz_flags[call->operand[i]], a[i]);
			}
		}
	}
	if (call->nr != SYS_mremap)
		return;
	row(v, a[2] > a[1], "length ", "grows");
	row(v, a[2] == a[1], "length ", "stays");
	row(v, a[2] < a[1], "length ", "shrinks");
	row(v, a[1] == 0, "length ", "old is 0");
}

/* ---- Counting ------------------------------------------------------------------------------ */

struct counter {
	struct visitor v;
	struct tally *tally;
	unsigned result;
};

static void count_row(struct visitor *v, unsigned number, const char *prefix, const char *name)
{
	struct counter *c = (struct counter *)v;

	(void)prefix;
	(void)name;
	c->tally->call[number][c->result]++;
}

static unsigned result_of(int64_t result)
{
	if (result >= 0 || result < -4095)
		return 0;
	return -result < TALLY_NR_RESULTS - 1 ? (unsigned)-result : TALLY_NR_RESULTS - 1;
}

static unsigned signal_of(const struct answer *answer)
{
	if (!answer->signo)
		return 0;
	if (answer->signo == SIGSEGV &&
	    (answer->code == SEGV_MAPERR || answer->code == SEGV_ACCERR))
		return answer->code == SEGV_MAPERR ? 1 : 2;
	return answer->signo == SIGBUS && answer->code == BUS_ADRERR ? 3 : 4;
}

static void ignore_row(struct visitor *v, unsigned number, const char *prefix, const char *name)
{
	(void)v;
	(void)number;
	(void)prefix;
	(void)name;
}

/* The number of the first row of each call; row[fuzz_nr_calls]: how many there are. */
static void number_rows(unsigned *first)
{
	struct visitor v = {.visit = ignore_row};
	unsigned i;

	for (i = 0; i < fuzz_nr_calls; i++) {
		first[i] = v.row;
		walk(&v, &fuzz_calls[i]);
	}
	first[i] = v.row;
	assert(v.row <= TALLY_MAX_ROWS);
}

void fuzz_tally_step(struct tally *t, const struct step *step, const uint64_t *arg,
		     const struct answer *answer)
{
	static unsigned first[FUZZ_MAX_CALLS + 1];
	struct counter c = {.v = {.visit = count_row, .arg = arg}, .tally = t};
	const struct fuzz_call *call;

	if (!answer->made)
		return;
	switch (step->kind) {
	case STEP_CALL:
		call = fuzz_call_by_nr(step->nr);
		if (!call)
			return;
		if (!first[fuzz_nr_calls])
			number_rows(first);
		c.v.row = first[call - fuzz_calls];
		c.result = result_of(answer->result);
		/* brk() never answers with an errno: the old break is its refusal, which its C function makes ENOMEM of. */
		if (step->nr == SYS_brk && answer->result != (int64_t)arg[0])
			c.result = ENOMEM;
		walk(&c.v, call);
		break;
	case STEP_LOAD:
	case STEP_STORE:
	case STEP_EXECUTE:
	case STEP_STORE_WORD:
	case STEP_STORE_RUN:
		t->access[step->kind][answer->area % STEP_NR_AREAS][signal_of(answer)]++;
		break;
	default:
		t->other[step->kind][result_of(answer->result)]++;
	}
}

void fuzz_tally_add(struct tally *to, const struct tally *from)
{
	unsigned i, j;

	for (i = 0; i < TALLY_MAX_ROWS; i++)
		for (j = 0; j < TALLY_NR_RESULTS; j++)
			to->call[i][j] += from->call[i][j];
	for (i = 0; i < STEP_NR_KINDS; i++) {
		for (j = 0; j < STEP_NR_AREAS * TALLY_NR_SIGNALS; j++)
			to->access[i][j / TALLY_NR_SIGNALS][j % TALLY_NR_SIGNALS] +=
				from->access[i][j / TALLY_NR_SIGNALS][j % TALLY_NR_SIGNALS];
		for (j = 0; j < TALLY_NR_RESULTS; j++)
			to->other[i][j] += from->other[i][j];
	}
	to->rounds += from->rounds;
}

/* ---- Printing ------------------------------------------------------------------------------ */

struct printer {
	struct visitor v;
	const struct tally *tally;
	const char *call;
	FILE *to;
};

static void print_result(FILE *to, const char *call, const char *prefix, const char *name,
			 unsigned result, uint64_t count)
{
	const char *word = result ? fuzz_errno_name((int)result) : "success";

	fprintf(to, "%s\t%s%s\t", call, prefix, name);
	if (word)
		fprintf(to, "%s\t%" PRIu64 "\n", word, count);
	else
		fprintf(to, "errno %u\t%" PRIu64 "\n", result, count);
}

/* Success is printed for every row, for its name. */
static void print_row(struct visitor *v, unsigned number, const char *prefix, const char *name)
{
	struct printer *p = (struct printer *)v;
	unsigned i;

	for (i = 0; i < TALLY_NR_RESULTS; i++)
		if (i == 0 || p->tally->call[number][i])
			print_result(p->to, p->call, prefix, name, i, p->tally->call[number][i]);
}

void fuzz_tally_write(FILE *to, const struct tally *t)
{
	static const char *const areas[STEP_NR_AREAS] = {
		[STEP_AREA_NONE] = "no area",
		[STEP_AREA_BELOW_STACK] = "below a stack",
		[STEP_AREA_PRIVATE] = "anonymous, private",
		[STEP_AREA_STACK] = "a stack",
		[STEP_AREA_SHARED] = "anonymous, shared",
		[STEP_AREA_TMPFS_PRIVATE] = "tmpfs, private",
		[STEP_AREA_TMPFS_SHARED] = "tmpfs, shared",
		[STEP_AREA_DISK_PRIVATE] = "disk, private",
		[STEP_AREA_DISK_SHARED] = "disk, shared",
		[STEP_AREA_SEGMENT] = "SysV segment",
		[STEP_AREA_BEYOND_END] = "beyond the file's end",
		[STEP_AREA_GUARD] = "guard",
	};
	static const char *const signals[TALLY_NR_SIGNALS] = {"success", "SEGV_MAPERR",
							      "SEGV_ACCERR", "BUS_ADRERR", "other"};
	struct printer p = {.v = {.visit = print_row}, .tally = t, .to = to};
	unsigned kind, i, j;

	fputs(TALLY_HEADER "\n", to);
	fprintf(to, "rounds\t\t\t%" PRIu64 "\n", t->rounds);
	for (i = 0; i < fuzz_nr_calls; i++) {
		p.call = fuzz_calls[i].name;
		walk(&p.v, &fuzz_calls[i]);
	}
	for (kind = 0; kind < FUZZ_NR_KINDS; kind++) {
		const struct fuzz_call *call = fuzz_kind_call(kind);

		if (!call)
			continue;
		if (!step_is_access(kind)) {
			for (i = 0; i < TALLY_NR_RESULTS; i++)
				if (i == 0 || t->other[kind][i])
					print_result(to, call->name, "", "all", i,
						     t->other[kind][i]);
			continue;
		}
		for (i = 0; i < STEP_NR_AREAS; i++)
			for (j = 0; j < TALLY_NR_SIGNALS; j++)
				if (j == 0 || t->access[kind][i][j])
					fprintf(to, "%s\t%s\t%s\t%" PRIu64 "\n", call->name,
						areas[i], signals[j], t->access[kind][i][j]);
	}
}
