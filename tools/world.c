/* SPDX-License-Identifier: MIT */
/*
 * The Quire side of the tool; see world.h. One thread.
 *
 * Where Linux's answer is an input to ours, and not only what ours is compared with:
 *   mmap with MAP_32BIT: Linux starts its search at a random page for each call; see map_32bit_start()
 * The tracer counts and names each of these in its summary.
 */
#include "world.h"

#include <stdlib.h>
#include <string.h>
#include <sys/shm.h>
#include <unistd.h>

#include <machine.h>

#include "record.h"

/* Areas, index nodes, owners and tables live here, and the few pages that calls themselves fault in. */
#define WORLD_RAM (UINT64_C(4) << 30)

struct world_special {
	struct world_special *next;
	struct quire_vm_ops ops;
};

static void forget_legacy(struct space *space)
{
	size_t i;

	for (i = 0; i < space->nr_legacy; i++) {
		if (space->legacy[i].vma.anon)
			quire_anon_release(space->world->q, &space->legacy[i].vma);
	}
	free(space->legacy);
	space->legacy = NULL;
	space->nr_legacy = 0;
}

/* ---- Made and gone ----------------------------------------------------------------------- */

void world_set_system(struct world *w, const struct world_system *system)
{
	struct quire_sysctl *s = &w->q->mms.sysctl;

	w->system = *system;
	s->max_map_count = (uint32_t)system->max_map_count;
	/* Strict accounting counts what other programs have, too: refusals are taken from Linux. */
	s->overcommit_memory = system->overcommit_memory == 2 ? 1 : (uint32_t)system->overcommit_memory;
	s->overcommit_ratio = (uint32_t)system->overcommit_ratio;
	s->overcommit_kbytes = system->overcommit_kbytes;
	s->admin_reserve_kbytes = system->admin_reserve_kbytes;
	s->user_reserve_kbytes = system->user_reserve_kbytes;
	s->mmap_min_addr = system->mmap_min_addr;
	s->dac_mmap_min_addr = system->dac_mmap_min_addr;
	s->stack_guard_gap = system->stack_guard_gap;
	s->overcommit_total_pages = system->total_pages;
	s->anon_align = system->anon_align;
	s->thp_available = system->thp != 0;
	s->ksm_available = system->ksm != 0;
	s->forbid_zeropage = system->forbid_zeropage != 0;
	s->populate_disabled = true;
}

struct world *world_create(const struct world_system *system, struct recorder *recorder)
{
	struct world *w = tool_alloc(sizeof(*w));

	if (machine_create(&(struct machine_config){ .ram_bytes = WORLD_RAM }, &w->machine)) {
		tool_warn("no memory for the simulated machine");
		exit(TOOL_NOT_RUN);
	}
	w->q = machine_quire(w->machine);
	w->recorder = recorder;
	w->spaces_end = &w->spaces;
	world_set_system(w, system);
	record_system(recorder, system);
	return w;
}

void world_reset(struct world *w)
{
	struct space *space, *next;
	uint32_t i;

	for (space = w->spaces; space; space = next) {
		next = space->next;
		forget_legacy(space);
		if (space->mm)
			quire_mmput(space->mm);
		free(space->program);
		free(space->tail);
		free(space);
	}
	w->spaces = NULL;
	w->spaces_end = &w->spaces;
	w->nr_spaces = 0;
	quire_grace_wait(w->q);
	for (i = 1; i <= w->nr_files; i++) {
		if (w->files[i])
			world_file_put(w->files[i]);
	}
}

unsigned world_destroy(struct world *w)
{
	struct world_special *special;
	unsigned reports;

	world_reset(w);
	while ((special = w->specials)) {
		w->specials = special->next;
		free((char *)special->ops.name);
		free(special);
	}
	free(w->files);
	reports = machine_destroy(w->machine);
	free(w);
	return reports;
}

/* ---- Files ------------------------------------------------------------------------------- */

static struct world_file *file_of(struct quire_file *file)
{
	return quire_container_of(file, struct world_file, file);
}

