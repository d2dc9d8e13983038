/* SPDX-License-Identifier: MIT */
/*
 * The small world, exhausted: every sequence of steps out of a menu, up to a length, made on Quire
 * and on the model; after the last step of each all there is to see must be the same. Shorter sequences
 * come first, so that the first one that fails is a shortest one. What lies before the last step was
 * looked at as a sequence by itself: both sides are the same in every run.
 *
 * Three ways through a menu, each complete in what it promises, each going further than the one before:
 *
 *	all        every sequence of so many steps
 *	moving     every sequence in which each step but the last changes the model or is an access that
 *	           succeeds. The others are shorter ones with something put in that did nothing, as far as
 *	           can be seen; that nothing unseen was done is what the first way is for. (An
 *	           access that succeeds leaves its translation in the TLB: that is a change.)
 *	states     every step from every state of the model that so many steps can lead to, each state by
 *	           one way. States are the same if they are so up to the names of owners and objects and the
 *	           values that were stored, none of which any rule asks about.
 *
 * Then long sequences by chance, from seeds that are printed.
 *
 * usage: model                     the tests
 *        model MENU all|moving|states LENGTH
 *        model random SEED STEPS
 * QUIRE_SOAK_MINUTES: time for the tests; each way then goes as far as its share of it allows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <quire/errno.h>

#include "world.h"

#define MAX_LENGTH 24
#define MAX_RANDOM 2000

static char report[1 << 16]; /* of the sequence that failed */
static uint64_t nr_sequences; /* made in this process */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- One sequence ------------------------------------------------------------------------ */

/* So that every store of a sequence is told from every other, and from zeroes and the file's bytes. */
static uint8_t value_at(unsigned position)
{
	return (uint8_t)(position % 0x9f + 1);
}

static bool same_outcome(const struct outcome *a, const struct outcome *b)
{
	return a->value == b->value && a->signo == b->signo && a->code == b->code &&
	       a->addr == b->addr && a->byte == b->byte && !memcmp(a->vec, b->vec, sizeof(a->vec));
}

static void print_outcome(const struct outcome *o, char *text, size_t room)
{
	if (o->value >= (int64_t)MODEL_BASE)
		snprintf(text, room, "page %d", (int)((o->value - (int64_t)MODEL_BASE) / 4096));
	else if (o->signo)
		snprintf(text, room, "signal %d code %d at %#llx", o->signo, o->code,
			 (unsigned long long)o->addr);
	else
		snprintf(text, room, "%lld (byte %02x, vec %x%x%x%x%x%x)", (long long)o->value,
			 o->byte, o->vec[0], o->vec[1], o->vec[2], o->vec[3], o->vec[4], o->vec[5]);
}

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *format, ...)
{
	size_t len = strlen(report);
	va_list args;

	va_start(args, format);
	vsnprintf(report + len, sizeof(report) - len, format, args);
	va_end(args);
}

static void say_sequence(const struct step *steps, unsigned n)
{
	char text[128];

	for (unsigned i = 0; i < n; i++) {
		step_print(&steps[i], text, sizeof(text));
		say("    %u. %s\n", i + 1, text);
	}
}

static void say_outcomes(const char *what, const struct outcome *is, const struct outcome *should)
{
	char a[128], b[128];

	print_outcome(is, a, sizeof(a));
	print_outcome(should, b, sizeof(b));
	say("%s: Quire %s\n    should be %s\n", what, a, b);
}

/* In the end every page is loaded from: what it has, or the signal. The model is used up. */
static bool load_all(struct model *m, unsigned position)
{
	struct step t = {.call = CALL_LOAD};
	struct outcome should, is;
	char what[32];

	for (; t.start < m->pages; t.start++) {
		(void)model_step(m, &t, 0, &should);
		quire_step(&t, 0, position + t.start, &is);
		if (same_outcome(&is, &should))
			continue;
		snprintf(what, sizeof(what), "then a load at %u", t.start);
		say_outcomes(what, &is, &should);
		return false;
	}
	return true;
}

