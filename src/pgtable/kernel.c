/* SPDX-License-Identifier: MIT */
/*
 * What only the kernel's own tables need: other spaces' roots that learn of them, large leaves that are
 * split, and slots whose owners change them without a lock. Called by src/kva/ and by a host's page-fault
 * handler. Never takes a page away.
 *
 * Most formats give the kernel a part of every space's root, so that a system call needs no other
 * tables. There are two ways to keep these parts the same, and a set of kernel tables uses both:
 *
 *   made before   what the kernel's root points to when a space is made is in the space's root too;
 *                 with three levels or more that can be everything, for a page a gigabyte
 *   made later    a CPU that misses an entry faults, and the handler copies it
 *
 * An entry of the kernel's root, once there, stays and never changes, so a copy is never wrong. The one
 * exception is a large leaf in the root itself, which only formats of two levels have: when it is
 * split, all roots get the table in its place, under the lock of the kernel's. Such a leaf is made before
 * the first space, and is never changed in another way.
 */
#include "internal.h"

/* ---- Roots that learn -------------------------------------------------------------------- */

int quire_kernel_fault(struct quire_pgtable *pt, quire_kaddr_t addr)
{
	const struct quire_pgfmt *fmt = FMT(pt->fmt);
	const struct quire_pgtable *kernel = pt->q->kernel;
	const unsigned root = root_level(fmt), i = entry_index(fmt, root, addr);
	struct quire *q = pt->q;
	quire_pte_t leaf, pte;
	unsigned level;

	if (!kernel || pt == kernel || kernel->fmt != fmt || fmt->kernel_apart)
		return -QUIRE_EFAULT;
	quire_grace_enter(q);
	leaf = quire_pgtable_lookup(q->kernel, addr, &level);
	quire_grace_leave(q);
	if (!pte_present(fmt, leaf))
		return -QUIRE_EFAULT;
	/*
	 * Another CPU in this space may have been faster. That the entry is there already is no error
	 * then, nor otherwise: the page may have been mapped since the access.
	 */
	pte = entry_load(fmt, table_entries(q, quire_page_to_pfn(q, kernel->root)), i);
	entry_store(fmt, table_entries(q, quire_page_to_pfn(q, pt->root)), i, pte);
	return 0;
}

/* ---- Large leaves ------------------------------------------------------------------------ */

/* Entry k of the table that stands for the large leaf pte of level. */
static quire_pte_t smaller_leaf(const struct quire_pgfmt *fmt, quire_pte_t pte, unsigned level,
				unsigned k)
{
	quire_pfn_t pfn =
		pte_pfn(fmt, pte) + ((quire_pfn_t)k << (fmt->shift[level - 1] - fmt->shift[0]));
	quire_ptebits_t bits = quire_pte_bits(fmt, pte);

	if (level == 1)
		bits &= ~QUIRE_PTE_LARGE;
	return quire_pte_set_cache(fmt, quire_pte_make(fmt, pfn, bits), quire_pte_cache(fmt, pte));
}

static bool is_large_leaf(const struct quire_pgfmt *fmt, quire_pte_t pte)
{
	return pte_present(fmt, pte) && !pte_is_table(fmt, pte);
}

/* Entry i of the kernel's root has become pte, which says the same. The root is locked. */
static void tell_roots(struct quire_pgtable *kernel, unsigned i, quire_pte_t pte)
{
	const struct quire_pgfmt *fmt = FMT(kernel->fmt);
	struct quire_list *pos, *tmp;

	quire_list_for_each (pos, tmp, &kernel->link) {
		struct quire_pgtable *pt = quire_list_entry(pos, struct quire_pgtable, link);

		entry_store(fmt, table_entries(kernel->q, quire_page_to_pfn(kernel->q, pt->root)),
			    i, pte);
	}
}

