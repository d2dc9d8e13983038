/* SPDX-License-Identifier: MIT */
/*
 * The tables of a space as a whole: made, found, linked, unlinked, freed, checked. Called by the
 * cursor, and by the owner of a space at its beginning and end. Never changes a leaf entry.
 *
 * The life of a table: allocated -> linked under its parent's lock -> used -> empty -> unlinked
 * under its parent's lock and its own, stale from then on -> flushed out of every CPU -> freed
 * after a grace period. A walker without a lock may stand in a stale table; what it finds there is
 * empty, and when it takes the table's lock it sees the mark and starts again from the root.
 */
#include "internal.h"

#include <base/string.h>

/* ---- A space ----------------------------------------------------------------------------- */

static struct quire_page *table_alloc(struct quire *q)
{
	return quire_page_alloc(q, QUIRE_GFP_KERNEL | QUIRE_GFP_ZERO, 0);
}

/* From a page of zeroes to an empty table that covers base and up. Nobody sees it yet. */
static void table_prepare(struct quire_pgtable *pt, struct quire_page *table, unsigned level,
			  uint64_t base)
{
	quire_page_set_kind(table, QUIRE_PAGE_TABLE);
	table->owner = pt;
	table->index = base;
	quire_store(&table->aux, 0);
	quire_store(&table->maps, 0);
	(void)quire_fetch_add(&pt->tables[level], 1);
	quire_stat_add(pt->q, QUIRE_STAT_PAGETABLE, 1);
}

static void table_uncount(struct quire_pgtable *pt, unsigned level)
{
	(void)quire_fetch_sub(&pt->tables[level], 1);
	quire_stat_add(pt->q, QUIRE_STAT_PAGETABLE, -1);
}

static void table_give_back(struct quire *q, struct quire_page *table)
{
	(void)quire_page_test_clear(table, QUIRE_PG_STALE);
	quire_page_set_kind(table, QUIRE_PAGE_KERNEL);
	table->owner = NULL;
	quire_store(&table->maps, 0);
	quire_page_free(q, table, 0);
}

struct quire_page *quire_table_new(struct quire_pgtable *pt, unsigned level, uint64_t base)
{
	struct quire_page *table = table_alloc(pt->q);

	if (table)
		table_prepare(pt, table, level, base);
	return table;
}

void quire_table_free_new(struct quire_pgtable *pt, struct quire_page *table, unsigned level)
{
	table_uncount(pt, level);
	table_give_back(pt->q, table);
}

/* The entries of a table that are this space's: the kernel's part of a user space's root is not, and the reverse. */
static unsigned first_entry(const struct quire_pgtable *pt, unsigned level)
{
	const struct quire_pgfmt *fmt = FMT(pt->fmt);

	return level == root_level(fmt) ? entry_index(fmt, level, pt->lowest) : 0;
}

static unsigned last_entry(const struct quire_pgtable *pt, unsigned level)
{
	const struct quire_pgfmt *fmt = FMT(pt->fmt);

	return level == root_level(fmt) ? entry_index(fmt, level, pt->end - 1) : nr_entries(fmt, level) - 1;
}

/* The tables below a root whose entries cannot be changed while it is loaded. */
static int fill_root(struct quire_pgtable *pt)
{
	const struct quire_pgfmt *fmt = FMT(pt->fmt);
	const unsigned root = root_level(fmt), first = first_entry(pt, root), last = last_entry(pt, root);
	void *entries = table_entries(pt->q, quire_page_to_pfn(pt->q, pt->root));
	unsigned i;

	for (i = first; i <= last; i++) {
		struct quire_page *table = quire_table_new(pt, root - 1, (uint64_t)i << fmt->shift[root]);

		if (!table)
			return -QUIRE_ENOMEM;
		entry_store(fmt, entries, i, pte_table(fmt, root, quire_page_to_pfn(pt->q, table)));
		table_count(pt->root, 1);
	}
	return 0;
}

