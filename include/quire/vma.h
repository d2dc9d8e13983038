/* SPDX-License-Identifier: MIT */
/*
 * vma: the area (a stretch of one address space with one set of rights and one thing behind it)
 * and the index of a space's areas.
 *
 * Areas are immutable: nobody changes the bounds, flags, file or offset of an area that others can
 * see. A change builds new areas, splices them into the index in one step, marks the old ones dead
 * and frees them after a grace period. A reader who found an area holds a consistent value.
 */
#ifndef QUIRE_VMA_H
#define QUIRE_VMA_H

#include <quire/mempolicy.h>
#include <quire/slab.h>

struct quire_mm;
struct quire_vma;
struct quire_object;
struct quire_file;
struct quire_anon;

/* ---- Flags ------------------------------------------------------------------------------- */

/* Values as in Linux (include/linux/mm.h), x86; the text behind is the letter pair of smaps' VmFlags. */
#define QUIRE_VM_READ 0x00000001ull       /* rd */
#define QUIRE_VM_WRITE 0x00000002ull      /* wr */
#define QUIRE_VM_EXEC 0x00000004ull       /* ex */
#define QUIRE_VM_SHARED 0x00000008ull     /* sh */
#define QUIRE_VM_MAYREAD 0x00000010ull    /* mr */
#define QUIRE_VM_MAYWRITE 0x00000020ull   /* mw */
#define QUIRE_VM_MAYEXEC 0x00000040ull    /* me */
#define QUIRE_VM_MAYSHARE 0x00000080ull   /* ms */
#define QUIRE_VM_GROWSDOWN 0x00000100ull  /* gd */
#define QUIRE_VM_PFNMAP 0x00000400ull     /* pf */
#define QUIRE_VM_MAYBE_GUARD 0x00000800ull /* gu: guard entries were put into it once */
#define QUIRE_VM_LOCKED 0x00002000ull     /* lo */
#define QUIRE_VM_IO 0x00004000ull         /* io */
#define QUIRE_VM_SEQ_READ 0x00008000ull   /* sr */
#define QUIRE_VM_RAND_READ 0x00010000ull  /* rr */
#define QUIRE_VM_DONTCOPY 0x00020000ull   /* dc */
#define QUIRE_VM_DONTEXPAND 0x00040000ull /* de */
#define QUIRE_VM_LOCKONFAULT 0x00080000ull /* lf */
#define QUIRE_VM_ACCOUNT 0x00100000ull    /* ac */
#define QUIRE_VM_NORESERVE 0x00200000ull  /* nr */
#define QUIRE_VM_HUGETLB 0x00400000ull    /* ht */
#define QUIRE_VM_SYNC 0x00800000ull       /* sf */
#define QUIRE_VM_ARCH_1 0x01000000ull     /* ar */
#define QUIRE_VM_WIPEONFORK 0x02000000ull /* wf */
#define QUIRE_VM_DONTDUMP 0x04000000ull   /* dd */
#define QUIRE_VM_SOFTDIRTY 0x08000000ull  /* sd; never set here */
#define QUIRE_VM_MIXEDMAP 0x10000000ull   /* mm */
#define QUIRE_VM_HUGEPAGE 0x20000000ull   /* hg */
#define QUIRE_VM_NOHUGEPAGE 0x40000000ull /* nh */
#define QUIRE_VM_MERGEABLE 0x80000000ull  /* mg */
#define QUIRE_VM_DROPPABLE (1ull << 40)   /* dp */
#define QUIRE_VM_SEALED (1ull << 42)      /* sl */

#define QUIRE_VM_ACCESS_FLAGS (QUIRE_VM_READ | QUIRE_VM_WRITE | QUIRE_VM_EXEC)
#define QUIRE_VM_LOCKED_MASK (QUIRE_VM_LOCKED | QUIRE_VM_LOCKONFAULT)
/* Areas that differ in these merge all the same; the result has what either had. */
#define QUIRE_VM_STICKY (QUIRE_VM_SOFTDIRTY | QUIRE_VM_MAYBE_GUARD)
#define QUIRE_VM_SPECIAL (QUIRE_VM_IO | QUIRE_VM_DONTEXPAND | QUIRE_VM_PFNMAP | QUIRE_VM_MIXEDMAP)

/* ---- The area ---------------------------------------------------------------------------- */

enum quire_fault_code;