/* The large leaf over addr at level becomes a table, unless somebody was faster. */
static int split_one(struct quire_pgtable *pt, quire_uaddr_t addr, unsigned level)
{
	const struct quire_pgfmt *fmt = FMT(pt->fmt);
	struct quire *q = pt->q;
	struct quire_page *child, *parent;
	bool done = false;
	void *entries, *into;
	quire_pte_t pte;
	unsigned i, k;

	child = quire_table_new(pt, level - 1, table_base(fmt, level - 1, addr));
	if (!child)
		return -QUIRE_ENOMEM;
	into = table_entries(q, quire_page_to_pfn(q, child));

	quire_grace_enter(q);
	parent = quire_walk_table(pt, addr, level, &entries);
	if (parent) {
		quire_spin_lock(q, table_lock(parent));
		i = entry_index(fmt, level, addr);
		pte = entry_load(fmt, entries, i);
		while (!done && !table_is_stale(parent) && is_large_leaf(fmt, pte)) {
			for (k = 0; k < nr_entries(fmt, level - 1); k++)
				entry_store(fmt, into, k, smaller_leaf(fmt, pte, level, k));
			quire_store(&child->maps, nr_entries(fmt, level - 1));
			/* The hardware may mark the leaf meanwhile. */
			done = entry_cmpxchg(fmt, entries, i, &pte,
					     pte_table(fmt, level, quire_page_to_pfn(q, child)));
		}
		if (done && parent == pt->root)
			tell_roots(pt, i, entry_load(fmt, entries, i));
		quire_spin_unlock(q, table_lock(parent));
	}
	quire_grace_leave(q);
	if (!done)
		quire_table_free_new(pt, child, level - 1);
	return 0;
}

int quire_tables_split(struct quire_pgtable *pt, quire_uaddr_t addr, unsigned level)
{
	const struct quire_pgfmt *fmt = FMT(pt->fmt);
	quire_pte_t pte;
	unsigned at;
	int err = 0;

	do {
		quire_grace_enter(pt->q);
		pte = quire_pgtable_lookup(pt, addr, &at);
		quire_grace_leave(pt->q);
		if (at <= level || !is_large_leaf(fmt, pte))
			return 0;
		err = split_one(pt, addr, at);
	} while (!err);
	return err;
}

/* ---- Slots ------------------------------------------------------------------------------- */

/* What stands in a slot that maps nothing: not 0, so that the table's count of entries stays. */
static quire_pte_t nothing(const struct quire_pgfmt *fmt)
{
	return quire_pte_soft(fmt, QUIRE_PTE_GUARD, 0);
}

int quire_pteslot_init(struct quire_pgtable *pt, quire_kaddr_t addr, struct quire_pteslot *slot)
{
	const struct quire_pgfmt *fmt = FMT(pt->fmt);
	struct quire_cursor c;
	int err = quire_tables_populate(pt, addr, addr + QUIRE_PAGE_SIZE);

	if (err)
		return err;
	quire_cursor_open(&c, pt, addr, addr + QUIRE_PAGE_SIZE, 0);
	if (quire_cursor_seek(&c, addr)) {
		quire_assert(pt->q, quire_cursor_get(&c, addr) == 0);
		quire_cursor_set(&c, addr, nothing(fmt));
		slot->entry =
			(char *)c.entries + (size_t)entry_index(fmt, 0, addr) * fmt->entry_bytes;
	}
	quire_cursor_close(&c);
	return 0;
}

void quire_pteslot_set(struct quire_pgtable *pt, struct quire_pteslot slot, quire_pte_t pte)
{
	const struct quire_pgfmt *fmt = FMT(pt->fmt);

	entry_store(fmt, slot.entry, 0, pte ? pte : nothing(fmt));
}

quire_pte_t quire_pteslot_get(struct quire_pgtable *pt, struct quire_pteslot slot)
{
	const struct quire_pgfmt *fmt = FMT(pt->fmt);
	quire_pte_t pte = entry_load(fmt, slot.entry, 0);

	return quire_pte_kind(fmt, pte) == QUIRE_PTE_PAGE ? pte : 0;
}
