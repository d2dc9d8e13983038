/* SPDX-License-Identifier: MIT */
/*
 * What the files of this room share: reading and writing entries whatever their width, the
 * arithmetic of levels, and the walk. Not for other rooms.
 *
 * Who may do what to a table:
 *   read an entry    anybody, under a grace period or with any lock that keeps the table linked
 *   change an entry  whoever holds the table's lock; the hardware sets A and D whenever it likes
 *   link a table     under the parent's lock
 *   unlink a table   under the parent's lock and the table's own, when it is empty
 *   move a table     under both parents' locks, its own and that of the empty one whose place it takes
 *
 * Locks are taken parent before child and, within a level, lower address before higher.
 */
#ifndef QUIRE_PGTABLE_INTERNAL_H
#define QUIRE_PGTABLE_INTERNAL_H

#include <quire/quire.h>
#include <pgtable/entry.h>

/* ---- Levels ------------------------------------------------------------------------------ */

static inline unsigned root_level(const struct quire_pgfmt *fmt)
{
	return fmt->levels - 1u;
}

static inline unsigned entry_index(const struct quire_pgfmt *fmt, unsigned level, uint64_t addr)
{
	const struct quire_pgfmt *e = ENTRY_FMT(fmt);

	return (unsigned)(addr >> e->shift[level]) & ((1u << e->bits[level]) - 1);
}

static inline unsigned nr_entries(const struct quire_pgfmt *fmt, unsigned level)
{
	return 1u << ENTRY_FMT(fmt)->bits[level];
}

/* log2 of what a whole table at level covers. */
static inline unsigned table_shift(const struct quire_pgfmt *fmt, unsigned level)
{
	const struct quire_pgfmt *e = ENTRY_FMT(fmt);

	return (unsigned)e->shift[level] + e->bits[level];
}

/* First address that the table at level around addr covers. */
static inline uint64_t table_base(const struct quire_pgfmt *fmt, unsigned level, uint64_t addr)
{
	unsigned shift = table_shift(fmt, level);

	return shift >= 64 ? 0 : addr >> shift << shift;
}

/* ---- Entries in memory ------------------------------------------------------------------- */

/*
 * Tables lie in memory that the CPU always reaches, so no temporary mapping is involved. Loads are
 * acquiring: what hangs below an entry was written before the entry was.
 */
static inline void *table_entries(struct quire *q, quire_pfn_t pfn)
{
	return quire_port_phys_to_virt(q, pfn << QUIRE_PAGE_SHIFT);
}

/*
 * An entry of 64 bits on a machine of 32 (PAE) is read and written in one piece too, or the hardware
 * would use one half of the old and one of the new. Compilers leave that to a library with a lock,
 * which the hardware does not take, or do it in a floating-point register, which a kernel does not
 * have; so here is the instruction that can. CLC is for QEMU before 8.0, which otherwise may take the
 * operand of an arithmetic instruction before it for the flags, VM and IF among them; an interrupt that
 * comes next is then a general protection fault, and that one a double fault.
 */
#if defined(__i386__)
static inline bool entry64_cmpxchg(uint64_t *entry, uint64_t *old, uint64_t pte)
{
	bool done;

	QUIRE_SCHED_POINT(entry, 1);
	__asm__ volatile("clc; lock cmpxchg8b %1"
			 : "=@ccz"(done), "+m"(*entry), "+A"(*old)
			 : "b"((uint32_t)pte), "c"((uint32_t)(pte >> 32))
			 : "memory");
	return done;
}

static inline uint64_t entry64_exchange(uint64_t *entry, uint64_t pte)
{
	uint64_t old = 0;

	while (!entry64_cmpxchg(entry, &old, pte))
		;
	return old;
}

static inline void entry64_store(uint64_t *entry, uint64_t pte)
{
	(void)entry64_exchange(entry, pte);
}

/*
 * Without the lock: a compare with 0 that puts 0 there changes nothing. What somebody fills or empties half by half is
 * empty as long as its low half is 0, as that of no other is.
 */