static void file_release(struct quire *q, struct quire_file *file)
{
	struct world_file *f = file_of(file), **link;

	(void)q;
	if (f->fd >= 0) {
		close(f->fd);
		for (link = &f->world->open_files; *link != f; link = &(*link)->next)
			;
		*link = f->next;
	}
	f->world->files[f->id] = NULL;
}

static void object_release(struct quire_object *object)
{
	struct world_file *f = quire_container_of(object, struct world_file, object);

	free(f->path);
	free(f);
}

static int punch_hole(struct quire_object *object, uint64_t start, uint64_t end)
{
	(void)object;
	(void)start;
	(void)end;
	return 0;
}

static const struct quire_file_ops file_ops = {
	.punch_hole = punch_hole,
	.release = object_release,
};

static void closed(struct quire_vma *vma)
{
	(void)vma;
}

static int driver_mmap(struct quire_file *file, struct quire_vma *vma)
{
	vma->flags |= file_of(file)->vm_flags;
	return 0;
}

struct world_file *world_file_new(struct world *w, const struct world_file_desc *desc)
{
	struct world_file *f = tool_alloc(sizeof(*f));
	uint32_t id = desc->id ? desc->id : w->nr_files + 1, i;

	if (id > w->nr_files) {
		w->files = tool_realloc(w->files, (id + 1) * sizeof(*w->files));
		for (i = w->nr_files + 1; i <= id; i++)
			w->files[i] = NULL;
		w->nr_files = id;
	}
	w->files[id] = f;
	f->world = w;
	f->id = id;
	f->flags = desc->flags;
	f->vm_flags = desc->vm_flags;
	f->size = desc->size;
	f->path = tool_strdup(desc->path);
	f->fd = -1;
	f->ops.close = closed;
	quire_object_init(w->q, &f->object, &file_ops, desc->size,
			  QUIRE_OBJECT_NOSYNC | (desc->flags & WORLD_FILE_ZERO ? QUIRE_OBJECT_SHMEM : 0));
	f->file = (struct quire_file){
		.object = &f->object,
		.vm_ops = desc->flags & WORLD_FILE_NO_MERGE ? &f->ops : NULL,
		.mmap = desc->vm_flags ? driver_mmap : NULL,
		.release = file_release,
		.path = f->path,
		.inode = desc->inode,
		.dev_major = desc->dev_major,
		.dev_minor = desc->dev_minor,
		.flags = desc->flags & 0xffffff,
		.refs = 1,
		.map_align = desc->map_align,
	};
	return f;
}

struct world_file *world_file_get(struct world *w, uint32_t id)
{
	return id && id <= w->nr_files ? w->files[id] : NULL;
}

void world_file_put(struct world_file *f)
{
	quire_file_put(f->world->q, &f->file);
}

void world_file_add_flags(struct world_file *f, uint32_t flags)
{
	if ((f->flags & flags) == flags)
		return;
	f->flags |= flags;
	f->file.flags = f->flags & 0xffffff;
	if (f->recorded)
		record_flags(f->world->recorder, f);
}

void world_file_set_size(struct world_file *f, uint64_t size)
{
	if (f->size == size)
		return;
	f->size = size;
	quire_object_truncate(&f->object, size);
	if (f->recorded)
		record_size(f->world->recorder, f);
}

void world_file_set_path(struct world_file *f, const char *path)
{
	char *old = f->path;

	f->path = tool_strdup(path);
	f->file.path = f->path;
	free(old);
	if (f->recorded)
		record_path(f->world->recorder, f);
}

void world_file_set_identity(struct world_file *f, uint32_t dev_major, uint32_t dev_minor, uint64_t inode)
{
	f->file.dev_major = dev_major;
	f->file.dev_minor = dev_minor;
	f->file.inode = inode;
}

/* A recording names a file before its first use, once all about it is known. */
static void file_known(struct world_file *f)
{
	if (!f->recorded)
		record_file(f->world->recorder, f);
	f->recorded = true;
}

/* ---- Special areas ----------------------------------------------------------------------- */

/* [vdso] and its like are one piece for ever. */
static int special_may_split(struct quire_vma *vma, quire_uaddr_t addr)
{
	(void)vma;
	(void)addr;
	return -QUIRE_EINVAL;
}

