/* SPDX-License-Identifier: MIT */
/*
 * pgtable: page tables. A format is data: one struct quire_pgfmt says where the bits stand, one
 * walker serves all. The only way to the entries is the cursor, which locks one leaf table at a
 * time and carries the gather: what it takes out of the tables is freed only after the TLB flush.
 *
 * Sources: Intel SDM vol. 3A chapter 4.3 (32-bit paging), 4.4 (PAE), 4.5 (4- and 5-level paging);
 * Arm ARM (DDI 0487) D8.3 (VMSAv8-64 descriptors); RISC-V privileged architecture 12.3 to 12.6
 * (Sv32, Sv39, Sv48, Sv57).
 */
#ifndef QUIRE_PGTABLE_H
#define QUIRE_PGTABLE_H

#include <quire/page.h>

#define QUIRE_MAX_LEVELS 5

/* ---- Formats ----------------------------------------------------------------------------- */

/* What an entry says, whatever its bits are. */
typedef uint32_t quire_ptebits_t;
#define QUIRE_PTE_READ 0x001u
#define QUIRE_PTE_WRITE 0x002u
#define QUIRE_PTE_EXEC 0x004u
#define QUIRE_PTE_USER 0x008u
#define QUIRE_PTE_ACCESSED 0x010u
#define QUIRE_PTE_DIRTY 0x020u
#define QUIRE_PTE_GLOBAL 0x040u
#define QUIRE_PTE_LARGE 0x080u	 /* a leaf above the lowest level */
#define QUIRE_PTE_SPECIAL 0x100u /* software: the frame is not counted (zero page, device) */
#define QUIRE_PTE_LOCKED 0x200u	 /* software: of a LOCKED area, and counted as such in the page */
#define QUIRE_PTE_NR_BITS 10

/*
 * A bit that machines derive from several rights: set unless the entry has all of with and none of
 * without.
 */
struct quire_pteveto {
	quire_pte_t set;
	quire_ptebits_t with, without;
};

#define QUIRE_NR_VETOES 3

/*
 * One right or mark. An entry has it when all bits of grant are set and none of deny is; it is
 * given by setting grant and clearing deny, taken by the reverse. A format whose bit says
 * "read-only" or "no-execute" puts that bit into deny. Both zero: the format cannot say it, and no
 * entry has it. No bit belongs to two of them.
 */
struct quire_ptebit {
	quire_pte_t grant, deny;
};

/* What an entry is. Everything but PAGE (and TABLE) is not present for the hardware. */
enum quire_pte_kind {
	QUIRE_PTE_EMPTY,
	QUIRE_PTE_PAGE,	 /* maps a frame; PROT_NONE pages too, which the hardware sees as absent */
	QUIRE_PTE_TABLE, /* upper levels: points to a table */
	QUIRE_PTE_GUARD, /* madvise(MADV_GUARD_INSTALL): a fault here is SIGSEGV */
	QUIRE_PTE_SWAP,	 /* payload: where the page is */
};

/*
 * How the processor may keep what is behind a leaf: memory as such; stores gathered, never read ahead (a frame
 * buffer); nothing kept at all (a device's registers). Intel SDM vol. 3A 12.3; Arm ARM B2.10. RISC-V
 * leaves it to the machine's physical memory attributes: there the mode is not said.
 */
enum quire_cache_mode {
	QUIRE_CACHE_WB, /* write-back */
	QUIRE_CACHE_WC, /* write-combining */
	QUIRE_CACHE_UC, /* uncached */
	QUIRE_NR_CACHE_MODES
};

