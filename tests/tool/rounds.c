/* SPDX-License-Identifier: MIT */
/*
 * What surrounds the random judge, without the judge: rounds as text (case.c), made small (minimize.c), as C programs
 * (csource.c) and counted (tally.c).
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include <fuzz/case.h>
#include <fuzz/csource.h>
#include <fuzz/minimize.h>
#include <fuzz/names.h>
#include <fuzz/tally.h>

static char message[300];

static int try_read(const char *text, struct round *r)
{
	FILE *from = fmemopen((void *)text, strlen(text), "r");
	int err;

	assert_non_null(from);
	err = fuzz_case_read(from, "x", r, message, sizeof(message));
	fclose(from);
	return err;
}

static struct round read_text(const char *text)
{
	struct round r;

	if (try_read(text, &r))
		fail_msg("%s", message);
	return r;
}

static char *write_text(const struct round *r, const char *comment)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	fuzz_case_write(to, r, comment);
	fclose(to);
	return text;
}

/* ---- Text -------------------------------------------------------------------------------- */

static void a_text_says_what_it_says(void **state)
{
	struct round r = read_text(
		"# comment\n"
		"\n"
		"limits as=32M stack = 64K\n"
		"limits memlock=3p maps=5\n"
		"no_random\n"
		"overcommit 2\n"
		"  p0 mmap(w+3p, 2p, READ|WRITE, PRIVATE|FIXED|ANONYMOUS|0x4000000000, -1, 0x10) = w+3p -> s1\n"
		"p0 mmap(low+1p,1p+5,NONE,SHARED_VALIDATE|32BIT,disk_read_only,2p)=EOPNOTSUPP\n"
		"p0 mremap(s1-1p, 2G, 3K, MAYMOVE|DONTUNMAP, end-1p)\n"
		"p0 brk(break+1p+2)\n"
		"p0 fork(p3) = 0\n"
		"p3 load(w+3p-1, 2) = SEGV_MAPERR\n"
		"p3 write(memfd, 1p, 100, 0x41)\n"
		"p3 madvise(0x7ff, -2p, 77)\n"
		"p3 mincore(w, 1p, vec)\n"
		"p3 call999(1, 2, 3, 4, 5, 0x6)\n"
		"p3 exit()\n"
		"p0 store_word(w+1p-4, 8, 0x1122334455667788) = SEGV_MAPERR\n"
		"p0 store_run(w+1p-4, 2p, 7)\n"
		"p0 fallocate(disk, KEEP_SIZE|PUNCH_HOLE, 1p, 2p)\n");
	const struct step *s = r.steps;

	(void)state;
	assert_int_equal(r.nr_steps, 14);
	assert_int_equal(s[11].kind, STEP_STORE_WORD);
	assert_int_equal(s[11].arg[0], 0x100000000ffc);
	assert_int_equal(s[11].arg[1], 8);
	assert_true(s[11].arg[2] == 0x1122334455667788);
	assert_int_equal(s[12].kind, STEP_STORE_RUN);
	assert_int_equal(s[12].arg[1], 0x2000);
	assert_int_equal(s[12].arg[2], 7);
	assert_int_equal(s[13].nr, SYS_fallocate);
	assert_int_equal(s[13].arg[0], STEP_FD + STEP_FILE_DISK);
	assert_int_equal(s[13].arg[1], 3);
	assert_true(r.no_random);
	assert_int_equal(r.limit_as, 32 << 20);
	assert_int_equal(r.limit_stack, 64 << 10);
	assert_int_equal(r.limit_memlock, 3 * 4096);
	assert_int_equal(r.limit_maps, 5);
	assert_int_equal(r.overcommit, 2);
	assert_true(r.limit_data == ~0ull);

	assert_int_equal(s->kind, STEP_CALL);
	assert_int_equal(s->nr, SYS_mmap);
	assert_int_equal(s->arg[0], 0x100000003000);
	assert_int_equal(s->arg[1], 0x2000);
	assert_int_equal(s->arg[2], PROT_READ | PROT_WRITE);
	assert_true(s->arg[3] == (0x4000000000 | MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS));
	assert_true(s->arg[4] == ~0ull);
	assert_int_equal(s->arg[5], 0x10);
	assert_int_equal(s->into_slot, 1);
	assert_int_equal(s->slot_arg, STEP_NO_SLOT);
	assert_int_equal(s->expect, STEP_EXPECT_RESULT);
	assert_int_equal(s->expected, 0x100000003000);

	s++;
	assert_int_equal(s->arg[0], 0x40001000);
	assert_int_equal(s->arg[1], 4101);
	assert_int_equal(s->arg[2], PROT_NONE);
	assert_int_equal(s->arg[3], MAP_SHARED_VALIDATE | MAP_32BIT);
	assert_int_equal(s->arg[4], STEP_FD + STEP_FILE_DISK_READ_ONLY);
	assert_int_equal(s->arg[5], 0x2000);
	assert_int_equal(s->into_slot, STEP_NO_SLOT);
	assert_int_equal(s->expected, -EOPNOTSUPP);

	s++;
	assert_int_equal(s->slot_arg, 0);
	assert_int_equal(s->slot, 1);
	assert_true(s->arg[0] == -4096ull);
	assert_true(s->arg[1] == 2ull << 30);
	assert_int_equal(s->arg[2], 3 << 10);
	assert_int_equal(s->arg[3], MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
	assert_true(s->arg[4] == 0x7fffffffe000);
	assert_int_equal(s->expect, STEP_EXPECT_NOTHING);

	s++;
	assert_int_equal(s->slot, STEP_BREAK);
	assert_int_equal(s->slot_arg, 0);
	assert_int_equal(s->arg[0], 4098);

	s++;
	assert_int_equal(s->kind, STEP_FORK);
	assert_int_equal(s->arg[0], 3);

	s++;
	assert_int_equal(s->kind, STEP_LOAD);
	assert_int_equal(s->process, 3);
	assert_int_equal(s->arg[0], 0x100000002fff);
	assert_int_equal(s->expect, STEP_EXPECT_SIGNAL);
	assert_true(s->expected == ((int64_t)SIGSEGV << 32 | SEGV_MAPERR));

	s++;
	assert_int_equal(s->kind, STEP_WRITE);
	assert_int_equal(s->arg[0], STEP_FILE_MEMFD);
	assert_int_equal(s->arg[3], 0x41);

	s++;
	assert_true(s->arg[1] == -8192ull);
	assert_int_equal(s->arg[2], 77);

	s++;
	assert_true(s->arg[2] == STEP_VEC);

	s++;
	assert_int_equal(s->nr, 999);
	assert_int_equal(s->arg[5], 6);

	s++;
	assert_int_equal(s->kind, STEP_EXIT);
	fuzz_case_free(&r);
}

static void writing_gives_the_text_back(void **state)
{
	static const char text[] =
		"# two\n"
		"# lines\n"
		"limits as=8192p data=16p stack=64p memlock=0\n"
		"no_random\n"
		"p0 mmap(w+3p, 2p, READ|WRITE, PRIVATE|FIXED|ANONYMOUS, -1, 0) = w+3p -> s1\n"
		"p0 mmap(low, 1p+5, 0x10|READ, SHARED_VALIDATE|32BIT|0x20000000, again, 2p) = ENOMEM\n"
		"p1 mremap(s1-1p, 0x80000000000, 3072, MAYMOVE|FIXED|0x8, end-1p+7) -> s7\n";
	static const char canonical[] =
		"# two\n"
		"# lines\n"
		"limits as=8192p data=16p stack=64p memlock=0\n"
		"no_random\n"
		"p0 mmap(w+3p, 2p, READ|WRITE, PRIVATE|FIXED|ANONYMOUS, -1, 0) = w+3p -> s1\n"
		"p0 mmap(low, 1p+5, READ|0x10, SHARED_VALIDATE|32BIT|0x20000000, again, 2p) = ENOMEM\n"
		"p1 mremap(s1-1p, 0x80000000000, 3072, MAYMOVE|FIXED|0x8, end-4089) -> s7\n"
		"p0 load(s3, 3p) = SEGV_ACCERR\n"
		"p0 store(break+1p, 0xff) = 0\n"
		"p0 execute(0) = BUS_ADRERR\n"
		"p0 madvise(w-1p, -1p, GUARD_INSTALL)\n"
		"p0 madvise(w, 1p, NORMAL)\n"
		"p0 shmat(1, w+20p+1, RDONLY|REMAP) -> s0\n"
		"p0 munlockall()\n"
		"p0 mlockall(CURRENT|ONFAULT)\n"
		"p0 msync(w, 0, ASYNC|SYNC)\n"
		"p0 ftruncate(write_only, 0x800000000000000) = EFBIG\n"
		"p0 remap_file_pages(w, 1p, NONE, 0x11, NONBLOCK)\n"
		"p0 mseal(w, 1p, 0x1)\n"
		"p0 mlock2(end, 2p, ONFAULT)\n"
		"p0 write(tmpfs, 5p+1, 2p, 0x7f) = 0x2000\n"
		"p0 fork(p7)\n"
		"p7 thread(p1)\n"
		"p7 process_vm_readv(p1, w+1, 1p, s1, 3, 0)\n"
		"p7 exit()\n";
	struct round r = read_text(text);
	char *written = write_text(&r, "two\nlines"), all[4096];

	(void)state;
	/* Each number in one way: names first, pages nearest. */
	assert_memory_equal(written, canonical, strlen(written));
	fuzz_case_free(&r);
	free(written);

	snprintf(all, sizeof(all), "%s", canonical);
	r = read_text(all);
	written = write_text(&r, "two\nlines");
	assert_string_equal(written, canonical);
	fuzz_case_free(&r);
	free(written);
}

static uint64_t seed = 1;

static uint64_t random_below(uint64_t n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (seed >> 33) % n;
}

static uint64_t random_number(void)
{
	static const uint64_t edges[] = {
		0,     1,	   STEP_PAGE, STEP_WINDOW, STEP_LOW, STEP_TASK_END,
		~0ull, 1ull << 63, STEP_FD,   STEP_VEC};
	uint64_t number = edges[random_below(10)];

	if (random_below(4) == 0)
		number += random_below(3000000);
	if (random_below(4) == 0)
		number -= random_below(9000);
	return random_below(8) ? number : number ^ random_below(1u << 31) << random_below(33);
}

/* Numbers of all kinds in all places come back as they were. */
static void random_steps_come_back(void **state)
{
	unsigned n, i, j;

	(void)state;
	for (n = 0; n < 20000; n++) {
		struct step s = {.slot_arg = STEP_NO_SLOT, .into_slot = STEP_NO_SLOT}, *back;
		const struct fuzz_call *call;
		char line[1024];
		struct round r;

		call = &fuzz_calls[random_below(fuzz_nr_calls)];
		s.nr = call->nr;
		s.process = (uint8_t)(random_below(STEP_MAX_PROCESSES));
		for (i = 0; i < fuzz_call_nr_operands(call); i++)
			s.arg[i] = call->operand[i] == OPERAND_PROCESS ? random_below(STEP_MAX_PROCESSES) : random_number();
		if (call->operand[0] == OPERAND_ADDRESS && random_below(4) == 0) {
			s.slot_arg = 0;
			s.slot = (int8_t)(random_below(STEP_MAX_SLOTS + 1));
		}
		if (random_below(4) == 0)
			s.into_slot = (int8_t)(random_below(STEP_MAX_SLOTS));
		fuzz_step_print(&s, line, sizeof(line));
		r = read_text(line);
		assert_int_equal(r.nr_steps, 1);
		back = &r.steps[0];
		for (j = 0; j < 6; j++)
			if (back->arg[j] != s.arg[j])
				fail_msg("%s: argument %u: %#lx", line, j,
					 (unsigned long)back->arg[j]);
		assert_memory_equal(back, &s, sizeof(s));
		fuzz_case_free(&r);
	}
}

static void errors_name_their_line(void **state)
{
	static const struct {
		const char *text, *message;
	} wrong[] = {
		{"", "x:0: no step"},
		{"# nothing\n", "x:1: no step"},
		{"p0 load(w, 1)\n\np0 lode(w, 1)\n", "x:3: no such call: 'lode'"},
		{"p8 load(w, 1)\n", "x:1: no such process: 'p8'"},
		{"q0 load(w, 1)\n", "x:1: no such process: 'q0'"},
		{"p0 load(w)\n", "x:1: ',' expected before ')'"},
		{"p0 load(w, 1, 2)\n", "x:1: ')' expected before ', 2)'"},
		{"p0 load(w, 1) x\n", "x:1: nothing expected here: 'x'"},
		{"p0 load(w, )\n", "x:1: a number expected before ')'"},
		{"p0 load(w, 1q)\n", "x:1: no number: '1q'"},
		{"p0 load(w, 010)\n", "x:1: no number: '010'"},
		{"p0 load(w, 0x)\n", "x:1: no number: '0x'"},
		{"p0 load(w, 18446744073709551616)\n",
		 "x:1: number too big: '18446744073709551616'"},
		{"p0 load(w, 4503599627370496p)\n", "x:1: number too big: '4503599627370496p'"},
		{"p0 load(s8, 1)\n", "x:1: no number: 's8'"},
		{"p0 load(s0+s1, 1)\n", "x:1: 's1' cannot stand here"},
		{"p0 load(1-s0, 1)\n", "x:1: 's0' cannot stand here"},
		{"p0 load(s0, s0)\n", "x:1: only one argument can be relative to a result"},
		{"p0 mprotect(w, 1p, READ|RITE)\n", "x:1: no such flag: 'RITE'"},
		{"p0 mprotect(w, 1p, PRIVATE)\n", "x:1: no such flag: 'PRIVATE'"},
		{"p0 mprotect(w, 1p, )\n", "x:1: no such flag: ''"},
		{"p0 ftruncate(file, 0)\n", "x:1: no such file: 'file'"},
		{"p0 write(-1, 0, 1, 1)\n", "x:1: write() needs one of the files"},
		{"p0 fork(p0+1)\n", "x:1: ')' expected before '+1)'"},
		{"p0 exit()\n", "x:1: process 0 never exits"},
		{"p0 thread(p8)\n", "x:1: no such process: 'p8'"},
		{"p0 munmap(w, 1p) = EWHAT\n", "x:1: no number: 'EWHAT'"},
		{"p0 munmap(w, 1p) = s1\n", "x:1: 's1' cannot stand here"},
		{"p0 munmap(w, 1p) -> s9\n", "x:1: a result goes to s0 to s7, and a call's only"},
		{"p0 load(w, 1) -> s1\n", "x:1: a result goes to s0 to s7, and a call's only"},
		{"limits core=1\np0 load(w, 1)\n", "x:1: no such limit: 'core'"},
		{"limits\np0 load(w, 1)\n", "x:1: no such limit: ''"},
		{"limits as\np0 load(w, 1)\n", "x:1: '=' expected before ''"},
		{"overcommit 0\np0 load(w, 1)\n", "x:1: overcommit is 1 or 2, not '0'"},
		{"no_random 1\np0 load(w, 1)\n", "x:1: nothing expected here: '1'"},
		{"p0 a_word_that_is_longer_than_any_that_there_is(w)\n",
		 "x:1: no such word: 'a_word_that_is_longer_than_any_that_there_is'"},
		{"p0 store_word(w, 3, 0x41)\n", "x:1: a word has 1, 2, 4 or 8 bytes"},
	};
	struct round r;
	char text[32 * 1200] = "";
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		/* fmemopen() knows no empty file. */
		assert_int_equal(try_read(wrong[i].text[0] ? wrong[i].text : "\n", &r), -1);
		assert_string_equal(message + (i == 0 ? 4 : 0),
				    wrong[i].message + (i == 0 ? 4 : 0));
		assert_null(r.steps);
	}
	for (i = 0; i <= STEP_MAX; i++)
		strcat(text, "p0 load(w, 1)\n");
	assert_int_equal(try_read(text, &r), -1);
	assert_string_equal(message, "x:1025: more than 1024 steps");
}