/* A fault handed to an area's owner; see quire_fault() for how the answer becomes a signal. */
struct quire_vmf {
	struct quire_vma *vma;
	quire_uaddr_t address; /* page aligned */
	uint64_t pgoff;        /* page number within what is mapped */
	uint32_t access;       /* QUIRE_ACCESS_* */
	struct quire_page *page; /* output: a page with one reference for the handler to map, or NULL */
	quire_pfn_t pfn;       /* output if page is NULL and the answer 0: a raw frame (PFNMAP, MIXEDMAP) */
};

/*
 * What a driver or file system gives an area. Every pointer may be NULL. May sleep; called without
 * spin locks and outside grace periods; open, close, may_split under the space's writer lock.
 */
struct quire_vm_ops {
	const char *name; /* what maps shows in place of a path, such as "[vvar]"; NULL: the file's path */
	/* A new area exists that nobody told about: by fork, by a split. Cannot fail. */
	void (*open)(struct quire_vma *vma);
	/* An area is gone: unmapped, exec, exit. Once for each area that mmap or open announced. Its presence forbids merging. */
	void (*close)(struct quire_vma *vma);
	/* About to be cut at addr: 0, or an errno that the whole call then returns. Nothing has changed yet. */
	int (*may_split)(struct quire_vma *vma, quire_uaddr_t addr);
	/* mremap is about to move it: 0 or an errno. */
	int (*mremap)(struct quire_vma *vma);
	/* Find the page behind vmf. 0 with page or pfn filled; -QUIRE_EFAULT: SIGBUS; -QUIRE_ENOMEM; -QUIRE_EAGAIN: try again. */
	int (*fault)(struct quire_vmf *vmf);
	/* A read-only shared page is about to become writable: 0 or an errno (SIGBUS). Page is locked. */
	int (*page_mkwrite)(struct quire_vmf *vmf);
	/* Access by another process (ptrace, /proc/PID/mem) where pages can't be had: bytes done or an errno. */
	int (*access)(struct quire_vma *vma, quire_uaddr_t addr, void *buf, size_t len, bool write);
	/*
	 * mbind gives all of vma, which may be a part of an area, this policy (NULL: default), for whoever maps what is
	 * behind it: 0 or an errno that the whole call then returns. Nothing has changed yet. Who keeps the policy
	 * keeps a reference of its own. Called again with the old policy if another area's refuses; the answer is not
	 * looked at then.
	 */
	int (*set_policy)(struct quire_vma *vma, struct quire_mempolicy *policy);
	/* What is in force at addr, in place of the area's own; NULL: none. In a grace period: may not sleep; the policy
	 * lasts as long. */
	struct quire_mempolicy *(*get_policy)(struct quire_vma *vma, quire_uaddr_t addr);
	/* migrate_pages() is about to move pages of these nodes (bit n: node n) to those: 0 or an errno, which ends the
	 * call. Under the space's writer lock. */
	int (*migrate)(struct quire_vma *vma, uint64_t from_nodes, uint64_t to_nodes);
};

enum quire_vma_state {
	QUIRE_VMA_NEW,   /* being built; only its maker sees it */
	QUIRE_VMA_ALIVE, /* in the index */
	QUIRE_VMA_BUSY,  /* in the index, but what it maps is still on its way: faults wait */
	QUIRE_VMA_DEAD,  /* out of the index; a fault that finds it starts again */
};

/*
 * Anonymous pages belong to an owner (Linux: anon_vma). An area gets its owner at its first private
 * write; fork gives the child area an owner of its own and a chain of all its ancestors'.
 * An area with no owner yet can be merged with one that has; two owners cannot.
 */
#define QUIRE_ANON_FROZEN ((struct quire_anon *)1) /* a writer is deciding about a merge: see quire_vma.anon */

struct quire_vma {
	quire_uaddr_t start, end;  /* bytes, page aligned, start < end; constant once ALIVE */
	uint64_t flags;            /* QUIRE_VM_*; constant once ALIVE */
	struct quire_mm *mm;       /* constant */
	uint64_t pgoff;            /* page number of start within file or object; private anonymous memory:
				    * start >> PAGE_SHIFT when mapped, kept by mremap; constant once ALIVE */
	struct quire_object *object; /* what is mapped: a file's cache, shared memory; NULL: private anonymous; holds a ref */
	struct quire_file *file;   /* the open file; NULL for anonymous memory; holds a reference */
	const struct quire_vm_ops *ops;
	void *private_data;        /* the ops' own */
	struct quire_mempolicy *policy; /* where its private pages come from; NULL: as for the thread; holds a reference;
				    * constant once ALIVE */
	struct quire_anon *anon;   /* owner of its private pages. Set once by a fault, under anon_lock while ALIVE,
				    * or by whoever builds it. A writer that is about to replace the
				    * area sets FROZEN in place of NULL; a fault that meets it waits and looks up again */
	struct quire_anon_chain *chain; /* owners whose pages may be in it, anon included; follows anon */
	uint32_t state;            /* enum quire_vma_state; release/acquire */
	uint32_t pins;             /* faults that are in its ops outside a grace period; atomic. Its driver is not told of its
				    * end, and it is not freed, before this is 0: see quire_vma_wait_pins() in src/mm */
	uint32_t plan_marks;       /* what a plan has in mind for it; writer only, 0 outside plans */
	uint64_t id;               /* unique in the space for ever: tells an area from a later one at its place */
	struct quire_list object_link; /* in object->areas, under object->lock */
	struct quire_list plan_link;   /* list of areas of a plan that is being made or undone; writer only */
	struct quire_deferred deferred; /* freed after a grace period */
};