static const struct quire_vm_ops *special_ops(struct world *w, const char *name)
{
	struct world_special *s;

	for (s = w->specials; s; s = s->next) {
		if (strcmp(s->ops.name, name) == 0)
			return &s->ops;
	}
	s = tool_alloc(sizeof(*s));
	s->ops.name = tool_strdup(name);
	s->ops.close = closed;
	s->ops.may_split = special_may_split;
	s->next = w->specials;
	w->specials = s;
	return &s->ops;
}

static bool is_special(const struct world_area *area)
{
	return area->inode == 0 && area->file == 0 && area->name[0] == '[' && strcmp(area->name, "[heap]") != 0 &&
	       strcmp(area->name, "[stack]") != 0 && strncmp(area->name, "[anon", 5) != 0;
}

/* ---- Areas ------------------------------------------------------------------------------- */

/* Flags that are not carried over: nobody sees them outside the kernel that sets them. */
#define FLAGS_NOT_TAKEN QUIRE_VM_SOFTDIRTY

/* The anonymous area, now dropped, that was where [start, end) is; NULL. One with an owner if there is any. */
static struct world_legacy *legacy_of(struct space *space, uint64_t start, uint64_t end)
{
	struct world_legacy *best = NULL;
	size_t i;

	for (i = 0; i < space->nr_legacy; i++) {
		struct world_legacy *l = &space->legacy[i];

		if (l->anonymous && l->vma.start < end && l->vma.end > start && (!best || (!best->vma.anon && l->vma.anon)))
			best = l;
	}
	return best;
}

int world_insert(struct space *space, const struct world_area *area)
{
	struct world_legacy *legacy;
	struct quire_vma *vma;
	int err;

	struct world_file *f = world_file_get(space->world, area->file);
	struct quire_area_desc desc = {
		.start = area->start,
		.end = area->end,
		.flags = area->flags & ~FLAGS_NOT_TAKEN,
		.pgoff = f ? area->pgoff : area->start >> QUIRE_PAGE_SHIFT,
		.file = f ? &f->file : NULL,
		.ops = is_special(area) ? special_ops(space->world, area->name) : NULL,
	};

	legacy = f || area->flags & QUIRE_VM_SHARED ? NULL : legacy_of(space, area->start, area->end);
	if (legacy)
		desc.pgoff = legacy->vma.pgoff + ((area->start - legacy->vma.start) >> QUIRE_PAGE_SHIFT);
	if (f)
		file_known(f);
	record_area(space->world->recorder, space, area);
	err = quire_insert_vm_area(space->mm, &desc);
	if (!err && legacy && legacy->vma.anon) {
		vma = world_find(space, area->start);
		quire_anon_share(vma, &legacy->vma);
		quire_anon_link(space->world->q, vma);
	}
	return err;
}

static bool same_identity(const struct quire_file *file, const struct world_area *area)
{
	return file->dev_major == area->dev_major && file->dev_minor == area->dev_minor &&
	       file->inode == area->inode;
}

/* The number of the file behind one of Linux's areas: that of an area of this space with the same identity, or of one in front in
 * the list, or a new one. */
static void identify_areas(struct space *space, struct world_area *areas, size_t nr)
{
	struct quire_index_walk walk;
	struct quire_vma *vma;
	size_t i, j;

	for (i = 0; i < nr; i++) {
		struct world_area *area = &areas[i];
		struct world_file_desc desc = {
			.dev_major = area->dev_major,
			.dev_minor = area->dev_minor,
			.inode = area->inode,
			.size = area->size,
			.flags = QUIRE_FILE_READ | (area->flags & QUIRE_VM_MAYSHARE &&
							area->flags & QUIRE_VM_MAYWRITE ? QUIRE_FILE_WRITE : 0),
			.path = area->name,
		};

		if (area->file || (!area->inode && !area->dev_major && !area->dev_minor))
			continue;
		for (j = 0; j < i && !area->file; j++) {
			if (areas[j].file && areas[j].inode == area->inode &&
			    areas[j].dev_major == area->dev_major && areas[j].dev_minor == area->dev_minor)
				area->file = areas[j].file;
		}
		quire_index_walk_start(&walk, &space->mm->index, 0);
		while (!area->file && (vma = quire_index_walk_next(&walk))) {
			if (vma->file && vma->file->release == file_release && same_identity(vma->file, area))
				area->file = file_of(vma->file)->id;
		}
		if (!area->file)
			area->file = world_file_new(space->world, &desc)->id;
	}
}