/* From model first through n steps to model last; looks at everything after the last one. */
static bool run_sequence(const struct model *first, const struct step *steps,
			 const struct outcome *should, unsigned n, const struct model *last)
{
	struct model end = *last;
	const char *bad = NULL;
	bool good = true;

	nr_sequences++;
	quire_begin(first);
	for (unsigned i = 0; i < n && good; i++) {
		struct outcome is;

		quire_step(&steps[i], value_at(i), i, &is);
		good = same_outcome(&is, &should[i]);
		if (!good)
			say_outcomes("the last step", &is, &should[i]), n = i + 1;
	}
	if (good)
		bad = quire_compare(last);
	if (good && !bad)
		good = load_all(&end, n);
	if (bad)
		say("afterwards: %s\n", bad);
	good = good && !bad;
	bad = quire_end();
	if (good && bad)
		say("when all is gone: %s\n", bad);
	if (good && !bad)
		return true;
	say_sequence(steps, n);
	return false;
}

/* ---- All, and moving --------------------------------------------------------------------- */

struct search {
	const struct menu *menu;
	enum wrong wrong;
	unsigned length;
	bool moving;
	uint64_t count; /* sequences of this length */
	struct model at[MAX_LENGTH + 1];
	struct step steps[MAX_LENGTH];
	struct outcome should[MAX_LENGTH];
};

/* Did the step do anything? Padding is zero on both sides: a model is made by memset and copied whole. */
static bool moves(const struct search *s, unsigned depth)
{
	unsigned call = s->steps[depth].call;

	if (memcmp(&s->at[depth], &s->at[depth + 1], sizeof(s->at[0])))
		return true;
	return (call == CALL_STORE || call == CALL_LOAD || call == CALL_FETCH) &&
	       s->should[depth].value >= 0;
}

static bool search_from(struct search *s, unsigned depth)
{
	for (unsigned i = 0; i < s->menu->count; i++) {
		s->steps[depth] = s->menu->step[i];
		s->at[depth + 1] = s->at[depth];
		if (!model_step(&s->at[depth + 1], &s->steps[depth], value_at(depth),
				&s->should[depth]))
			continue;
		if (depth + 1 == s->length) {
			s->count++;
			if (!run_sequence(&s->at[0], s->steps, s->should, s->length,
					  &s->at[s->length]))
				return false;
		} else if (!s->moving || moves(s, depth)) {
			if (!search_from(s, depth + 1))
				return false;
		}
	}
	return true;
}

/* ---- States ------------------------------------------------------------------------------ */

struct queue {
	uint8_t (*sequence)[MAX_LENGTH]; /* numbers of the menu's steps */
	size_t count, room;
};

struct set {
	uint64_t *hash; /* 0: free */
	size_t count, room;
};

static uint64_t mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * 0xff51afd7ed558ccdull;
	return hash ^ hash >> 32;
}

/* The name of a thing, by the order in which things are met. */
static uint64_t rename_as(uint8_t *names, uint8_t *count, uint8_t thing)
{
	if (!names[thing])
		names[thing] = ++*count;
	return names[thing];
}

struct naming {
	uint8_t owner[256], object[256], byte[256];
	uint8_t owners, objects, bytes;
};

static uint64_t hash_byte(struct naming *names, uint64_t hash, uint8_t byte)
{
	return mix(hash, byte && byte < 0xa0 ? 256 + rename_as(names->byte, &names->bytes, byte)
					     : byte);
}

static uint64_t hash_page(struct naming *names, uint64_t hash, const struct page *p)
{
	if (!p->mapped)
		return mix(hash, 1);
	hash = mix(mix(hash, p->flags), p->pgoff);
	hash = mix(hash, (uint64_t)p->content << 1 | p->first);
	hash = hash_byte(names, hash_byte(names, hash, p->byte[0]), p->byte[1]);
	hash = mix(hash, p->object < 0 ? 0 : rename_as(names->object, &names->objects,
						       (uint8_t)p->object));
	hash = mix(hash, p->owner < 0 ? 0 : rename_as(names->owner, &names->owners,
						      (uint8_t)p->owner));
	for (unsigned i = 0; i < p->chain_len; i++)
		hash = mix(hash, rename_as(names->owner, &names->owners, (uint8_t)p->chain[i]));
	return hash;
}

