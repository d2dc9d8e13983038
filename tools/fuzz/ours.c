/* SPDX-License-Identifier: MIT */
/*
 * The player's side on the simulated machine: files with the same bytes as the host's, a space taken over from what
 * /proc shows of the fresh process, the calls and accesses. It plays first, so it is here that a step is found to be one that
 * cannot be compared, and left out. Called by play.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../kernel_view.h"
#include "player.h"

#ifndef SYS_mseal
#define SYS_mseal 462
#endif

#define PAGE STEP_PAGE
#define CHECK_EVERY 16  /* steps: the walk over all tables costs more than most of them */
#define SAMPLE_EVERY 32 /* steps */
#define AROUND_BYTES (64ull << 10) /* fault_around_bytes */
#define MAX_PADS 100000         /* areas; as many as a round has time for */
#define BELOW_STACK (16u << 20) /* bytes: a stack may grow by 8 MiB, and keeps its distance */
#define MAX_LOOKS 32    /* pages at the start of an area whose bytes are compared at the end */

/* ---- Files ------------------------------------------------------------------------------- */

/* What is dropped reads as zeroes afterwards: nothing to be done. */
static int punch(struct quire_object *object, uint64_t start, uint64_t end)
{
	(void)object;
	(void)start;
	(void)end;
	return 0;
}

/*
 * The disk keeps nothing: pages stay in the cache, and holes read as zeroes. As ext4 does, what a mapping has left behind the
 * end of the file is zeroed as it is written.
 */
static int write_back(struct quire_object *object, struct quire_page *page)
{
	struct player *p = object->private_data;
	uint64_t pos = page->index * PAGE;
	unsigned char *bytes;

	if (object->size >= pos + PAGE)
		return 0;
	bytes = quire_page_kmap(p->q, page);
	if (object->size <= pos)
		memset(bytes, 0, PAGE);
	else
		memset(bytes + (object->size - pos), 0, pos + PAGE - object->size);
	quire_page_kunmap(p->q, bytes);
	return 0;
}

/* Only what was cut or never written has to be read: all else is in the cache since the round began. */
static int read_hole(struct quire_object *object, struct quire_page *page)
{
	struct player *p = object->private_data;

	quire_page_zero(p->q, page);
	if (p->disk_rule == PLAY_NR_RULES)
		p->disk_rule = PLAY_RULE_READ_AHEAD;
	return 0;
}

static const struct quire_file_ops memory_ops = { .punch_hole = punch };
static const struct quire_file_ops disk_ops = { .read_page = read_hole, .punch_hole = punch, .write_page = write_back };

/* How far the file system lets a hole reach: EFBIG beyond. */
static uint64_t largest_size(int fd)
{
	uint64_t low = 0, high = QUIRE_OBJECT_MAX_SIZE;

	while (low < high) {
		uint64_t middle = high - (high - low) / 2;

		if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(middle - 1), 1) && errno == EFBIG)
			high = middle - 1;
		else
			low = middle;
	}
	return low;
}

static void set_up_file(struct player *p, struct our_file *f, struct our_file *same, const struct quire_file_ops *ops,
			uint32_t object_flags, uint32_t flags, const struct stat *st, const char *path)
{
	memset(f, 0, sizeof(*f));
	if (same) {
		f->object = same->object;
	} else {
		quire_object_init(p->q, &f->own, ops, 0, object_flags);
		f->own.private_data = p;
		f->object = &f->own;
	}
	snprintf(f->path, sizeof(f->path), "%s", path);
	f->file = (struct quire_file){
		.object = f->object,
		.flags = flags,
		.refs = 1,
		.path = f->path,
		.inode = st->st_ino,
		.dev_major = (uint32_t)(st->st_dev >> 8) & 0xfff,
		.dev_minor = (uint32_t)(st->st_dev & 0xff) | (uint32_t)((st->st_dev >> 12) & 0xfff00),
	};
}

/* As theirs.c fills the host's. */
static void fill_file(struct our_file *f, unsigned number)
{
	unsigned char block[PAGE];
	unsigned j;

	for (j = 0; j < STEP_FILE_PAGES - 1; j++) {
		memset(block, (int)(0x10 * number + j + 1), sizeof(block));
		block[0] = RETURN_INSTRUCTION;
		quire_object_write(f->object, j * PAGE, block, j == STEP_FILE_PAGES - 2 ? 100 : sizeof(block));
	}
}

static struct our_file *same_file(struct player *p, unsigned number)
{
	if (number == STEP_FILE_AGAIN)
		return &p->file[STEP_FILE_TMPFS];
	if (number == STEP_FILE_DISK_READ_ONLY)
		return &p->file[STEP_FILE_DISK];
	return NULL;
}

static void set_up_files(struct player *p)
{
	unsigned i;

	for (i = 0; i < STEP_NR_FILES; i++) {
		struct our_file *same = same_file(p, i);
		bool disk = (i == STEP_FILE_DISK || i == STEP_FILE_DISK_READ_ONLY) && !p->no_disk;
		uint32_t flags = QUIRE_FILE_DELETED;
		struct stat st;

		if (i != STEP_FILE_WRITE_ONLY)
			flags |= QUIRE_FILE_READ;
		if (i != STEP_FILE_READ_ONLY && i != STEP_FILE_DISK_READ_ONLY)
			flags |= QUIRE_FILE_WRITE;
		fstat((int)(STEP_FD + i), &st);
		set_up_file(p, &p->file[i], same, disk ? &disk_ops : &memory_ops,
			    disk ? 0 : QUIRE_OBJECT_SHMEM | QUIRE_OBJECT_NOSYNC, flags, &st, p->path[i]);
		if (disk)
			p->file[i].file.map_align = 2 << 20;
		if (disk && !same)
			p->file[i].own.max_size = largest_size(p->fill_fd[i]);
		if (!same)
			fill_file(&p->file[i], i);
	}
	p->disk = p->no_disk ? NULL : p->file[STEP_FILE_DISK].object;
}

/* ---- The space --------------------------------------------------------------------------- */