/*
 * What the kernel's root says now goes into the new one. What it will say in addition comes by
 * quire_kernel_fault(). An entry, once there, stays, but for a large leaf that is split: see kernel.c.
 */
static void copy_kernel_entries(struct quire_pgtable *pt)
{
	const struct quire_pgfmt *fmt = FMT(pt->fmt);
	struct quire_pgtable *kernel = pt->q->kernel;
	const unsigned root = root_level(fmt);
	void *to = table_entries(pt->q, quire_page_to_pfn(pt->q, pt->root)), *from;
	unsigned i, last;

	if (!kernel || kernel->fmt != fmt || fmt->kernel_apart)
		return;
	from = table_entries(pt->q, quire_page_to_pfn(pt->q, kernel->root));
	last = last_entry(kernel, root);
	quire_spin_lock(pt->q, table_lock(kernel->root));
	for (i = entry_scan(fmt, from, first_entry(kernel, root), last); i <= last;
	     i = entry_scan(fmt, from, i + 1, last))
		entry_store(fmt, to, i, entry_load(fmt, from, i));
	quire_list_add(&kernel->link, &pt->link);
	quire_spin_unlock(pt->q, table_lock(kernel->root));
}

/* No root's copy is brought up to date any more. */
static void leave_kernel(struct quire_pgtable *pt)
{
	struct quire_pgtable *kernel = pt->q->kernel;

	if (kernel == pt) {
		quire_assert(pt->q, quire_list_empty(&pt->link));
		pt->q->kernel = NULL;
	} else if (kernel) {
		/* A root next to this one in the list may be leaving: even the look takes the lock. */
		quire_spin_lock(pt->q, table_lock(kernel->root));
		if (!quire_list_empty(&pt->link))
			quire_list_del(&pt->link);
		quire_spin_unlock(pt->q, table_lock(kernel->root));
	}
}

/* Is fmt one of those that this build is for? */
static bool fits_build(const struct quire_pgfmt *fmt)
{
	const struct quire_pgfmt *build = ENTRY_FMT(fmt);
	const size_t first = offsetof(struct quire_pgfmt, address), end = offsetof(struct quire_pgfmt, kernel_apart);

	return fmt == build ||
	       (fmt->levels <= build->levels && fmt->entry_bytes == build->entry_bytes &&
		!memcmp(fmt->shift, build->shift, fmt->levels) && !memcmp(fmt->bits, build->bits, fmt->levels) &&
		!memcmp((const char *)fmt + first, (const char *)build + first, end - first));
}

static int init_tables(struct quire *q, struct quire_pgtable *pt, const struct quire_pgfmt *format,
		       uint64_t lowest, uint64_t end)
{
	const struct quire_pgfmt *fmt = FMT(format);
	size_t i;

	if (fmt != format || !fits_build(fmt) || fmt->shift[0] != QUIRE_PAGE_SHIFT)
		return -QUIRE_EINVAL;
	pt->q = q;
	pt->fmt = fmt;
	pt->lowest = lowest;
	pt->end = end;
	pt->flushes = 0;
	pt->taking = 0;
	pt->moving = 0;
	quire_list_init(&pt->link);
	for (i = 0; i < QUIRE_ARRAY_SIZE(pt->tables); i++)
		pt->tables[i] = 0;
	for (i = 0; i < QUIRE_ARRAY_SIZE(pt->cpus); i++)
		pt->cpus[i] = 0;
	pt->root = table_alloc(q);
	if (!pt->root)
		return -QUIRE_ENOMEM;
	table_prepare(pt, pt->root, root_level(fmt), 0);
	pt->root_entries = table_entries(q, quire_page_to_pfn(q, pt->root));
	if (fmt->root_fixed && fill_root(pt)) {
		quire_pgtable_destroy(pt);
		return -QUIRE_ENOMEM;
	}
	return 0;
}