static uint64_t hash_model(const struct model *m)
{
	struct naming names = {.object = {[MODEL_FILE] = 1}, .objects = 1};
	uint64_t hash = m->current;

	for (unsigned n = 0; n < MODEL_SPACES; n++) {
		hash = mix(hash, (uint64_t)m->space[n].brk << 1 | m->space[n].exists);
		hash = mix(hash, m->space[n].def_flags);
		for (unsigned p = 0; p < m->pages && m->space[n].exists; p++)
			hash = hash_page(&names, hash, &m->space[n].page[p]);
	}
	/* In the order of their names. */
	for (unsigned name = 1; name <= names.objects; name++) {
		for (unsigned i = 0; i < MODEL_OBJECTS; i++) {
			const struct object *o = &m->object[i];

			if (names.object[i] != name)
				continue;
			hash = mix(hash, (uint64_t)o->halves << 1 | o->accounted);
			for (unsigned p = 0; p < MODEL_OBJECT_PAGES; p++) {
				hash = mix(hash, o->there[p]);
				for (unsigned h = 0; h < 2; h++) {
					hash = hash_byte(&names, hash, o->byte[p][h]);
					hash = hash_byte(&names, hash, o->disk[p][h]);
				}
			}
		}
	}
	for (unsigned name = 1; name <= names.owners; name++)
		for (unsigned i = 0; i < MODEL_OWNERS; i++)
			if (names.owner[i] == name)
				hash = mix(hash, names.owner[(uint8_t)m->parent[i]]);
	return hash ? hash : 1;
}

static bool set_add(struct set *set, uint64_t hash);

static void set_grow(struct set *set)
{
	struct set larger = {.room = set->room ? 2 * set->room : 1 << 16};

	larger.hash = calloc(larger.room, sizeof(*larger.hash));
	if (!larger.hash)
		abort();
	for (size_t i = 0; i < set->room; i++)
		if (set->hash[i])
			(void)set_add(&larger, set->hash[i]);
	free(set->hash);
	*set = larger;
}

/* False: it was there. */
static bool set_add(struct set *set, uint64_t hash)
{
	if (2 * set->count >= set->room)
		set_grow(set);
	for (size_t i = hash & (set->room - 1);; i = (i + 1) & (set->room - 1)) {
		if (set->hash[i] == hash)
			return false;
		if (!set->hash[i]) {
			set->hash[i] = hash;
			set->count++;
			return true;
		}
	}
}

static void queue_add(struct queue *queue, const uint8_t *sequence, unsigned n, unsigned last)
{
	if (queue->count == queue->room) {
		queue->room = queue->room ? 2 * queue->room : 1024;
		queue->sequence = realloc(queue->sequence, queue->room * sizeof(*queue->sequence));
		if (!queue->sequence)
			abort();
	}
	if (n)
		memcpy(queue->sequence[queue->count], sequence, n);
	queue->sequence[queue->count++][n] = (uint8_t)last;
}

struct states {
	struct set seen;
	struct queue here, next; /* the new states of a length */
};

static void states_free(struct states *states)
{
	free(states->seen.hash);
	free(states->here.sequence);
	free(states->next.sequence);
}

/* Every step from the state to which the sequence of n - 1 steps leads. */
static bool search_state(struct search *s, struct states *states, const uint8_t *sequence)
{
	const unsigned last = s->length - 1;
	struct model before = s->at[0];

	for (unsigned i = 0; i < last; i++) {
		s->steps[i] = s->menu->step[sequence[i]];
		(void)model_step(&before, &s->steps[i], value_at(i), &s->should[i]);
	}
	for (unsigned i = 0; i < s->menu->count; i++) {
		struct model after = before;

		s->steps[last] = s->menu->step[i];
		if (!model_step(&after, &s->steps[last], value_at(last), &s->should[last]))
			continue;
		s->count++;
		if (!run_sequence(&s->at[0], s->steps, s->should, s->length, &after))
			return false;
		if (set_add(&states->seen, hash_model(&after)))
			queue_add(&states->next, sequence, last, i);
	}
	return true;
}

