/* SPDX-License-Identifier: MIT */
/*
 * Compares what /proc shows of a process with what Quire shows of its space: maps whole, of smaps and status the figures that
 * are judged. Called by play.c; knows what a figure may depend on besides the calls.
 */
#include <stdlib.h>
#include <string.h>

#include "player.h"

#define VSYSCALL "ffffffffff600000-"
#define SHARED_ANONYMOUS "/dev/zero (deleted)"

/* One line; end is where the next one begins. */
static const char *next_line(const char *line, const char *end)
{
	const char *at = memchr(line, '\n', (size_t)(end - line));

	return at ? at + 1 : end;
}

static bool has(const char *line, const char *end, const char *what)
{
	return memmem(line, (size_t)(end - line), what, strlen(what)) != NULL;
}

static const char *user_end(const char *text, size_t len)
{
	const char *vsyscall = memmem(text, len, VSYSCALL, strlen(VSYSCALL));

	return vsyscall ? vsyscall : text + len;
}

/* ---- maps -------------------------------------------------------------------------------- */

/* "start-end perms offset dev inode   name": where the inode stands. */
static const char *inode_of(const char *line, const char *end)
{
	unsigned spaces = 0;

	for (; line < end && spaces < 4; line++)
		spaces += *line == ' ';
	return line;
}

/* Each of Linux's numbers stands for one of ours. */
static bool same_inode(struct inodes *in, uint64_t theirs, uint64_t ours)
{
	unsigned i;

	for (i = 0; i < in->nr; i++)
		if (in->pair[i].theirs == theirs || in->pair[i].ours == ours)
			return in->pair[i].theirs == theirs && in->pair[i].ours == ours;
	if (in->nr == QUIRE_ARRAY_SIZE(in->pair))
		return true;
	in->pair[in->nr++] = (struct inode_pair){ theirs, ours };
	return true;
}

static bool same_line(struct inodes *in, const char *a, const char *a_end, const char *b, const char *b_end)
{
	const char *in_a, *in_b;

	if (a_end - a == b_end - b && memcmp(a, b, (size_t)(a_end - a)) == 0 && !has(a, a_end, SHARED_ANONYMOUS))
		return true;
	if (!has(a, a_end, SHARED_ANONYMOUS) || !has(b, b_end, SHARED_ANONYMOUS))
		return false;
	in_a = inode_of(a, a_end);
	in_b = inode_of(b, b_end);
	return in_a - a == in_b - b && memcmp(a, b, (size_t)(in_a - a)) == 0 &&
	       same_inode(in, strtoull(in_a, NULL, 10), strtoull(in_b, NULL, 10));
}

static void say_lines(const char *who, const char *text, const char *end, const char *other, const char *other_end,
		      struct text *what)
{
	const char *next, *o, *o_next;

	for (; text < end; text = next) {
		bool found = false;

		next = next_line(text, end);
		for (o = other; o < other_end && !found; o = o_next) {
			o_next = next_line(o, other_end);
			found = next - text == o_next - o && memcmp(text, o, (size_t)(next - text)) == 0;
		}
		if (!found)
			text_printf(what, "  %s has  %.*s\n", who, (int)(next - text - 1), text);
	}
}

bool texts_same_maps(struct inodes *inodes, const char *theirs, size_t their_len, const char *ours, size_t our_len,
		     struct text *what)
{
	const char *a = theirs, *a_end = user_end(theirs, their_len), *a_next;
	const char *b = ours, *b_end = ours + our_len, *b_next;

	for (; a < a_end && b < b_end; a = a_next, b = b_next) {
		a_next = next_line(a, a_end);
		b_next = next_line(b, b_end);
		if (!same_line(inodes, a, a_next, b, b_next))
			break;
	}
	if (a == a_end && b == b_end)
		return true;
	text_printf(what, "maps differ:\n");
	say_lines("Linux", theirs, a_end, ours, b_end, what);
	say_lines("Quire", ours, b_end, theirs, a_end, what);
	return false;
}

/* ---- smaps ------------------------------------------------------------------------------- */

static const char *const figure_names[] = {
	"Size:", "Rss:", "Shared_Clean:", "Shared_Dirty:", "Private_Clean:", "Private_Dirty:", "Anonymous:", "Swap:", "Locked:",
};
enum figure { SIZE, RSS, SHARED_CLEAN, SHARED_DIRTY, PRIVATE_CLEAN, PRIVATE_DIRTY, ANONYMOUS, SWAP, LOCKED, NR_FIGURES };

#define MAX_AREAS 512

struct area {
	const char *line, *line_end; /* as in maps */
	uint64_t start;
	char name[32];
	uint64_t figure[NR_FIGURES]; /* kB */
	const char *flags, *flags_end;
};

