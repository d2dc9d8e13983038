/* SPDX-License-Identifier: MIT */
/*
 * Linux as the judge: random calls and accesses, made by a child process on the running kernel and
 * by Quire on the simulated machine, compared step by step: what the call returned, the whole maps
 * text, the byte or the signal (number, code, address) of an access; VmFlags of smaps at the end of a round.
 *
 * A round is one child, fresh from exec, and up to STEPS steps, made from the round's number alone.
 * A round that differs is shrunk by leaving steps out for as long as it still differs, and printed.
 *
 * usage: judge [--seed N] [--rounds N] [--steps N] [--seconds S] CHILD
 * Exit: 0 no difference, 1 a difference, 77 this kernel does not let us judge.
 */
#define _GNU_SOURCE
#include <argp.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "judge.h"

static char report[1 << 16];
uint64_t round_number;
struct quire_limits limits;
bool no_random;

void fail(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	fputs("judge: ", stderr);
	vfprintf(stderr, format, ap);
	fputc('\n', stderr);
	va_end(ap);
	fprintf(stderr, "round %" PRIu64 ":\n%s", round_number, report);
	stop_child();
	exit(2);
}

/* ---- A round ------------------------------------------------------------------------------- */

struct text {
	struct quire_sink sink;
	char *to;
	size_t used, size;
};

static int text_emit(struct quire_sink *sink, const char *text, size_t len)
{
	struct text *t = (struct text *)sink;

	if (t->used + len >= t->size)
		fail("text buffer too small");
	memcpy(t->to + t->used, text, len);
	t->used += len;
	t->to[t->used] = 0;
	return 0;
}

static char linux_text[1 << 18], our_text[1 << 18];
static uint64_t nr_steps_compared;

static void __attribute__((format(printf, 1, 2))) say(const char *format, ...)
{
	size_t used = strlen(report);
	va_list ap;

	va_start(ap, format);
	vsnprintf(report + used, sizeof(report) - used, format, ap);
	va_end(ap);
}

/* The lines that differ, with one line around, from two texts. */
static void say_texts(const char *theirs, const char *ours)
{
	const char *text[2] = { theirs, ours };
	const char *who[2] = { "Linux", "Quire" };
	int i;

	for (i = 0; i < 2; i++) {
		const char *line = text[i], *end;

		for (; *line; line = end) {
			char copy[300];
			size_t len;

			end = strchr(line, '\n') + 1;
			len = (size_t)(end - line);
			if (len >= sizeof(copy))
				len = sizeof(copy) - 1;
			memcpy(copy, line, len);
			copy[len] = 0;
			if (!strstr(text[!i], copy))
				say("  %s has  %s", who[i], copy);
		}
	}
}

/*
 * Shared anonymous memory gets its inode from a counter of all of the kernel's. Which number it is
 * says nothing, which areas have the same one does: each of Linux's stands for one of ours.
 */
static struct { uint64_t theirs, ours; } inodes[MAX_STEPS];
static int nr_inodes;

static void translate_inodes(char *theirs, char *ours)
{
	char *a, *b;
	int i;

	for (a = theirs, b = ours; *a && *b; a = strchr(a, '\n') + 1, b = strchr(b, '\n') + 1) {
		uint64_t x, y;
		char *in_a, *in_b, *end_a, *end_b;

		if (!strstr(a, "/dev/zero (deleted)\n") ||
		    strchr(a, '\n') != strstr(a, "/dev/zero (deleted)\n") + 19)
			continue;
		in_a = a + strcspn(a, ":") + 4;
		in_b = b + strcspn(b, ":") + 4;
		if (in_b > strchr(b, '\n'))
			continue;
		x = strtoull(in_a, &end_a, 10);
		y = strtoull(in_b, &end_b, 10);
		for (i = 0; i < nr_inodes && inodes[i].theirs != x && inodes[i].ours != y; i++)
			;
		if (i == nr_inodes && nr_inodes < MAX_STEPS) {
			inodes[nr_inodes].theirs = x;
			inodes[nr_inodes++].ours = y;
		}
		if (i == nr_inodes || inodes[i].theirs != x || inodes[i].ours != y)
			continue;
		memset(in_a, '#', 8);
		memset(in_b, '#', 8);
		memset(in_a + 8, ' ', (size_t)(end_a > in_a + 8 ? end_a - in_a - 8 : 0));
		memset(in_b + 8, ' ', (size_t)(end_b > in_b + 8 ? end_b - in_b - 8 : 0));
	}
}