static bool search_states(struct search *s, struct states *states)
{
	if (s->length == 1) {
		(void)set_add(&states->seen, hash_model(&s->at[0]));
		return search_state(s, states, NULL);
	}
	free(states->here.sequence);
	states->here = states->next;
	memset(&states->next, 0, sizeof(states->next));
	for (size_t i = 0; i < states->here.count; i++)
		if (!search_state(s, states, states->here.sequence[i]))
			return false;
	return true;
}

/* ---- Length by length -------------------------------------------------------------------- */

enum way { WAY_ALL, WAY_MOVING, WAY_STATES };

static const char *const way_names[] = {"all", "moving", "states"};

struct extent {
	unsigned length;  /* at most; not begun if it can't be finished in time */
	double seconds;   /* 0: no limit of time */
	unsigned reached; /* out: the last length that was exhausted; of one that failed: that one */
	uint64_t count;	  /* out: sequences */
	double took;	  /* out */
	size_t states;	  /* out */
	bool closed;	  /* out: there are no more states, however many steps are made */
};

/* False: report has the sequence. */
static bool exhaust(const struct menu *menu, enum way way, enum wrong wrong, struct extent *e)
{
	struct search *s = calloc(1, sizeof(*s));
	struct states states = {0};
	double began = now(), last = 0;
	uint64_t before = 0;
	bool good = true;

	if (!s)
		abort();
	s->menu = menu;
	s->moving = way == WAY_MOVING;
	model_init(&s->at[0], menu->pages, menu->memlock, wrong);
	e->reached = 0;
	e->count = 0;
	for (s->length = 1; good && s->length <= e->length; s->length++) {
		double start = now();
		double growth = before ? (double)s->count / (double)before : 1;

		if (e->seconds > 0 && start - began + last * growth > e->seconds)
			break;
		before = s->count;
		s->count = 0;
		good = way == WAY_STATES ? search_states(s, &states) : search_from(s, 0);
		e->reached = s->length;
		e->count += s->count;
		last = now() - start;
		e->closed = way == WAY_STATES && !states.next.count;
		if (e->closed)
			break;
	}
	e->took = now() - began;
	e->states = states.seen.count;
	states_free(&states);
	free(s);
	return good;
}

static void print_extent(const char *menu, enum way way, const struct extent *e)
{
	char of[48] = "";

	if (way == WAY_STATES)
		snprintf(of, sizeof(of), " (%zu states%s)", e->states,
			 e->closed ? ", there are no others" : "");
	printf("model: %s, %s: %llu sequences of up to %u steps%s, %.1f s\n", menu, way_names[way],
	       (unsigned long long)e->count, e->reached, of, e->took);
	fflush(stdout);
}

/* ---- By chance --------------------------------------------------------------------------- */

/* Makes the steps, and looks at everything after each. *made: how many, the one that failed included. */
static bool run_list(const struct model *first, const struct step *steps, unsigned n, unsigned *made)
{
	struct model m = *first;
	const char *bad = NULL;
	bool good = true;

	nr_sequences++;
	*made = 0;
	quire_begin(&m);
	for (unsigned i = 0; i < n && good && !bad; i++) {
		struct outcome should, is;

		if (!model_step(&m, &steps[i], value_at(i), &should))
			continue;
		quire_step(&steps[i], value_at(i), i, &is);
		*made = i + 1;
		good = same_outcome(&is, &should);
		if (!good)
			say_outcomes("the last step", &is, &should);
		else
			bad = quire_compare(&m);
	}
	if (bad)
		say("afterwards: %s\n", bad);
	good = good && !bad;
	bad = quire_end();
	if (good && bad)
		say("when all is gone: %s\n", bad);
	return good && !bad;
}