static void what_a_step_does_is_checked(void **state)
{
	struct round r = read_text(
		"p0 munmap(w, 1p) = EINVAL\np0 load(w, 1) = SEGV_MAPERR\np0 load(w, 1) = 0x41\np0 load(w, 1)\n");
	struct answer invalid = {.made = true, .result = -EINVAL}, ok = {.made = true};
	struct answer maperr = {.made = true, .signo = SIGSEGV, .code = SEGV_MAPERR},
		      accerr = maperr;
	struct answer byte = {.made = true, .result = 0x41}, not_made = {0};

	(void)state;
	accerr.code = SEGV_ACCERR;
	assert_true(fuzz_expected(&r.steps[0], &invalid));
	assert_false(fuzz_expected(&r.steps[0], &ok));
	assert_false(fuzz_expected(&r.steps[0], &not_made));
	assert_true(fuzz_expected(&r.steps[1], &maperr));
	assert_false(fuzz_expected(&r.steps[1], &accerr));
	assert_false(fuzz_expected(&r.steps[1], &ok));
	assert_true(fuzz_expected(&r.steps[2], &byte));
	assert_false(fuzz_expected(&r.steps[2], &maperr));
	assert_true(fuzz_expected(&r.steps[3], &maperr));
	assert_true(fuzz_expected(&r.steps[3], &not_made));
	fuzz_case_free(&r);
}

