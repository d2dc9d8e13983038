/* SPDX-License-Identifier: MIT */
/*
 * mm: the address space. Semantics are those of today's Linux (6.18 where versions differ) on
 * x86-64; each function names its manual page. Errors are negative errnos. Error order is Linux's.
 *
 * Every call checks its arguments, reserves all memory that it can need, then commits: -ENOMEM for want of memory leaves the
 * space as it was. Where Linux itself documents a partial effect (mprotect, madvise, mlock over a hole) the
 * effect is exactly Linux's, and it too is applied as a whole.
 *
 * Context: every function may sleep unless it says otherwise, and is called with no spin lock held,
 * outside grace periods, with interrupts on. Calls that change a space take its writer lock
 * (mm->lock); faults and look-ups do not.
 */
#ifndef QUIRE_MM_H
#define QUIRE_MM_H

#include <quire/object.h>
#include <quire/pgtable.h>
#include <quire/vma.h>

/* ---- Linux's constants (x86) ------------------------------------------------------------- */

#define QUIRE_PROT_NONE 0x0u
#define QUIRE_PROT_READ 0x1u
#define QUIRE_PROT_WRITE 0x2u
#define QUIRE_PROT_EXEC 0x4u
#define QUIRE_PROT_SEM 0x8u
#define QUIRE_PROT_GROWSDOWN 0x01000000u
#define QUIRE_PROT_GROWSUP 0x02000000u

#define QUIRE_MAP_SHARED 0x01u
#define QUIRE_MAP_PRIVATE 0x02u
#define QUIRE_MAP_SHARED_VALIDATE 0x03u
#define QUIRE_MAP_DROPPABLE 0x08u
#define QUIRE_MAP_TYPE 0x0fu
#define QUIRE_MAP_FIXED 0x10u
#define QUIRE_MAP_ANONYMOUS 0x20u
#define QUIRE_MAP_32BIT 0x40u
#define QUIRE_MAP_ABOVE4G 0x80u
#define QUIRE_MAP_GROWSDOWN 0x0100u
#define QUIRE_MAP_DENYWRITE 0x0800u
#define QUIRE_MAP_EXECUTABLE 0x1000u
#define QUIRE_MAP_LOCKED 0x2000u
#define QUIRE_MAP_NORESERVE 0x4000u
#define QUIRE_MAP_POPULATE 0x8000u
#define QUIRE_MAP_NONBLOCK 0x10000u
#define QUIRE_MAP_STACK 0x20000u
#define QUIRE_MAP_HUGETLB 0x40000u
#define QUIRE_MAP_SYNC 0x80000u
#define QUIRE_MAP_FIXED_NOREPLACE 0x100000u
#define QUIRE_MAP_UNINITIALIZED 0x4000000u

#define QUIRE_MREMAP_MAYMOVE 1u
#define QUIRE_MREMAP_FIXED 2u
#define QUIRE_MREMAP_DONTUNMAP 4u

#define QUIRE_MADV_NORMAL 0
#define QUIRE_MADV_RANDOM 1
#define QUIRE_MADV_SEQUENTIAL 2
#define QUIRE_MADV_WILLNEED 3
#define QUIRE_MADV_DONTNEED 4
#define QUIRE_MADV_FREE 8
#define QUIRE_MADV_REMOVE 9
#define QUIRE_MADV_DONTFORK 10
#define QUIRE_MADV_DOFORK 11
#define QUIRE_MADV_MERGEABLE 12
#define QUIRE_MADV_UNMERGEABLE 13
#define QUIRE_MADV_HUGEPAGE 14
#define QUIRE_MADV_NOHUGEPAGE 15
#define QUIRE_MADV_DONTDUMP 16
#define QUIRE_MADV_DODUMP 17
#define QUIRE_MADV_WIPEONFORK 18
#define QUIRE_MADV_KEEPONFORK 19
#define QUIRE_MADV_COLD 20
#define QUIRE_MADV_PAGEOUT 21
#define QUIRE_MADV_POPULATE_READ 22
#define QUIRE_MADV_POPULATE_WRITE 23
#define QUIRE_MADV_DONTNEED_LOCKED 24
#define QUIRE_MADV_COLLAPSE 25
#define QUIRE_MADV_GUARD_INSTALL 102
#define QUIRE_MADV_GUARD_REMOVE 103