struct quire_pgfmt {
	const char *name;		 /* "x86_64", "x86_64-5level" and so on */
	uint8_t levels;			 /* levels of tables; level 0 holds the leaves */
	uint8_t entry_bytes;		 /* 4 or 8 */
	uint8_t va_bits;		 /* bits of a virtual address that count */
	bool va_signed;			 /* upper half is the sign extension (canonical) */
	uint8_t shift[QUIRE_MAX_LEVELS]; /* address bit at which a level's index begins */
	uint8_t bits[QUIRE_MAX_LEVELS];	 /* width of a level's index */
	uint8_t large_levels;		 /* mask: bit n: a leaf may stand at level n (n > 0) */
	bool root_fixed;		 /* the hardware reads the root's entries once, when it is
					  * loaded: they are made with the space and stay */
	quire_pte_t address;		 /* field with the frame number, lowest bit on lowest */
	quire_pte_t present;		 /* hardware: used when all are set; READ needs it */
	quire_pte_t protnone;	/* present not all set: a page nobody may touch. May be one of
					  * present's bits, if that has others */
	quire_pte_t leaf;	/* what an entry that maps a page has set whatever its rights:
					  * normal memory, shared by all CPUs */
	quire_pte_t table;	/* what an entry that points to a table has set */
	quire_pte_t table_root; /* ditto in the root */
	quire_pte_t table_mask; /* an upper entry that agrees with table in these is one; the lowest that is in
				 * present too: without it, it is one that the hardware does not use */
	struct quire_ptebit bit[QUIRE_PTE_NR_BITS]; /* in the order of QUIRE_PTE_* */
	struct quire_pteveto veto[QUIRE_NR_VETOES]; /* the first whose set is 0 ends them */
	quire_pte_t clean;	  /* 0, or the veto that keeps stores from pages that are not
					  * DIRTY: hardware that marks pages clears it in an entry with
					  * WRITE, so clear there means DIRTY */
	quire_pte_t soft_kind;	  /* neither present nor protnone: enum quire_pte_kind */
	quire_pte_t soft_payload; /* ditto: the payload */
	quire_pte_t cache
		[QUIRE_NR_CACHE_MODES]; /* what a leaf has set for each mode; together they are the
					  * field; all 0: it cannot say */
	bool kernel_apart; /* the kernel's addresses have a root of their own; else they stand in
					  * each space's root, above user_end */
	quire_uaddr_t user_end; /* first address that user space can never have */
};

/* Pages of 4 KiB unless something else is said. */
extern const struct quire_pgfmt quire_pgfmt_x86_64;	   /* 4 levels, 48 bits */
extern const struct quire_pgfmt quire_pgfmt_x86_64_5level; /* 5 levels, 57 bits */
extern const struct quire_pgfmt quire_pgfmt_i386;	   /* 2 levels, 32 bits; no EXEC */
extern const struct quire_pgfmt quire_pgfmt_pae;	   /* 3 levels, 32 bits */
extern const struct quire_pgfmt quire_pgfmt_aarch64;	   /* 4 levels, 48 bits */
extern const struct quire_pgfmt quire_pgfmt_aarch64_16k;   /* 4 levels, 48 bits, pages of 16 KiB */
extern const struct quire_pgfmt quire_pgfmt_aarch64_64k;   /* 3 levels, 48 bits, pages of 64 KiB */
extern const struct quire_pgfmt quire_pgfmt_sv32;	   /* RISC-V: 2 levels, 32 bits; no LARGE */
extern const struct quire_pgfmt quire_pgfmt_sv39;	   /* 3 levels, 39 bits; no LARGE */
extern const struct quire_pgfmt quire_pgfmt_sv48;	   /* 4 levels, 48 bits; no LARGE */
extern const struct quire_pgfmt quire_pgfmt_sv57;	   /* 5 levels, 57 bits; no LARGE */

quire_pte_t quire_pte_make(const struct quire_pgfmt *fmt, quire_pfn_t pfn, quire_ptebits_t bits);
/* Of a level-0 entry. */
enum quire_pte_kind quire_pte_kind(const struct quire_pgfmt *fmt, quire_pte_t pte);
quire_pfn_t quire_pte_pfn(const struct quire_pgfmt *fmt, quire_pte_t pte);
/* 0 unless a PAGE. */
quire_ptebits_t quire_pte_bits(const struct quire_pgfmt *fmt, quire_pte_t pte);
/*
 * Entry with exactly these rights (READ WRITE EXEC USER GLOBAL), marks (A, D, SPECIAL, LOCKED) kept. No
 * READ: a protnone entry, without any right.
 */