/* ---- Making small ------------------------------------------------------------------------ */

static unsigned nr_played;

/* An mprotect of process 0 that takes rights of the page w+2p, after process 0 has mapped it: whatever else happens. */
static bool loses_rights(const struct round *r, void *arg)
{
	bool mapped = false;
	unsigned i;

	(void)arg;
	nr_played++;
	for (i = 0; i < r->nr_steps; i++) {
		const struct step *s = &r->steps[i];
		uint64_t page = STEP_WINDOW + 2 * STEP_PAGE;

		if (s->kind != STEP_CALL || s->process || s->arg[0] > page ||
		    s->arg[0] + s->arg[1] <= page)
			continue;
		mapped |= s->nr == SYS_mmap && (s->arg[3] & MAP_FIXED);
		if (mapped && s->nr == SYS_mprotect && !(s->arg[2] & PROT_WRITE))
			return true;
	}
	return false;
}

static const char long_round[] =
	"limits as=64M memlock=1p\n"
	"no_random\n"
	"p0 mmap(w+9p, 4p, READ|WRITE, SHARED|FIXED|ANONYMOUS, -1, 0)\n"
	"p0 brk(break+3p)\n"
	"p0 mmap(w+1p, 6p, READ|WRITE|EXEC, PRIVATE|FIXED|ANONYMOUS|NORESERVE|POPULATE, -1, 3p) -> s1\n"
	"p0 store(w+1p, 0x11)\n"
	"p0 fork(p1)\n"
	"p1 store(w+1p, 0x12)\n"
	"p1 fork(p2)\n"
	"p2 exit()\n"
	"p0 madvise(w, 9p, DONTFORK)\n"
	"p0 mprotect(w+2p, 3p+7, READ|EXEC)\n"
	"p0 load(w+2p, 1)\n"
	"p1 exit()\n";