int quire_pgtable_init(struct quire *q, struct quire_pgtable *pt, const struct quire_pgfmt *fmt)
{
	int err = init_tables(q, pt, fmt, 0, fmt->user_end);

	if (err)
		return err;
	copy_kernel_entries(pt);
	pt->asid = quire_fetch_add(&q->next_asid, 1) + 1;
	return 0;
}

void quire_kernel_range(const struct quire_pgfmt *fmt, quire_kaddr_t *lowest, quire_kaddr_t *end)
{
	*lowest = fmt->user_end;
	*end = UINT64_C(1) << fmt->va_bits % 64;
	if (fmt->va_signed)
		*lowest = ~(uint64_t)0 << (fmt->va_bits - 1);
	else if (fmt->kernel_apart)
		*lowest = ~(uint64_t)0 << fmt->va_bits;
	/* The last page of 2^64 is nobody's, so that no end is 0. */
	if (fmt->va_signed || fmt->kernel_apart)
		*end = QUIRE_PAGE_MASK;
}

int quire_pgtable_init_kernel(struct quire *q, struct quire_pgtable *pt, const struct quire_pgfmt *fmt,
			      quire_kaddr_t lowest, quire_kaddr_t end)
{
	quire_kaddr_t first, beyond;
	int err;

	if (q->kernel)
		return -QUIRE_EBUSY;
	quire_kernel_range(fmt, &first, &beyond);
	if (lowest < first || lowest >= end || end > beyond || ((lowest | end) & ~QUIRE_PAGE_MASK) != 0)
		return -QUIRE_EINVAL;
	pt->asid = 0;
	err = init_tables(q, pt, fmt, lowest, end);
	if (!err)
		q->kernel = pt;
	return err;
}

/*
 * Every table of the user part once, those below a table before the table itself, the root last.
 * The space is quiet. The table that was returned may be freed before the next call.
 */
struct tour {
	struct quire_pgtable *pt;
	struct quire_page *table[QUIRE_MAX_LEVELS]; /* from the root to where the tour stands */
	unsigned next[QUIRE_MAX_LEVELS];            /* entry of each to go on with */
	unsigned level;                             /* where it stands; above the root: done */
	bool strange; /* saw an upper entry that is neither empty nor a table */
};

static void tour_begin(struct tour *t, struct quire_pgtable *pt)
{
	t->pt = pt;
	t->level = root_level(FMT(pt->fmt));
	t->table[t->level] = pt->root;
	t->next[t->level] = first_entry(pt, t->level);
	t->strange = false;
}

static struct quire_page *tour_next(struct tour *t, unsigned *level)
{
	const struct quire_pgfmt *fmt = FMT(t->pt->fmt);
	struct quire *q = t->pt->q;

	if (t->level > root_level(fmt))
		return NULL;
	while (t->level > 0) {
		unsigned last = last_entry(t->pt, t->level);
		void *entries = table_entries(q, quire_page_to_pfn(q, t->table[t->level]));
		unsigned i = entry_scan(fmt, entries, t->next[t->level], last);
		quire_pte_t pte;

		if (i > last)
			break;
		t->next[t->level] = i + 1;
		pte = entry_load(fmt, entries, i);
		if (!pte_is_table(fmt, pte)) {
			t->strange |= !pte_present(fmt, pte) || !(fmt->large_levels >> t->level & 1);
			continue;
		}
		t->strange |= !(pte & pte_table_shown(fmt));
		t->level--;
		t->table[t->level] = quire_pfn_to_page(q, pte_pfn(fmt, pte));
		t->next[t->level] = 0;
	}
	*level = t->level;
	return t->table[t->level++];
}

void quire_pgtable_destroy(struct quire_pgtable *pt)
{
	struct quire_page *table;
	struct tour t;
	unsigned level;

	leave_kernel(pt);
	tour_begin(&t, pt);
	while ((table = tour_next(&t, &level))) {
		quire_assert(pt->q, level > 0 || is_kernels(pt) || table_is_empty(table));
		table_uncount(pt, level);
		table_give_back(pt->q, table);
	}
	pt->root = NULL;
}