quire_pte_t quire_pte_modify(const struct quire_pgfmt *fmt, quire_pte_t pte,
			     quire_ptebits_t rights);
/*
 * READ added to a protnone entry makes it present, READ removed from a present one makes it
 * protnone; every other bit stays as it is, so that one undoes the other.
 */
quire_pte_t quire_pte_add(const struct quire_pgfmt *fmt, quire_pte_t pte, quire_ptebits_t bits);
quire_pte_t quire_pte_remove(const struct quire_pgfmt *fmt, quire_pte_t pte, quire_ptebits_t bits);
quire_pte_t quire_pte_soft(const struct quire_pgfmt *fmt, enum quire_pte_kind kind,
			   uint64_t payload);
uint64_t quire_pte_payload(const struct quire_pgfmt *fmt, quire_pte_t pte);

/* The leaf with that mode in place of its own; and the mode that it has. */
quire_pte_t quire_pte_set_cache(const struct quire_pgfmt *fmt, quire_pte_t pte,
				enum quire_cache_mode mode);
enum quire_cache_mode quire_pte_cache(const struct quire_pgfmt *fmt, quire_pte_t pte);

/* True if the entry has all of bits. */
static inline bool quire_pte_has(const struct quire_pgfmt *fmt, quire_pte_t pte,
				 quire_ptebits_t bits)
{
	return (quire_pte_bits(fmt, pte) & bits) == bits;
}

/* ---- A space's tables -------------------------------------------------------------------- */

/*
 * A table is one page of kind TABLE: owner is the struct quire_pgtable, index the first address
 * that it covers, aux its spin lock, maps the number of entries in use.
 * Equations (quire_pgtable_check()), for every table:
 *   maps == number of entries that are not zero
 *   flags has no QUIRE_PG_STALE while an entry points to it
 *   tables[level] == number of tables at that level
 */
struct quire_pgtable {
	struct quire *q;
	const struct quire_pgfmt *fmt;
	struct quire_page *root;
	void *root_entries;   /* where its entries lie; constant */
	uint64_t asid;	      /* unique among the living spaces of q; 0: the kernel's own */
	uint64_t lowest, end; /* the addresses that it is for: [lowest, end); constant */
	uint64_t tables[QUIRE_MAX_LEVELS];	  /* in use by level, root included; atomic */
	uint64_t cpus[(QUIRE_NR_CPUS + 63) / 64]; /* that may hold entries; atomic */
	uint64_t flushes; /* TLB flushes asked for; atomic; for statistics */
	uint32_t taking;  /* cursors with QUIRE_CURSOR_TAKES that have not flushed all
					    * that they took; atomic */
	uint32_t moving;  /* leaf tables have gone to another place, and CPUs may still find them at the old
			   * one; atomic */
	struct quire_list link; /* of spaces whose roots have copies of the kernel's large leaves; the kernel's is the
				 * head; under its root's lock */
};

/*
 * An empty space. -ENOMEM; -EINVAL: the format's page size is not this build's, or the build is for
 * another format alone (QUIRE_PGFMT, QUIRE_PGFMT_DEEPEST).
 */
int quire_pgtable_init(struct quire *q, struct quire_pgtable *pt, const struct quire_pgfmt *fmt);

/*
 * The kernel's addresses, as numbers: the half with ones above (but for its last page), or what of 32 bits
 * user space does not have.
 */
void quire_kernel_range(const struct quire_pgfmt *fmt, quire_kaddr_t *lowest, quire_kaddr_t *end);

