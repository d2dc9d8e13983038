/* SPDX-License-Identifier: MIT */
/*
 * When neighbours merge, asked of the running kernel and of Quire: three areas in a row, every combination of
 * who has pages of whom, before and after a fork, and every way to bring the middle back to what the others
 * are. Only the pictures of the areas are compared; where they differ, both are printed with the script.
 *
 * Then scripts made by chance, from a fixed seed unless QUIRE_SEED says another.
 *
 * usage: linux-merge [SCRIPT...]    scripts of one's own instead
 * Exit: 77 where the kernel is older than the rules (6.18).
 */
#include "picture.h"

#include <stdio.h>
#include <sys/utsname.h>

#include "../../tools/host.h"
#include "script_linux.h"

static const char *const *own_scripts;
static unsigned nr_scripts, nr_differences;

static void compare(const char *script)
{
	char linux_says[SCRIPT_TEXT], we_say[SCRIPT_TEXT];

	nr_scripts++;
	script_linux(script, linux_says);
	script_quire(script, we_say);
	if (!strcmp(linux_says, we_say))
		return;
	nr_differences++;
	print_error("%s\n    Linux  %s\n    Quire  %s\n", script, linux_says, we_say);
}

/* Who has an owner before the fork; the middle is kept apart by MADV_DONTDUMP (16). */
static const char *const owners[] = {
	"m 0 6 rw; a 2 2 16",
	"m 0 6 rw; a 2 2 16; w 0",
	"m 0 6 rw; a 2 2 16; w 2; w 3",
	"m 0 6 rw; a 2 2 16; w 4",
	"m 0 6 rw; a 2 2 16; w 0; w 2",
	"m 0 6 rw; a 2 2 16; w 0; w 4",
	"m 0 6 rw; a 2 2 16; w 3; w 4",
	"m 0 6 rw; a 2 2 16; w 0; w 2; w 4",
	"m 0 6 rw; w 0; a 2 2 16",
	"m 0 6 rw; w 0; m 2 2 r; a 2 2 16; p 2 2 rw",
	"m 0 6 rw; w 0; m 2 2 r; a 2 2 16; p 2 2 rw; w 2",
};

/* What happens then. Writes after a fork give an area without an owner one, and take pages from ancestors. */
static const char *const events[] = {
	"", "; K", "; x", "; k", "; k; w 0", "; k; w 2", "; k; w 4", "; k; w 0; w 2", "; k; w 0; w 4",
	"; k; w 2; w 4", "; k; w 0; w 2; w 4", "; k; k", "; x; k; w 2",
};

/* And what brings the middle back: all of it, a part, from without, by another mapping. */
static const char *const changes[] = {
	"a 2 2 17", "a 2 1 17", "a 3 1 17", "a 0 6 17", "a 1 2 17", "a 3 3 17",
	"u 2 2; m 2 2 rw", "u 2 2; m 2 1 rw", "u 2 2; m 3 1 rw", "m 2 2 rw", "m 1 4 rw", "a 0 6 16",
	"p 0 6 r", "p 0 2 r; a 2 2 17; p 0 2 rw", "p 2 2 r; a 2 2 17; p 2 2 rw",
};

static void merging(void **state)
{
	const size_t nr_combinations =
		QUIRE_ARRAY_SIZE(owners) * QUIRE_ARRAY_SIZE(events) * QUIRE_ARRAY_SIZE(changes);
	char script[256];

	(void)state;
	space.q->mms.sysctl.forbid_zeropage = host_forbids_zeropage();
	for (; own_scripts && *own_scripts; own_scripts++)
		compare(*own_scripts);
	for (size_t i = 0; !own_scripts && i < nr_combinations; i++) {
		size_t c = i % QUIRE_ARRAY_SIZE(changes), rest = i / QUIRE_ARRAY_SIZE(changes);
		size_t e = rest % QUIRE_ARRAY_SIZE(events), o = rest / QUIRE_ARRAY_SIZE(events);

		snprintf(script, sizeof(script), "%s%s; %s", owners[o], events[e], changes[c]);
		compare(script);
	}
	print_message("%u scripts, %u differences\n", nr_scripts, nr_differences);
	assert_int_equal(nr_differences, 0);
}