static bool compare_maps(void)
{
	struct text t = { .sink.emit = text_emit, .to = our_text, .size = sizeof(our_text) };
	char *vsyscall;

	read_proc("maps", linux_text, sizeof(linux_text));
	vsyscall = strstr(linux_text, "ffffffffff600000-");
	if (vsyscall)
		*vsyscall = 0;
	our_text[0] = 0;
	quire_proc_maps(mm, &t.sink);
	translate_inodes(linux_text, our_text);
	if (!strcmp(linux_text, our_text))
		return true;
	say("maps differ:\n");
	say_texts(linux_text, our_text);
	return false;
}

/* VmFlags of every area, and what private anonymous memory adds up to. */
static bool compare_smaps(void)
{
	struct text t = { .sink.emit = text_emit, .to = our_text, .size = sizeof(our_text) };
	char *a, *b, area[100] = "";

	read_proc("smaps", linux_text, sizeof(linux_text));
	our_text[0] = 0;
	quire_proc_smaps(mm, &t.sink);
	for (a = linux_text, b = our_text; *a && *b; a = strchr(a, '\n') + 1, b = strchr(b, '\n') + 1) {
		size_t len = strcspn(a, "\n");

		if (a[0] >= '0' && a[0] <= 'f' && strchr("0123456789abcdef", a[0])) {
			if (!strncmp(a, "ffffffffff600000", 16))
				return true;
			snprintf(area, sizeof(area), "%.*s", (int)strcspn(a, "\n"), a);
		}
		if (strncmp(a, "VmFlags", 7) && strncmp(a, "Size", 4) && strncmp(a, "Anonymous", 9) &&
		    strncmp(a, "Swap:", 5))
			continue;
		if (strncmp(a, "Anonymous", 9) == 0 && strncmp(area, "1000000", 7))
			continue; /* outside the window only one page an area was taken over */
		if (len != strcspn(b, "\n") || memcmp(a, b, len)) {
			say("smaps of %s differ:\n  Linux has %.*s\n  Quire has %.*s\n", area, (int)len, a,
			    (int)strcspn(b, "\n"), b);
			return false;
		}
	}
	return true;
}

static bool freed_lazily;
static uint64_t leaked_lock; /* bytes that follow_locked() has seen */

static uint64_t status_bytes(const char *text, const char *name)
{
	const char *line = strstr(text, name);

	if (!line)
		fail("no %s in status", name);
	return strtoull(line + strlen(name), NULL, 10) * 1024;
}

/*
 * mremap(MREMAP_DONTUNMAP) of a locked area leaves the source unlocked, but Linux goes on counting
 * it in VmLck for ever (docs/conformance.md). What it counts too much shrinks the limit for us.
 */
static void follow_locked(void)
{
	uint64_t theirs;

	read_proc("status", linux_text, sizeof(linux_text));
	theirs = status_bytes(linux_text, "VmLck:");
	leaked_lock = theirs > mm->locked_vm * PAGE ? theirs - mm->locked_vm * PAGE : 0;
	if (limits.memlock != QUIRE_RLIM_INFINITY)
		mm->limits.memlock = limits.memlock - leaked_lock;
}