static void a_round_becomes_small(void **state)
{
	struct round r = read_text(long_round);
	unsigned plays;
	char *text;

	(void)state;
	nr_played = 0;
	assert_true(loses_rights(&r, NULL));
	nr_played = 0;
	plays = fuzz_minimize(&r, loses_rights, NULL, 10000);
	assert_int_equal(plays, nr_played);
	assert_true(plays < 300);
	text = write_text(&r, NULL);
	assert_string_equal(text, "p0 mmap(w+2p, 1p, NONE, PRIVATE|FIXED, -1, 0)\n"
				  "p0 mprotect(w+2p, 1p, NONE)\n");
	free(text);
	fuzz_case_free(&r);
}

static void plays_are_bounded_and_the_round_still_differs(void **state)
{
	unsigned max, plays;

	(void)state;
	for (max = 0; max < 60; max++) {
		struct round r = read_text(long_round);

		nr_played = 0;
		plays = fuzz_minimize(&r, loses_rights, NULL, max);
		assert_int_equal(plays, nr_played);
		assert_true(plays <= max);
		assert_true(loses_rights(&r, NULL));
		fuzz_case_free(&r);
	}
}

/* Some store of a process that is not the first. */
static bool another_stores(const struct round *r, void *arg)
{
	bool there[STEP_MAX_PROCESSES] = {true};
	unsigned i;

	(void)arg;
	for (i = 0; i < r->nr_steps; i++) {
		const struct step *s = &r->steps[i];

		if (!there[s->process])
			continue;
		if (s->kind == STEP_FORK || s->kind == STEP_THREAD)
			there[s->arg[0]] = true;
		if (s->kind == STEP_STORE && s->process)
			return true;
	}
	return false;
}