static inline uint64_t entry64_load(const uint64_t *entry)
{
	uint64_t old = 0;

	(void)entry64_cmpxchg((uint64_t *)(uintptr_t)entry, &old, 0);
	return (uint32_t)old ? old : 0;
}

/*
 * With the table's lock. P and what the hardware sets, A and D, are in the low half, so the other half stands still, and
 * what is not present may be written half by half, the one with P last.
 */
static inline quire_half_t *entry64_half(const uint64_t *entry, unsigned high)
{
	return (quire_half_t *)(uintptr_t)entry + high;
}

static inline uint64_t entry64_get(const uint64_t *entry)
{
	return (uint64_t)quire_load(entry64_half(entry, 1)) << 32 | quire_load(entry64_half(entry, 0));
}

static inline void entry64_fill(uint64_t *entry, uint64_t pte)
{
	quire_store_release(entry64_half(entry, 1), (uint32_t)(pte >> 32));
	quire_store_release(entry64_half(entry, 0), (uint32_t)pte);
}

static inline uint64_t entry64_clear(uint64_t *entry)
{
	uint32_t low = quire_exchange(entry64_half(entry, 0), 0u);
	uint32_t high = quire_load(entry64_half(entry, 1));

	quire_store(entry64_half(entry, 1), 0u);
	return (uint64_t)high << 32 | low;
}

static inline void entry64_clear_absent(uint64_t *entry)
{
	quire_store_release(entry64_half(entry, 0), 0u);
	quire_store_release(entry64_half(entry, 1), 0u);
}

/* *old was read with the lock. */
static inline bool entry64_change(uint64_t *entry, uint64_t *old, uint64_t pte)
{
	uint32_t low = (uint32_t)*old;
	bool done;

	if ((*old ^ pte) >> 32)
		return entry64_cmpxchg(entry, old, pte);
	done = quire_cmpxchg(entry64_half(entry, 0), &low, (uint32_t)pte);
	*old = (*old >> 32 << 32) | low;
	return done;
}

/*
 * Presence, what stands for it meanwhile, and USER are in the low half: then the other goes along unseen. What these do is said
 * at entry_hide() and entry_carry().
 */
static inline bool is_low(const struct quire_pgfmt *format, struct pte_change c)
{
	const struct quire_pgfmt *fmt = ENTRY_FMT(format);
	const unsigned user = quire_ffs64(QUIRE_PTE_USER);

	return fmt->entry_bytes == 8 && !fmt->clean && !fmt->veto[0].set &&
	       !((c.clear | c.set | c.hide | c.show | fmt->bit[user].grant | fmt->bit[user].deny) >> 32);
}

static inline bool entry64_hide_low(const struct quire_pgfmt *fmt, uint64_t *entry, struct pte_change c)
{
	quire_half_t *half = entry64_half(entry, 0);
	uint32_t pte = quire_load(half);

	if (!pte_present(fmt, pte))
		return false;
	while (!quire_cmpxchg(half, &pte, (uint32_t)pte_changed(fmt, c, pte)))
		;
	return true;
}

static inline bool entry64_carry_low(const struct quire_pgfmt *fmt, uint64_t *from, uint64_t *to,
				     struct pte_change c)
{
	uint32_t pte = quire_load(entry64_half(from, 0));

	if (!pte_is_hidden(fmt, pte))
		return false;
	quire_store_release(entry64_half(to, 1), quire_load(entry64_half(from, 1)));
	quire_store_release(entry64_half(to, 0), (uint32_t)pte_changed(fmt, c, pte));
	quire_store_release(entry64_half(from, 0), 0u);
	quire_store_release(entry64_half(from, 1), 0u);
	return true;
}

/* For scans: whatever is found is loaded again by who uses it. */
static inline uint64_t entry64_peek(const uint64_t *entry)
{
	return quire_peek(entry64_half(entry, 0)) | quire_peek(entry64_half(entry, 1));
}