#define QUIRE_MLOCK_ONFAULT 1u
#define QUIRE_MCL_CURRENT 1u
#define QUIRE_MCL_FUTURE 2u
#define QUIRE_MCL_ONFAULT 4u

#define QUIRE_MS_ASYNC 1u
#define QUIRE_MS_INVALIDATE 2u
#define QUIRE_MS_SYNC 4u

#define QUIRE_SIGKILL 9
#define QUIRE_SIGBUS 7
#define QUIRE_SIGSEGV 11
#define QUIRE_SEGV_MAPERR 1
#define QUIRE_SEGV_ACCERR 2
#define QUIRE_BUS_ADRERR 2

/* ---- Settings ---------------------------------------------------------------------------- */

#define QUIRE_RLIM_INFINITY UINT64_MAX

/* What the process may have (getrlimit(2), soft limits) and do. Bytes. Set by the host at any time. */
struct quire_limits {
	uint64_t as, data, stack, memlock;
	uint64_t data_hard;  /* the hard limit of data: what counts while data is 0 */
	bool cap_ipc_lock;   /* CAP_IPC_LOCK: no memlock limit */
	bool cap_sys_admin;  /* may use the admin reserve of overcommit; sees mlock etc. unchanged */
	bool cap_sys_nice;
	bool cap_sys_rawio;  /* may map below mmap_min_addr */
	bool read_implies_exec; /* personality(READ_IMPLIES_EXEC) */
};

#define QUIRE_OVERCOMMIT_GUESS 0
#define QUIRE_OVERCOMMIT_ALWAYS 1
#define QUIRE_OVERCOMMIT_NEVER 2

/* /proc/sys/vm and the choices in which kernels differ. Of the whole instance; set after quire_init(). */
struct quire_sysctl {
	uint32_t max_map_count;       /* 65530 */
	uint32_t overcommit_memory;   /* 0 heuristic, 1 always, 2 strict */
	uint32_t overcommit_ratio;    /* percent, 50 */
	uint64_t overcommit_kbytes;   /* 0: use the ratio */
	uint64_t admin_reserve_kbytes, user_reserve_kbytes; /* 8192, 131072 */
	uint64_t mmap_min_addr;       /* bytes, 65536: nothing is placed below, hints are raised to it */
	uint64_t dac_mmap_min_addr;   /* /proc/sys/vm/mmap_min_addr, 4096: MAP_FIXED below it needs cap_sys_rawio; Linux
				       * places by the larger of this and a compiled-in 65536 */
	uint64_t stack_guard_gap;     /* bytes, 256 pages */
	uint64_t overcommit_total_pages; /* memory plus swap that the overcommit rules see; 0: this instance's own */
	uint64_t overcommit_swap_pages;  /* of these, swap: overcommit_ratio does not apply to it */
	uint64_t anon_align;          /* large private anonymous maps whose length is a multiple of this are aligned to it (Linux since 6.7: what one table of entries maps, 2 MiB on x86-64); 0: no */
	bool populate_disabled;       /* the host makes pages present itself: POPULATE, LOCKED, mlock do not fault pages in */
	bool thp_available;           /* MADV_HUGEPAGE is known (CONFIG_TRANSPARENT_HUGEPAGE) */
	bool ksm_available;           /* MADV_MERGEABLE is known (CONFIG_KSM) */
	bool forbid_zeropage;         /* reading private anonymous memory gives a page of its own, not the page of zeroes
				       * that all share (Linux: mm_forbids_zeropage()) */
};

/*
 * Which space one CPU is in. Written by that CPU alone; what the functions are that change it stands with them below.
 * Equations (quire_active_check()):
 *   mm NULL => not borrowed
 *   mm's count >= CPUs that borrow it, plus 1 while it has users; more than 0
 */
struct quire_active {
	struct quire_mm *mm;      /* Linux's active_mm: whose tables the CPU has loaded; NULL: no space's */
	bool borrowed;            /* nobody on this CPU runs in it: one count of mm is this CPU's */
	struct quire_mm *dropped; /* borrowed before the switch that is under way: one count of it still is */
} __attribute__((aligned(QUIRE_CACHELINE)));

