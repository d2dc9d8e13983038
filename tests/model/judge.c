/* SPDX-License-Identifier: MIT */
/*
 * The model itself, judged: its steps on the running Linux, from states of every menu and by chance.
 * What Quire is held against (explore.c) is thereby not what somebody thought Linux does.
 *
 * Compared: what each step returned, the signals; in the end the areas with their flags, which pages of
 * private anonymous memory are there, and every byte. Left out: what lies around the window, and what
 * docs/conformance.md says is different.
 *
 * usage: model-linux                        the tests
 *        model-linux random SEED STEPS
 *        model-linux MENU all|moving|states LENGTH
 * Exit: 77 where the running kernel cannot be asked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <quire/errno.h>
#include <quire/mm.h>

#include "../../tools/host.h"
#include "search.h"

static uint64_t nr_sequences;

/* ---- What is asked ----------------------------------------------------------------------- */

/* Several areas become writable, locked private ones among them. */
static bool copies_in_turn(const struct space *s, const struct step *t)
{
	unsigned areas = 0, locked = 0;

	for (unsigned p = t->start; p < t->start + t->n; p++) {
		const struct page *page = &s->page[p];

		if (!page->mapped || (p > t->start && !page->first))
			continue;
		areas++;
		locked += (page->flags & (QUIRE_VM_LOCKED | QUIRE_VM_WRITE | QUIRE_VM_SHARED)) ==
			  QUIRE_VM_LOCKED;
	}
	return areas > 1 && locked;
}

static bool can(const struct model *m, const struct step *t)
{
	const struct space *s = &m->space[m->current];

	switch ((enum model_call)t->call) {
	case CALL_MPROTECT:
		return !((t->prot & QUIRE_PROT_WRITE) && copies_in_turn(s, t));
	case CALL_MREMAP:
		/* The window ends for the model where for Linux there is a wall. */
		if (t->start + t->n > m->pages ||
		    ((t->flags & QUIRE_MREMAP_FIXED) && t->to + t->new_n > m->pages))
			return false;
		/* Linux goes on counting what it has unlocked. */
		if ((t->flags & QUIRE_MREMAP_DONTUNMAP) && m->memlock != MODEL_UNLIMITED)
			return false;
		break;
	case CALL_MSYNC:
		return !(t->flags & QUIRE_MS_SYNC); /* takes the disk's time */
	case CALL_FETCH: /* nobody knows what would be executed */
		return false;
	default:
		break;
	}
	return !t->not_linux;
}

/* ---- What is compared -------------------------------------------------------------------- */

static bool differs(const char *format, ...) __attribute__((format(printf, 1, 2)));

static bool differs(const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	say("%s\n", text);
	return false;
}

/* What VmFlags shows of the model's flags. */
static uint64_t shown_flags(uint64_t flags)
{
	return flags & ~QUIRE_VM_MAYBE_GUARD;
}

static bool compare_page(const struct space *s, unsigned p, const struct linux_page *is)
{
	const struct page *page = &s->page[p];
	const char perms[5] = {
		page->flags & QUIRE_VM_READ ? 'r' : '-',
		page->flags & QUIRE_VM_WRITE ? 'w' : '-',
		page->flags & QUIRE_VM_EXEC ? 'x' : '-',
		page->flags & QUIRE_VM_MAYSHARE ? 's' : 'p',
		0,
	};

	if (is->mapped != page->mapped)
		return differs("page %u: Linux has %s", p, is->mapped ? "an area" : "no area");
	if (!page->mapped)
		return true;
	if (is->first != page->first)
		return differs("page %u: on Linux %s area begins there", p, is->first ? "an" : "no");
	if (strcmp(is->perms, perms))
		return differs("page %u: %s on Linux, %s in the model", p, is->perms, perms);
	if (is->flags != shown_flags(page->flags))
		return differs("page %u: flags %#llx on Linux, %#llx in the model", p,
			       (unsigned long long)is->flags,
			       (unsigned long long)shown_flags(page->flags));
	if (page->object >= 0 && is->offset != page->pgoff)
		return differs("page %u: page number %llu on Linux, %llu in the model", p,
			       (unsigned long long)is->offset, (unsigned long long)page->pgoff);
	return true;
}

/* mincore's answers are the file system's business where there is a file. */
static bool compare_presence(const struct space *s, unsigned p, unsigned char vec)
{
	const struct page *page = &s->page[p];
	bool there = page->content == OWN || page->content == ZEROES;

	if (!page->mapped || page->object >= 0 || (vec & 1) == there)
		return true;
	return differs("page %u is %sthere on Linux", p, vec & 1 ? "" : "not ");
}

/* The same but for what mincore says of files. */
static bool same_step(const struct model *m, const struct step *t, struct outcome is,
		      struct outcome should)
{
	const struct space *s = &m->space[m->current];

	if (t->call != CALL_MINCORE)
		return same_outcome(&is, &should);
	for (unsigned i = 0; i < t->n && i + t->start < MODEL_PAGES; i++)
		if (s->page[t->start + i].object >= 0)
			is.vec[i] = should.vec[i] = 0;
	return same_outcome(&is, &should);
}

