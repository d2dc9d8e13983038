/* SPDX-License-Identifier: MIT */
/*
 * object: what areas map. A file's page cache, shared anonymous memory (an object without a file
 * behind it), and the owners of private anonymous pages.
 *
 * An object is a set of pages by page number, and the list of areas that map it (the reverse map).
 * Private and shared mappings of one file share its frames.
 */
#ifndef QUIRE_OBJECT_H
#define QUIRE_OBJECT_H

#include <quire/vma.h>

/* ---- Files ------------------------------------------------------------------------------- */

/*
 * What a file system gives. All but release may sleep; none is called with a spin lock or in a
 * grace period. Errors: an errno, which a fault turns into SIGBUS (ENOMEM into out-of-memory),
 * msync returns as it is. None of them may call quire_object_write(), _truncate(), _punch_hole()
 * or _sync() for the same object: these hold locks that the caller of the operation may have.
 */
struct quire_file_ops {
	/*
	 * Fill page (locked, not up to date) with file page page->index; what lies beyond the
	 * end of the file is zeroed by the caller afterwards. NULL: a page of zeroes.
	 */
	int (*read_page)(struct quire_object *object, struct quire_page *page);
	/*
	 * Store a page (locked, its dirty mark already cleared). Nobody changes it meanwhile, but
	 * for CPUs that still use entries which are being unmapped: after those it is dirty again.
	 * After an error it is, too. NULL: never written back (tmpfs, memfd).
	 */
	int (*write_page)(struct quire_object *object, struct quire_page *page);
	/*
	 * A shared mapping is about to dirty page (locked) for the first time since it was
	 * clean. NULL: always fine.
	 */
	int (*page_mkwrite)(struct quire_object *object, struct quire_page *page);
	/*
	 * fallocate(PUNCH_HOLE) behind madvise(MADV_REMOVE): free [start, end) bytes, both page
	 * aligned. The object's pages there have been dropped already, and none is read in
	 * meanwhile. Called by quire_object_punch_hole(). NULL: EOPNOTSUPP.
	 */
	int (*punch_hole)(struct quire_object *object, uint64_t start, uint64_t end);
	/*
	 * Last reference gone; all pages are gone already, dirty ones too: a host that wants
	 * them on its disk keeps a reference of its own and syncs before it drops it. May not
	 * sleep: the last reference is often an area's, which goes after a grace period. NULL:
	 * nothing.
	 */
	void (*release)(struct quire_object *object);
};

struct quire_radix_node;    /* src/object/radix.c */
struct quire_shared_policy; /* src/object/shared_policy.c */

/*
 * The contents of one file (Linux: address_space), or of one piece of shared anonymous memory.
 * Equations (quire_object_check()):
 *   nr_pages == pages in the tree, each of kind CACHE with owner == this and index == its place
 *   a page in the tree whose lock is free is up to date, and lies within the size
 *   every area in areas has object == this; nr_writable == those that are SHARED and MAYWRITE
 *
 * Locks, outermost first (a space's writer lock is outside all of them):
 *   resize  one write, truncate or hole at a time; keeps size from shrinking
 *   a page's lock (two only in ascending order of index)
 *   lock    the areas; held while a reverse map is walked, that is, outside the leaf-table locks
 *   tree_lock  a spin lock: places in the tree, nr_pages, and each change of size
 */
