/* SPDX-License-Identifier: MIT */
/*
 * Through the menus, length by length, and along random ways; see search.h. Makes the model's side of
 * every step; the other is whoever's side it is given.
 */
#include "search.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

char report[1 << 16];

double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- Saying what was wrong --------------------------------------------------------------- */

/* So that every store of a sequence is told from every other, and from zeroes and the file's bytes. */
uint8_t value_at(unsigned position)
{
	return (uint8_t)(position % 0x9f + 1);
}

bool same_outcome(const struct outcome *a, const struct outcome *b)
{
	return a->value == b->value && a->signo == b->signo && a->code == b->code &&
	       a->addr == b->addr && a->byte == b->byte && !memcmp(a->vec, b->vec, sizeof(a->vec));
}

static void print_outcome(const struct outcome *o, char *text, size_t room)
{
	if (o->value >= (int64_t)MODEL_BASE)
		snprintf(text, room, "page %d", (int)((o->value - (int64_t)MODEL_BASE) / (int64_t)MODEL_PAGE));
	else if (o->signo)
		snprintf(text, room, "signal %d code %d at %#llx", o->signo, o->code,
			 (unsigned long long)o->addr);
	else
		snprintf(text, room, "%lld (byte %02x, vec %x%x%x%x%x%x)", (long long)o->value,
			 o->byte, o->vec[0], o->vec[1], o->vec[2], o->vec[3], o->vec[4], o->vec[5]);
}

void say(const char *format, ...)
{
	size_t len = strlen(report);
	va_list args;

	va_start(args, format);
	vsnprintf(report + len, sizeof(report) - len, format, args);
	va_end(args);
}

void say_sequence(const struct step *steps, unsigned n)
{
	char text[128];

	for (unsigned i = 0; i < n; i++) {
		step_print(&steps[i], text, sizeof(text));
		say("    %u. %s\n", i + 1, text);
	}
}

void say_outcomes(const char *what, const struct outcome *is, const struct outcome *should)
{
	char a[128], b[128];

	print_outcome(is, a, sizeof(a));
	print_outcome(should, b, sizeof(b));
	say("%s: %s\n    should be %s\n", what, a, b);
}

/* ---- All, and moving --------------------------------------------------------------------- */

struct search {
	const struct side *side;
	const struct menu *menu;
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

static bool can_make(const struct side *side, const struct model *m, const struct step *step)
{
	return !side->can || side->can(m, step);
}

static bool search_from(struct search *s, unsigned depth)
{
	for (unsigned i = 0; i < s->menu->count; i++) {
		s->steps[depth] = s->menu->step[i];
		s->at[depth + 1] = s->at[depth];
		if (!can_make(s->side, &s->at[depth], &s->steps[depth]))
			continue;
		if (!model_step(&s->at[depth + 1], &s->steps[depth], value_at(depth),
				&s->should[depth]))
			continue;
		if (depth + 1 == s->length) {
			s->count++;
			if (!s->side->sequence(&s->at[0], s->steps, s->should, s->length,
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
		if (!can_make(s->side, &before, &s->steps[last]))
			continue;
		if (!model_step(&after, &s->steps[last], value_at(last), &s->should[last]))
			continue;
		s->count++;
		if (!s->side->sequence(&s->at[0], s->steps, s->should, s->length, &after))
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

const char *const way_names[NR_WAYS] = {"all", "moving", "states"};

bool exhaust(const struct side *side, const struct menu *menu, enum way way, enum wrong wrong,
	     struct extent *e)
{
	struct search *s = calloc(1, sizeof(*s));
	struct states states = {0};
	double began = now(), last = 0;
	uint64_t before = 0;
	bool good = true;

	if (!s)
		abort();
	s->side = side;
	s->menu = menu;
	s->moving = way == WAY_MOVING;
	model_init(&s->at[0], menu->pages, menu->memlock, wrong);
	s->at[0].forbid_zeropage = side->forbid_zeropage;
	s->at[0].reads_execute = side->reads_execute;
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

void print_extent(const struct side *side, const char *menu, enum way way, const struct extent *e)
{
	char of[48] = "";

	if (way == WAY_STATES)
		snprintf(of, sizeof(of), " (%zu states%s)", e->states,
			 e->closed ? ", there are no others" : "");
	printf("%s: %s, %s: %llu sequences of up to %u steps%s, %.1f s\n", side->name, menu, way_names[way],
	       (unsigned long long)e->count, e->reached, of, e->took);
	fflush(stdout);
}

/* ---- By chance --------------------------------------------------------------------------- */

/* Leaves steps out for as long as it fails all the same. */
static unsigned shrink(const struct side *side, const struct model *first, struct step *steps, unsigned n)
{
	struct step fewer[MAX_RANDOM];

	for (unsigned chunk = n / 2; chunk; chunk = chunk > 1 || n > 40 ? chunk / 2 : 0) {
		for (unsigned i = 0; i + chunk <= n;) {
			unsigned made;

			memcpy(fewer, steps, i * sizeof(*steps));
			memcpy(fewer + i, steps + i + chunk, (n - i - chunk) * sizeof(*steps));
			report[0] = 0;
			if (side->list(first, fewer, n - chunk, &made)) {
				i += chunk;
			} else {
				n = made;
				memcpy(steps, fewer, n * sizeof(*steps));
			}
		}
	}
	report[0] = 0;
	(void)side->list(first, steps, n, &n);
	return n;
}

bool run_random(const struct side *side, uint64_t seed, unsigned n)
{
	static struct step steps[MAX_RANDOM];
	uint64_t state = seed * 0x2545f4914f6cdd1dull;
	struct model first;

	model_init(&first, MODEL_PAGES, random_below(&state, 2) ? 4 : MODEL_UNLIMITED,
		   WRONG_NOTHING);
	first.forbid_zeropage = side->forbid_zeropage;
	first.reads_execute = side->reads_execute;
	for (unsigned i = 0; i < n; i++)
		step_random(&steps[i], &state);
	if (side->list(&first, steps, n, &n))
		return true;
	/* What a report was about stays reported: no other run could be good. */
	if (!strstr(report, "reported"))
		n = shrink(side, &first, steps, n);
	say("seed %llu%s:\n", (unsigned long long)seed,
	    first.memlock == MODEL_UNLIMITED ? "" : ", no more than 4 pages locked");
	say_sequence(steps, n);
	return false;
}

bool find_menu(struct menu *menu, const char *name)
{
	for (unsigned n = 0; n < NR_MENUS; n++) {
		menu_make(menu, n);
		if (!strcmp(menu->name, name))
			return true;
	}
	return false;
}