#define entry64_scan(entry) entry64_peek(entry)
#else
#define entry64_cmpxchg(entry, old, pte) quire_cmpxchg(entry, old, pte)
#define entry64_exchange(entry, pte) quire_exchange(entry, pte)
#define entry64_store(entry, pte) quire_store_release(entry, pte)
#define entry64_load(entry) quire_load_acquire(entry)
#define entry64_peek(entry) quire_peek(entry)
#define entry64_scan(entry) quire_load(entry)
#define entry64_get(entry) quire_load_acquire(entry)
#define entry64_fill(entry, pte) quire_store_release(entry, pte)
#define entry64_clear(entry) quire_exchange(entry, (uint64_t)0)
#define entry64_clear_absent(entry) quire_store_release(entry, (uint64_t)0)
#define entry64_change(entry, old, pte) quire_cmpxchg(entry, old, pte)
#define is_low(fmt, c) false
#define entry64_hide_low(fmt, entry, c) false
#define entry64_carry_low(fmt, from, to, c) false
#endif

static inline quire_pte_t entry_load(const struct quire_pgfmt *fmt, const void *entries, unsigned i)
{
	if (ENTRY_FMT(fmt)->entry_bytes == 8)
		return entry64_load((const uint64_t *)entries + i);
	return quire_load_acquire((const uint32_t *)entries + i);
}

/* The same with the table's lock. */
static inline quire_pte_t entry_get(const struct quire_pgfmt *fmt, const void *entries, unsigned i)
{
	if (ENTRY_FMT(fmt)->entry_bytes == 8)
		return entry64_get((const uint64_t *)entries + i);
	return quire_load_acquire((const uint32_t *)entries + i);
}

/* With the table's lock: where nothing is. */
static inline void entry_fill(const struct quire_pgfmt *fmt, void *entries, unsigned i, quire_pte_t pte)
{
	if (ENTRY_FMT(fmt)->entry_bytes == 8)
		entry64_fill((uint64_t *)entries + i, pte);
	else
		quire_store_release((uint32_t *)entries + i, (uint32_t)pte);
}

/* With the table's lock. Returns what was there, with all marks of the hardware. */
static inline quire_pte_t entry_clear(const struct quire_pgfmt *fmt, void *entries, unsigned i)
{
	if (ENTRY_FMT(fmt)->entry_bytes == 8)
		return entry64_clear((uint64_t *)entries + i);
	return quire_exchange((uint32_t *)entries + i, 0u);
}

/* The same where nothing is present. */
static inline void entry_clear_absent(const struct quire_pgfmt *fmt, void *entries, unsigned i)
{
	if (ENTRY_FMT(fmt)->entry_bytes == 8)
		entry64_clear_absent((uint64_t *)entries + i);
	else
		quire_store_release((uint32_t *)entries + i, 0u);
}

static inline void entry_store(const struct quire_pgfmt *fmt, void *entries, unsigned i,
			       quire_pte_t pte)
{
	if (ENTRY_FMT(fmt)->entry_bytes == 8)
		entry64_store((uint64_t *)entries + i, pte);
	else
		quire_store_release((uint32_t *)entries + i, (uint32_t)pte);
}

static inline quire_pte_t entry_exchange(const struct quire_pgfmt *fmt, void *entries, unsigned i,
					 quire_pte_t pte)
{
	if (ENTRY_FMT(fmt)->entry_bytes == 8)
		return entry64_exchange((uint64_t *)entries + i, pte);
	return quire_exchange((uint32_t *)entries + i, (uint32_t)pte);
}

/* With the table's lock, under which *old was read. On failure *old is what stands there now. */
static inline bool entry_cmpxchg(const struct quire_pgfmt *fmt, void *entries, unsigned i,
				 quire_pte_t *old, quire_pte_t pte)
{
	uint32_t old32 = (uint32_t)*old;
	bool done;

	if (ENTRY_FMT(fmt)->entry_bytes == 8)
		return entry64_change((uint64_t *)entries + i, old, pte);
	done = quire_cmpxchg((uint32_t *)entries + i, &old32, (uint32_t)pte);
	*old = old32;
	return done;
}

/*
 * With the table's lock: a present entry loses READ, that is, presence, and nothing else. Then it is hidden. False: it was not
 * present.
 */