struct quire_object {
	struct quire *q;
	const struct quire_file_ops *ops;
	void *private_data;        /* the file system's own */
	uint32_t refs;             /* files, areas, whoever; atomic */
	uint32_t flags;            /* QUIRE_OBJECT_* */
	uint64_t size;             /* bytes; changed by quire_object_truncate() and _write()
				    * under tree_lock; atomic */
	uint64_t max_size;         /* bytes: what the file system can hold, at most and unless set by
				    * the object's maker QUIRE_OBJECT_MAX_SIZE; constant */
	struct quire_mutex resize; /* see above */
	struct quire_mutex lock;   /* areas; held while the reverse map is walked */
	struct quire_list areas;   /* by quire_vma.object_link */
	uint64_t nr_writable;      /* areas that are SHARED and MAYWRITE; under lock */
	struct quire_spinlock tree_lock;
	struct quire_radix_node *tree; /* radix tree of pages by index; readers under a grace
				        * period */
	uint64_t nr_pages;         /* under tree_lock */
	uint64_t hole_first, hole_end; /* pages that are not read in: a hole is being punched there;
				    * changed under resize and tree_lock */
	uint64_t committed_pages;  /* promised to it (quire_mms.committed), given back when it
				    * goes; set by its maker */
	uint64_t truncations;      /* grows before each unmapping of a range. A fault that is
				    * about to set an entry which the page lock does not protect
				    * (a private copy, a driver's frame) compares it under the
				    * leaf lock with what it was when it looked at the page;
				    * atomic */
	struct quire_shared_policy *policies; /* of shared memory: where its pages come from; NULL: as for
				    * the thread; under q->policies.lock, readers under a grace
				    * period */
	struct quire_shared_policy *policies_drawn; /* what a call will make of them, and ... */
	struct quire_object *policies_link; /* ... the next object of that call, the last one itself;
				    * NULL: no call is about to; under q->policies.lock */
};

/* Largest size a file can have, as Linux's MAX_LFS_FILESIZE. */
#define QUIRE_OBJECT_MAX_SIZE ((uint64_t)INT64_MAX)

/* Pages that a file of this size has. */
static inline uint64_t quire_size_pages(uint64_t size)
{
	return (size >> QUIRE_PAGE_SHIFT) + ((size & (QUIRE_PAGE_SIZE - 1)) != 0);
}

#define QUIRE_OBJECT_SHMEM 0x1u /* shared anonymous memory or tmpfs: pages count as shmem, not
				 * file */
#define QUIRE_OBJECT_NOSYNC 0x2u /* dirty pages need no page_mkwrite and no write-back */

/*
 * An open file (Linux: struct file). Areas of two opens of one file do not merge. The host
 * embeds or allocates it.
 */
struct quire_file {
	struct quire_object *object; /* holds a reference */
	const struct quire_vm_ops *vm_ops; /* for its areas; NULL: plain page cache */
	/*
	 * Look at a new area (not visible yet, its flags, ops and private_data may be changed)
	 * before it is mapped: 0 or an errno. NULL: fine. A driver sets QUIRE_VM_PFNMAP and the
	 * like here.
	 */
	int (*mmap)(struct quire_file *file, struct quire_vma *vma);
	/* Last reference gone. NULL: nothing (the struct is static). */
	void (*release)(struct quire *q, struct quire_file *file);
	void *private_data;
	const char *path;       /* what maps shows; not copied, lives as long as the file; NULL:
				 * nothing */
	uint64_t inode;
	uint32_t dev_major, dev_minor;
	uint32_t flags;         /* QUIRE_FILE_* */
	uint32_t refs;          /* atomic; starts at 1 */
	uint64_t map_align;     /* mappings that contain a whole aligned stretch of this many
				 * bytes are placed so that file offset and address agree modulo
				 * it (as today's ext4, xfs, btrfs do with 2 MiB); 0: no */
};

#define QUIRE_FILE_READ 0x01u   /* opened for reading */
#define QUIRE_FILE_WRITE 0x02u  /* opened for writing */
#define QUIRE_FILE_NOEXEC 0x04u /* its mount forbids execution */
#define QUIRE_FILE_NOMMAP 0x08u /* cannot be mapped: ENODEV (a pipe, a socket, a directory) */
#define QUIRE_FILE_SEAL_WRITE 0x10u /* memfd seals: F_SEAL_WRITE or F_SEAL_FUTURE_WRITE */
#define QUIRE_FILE_APPEND_ONLY 0x20u /* inode is append-only: shared writable refused with EACCES */
#define QUIRE_FILE_DELETED 0x40u /* maps shows " (deleted)" behind the path */
#define QUIRE_FILE_SHMEM_ANON 0x80u /* made by MAP_SHARED|MAP_ANONYMOUS: "/dev/zero (deleted)" */
#define QUIRE_FILE_MOVES_ALONE 0x100u /* one mremap() moves one area of it, and no other with it: EFAULT
				       * (Linux: files that choose their places, SysV segments) */