/*
 * The kernel's own tables, for its addresses [lowest, end), whole pages above user_end. There is one such set an
 * instance: where the format puts the kernel's addresses into every root (kernel_apart false), spaces made from then
 * on get its root's entries, and those that it gets later by quire_kernel_fault(). So a table that the root points
 * to is never unlinked. Flushes of it reach every CPU. -ENOMEM; -EINVAL: as quire_pgtable_init(), or the range is not
 * the kernel's; -EBUSY: there is one already.
 */
int quire_pgtable_init_kernel(struct quire *q, struct quire_pgtable *pt,
			      const struct quire_pgfmt *fmt, quire_kaddr_t lowest,
			      quire_kaddr_t end);

/*
 * A CPU that has pt loaded found no page at a kernel address (Linux: vmalloc_fault): not one that it may not
 * touch. If the kernel maps one there, pt's root gets what it may lack: 0, try the access again.
 * -EFAULT: the kernel maps none: a bad access. Any context, interrupt handlers too; takes no lock.
 */
int quire_kernel_fault(struct quire_pgtable *pt, quire_kaddr_t addr);

/* Free every table. No entry may be in use, no CPU may have it loaded; after a full flush. */
void quire_pgtable_destroy(struct quire_pgtable *pt);

/* This CPU begins (before it loads the root) or has ceased (after it flushed) to use the space. */
void quire_pgtable_load(struct quire_pgtable *pt, unsigned cpu);
void quire_pgtable_unload(struct quire_pgtable *pt, unsigned cpu);

/* Physical address of the top table, for the MMU's register. */
quire_paddr_t quire_pgtable_root(const struct quire_pgtable *pt);

/*
 * Make all tables that leaves of [start, end) need. -ENOMEM: what was made and is empty has been
 * taken away again. Concurrent calls are fine. A table made here may be freed again by a concurrent
 * cursor with QUIRE_CURSOR_TRIM as long as it is empty: callers that are not the writer look again,
 * and ask for one leaf at a time. The writer's are freed by nobody but the writer. May sleep.
 */
int quire_tables_populate(struct quire_pgtable *pt, quire_uaddr_t start, quire_uaddr_t end);

/* The same down to the tables at level only: for leaves that stand there. */
int quire_tables_populate_level(struct quire_pgtable *pt, quire_uaddr_t start, quire_uaddr_t end,
				unsigned level);

/*
 * If a large leaf covers addr, put a table of smaller leaves that say the same in its place, and so on down to level.
 * Nothing changes for an access, so nothing is flushed; a change of one of them afterwards flushes its
 * own address, which drops the large entry from a TLB too. -ENOMEM: addr is covered by leaves as small as memory
 * sufficed for. May sleep. On AArch64 only where the hardware copes with the change of size (FEAT_BBM level 2).
 */
int quire_tables_split(struct quire_pgtable *pt, quire_uaddr_t addr, unsigned level);

/*
 * The leaf entry over addr and the level it stands at; 0 with the level at which the tables end. A look without
 * a lock, under a grace period (Linux: lookup_address).
 */
quire_pte_t quire_pgtable_lookup(struct quire_pgtable *pt, quire_uaddr_t addr, unsigned *level);

/* Drop what TLBs hold of [start, end), which cursors with QUIRE_CURSOR_LAZY have left there. */
void quire_pgtable_flush(struct quire_pgtable *pt, quire_uaddr_t start, quire_uaddr_t end);

/*
 * One entry of the kernel's tables for one owner to change as often as it likes, without lock or count: a slot of the
 * fixmap. Never empty for the tables: what maps nothing is a GUARD.
 */
struct quire_pteslot {
	void *entry;
};

/* Make the slot at addr, which is mapped by nothing. -ENOMEM. May sleep. */
int quire_pteslot_init(struct quire_pgtable *pt, quire_kaddr_t addr, struct quire_pteslot *slot);

/* One store; pte 0: nothing is mapped. The owner flushes: quire_port_tlb_flush_local() or more. Any context. */
void quire_pteslot_set(struct quire_pgtable *pt, struct quire_pteslot slot, quire_pte_t pte);
quire_pte_t quire_pteslot_get(struct quire_pgtable *pt, struct quire_pteslot slot);