void quire_pgtable_load(struct quire_pgtable *pt, unsigned cpu)
{
	/* A full barrier: a flush that does not see the bit has cleared its entries by now. */
	(void)quire_fetch_or(&pt->cpus[cpu / 64], UINT64_C(1) << cpu % 64);
}

void quire_pgtable_unload(struct quire_pgtable *pt, unsigned cpu)
{
	(void)quire_fetch_and(&pt->cpus[cpu / 64], ~(UINT64_C(1) << cpu % 64));
}

quire_paddr_t quire_pgtable_root(const struct quire_pgtable *pt)
{
	return quire_page_to_pfn(pt->q, pt->root) << QUIRE_PAGE_SHIFT;
}

/* Linux counts PTE, PMD and PUD tables, but for the top one. */
uint64_t quire_pgtable_bytes(const struct quire_pgtable *pt)
{
	uint64_t tables = 0;
	unsigned level;

	for (level = 0; level < root_level(FMT(pt->fmt)) && level < 3; level++)
		tables += quire_load(&pt->tables[level]);
	return tables << QUIRE_PAGE_SHIFT;
}

quire_broken_t quire_pgtable_check(struct quire_pgtable *pt)
{
	const struct quire_pgfmt *fmt = FMT(pt->fmt);
	uint64_t tables[QUIRE_MAX_LEVELS] = { 0 };
	struct quire_page *table;
	struct tour t;
	unsigned level;

	tour_begin(&t, pt);
	while ((table = tour_next(&t, &level))) {
		void *entries = table_entries(pt->q, quire_page_to_pfn(pt->q, table));
		unsigned i, used = 0, last = last_entry(pt, level);

		for (i = entry_scan(fmt, entries, first_entry(pt, level), last); i <= last;
		     i = entry_scan(fmt, entries, i + 1, last))
			used++;
		if (used != quire_load(&table->maps))
			return "pgtable: maps == number of entries that are not zero";
		if (table_is_stale(table))
			return "pgtable: a table that is linked is not stale";
		if (quire_page_kind(table) != QUIRE_PAGE_TABLE || table->owner != pt)
			return "pgtable: a table is of kind TABLE and its owner is the space";
		if (level < root_level(fmt) && table->index != table_base(fmt, level, table->index))
			return "pgtable: a table's index is where it begins to cover";
		if (quire_load(&table->aux) != 0)
			return "pgtable: no table of a quiet space is locked";
		tables[level]++;
	}
	if (t.strange)
		return "pgtable: an upper entry is empty, a large leaf or points to a table that is not hidden";
	if (quire_load(&pt->taking) != 0 || quire_load(&pt->moving) != 0)
		return "pgtable: nobody has a flush to make in a quiet space";
	for (level = 0; level <= root_level(fmt); level++) {
		if (tables[level] != quire_load(&pt->tables[level]))
			return "pgtable: tables[level] == number of tables at that level";
	}
	return NULL;
}

/* ---- Walks without a lock ---------------------------------------------------------------- */

static inline struct quire_page *walk_table(struct quire_pgtable *pt, quire_uaddr_t addr, unsigned lowest,
					    void **entries)
{
	const struct quire_pgfmt *fmt = FMT(pt->fmt);
	void *table = pt->root_entries;
	quire_pfn_t pfn = 0;
	unsigned level;

	if (lowest == root_level(fmt)) {
		*entries = table;
		return pt->root;
	}
	/* A build that knows the levels, or how many there are at most, has a loop of known length. */
	for (level = root_level(ENTRY_FMT(fmt)); level > lowest; level--) {
		quire_pte_t pte;

		if (level > root_level(fmt))
			continue;
		pte = entry_load(fmt, table, entry_index(fmt, level, addr));
		if (!pte_is_table(fmt, pte))
			return NULL;
		pfn = pte_pfn(fmt, pte);
		table = table_entries(pt->q, pfn);
	}
	*entries = table;
	return quire_pfn_to_page(pt->q, pfn);
}