void quire_file_get(struct quire_file *file);
/*
 * The last one calls file->release, which may free the struct, then drops the object's
 * reference. Any context.
 */
void quire_file_put(struct quire *q, struct quire_file *file);

/* ---- Objects ----------------------------------------------------------------------------- */

struct quire_objects {
	struct quire_cache radix_cache;  /* "radix_tree_node" */
	struct quire_cache object_cache; /* "shmem_inode_cache": shared anonymous memory */
	struct quire_cache file_cache;   /* "filp": its files */
	struct quire_cache anon_cache;   /* "anon_vma" */
	struct quire_cache chain_cache;  /* "anon_vma_chain": short ones; else kmalloc */
	uint64_t next_shmem_inode;       /* atomic */

	/*
	 * How this room reaches page tables: set by the mm room in quire_mms_init(). NULL in an
	 * instance that has no spaces; then no object has areas. Both are called with
	 * object->lock held and the area linked (it may be dead already: see
	 * quire_object_link()), may sleep, cannot fail, and have flushed when they return.
	 * [start, end) lies within the area.
	 */
	/*
	 * Empty the entries that map pages of the area's object; with even_cows, a private
	 * area's copies and swapped-out copies too. Guard entries stay. Dirty bits go to the
	 * pages.
	 */
	void (*zap)(struct quire_vma *vma, quire_uaddr_t start, quire_uaddr_t end, bool even_cows);
	/*
	 * Take WRITE and DIRTY from the entries that map pages of the area's object (it is a
	 * shared one); quire_page_mark_dirty() for each page whose entry had DIRTY.
	 */
	void (*wrprotect)(struct quire_vma *vma, quire_uaddr_t start, quire_uaddr_t end);
};

/* Make the caches. -ENOMEM: none is left behind. */
int quire_objects_init(struct quire *q);

/*
 * Set up an object in memory the caller owns; refs is 1. ops may be NULL: all zeroes, never
 * written back.
 */
void quire_object_init(struct quire *q, struct quire_object *object,
		       const struct quire_file_ops *ops, uint64_t size, uint32_t flags);
void quire_object_get(struct quire_object *object);
/* The last one drops all pages, then calls ops->release. Outside spin locks; does not sleep. */
void quire_object_put(struct quire_object *object);

/*
 * A new piece of shared anonymous memory of size bytes with a file for it: what mmap() with
 * MAP_SHARED|MAP_ANONYMOUS maps. *file has one reference and holds the object's only one. -ENOMEM.
 */
int quire_shmem_file(struct quire *q, uint64_t size, struct quire_file **file);

/*
 * The cached page at index with a reference, or NULL. Any context that may enter a grace period.
 * The page may not be up to date yet, or no longer be the object's: who maps it takes the page
 * lock and looks at quire_object_has_page().
 */
struct quire_page *quire_object_find_page(struct quire_object *object, uint64_t index);

/*
 * Page locked: is it still the object's, up to date and within its size? What a fault asks
 * before it sets an entry.
 */
bool quire_object_has_page(struct quire_object *object, const struct quire_page *page);

/*
 * The page at index, up to date, with a reference, not locked: from the cache or read in.
 * -ENOMEM, or what read_page said; -EFAULT: index lies beyond the end. After an error the cache
 * is as it was. May sleep.
 */
int quire_object_get_page(struct quire_object *object, uint64_t index, struct quire_page **page);

/*
 * Copy between a buffer and the file's cache, as read() and write() do: bytes done, fewer than
 * len where it stopped after some, else an errno: -ENOMEM, what read_page said, -EFBIG (write
 * beyond max_size). write extends the size; one write or truncate at a time. May
 * sleep.
 */
int64_t quire_object_read(struct quire_object *object, uint64_t pos, void *buf, size_t len);
int64_t quire_object_write(struct quire_object *object, uint64_t pos, const void *buf, size_t len);