static struct space *space_alloc(struct world *w, uint32_t id, int pid, const char *program, const char *tail)
{
	struct space *space = tool_alloc(sizeof(*space));

	space->world = w;
	space->id = id ? id : w->nr_spaces + 1;
	if (space->id > w->nr_spaces)
		w->nr_spaces = space->id;
	space->pid = pid;
	space->program = tool_strdup(program);
	space->tail = tool_strdup(tail);
	return space;
}

static void space_link(struct space *space)
{
	*space->world->spaces_end = space;
	space->world->spaces_end = &space->next;
}

static void space_free(struct space *space)
{
	free(space->program);
	free(space->tail);
	free(space);
}

static void note_peaks(struct space *space)
{
	if (space->mm->index.count > space->peak_areas)
		space->peak_areas = space->mm->index.count;
	if (space->mm->total_vm > space->peak_pages)
		space->peak_pages = space->mm->total_vm;
}

int world_space_new(struct world *w, uint32_t id, int pid, const char *program, const char *tail,
		    const struct quire_layout *layout, const struct quire_limits *limits,
		    struct world_area *areas, size_t nr, struct space **out)
{
	struct space *space = space_alloc(w, id, pid, program, tail);
	uint32_t first_file = w->nr_files + 1, last_file;
	size_t i;
	int err;

	err = quire_mm_create(w->q, layout, &space->mm);
	if (err) {
		w->nr_spaces--;
		space_free(space);
		return err;
	}
	space->mm->limits = *limits;
	space_link(space);
	record_space(w->recorder, space);
	identify_areas(space, areas, nr);
	last_file = w->nr_files;
	for (i = 0; i < nr; i++) {
		err = world_insert(space, &areas[i]);
		if (err) {
			tool_warn("cannot put the area %llx-%llx in: errno %d", (unsigned long long)areas[i].start,
				  (unsigned long long)areas[i].end, -err);
			space->lost = true;
			break;
		}
	}
	/* The areas hold their files now. */
	while (first_file <= last_file) {
		if (w->files[first_file] && !id)
			world_file_put(w->files[first_file]);
		first_file++;
	}
	note_peaks(space);
	*out = space;
	return err;
}

struct space *world_fork(struct space *parent, uint32_t id, int pid, int *err)
{
	struct space *space = space_alloc(parent->world, id, pid, parent->program, parent->tail);

	forget_legacy(parent);
	*err = quire_fork(parent->mm, &space->mm);
	if (*err) {
		parent->world->nr_spaces--;
		space_free(space);
		return NULL;
	}
	space->lost = parent->lost;
	space_link(space);
	note_peaks(space);
	record_fork(parent->world->recorder, parent, space);
	return space;
}

void world_space_end(struct space *space)
{
	struct world *w = space->world;

	if (!space->mm)
		return;
	forget_legacy(space);
	if (w->ending)
		w->ending(space, w->ending_arg);
	record_end(w->recorder, space);
	quire_mmput(space->mm);
	space->mm = NULL;
	/* Files that nobody maps any more must go now: the tracer's duplicates of them keep Linux from running them. */
	if (w->open_files)
		quire_grace_wait(w->q);
}

/* ---- Calls ------------------------------------------------------------------------------- */

/*
 * Linux looks for the lowest gap at or above a random page of [0x40000000, 0x42000000). Where its answer lies in
 * that window, the answer itself is a start that leads there if and only if the gap was free. Where
 * it lies above, no start in the window leads anywhere else than the last one does.
 */
#define MAP_32BIT_LOW UINT64_C(0x40000000)
#define MAP_32BIT_WINDOW UINT64_C(0x02000000)