struct quire_mms {
	struct quire_active active[QUIRE_NR_CPUS];
	struct quire_cache mm_cache;  /* "mm_struct" */
	struct quire_cache vma_cache; /* "vm_area_struct" */
	struct quire_sysctl sysctl;
	struct quire_mutex lock;
	struct quire_list spaces;     /* every quire_mm, by link; under lock */
	int64_t committed;            /* Committed_AS, pages; atomic */
	uint64_t boot_free_pages;     /* free frames when quire_init() had done with slabs: quire_exit() compares */
};

/* Where a program's parts lie. Bytes; given to quire_mm_create() or quire_exec(), read by proc and brk. */
struct quire_layout {
	quire_uaddr_t task_size;        /* first address user code can't have (0x7ffffffff000 on x86-64); at most the format's user_end */
	quire_uaddr_t mmap_base;        /* top-down: maps are placed below; bottom-up: above */
	quire_uaddr_t mmap_legacy_base; /* bottom-up start, also the fallback of top-down (task_size / 3) */
	quire_uaddr_t map_32bit_start;  /* where the search of MAP_32BIT begins, 0x40000000 plus randomisation */
	bool topdown;
	bool compat;                    /* a 32-bit program, under whatever kernel */
	quire_uaddr_t start_code, end_code, start_data, end_data, start_brk, brk, start_stack;
	quire_uaddr_t arg_start, arg_end, env_start, env_end;
	quire_uaddr_t vdso;
	uint64_t auxv[48];
};

/* ---- The memory descriptor --------------------------------------------------------------- */

enum quire_rss { QUIRE_RSS_FILE, QUIRE_RSS_ANON, QUIRE_RSS_SWAP, QUIRE_RSS_SHMEM, QUIRE_NR_RSS };

/*
 * Between a change of entries and its flush. Set by the writer before the first change, cleared after the flush.
 * Whoever sees a changed entry, under its leaf's lock, sees the bit as long as the flush is to come.
 */
#define QUIRE_UNFLUSHED_FORK 0x1u    /* a fork is copying, write-protecting as it goes: no private page may come or be copied */
#define QUIRE_UNFLUSHED_PROTECT 0x2u /* rights taken by mprotect: a page that looks untouchable may still be stored to */

/*
 * Linux's mm_struct.
 * Equations (quire_mm_check()):
 *   total_vm == sum of all areas' pages; data_vm, exec_vm, stack_vm, locked_vm: of those of that kind
 *   map_count == index.count
 *   rss[k] == entries in the tables that map a page of kind k
 *   no entry lies outside an area; every entry's rights are at most its area's
 *   every area is alive, below task_size, and in its object's reverse map; LOCKONFAULT only with LOCKED
 *   a cache page is mapped by areas of its object at its index, and never writable by a private one
 *   an anonymous page lies at its index, its owner is in the chain of every area that maps it;
 *     one that an entry may write to is exclusive, and one that is exclusive is mapped once
 *   users > 0 => count > 0
 */
struct quire_mm {
	struct quire *q;
	struct quire_index index;
	struct quire_pgtable pt;
	struct quire_mutex lock;      /* the writer lock: areas, layout, counters below it */
	struct quire_spinlock anon_lock; /* quire_vma.anon and .chain of its areas */
	uint32_t users;               /* mm_users: who runs in it; atomic */
	uint32_t count;               /* mm_count: who needs the descriptor; all users together are one; atomic */
	uint64_t next_vma_id;         /* under lock */
	struct quire_layout layout;
	struct quire_limits limits;
	uint64_t def_flags;           /* QUIRE_VM_LOCKED... for new areas: mlockall(MCL_FUTURE) */
	uint64_t total_vm, data_vm, exec_vm, stack_vm; /* pages */
	uint64_t locked_vm;           /* pages of LOCKED areas */
	uint64_t pinned_vm;           /* pages pinned by drivers; the host's */
	uint64_t hiwater_vm;          /* largest total_vm */
	int64_t rss[QUIRE_NR_RSS];    /* pages; atomic */
	int64_t hiwater_rss;
	uint64_t minor_faults, major_faults; /* atomic */
	struct quire_insertion *insertions; /* pages that an mmap() under way will map at once; under lock; NULL between calls */
	uint32_t unflushed;           /* QUIRE_UNFLUSHED_*: entries have lost rights that CPUs may still use; atomic */
	struct quire_list link;       /* quire_mms.spaces */
	struct quire_deferred deferred;
	void *host;                   /* the host's own; not touched */
};

