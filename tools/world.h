/* SPDX-License-Identifier: MIT */
/*
 * The Quire side: one instance, a space for each address space that is followed, and every event that
 * can befall one. The tracer feeds it from a running program, the replayer from a recording; both
 * get Quire's own answers back. Where a recorder is attached, each event is written down as it
 * is served. Nothing here looks at a process.
 */
#ifndef QUIRE_TOOL_WORLD_H
#define QUIRE_TOOL_WORLD_H

#include <quire/quire.h>

#include "calls.h"
#include "util.h"

struct recorder;

/* ---- What the machine is like ------------------------------------------------------------ */

/* /proc/sys/vm and the like, of the machine that ran the program. Units as in struct quire_sysctl. */
struct world_system {
	uint64_t max_map_count;
	uint64_t overcommit_memory, overcommit_ratio, overcommit_kbytes;
	uint64_t admin_reserve_kbytes, user_reserve_kbytes;
	uint64_t mmap_min_addr, dac_mmap_min_addr, stack_guard_gap;
	uint64_t total_pages;
	uint64_t anon_align;
	uint64_t thp, ksm, forbid_zeropage; /* 0 or 1 */
};

/* ---- Files ------------------------------------------------------------------------------- */

/* Besides QUIRE_FILE_*: what the tool must know of a file. */
#define WORLD_FILE_NO_MERGE 0x01000000u /* its areas are told when they close, so Linux never merges them */
#define WORLD_FILE_ZERO 0x02000000u     /* SysV segments and shared memory: counts as shmem */

/* A device, or a file that can't be asked: no page lies beyond its end. */
#define WORLD_SIZE_UNKNOWN ((uint64_t)INT64_MAX)

struct world_file {
	struct quire_file file;
	struct quire_object object;
	struct quire_vm_ops ops;  /* WORLD_FILE_NO_MERGE: an empty close */
	struct world *world;
	uint32_t id;              /* from 1; in recordings */
	uint32_t flags;           /* QUIRE_FILE_* and WORLD_FILE_* */
	uint64_t vm_flags;        /* QUIRE_VM_* that its driver adds to every area */
	uint64_t size;            /* bytes, when last seen; WORLD_SIZE_UNKNOWN */
	char *path;
	bool recorded;
	/* the tracer's own */
	int fd;                   /* the same open file, or -1; closed when no area maps it any more */
	uint64_t st_dev, st_ino;
	struct world_file *next;  /* in world.open_files, while fd >= 0 */
};

/* ---- Spaces ------------------------------------------------------------------------------ */

/* One area as Linux shows it. */
struct world_area {
	uint64_t start, end;
	uint64_t flags;        /* QUIRE_VM_*, from VmFlags */
	uint64_t pgoff;        /* pages; of files */
	uint32_t dev_major, dev_minor;
	uint64_t inode;
	uint64_t size;         /* of the file, as far as it is known */
	char *name;            /* path, "[vdso]", ...; "" if none */
	uint32_t file;         /* its file's number; 0: none */
};

/* What an area that was dropped leaves to those that are put in its place: its owner, and its pages' numbers. */
struct world_legacy {
	struct quire_vma vma; /* start, end, pgoff, and references on owner and chain */
	bool anonymous;
};

struct space {
	struct world *world;
	struct space *next;       /* all that ever were, oldest first */
	struct quire_mm *mm;      /* NULL: ended */
	uint32_t id;              /* from 1 */
	int pid;                  /* of the process that it was made for */
	char *program;
	char *tail;               /* text behind the last area of user space: [vsyscall]'s line, or "" */
	bool lost;                /* could not be made equal to Linux's any more: not served, not compared */
	struct world_legacy *legacy; /* of drops just made */
	size_t nr_legacy;
	/* for the report */
	uint64_t calls[CALL_NR];
	uint64_t nr_calls;
	uint64_t nr_differences;
	uint64_t nr_compared;     /* maps texts */
	uint64_t peak_areas, peak_pages;
	/* the tracer's own */
	void *host;
};

struct world_special; /* the operations of areas like [vdso] */