/*
 * Set the size, at most QUIRE_OBJECT_MAX_SIZE. Smaller: pages beyond it are unmapped everywhere
 * (private copies made from them too, as Linux does), dropped, the rest of the last page is
 * zeroed; later accesses beyond are SIGBUS. Larger: what is new reads as zeroes. The host's own
 * storage is the host's to cut: after this call, when write-backs of what is gone have ended, and
 * before the file grows again. May sleep.
 */
void quire_object_truncate(struct quire_object *object, uint64_t size);

/*
 * Grow to size, at most QUIRE_OBJECT_MAX_SIZE; nothing if it is that large: fallocate(2) without
 * FALLOC_FL_KEEP_SIZE, when the file system has reserved the room. What is new reads as zeroes; what
 * a mapping has stored behind the new end stays for now, which a truncate would have zeroed. Of
 * shared memory what it has stored behind the old end comes to be in the file, as on tmpfs. May
 * sleep.
 */
void quire_object_extend(struct quire_object *object, uint64_t size);

/* Unmap the pages [first, last] from every area; even_cows: private copies too. */
void quire_object_unmap(struct quire_object *object, uint64_t first, uint64_t last, bool even_cows);

/*
 * Drop pages [first, last] from mappings and cache, dirty or not; private copies stay. May
 * sleep.
 */
void quire_object_drop(struct quire_object *object, uint64_t first, uint64_t last);

/*
 * Make [start, end) bytes zeroes, and free the whole pages in it: drop, then ops->punch_hole for
 * these; who wants one of them meanwhile waits. A page that is in it in part is zeroed there, and
 * dirty; private copies stay as they are. What fallocate(2) does with FALLOC_FL_PUNCH_HOLE, and, but
 * for the size, with FALLOC_FL_ZERO_RANGE. -EFBIG (end beyond max_size), -EOPNOTSUPP, -ENOMEM, and
 * what read_page said of a page that is in it in part: nothing happened. What punch_hole said: the pages are dropped, and what had not been written back of
 * them is gone, as on ext4. May sleep.
 */
int quire_object_punch_hole(struct quire_object *object, uint64_t start, uint64_t end);

/*
 * Write back dirty pages of [first, last]: write-protects each mapping entry and takes its dirty
 * bit over before the page is written, so that a later store is seen again. First error, after
 * trying all. May sleep.
 */
int quire_object_sync(struct quire_object *object, uint64_t first, uint64_t last);

/*
 * The page's content is newer than the file: an entry's dirty bit, a write. For a page with a
 * reference, cached or no longer (then only the flag is set). Any context, leaf locks held or
 * not.
 */
void quire_page_mark_dirty(struct quire *q, struct quire_page *page);

/*
 * Put new, a fresh page with one reference, in the place of old: unmapped everywhere, with its content and marks. old is
 * the object's, locked, and the caller has a reference; new is locked then. False: somebody else has a
 * reference too; old is unmapped, and still the object's. May sleep.
 */
bool quire_object_exchange_page(struct quire_object *object, struct quire_page *old, struct quire_page *new);

quire_broken_t quire_object_check(struct quire_object *object);

/*
 * Reverse map: called by whoever makes areas visible or gone. May sleep (object->lock); cannot
 * fail. Areas without an object are left alone, and so are those that are unlinked already.
 *
 * Truncate and write-back find an entry only through a linked area. So an area is linked before
 * it gets entries (a child's before fork copies them), and unlinked when it has none any more or
 * a successor with the same pages at the same addresses is linked. They walk in the order of
 * linking: where entries are copied or moved from an older area to a younger one, they meet each
 * of them at one place at least. While a dead area is still linked, nothing but its own entries
 * or such a successor's stands at its addresses.
 */
void quire_object_link(struct quire_vma *vma);
void quire_object_unlink(struct quire_vma *vma);

/* ---- Owners of anonymous pages ----------------------------------------------------------- */