/* The sizes in status. Pages present differ with the faults' ways to map several at once. */
static bool compare_status(void)
{
	static const char *const names[] = { "VmSize:", "VmLck:", "VmData:", "VmStk:", "VmExe:", "VmLib:" };
	struct text t = { .sink.emit = text_emit, .to = our_text, .size = sizeof(our_text) };
	size_t i;

	read_proc("status", linux_text, sizeof(linux_text));
	our_text[0] = 0;
	quire_proc_status(mm, &t.sink);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		uint64_t theirs = status_bytes(linux_text, names[i]), ours = status_bytes(our_text, names[i]);

		if (i == 1)
			theirs -= leaked_lock;
		if (theirs == ours)
			continue;
		say("status: %s Linux %" PRIu64 " kB, Quire %" PRIu64 " kB\n", names[i], theirs / 1024, ours / 1024);
		return false;
	}
	return true;
}

static void describe(const struct step *s, const uint64_t *a)
{
	if (s->command == CMD_CALL)
		say("%s(%#" PRIx64 ", %#" PRIx64 ", %#" PRIx64 ", %#" PRIx64 ", %#" PRIx64 ", %#" PRIx64 ")",
		    call_name(s), a[0], a[1], a[2], a[3], a[4], a[5]);
	else
		say("%s(%#" PRIx64 ", %#" PRIx64 ")", call_name(s), a[0], a[1]);
}

static void begin_round(void)
{
	leaked_lock = 0;
	freed_lazily = false;
	fill_files();
	start_child();
	adopt_child();
}

static void end_round(void)
{
	stop_child();
	drop_space();
}

/* Does the range within the space reach the child's own program, channel or stack? */
static bool holds_child(uint64_t start, uint64_t len)
{
	uint64_t end = start + len;

	if (no_random && start >= LOW_START && start < LOW_END)
		return end > LOW_END;
	if (start < WINDOW_START)
		return end > 0x400000;
	if (start < CHANNEL_ADDRESS)
		return end > CHANNEL_ADDRESS;
	return end > mm->layout.mmap_base;
}

/* Several areas, one of them locked private memory that cannot be written to yet? */
static bool copies_in_turn(uint64_t start, uint64_t len)
{
	struct quire_vma *vma = quire_find_vma(mm, start);
	bool locked = false;
	int areas = 0;

	for (; vma && vma->start < start + len; vma = quire_find_vma(mm, vma->end)) {
		areas++;
		locked |= (vma->flags & (QUIRE_VM_WRITE | QUIRE_VM_SHARED | QUIRE_VM_LOCKED)) == QUIRE_VM_LOCKED;
	}
	return locked && areas > 1;
}

/* Would the call reach the child's own program, channel or stack? Then it is not made. */
static bool hits_child(const struct step *s, const uint64_t *a)
{
	uint64_t len = s->nr == SYS_mremap && a[2] > a[1] ? a[2] : a[1], at;

	/*
	 * Of an mremap whose tail meets a mapping that cannot be cut Linux has done a part by then, Quire
	 * nothing (docs/conformance.md).
	 */
	if (s->nr == SYS_mremap && a[2] < a[1] && a[1] - a[2] > 1ull << 33 && a[1] < 1ull << 46)
		return true; /* and a shrinking move is charged for what it gives up */
	if (s->nr == SYS_mremap && a[2] < a[1] && (a[3] & MREMAP_FIXED) &&
	    a[1] > TASK_END - a[0])
		return true;
	if (s->nr == SYS_mremap && a[2] < a[1])
		for (at = a[0] + a[2]; at < a[0] + a[1] && at < a[0] + a[2] + 64 * PAGE; at += PAGE)
			if (is_adopted(at))
				return true;
	if (s->nr == SYS_mremap && (a[3] & MREMAP_FIXED) && a[4] < TASK_END && a[2] <= TASK_END - a[4] &&
	    holds_child(a[4], a[2]))
		return true;
	/* Linux copies the locked pages of one area before it looks at the next (docs/conformance.md). */
	if (s->nr == SYS_mprotect && (a[2] & PROT_WRITE) && copies_in_turn(a[0], a[1]))
		return true;
	/* Pages that MADV_FREE gave up may go at any time, and go now: Quire has nobody who takes them yet. */
	if (s->nr == SYS_madvise && a[2] == MADV_FREE)
		freed_lazily = true;
	if (s->nr == SYS_madvise && a[2] == MADV_PAGEOUT && freed_lazily)
		return true;
	if (s->nr == SYS_ftruncate || s->nr == SYS_brk || s->nr == SYS_mlockall || s->nr == SYS_munlockall)
		return false;
	if (a[0] + len < a[0])
		return false; /* refused anyway */
	if (a[0] + len > TASK_END) /* so too, but for those that go on over holes */
		return a[0] < TASK_END &&
		       (s->nr == SYS_madvise || s->nr == SYS_mremap || a[0] >= mm->layout.mmap_base);
	return holds_child(a[0], len);
}