struct quire_page *quire_walk_table(struct quire_pgtable *pt, quire_uaddr_t addr, unsigned lowest, void **entries)
{
	return lowest == 0 ? walk_table(pt, addr, 0, entries) : walk_table(pt, addr, lowest, entries);
}

/*
 * Goes down through the first entry in use at each level. Where a table has none left in the range,
 * *addr goes behind the table and the descent starts again: at most once for each table that is
 * empty or used only before *addr.
 */
struct quire_page *quire_walk_next_leaf(struct quire_pgtable *pt, quire_uaddr_t *addr,
					quire_uaddr_t end, void **entries)
{
	const struct quire_pgfmt *fmt = FMT(pt->fmt);
	const quire_pfn_t root = quire_page_to_pfn(pt->q, pt->root);

	while (*addr < end) {
		void *table = pt->root_entries;
		quire_pfn_t pfn = root;
		unsigned level;

		/* As in walk_table(). */
		for (level = root_level(ENTRY_FMT(fmt)); level > 0; level--) {
			unsigned first = entry_index(fmt, level, *addr);
			unsigned last_index, i;
			uint64_t base, last, last_addr;
			quire_pte_t pte;

			if (level > root_level(fmt))
				continue;
			pte = entry_load(fmt, table, first);
			if (quire_likely(pte_is_table(fmt, pte))) {
				pfn = pte_pfn(fmt, pte);
				table = table_entries(pt->q, pfn);
				continue;
			}
			base = table_base(fmt, level, *addr);
			last = base + ((UINT64_C(1) << table_shift(fmt, level)) - 1);
			last_addr = last < end - 1 ? last : end - 1;
			last_index = entry_index(fmt, level, last_addr);
			i = entry_scan(fmt, table, first, last_index);
			if (i > last_index) {
				*addr = last_addr + 1;
				break;
			}
			if (i > first)
				*addr = base + ((uint64_t)i << ENTRY_FMT(fmt)->shift[level]);
			pte = entry_load(fmt, table, i);
			if (!pte_is_table(fmt, pte)) {
				/* A large leaf, or unlinked since the scan. */
				*addr = base + ((uint64_t)(i + 1) << ENTRY_FMT(fmt)->shift[level]);
				break;
			}
			pfn = pte_pfn(fmt, pte);
			table = table_entries(pt->q, pfn);
		}
		if (level == 0) {
			*entries = table;
			return quire_pfn_to_page(pt->q, pfn);
		}
	}
	return NULL;
}

quire_pte_t quire_pgtable_peek_leaf(struct quire_pgtable *pt, quire_uaddr_t addr, struct quire_leaf *leaf)
{
	const struct quire_pgfmt *fmt = FMT(pt->fmt);

	quire_assert(pt->q, quire_in_grace(pt->q));
	leaf->table = NULL;
	if (addr < pt->lowest || addr >= pt->end)
		return 0;
	leaf->table = walk_table(pt, addr, 0, &leaf->entries);
	return leaf->table ? entry_load(fmt, leaf->entries, entry_index(fmt, 0, addr)) : 0;
}

quire_pte_t quire_pgtable_peek(struct quire_pgtable *pt, quire_uaddr_t addr)
{
	struct quire_leaf leaf;

	return quire_pgtable_peek_leaf(pt, addr, &leaf);
}