static unsigned parse_smaps(const char *text, const char *end, struct area *areas)
{
	const char *next;
	struct area *area = NULL;
	unsigned nr = 0, i;

	for (; text < end; text = next) {
		next = next_line(text, end);
		if (*text < 'A' || *text > 'Z') {
			const char *name = inode_of(text, next);

			if (nr == MAX_AREAS)
				return nr;
			area = &areas[nr++];
			memset(area, 0, sizeof(*area));
			area->line = text;
			area->line_end = next;
			area->start = strtoull(text, NULL, 16);
			while (name < next && *name != ' ' && *name != '\n')
				name++;
			while (name < next && *name == ' ')
				name++;
			snprintf(area->name, sizeof(area->name), "%.*s", (int)(next - name > 31 ? 31 : next - name), name);
			continue;
		}
		if (!area)
			continue;
		if (strncmp(text, "VmFlags:", 8) == 0) {
			area->flags = text;
			area->flags_end = next;
			continue;
		}
		for (i = 0; i < NR_FIGURES; i++) {
			size_t len = strlen(figure_names[i]);

			if (strncmp(text, figure_names[i], len) == 0)
				area->figure[i] = strtoull(text + len, NULL, 10);
		}
	}
	return nr;
}

static bool is_on_disk(const struct player *p, const struct area *a)
{
	return !p->no_disk && strncmp(a->name, "/var/tmp/", 9) == 0;
}

static bool is_in_memory(const struct player *p, const struct area *a)
{
	return strncmp(a->name, "/dev/shm/", 9) == 0 || (p->no_disk && strncmp(a->name, "/var/tmp/", 9) == 0) ||
	       strncmp(a->name, "/memfd:quire", 12) == 0;
}

static bool may_be_huge(const struct area *a)
{
	return has(a->flags, a->flags_end, " hg") && a->figure[SIZE] >= 2048;
}

/* Why an area's pages are not compared; PLAY_NR_RULES: they are. */
static enum play_rule pages_rule(const struct player *p, const struct area *a, const struct sample *ours)
{
	if (a->name[0] == '/' && ours->paged_out)
		return PLAY_RULE_PAGED_OUT;
	if (is_on_disk(p, a) && ours->disk_rule < PLAY_NR_RULES)
		return (enum play_rule)ours->disk_rule;
	if (is_in_memory(p, a) && ours->allocated == 2)
		return PLAY_RULE_ALLOCATED_TWICE;
	if (may_be_huge(a))
		return PLAY_RULE_HUGE;
	return PLAY_NR_RULES;
}

static void say_area(const struct area *a, struct text *what)
{
	text_printf(what, "smaps of %.*s:\n", (int)(a->line_end - a->line - 1), a->line);
}

/* Pages of a kind, as status counts them, in an area. */
enum kind { ANON, FILE_PAGES, SHMEM, NR_KINDS };

static void count_pages(const struct player *p, const struct area *a, uint64_t *kinds)
{
	bool shmem = a->name[0] == '/' && !is_on_disk(p, a);

	kinds[ANON] += a->figure[ANONYMOUS];
	kinds[shmem ? SHMEM : FILE_PAGES] += a->figure[RSS] - a->figure[ANONYMOUS];
}

/* Where which pages are dirty cannot be known, for the reason that the rule says: only how many there are is compared. */
static void forget_dirty(struct player *p, struct area *a, struct area *b, enum play_rule rule)
{
	static const uint8_t pairs[][2] = { { SHARED_CLEAN, SHARED_DIRTY }, { PRIVATE_CLEAN, PRIVATE_DIRTY } };
	unsigned i;

	for (i = 0; i < QUIRE_ARRAY_SIZE(pairs); i++) {
		uint8_t clean = pairs[i][0], dirty = pairs[i][1];

		if (a->figure[clean] == b->figure[clean])
			continue;
		p->left_out[rule] += (uint64_t)llabs((long long)(a->figure[clean] - b->figure[clean])) / 4;
		a->figure[dirty] += a->figure[clean];
		b->figure[dirty] += b->figure[clean];
		a->figure[clean] = b->figure[clean] = 0;
	}
}