static uint64_t map_32bit_start(int64_t answer)
{
	uint64_t last = MAP_32BIT_LOW + MAP_32BIT_WINDOW - QUIRE_PAGE_SIZE;

	if (answer >= (int64_t)MAP_32BIT_LOW && (uint64_t)answer < last)
		return (uint64_t)answer;
	return last;
}

static int64_t serve_mmap(struct space *space, const struct call *call)
{
	struct world_file *f = world_file_get(space->world, call->file);

	if (call->arg[3] & QUIRE_MAP_32BIT)
		space->mm->layout.map_32bit_start = map_32bit_start(call->result);
	return quire_mmap(space->mm, call->arg[0], call->arg[1], (uint32_t)call->arg[2], (uint32_t)call->arg[3],
			  f ? &f->file : NULL, call->arg[5]);
}

/* shmat(2): arguments are file, address, flags and the segment's size. */
static int64_t serve_shmat(struct space *space, const struct call *call)
{
	struct world_file *f = world_file_get(space->world, call->file);
	uint64_t addr = call->arg[1], flags = call->arg[2], size = call->arg[3];
	uint32_t prot = QUIRE_PROT_READ, map = QUIRE_MAP_SHARED;
	struct quire_vma *vma;

	if (!f)
		return -QUIRE_EINVAL;
	if (addr) {
		if (addr & (QUIRE_PAGE_SIZE - 1)) {
			if (!(flags & SHM_RND))
				return -QUIRE_EINVAL;
			addr &= QUIRE_PAGE_MASK;
			if (!addr && (flags & SHM_REMAP))
				return -QUIRE_EINVAL;
		}
		map |= QUIRE_MAP_FIXED;
	} else if (flags & SHM_REMAP) {
		return -QUIRE_EINVAL;
	}
	if (!(flags & SHM_RDONLY))
		prot |= QUIRE_PROT_WRITE;
	if (flags & SHM_EXEC)
		prot |= QUIRE_PROT_EXEC;
	if (addr && !(flags & SHM_REMAP)) {
		if (addr + size < addr)
			return -QUIRE_EINVAL;
		vma = quire_index_intersection(&space->mm->index, addr, addr + size);
		if (vma)
			return -QUIRE_EINVAL;
	}
	return quire_mmap(space->mm, addr, size, prot, map, &f->file, 0);
}

static bool is_segment_at(const struct quire_vma *vma, uint64_t addr)
{
	return vma->file && vma->file->release == file_release &&
	       file_of(vma->file)->flags & WORLD_FILE_NO_MERGE && file_of(vma->file)->flags & WORLD_FILE_ZERO &&
	       (vma->start - addr) >> QUIRE_PAGE_SHIFT == vma->pgoff;
}

/* shmdt(2): every piece of the attachment that began at addr, wherever holes were made in it. */
static int64_t serve_shmdt(struct space *space, const struct call *call)
{
	uint64_t addr = call->arg[0], size, next;
	struct quire_file *file;
	struct quire_vma *vma;
	int err;

	if (addr & (QUIRE_PAGE_SIZE - 1))
		return -QUIRE_EINVAL;
	vma = quire_find_vma(space->mm, addr);
	while (vma && !is_segment_at(vma, addr))
		vma = quire_find_vma(space->mm, vma->end);
	if (!vma)
		return -QUIRE_EINVAL;
	file = vma->file;
	size = quire_page_up(file_of(file)->size);
	quire_file_get(file);
	err = 0;
	while (vma && vma->end - addr <= size && !err) {
		next = vma->end;
		if (vma->file == file && is_segment_at(vma, addr))
			err = quire_munmap(space->mm, vma->start, vma->end - vma->start);
		vma = quire_find_vma(space->mm, next);
	}
	quire_file_put(space->world->q, file);
	return err;
}