/*
 * Linux's anon_vma, reduced to what its answers depend on. root, parent: the family made by fork.
 * All counters under root->lock. Pages hold no reference: an owner lives as long as an area whose
 * chain names it, hence as long as a page of its is mapped anywhere.
 */
struct quire_anon {
	struct quire_anon *root, *parent; /* a root is its own parent; constant */
	struct quire_spinlock lock;       /* root's only: the family's counters */
	uint32_t refs;                    /* chains that name it, other owners whose parent it
					   * is; atomic */
	uint32_t nr_links;                /* live areas whose chain names it */
	uint32_t nr_active;               /* live areas whose anon it is */
	uint32_t nr_children;             /* owners with nr_links > 0 whose parent it is; a root
					   * is its own child */
};

/* Immutable once an area has it; shared by the areas that a split made. Newest owner first. */
struct quire_anon_chain {
	uint32_t refs;   /* areas that have it; atomic */
	uint32_t count;  /* owners, at least 1 */
	uint32_t room;   /* owners that it was made for */
	bool counted;    /* made by fork, which has counted the child's links already: its
			  * quire_anon_link() has not come yet */
	struct quire_anon *anon[];
};

/* A chain of this many or fewer is an object of chain_cache, 64 bytes on a 64-bit machine. */
#define QUIRE_ANON_CHAIN_SHORT 6

/*
 * Give vma (NEW or ALIVE) an owner if it has none: that of a neighbour (next first, then
 * previous) where Linux would share it, else a new one; an ALIVE area's counters are those of a
 * linked area from then on. Called by faults. The caller keeps vma from being freed: by the writer
 * lock, or by a grace period, and then gfp is QUIRE_GFP_NOWAIT. Sleeps for memory with QUIRE_GFP_KERNEL
 * alone. -ENOMEM; -EAGAIN: vma is frozen, busy or dead, look it up again after quire_mm_wait().
 */
int quire_anon_prepare(struct quire_vma *vma, quire_gfp_t gfp);

/*
 * The same for an area that is NEW, between the neighbours that it will have (NULL: none there):
 * new ones too, or those in the index. Writer lock held; may sleep. -ENOMEM with nothing changed.
 */
int quire_anon_prepare_between(struct quire_vma *vma, struct quire_vma *prev,
			       struct quire_vma *next);

/*
 * The chain and owner of a child's area at fork; what child had as a copy of parent is dropped.
 * parent's owner does not change meanwhile (frozen or set). Reuses an ancestor's owner that has
 * no area left and fewer than two children, as Linux does; since that depends on the counters,
 * the child counts as linked from here on, so that the next area of the same fork sees it, and
 * its quire_anon_link() counts nothing more. -ENOMEM with nothing changed.
 */
int quire_anon_fork(struct quire_vma *child, struct quire_vma *parent);

/*
 * Share from's owner and chain with to, which has none (split, merge, copy). A frozen owner is
 * none. Cannot fail: references only.
 */
void quire_anon_share(struct quire_vma *to, const struct quire_vma *from);

/*
 * An area with an owner became visible / is gone: counters of every owner in its chain. Areas
 * without one are left alone. Replacing areas: link the new ones first. Cannot fail.
 */
void quire_anon_link(struct quire *q, struct quire_vma *vma);
void quire_anon_unlink(struct quire *q, struct quire_vma *vma);

/*
 * Drop an area's references to its owner and chain, unlinked or never linked (fork's counting is
 * undone): when it is freed. Both are NULL then. Any context.
 */
void quire_anon_release(struct quire *q, struct quire_vma *vma);

/* Linux's "had uncowed parents": its chain names more than its own owner. */
static inline bool quire_anon_has_ancestors(const struct quire_vma *vma)
{
	return vma->chain && vma->chain->count > 1;
}

/*
 * Equations of a linked area, for the owners that its chain names:
 *   owner set == chain set, and the chain names the owner
 *   all are of one family (the same root)
 *   0 < nr_links, nr_active <= nr_links, and 0 < nr_active for the area's own
 *   parent->nr_children > 0
 */
quire_broken_t quire_anon_check(struct quire *q, const struct quire_vma *vma);

#endif