static inline uint64_t quire_vma_pages(const struct quire_vma *vma)
{
	return (vma->end - vma->start) >> QUIRE_PAGE_SHIFT;
}

/* The page number (within file or object, or anonymous numbering) behind addr. */
static inline uint64_t quire_linear_page_index(const struct quire_vma *vma, quire_uaddr_t addr)
{
	return vma->pgoff + ((addr - vma->start) >> QUIRE_PAGE_SHIFT);
}

/* ---- The index --------------------------------------------------------------------------- */

/*
 * A B+-tree of areas by address that do not overlap, with the largest gap below each subtree.
 * Readers (find, prev, next, intersection, walk) run under a grace period or the writer lock and
 * see some state that was true at one moment, whatever a writer does meanwhile: a node that
 * readers can see changes by one store. Writers hold the owner's writer lock. Gap searches are for
 * writers only.
 *
 * Equations (quire_index_check()):
 *   entries are ordered, do not overlap, and each is exactly what its area's start and end say
 *   count == number of entries
 *   each pivot == the last page of the last area below it
 *   each node's gap == the largest free stretch below one of its areas, back to the area before
 *   every node but the root and those on the tree's left and right edge is at least a third full
 */
struct quire_index_node;

/* Where spaces end at the latest. Indices count pages in machine words: on 32 bits it is 16 TiB, less two pages. */
#define QUIRE_INDEX_END                                                                            \
	(__SIZEOF_POINTER__ < 8 ? UINT64_C(0xfffffffe) << QUIRE_PAGE_SHIFT : UINT64_MAX)

struct quire_index {
	struct quire_index_node *root; /* NULL: empty; readers load it with acquire */
	unsigned long changes;         /* commits so far: readers notice by it what happened meanwhile */
	uint64_t count;                /* areas */
	quire_uaddr_t end;             /* first address beyond the space: gaps end here */
	uint32_t height;               /* levels, that of the areas included; 0: empty; writers only */
};

/* The caches of nodes, two an instance; once, before any index. -ENOMEM. */
int quire_index_init_instance(struct quire *q);
/* end <= QUIRE_INDEX_END */
void quire_index_init(struct quire_index *ix, quire_uaddr_t end);

/* The area that holds addr or, if there is none, the next above it; NULL if none. Linux's find_vma. */
struct quire_vma *quire_index_find(const struct quire_index *ix, quire_uaddr_t addr);
/* The same, and in *prev the area before the answer (the last one, if the answer is NULL). */
struct quire_vma *quire_index_find_prev(const struct quire_index *ix, quire_uaddr_t addr,
					struct quire_vma **prev);
/* The first area that has a byte of [start, end); NULL if none. */
struct quire_vma *quire_index_intersection(const struct quire_index *ix, quire_uaddr_t start,
					   quire_uaddr_t end);
/* The last area that ends at or before addr; NULL if none. */
struct quire_vma *quire_index_before(const struct quire_index *ix, quire_uaddr_t addr);
struct quire_vma *quire_index_first(const struct quire_index *ix);
struct quire_vma *quire_index_last(const struct quire_index *ix);

/* Ordered walk: quire_index_walk_start(&w, ix, addr); while ((vma = quire_index_walk_next(&w))) ...
 * Readers whose walk outlives a change may miss or see both of what changed, never garbage, in ascending order. */
struct quire_index_walk {
	const struct quire_index *ix;
	const struct quire_index_node *leaf, *inner; /* where it stands, and the node above that, or NULL */
	uint64_t rest;         /* what is still to come of this leaf, see src/vma/index.h */
	uint32_t slot;         /* of leaf in inner */
	unsigned long changes; /* ix->changes when rest was read */
	quire_uaddr_t next;    /* areas below this were seen */
};
void quire_index_walk_start(struct quire_index_walk *w, const struct quire_index *ix, quire_uaddr_t addr);
struct quire_vma *quire_index_walk_next(struct quire_index_walk *w);