/* Steps that cannot be made are not among them. *made: up to the one that failed. */
static bool run(const struct model *first, const struct step *steps, unsigned n, unsigned *made)
{
	struct model m = *first;
	struct linux_answer answer;
	bool good = true;

	nr_sequences++;
	linux_run(first, steps, n, &answer);
	*made = n;
	for (unsigned i = 0; i < n && good; i++) {
		struct model before = m;
		struct outcome should;

		(void)model_step(&m, &steps[i], value_at(i), &should);
		*made = i + 1;
		if (i >= answer.made)
			return differs("Linux did not come back from the last step");
		good = same_step(&before, &steps[i], answer.outcome[i], should);
		if (!good)
			say_outcomes("the last step: Linux", &answer.outcome[i], &should);
	}
	for (unsigned p = 0; p < m.pages && good; p++) {
		good = compare_page(&m.space[m.current], p, &answer.page[p]) &&
		       compare_presence(&m.space[m.current], p, answer.vec[p]);
	}
	for (unsigned i = 0; i < 2 * m.pages && good; i++) {
		struct step load = {.call = CALL_LOAD, .start = (uint8_t)(i / 2), .off = i % 2};
		struct outcome should;

		(void)model_step(&m, &load, 0, &should);
		good = same_outcome(&answer.page[i / 2].load[i % 2], &should);
		if (!good)
			say_outcomes("a load afterwards: Linux", &answer.page[i / 2].load[i % 2],
				     &should);
	}
	return good;
}

static bool run_sequence(const struct model *first, const struct step *steps,
			 const struct outcome *should, unsigned n, const struct model *last)
{
	unsigned made;

	(void)should;
	(void)last;
	if (run(first, steps, n, &made))
		return true;
	say_sequence(steps, made);
	return false;
}

/* Steps that cannot be made are left out, and all beyond what there is room for. */
static bool run_list(const struct model *first, const struct step *steps, unsigned n, unsigned *made)
{
	struct step these[LINUX_STEPS];
	unsigned at[LINUX_STEPS], count = 0;
	struct model m = *first;
	bool good;

	*made = n;
	for (unsigned i = 0; i < n && count < LINUX_STEPS; i++) {
		struct outcome o;

		if (!can(&m, &steps[i]) || !model_step(&m, &steps[i], value_at(count), &o))
			continue;
		at[count] = i;
		these[count++] = steps[i];
	}
	good = run(first, these, count, &count);
	if (!good)
		*made = count ? at[count - 1] + 1 : 0;
	return good;
}

static struct side linux_side = {
	.name = "model-linux", .sequence = run_sequence, .list = run_list, .can = can};

/* ---- The tests --------------------------------------------------------------------------- */

static double soak_seconds(void)
{
	const char *minutes = getenv("QUIRE_SOAK_MINUTES");

	return minutes ? atof(minutes) * 60 : 0;
}

static void states_of_all_menus(void **state)
{
	double until = now() + soak_seconds() / 2;
	struct menu menu;

	(void)state;
	for (unsigned n = 0; n < NR_MENUS; n++) {
		struct extent e = {.length = 3};

		menu_make(&menu, n);
		if (soak_seconds() > 0) {
			e.length = MAX_LENGTH;
			e.seconds = (until - now()) / (NR_MENUS - n) + 0.001;
		}
		report[0] = 0;
		if (!exhaust(&linux_side, &menu, WAY_STATES, WRONG_NOTHING, &e))
			fail_msg("menu %s:\n%s", menu.name, report);
		print_extent(&linux_side, menu.name, WAY_STATES, &e);
	}
}

static void long_sequences(void **state)
{
	const char *given = getenv("QUIRE_SEED");
	uint64_t first = given ? strtoull(given, NULL, 0) : 1, fresh = (uint64_t)time(NULL) << 20;
	double until = now() + soak_seconds() / 2;
	unsigned n = 0;

	(void)state;
	for (; soak_seconds() > 0 ? now() < until : n < 4000; n++) {
		uint64_t seed = n < 2000 ? first + n : fresh + n;

		report[0] = 0;
		if (!run_random(&linux_side, seed, LINUX_STEPS))
			fail_msg("%s", report);
	}
	printf("model-linux: by chance: %u sequences of up to %u steps, seeds %llu and %llu on\n", n,
	       LINUX_STEPS, (unsigned long long)first, (unsigned long long)fresh + 2000);
}

/* A model that is wrong is told from Linux, too. */
static void a_wrong_rule_is_caught(void **state)
{
	struct extent e = {.length = 3};
	struct menu menu;

	(void)state;
	assert_true(find_menu(&menu, "remap"));
	report[0] = 0;
	assert_false(exhaust(&linux_side, &menu, WAY_STATES, WRONG_REMAP_FORGETS, &e));
	assert_int_equal(e.reached, 3);
	report[0] = 0;
}

static int by_hand(int argc, char **argv)
{
	struct extent e = {0};
	struct menu menu;
	bool good;

	if (argc != 4)
		return 2;
	if (!strcmp(argv[1], "random")) {
		good = run_random(&linux_side, strtoull(argv[2], NULL, 0), (unsigned)atoi(argv[3]));
	} else {
		enum way way = WAY_ALL;

		while (way < NR_WAYS && strcmp(way_names[way], argv[2]))
			way++;
		if (way == NR_WAYS || !find_menu(&menu, argv[1]))
			return 2;
		e.length = (unsigned)atoi(argv[3]) % (MAX_LENGTH + 1);
		good = exhaust(&linux_side, &menu, way, WRONG_NOTHING, &e);
		print_extent(&linux_side, menu.name, way, &e);
	}
	if (!good)
		printf("%s", report);
	return !good;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_wrong_rule_is_caught),
		cmocka_unit_test(states_of_all_menus),
		cmocka_unit_test(long_sequences),
	};
	const char *why = linux_open();
	int failed;

	if (why) {
		printf("not asked: %s\n", why);
		return 77;
	}
	linux_side.forbid_zeropage = host_forbids_zeropage();
	if (argc > 1)
		return by_hand(argc, argv);
	failed = cmocka_run_group_tests_name("model-linux", tests, NULL, NULL);
	printf("model-linux: %llu sequences made on the running Linux and on the model\n",
	       (unsigned long long)nr_sequences);
	linux_close();
	return failed;
}
