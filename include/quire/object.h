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
 * What a file system gives. All may sleep; none is called with a spin lock or in a grace period.
 * Errors: an errno, which a fault turns into SIGBUS (ENOMEM into out-of-memory), msync returns as it is.
 */
struct quire_file_ops {
	/* Fill page (locked, not up to date, zeroed beyond the end of the file by the caller) with file page
	 * page->index. NULL: a page of zeroes. */
	int (*read_page)(struct quire_object *object, struct quire_page *page);
	/* Store a page (locked, its dirty mark already cleared). NULL: never written back (tmpfs, memfd). */
	int (*write_page)(struct quire_object *object, struct quire_page *page);
	/* A shared mapping is about to dirty page (locked) for the first time since it was clean. NULL: always fine. */
	int (*page_mkwrite)(struct quire_object *object, struct quire_page *page);
	/* fallocate(PUNCH_HOLE) behind madvise(MADV_REMOVE): free [start, end) bytes, both page aligned. The
	 * object's pages there have been dropped already. NULL: EOPNOTSUPP. */
	int (*punch_hole)(struct quire_object *object, uint64_t start, uint64_t end);
	/* Last reference gone; all pages are gone already. */
	void (*release)(struct quire_object *object);
};

/*
 * The contents of one file (Linux: address_space), or of one piece of shared anonymous memory.
 * Equations (quire_object_check()):
 *   nr_pages == pages in the tree, each of kind CACHE with owner == this and index == its place
 *   every area in areas has object == this
 *   a page mapped by an area is in the tree unless it was truncated
 */
struct quire_object {
	struct quire *q;
	const struct quire_file_ops *ops;
	void *private_data;        /* the file system's own */
	uint32_t refs;             /* files, areas, whoever; atomic */
	uint32_t flags;            /* QUIRE_OBJECT_* */
	uint64_t size;             /* bytes; changed by quire_object_truncate() and _extend(); atomic */
	struct quire_mutex lock;   /* areas; held while the reverse map is walked */
	struct quire_list areas;   /* by quire_vma.object_link */
	uint64_t nr_writable;      /* areas that are SHARED and MAYWRITE; under lock */
	struct quire_spinlock tree_lock;
	void *tree;                /* radix tree of pages by index; readers under a grace period */
	uint32_t tree_height;
	uint64_t nr_pages;         /* under tree_lock */
	uint64_t truncations;      /* grows with every truncate: faults compare; atomic */
};

#define QUIRE_OBJECT_SHMEM 0x1u /* shared anonymous memory or tmpfs: pages count as shmem, not file */
#define QUIRE_OBJECT_NOSYNC 0x2u /* dirty pages need no page_mkwrite and no write-back */

/* An open file (Linux: struct file). Areas of two opens of one file do not merge. The host embeds or allocates it. */
struct quire_file {
	struct quire_object *object; /* holds a reference */
	const struct quire_vm_ops *vm_ops; /* for its areas; NULL: plain page cache */
	/* Look at a new area (not visible yet, its flags, ops and private_data may be changed) before it is mapped: 0 or an errno.
	 * NULL: fine. A driver sets QUIRE_VM_PFNMAP and the like here. */
	int (*mmap)(struct quire_file *file, struct quire_vma *vma);
	/* Last reference gone. NULL: nothing (the struct is static). */
	void (*release)(struct quire *q, struct quire_file *file);
	void *private_data;
	const char *path;       /* what maps shows; not copied, lives as long as the file; NULL: nothing */
	uint64_t inode;
	uint32_t dev_major, dev_minor;
	uint32_t flags;         /* QUIRE_FILE_* */
	uint32_t refs;          /* atomic; starts at 1 */
	uint64_t map_align;     /* mappings that contain a whole aligned stretch of this many bytes are placed so
				 * that file offset and address agree modulo it (as today's ext4, xfs, btrfs do with 2 MiB); 0: no */
};

#define QUIRE_FILE_READ 0x01u   /* opened for reading */
#define QUIRE_FILE_WRITE 0x02u  /* opened for writing */
#define QUIRE_FILE_NOEXEC 0x04u /* its mount forbids execution */
#define QUIRE_FILE_NOMMAP 0x08u /* cannot be mapped: ENODEV (a pipe, a socket, a directory) */
#define QUIRE_FILE_SEAL_WRITE 0x10u /* memfd seals: F_SEAL_WRITE or F_SEAL_FUTURE_WRITE */
#define QUIRE_FILE_APPEND_ONLY 0x20u /* inode is append-only: shared writable refused with EACCES */
#define QUIRE_FILE_DELETED 0x40u /* maps shows " (deleted)" behind the path */
#define QUIRE_FILE_SHMEM_ANON 0x80u /* made by MAP_SHARED|MAP_ANONYMOUS: "/dev/zero (deleted)" */

void quire_file_get(struct quire_file *file);
void quire_file_put(struct quire *q, struct quire_file *file);

/* ---- Objects ----------------------------------------------------------------------------- */

struct quire_objects {
	struct quire_cache radix_cache;  /* "radix_tree_node" */
	struct quire_cache object_cache; /* "shmem_inode_cache": shared anonymous memory made here */
	struct quire_cache file_cache;   /* "filp": its files */
	struct quire_cache anon_cache;   /* "anon_vma" */
	struct quire_cache chain_cache;  /* "anon_vma_chain": short chains; longer ones from kmalloc */
	uint64_t next_shmem_inode;       /* atomic */
};