static inline bool entry_hide(const struct quire_pgfmt *fmt, void *entries, unsigned i)
{
	const struct pte_change c = pte_removal(fmt, QUIRE_PTE_READ);
	quire_pte_t pte;

	if (is_low(fmt, c))
		return entry64_hide_low(fmt, (uint64_t *)entries + i, c);
	pte = entry_get(fmt, entries, i);
	if (!pte_present(fmt, pte))
		return false;
	while (!entry_cmpxchg(fmt, entries, i, &pte, pte_changed(fmt, c, pte)))
		;
	return true;
}

/*
 * With both tables' locks: a hidden entry goes to where nothing is and gets its presence back. The hardware does not write what
 * is not present: stores are enough. False: it was not hidden.
 */
static inline bool entry_carry(const struct quire_pgfmt *fmt, void *src, unsigned from, void *dst,
			       unsigned to)
{
	const struct pte_change c = pte_addition(fmt, QUIRE_PTE_READ);
	quire_pte_t pte;

	if (is_low(fmt, c))
		return entry64_carry_low(fmt, (uint64_t *)src + from, (uint64_t *)dst + to, c);
	pte = entry_get(fmt, src, from);
	if (!pte_is_hidden(fmt, pte))
		return false;
	entry_fill(fmt, dst, to, pte_changed(fmt, c, pte));
	entry_clear_absent(fmt, src, from);
	return true;
}

/* Whoever holds the table's lock knows: only he fills and empties. */
static inline bool entry_is_used(const struct quire_pgfmt *fmt, const void *entries, unsigned i)
{
	if (ENTRY_FMT(fmt)->entry_bytes == 8)
		return entry64_peek((const uint64_t *)entries + i) != 0;
	return quire_peek((const uint32_t *)entries + i) != 0;
}

/* First i <= k <= last whose entry is not zero; last + 1 if none. */
static inline unsigned entry_scan(const struct quire_pgfmt *fmt, const void *entries, unsigned i,
				  unsigned last)
{
	if (ENTRY_FMT(fmt)->entry_bytes == 8) {
		const uint64_t *e = entries;

		/* What is found is looked at again. */
		while (i + 7 <= last) {
			if (entry64_peek(&e[i]) | entry64_peek(&e[i + 1]) | entry64_peek(&e[i + 2]) |
			    entry64_peek(&e[i + 3]) | entry64_peek(&e[i + 4]) |
			    entry64_peek(&e[i + 5]) | entry64_peek(&e[i + 6]) |
			    entry64_peek(&e[i + 7]))
				break;
			i += 8;
		}
		while (i <= last && !entry64_scan(&e[i]))
			i++;
	} else {
		const uint32_t *e = entries;

		while (i <= last && !quire_load(&e[i]))
			i++;
	}
	return i;
}

/* ---- Tables ------------------------------------------------------------------------------ */

/*
 * A table that goes to another place is hidden there until the old one is flushed: software finds it, the hardware does
 * not. Its entry lacks this bit then.
 */
static inline quire_pte_t pte_table_shown(const struct quire_pgfmt *fmt)
{
	const struct quire_pgfmt *e = ENTRY_FMT(fmt);
	const quire_pte_t bits = e->table & e->table_mask & e->present;

	return bits & (~bits + 1);
}

/* An entry above level 0 that points to a table, which may be hidden. */
static inline bool pte_is_table(const struct quire_pgfmt *fmt, quire_pte_t pte)
{
	const struct quire_pgfmt *e = ENTRY_FMT(fmt);
	const quire_pte_t mask = e->table_mask & ~pte_table_shown(fmt);

	return pte && (pte & mask) == (e->table & mask);
}

/* An entry of a table at level that points to the table pfn. */
static inline quire_pte_t pte_table(const struct quire_pgfmt *fmt, unsigned level, quire_pfn_t pfn)
{
	const struct quire_pgfmt *e = ENTRY_FMT(fmt);

	return (pfn << quire_ffs64(e->address)) |
	       (level == root_level(fmt) ? e->table_root : e->table);
}

/* The kernel's own tables, rather than a user space's. */
static inline bool is_kernels(const struct quire_pgtable *pt)
{
	return pt->asid == 0;
}

/*
 * The tables that come and go are those at levels below this; those from here on live as long as the
 * space. What the kernel's root points to, other roots point to as well.
 */