quire_pte_t quire_pgtable_lookup(struct quire_pgtable *pt, quire_uaddr_t addr, unsigned *level)
{
	const struct quire_pgfmt *fmt = FMT(pt->fmt);
	quire_pfn_t pfn = quire_page_to_pfn(pt->q, pt->root);
	quire_pte_t pte = 0;

	quire_assert(pt->q, quire_in_grace(pt->q));
	*level = root_level(fmt);
	if (addr < pt->lowest || addr >= pt->end)
		return 0;
	for (;; (*level)--) {
		pte = entry_load(fmt, table_entries(pt->q, pfn), entry_index(fmt, *level, addr));
		if (*level == 0 || !pte_is_table(fmt, pte))
			return pte;
		pfn = pte_pfn(fmt, pte);
	}
}

/* ---- Linking ----------------------------------------------------------------------------- */

/* Behind the table at level around addr, or end if that comes first. */
static uint64_t behind_table(const struct quire_pgfmt *fmt, unsigned level, uint64_t addr, uint64_t end)
{
	uint64_t last = table_base(fmt, level, addr) + ((UINT64_C(1) << table_shift(fmt, level)) - 1);

	return last < end - 1 ? last + 1 : end;
}

/* How many tables are lacking so that there is one at lowest for each address of [start, end). */
static uint64_t count_missing(struct quire_pgtable *pt, quire_uaddr_t start, quire_uaddr_t end, unsigned lowest)
{
	const struct quire_pgfmt *fmt = FMT(pt->fmt);
	quire_uaddr_t addr = start;
	uint64_t missing = 0;

	while (addr < end) {
		quire_pfn_t pfn = quire_page_to_pfn(pt->q, pt->root);
		quire_uaddr_t stop;
		unsigned level;

		quire_grace_enter(pt->q);
		for (level = root_level(fmt); level > lowest; level--) {
			void *entries = table_entries(pt->q, pfn);
			quire_pte_t pte = entry_load(fmt, entries, entry_index(fmt, level, addr));

			if (!pte_is_table(fmt, pte))
				break;
			pfn = pte_pfn(fmt, pte);
		}
		quire_grace_leave(pt->q);

		/* The tables below level are lacking around addr, as far as the first of them would reach. */
		stop = behind_table(fmt, level > lowest ? level - 1 : lowest, addr, end);
		while (level-- > lowest) {
			unsigned shift = table_shift(fmt, level);

			missing += ((stop - 1) >> shift) - (addr >> shift) + 1;
		}
		addr = stop;
	}
	return missing;
}

/* Make the tables from lowest up around addr out of the reserve; false when the reserve is used up. */
static bool link_tables(struct quire_pgtable *pt, quire_uaddr_t addr, unsigned lowest, struct quire_list *reserve)
{
	const struct quire_pgfmt *fmt = FMT(pt->fmt);
	struct quire *q = pt->q;
	struct quire_page *table;
	unsigned level;

	quire_grace_enter(q);
again:
	table = pt->root;
	for (level = root_level(fmt); level > lowest; level--) {
		void *entries = table_entries(q, quire_page_to_pfn(q, table));
		unsigned i = entry_index(fmt, level, addr);
		quire_pte_t pte = entry_load(fmt, entries, i);

		if (!pte_is_table(fmt, pte)) {
			struct quire_page *child;

			quire_spin_lock(q, table_lock(table));
			if (table_is_stale(table)) {
				quire_spin_unlock(q, table_lock(table));
				goto again;
			}
			pte = entry_load(fmt, entries, i);
			if (!pte_is_table(fmt, pte)) {
				quire_assert(q, pte == 0);
				if (quire_list_empty(reserve)) {
					quire_spin_unlock(q, table_lock(table));
					quire_grace_leave(q);
					return false;
				}
				child = quire_list_first(reserve, struct quire_page, lru);
				quire_list_del(&child->lru);
				table_prepare(pt, child, level - 1,
					      table_base(fmt, level - 1, addr));
				pte = pte_table(fmt, level, quire_page_to_pfn(q, child));
				entry_store(fmt, entries, i, pte);
				table_count(table, 1);
			}
			quire_spin_unlock(q, table_lock(table));
		}
		table = quire_pfn_to_page(q, pte_pfn(fmt, pte));
	}
	quire_grace_leave(q);
	return true;
}