static int64_t serve(struct space *space, const struct call *call)
{
	struct quire_mm *mm = space->mm;
	const uint64_t *a = call->arg;

	switch (call->id) {
	case CALL_MMAP:
		return serve_mmap(space, call);
	case CALL_MUNMAP:
		return quire_munmap(mm, a[0], a[1]);
	case CALL_MPROTECT:
		return quire_mprotect(mm, a[0], a[1], (uint32_t)a[2]);
	case CALL_MREMAP:
		return quire_mremap(mm, a[0], a[1], a[2], (uint32_t)a[3], a[4]);
	case CALL_BRK:
		return (int64_t)quire_brk(mm, a[0]);
	case CALL_MADVISE:
		return quire_madvise(mm, a[0], a[1], (int)a[2]);
	case CALL_MLOCK:
		return quire_mlock(mm, a[0], a[1]);
	case CALL_MLOCK2:
		return quire_mlock2(mm, a[0], a[1], (uint32_t)a[2]);
	case CALL_MUNLOCK:
		return quire_munlock(mm, a[0], a[1]);
	case CALL_MLOCKALL:
		return quire_mlockall(mm, (uint32_t)a[0]);
	case CALL_MUNLOCKALL:
		return quire_munlockall(mm);
	case CALL_MSYNC:
		return quire_msync(mm, a[0], a[1], (uint32_t)a[2]);
	case CALL_MINCORE:
		return quire_mincore(mm, a[0], a[1], NULL);
	case CALL_MSEAL:
		return quire_mseal(mm, a[0], a[1], a[2]);
	case CALL_REMAP_FILE_PAGES:
		return quire_remap_file_pages(mm, a[0], a[1], (uint32_t)a[2], a[3], (uint32_t)a[4]);
	case CALL_SHMAT:
		return serve_shmat(space, call);
	case CALL_SHMDT:
		return serve_shmdt(space, call);
	default:
		return -QUIRE_ENOSYS;
	}
}

int64_t world_call(struct space *space, const struct call *call)
{
	struct world *w = space->world;
	struct world_file *f = world_file_get(w, call->file);
	int64_t answer;

	if (space->nr_legacy)
		forget_legacy(space);
	if (f)
		file_known(f);
	answer = serve(space, call);
	space->calls[call->id]++;
	space->nr_calls++;
	note_peaks(space);
	return answer;
}

void world_record_call(struct space *space, const struct call *call, bool compared)
{
	record_call(space->world->recorder, space, call, compared);
}

/* ---- What no call shows ------------------------------------------------------------------ */

struct quire_vma *world_find(struct space *space, uint64_t addr)
{
	struct quire_vma *vma = quire_find_vma(space->mm, addr);

	return vma && vma->start <= addr ? vma : NULL;
}

struct world_file *world_file_at(struct space *space, uint64_t addr)
{
	struct quire_vma *vma = world_find(space, addr);

	return vma && vma->file && vma->file->release == file_release ? file_of(vma->file) : NULL;
}

int world_own(struct space *space, uint64_t addr)
{
	struct quire_vma *vma = world_find(space, addr);

	forget_legacy(space);
	if (!vma || vma->flags & QUIRE_VM_SHARED)
		return -QUIRE_EFAULT;
	if (vma->anon)
		return 0;
	record_own(space->world->recorder, space, addr);
	return quire_anon_prepare(vma, QUIRE_GFP_KERNEL);
}

int world_grow(struct space *space, uint64_t addr)
{
	struct quire_signal sig;
	int err;

	record_grow(space->world->recorder, space, addr);
	err = quire_fault(space->mm, addr, QUIRE_ACCESS_READ, &sig);
	note_peaks(space);
	return err;
}

void world_limits(struct space *space, const struct quire_limits *limits)
{
	space->mm->limits = *limits;
	record_limits(space->world->recorder, space);
}

void world_layout(struct space *space, const struct quire_layout *layout)
{
	space->mm->layout = *layout;
	record_layout(space->world->recorder, space);
}

bool world_identify(struct space *space, uint64_t addr, uint32_t dev_major, uint32_t dev_minor, uint64_t inode)
{
	struct quire_vma *vma = world_find(space, addr);

	if (!vma || !vma->file)
		return false;
	vma->file->dev_major = dev_major;
	vma->file->dev_minor = dev_minor;
	vma->file->inode = inode;
	record_identify(space->world->recorder, space, addr, dev_major, dev_minor, inode);
	return true;
}