static void processes_are_dropped(void **state)
{
	struct round r = read_text(
		"p0 fork(p1)\np1 fork(p2)\np2 fork(p3)\np3 store(w+7p+5, 0x55)\np1 store(w+5p, 0x22)\n");
	char *text;

	(void)state;
	fuzz_minimize(&r, another_stores, NULL, 1000);
	text = write_text(&r, NULL);
	assert_string_equal(text, "p0 fork(p1)\np1 store(w, 0)\n");
	free(text);
	fuzz_case_free(&r);
}

static void threads_are_dropped(void **state)
{
	struct round r = read_text(
		"p0 thread(p1)\np1 thread(p2)\np2 thread(p3)\np3 store(w+7p+5, 0x55)\np1 store(w+5p, 0x22)\n");
	char *text;

	(void)state;
	fuzz_minimize(&r, another_stores, NULL, 1000);
	text = write_text(&r, NULL);
	assert_string_equal(text, "p0 thread(p1)\np1 store(w, 0)\n");
	free(text);
	fuzz_case_free(&r);
}

static bool always(const struct round *r, void *arg)
{
	(void)r;
	(void)arg;
	return true;
}

static bool needs_the_limit(const struct round *r, void *arg)
{
	(void)arg;
	return r->limit_data == 5 * STEP_PAGE;
}