/* May the bytes be compared? */
static bool may_touch(uint64_t addr, uint64_t len)
{
	uint64_t at;

	if (addr >= TASK_END - PAGE - len)
		return false;
	for (at = addr & ~(PAGE - 1); at < addr + len; at += PAGE)
		if (is_adopted(at))
			return false;
	return true;
}

/* The first byte that differs, and the last. */
static void say_bytes(uint64_t addr, uint64_t len)
{
	static unsigned char theirs[4 * PAGE], ours[4 * PAGE];
	uint64_t i, first = len, last = 0;

	if (len > sizeof(theirs) || read_child(addr, theirs, len) != len ||
	    quire_access_process_vm(mm, addr, ours, len, QUIRE_ACCESS_READ) != len)
		return;
	for (i = 0; i < len; i++) {
		if (theirs[i] == ours[i])
			continue;
		first = first < i ? first : i;
		last = i;
	}
	if (first < len)
		say("  from +%#" PRIx64 " (Linux %#x, Quire %#x) to +%#" PRIx64 " (Linux %#x, Quire %#x)\n", first, theirs[first],
		    ours[first], last, theirs[last], ours[last]);
}

/* One access on both sides: the signal or what was loaded. */
static bool compare_access(const struct step *s, const uint64_t *a)
{
	struct quire_signal sig = { 0 };
	int64_t ours = our_access(s, a, &sig);

	if (s->command == CMD_EXECUTE)
		ours = 0;
	child_turn(s, a);
	if (channel->signo != sig.signo ||
	    (sig.signo && (channel->code != sig.code || channel->address != sig.addr))) {
		describe(s, a);
		say(": Linux signal %d code %d address %#" PRIx64 ", Quire signal %d code %d address %#" PRIx64 "\n",
		    channel->signo, channel->code, channel->address, sig.signo, sig.code, sig.addr);
		return false;
	}
	if (!sig.signo && ours != channel->result) {
		describe(s, a);
		say(": Linux %#" PRIx64 ", Quire %#" PRIx64 "\n", channel->result, ours);
		if (s->command == CMD_LOAD)
			say_bytes(a[0], a[1]);
		return false;
	}
	return true;
}

static bool compare_call(const struct step *s, const uint64_t *a)
{
	int64_t ours = our_call(s, a);
	uint64_t i;

	child_turn(s, a);
	if (ours != channel->result) {
		describe(s, a);
		say(": Linux %#" PRIx64 " (%" PRId64 "), Quire %#" PRIx64 " (%" PRId64 ")\n", channel->result,
		    channel->result, ours, ours);
		return false;
	}
	/* Which of a file's pages are cached is each side's own business. */
	for (i = 0; s->nr == SYS_mincore && !ours && i < (a[1] + PAGE - 1) / PAGE; i++) {
		if (!is_anonymous(a[0] + i * PAGE) || ((our_vec[i] ^ channel->vec[i]) & 1) == 0)
			continue;
		describe(s, a);
		say(": page %" PRIu64 ": Linux %u, Quire %u\n", i, channel->vec[i], our_vec[i]);
		return false;
	}
	return true;
}