/*
 * The lowest (highest) address a in [low, high - size], aligned so that (a - offset) & (align - 1) == 0, where
 * [a, a + size) is free. Writer only. An area with QUIRE_VM_GROWSDOWN keeps guard bytes (see quire_vma_guard())
 * below it: they count as taken, as Linux's vm_start_gap() does, in the free stretch right below it. The search
 * for the highest, once it has met a guard where else it had found its place, looks only below
 * where that begins, beyond other areas too; so does Linux. -ENOMEM if there is none.
 */
struct quire_gap_request {
	quire_uaddr_t low, high;
	uint64_t size;   /* bytes, > 0 */
	uint64_t align;  /* power of two >= page */
	uint64_t offset; /* see above; < align */
	uint64_t guard;  /* bytes below GROWSDOWN areas that count as taken */
};
int quire_index_lowest_gap(const struct quire_index *ix, const struct quire_gap_request *rq, quire_uaddr_t *addr);
int quire_index_highest_gap(const struct quire_index *ix, const struct quire_gap_request *rq, quire_uaddr_t *addr);

/*
 * The one way to change an index: all areas that lie in [start, end) go, and new ones come in their
 * place, in one step for readers. start and end cut no area.
 *
 *	err = quire_splice_reserve(q, ix, &s, start, end, nr_new);  allocates, changes nothing; -ENOMEM
 *	quire_splice_commit(q, ix, &s, areas, nr_new);              cannot fail
 * or	quire_splice_cancel(q, ix, &s);
 *
 * No other change of this index in between. The old areas are not touched or freed; the old nodes
 * are freed after a grace period. nr_new may be 0; at commit fewer may come than were reserved for.
 * Every area in areas lies within [start, end), ordered. Any number of them.
 */
#define QUIRE_INDEX_HEIGHT 12 /* levels at most; over 10^10 areas even if all nodes are a third full */

/* The way from the root down to a leaf. Level 0 is the leaf's, inner[1] the parent of the leaf. */
struct quire_index_path {
	quire_uaddr_t low, high; /* the leaf's areas lie in low..high; high == UINT64_MAX: last leaf */
	struct quire_index_node *leaf;
	struct quire_index_node *inner[QUIRE_INDEX_HEIGHT];
	uint8_t slot[QUIRE_INDEX_HEIGHT]; /* which child */
};

struct quire_splice {
	quire_uaddr_t start, end;
	size_t nr_new;
	struct quire_index_node *leaves, *inners; /* the reserve: nodes of both sizes */
	uint32_t nr_leaves, nr_inners;            /* so many */
	/* Derived by reserve: */
	bool apart;                /* looks again at commit, see quire_splice_reserve_apart() */
	bool single;               /* all areas that go are in one leaf, and no other lies in the range */
	bool in_leaf;              /* one store of that leaf does it */
	uint8_t from, to, live;    /* positions [from, to) of path.leaf go, of live ones */
	struct quire_index_path path; /* to the leaf where start is */
};
int quire_splice_reserve(struct quire *q, struct quire_index *ix, struct quire_splice *s,
			 quire_uaddr_t start, quire_uaddr_t end, size_t nr_new);
/*
 * For several splices of one index whose ranges do not overlap, reserved one after the other and then all
 * committed, in any order: reserves enough for a tree that the others have changed meanwhile. nr_others: new
 * areas of all others together. At commit exactly nr_new come. Takes more memory than the above.
 */
int quire_splice_reserve_apart(struct quire *q, struct quire_index *ix, struct quire_splice *s,
			       quire_uaddr_t start, quire_uaddr_t end, size_t nr_new, size_t nr_others);
void quire_splice_commit(struct quire *q, struct quire_index *ix, struct quire_splice *s,
			 struct quire_vma *const *areas, size_t nr_new);
/* The same with the areas of a list, through plan_link, of which there are nr_new: so many that an array would
 * be hard to have. */
void quire_splice_commit_list(struct quire *q, struct quire_index *ix, struct quire_splice *s,
			      const struct quire_list *areas, size_t nr_new);
void quire_splice_cancel(struct quire *q, struct quire_index *ix, struct quire_splice *s);

/* Free all nodes, not the areas; nobody may be reading. */
void quire_index_destroy(struct quire *q, struct quire_index *ix);

/* Bytes of all nodes, for the benchmark. */
uint64_t quire_index_bytes(const struct quire_index *ix);

quire_broken_t quire_index_check(const struct quire_index *ix);

#endif