/* The kernel's own mappings cannot be cut. */
static int never_split(struct quire_vma *vma, quire_uaddr_t addr)
{
	(void)vma;
	(void)addr;
	return -QUIRE_EINVAL;
}

/* What mlock() finds there; nobody looks at it. */
static int some_page(struct quire_vmf *vmf)
{
	vmf->page = quire_page_alloc(vmf->vma->mm->q, QUIRE_GFP_USER, 0);
	return vmf->page ? 0 : -QUIRE_ENOMEM;
}

static const struct quire_vm_ops named_ops[] = {
	{ .name = "[vvar]", .may_split = never_split },
	{ .name = "[vdso]", .may_split = never_split, .fault = some_page },
	{ .name = "[vvar_vclock]", .may_split = never_split },
};

static struct our_file *adopted_file(struct player *p, const struct world_area *area)
{
	struct stat st = { .st_ino = area->inode };
	struct our_file *f;
	unsigned i;

	for (i = 0; i < p->nr_adopted; i++)
		if (strcmp(p->adopted[i].path, area->name) == 0)
			return &p->adopted[i];
	if (p->nr_adopted == PLAYER_MAX_ADOPTED)
		return NULL;
	f = &p->adopted[p->nr_adopted++];
	set_up_file(p, f, NULL, &memory_ops, QUIRE_OBJECT_SHMEM | QUIRE_OBJECT_NOSYNC, QUIRE_FILE_READ | QUIRE_FILE_WRITE,
		    &st, area->name);
	quire_object_truncate(f->object, 1 << 30);
	f->file.dev_major = area->dev_major;
	f->file.dev_minor = area->dev_minor;
	return f;
}

static bool broken_start(struct player *p, const char *what, int err)
{
	text_printf(&p->result.what, "cannot take the process over: %s: errno %d\n", what, -err);
	return false;
}