/* Free the empty tables of [start, end); the flush is done inside. May sleep. */
void quire_tables_trim(struct quire_pgtable *pt, quire_uaddr_t start, quire_uaddr_t end);

/*
 * Make the tables at [to, to + len) that the leaf tables which now exist in [from, from + len) need
 * in order to be moved there: a sparse range costs what it holds, not what it spans. Otherwise as
 * quire_tables_populate().
 */
int quire_tables_populate_like(struct quire_pgtable *pt, quire_uaddr_t from, quire_uaddr_t to,
			       uint64_t len);

/*
 * Move every entry of [from, from + len) to the same offset at to. The source is flushed before an
 * entry can be used at its new place. Tables at the destination exist wherever the source has
 * entries (quire_tables_populate_like()); its entries are empty; the ranges do not overlap; nobody
 * makes new entries at either. Cannot fail. May sleep.
 * While it runs, an entry at the source may read as PAGE without READ (hardware cannot use it);
 * each stands at one of its two places at any time, and both are changed under both leaf locks,
 * which are taken in address order. Where both ranges have the same offset in a leaf table, whole tables change places with
 * the empty ones at the destination; the hardware sees them there after the flush.
 */
void quire_tables_move(struct quire_pgtable *pt, quire_uaddr_t from, quire_uaddr_t to,
		       uint64_t len);

/* What VmPTE shows: bytes of all tables but the top one and, with five levels, those below it. */
uint64_t quire_pgtable_bytes(const struct quire_pgtable *pt);

/* The leaf entry at addr, or 0; a look without a lock, under a grace period. */
quire_pte_t quire_pgtable_peek(struct quire_pgtable *pt, quire_uaddr_t addr);

/* A leaf table that was found without a lock; for as long as the grace period goes on. */
struct quire_leaf {
	struct quire_page *table; /* NULL: none */
	void *entries;
};

/* The same; and the table in which it looked, for quire_cursor_seek_leaf(). */
quire_pte_t quire_pgtable_peek_leaf(struct quire_pgtable *pt, quire_uaddr_t addr, struct quire_leaf *leaf);

/* Walks all tables; the space must be quiet. */
quire_broken_t quire_pgtable_check(struct quire_pgtable *pt);

/* ---- The cursor -------------------------------------------------------------------------- */

#define QUIRE_CURSOR_TRIM 0x1u /* free tables that are empty when the cursor leaves them */
/*
 * Takes pages or rights away, and answers for the whole range: when it is closed, no CPU can use
 * what the range's entries do not give, even if it was another such cursor that changed them and is
 * yet to flush.
 */
#define QUIRE_CURSOR_TAKES 0x2u
/* Closes without a flush, which is owed: quire_pgtable_flush(). Gathers nothing: the caller keeps pages until then. */
#define QUIRE_CURSOR_LAZY 0x4u

#define QUIRE_GATHER_PAGES 62

/*
 * A cursor over [start, end) of one space. Between next_leaf() or seek() and the next move or
 * close it holds one leaf table's lock (a spin lock, preemption off): nothing in between may
 * sleep. next_leaf() and close() may flush, so neither may be called with another spin lock held
 * (a second cursor's leaf included).
 *
 *	quire_cursor_open(&c, pt, start, end, 0);
 *	while (quire_cursor_next_leaf(&c))
 *		for (a = c.leaf_start; a < c.leaf_end; a += QUIRE_PAGE_SIZE)
 *			... quire_cursor_get(&c, a) ...
 *	quire_cursor_close(&c);
 */