static void what_was_left_out_is_gone(void **state)
{
	struct round r = read_text(
		"limits data=5p stack=1M\np0 load(w, 1)\np0 load(w+1p, 1)\np0 load(w+2p, 1)\n");

	(void)state;
	r.left_out = calloc(STEP_MAX, sizeof(bool));
	r.left_out[0] = r.left_out[2] = true;
	assert_int_equal(fuzz_minimize(&r, always, NULL, 0), 0);
	assert_int_equal(r.nr_steps, 1);
	assert_int_equal(r.steps[0].arg[0], STEP_WINDOW + STEP_PAGE);
	fuzz_minimize(&r, needs_the_limit, NULL, 100);
	assert_int_equal(r.limit_data, 5 * STEP_PAGE);
	assert_true(r.limit_stack == ~0ull);
	assert_int_equal(r.nr_steps, 1);
	fuzz_case_free(&r);
}

/* ---- C programs -------------------------------------------------------------------------- */

/* Compiled as a stranger would, with warnings as errors; what it prints, one maps line's inode and path cut off. */
static char *compile_and_run(const struct round *r)
{
	static char output[65536];
	char source[] = "/tmp/quire-rounds.XXXXXX.c", command[400], program[64];
	size_t used = 0, n;
	FILE *f;
	int fd = mkstemps(source, 2);

	assert_true(fd >= 0);
	f = fdopen(fd, "w");
	fuzz_csource(f, r, NULL, "A comment */ that tries to end");
	fclose(f);
	snprintf(program, sizeof(program), "%.*s", (int)strlen(source) - 2, source);
	snprintf(
		command, sizeof(command),
		"gcc -Wall -Wextra -Wno-unused-parameter -Werror -O2 -static -no-pie %s -o %s && chmod 755 %s && timeout 20 %s",
		source, program, program, program);
	f = popen(command, "r");
	assert_non_null(f);
	while ((n = fread(output + used, 1, sizeof(output) - 1 - used, f)) > 0)
		used += n;
	output[used] = 0;
	assert_int_equal(pclose(f), 0);
	unlink(source);
	unlink(program);
	return output;
}

static void a_program_shows_what_linux_does(void **state)
{
	struct round r =
		read_text("p0 mmap(w, 4p, READ|WRITE, PRIVATE|FIXED|ANONYMOUS, -1, 0) -> s0\n"
			  "p0 store(w, 0x41)\n"
			  "p0 store(w+1p, 0xc3)\n"
			  "p0 fork(p1)\n"
			  "p1 load(w, 1)\n"
			  "p1 store(w, 0x42)\n"
			  "p0 load(w, 1)\n"
			  "p1 munmap(s0+2p, 1p)\n"
			  "p1 load(w+3p, 1p+1)\n"
			  "p1 load(w+2p, 1)\n"
			  "p1 mprotect(w+1p, 1p, READ|EXEC)\n"
			  "p1 execute(w+1p)\n"
			  "p1 store(w+1p+1, 1)\n"
			  "p1 execute(w+3p)\n"
			  "p1 exit()\n"
			  "p0 load(w+2p, 1)\n"
			  "p0 mmap(0, 1p, READ, PRIVATE|ANONYMOUS, -1, 0)\n"
			  "p0 mprotect(w+4p, 1p, READ)\n"
			  "p0 mmap(w+8p, 6p, READ, SHARED|FIXED, tmpfs, 0)\n"
			  "p0 load(w+10p+1, 1)\n"
			  "p0 load(w+8p, 1)\n"
			  "p0 load(w+13p, 1)\n"
			  "p0 write(again, 5p, 1, 0x66)\n"
			  "p0 load(w+13p, 1)\n"
			  "p0 mmap(w+16p, 1p, WRITE, SHARED|FIXED, read_only, 0)\n"
			  "p0 shmat(0, w+20p, 0)\n"
			  "p0 store(w+23p, 9)\n"
			  "p0 mincore(w+20p, 4p, vec)\n"
			  "p0 call39(0, 0, 0, 0, 0, 0)\n"
			  "p0 brk(break+4p)\n"
			  "p0 store(break, 1)\n");
	const char *out = compile_and_run(&r);
	static const char expected[] = "0 p0 mmap = 0x100000000000\n"
				       "1 p0 store = 0\n"
				       "2 p0 store = 0\n"
				       "3 p0 fork = 0\n"
				       "4 p1 load = 0x41\n"
				       "5 p1 store = 0\n"
				       "6 p0 load = 0x41\n"
				       "7 p1 munmap = 0\n"
				       "8 p1 load: SEGV_MAPERR at 0x100000004000\n"
				       "9 p1 load: SEGV_MAPERR at 0x100000002000\n"
				       "10 p1 mprotect = 0\n"
				       "11 p1 execute = 0\n"
				       "12 p1 store: SEGV_ACCERR at 0x100000001001\n"
				       "13 p1 execute: SEGV_ACCERR at 0x100000003000\n"
				       "14 p1 exit = 0\n"
				       "15 p0 load = 0\n"
				       "16 p0 mmap = somewhere\n"
				       "17 p0 mprotect = ENOMEM\n"
				       "18 p0 mmap = 0x100000008000\n"
				       "19 p0 load = 0x3\n"
				       "20 p0 load = 0xc3\n"
				       "21 p0 load: BUS_ADRERR at 0x10000000d000\n"
				       "22 p0 write = 0x1\n"
				       "23 p0 load = 0x66\n"
				       "24 p0 mmap = EACCES\n"
				       "25 p0 shmat = 0x100000014000\n"
				       "26 p0 store = 0\n"
				       "27 p0 mincore = 0\n";
	const char *rest;

	(void)state;
	if (strncmp(out, expected, sizeof(expected) - 1))
		assert_string_equal(out, expected);
	rest = out + sizeof(expected) - 1;
	assert_non_null(strstr(rest, "29 p0 brk = somewhere\n30 p0 store = 0\n"));
	assert_non_null(strstr(rest, "p0 maps 100000000000-100000004000 rw-p 00000000 00:00 0"));
	assert_non_null(strstr(rest, "p0 maps 100000008000-10000000e000 r--s 00000000 "));
	assert_non_null(strstr(rest, "p0 maps 100000014000-100000018000 rw-s 00000000 "));
	fuzz_case_free(&r);
}