/* A new space without areas, users 1, count 1, default limits (all infinite). layout NULL: what
 * quire_layout_init() says for q's format, an 8 MiB stack and no randomisation. -ENOMEM, -EINVAL (task_size is
 * beyond the format's user_end or QUIRE_INDEX_END), NULL in *mm. */
int quire_mm_create(struct quire *q, const struct quire_layout *layout, struct quire_mm **mm);

/* One more user; one fewer, and the last one unmaps everything (may sleep) and drops the count of all. */
void quire_mmget(struct quire_mm *mm);
bool quire_mmget_not_zero(struct quire_mm *mm);
void quire_mmput(struct quire_mm *mm);

/* Keep the descriptor and its tables' root alive without being a user: a kernel thread that borrows it as its active_mm. */
void quire_mmgrab(struct quire_mm *mm);
void quire_mmdrop(struct quire_mm *mm);

/* ---- Which space a CPU is in ------------------------------------------------------------- */

/*
 * What a scheduler does about spaces when this CPU goes on with a thread of next (NULL: a kernel thread, which needs none), in
 * three steps (Linux: context_switch(), switch_mm() and enter_lazy_tlb(); Documentation/mm/active_mm.rst):
 *
 *	tables = quire_switch_mm(q, next);
 *	if (tables)
 *		... load its root; quire_pgtable_load() before, quire_pgtable_unload() of the old ones after that ...
 *	quire_finish_switch(q);
 *
 * A kernel thread borrows the space that is loaded: nothing is loaded, nothing flushed, and going back to a thread of
 * the same space costs as little. The CPU still is among those that the space's flushes go to. What it borrows stays:
 * the descriptor, and tables without an entry when the last user has gone, until this CPU loads others.
 *
 * A kernel thread that works on a process's memory for a while (kthread_use_mm()) calls it with that space, and
 * with NULL when it is done; a thread that ends, or calls exec, with NULL before it puts its space.
 *
 * The caller has a user of next, until the next call on this CPU. Preemption is off from the first step to the
 * last; interrupts too if a handler calls quire_leave_mm(). None sleeps or fails.
 */
struct quire_pgtable *quire_switch_mm(struct quire *q, struct quire_mm *next);
void quire_finish_switch(struct quire *q);

/*
 * Borrow no longer, if this CPU does (Linux: leave_mm()): true: load the kernel's root alone (NULL is loaded, in the
 * words above), then quire_finish_switch(). For a CPU that goes to sleep or off line, or that a shoot-down found
 * idle and that would not like to hear of the next. Contexts as above.
 */
bool quire_leave_mm(struct quire *q);

/* The space that this CPU has loaded, its thread's or not; NULL: none. Preemption is off. */
struct quire_mm *quire_active_mm(struct quire *q);

/* Every CPU's; none of them switches meanwhile. */
quire_broken_t quire_active_check(struct quire *q);

/* ---- Its copies -------------------------------------------------------------------------- */

/* A copy for fork(2): copy-on-write, DONTCOPY areas left out, WIPEONFORK areas empty, locks not
 * inherited (mlock(2)), limits inherited. The child is complete or does not exist. -ENOMEM. */
int quire_fork(struct quire_mm *parent, struct quire_mm **child);

/*
 * exec's replacement: a fresh space for the same process (limits kept) takes the place of *mm, which is put. As
 * quire_mm_create(), *mm unchanged.
 * The caller is in neither meanwhile: quire_switch_mm() to NULL before, to *mm afterwards.
 */
int quire_exec(struct quire_mm **mm, const struct quire_layout *layout);

/*
 * A layout as Linux computes it for x86 from a stack limit in bytes and random bits (0: no randomisation):
 * task_size, mmap_base, legacy base, topdown. User space ends where the format says:
 *
 *   32 bits   a 32-bit kernel's program, below 0xc0000000 with a kernel in the last of four gigabytes;
 *             compat is set whatever was asked for
 *   more      a 64-bit program, its maps below 47 bits unless a hint asks for more where the format has
 *             more than 48 bits; with compat a 32-bit program under a 64-bit kernel, below 0xffffe000
 *
 * Formats of other machines get the same rules; what their kernels do otherwise (AArch64 begins bottom-up at a
 * quarter instead of a third) is for the caller to put in.
 */
void quire_layout_init(struct quire_layout *layout, const struct quire_pgfmt *fmt, bool compat, bool legacy,
		       uint64_t stack_limit, uint64_t random);