struct world {
	struct machine *machine;      /* of one CPU: nothing here is made by two threads */
	struct quire *q;
	struct world_system system;
	struct recorder *recorder;    /* NULL: none */
	struct space *spaces, **spaces_end;
	uint32_t nr_spaces;
	struct world_file **files;    /* by number; NULL: gone */
	uint32_t nr_files;
	struct world_file *open_files;
	struct world_special *specials;
	/* Called just before a space ends, while it is still whole; NULL: nobody wants to know. */
	void (*ending)(struct space *space, void *arg);
	void *ending_arg;
};

struct world *world_create(const struct world_system *system, struct recorder *recorder);
/* While there are no spaces: from now on the machine is like that. Not recorded. */
void world_set_system(struct world *w, const struct world_system *system);
/* Forget all spaces and files. */
void world_reset(struct world *w);
/* How much the machine has reported as wrong, and what is left over. */
unsigned world_destroy(struct world *w);

/* A file that areas can map; id 0: the next number. path is copied. Comes with one reference; lives until that is given
 * back and the last area that maps it is gone. */
struct world_file_desc {
	uint32_t id;
	uint32_t dev_major, dev_minor;
	uint64_t inode;
	uint32_t flags;
	uint64_t vm_flags, map_align, size;
	const char *path;
};
struct world_file *world_file_new(struct world *w, const struct world_file_desc *desc);
struct world_file *world_file_get(struct world *w, uint32_t id);
/* Give back the reference that world_file_new() gave. */
void world_file_put(struct world_file *f);
/* QUIRE_FILE_* that came to be known later: seals, that it can't be mapped. */
void world_file_add_flags(struct world_file *f, uint32_t flags);
/* What the file's length is now, bytes. */
void world_file_set_size(struct world_file *f, uint64_t size);
/* What maps shows from now on. */
void world_file_set_path(struct world_file *f, const char *path);
void world_file_set_identity(struct world_file *f, uint32_t dev_major, uint32_t dev_minor, uint64_t inode);

/* A space as exec left it. areas with a name in brackets that is not heap or stack become special ones; a file is made
 * for each device and inode that has no number yet (area.file is then filled in). 0 or a negative errno, with a
 * sentence on stderr. */
int world_space_new(struct world *w, uint32_t id, int pid, const char *program, const char *tail,
		    const struct quire_layout *layout, const struct quire_limits *limits,
		    struct world_area *areas, size_t nr, struct space **space);
/* fork: NULL: Quire would not. */
struct space *world_fork(struct space *parent, uint32_t id, int pid, int *err);
void world_space_end(struct space *space);

/* Serve a call. The answer is Quire's; call->result is only looked at where the header of world.c says so. */
int64_t world_call(struct space *space, const struct call *call);

/* Write the call down, after it was served; compared: its result means something to a replay. */
void world_record_call(struct space *space, const struct call *call, bool compared);

/* What no call shows. */
int world_own(struct space *space, uint64_t addr);   /* the area's first private write was at addr */
int world_grow(struct space *space, uint64_t addr);  /* the stack grew down to addr */
void world_limits(struct space *space, const struct quire_limits *limits);
void world_layout(struct space *space, const struct quire_layout *layout);
/* The file that the area at addr maps gets its identity (shared anonymous memory). false: no such area. */
bool world_identify(struct space *space, uint64_t addr, uint32_t dev_major, uint32_t dev_minor, uint64_t inode);
/* Make the areas those of Linux, wherever they are not. Number of areas put in, or a negative errno. */
int world_take_over(struct space *space, struct world_area *areas, size_t nr);
/* The two halves of that, for the replayer. */
int world_drop(struct space *space, uint64_t start, uint64_t end);
int world_insert(struct space *space, const struct world_area *area);

/* The text of /proc/PID/maps as Quire has it. */
void world_maps(struct space *space, struct text *t);
void world_smaps(struct space *space, struct text *t);

struct quire_vma *world_find(struct space *space, uint64_t addr);
/* The file that the area at addr maps, if it was made by world_file_new(); else NULL. */
struct world_file *world_file_at(struct space *space, uint64_t addr);

#endif