static void a_program_has_the_limits(void **state)
{
	struct round r = read_text("limits as=1M data=8p memlock=2p\n"
				   "p0 mmap(w, 2M, READ, PRIVATE|FIXED|ANONYMOUS, -1, 0)\n"
				   "p0 mmap(w, 9p, READ|WRITE, PRIVATE|FIXED|ANONYMOUS, -1, 0)\n"
				   "p0 mmap(w, 8p, READ|WRITE, PRIVATE|FIXED|ANONYMOUS, -1, 0)\n"
				   "p0 mlock(w, 3p)\n"
				   "p0 mlock(w, 2p)\n");
	const char *out = compile_and_run(&r);

	(void)state;
	assert_non_null(
		strstr(out, "0 p0 mmap = ENOMEM\n1 p0 mmap = ENOMEM\n2 p0 mmap = 0x100000000000\n"
			    "3 p0 mlock = ENOMEM\n4 p0 mlock = 0\n"));
	fuzz_case_free(&r);
}

/* Each kind of step alone: nothing is defined that is not used. */
static void a_program_has_what_it_needs(void **state)
{
	static const char *const texts[] = {
		"p0 load(w, 1)\n",
		"p0 store(w, 1)\n",
		"p0 execute(w)\n",
		"p0 munlockall()\n",
		"p0 fork(p1)\n",
		"p0 write(disk, 0, 1, 1)\n",
		"p0 fork(p1)\np1 exit()\np0 fork(p1)\n",
		"no_random\nlimits stack=64p\np0 load(0, 1)\n",
		"p0 shmat(1, 0, 0)\n",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct round r = read_text(texts[i]);
		const char *out = compile_and_run(&r);

		assert_memory_equal(out, "0 p0 ", 5);
		fuzz_case_free(&r);
	}
}

/* ---- Counts ------------------------------------------------------------------------------ */

static void count(struct tally *t, const char *text, int64_t result)
{
	struct round r = read_text(text);
	struct answer a = {.made = true, .result = result};

	fuzz_tally_step(t, &r.steps[0], r.steps[0].arg, &a);
	fuzz_case_free(&r);
}

static char *tally_text(const struct tally *t)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	fuzz_tally_write(to, t);
	fclose(to);
	return text;
}