/* Put an area in as the loader finds it, with its exact flags: vdso, first stack, a space taken over
 * from elsewhere. Merges with nothing. Accounts. -EINVAL (no such range; LOCKONFAULT without LOCKED, SHARED with
 * neither file nor ops nor raw frames), -EEXIST (range taken), -ENOMEM. */
struct quire_area_desc {
	quire_uaddr_t start, end;
	uint64_t flags; /* QUIRE_VM_* */
	uint64_t pgoff;
	struct quire_file *file; /* a reference is taken; NULL: anonymous */
	const struct quire_vm_ops *ops; /* NULL: the file's */
	void *private_data;
};
int quire_insert_vm_area(struct quire_mm *mm, const struct quire_area_desc *desc);

/* Wait until the call that now holds the writer lock has finished. */
void quire_mm_wait(struct quire_mm *mm);

/* All equations, of the space, its index, tables and areas. Takes the writer lock; the space must have no faults going on. */
quire_broken_t quire_mm_check(struct quire_mm *mm);

/* ---- Look-ups (under a grace period or the writer lock) ---------------------------------- */

static inline struct quire_vma *quire_find_vma(struct quire_mm *mm, quire_uaddr_t addr)
{
	return quire_index_find(&mm->index, addr);
}

/* ---- System calls ------------------------------------------------------------------------ */

/* mmap(2), offset in bytes. The address, or: EINVAL, ENOMEM, EEXIST, EACCES, EPERM, ENODEV, EAGAIN, EBADF,
 * EOVERFLOW, EOPNOTSUPP. file is NULL for anonymous memory; a reference is taken when it succeeds. */
int64_t quire_mmap(struct quire_mm *mm, quire_uaddr_t addr, uint64_t len, uint32_t prot, uint32_t flags,
		   struct quire_file *file, uint64_t offset);
/* munmap(2). EINVAL, ENOMEM (too many areas, or want of memory), EPERM (sealed). */
int quire_munmap(struct quire_mm *mm, quire_uaddr_t addr, uint64_t len);
/* mprotect(2). EINVAL, ENOMEM, EACCES, EPERM. */
int quire_mprotect(struct quire_mm *mm, quire_uaddr_t addr, uint64_t len, uint32_t prot);
/*
 * mremap(2): the new address. EINVAL, EFAULT, ENOMEM, EAGAIN, EPERM, or what ops->may_split or ops->mremap said. With
 * FIXED, an error that is no want of memory may come after the destination was unmapped, or after some
 * of several areas were moved, as on Linux.
 */
int64_t quire_mremap(struct quire_mm *mm, quire_uaddr_t addr, uint64_t old_len, uint64_t new_len, uint32_t flags,
		     quire_uaddr_t new_addr);
/* brk(2) as the system call answers: the new break, or the old one if it can't be had. Never an errno. */
quire_uaddr_t quire_brk(struct quire_mm *mm, quire_uaddr_t brk);
/*
 * madvise(2). EINVAL, EPERM (sealed), EACCES and EOPNOTSUPP (REMOVE), or what ops->may_split or ops->punch_hole said: the
 * areas before that one have been advised. ENOMEM: all of them have been, and there were holes. EAGAIN, and ENOMEM
 * from GUARD_INSTALL: no memory, nothing has changed. POPULATE_READ, _WRITE stop at the first page that can't be had:
 * ENOMEM (hole, or no memory), EINVAL (rights), EFAULT (the access would raise a signal). WILLNEED, COLD, PAGEOUT and
 * COLLAPSE are checked and otherwise ignored; FREE marks pages, which nobody takes away yet.
 */
int quire_madvise(struct quire_mm *mm, quire_uaddr_t addr, uint64_t len, int advice);
/*
 * mlock(2), mlock2(2), munlock(2), mlockall(2), munlockall(2). EINVAL, EPERM (limits.memlock is 0), ENOMEM: beyond the limit,
 * or no memory, nothing has changed; a hole: what lies before it is locked; a page that can't be had: all
 * is locked. EAGAIN: all is locked, but there was no memory for a page.
 */