/* Leaves steps out for as long as it fails all the same. */
static unsigned shrink(const struct model *first, struct step *steps, unsigned n)
{
	struct step fewer[MAX_RANDOM];

	for (unsigned chunk = n / 2; chunk; chunk = chunk > 1 || n > 40 ? chunk / 2 : 0) {
		for (unsigned i = 0; i + chunk <= n;) {
			unsigned made;

			memcpy(fewer, steps, i * sizeof(*steps));
			memcpy(fewer + i, steps + i + chunk, (n - i - chunk) * sizeof(*steps));
			report[0] = 0;
			if (run_list(first, fewer, n - chunk, &made)) {
				i += chunk;
			} else {
				n = made;
				memcpy(steps, fewer, n * sizeof(*steps));
			}
		}
	}
	report[0] = 0;
	(void)run_list(first, steps, n, &n);
	return n;
}

static bool run_random(uint64_t seed, unsigned n)
{
	static struct step steps[MAX_RANDOM];
	uint64_t state = seed * 0x2545f4914f6cdd1dull;
	struct model first;

	model_init(&first, MODEL_PAGES, random_below(&state, 2) ? 4 : MODEL_UNLIMITED,
		   WRONG_NOTHING);
	for (unsigned i = 0; i < n; i++)
		step_random(&steps[i], &state);
	if (run_list(&first, steps, n, &n))
		return true;
	/* What a report was about stays reported: no other run could be good. */
	if (!strstr(report, "reported"))
		n = shrink(&first, steps, n);
	say("seed %llu%s:\n", (unsigned long long)seed,
	    first.memlock == MODEL_UNLIMITED ? "" : ", no more than 4 pages locked");
	say_sequence(steps, n);
	return false;
}

/* ---- The tests --------------------------------------------------------------------------- */

/*
 * How far, where nobody says how long: well under a minute in all, less far where everything is
 * checked. 0: not that way.
 */
static const struct {
	const char *menu;
	unsigned release[3], debug[3]; /* all, moving, states */
} lengths[NR_MENUS] = {
	{ "areas", { 3, 4, MAX_LENGTH }, { 2, 3, 4 } },
	{ "remap", { 4, 0, 5 }, { 2, 3, 4 } },
	{ "lock", { 4, 0, 5 }, { 2, 3, 4 } },
	{ "fork", { 4, 5, 5 }, { 3, 4, 4 } },
	{ "files", { 4, 0, 5 }, { 2, 3, 4 } },
	{ "advice", { 4, 0, 5 }, { 2, 3, 4 } },
	{ "guard", { 4, 5, 5 }, { 2, 3, 4 } },
	{ "seal", { 4, 0, 5 }, { 2, 3, 4 } },
	{ "heap", { 4, 0, 5 }, { 2, 3, 4 } },
	{ "place", { 4, 0, 5 }, { 2, 3, 4 } },
};

static unsigned default_length(const char *menu, enum way way)
{
	for (unsigned n = 0; n < NR_MENUS; n++)
		if (!strcmp(lengths[n].menu, menu))
			return QUIRE_DEBUG ? lengths[n].debug[way] : lengths[n].release[way];
	return 0;
}

static double soak_seconds(void)
{
	const char *minutes = getenv("QUIRE_SOAK_MINUTES");

	return minutes ? atof(minutes) * 60 : 0;
}

static void menus_are_exhausted(void **state)
{
	/* A sixth of the time is for what comes by chance. */
	double share = soak_seconds() * 5 / 6 / NR_MENUS / 3;
	struct menu menu;

	(void)state;
	for (unsigned n = 0; n < NR_MENUS; n++) {
		menu_make(&menu, n);
		for (enum way way = WAY_ALL; way <= WAY_STATES; way++) {
			struct extent e = {.length = default_length(menu.name, way),
					   .seconds = share};

			if (share > 0)
				e.length = MAX_LENGTH;
			report[0] = 0;
			if (!e.length)
				continue;
			if (!exhaust(&menu, way, WRONG_NOTHING, &e))
				fail_msg("menu %s:\n%s", menu.name, report);
			print_extent(menu.name, way, &e);
		}
	}
}