struct quire_cursor {
	/* input */
	struct quire_pgtable *pt;
	quire_uaddr_t start, end; /* page aligned, within [pt->lowest, pt->end] */
	uint32_t flags;		  /* QUIRE_CURSOR_* */
	/* derived: where it stands */
	quire_uaddr_t pos;		    /* where next_leaf() goes on looking */
	struct quire_page *leaf;	    /* locked table, or NULL */
	uint32_t level;			    /* of that table; 0 but after seek_level() */
	void *entries;			    /* its entries */
	quire_uaddr_t leaf_start, leaf_end; /* the part of the range that this leaf covers */
	/* the gather */
	quire_uaddr_t flush_start, flush_end; /* what must be flushed; empty if start >= end */
	bool flush_tables;
	uint32_t flush_level;                 /* the lowest at which a leaf has changed */
	bool counted; /* in pt->taking */
	uint32_t nr_pages;
	struct quire_page *pages[QUIRE_GATHER_PAGES]; /* to be put after the flush */
	struct quire_list tables; /* unlinked, to be freed after flush and grace */
};

void quire_cursor_open(struct quire_cursor *c, struct quire_pgtable *pt, quire_uaddr_t start,
		       quire_uaddr_t end, uint32_t flags);

/* Go to the next leaf table that exists at or after where the cursor stands; false at the end. */
bool quire_cursor_next_leaf(struct quire_cursor *c);

/* Go to the leaf that covers addr; false if there is none (then no lock is held). */
bool quire_cursor_seek(struct quire_cursor *c, quire_uaddr_t addr);

/*
 * The same from where quire_pgtable_peek_leaf() has been, for the same addr and in the same grace period: that table, if it still is one
 * when it is locked. The cursor stands nowhere.
 */
bool quire_cursor_seek_leaf(struct quire_cursor *c, quire_uaddr_t addr, const struct quire_leaf *leaf);

/*
 * Go to the table at level that covers addr, whose entries are large leaves, tables or empty: for the
 * kernel's tables. false if there is none, a larger leaf perhaps. Entries that point to tables are not to be changed.
 */
bool quire_cursor_seek_level(struct quire_cursor *c, quire_uaddr_t addr, unsigned level);

/* The entry at addr, leaf_start <= addr < leaf_end. */
quire_pte_t quire_cursor_get(struct quire_cursor *c, quire_uaddr_t addr);

/* First address >= addr in this leaf whose entry is not zero; leaf_end if none. */
quire_uaddr_t quire_cursor_next_used(struct quire_cursor *c, quire_uaddr_t addr);

/* Fill an empty entry, or replace one by an entry with more rights to the same frame. No flush. */
void quire_cursor_set(struct quire_cursor *c, quire_uaddr_t addr, quire_pte_t pte);

/*
 * Replace any entry; marks the address for the flush. Returns the old entry, with the accessed and
 * dirty bits it had in the end (one atomic exchange).
 */
quire_pte_t quire_cursor_replace(struct quire_cursor *c, quire_uaddr_t addr, quire_pte_t pte);

/*
 * Give and take marks of an entry that maps a page which mean nothing to the hardware (LOCKED). No
 * flush.
 */
void quire_cursor_mark(struct quire_cursor *c, quire_uaddr_t addr, quire_ptebits_t give,
		       quire_ptebits_t take);

/* Empty an entry; otherwise as quire_cursor_replace(). */
quire_pte_t quire_cursor_clear(struct quire_cursor *c, quire_uaddr_t addr);

/*
 * Change rights of a PAGE entry, atomically against the hardware setting A and D; marks for the
 * flush if rights go.
 */
void quire_cursor_protect(struct quire_cursor *c, quire_uaddr_t addr, quire_ptebits_t rights);

/*
 * Take one reference of page over: it is put after the flush. If the gather is full the leaf lock
 * is dropped, flushed and taken again, so call it after the entry was cleared and expect other
 * entries to have changed. The leaf stays where it is meanwhile.
 */
void quire_cursor_put_page(struct quire_cursor *c, struct quire_page *page);

/* Let the leaf go and stand nowhere; what was gathered stays for close. */
void quire_cursor_leave(struct quire_cursor *c);

/* Unlock, flush, free: in that order. May sleep. */
void quire_cursor_close(struct quire_cursor *c);

#endif