static inline unsigned lowest_kept(const struct quire_pgtable *pt)
{
	const struct quire_pgfmt *fmt = FMT(pt->fmt);

	return root_level(fmt) - (fmt->root_fixed || is_kernels(pt) ? 1u : 0u);
}

/* The table's lock is its descriptor's aux. */
static inline struct quire_spinlock *table_lock(struct quire_page *table)
{
	return (struct quire_spinlock *)(void *)&table->aux;
}

_Static_assert(sizeof(struct quire_spinlock) == sizeof(((struct quire_page *)0)->aux),
	       "a table's lock is its aux");

/*
 * maps is written under the table's lock alone, and read anywhere. A cursor that lets go of the lock and will come back
 * counts as so many entries meanwhile: the table stays where it is.
 */
#define TABLE_PARKED 0x10000

static inline void table_count(struct quire_page *table, int by)
{
	quire_store(&table->maps, quire_load(&table->maps) + (uint32_t)by);
}

static inline bool table_is_empty(const struct quire_page *table)
{
	return quire_load(&table->maps) == 0;
}

static inline bool table_is_parked_in(const struct quire_page *table)
{
	return quire_load(&table->maps) >= TABLE_PARKED;
}

static inline bool table_is_stale(const struct quire_page *table)
{
	return quire_page_test(table, QUIRE_PG_STALE);
}

/* ---- Walks, links (table.c) ---------------------------------------------------------------- */

/*
 * The table at level that covers addr and where its entries lie, or NULL. Under a grace period: whoever
 * wants to change it locks it and looks whether it has become stale, or covers other addresses by now.
 */
struct quire_page *quire_walk_table(struct quire_pgtable *pt, quire_uaddr_t addr, unsigned level,
				    void **entries);

/*
 * The leaf table that covers the lowest address of [*addr, end) that any does; *addr goes up to the
 * first address of the range that it covers. NULL: none. Under a grace period.
 */
struct quire_page *quire_walk_next_leaf(struct quire_pgtable *pt, quire_uaddr_t *addr,
					quire_uaddr_t end, void **entries);

/*
 * Unlink the lowest table around addr if it is empty and of level lowest or above, then the one
 * above if that has emptied it, and so on below the root. They go onto tables, by lru. True if any
 * did. No table lock held.
 */
bool quire_tables_unlink(struct quire_pgtable *pt, quire_uaddr_t addr, unsigned lowest,
			 struct quire_list *tables);

/*
 * A table for level that covers base and up, empty, that nobody sees yet; NULL: no memory. And back again.
 */
struct quire_page *quire_table_new(struct quire_pgtable *pt, unsigned level, uint64_t base);
void quire_table_free_new(struct quire_pgtable *pt, struct quire_page *table, unsigned level);

/* Free unlinked tables after a grace period. The hardware has forgotten them: after the flush. */
void quire_tables_free(struct quire *q, struct quire_list *tables);

/* Whatever TLBs and caches of upper levels hold of the space goes. No table lock held. (cursor.c) */
void quire_flush_space(struct quire_pgtable *pt);

/* ---- The gather (cursor.c) --------------------------------------------------------------- */

static inline void gather_mark(struct quire_cursor *c, quire_uaddr_t start, quire_uaddr_t end)
{
	if (start < c->flush_start)
		c->flush_start = start;
	if (end > c->flush_end)
		c->flush_end = end;
	if (c->level < c->flush_level)
		c->flush_level = c->level;
	/* An entry's leaf is locked meanwhile: who finds the entry changed finds this. */
	if ((c->flags & QUIRE_CURSOR_TAKES) && !c->counted) {
		c->counted = true;
		(void)quire_fetch_add(&c->pt->taking, 1u);
	}
}

/* Unlink what quire_tables_unlink() finds at addr, and note what that means for the flush. */
static inline void gather_empty_tables(struct quire_cursor *c, quire_uaddr_t addr, unsigned lowest)
{
	if (!quire_tables_unlink(c->pt, addr, lowest, &c->tables))
		return;
	c->flush_tables = true;
	gather_mark(c, addr, addr + QUIRE_PAGE_SIZE);
}

#endif