static bool adopt_area(struct player *p, struct view *view, const struct world_area *area)
{
	struct quire_area_desc desc = { .start = area->start, .end = area->end, .flags = area->flags };
	struct quire_page *page;
	struct our_file *f;
	uint64_t addr;
	size_t k;
	int err;

	if (area->inode) {
		f = adopted_file(p, area);
		if (!f)
			return broken_start(p, "too many files", 0);
		desc.file = &f->file;
		desc.pgoff = area->pgoff;
	} else {
		desc.pgoff = area->start / PAGE;
		for (k = 0; k < QUIRE_ARRAY_SIZE(named_ops); k++)
			if (strcmp(area->name, named_ops[k].name) == 0)
				desc.ops = &named_ops[k];
	}
	err = quire_insert_vm_area(p->mm[0], &desc);
	if (err)
		return broken_start(p, area->name, err);
	/* What the loader and the program's start-up wrote has an owner. */
	if (desc.flags & (QUIRE_VM_SHARED | QUIRE_VM_PFNMAP | QUIRE_VM_IO | QUIRE_VM_MIXEDMAP) ||
	    !view_find_private(view, area->start, area->end, &addr))
		return true;
	err = quire_get_user_page(p->mm[0], addr, QUIRE_ACCESS_WRITE | QUIRE_ACCESS_FORCE, &page);
	if (err)
		return broken_start(p, "a page that was written", err);
	quire_page_put(p->q, page);
	return true;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* None is raised: that is not everybody's right. */
static bool set_limits(struct player *p)
{
	const struct round *r = p->round;
	struct quire_limits *l = &p->mm[0]->limits;

	if (!view_limits(p->first, l))
		return broken_start(p, "/proc/PID/limits", -errno);
	if (r->limit_as != ~0ull)
		l->as = least(l->as, p->mm[0]->total_vm * PAGE + r->limit_as);
	if (r->limit_data != ~0ull)
		l->data = l->data_hard = least(l->data, p->mm[0]->data_vm * PAGE + r->limit_data);
	l->stack = least(l->stack, r->limit_stack);
	l->memlock = p->memlock = least(l->memlock, r->limit_memlock);
	return true;
}

/*
 * Linux has one limit for all: process 0 makes areas until few more are allowed. They lie above everything that is compared,
 * below its stack, and in its space alone.
 */
static void limit_areas(struct player *p, uint64_t stack)
{
	uint64_t allowed = p->mm[0]->index.count + p->round->limit_maps, start = p->layout.mmap_base + (1 << 20), nr;

	p->q->mms.sysctl.max_map_count = (uint32_t)p->system.max_map_count;
	if (p->round->limit_maps == ~0ull || allowed >= p->system.max_map_count)
		return;
	nr = p->system.max_map_count - allowed;
	if (nr > MAX_PADS || stack < start + nr * PAGE + BELOW_STACK) {
		p->left_out[PLAY_RULE_MANY_AREAS]++;
		return;
	}
	p->q->mms.sysctl.max_map_count = (uint32_t)allowed;
	p->channel->pad_start = start;
	p->channel->nr_pads = nr;
	if (p->channel->limit[0] != ~0ull)
		p->channel->limit[0] += nr * PAGE;
}

static void set_overcommit(struct player *p)
{
	struct quire_sysctl *s = &p->q->mms.sysctl;

	p->overcommit_mode = p->round->overcommit;
	if (p->overcommit_mode != STEP_OVERCOMMIT_HOSTS && !overcommit_take(p->overcommit, p->overcommit_mode)) {
		p->left_out[PLAY_RULE_OVERCOMMIT]++;
		p->overcommit_mode = STEP_OVERCOMMIT_HOSTS;
	}
	s->overcommit_memory = p->overcommit_mode == STEP_OVERCOMMIT_HOSTS ? (uint32_t)p->system.overcommit_memory : p->overcommit_mode;
	s->overcommit_kbytes = p->overcommit_mode == 2 ? STEP_STRICT_KBYTES : p->system.overcommit_kbytes;
}

bool ours_begin(struct player *p)
{
	struct view_areas areas;
	struct view view;
	bool ok = true;
	uint64_t stack = 0;
	size_t i;
	int err;

	p->layout = (struct quire_layout){ .task_size = STEP_TASK_END, .topdown = true, .map_32bit_start = STEP_LOW };
	p->layout.mmap_legacy_base = STEP_TASK_END / 3 & ~(PAGE - 1);
	p->nr_adopted = 0;
	p->freed_lazily = p->droppable = p->lost_count = false;
	p->paged_out = false;
	p->allocated = 0;
	p->disk_rule = PLAY_NR_RULES;
	p->running = 0;
	p->owner[0] = 0;
	p->nr_samples = 0;
	text_clear(&p->texts);
	memset(p->slot, 0, sizeof(p->slot));
	memset(p->mm, 0, sizeof(p->mm));
	memset(p->leaked_lock, 0, sizeof(p->leaked_lock));
	memset(p->last_maps, 0, sizeof(p->last_maps));
	if (!view_stat(p->first, &p->layout) || !view_smaps(p->first, &areas))
		return broken_start(p, "/proc/PID/stat, smaps", -errno);
	for (i = 0; i < areas.nr; i++)
		if (strcmp(areas.area[i].name, "[stack]") == 0)
			stack = areas.area[i].start;
		else if (areas.area[i].start > CHANNEL_ADDRESS)
			p->layout.mmap_base = areas.area[i].end;
	/* Maps begin at the top, below the kernel's own where it has any. */
	if (!p->layout.mmap_base)
		p->layout.mmap_base = p->channel->first_map + PAGE;
	p->layout.brk = p->layout.start_brk;
	p->slot[STEP_BREAK] = p->layout.brk;
	set_up_files(p);
	set_overcommit(p);
	segments_begin(p);
	err = quire_mm_create(p->q, &p->layout, &p->mm[0]);
	if (err || !view_open(&view, p->first)) {
		view_free_areas(&areas);
		return broken_start(p, "a space", err);
	}
	for (i = 0; i < areas.nr && ok; i++)
		ok = adopt_area(p, &view, &areas.area[i]);
	view_close(&view);
	view_free_areas(&areas);
	ok = ok && set_limits(p);
	if (ok)
		limit_areas(p, stack);
	machine_switch(p->machine, &p->mm[0]->pt);
	return ok;
}

/* Process or thread is no more. */
static void leave(struct player *p, uint32_t process)
{
	if (!p->mm[process])
		return;
	machine_cpu_turn(p->machine, process);
	machine_switch(p->machine, NULL);
	machine_cpu_turn(p->machine, 0);
	p->running = 0;
	quire_mmput(p->mm[process]);
	p->mm[process] = NULL;
}

quire_broken_t ours_end(struct player *p)
{
	unsigned i;

	for (i = STEP_MAX_PROCESSES; i-- > 0;)
		leave(p, i);
	quire_grace_wait(p->q);
	for (i = 0; i < STEP_NR_FILES; i++)
		if (p->file[i].object == &p->file[i].own)
			quire_object_put(&p->file[i].own);
	for (i = 0; i < p->nr_adopted; i++)
		quire_object_put(&p->adopted[i].own);
	p->nr_adopted = 0;
	segments_end(p);
	return quire_page_check(p->q);
}

bool ours_create(struct player *p)
{
	struct quire_sysctl *s;

	/* Enough for any round; small, so that the walk over all frames after each is short. */
	if (machine_create(&(struct machine_config){ .ram_bytes = 256 << 20, .nr_cpus = STEP_MAX_PROCESSES }, &p->machine))
		return false;
	p->q = machine_quire(p->machine);
	p->record = tool_alloc(CHANNEL_MAX_STEPS * sizeof(*p->record));
	p->sample = tool_alloc(CHANNEL_MAX_SAMPLES * sizeof(*p->sample));
	s = &p->q->mms.sysctl;
	s->max_map_count = (uint32_t)p->system.max_map_count;
	s->overcommit_memory = (uint32_t)p->system.overcommit_memory;
	s->overcommit_ratio = (uint32_t)p->system.overcommit_ratio;
	s->overcommit_kbytes = p->system.overcommit_kbytes;
	s->admin_reserve_kbytes = p->system.admin_reserve_kbytes;
	s->user_reserve_kbytes = p->system.user_reserve_kbytes;
	s->mmap_min_addr = p->system.mmap_min_addr;
	s->dac_mmap_min_addr = p->system.dac_mmap_min_addr;
	s->stack_guard_gap = p->system.stack_guard_gap;
	s->overcommit_total_pages = p->system.total_pages;
	s->anon_align = p->system.anon_align;
	s->thp_available = p->system.thp != 0;
	s->ksm_available = p->system.ksm != 0;
	s->forbid_zeropage = p->system.forbid_zeropage != 0;
	return true;
}

bool ours_destroy(struct player *p)
{
	unsigned reports = machine_destroy(p->machine);

	free(p->record);
	free(p->sample);
	text_free(&p->texts);
	p->record = NULL;
	p->sample = NULL;
	p->machine = NULL;
	return reports == 0;
}

/* ---- Calls ------------------------------------------------------------------------------- */

/* without: areas that begin there do not count. */
static uint64_t locked_bytes(struct quire_mm *mm, uint64_t start, uint64_t len, const uint64_t *without, unsigned nr_without)
{
	uint64_t sum = 0, end = start + len;
	struct quire_vma *vma;
	unsigned i;

	for (vma = quire_find_vma(mm, start); vma && vma->start < end; vma = quire_find_vma(mm, vma->end)) {
		uint64_t from = vma->start > start ? vma->start : start, to = vma->end < end ? vma->end : end;

		for (i = 0; i < nr_without && without[i] != vma->start; i++)
			;
		if (i == nr_without && (vma->flags & QUIRE_VM_LOCKED))
			sum += to - from;
	}
	return sum;
}

/*
 * mremap(MREMAP_DONTUNMAP) of locked areas leaves the source unlocked, and the destination too if it merges with it, but Linux
 * goes on counting the source in VmLck for ever, and the destination besides (docs/conformance.md). What it counts too much
 * shrinks the limit for us.
 */
static int64_t remap(struct player *p, struct quire_mm *mm, uint32_t process, const uint64_t *a)
{
	bool leaks = !p->by_quire && (a[3] & MREMAP_DONTUNMAP) && a[0] < STEP_TASK_END && a[1] <= STEP_TASK_END - a[0];
	uint64_t theirs = mm->locked_vm * PAGE, leaked, pos = a[0], end = a[0] + quire_page_up(a[1]);
	struct {
		uint64_t start, source, gone; /* bytes locked there, and where it goes */
	} area[STEP_WINDOW_PAGES];
	uint64_t unlocked[STEP_WINDOW_PAGES]; /* what has been moved in part is locked no more, all of it */
	unsigned nr = 0, i;
	bool any_source = false;
	struct quire_vma *vma;
	int64_t result;

	for (; leaks && nr < QUIRE_ARRAY_SIZE(area) && (vma = quire_find_vma(mm, pos)) && vma->start < end; pos = vma->end) {
		uint64_t from = vma->start > pos ? vma->start : pos, to = vma->end < end ? vma->end : end;

		area[nr].start = from;
		area[nr].source = locked_bytes(mm, from, to - from, NULL, 0);
		area[nr].gone = a[3] & MREMAP_FIXED ? locked_bytes(mm, a[4] + (from - a[0]), to - from, unlocked, nr) : 0;
		unlocked[nr++] = vma->start;
	}
	result = quire_mremap(mm, a[0], a[1], a[2], (uint32_t)a[3], a[4]);
	for (i = 0; i < nr; i++) {
		any_source |= area[i].source != 0;
		theirs += area[i].source - area[i].gone;
		/* Of several areas the first has moved before the call failed: nobody knows what Linux counts now. */
		if (result < 0 && area[i].source && !locked_bytes(mm, area[i].start, PAGE, NULL, 0))
			p->lost_count = true;
	}
	if (!any_source || result < 0)
		return result;
	leaked = theirs - mm->locked_vm * PAGE;
	p->leaked_lock[p->owner[process]] += leaked;
	if (mm->limits.memlock != QUIRE_RLIM_INFINITY)
		mm->limits.memlock = mm->limits.memlock > leaked ? mm->limits.memlock - leaked : 1; /* 0 is another error */
	return result;
}

static struct our_file *file_of(struct player *p, uint64_t fd)
{
	return fd >= STEP_FD && fd < STEP_FD + STEP_NR_FILES ? &p->file[fd - STEP_FD] : NULL;
}

static bool maps_disk(struct player *p, struct quire_mm *mm, uint64_t addr)
{
	struct quire_vma *vma = quire_find_vma(mm, addr);

	return vma && vma->start <= addr && p->disk && vma->object == p->disk;
}

/* A file of the round that is in memory. */
static bool maps_memory(struct player *p, struct quire_mm *mm, uint64_t addr)
{
	struct quire_vma *vma = quire_find_vma(mm, addr);

	return vma && vma->start <= addr && vma->file >= &p->file[0].file && vma->file <= &p->file[STEP_NR_FILES - 1].file &&
	       (vma->object->flags & QUIRE_OBJECT_SHMEM);
}

static bool any_disk(struct player *p, struct quire_mm *mm, uint64_t addr, uint64_t len)
{
	struct quire_vma *vma;

	for (vma = quire_find_vma(mm, addr); vma && vma->start - 1 < addr + len - 1; vma = quire_find_vma(mm, vma->end))
		if (p->disk && vma->object == p->disk)
			return true;
	return false;
}

static int look_at_core(struct player *p, struct quire_mm *mm, uint64_t addr, uint64_t len)
{
	bool fits = len <= sizeof(p->vec) * PAGE;
	int err = quire_mincore(mm, addr, len, fits ? p->vec : NULL);
	unsigned i;

	for (i = 0; !err && fits && i * PAGE < len; i++) {
		struct quire_vma *vma = quire_find_vma(mm, addr + i * PAGE);
		enum play_rule rule = PLAY_NR_RULES;

		if (p->paged_out && vma && vma->object)
			rule = PLAY_RULE_PAGED_OUT;
		else if (maps_disk(p, mm, addr + i * PAGE))
			rule = p->disk_rule;
		else if (p->allocated == 2 && maps_memory(p, mm, addr + i * PAGE))
			rule = PLAY_RULE_ALLOCATED_TWICE;
		if (rule == PLAY_NR_RULES)
			continue;
		p->vec[i] = CORE_UNKNOWN;
		p->left_out[rule]++;
	}
	return err;
}

/* A mode is one of these, and nothing; the size may be kept with some. */
static bool is_fallocate_mode(uint32_t mode)
{
	bool keeps = mode & FALLOC_FL_KEEP_SIZE;

	switch (mode & ~(uint32_t)FALLOC_FL_KEEP_SIZE) {
	case 0:
	case FALLOC_FL_ZERO_RANGE:
	case FALLOC_FL_UNSHARE_RANGE:
		return true;
	case FALLOC_FL_PUNCH_HOLE:
		return keeps;
	case FALLOC_FL_COLLAPSE_RANGE:
	case FALLOC_FL_INSERT_RANGE:
		return !keeps;
	default:
		return false;
	}
}

/* As ext4: of a hole that goes beyond the end of the file, the page that holds the end is a part; not where it ends with the file. */
static void clip_hole(const struct quire_object *object, uint64_t start, uint64_t *end)
{
	if (start >= object->size)
		*end = start;
	else if (*end > object->size)
		*end = quire_size_pages(object->size) * PAGE;
}

/*
 * As tmpfs: all pages of the range are dirty then. One that is not there yet is made, but counts as there only when it has
 * been touched, or allocated once more; ours is made when it is touched.
 */
static void allocate(struct player *p, struct quire_object *object, uint64_t start, uint64_t end)
{
	struct quire_page *page;
	bool all = true;
	uint64_t index;

	/* By Quire's kernel it is only made longer. */
	if (p->by_quire)
		return;
	for (index = start / PAGE; index < quire_size_pages(end); index++) {
		page = quire_object_find_page(object, index);
		all &= page != NULL;
		if (!page)
			continue;
		quire_page_mark_dirty(p->q, page);
		quire_page_put(p->q, page);
	}
	if (!all && p->allocated < 2)
		p->allocated++;
}

/* Where the range ends in page 0, Linux takes its last whole page for the one before that, and unmaps all that follow. */
static int64_t make_zeroes(struct player *p, struct quire_object *object, uint64_t start, uint64_t end)
{
	if (!p->by_quire && start < end && end < PAGE)
		quire_object_unmap(object, quire_size_pages(start), UINT64_MAX, false);
	return quire_object_punch_hole(object, start, end) ? -EIO : 0;
}

/* Which file system has which is fallocate(2)'s to tell; what is asked of a disk is in generate.c. */
static int64_t fallocate_file(struct player *p, const uint64_t *a)
{
	struct our_file *f = file_of(p, a[0]);
	uint32_t mode = (uint32_t)a[1];
	uint64_t end = a[2] + a[3];

	if (!f)
		return -EBADF;
	if ((int64_t)a[2] < 0 || (int64_t)a[3] <= 0)
		return -EINVAL;
	if (!is_fallocate_mode(mode))
		return -EOPNOTSUPP;
	if (!(f->file.flags & QUIRE_FILE_WRITE))
		return -EBADF;
	if (end > f->object->max_size)
		return -EFBIG;
	switch (mode & ~(uint32_t)FALLOC_FL_KEEP_SIZE) {
	case 0:
		if (f->object->flags & QUIRE_OBJECT_SHMEM)
			allocate(p, f->object, a[2], end);
		break;
	case FALLOC_FL_ZERO_RANGE:
		if (f->object->flags & QUIRE_OBJECT_SHMEM)
			return -EOPNOTSUPP;
		if (make_zeroes(p, f->object, a[2], end))
			return -EIO;
		break;
	case FALLOC_FL_PUNCH_HOLE:
		if (!(f->object->flags & QUIRE_OBJECT_SHMEM))
			clip_hole(f->object, a[2], &end);
		return make_zeroes(p, f->object, a[2], end);
	default:
		return -EOPNOTSUPP;
	}
	if (!(mode & FALLOC_FL_KEEP_SIZE))
		quire_object_extend(f->object, end);
	return 0;
}

static int64_t call(struct player *p, const struct step *s, const uint64_t *a)
{
	struct quire_mm *mm = p->mm[s->process];
	struct our_file *f = NULL;

	switch (s->nr) {
	case SYS_mmap:
		if (a[5] & (PAGE - 1))
			return -EINVAL;
		if (!(a[3] & MAP_ANONYMOUS)) {
			f = file_of(p, a[4]);
			if (!f)
				return -EBADF;
		}
		return quire_mmap(mm, a[0], a[1], (uint32_t)a[2], (uint32_t)a[3], f ? &f->file : NULL, a[5]);
	case SYS_munmap:
		return quire_munmap(mm, a[0], a[1]);
	case SYS_mprotect:
		return quire_mprotect(mm, a[0], a[1], (uint32_t)a[2]);
	case SYS_mremap:
		return remap(p, mm, s->process, a);
	case SYS_madvise:
		if (a[2] == MADV_WILLNEED && p->disk_rule == PLAY_NR_RULES && any_disk(p, mm, a[0], a[1]))
			p->disk_rule = PLAY_RULE_READ_AHEAD;
		return quire_madvise(mm, a[0], a[1], (int)a[2]);
	case SYS_mlock:
		return quire_mlock(mm, a[0], a[1]);
	case SYS_mlock2:
		return quire_mlock2(mm, a[0], a[1], (uint32_t)a[2]);
	case SYS_munlock:
		return quire_munlock(mm, a[0], a[1]);
	case SYS_mlockall:
		return quire_mlockall(mm, (uint32_t)a[0]);
	case SYS_munlockall:
		return quire_munlockall(mm);
	case SYS_msync:
		return quire_msync(mm, a[0], a[1], (uint32_t)a[2]);
	case SYS_brk:
		return (int64_t)quire_brk(mm, a[0]);
	case SYS_remap_file_pages:
		return quire_remap_file_pages(mm, a[0], a[1], (uint32_t)a[2], a[3], (uint32_t)a[4]);
	case SYS_mincore:
		return look_at_core(p, mm, a[0], a[1]);
	case SYS_mseal:
		return quire_mseal(mm, a[0], a[1], a[2]);
	case SYS_shmat:
		return segments_attach(p, mm, a[0], a[1], a[2]);
	case SYS_shmdt:
		return segments_detach(mm, a[0]);
	case SYS_fallocate:
		return fallocate_file(p, a);
	case SYS_ftruncate:
		if ((int64_t)a[1] < 0)
			return -EINVAL;
		f = file_of(p, a[0]);
		if (!f)
			return -EBADF;
		if (!(f->file.flags & QUIRE_FILE_WRITE))
			return -EINVAL;
		if (a[1] > f->object->max_size)
			return -EFBIG;
		quire_object_truncate(f->object, a[1]);
		return 0;
	}
	return -ENOSYS;
}

static int64_t write_file(struct player *p, const uint64_t *a)
{
	static unsigned char bytes[CHANNEL_MAX_READ];
	struct our_file *f = a[0] < STEP_NR_FILES ? &p->file[a[0]] : NULL;
	uint64_t len = a[2] < sizeof(bytes) ? a[2] : sizeof(bytes);

	if (!f || !(f->file.flags & QUIRE_FILE_WRITE))
		return -EBADF;
	if ((int64_t)a[1] < 0)
		return -EINVAL;
	memset(bytes, (int)a[3], len);
	return quire_object_write(f->object, a[1], bytes, len);
}

static void look_for_last_page(struct player *p, struct quire_mm *mm);

/* ---- Accesses ---------------------------------------------------------------------------- */

/* child.c's look() does the same. */
static int64_t look(struct player *p, uint64_t addr, uint64_t len, struct quire_signal *sig)
{
	uint64_t sum = 0, end = addr + len, word;
	static unsigned char bytes[PAGE];

	while (addr < end) {
		uint64_t part = PAGE - addr % PAGE < end - addr ? PAGE - addr % PAGE : end - addr, i = 0;

		if (machine_load(p->machine, addr, bytes, part, sig))
			return 0;
		for (; i < part && (addr + i) % 8; i++)
			sum = sum * LOOK_FACTOR + bytes[i];
		for (; part - i >= 8; i += 8) {
			memcpy(&word, bytes + i, 8);
			sum = sum * LOOK_FACTOR + word;
		}
		for (; i < part; i++)
			sum = sum * LOOK_FACTOR + bytes[i];
		addr += part;
	}
	return (int64_t)sum;
}

/* child.c's transfer() does the same. */
static int64_t transfer(struct player *p, const struct step *s, const uint64_t *a, struct record *r)
{
	bool write = s->nr == SYS_process_vm_writev;
	struct quire_mm *mm = p->mm[s->process], *other = a[0] < STEP_MAX_PROCESSES ? p->mm[a[0]] : NULL;
	struct step_range ranges[2];
	uint64_t total = transfer_ranges(a, ranges), at, i;
	struct quire_iovec local = { p->channel->buffer, total };
	struct quire_iovec remote[2] = { { ranges[0].base, ranges[0].len }, { ranges[1].base, ranges[1].len } };
	unsigned char bytes[PAGE];
	int64_t result;

	for (at = 0; at < total; at += PAGE) {
		for (i = 0; i < PAGE; i++)
			bytes[i] = transfer_byte(write, at + i);
		machine_store(p->machine, local.base + at, bytes, least(PAGE, total - at), NULL);
	}
	result = (write ? quire_process_vm_writev : quire_process_vm_readv)(mm, &local, 1, other, remote, 2, a[5]);
	if (other)
		look_for_last_page(p, other);
	r->read = (uint64_t)look(p, local.base, total, NULL);
	return result;
}

/* What an access meets; before it is made. */
static enum step_area area_at(struct player *p, struct quire_mm *mm, uint64_t addr)
{
	struct quire_vma *vma = quire_find_vma(mm, addr);
	bool shared, disk;
	quire_pte_t pte;

	if (!vma)
		return STEP_AREA_NONE;
	if (vma->start > addr)
		return vma->flags & QUIRE_VM_GROWSDOWN ? STEP_AREA_BELOW_STACK : STEP_AREA_NONE;
	quire_grace_enter(p->q);
	pte = quire_pgtable_peek(&mm->pt, addr);
	quire_grace_leave(p->q);
	if (pte && quire_pte_kind(mm->pt.fmt, pte) == QUIRE_PTE_GUARD)
		return STEP_AREA_GUARD;
	if (!vma->object)
		return vma->flags & QUIRE_VM_GROWSDOWN ? STEP_AREA_STACK : STEP_AREA_PRIVATE;
	if ((addr - vma->start) / PAGE + vma->pgoff >= quire_size_pages(vma->object->size))
		return STEP_AREA_BEYOND_END;
	if (segments_is(vma))
		return STEP_AREA_SEGMENT;
	shared = vma->flags & QUIRE_VM_MAYSHARE;
	if (vma->file && vma->file->flags & QUIRE_FILE_SHMEM_ANON)
		return STEP_AREA_SHARED;
	disk = vma->object == p->disk;
	return disk ? (shared ? STEP_AREA_DISK_SHARED : STEP_AREA_DISK_PRIVATE)
		    : (shared ? STEP_AREA_TMPFS_SHARED : STEP_AREA_TMPFS_PRIVATE);
}

/*
 * An access beyond the end of a file maps what else is in the cache around it; but of a disk file Linux does not map the last
 * page, if that is the first one of those that is cached, and nothing was mapped yet within the same two megabytes.
 */
static bool meets_last_page(struct player *p, const struct quire_vma *vma, uint64_t addr)
{
	uint64_t first = addr & ~(AROUND_BYTES - 1), index, last = quire_size_pages(vma->object->size) - 1;
	struct quire_page *page;

	if (first < vma->start)
		first = vma->start;
	index = (first - vma->start) / PAGE + vma->pgoff;
	if (!vma->object->size || last < index || last - index >= AROUND_BYTES / PAGE)
		return false;
	for (; index < last; index++) {
		page = quire_object_find_page(vma->object, index);
		if (page) {
			quire_page_put(p->q, page);
			return false;
		}
	}
	return true;
}

static void lose_last_page(struct player *p)
{
	if (p->disk_rule == PLAY_NR_RULES)
		p->disk_rule = PLAY_RULE_LAST_PAGE;
}

/* After a call that may have made pages present: has it met the end of a disk file? */
static void look_for_last_page(struct player *p, struct quire_mm *mm)
{
	struct quire_vma *vma;
	uint64_t addr;

	for (vma = quire_find_vma(mm, 0); p->disk && vma; vma = quire_find_vma(mm, vma->end)) {
		if (vma->object != p->disk ||
		    (vma->end - vma->start) / PAGE + vma->pgoff <= quire_size_pages(vma->object->size))
			continue;
		for (addr = vma->start; addr < vma->end && addr < vma->start + STEP_FILE_PAGES * PAGE; addr += PAGE)
			if (meets_last_page(p, vma, addr))
				lose_last_page(p);
	}
}

/* child.c's store_run() does the same: as far as it goes. */
static uint64_t store_run(struct player *p, uint64_t addr, uint64_t len, unsigned char byte, struct quire_signal *sig)
{
	unsigned char bytes[PAGE];
	uint64_t done = 0, part;

	memset(bytes, byte, sizeof(bytes));
	for (; done < len; done += part) {
		part = least(PAGE - (addr + done) % PAGE, len - done);
		if (machine_store(p->machine, addr + done, bytes, part, sig))
			break;
	}
	return done;
}

/* Byte by byte, as many as the instruction has: one that lies across a page's end is fetched in two parts. */
static void fetch(struct player *p, uint64_t addr, struct quire_signal *sig)
{
	unsigned char bytes[2];

	if (machine_fetch(p->machine, addr, bytes, 1, sig) == 0 && bytes[0] == REPEAT_PREFIX)
		machine_fetch(p->machine, addr, bytes, 2, sig);
}

static void make_access(struct player *p, const struct step *s, const uint64_t *a, struct record *r)
{
	struct quire_signal sig = { 0 };
	unsigned char byte = (unsigned char)a[1];

	r->result = 0;
	r->area = (uint8_t)area_at(p, p->mm[s->process], a[0]);
	if (s->kind == STEP_LOAD)
		r->result = look(p, a[0], a[1], &sig);
	else if (s->kind == STEP_STORE)
		machine_store(p->machine, a[0], &byte, 1, &sig);
	else if (s->kind == STEP_STORE_WORD)
		machine_store(p->machine, a[0], &a[2], step_access_bytes(s->kind, a), &sig);
	else if (s->kind == STEP_STORE_RUN)
		r->read = store_run(p, a[0], step_access_bytes(s->kind, a), (unsigned char)a[2], &sig);
	else
		fetch(p, a[0], &sig);
	if (sig.signo == QUIRE_SIGBUS && (s->kind == STEP_LOAD || s->kind == STEP_EXECUTE) && maps_disk(p, p->mm[s->process], sig.addr) &&
	    meets_last_page(p, quire_find_vma(p->mm[s->process], sig.addr), sig.addr))
		lose_last_page(p);
	r->signo = sig.signo;
	r->code = sig.code;
	r->address = sig.addr;
}

/* ---- Texts ------------------------------------------------------------------------------- */

struct sink {
	struct quire_sink sink;
	struct text *to;
};

static int emit(struct quire_sink *sink, const char *text, size_t len)
{
	text_add(((struct sink *)sink)->to, text, len);
	return 0;
}

static struct span end_span(struct player *p, size_t at)
{
	return (struct span){ (uint32_t)at, (uint32_t)(p->texts.len - at) };
}

/* Where the text that begins there goes on with what lies behind the pads. */
static size_t before_pads(const struct player *p, size_t at)
{
	const char *newline;

	while (at < p->texts.len && strtoull(p->texts.p + at, NULL, 16) < p->channel->pad_start) {
		newline = memchr(p->texts.p + at, '\n', p->texts.len - at);
		at = newline ? (size_t)(newline + 1 - p->texts.p) : p->texts.len;
	}
	return at;
}

/* Kept only if it is another one than the process's last. */
static struct span keep_maps(struct player *p, uint32_t process)
{
	struct sink sink = { { emit }, &p->texts };
	struct span *last = &p->last_maps[p->owner[process]], now;
	size_t at = p->texts.len;

	quire_proc_maps(p->mm[process], &sink.sink);
	if (p->channel->nr_pads)
		p->texts.len = before_pads(p, at);
	now = end_span(p, at);
	if (now.len == last->len && memcmp(p->texts.p + now.at, p->texts.p + last->at, now.len) == 0)
		p->texts.len = at;
	else
		*last = now;
	return *last;
}

static void take_sample(struct player *p, uint32_t process, struct record *r)
{
	struct sample *s = &p->sample[p->nr_samples];
	struct sink sink = { { emit }, &p->texts };
	size_t at = p->texts.len;
	unsigned i;

	r->sample = p->nr_samples++;
	s->leaked_lock = p->lost_count ? LEAKED_UNKNOWN : p->leaked_lock[p->owner[process]];
	quire_proc_smaps(p->mm[process], &sink.sink);
	s->smaps = end_span(p, at);
	at = p->texts.len;
	quire_proc_status(p->mm[process], &sink.sink);
	s->status = end_span(p, at);
	s->disk_rule = (uint8_t)p->disk_rule;
	s->paged_out = p->paged_out;
	s->allocated = (uint8_t)p->allocated;
	for (i = 0; i < STEP_VEC_PAGES; i++)
		s->core[i] = look_at_core(p, p->mm[process], STEP_WINDOW + i * PAGE, PAGE) ? 0xff : p->vec[0];
}

/* ---- A round ----------------------------------------------------------------------------- */

static void run_in(struct player *p, uint32_t process)
{
	if (p->running != process)
		machine_cpu_turn(p->machine, process);
	p->running = process;
}

/* Its CPU runs in its space from now on, until it is no more. */
static void enter(struct player *p, uint32_t process, uint32_t owner)
{
	p->owner[process] = owner;
	machine_cpu_turn(p->machine, process);
	machine_switch(p->machine, &p->mm[process]->pt);
	machine_cpu_turn(p->machine, p->running);
}

static int64_t make_thread(struct player *p, uint32_t maker, uint32_t thread)
{
	p->mm[thread] = p->mm[maker];
	quire_mmget(p->mm[thread]);
	enter(p, thread, p->owner[maker]);
	return 0;
}

static int64_t make_process(struct player *p, uint32_t parent, uint32_t child, struct record *r)
{
	int err = quire_fork(p->mm[parent], &p->mm[child]);

	if (err) {
		p->mm[child] = NULL;
		return err;
	}
	/* Locks are not inherited, nor is what Linux has lost count of. */
	p->leaked_lock[child] = 0;
	p->mm[child]->limits.memlock = p->memlock;
	p->last_maps[child].len = 0;
	enter(p, child, child);
	r->born = keep_maps(p, child);
	return 0;
}

static bool is_thread(const struct player *p, uint32_t process)
{
	return p->owner[process] != process;
}

/* With all of its threads, if it is not one itself. */
static void end_process(struct player *p, uint32_t process)
{
	uint32_t k;

	for (k = 0; k < STEP_MAX_PROCESSES; k++)
		if (k == process || p->owner[k] == process)
			leave(p, k);
}

static bool is_possible(const struct player *p, const struct step *s)
{
	if (s->process >= STEP_MAX_PROCESSES || !p->mm[s->process])
		return false;
	if (s->kind == STEP_FORK || s->kind == STEP_THREAD)
		return s->arg[0] < STEP_MAX_PROCESSES && !p->mm[s->arg[0]];
	return s->kind != STEP_EXIT || s->process != 0;
}

/* Locks may make any mapping do so. */
static bool makes_present(int nr, const uint64_t *a)
{
	return nr == SYS_mmap || nr == SYS_mremap || nr == SYS_mlock || nr == SYS_mlock2 || nr == SYS_mlockall ||
	       nr == SYS_mprotect || nr == SYS_remap_file_pages ||
	       (nr == SYS_madvise && (a[2] == MADV_POPULATE_READ || a[2] == MADV_POPULATE_WRITE));
}

static void make_step(struct player *p, const struct step *s, const uint64_t *a, struct record *r)
{
	run_in(p, s->process);
	switch (s->kind) {
	case STEP_CALL:
		r->result = rules_is_transfer(s->nr) ? transfer(p, s, a, r) : call(p, s, a);
		if (makes_present(s->nr, a))
			look_for_last_page(p, p->mm[s->process]);
		if (s->nr == SYS_mincore)
			memcpy(r->vec, p->vec, sizeof(r->vec));
		break;
	case STEP_WRITE:
		r->result = write_file(p, a);
		break;
	case STEP_FORK:
		r->result = make_process(p, s->process, (uint32_t)a[0], r);
		break;
	case STEP_THREAD:
		r->result = make_thread(p, s->process, (uint32_t)a[0]);
		break;
	case STEP_EXIT:
		end_process(p, s->process);
		r->result = 0;
		break;
	default:
		make_access(p, s, a, r);
	}
	if (s->into_slot >= 0 && !(r->result < 0 && r->result >= -4095))
		p->slot[s->into_slot] = (uint64_t)r->result;
}

/* Adds a step behind the round's, to look at something. */
static void add_look(struct player *p, uint32_t process, uint64_t addr, uint64_t len, uint8_t plan)
{
	struct channel *c = p->channel;
	uint32_t i = c->nr_steps;

	if (i == CHANNEL_MAX_STEPS || !rules_may_touch(p, p->mm[process], addr, len))
		return;
	c->nr_steps++;
	c->step[i] = (struct step){ .kind = STEP_LOAD, .process = (uint8_t)process, .slot_arg = STEP_NO_SLOT,
				    .into_slot = STEP_NO_SLOT, .arg = { addr, len } };
	c->plan[i] = PLAN_MADE | plan;
	p->record[i] = (struct record){ 0 };
	run_in(p, process);
	make_access(p, &c->step[i], c->step[i].arg, &p->record[i]);
	if (plan & PLAN_MAPS)
		p->record[i].maps = keep_maps(p, process);
	if (plan & PLAN_SAMPLE)
		take_sample(p, process, &p->record[i]);
}

/* Everything once more, of every space: sizes, then the bytes of every area, of a long one those of its first pages. */
static void look_at_all(struct player *p)
{
	uint32_t process;
	uint64_t pos, i;
	struct quire_vma *vma;

	for (process = 0; process < STEP_MAX_PROCESSES; process++) {
		if (!p->mm[process] || is_thread(p, process))
			continue;
		/* Below the window a stack may grow, as far as the locked memory that Linux counts lets it: if nobody knows, at 0. */
		add_look(p, process, p->lost_count ? 0 : STEP_WINDOW - PAGE, 1,
			 PLAN_MAPS | (p->channel->nr_pads ? 0 : PLAN_SAMPLE));
		for (pos = p->round->no_random ? STEP_LOW : STEP_WINDOW;
		     (vma = quire_find_vma(p->mm[process], pos)) && vma->end <= p->layout.mmap_base; pos = vma->end) {
			uint64_t start = vma->start, end = vma->end;

			for (i = 0; i < MAX_LOOKS && start + i * PAGE < end; i++)
				add_look(p, process, start + i * PAGE, PAGE, 0);
			vma = quire_find_vma(p->mm[process], end - 1);
			if (!vma)
				break;
		}
	}
}

quire_broken_t ours_run(struct player *p, unsigned *step)
{
	const struct round *round = p->round;
	struct channel *c = p->channel;
	quire_broken_t broken = NULL;
	unsigned i, nr_made = 0;

	c->nr_steps = round->nr_steps;
	memcpy(c->step, round->steps, round->nr_steps * sizeof(c->step[0]));
	memcpy(c->slot, p->slot, sizeof(c->slot));
	for (i = 0; i < round->nr_steps && !broken; i++) {
		const struct step *s = &round->steps[i];
		struct record *r = &p->record[i];
		uint64_t *a = &p->result.arg[6 * i];
		enum play_rule rule;

		*r = (struct record){ 0 };
		c->plan[i] = 0;
		*step = i;
		if ((round->left_out && round->left_out[i]) || !is_possible(p, s))
			continue;
		memcpy(a, s->arg, sizeof(s->arg));
		if (s->slot_arg >= 0)
			a[s->slot_arg] += p->slot[s->slot];
		rule = p->lost_count ? PLAY_RULE_LOST_COUNT : rules_for(p, s, a);
		if (rule < PLAY_NR_RULES) {
			p->left_out[rule]++;
			continue;
		}
		c->plan[i] = PLAN_MADE;
		if (s->kind == STEP_EXIT && is_thread(p, s->process))
			c->plan[i] |= PLAN_THREAD;
		/* A thread has no number of its own that a call could be given. */
		if (s->kind == STEP_CALL && rules_is_transfer(s->nr) && a[0] < STEP_MAX_PROCESSES && p->mm[a[0]])
			c->step[i].arg[0] = p->owner[a[0]];
		make_step(p, s, a, r);
		nr_made++;
		if (s->kind != STEP_EXIT) {
			c->plan[i] |= PLAN_MAPS;
			r->maps = keep_maps(p, s->process);
			if (nr_made % SAMPLE_EVERY == 0 && !c->nr_pads && p->nr_samples < CHANNEL_MAX_SAMPLES / 2) {
				c->plan[i] |= PLAN_SAMPLE;
				take_sample(p, s->process, r);
			}
		}
		if (nr_made % CHECK_EVERY == 0 && p->mm[s->process])
			broken = quire_mm_check(p->mm[s->process]);
	}
	if (broken)
		return broken;
	*step = i;
	look_at_all(p);
	for (i = 0; i < STEP_MAX_PROCESSES && !broken; i++)
		if (p->mm[i] && !is_thread(p, i))
			broken = quire_mm_check(p->mm[i]);
	if (!broken)
		broken = machine_check(p->machine);
	return broken;
}