/* ---- Taking over ------------------------------------------------------------------------- */

int world_drop(struct space *space, uint64_t start, uint64_t end)
{
	struct world_legacy *l;
	struct quire_vma *vma;

	for (vma = quire_find_vma(space->mm, start); vma && vma->start < end; vma = quire_find_vma(space->mm, vma->end)) {
		space->legacy = tool_realloc(space->legacy, (space->nr_legacy + 1) * sizeof(*space->legacy));
		l = &space->legacy[space->nr_legacy++];
		*l = (struct world_legacy){ .anonymous = !vma->file && !vma->ops };
		l->vma.mm = space->mm;
		l->vma.start = vma->start;
		l->vma.end = vma->end;
		l->vma.pgoff = vma->pgoff;
		if (vma->anon)
			quire_anon_share(&l->vma, vma);
	}
	record_drop(space->world->recorder, space, start, end);
	return quire_munmap(space->mm, start, end - start);
}

static bool same_area(const struct quire_vma *vma, const struct world_area *area)
{
	if (vma->start != area->start || vma->end != area->end || vma->flags != (area->flags & ~FLAGS_NOT_TAKEN))
		return false;
	if (!vma->file)
		return !area->inode && !area->dev_major && !area->dev_minor;
	return same_identity(vma->file, area) && vma->pgoff == area->pgoff;
}

/*
 * Walks both lists of areas at once. Where they differ, the stretch is widened until neither list has an
 * area across its edges; Quire's areas go from it and Linux's come.
 */
int world_take_over(struct space *space, struct world_area *areas, size_t nr)
{
	uint32_t first_file = space->world->nr_files + 1, last_file;
	struct quire_mm *mm = space->mm;
	struct quire_vma *vma;
	uint64_t start, end, pos;
	size_t i = 0, first;
	int put = 0, err = 0;

	identify_areas(space, areas, nr);
	last_file = space->world->nr_files;
	vma = quire_index_first(&mm->index);
	while (!err && (vma || i < nr)) {
		if (vma && i < nr && same_area(vma, &areas[i])) {
			vma = quire_find_vma(mm, vma->end);
			i++;
			continue;
		}
		start = vma && (i == nr || vma->start < areas[i].start) ? vma->start : areas[i].start;
		end = start + 1;
		first = i;
		for (;;) {
			if (vma && vma->start < end) {
				if (vma->end > end)
					end = vma->end;
				vma = quire_find_vma(mm, vma->end);
			} else if (i < nr && areas[i].start < end) {
				if (areas[i].end > end)
					end = areas[i].end;
				i++;
			} else {
				break;
			}
		}
		/* Piece by piece: special areas can't be cut, and the stretch may hold holes. */
		for (pos = start; !err && (vma = quire_find_vma(mm, pos)) && vma->start < end;) {
			pos = vma->end;
			err = world_drop(space, vma->start, vma->end);
		}
		for (; !err && first < i; first++, put++)
			err = world_insert(space, &areas[first]);
		vma = quire_find_vma(mm, end);
	}
	while (first_file <= last_file) {
		if (space->world->files[first_file])
			world_file_put(space->world->files[first_file]);
		first_file++;
	}
	forget_legacy(space);
	if (err) {
		space->lost = true;
		return err;
	}
	note_peaks(space);
	return put;
}

/* ---- Texts ------------------------------------------------------------------------------- */

struct text_sink {
	struct quire_sink sink;
	struct text *text;
};

static int emit(struct quire_sink *sink, const char *text, size_t len)
{
	struct text_sink *s = quire_container_of(sink, struct text_sink, sink);

	text_add(s->text, text, len);
	return 0;
}

void world_maps(struct space *space, struct text *t)
{
	struct text_sink sink = { { emit }, t };

	text_clear(t);
	quire_proc_maps(space->mm, &sink.sink);
	text_add(t, space->tail, strlen(space->tail));
}

void world_smaps(struct space *space, struct text *t)
{
	struct text_sink sink = { { emit }, t };

	text_clear(t);
	quire_proc_smaps(space->mm, &sink.sink);
}