static void steps_are_counted_under_their_flags(void **state)
{
	struct tally *t = calloc(1, sizeof(*t)), *sum = calloc(1, sizeof(*sum));
	struct answer fault = {.made = true,
			       .signo = SIGBUS,
			       .code = BUS_ADRERR,
			       .area = STEP_AREA_BEYOND_END},
		      not_made = {0};
	struct step load = {.kind = STEP_LOAD};
	static const char *const has[] = {
		TALLY_HEADER "\n",
		"mmap\tall\tsuccess\t4\n",
		"mmap\tall\tENOMEM\t1\n",
		"mmap\tMAP_PRIVATE\tsuccess\t2\n",
		"mmap\tMAP_PRIVATE\tENOMEM\t1\n",
		"mmap\tMAP_SHARED\tsuccess\t2\n",
		"mmap\tMAP_SHARED_VALIDATE\tsuccess\t0\n",
		"mmap\tMAP_FIXED\tsuccess\t2\n",
		"mmap\tMAP_ANONYMOUS\tENOMEM\t1\n",
		"mmap\tPROT_READ|WRITE\tsuccess\t2\n",
		"mmap\tPROT_READ\tsuccess\t2\n",
		"mmap\tPROT_READ\tENOMEM\t1\n",
		"mmap\tPROT_WRITE\tsuccess\t0\n",
		"mmap\tfile disk\tsuccess\t2\n",
		"mmap\tfile none\tsuccess\t0\n",
		"madvise\tMADV_NORMAL\tsuccess\t2\n",
		"madvise\tother MADV_\tEINVAL\t1\n",
		"madvise\tMADV_FREE\tsuccess\t0\n",
		"mremap\t0\tEFAULT\t1\n",
		"mremap\tlength grows\tEFAULT\t1\n",
		"mlock2\t0\tsuccess\t2\n",
		"munlockall\tall\tsuccess\t2\n",
		"load\tbeyond the file's end\tBUS_ADRERR\t2\n",
		"load\tguard\tsuccess\t0\n",
		"fork\tall\tsuccess\t0\n",
	};
	char *text;
	size_t i;

	(void)state;
	count(t, "p0 mmap(w, 1p, READ|WRITE, PRIVATE|FIXED|ANONYMOUS, -1, 0)",
	      (int64_t)STEP_WINDOW);
	count(t, "p0 mmap(w, 1p, READ, SHARED, disk, 0)", 0x7f0000000000);
	fuzz_tally_add(sum, t);
	count(t, "p0 mmap(w, 1p, READ, PRIVATE|ANONYMOUS, -1, 0)", -ENOMEM);
	count(t, "p0 madvise(w, 1p, NORMAL)", 0);
	count(sum, "p0 madvise(w, 1p, NORMAL)", 0);
	count(t, "p0 madvise(w, 1p, 55)", -EINVAL);
	count(t, "p0 mremap(w, 1p, 2p, 0, 0)", -EFAULT);
	count(t, "p0 mlock2(w, 1p, 0)", 0);
	count(sum, "p0 mlock2(w, 1p, 0)", 0);
	count(t, "p0 munlockall()", 0);
	count(sum, "p0 munlockall()", 0);
	fuzz_tally_step(t, &load, load.arg, &fault);
	fuzz_tally_step(t, &load, load.arg, &fault);
	fuzz_tally_step(t, &load, load.arg, &not_made);
	fuzz_tally_add(sum, t);
	text = tally_text(sum);
	for (i = 0; i < sizeof(has) / sizeof(has[0]); i++)
		if (!strstr(text, has[i]))
			fail_msg("not there: %s in\n%s", has[i], text);
	free(text);
	free(t);
	free(sum);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_text_says_what_it_says),
		cmocka_unit_test(writing_gives_the_text_back),
		cmocka_unit_test(random_steps_come_back),
		cmocka_unit_test(errors_name_their_line),
		cmocka_unit_test(what_a_step_does_is_checked),
		cmocka_unit_test(a_round_becomes_small),
		cmocka_unit_test(plays_are_bounded_and_the_round_still_differs),
		cmocka_unit_test(processes_are_dropped),
		cmocka_unit_test(threads_are_dropped),
		cmocka_unit_test(what_was_left_out_is_gone),
		cmocka_unit_test(a_program_shows_what_linux_does),
		cmocka_unit_test(a_program_has_the_limits),
		cmocka_unit_test(a_program_has_what_it_needs),
		cmocka_unit_test(steps_are_counted_under_their_flags),
	};

	return cmocka_run_group_tests_name("rounds", tests, NULL, NULL);
}