/* Every byte of the areas that the round has left, of a long one those of its first pages. */
static bool compare_contents(void)
{
	struct step look = { .command = CMD_LOAD };
	uint64_t pos, i;
	struct quire_vma *vma;

	for (pos = no_random ? LOW_START : WINDOW_START; (vma = quire_find_vma(mm, pos)) && vma->end <= mm->layout.mmap_base;
	     pos = vma->end) {
		for (i = 0; i < 32 && vma->start + i * PAGE < vma->end; i++) {
			uint64_t a[6] = { vma->start + i * PAGE, PAGE };

			if (!may_touch(a[0], PAGE))
				break;
			if (compare_access(&look, a))
				continue;
			say("after the last step\n");
			return false;
		}
	}
	return true;
}

/* True if all steps that are not left out answer alike. Steps are numbered for the report. */
static bool play(const struct step *steps, int n, const bool *left_out, bool show)
{
	uint64_t slot[NR_SLOTS] = { 0 };
	bool same = true;
	int i;

	report[0] = 0;
	nr_inodes = 0;
	begin_round();
	for (i = 0; i < n && same; i++) {
		const struct step *s = &steps[i];
		quire_broken_t broken;
		uint64_t a[6];
		int64_t theirs;

		if (left_out[i])
			continue;
		memcpy(a, s->arg, sizeof(a));
		if (s->slot_arg == SLOT_BREAK)
			a[0] += first_break;
		else if (s->slot_arg >= 0)
			a[s->slot_arg] += slot[s->slot];
		if (s->command == CMD_CALL ? hits_child(s, a) : !may_touch(a[0], s->command == CMD_LOAD ? a[1] : 1))
			continue;
		if (s->command == CMD_EXECUTE && !may_execute(a[0]))
			continue;
		same = s->command == CMD_CALL ? compare_call(s, a) : compare_access(s, a);
		theirs = channel->result;
		nr_steps_compared++;
		if (s->into_slot >= 0 && theirs >= 0)
			slot[s->into_slot] = (uint64_t)theirs;
		if (show) {
			say("%3d ", i);
			describe(s, a);
			if (s->command == CMD_CALL)
				say(" = %#" PRIx64 "\n", theirs);
			else
				say(" = signal %d\n", channel->signo);
		}
		if (s->command == CMD_CALL && s->nr == SYS_mremap && (a[3] & MREMAP_DONTUNMAP))
			follow_locked();
		/* The walk over all tables costs more than most steps. */
		broken = i % 8 == 0 || show ? quire_mm_check(mm) : NULL;
		if (broken) {
			describe(s, a);
			say(": Quire's own check: %s\n", broken);
			same = false;
		}
		if (!compare_maps()) {
			say("after ");
			describe(s, a);
			say("\n");
			same = false;
		}
	}
	if (same)
		same = compare_smaps() && compare_status() && compare_contents();
	if (same && quire_mm_check(mm)) {
		say("Quire's own check: %s\n", quire_mm_check(mm));
		same = false;
	}
	end_round();
	return same;
}

static void shrink(const struct step *steps, int n, bool *left_out)
{
	int chunk, i, j;

	for (chunk = n / 2; chunk >= 1; chunk /= 2) {
		for (i = 0; i < n; i += chunk) {
			bool saved[MAX_STEPS];
			bool any = false;

			memcpy(saved, left_out, sizeof(saved));
			for (j = i; j < i + chunk && j < n; j++) {
				any |= !left_out[j];
				left_out[j] = true;
			}
			if (any && play(steps, n, left_out, false))
				memcpy(left_out, saved, sizeof(saved));
		}
	}
}

/* ---- Command line --------------------------------------------------------------------------- */

static uint64_t seed = 1, rounds = 0;
static int steps_per_round = 120, seconds = 20;