/*
 * Take away again what is empty of the tables for [start, addr), leaf by leaf, and those above the
 * leaf that is lacking at addr. That leaf itself, if it is there by now, is somebody else's: of a
 * writer perhaps, who counts on it (mremap, guards) while we, a fault, have no lock. Leaves before
 * it are there only in a range of several, which is always a writer's, and there is just one.
 */
static void unpopulate(struct quire_pgtable *pt, quire_uaddr_t start, quire_uaddr_t addr, unsigned lowest)
{
	const struct quire_pgfmt *fmt = FMT(pt->fmt);
	struct quire_cursor c;

	quire_cursor_open(&c, pt, start, start, 0);
	while (start < addr) {
		gather_empty_tables(&c, start, lowest);
		start = behind_table(fmt, lowest, start, addr);
	}
	gather_empty_tables(&c, addr, lowest + 1);
	quire_cursor_close(&c);
}

/*
 * All tables are allocated before the first is linked, so that want of memory changes nothing. Only
 * when a trim takes a table away in between does a second round follow, which may fail after the
 * first has linked something.
 */
int quire_tables_populate_level(struct quire_pgtable *pt, quire_uaddr_t start, quire_uaddr_t end,
				unsigned level)
{
	const struct quire_pgfmt *fmt = FMT(pt->fmt);
	struct quire *q = pt->q;
	struct quire_list reserve, *pos, *tmp;
	quire_uaddr_t addr = start;
	bool linked = false;
	int err = 0;

	quire_assert(q, pt->lowest <= start && start <= end && end <= pt->end);
	quire_list_init(&reserve);
	while (addr < end && !err) {
		uint64_t missing = count_missing(pt, addr, end, level);

		quire_list_for_each(pos, tmp, &reserve) {
			if (missing)
				missing--;
		}
		for (; missing && !err; missing--) {
			struct quire_page *table = table_alloc(q);

			if (table)
				quire_list_add(&reserve, &table->lru);
			else
				err = -QUIRE_ENOMEM;
		}
		while (addr < end && !err && link_tables(pt, addr, level, &reserve))
			addr = behind_table(fmt, level, addr, end);
		linked |= !err;
	}
	quire_list_for_each(pos, tmp, &reserve) {
		struct quire_page *table = quire_list_entry(pos, struct quire_page, lru);

		quire_list_del(pos);
		quire_page_free(q, table, 0);
	}
	if (err && linked)
		unpopulate(pt, start, addr, level);
	return err;
}

int quire_tables_populate(struct quire_pgtable *pt, quire_uaddr_t start, quire_uaddr_t end)
{
	return quire_tables_populate_level(pt, start, end, 0);
}

int quire_tables_populate_like(struct quire_pgtable *pt, quire_uaddr_t from, quire_uaddr_t to,
			       uint64_t len)
{
	const struct quire_pgfmt *fmt = FMT(pt->fmt);
	const quire_uaddr_t end = from + len;
	quire_uaddr_t addr = from;
	int err = 0;

	while (addr < end && !err) {
		struct quire_page *leaf;
		quire_uaddr_t stop;
		void *entries;

		quire_grace_enter(pt->q);
		leaf = quire_walk_next_leaf(pt, &addr, end, &entries);
		quire_grace_leave(pt->q);
		if (!leaf)
			break;
		stop = table_base(fmt, 0, addr) + (UINT64_C(1) << table_shift(fmt, 0));
		if (stop > end)
			stop = end;
		err = quire_tables_populate(pt, addr - from + to, stop - from + to);
		addr = stop;
	}
	if (err)
		quire_tables_trim(pt, to, to + len);
	return err;
}

/* ---- Unlinking --------------------------------------------------------------------------- */