static bool same_smaps(struct player *p, const struct sample *sample, const char *theirs, const char *theirs_end, const char *ours, const char *ours_end,
		       uint64_t *their_rest, uint64_t *our_rest, struct text *what)
{
	static struct area a[MAX_AREAS], b[MAX_AREAS];
	unsigned nr_a = parse_smaps(theirs, theirs_end, a), nr_b = parse_smaps(ours, ours_end, b), i, k;

	if (nr_a != nr_b) {
		text_printf(what, "smaps: Linux has %u areas, Quire %u\n", nr_a, nr_b);
		return false;
	}
	for (i = 0; i < nr_a; i++) {
		bool adopted = rules_is_adopted(p, a[i].start, a[i].name);
		enum play_rule rule = adopted ? PLAY_NR_RULES : pages_rule(p, &a[i], sample);

		if (!adopted && rule == PLAY_NR_RULES && p->host_reclaims && a[i].name[0] == '/' &&
		    a[i].figure[RSS] < b[i].figure[RSS])
			rule = PLAY_RULE_DAMON;
		if (a[i].flags_end - a[i].flags != b[i].flags_end - b[i].flags ||
		    memcmp(a[i].flags, b[i].flags, (size_t)(a[i].flags_end - a[i].flags))) {
			say_area(&a[i], what);
			text_printf(what, "  Linux has %.*s  Quire has %.*s", (int)(a[i].flags_end - a[i].flags), a[i].flags,
				    (int)(b[i].flags_end - b[i].flags), b[i].flags);
			return false;
		}
		if (adopted || rule < PLAY_NR_RULES) {
			count_pages(p, &a[i], their_rest);
			count_pages(p, &b[i], our_rest);
		}
		if (rule < PLAY_NR_RULES)
			p->left_out[rule]++;
		if (is_on_disk(p, &a[i]))
			forget_dirty(p, &a[i], &b[i], PLAY_RULE_WRITE_BACK);
		else if (sample->allocated && is_in_memory(p, &a[i]))
			forget_dirty(p, &a[i], &b[i], PLAY_RULE_ALLOCATED);
		for (k = 0; k < NR_FIGURES; k++) {
			if (k != SIZE && (adopted || rule < PLAY_NR_RULES))
				continue;
			if (a[i].figure[k] == b[i].figure[k])
				continue;
			say_area(&a[i], what);
			for (k = 0; k < NR_FIGURES; k++)
				if (a[i].figure[k] != b[i].figure[k])
					text_printf(what, "  %s Linux %llu kB, Quire %llu kB\n", figure_names[k],
						    (unsigned long long)a[i].figure[k], (unsigned long long)b[i].figure[k]);
			return false;
		}
	}
	return true;
}

/* ---- status ------------------------------------------------------------------------------ */

static uint64_t status_kb(const char *text, const char *end, const char *name)
{
	const char *line = memmem(text, (size_t)(end - text), name, strlen(name));

	return line ? strtoull(line + strlen(name), NULL, 10) : 0;
}

static bool same_status(struct player *p, uint32_t process, const char *theirs, const char *theirs_end, const char *ours,
			const char *ours_end, const uint64_t *their_rest, const uint64_t *our_rest, uint64_t leaked_lock, struct text *what)
{
	static const char *const names[] = { "VmSize:", "VmData:", "VmStk:", "VmExe:", "VmLib:", "VmLck:" };
	/* Without what the program itself has, of which our space has only what was written. */
	static const char *const pages[NR_KINDS] = { "RssAnon:", "RssFile:", "RssShmem:" };
	uint64_t a, b;
	size_t i;

	for (i = 0; i < QUIRE_ARRAY_SIZE(names) + NR_KINDS; i++) {
		size_t kind = i - QUIRE_ARRAY_SIZE(names);
		const char *name = i < QUIRE_ARRAY_SIZE(names) ? names[i] : pages[kind];

		a = status_kb(theirs, theirs_end, name);
		b = status_kb(ours, ours_end, name);
		if (i >= QUIRE_ARRAY_SIZE(names)) {
			a -= their_rest[kind];
			b -= our_rest[kind];
		} else if (strcmp(name, "VmLck:") == 0) {
			a -= leaked_lock / 1024;
			if (leaked_lock == LEAKED_UNKNOWN)
				continue;
		}
		if (a == b)
			continue;
		text_printf(what, "status of process %u: %s Linux %lld kB, Quire %lld kB\n", process, name, (long long)a,
			    (long long)b);
		return false;
	}
	return true;
}

bool texts_same_sample(struct player *p, uint32_t process, const struct sample *theirs, const struct sample *ours,
		       struct text *what)
{
	const char *their_text = p->channel->text, *our_text = p->texts.p;
	const char *smaps = their_text + theirs->smaps.at, *status = their_text + theirs->status.at;
	const char *our_smaps = our_text + ours->smaps.at, *our_status = our_text + ours->status.at;
	uint64_t their_rest[NR_KINDS] = { 0 }, our_rest[NR_KINDS] = { 0 };
	unsigned i;

	if (!same_smaps(p, ours, smaps, user_end(smaps, theirs->smaps.len), our_smaps, our_smaps + ours->smaps.len, their_rest,
			our_rest, what) ||
	    !same_status(p, process, status, status + theirs->status.len, our_status, our_status + ours->status.len, their_rest,
			 our_rest, ours->leaked_lock, what))
		return false;
	for (i = 0; i < STEP_VEC_PAGES; i++) {
		if (ours->core[i] == CORE_UNKNOWN || theirs->core[i] == ours->core[i])
			continue;
		text_printf(what, "mincore of the window's page %u: Linux %#x, Quire %#x\n", i, theirs->core[i], ours->core[i]);
		return false;
	}
	return true;
}