static void long_sequences(void **state)
{
	const char *given = getenv("QUIRE_SEED");
	uint64_t first = given ? strtoull(given, NULL, 0) : 1, fresh = (uint64_t)time(NULL) << 20;
	double seconds = soak_seconds() / 6, until = now() + seconds;
	unsigned rounds = QUIRE_DEBUG ? 100 : 400, n = 0;

	(void)state;
	/* The same ones every time, and then some that nobody has seen. */
	for (; seconds > 0 ? now() < until : n < 2 * rounds; n++) {
		uint64_t seed = n < rounds ? first + n : fresh + n;

		report[0] = 0;
		if (!run_random(seed, 300))
			fail_msg("%s", report);
	}
	printf("model: by chance: %u sequences of 300 steps, seeds %llu and %llu on\n", n,
	       (unsigned long long)first, (unsigned long long)fresh + rounds);
}

/* Each wrong rule is found, in a sequence as short as can be. */
static void wrong_rules_are_caught(void **state)
{
	static const struct {
		enum wrong wrong;
		const char *menu;
		unsigned length;
	} rules[] = {
		{ WRONG_PROTECT_KEEPS_WRITE, "areas", 2 },
		{ WRONG_HOLE_IS_SKIPPED, "areas", 2 },
		{ WRONG_MERGES_ALL, "areas", 5 },
		{ WRONG_REMAP_FORGETS, "remap", 3 },
		{ WRONG_DONTNEED_KEEPS, "advice", 2 },
		{ WRONG_FORK_INHERITS_LOCKS, "fork", 3 },
		{ WRONG_TRUNCATE_KEEPS_COPIES, "files", 3 },
		{ WRONG_SEAL_IS_OPEN, "seal", 3 },
		{ WRONG_LOCK_HAS_NO_LIMIT, "lock", 2 },
		{ WRONG_GUARD_IS_NOTHING, "guard", 2 },
	};
	struct menu menu;

	(void)state;
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		struct extent e = {.length = rules[i].length};

		for (unsigned n = 0; n < NR_MENUS; n++) {
			menu_make(&menu, n);
			if (!strcmp(menu.name, rules[i].menu))
				break;
		}
		report[0] = 0;
		if (exhaust(&menu, WAY_STATES, rules[i].wrong, &e))
			fail_msg("wrong rule %d is not caught within %u steps of menu %s",
				 rules[i].wrong, rules[i].length, menu.name);
		if (e.reached != rules[i].length)
			fail_msg("wrong rule %d is caught after %u steps, not %u:\n%s",
				 rules[i].wrong, e.reached, rules[i].length, report);
		assert_non_null(strstr(report, "    1. "));
	}
	report[0] = 0;
}

static int open_machine(void **state)
{
	(void)state;
	quire_open();
	return 0;
}

static int close_machine(void **state)
{
	const char *bad = quire_close();

	(void)state;
	printf("model: %llu sequences in all\n", (unsigned long long)nr_sequences);
	if (bad)
		print_error("%s\n", bad);
	return bad ? -1 : 0;
}

/* ---- By hand ----------------------------------------------------------------------------- */

static int by_hand(int argc, char **argv)
{
	struct menu menu;
	bool good = true;

	quire_open();
	if (!strcmp(argv[1], "random") && argc == 4) {
		good = run_random(strtoull(argv[2], NULL, 0), (unsigned)atoi(argv[3]) % MAX_RANDOM);
	} else if (argc == 4) {
		struct extent e = {.length = (unsigned)atoi(argv[3]) % (MAX_LENGTH + 1)};
		enum way way = WAY_ALL;
		unsigned n = 0;

		for (; n < NR_MENUS; n++) {
			menu_make(&menu, n);
			if (!strcmp(menu.name, argv[1]))
				break;
		}
		while (way <= WAY_STATES && strcmp(way_names[way], argv[2]))
			way++;
		if (n == NR_MENUS || way > WAY_STATES)
			return 2;
		good = exhaust(&menu, way, WRONG_NOTHING, &e);
		print_extent(menu.name, way, &e);
	} else {
		return 2;
	}
	if (!good)
		printf("%s", report);
	(void)quire_close();
	return !good;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_rules_are_caught),
		cmocka_unit_test(menus_are_exhausted),
		cmocka_unit_test(long_sequences),
	};

	if (argc > 1)
		return by_hand(argc, argv);
	return cmocka_run_group_tests_name("model", tests, open_machine, close_machine);
}