bool quire_tables_unlink(struct quire_pgtable *pt, quire_uaddr_t addr, unsigned lowest,
			 struct quire_list *tables)
{
	const struct quire_pgfmt *fmt = FMT(pt->fmt);
	const unsigned root = root_level(fmt);
	struct quire_page *path[QUIRE_MAX_LEVELS];
	struct quire *q = pt->q;
	bool any = false;
	unsigned level;

	quire_grace_enter(q);
again:
	path[root] = pt->root;
	for (level = root; level > 0; level--) {
		void *entries = table_entries(q, quire_page_to_pfn(q, path[level]));
		quire_pte_t pte = entry_load(fmt, entries, entry_index(fmt, level, addr));

		if (!pte_is_table(fmt, pte))
			break;
		path[level - 1] = quire_pfn_to_page(q, pte_pfn(fmt, pte));
	}
	for (; level >= lowest && level < lowest_kept(pt) && table_is_empty(path[level]);
	     level++) {
		struct quire_page *child = path[level], *parent = path[level + 1];
		void *entries = table_entries(q, quire_page_to_pfn(q, parent));
		unsigned i = entry_index(fmt, level + 1, addr);
		bool linked, empty = false;
		quire_pte_t pte;

		quire_spin_lock(q, table_lock(parent));
		pte = entry_load(fmt, entries, i);
		linked = pte_is_table(fmt, pte) && pte_pfn(fmt, pte) == quire_page_to_pfn(q, child);
		if (linked) {
			quire_assert(q, !table_is_stale(parent));
			quire_spin_lock(q, table_lock(child));
			empty = table_is_empty(child);
			if (empty) {
				(void)entry_exchange(fmt, entries, i, 0);
				table_count(parent, -1);
				quire_page_set(child, QUIRE_PG_STALE);
			}
			quire_spin_unlock(q, table_lock(child));
		}
		quire_spin_unlock(q, table_lock(parent));
		if (!linked)
			goto again; /* somebody else was here first */
		if (!empty)
			break;
		table_uncount(pt, level);
		quire_list_add_tail(tables, &child->lru);
		any = true;
	}
	quire_grace_leave(q);
	return any;
}

_Static_assert(sizeof(struct quire_deferred) <= sizeof(struct quire_list),
	       "an unlinked table waits for its grace period in its lru");

/*
 * The list links are done with by then, and the table's own bytes must stay empty for those who
 * still stand in it.
 */
static struct quire_deferred *table_deferred(struct quire_page *table)
{
	return (struct quire_deferred *)(void *)&table->lru;
}

static void free_after_grace(struct quire *q, struct quire_deferred *d)
{
	struct quire_list *lru = (struct quire_list *)(void *)d;

	table_give_back(q, quire_list_entry(lru, struct quire_page, lru));
}

void quire_tables_free(struct quire *q, struct quire_list *tables)
{
	struct quire_list *pos, *tmp;

	quire_list_for_each(pos, tmp, tables) {
		struct quire_page *table = quire_list_entry(pos, struct quire_page, lru);

		quire_list_del(pos);
		quire_defer(q, table_deferred(table), free_after_grace);
	}
}

void quire_tables_trim(struct quire_pgtable *pt, quire_uaddr_t start, quire_uaddr_t end)
{
	const struct quire_pgfmt *fmt = FMT(pt->fmt);
	struct quire *q = pt->q;
	quire_uaddr_t addr = start;
	struct quire_cursor c;

	quire_cursor_open(&c, pt, start, end, 0);
	while (addr < end) {
		struct quire_page *leaf;
		void *entries;
		bool empty;

		quire_grace_enter(q);
		leaf = quire_walk_next_leaf(pt, &addr, end, &entries);
		empty = leaf && table_is_empty(leaf);
		quire_grace_leave(q);
		if (!leaf)
			break;
		if (empty)
			gather_empty_tables(&c, addr, 0);
		addr = table_base(fmt, 0, addr) + (UINT64_C(1) << table_shift(fmt, 0));
	}
	quire_cursor_close(&c);
}