static bool verbose;
static const char *without = "";

static bool is_left_out(const struct step *s)
{
	const char *name = call_name(s), *at = strstr(without, name);
	size_t len = strlen(name);

	return at && (at == without || at[-1] == ',') && (at[len] == ',' || !at[len]);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case 's': seed = strtoull(arg, NULL, 0); break;
	case 'r': rounds = strtoull(arg, NULL, 0); break;
	case 'n': steps_per_round = atoi(arg); break;
	case 'v': verbose = true; break;
	case 'w': without = arg; break;
	case 't': seconds = atoi(arg); break;
	case ARGP_KEY_ARG: child_path = arg; break;
	case ARGP_KEY_END:
		if (!child_path || steps_per_round < 1 || steps_per_round > MAX_STEPS)
			argp_usage(state);
		break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "seed", 's', "N", 0, "first round's number", 0 },
		{ "rounds", 'r', "N", 0, "rounds; default: as many as the seconds allow", 0 },
		{ "steps", 'n', "N", 0, "steps a round", 0 },
		{ "without", 'w', "CALL,...", 0, "calls to leave out: mremap,madvise,store", 0 },
		{ "verbose", 'v', NULL, 0, "keep every step in the report", 0 },
		{ "seconds", 't', "S", 0, "time to spend", 0 },
		{ 0 },
	};
	static const struct argp argp = { options, parse, "CHILD", "Compare Quire with the running Linux.", NULL, NULL, NULL };
	static struct step steps[MAX_STEPS];
	struct timespec began, now;
	uint64_t round, done = 0;
	int i, status = 0;

	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	/* `make soak`: hours of rounds that nobody has seen. */
	if (getenv("QUIRE_SOAK")) {
		rounds = 0;
		seconds = atoi(getenv("QUIRE_SOAK")) * 3600;
		seed = (uint64_t)time(NULL);
		printf("judge: seed %" PRIu64 "\n", seed);
	}
	if (getuid()) {
		puts("judge: needs root to read the child's pagemap: skipped");
		return 77;
	}
	make_channel();
	make_files();
	make_machine();
	clock_gettime(CLOCK_MONOTONIC, &began);
	for (round = seed; rounds ? done < rounds : true; round++, done++) {
		bool left_out[MAX_STEPS] = { false };

		clock_gettime(CLOCK_MONOTONIC, &now);
		if (!rounds && now.tv_sec - began.tv_sec >= seconds)
			break;
		round_number = round;
		random_begin(round);
		no_random = one_in(5);
		limits = (struct quire_limits){
			.as = QUIRE_RLIM_INFINITY, .data = QUIRE_RLIM_INFINITY, .stack = 8 << 20,
			.memlock = (uint64_t[]){ 0, 16 * PAGE, 4096 * PAGE, 64 * PAGE }[below(4)],
		};
		if (one_in(6))
			limits.data = (below(8) + 4) << 18;
		if (one_in(6))
			limits.as = (below(64) + 32) << 19;
		for (i = 0; i < steps_per_round; i++)
			do
				make_step(&steps[i]);
			while (is_left_out(&steps[i]));
		if (play(steps, steps_per_round, left_out, verbose))
			continue;
		printf("round %" PRIu64 ": %s", round, report);
		fflush(stdout);
		shrink(steps, steps_per_round, left_out);
		play(steps, steps_per_round, left_out, true);
		printf("shrunk (limits: memlock %" PRIu64 " data %" PRIu64 " as %" PRIu64 "):\n%s", limits.memlock, limits.data,
		       limits.as, report);
		status = 1;
		done++;
		break;
	}
	drop_files();
	if (machine_destroy(machine))
		status = 1;
	printf("judge: %" PRIu64 " rounds, %" PRIu64 " steps compared, %s\n", done, nr_steps_compared,
	       status ? "a difference" : "no difference");
	return status;
}