int quire_mlock(struct quire_mm *mm, quire_uaddr_t addr, uint64_t len);
int quire_mlock2(struct quire_mm *mm, quire_uaddr_t addr, uint64_t len, uint32_t flags);
int quire_munlock(struct quire_mm *mm, quire_uaddr_t addr, uint64_t len);
int quire_mlockall(struct quire_mm *mm, uint32_t flags);
int quire_munlockall(struct quire_mm *mm);
/* msync(2). EINVAL, ENOMEM, EBUSY, or the write-back's error. */
int quire_msync(struct quire_mm *mm, quire_uaddr_t addr, uint64_t len, uint32_t flags);
/* mincore(2): vec gets one byte a page. EINVAL, ENOMEM. vec may be NULL: only the errno is wanted. */
int quire_mincore(struct quire_mm *mm, quire_uaddr_t addr, uint64_t len, unsigned char *vec);
/* mseal(2). EINVAL, ENOMEM (a hole: nothing is sealed). */
int quire_mseal(struct quire_mm *mm, quire_uaddr_t addr, uint64_t len, uint64_t flags);
/* remap_file_pages(2): a fixed shared mmap() of the same file. EINVAL, EOVERFLOW, or what that says. */
int quire_remap_file_pages(struct quire_mm *mm, quire_uaddr_t addr, uint64_t size, uint32_t prot, uint64_t pgoff,
			   uint32_t flags);

/* One process's stretch of memory, as in struct iovec. */
struct quire_iovec {
	quire_uaddr_t base;
	uint64_t len;
};
/*
 * process_vm_readv(2), process_vm_writev(2): bytes copied, or EFAULT, EINVAL, ENOMEM. local is the caller's space. remote
 * NULL: there is no such process, ESRCH, which comes after all that is wrong with the arguments. Before bytes move, the pages
 * of a remote vector are faulted in, copies of them made for a write, as many at a time as 8 KiB of pointers name (Linux:
 * PVM_MAX_KMALLOC_PAGES), however few bytes there are for them; to read more than 16, that list is allocated. May sleep.
 */
int64_t quire_process_vm_readv(struct quire_mm *local, const struct quire_iovec *lvec, size_t nr_local,
			       struct quire_mm *remote, const struct quire_iovec *rvec, size_t nr_remote, uint64_t flags);
int64_t quire_process_vm_writev(struct quire_mm *local, const struct quire_iovec *lvec, size_t nr_local,
				struct quire_mm *remote, const struct quire_iovec *rvec, size_t nr_remote, uint64_t flags);

/* ---- Faults and access ------------------------------------------------------------------- */

#define QUIRE_ACCESS_READ 0x1u
#define QUIRE_ACCESS_WRITE 0x2u
#define QUIRE_ACCESS_EXEC 0x4u
#define QUIRE_ACCESS_FORCE 0x8u /* ptrace: read what may be readable, write private areas that may be writable */

struct quire_signal {
	int signo;          /* QUIRE_SIGSEGV, QUIRE_SIGBUS; QUIRE_SIGKILL: out of memory */
	int code;           /* si_code: QUIRE_SEGV_*, QUIRE_BUS_ADRERR; 0 */
	quire_uaddr_t addr; /* si_addr: the exact address */
};

/*
 * Serve a page fault of user code, or of the kernel on a user address. 0: served (or somebody else did), run the
 * instruction again. -EFAULT: the signal is in *sig. -ENOMEM: no memory, *sig says SIGKILL; the
 * host may reclaim and try again. Takes no lock of the space but one leaf table's, and the writer
 * lock only to grow a stack, or to wait for a call that works on this very area or for a fork.
 */
int quire_fault(struct quire_mm *mm, quire_uaddr_t addr, uint32_t access, struct quire_signal *sig);

/*
 * The page behind addr, faulted in for access, with a reference. -EFAULT, -ENOMEM. Linux's get_user_pages(), with its
 * trap: a fork that comes before the caller's store, and a write of another thread after that, leave the page to
 * the child. To store, quire_access_process_vm().
 */
int quire_get_user_page(struct quire_mm *mm, quire_uaddr_t addr, uint32_t access, struct quire_page **page);

/* Copy to or from another space, faulting pages in; with QUIRE_ACCESS_FORCE as ptrace may. Bytes done (less than len where it stops),
 * Linux's access_process_vm: never an errno. */
uint64_t quire_access_process_vm(struct quire_mm *mm, quire_uaddr_t addr, void *buf, uint64_t len, uint32_t access);

/* Pages that may be committed under overcommit mode 2: what meminfo shows as CommitLimit. */
uint64_t quire_commit_limit(struct quire *q);

int quire_mms_init(struct quire *q);

#endif