/* ---- By chance --------------------------------------------------------------------------- */

#define NR_RANDOM 1500u
#define PLACES 12u /* pages; what moves goes as far again */

static uint64_t chance;

static unsigned below(unsigned n)
{
	chance ^= chance >> 12;
	chance ^= chance << 25;
	chance ^= chance >> 27;
	return (unsigned)(chance * UINT64_C(2685821657736338717) >> 40) % n;
}

static const char *any_prot(void)
{
	static const char *const prots[] = { "r", "rw", "rw", "rw", "n", "rx" };

	return prots[below(QUIRE_ARRAY_SIZE(prots))];
}

/* MADV_: DONTDUMP, DODUMP, DONTFORK, DOFORK, RANDOM, NORMAL, WIPEONFORK, KEEPONFORK, HUGEPAGE, NOHUGEPAGE, DONTNEED. */
static unsigned any_advice(void)
{
	static const unsigned advice[] = { 16, 17, 16, 17, 10, 11, 1, 0, 18, 19, 14, 15, 4 };

	return advice[below(QUIRE_ARRAY_SIZE(advice))];
}

static int draw_op(char *text, size_t room, unsigned *forks)
{
	static const char ops[] = "msgfupaavelLwwwwwwkKx";
	unsigned start = below(PLACES), n = 1 + below(PLACES - start < 6 ? PLACES - start : 6);
	char op = ops[below(sizeof(ops) - 1)];

	switch (op) {
	case 'f':
		return snprintf(text, room, "f %u %u %s %u; ", start, n, any_prot(), below(2) ? start : below(8));
	case 'u':
	case 'l':
	case 'L':
		return snprintf(text, room, "%c %u %u; ", op, start, n);
	case 'a':
		return snprintf(text, room, "a %u %u %u; ", start, n, any_advice());
	case 'v':
		return snprintf(text, room, "v %u %u %u; ", start + (below(2) ? PLACES : 0), n, below(2 * PLACES));
	case 'e':
		return snprintf(text, room, "e %u %u %u; ", start, n, 1 + below(6));
	case 'w':
		return snprintf(text, room, "w %u; ", below(2 * PLACES));
	case 'k':
	case 'K':
	case 'x':
		return ++*forks > 4 ? 0 : snprintf(text, room, "%c; ", op);
	default:
		return snprintf(text, room, "%c %u %u %s; ", op, start, n, any_prot());
	}
}

static void random_scripts(void **state)
{
	const char *seed = getenv("QUIRE_SEED");

	(void)state;
	if (own_scripts)
		skip();
	space.q->mms.sysctl.forbid_zeropage = host_forbids_zeropage();
	nr_scripts = 0;
	nr_differences = 0;
	for (unsigned i = 0; i < NR_RANDOM; i++) {
		char script[1024] = "";
		unsigned forks = 0, nr_ops = 6 + i % 20;
		size_t len = 0;

		chance = ((seed ? strtoull(seed, NULL, 0) : 1) * NR_RANDOM + i + 1) * UINT64_C(0x9e3779b97f4a7c15);
		for (unsigned op = 0; op < nr_ops; op++)
			len += (size_t)draw_op(script + len, sizeof(script) - len, &forks);
		compare(script);
	}
	print_message("%u scripts, %u differences\n", nr_scripts, nr_differences);
	assert_int_equal(nr_differences, 0);
}

static bool kernel_is_judge(void)
{
	struct utsname name;
	int major, minor;

	return !uname(&name) && sscanf(name.release, "%d.%d", &major, &minor) == 2 &&
	       (major > 6 || (major == 6 && minor >= 18));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { space_test(merging), space_test(random_scripts) };

	if (!kernel_is_judge()) {
		print_message("not asked: this kernel is older than 6.18\n");
		return 77;
	}
	if (argc > 1)
		own_scripts = (const char *const *)argv + 1;
	script_linux_open();
	return cmocka_run_group_tests_name("linux-merge", tests, NULL, NULL);
}