int quire_objects_init(struct quire *q);

/* Set up an object in memory the caller owns; refs is 1. */
void quire_object_init(struct quire *q, struct quire_object *object, const struct quire_file_ops *ops,
		       uint64_t size, uint32_t flags);
void quire_object_get(struct quire_object *object);
void quire_object_put(struct quire_object *object); /* the last one drops all pages, then calls ops->release */

/* A new piece of shared anonymous memory of size bytes with a file for it: what MAP_SHARED|MAP_ANONYMOUS maps.
 * *file has one reference and holds the object's only one. -ENOMEM. */
int quire_shmem_file(struct quire *q, uint64_t size, struct quire_file **file);

/* The cached page at index with a reference, or NULL. Any context that may enter a grace period. */
struct quire_page *quire_object_find_page(struct quire_object *object, uint64_t index);

/*
 * The page at index, up to date, with a reference, not locked: from the cache or read in.
 * -ENOMEM, or what read_page said; -QUIRE_EFAULT: index lies beyond the end. May sleep.
 */
int quire_object_get_page(struct quire_object *object, uint64_t index, struct quire_page **page);

/* Copy between a buffer and the file's cache, as read() and write() do: bytes done or an errno. write
 * extends the size. May sleep. */
int64_t quire_object_read(struct quire_object *object, uint64_t pos, void *buf, size_t len);
int64_t quire_object_write(struct quire_object *object, uint64_t pos, const void *buf, size_t len);

/*
 * Set the size. Smaller: pages beyond it are unmapped everywhere (private copies made from them too, as Linux does),
 * dropped, the rest of the last page is zeroed; later accesses beyond are SIGBUS. May sleep. Cannot fail.
 */
void quire_object_truncate(struct quire_object *object, uint64_t size);

/* Unmap the pages [first, last] from every area; even_cows: private copies too. */
void quire_object_unmap(struct quire_object *object, uint64_t first, uint64_t last, bool even_cows);

/* Drop pages [first, last] from mappings and cache (a hole is being punched). */
void quire_object_drop(struct quire_object *object, uint64_t first, uint64_t last);

/*
 * Write back dirty pages of [first, last]: write-protects each mapping entry and takes its dirty bit over
 * before the page is written, so that a later store is seen again. First error, after trying all. May sleep.
 */
int quire_object_sync(struct quire_object *object, uint64_t first, uint64_t last);

/* Take an entry's dirty bit over into the page. Leaf lock held. */
void quire_page_mark_dirty(struct quire *q, struct quire_page *page);

quire_broken_t quire_object_check(struct quire_object *object);

/* Reverse map: called by whoever makes areas visible or gone. May sleep (object->lock); cannot fail. */
void quire_object_link(struct quire_vma *vma);
void quire_object_unlink(struct quire_vma *vma);

/* ---- Owners of anonymous pages ----------------------------------------------------------- */

/*
 * Linux's anon_vma, reduced to what its answers depend on. root, parent: the family made by fork.
 * All counters under root->lock.
 */
struct quire_anon {
	struct quire_anon *root, *parent; /* a root is its own parent */
	struct quire_spinlock lock;       /* root's only: the family's counters */
	uint32_t refs;                    /* chains that name it, children whose parent or root it is, pages that it owns; atomic */
	uint32_t nr_links;                /* live areas whose chain names it */
	uint32_t nr_active;               /* live areas whose anon it is */
	uint32_t nr_children;             /* owners whose parent it is; a root counts itself */
	struct quire_deferred deferred;
};

/* Immutable once an area has it; shared by the areas that a split made. Newest owner first. */
struct quire_anon_chain {
	uint32_t refs; /* atomic */
	uint32_t count;
	struct quire_anon *anon[];
};

/*
 * Give vma an owner if it has none: that of a neighbour (next first, then previous) where Linux would
 * share it, else a new one. Called by faults (under a grace period entered by this function itself, may allocate, does not sleep).
 * -ENOMEM; -QUIRE_EAGAIN: vma is frozen or dead, look it up again after quire_mm_wait().
 */
int quire_anon_prepare(struct quire_vma *vma);

/*
 * The chain and owner of a child's area at fork. Output only: child is not visible yet, is not linked. -ENOMEM with nothing changed.
 * Reuses an ancestor's owner that has no area left and fewer than two children, as Linux does.
 */
int quire_anon_fork(struct quire_vma *child, struct quire_vma *parent);

/* Share from's owner and chain with to, which has none (split, merge, copy). Cannot fail: references only. */
void quire_anon_share(struct quire_vma *to, const struct quire_vma *from);

/* An area with an owner became visible / is gone: counters of every owner in its chain. Cannot fail. */
void quire_anon_link(struct quire *q, struct quire_vma *vma);
void quire_anon_unlink(struct quire *q, struct quire_vma *vma);

/* Drop an area's references to its owner and chain: when it is freed, or was never made visible. */
void quire_anon_release(struct quire *q, struct quire_vma *vma);

/* Linux's "had uncowed parents": its chain names more than its own owner. */
static inline bool quire_anon_has_ancestors(const struct quire_vma *vma)
{
	return vma->chain && vma->chain->count > 1;
}

#endif
