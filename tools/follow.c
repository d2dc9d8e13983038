/* SPDX-License-Identifier: MIT */
/*
 * What a call of the followed program means: decoded from registers, prepared for at its entry
 * (what no call shows is taken over from Linux then), served by Quire and compared at its exit.
 * Called by tracer.c, which decides whose turn it is. Never stops or resumes anybody.
 */
#include "shadow.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/uio.h>

#define PERSONALITY_ASK 0xffffffffu
#define CLONE_VM_FLAG 0x100u
#define COMPARE_EVERY 1000
#define SET_MEMORY_MERGE 67

/* Spaces with more areas than this are not walked through for every call. */
#define SMALL_SPACE 8192

bool follow_read(pid_t tid, uint64_t addr, void *buf, size_t len)
{
	struct iovec local = { buf, len }, remote = { (void *)(uintptr_t)addr, len };

	return process_vm_readv(tid, &local, 1, &remote, 1, 0) == (ssize_t)len;
}

/* ---- Decoding ---------------------------------------------------------------------------- */

static enum call_id call_of(enum task_abi abi, uint64_t nr)
{
	unsigned i;

	for (i = 0; i < CALL_NR; i++) {
		if (call_defs[i].name && (uint64_t)(int64_t)(abi == ABI_64 ? call_defs[i].nr64 : call_defs[i].nr32) == nr)
			return (enum call_id)i;
	}
	return CALL_NR;
}

#define IPC_SHMAT 21
#define IPC_SHMDT 22

/* ipc(2), as 32-bit programs reach shmat and shmdt. */
static bool decode_ipc(struct task *t)
{
	const uint64_t *raw = t->raw;

	switch (raw[0] & 0xffff) {
	case IPC_SHMAT:
		if (raw[0] >> 16 == 1)
			return false;
		t->call.id = CALL_SHMAT;
		t->call.arg[0] = raw[1];
		t->call.arg[1] = raw[4];
		t->call.arg[2] = raw[2];
		t->shm_result = raw[3];
		return true;
	case IPC_SHMDT:
		t->call.id = CALL_SHMDT;
		t->call.arg[0] = raw[4];
		return true;
	default:
		return false;
	}
}

bool follow_decode(struct shadow *s, struct task *t, uint64_t nr, const uint64_t *args)
{
	uint32_t old[6];
	unsigned i;

	t->call = (struct call){ .id = call_of(t->abi, nr) };
	t->special = false;
	t->shm_result = 0;
	t->nr_unowned = 0;
	t->clone_flags = 0;
	if (t->call.id == CALL_NR)
		return false;
	for (i = 0; i < 6; i++) {
		t->raw[i] = t->abi == ABI_32 ? (uint32_t)args[i] : args[i];
		t->call.arg[i] = t->raw[i];
	}
	switch (t->call.id) {
	case CALL_MMAP2:
		t->call.id = CALL_MMAP;
		t->call.arg[5] = t->raw[5] << 12;
		break;
	case CALL_OLD_MMAP:
		if (!follow_read(t->tid, t->raw[0], old, sizeof(old)))
			return false;
		t->call.id = CALL_MMAP;
		for (i = 0; i < 6; i++)
			t->raw[i] = t->call.arg[i] = old[i];
		break;
	case CALL_IPC:
		return decode_ipc(t);
	case CALL_PKEY_MPROTECT:
		if ((int)t->raw[3] == -1) {
			t->call.id = CALL_MPROTECT;
			t->call.arg[3] = 0;
		}
		break;
	case CALL_PTRACE:
		note(s, "ptrace: a process that is followed can't be traced by another, so that this fails");
		break;
	case CALL_VFORK:
		t->clone_flags = CLONE_VM_FLAG;
		break;
	case CALL_CLONE:
		t->clone_flags = t->raw[0];
		break;
	case CALL_CLONE3:
		if (!follow_read(t->tid, t->raw[0], &t->clone_flags, sizeof(t->clone_flags)))
			return false;
		break;
	default:
		break;
	}
	return true;
}

/* A thread's birth does not touch the space, and personality concerns only the caller. */
bool follow_needs_turn(const struct task *t)
{
	switch (t->call.id) {
	case CALL_PERSONALITY:
	case CALL_PTRACE:
		return false;
	case CALL_FORK:
	case CALL_VFORK:
	case CALL_CLONE:
	case CALL_CLONE3:
		return !(t->clone_flags & CLONE_VM_FLAG);
	default:
		return true;
	}
}

/* ---- Ranges ------------------------------------------------------------------------------ */

/* Which addresses the call concerns, as far as its arguments say; at most two stretches. */
static unsigned ranges_of(const struct task *t, int64_t result, bool answered, struct range *r)
{
	const uint64_t *a = t->call.arg, end = t->space->mm->layout.task_size;
	unsigned n = 0, i;

	switch (t->call.id) {
	case CALL_MMAP:
		if (answered && result >= 0)
			r[n++] = (struct range){ (uint64_t)result, (uint64_t)result + a[1] };
		else if (a[3] & (QUIRE_MAP_FIXED | QUIRE_MAP_FIXED_NOREPLACE))
			r[n++] = (struct range){ a[0], a[0] + a[1] };
		break;
	case CALL_MREMAP:
		r[n++] = (struct range){ a[0], a[0] + (a[1] > a[2] ? a[1] : a[2]) };
		if (answered && result >= 0)
			r[n++] = (struct range){ (uint64_t)result, (uint64_t)result + a[2] };
		else if (a[3] & QUIRE_MREMAP_FIXED)
			r[n++] = (struct range){ a[4], a[4] + a[2] };
		break;
	case CALL_BRK:
		if (t->space->mm->layout.brk < a[0])
			r[n++] = (struct range){ t->space->mm->layout.brk, a[0] };
		else if (a[0])
			r[n++] = (struct range){ a[0], t->space->mm->layout.brk };
		break;
	case CALL_SHMAT:
		if (answered && result >= 0)
			r[n++] = (struct range){ (uint64_t)result, (uint64_t)result + a[3] };
		break;
	case CALL_SHMDT:
		r[n++] = (struct range){ a[0], a[0] + 1 };
		break;
	case CALL_MLOCKALL:
	case CALL_MUNLOCKALL:
		break;
	default:
		r[n++] = (struct range){ a[0], a[0] + a[1] };
	}
	for (i = 0; i < n; i++) {
		/* Whatever the arguments were, these are addresses of the space. */
		if (r[i].start > end)
			r[i].start = end;
		if (r[i].end > end || r[i].end < r[i].start)
			r[i].end = end;
		r[i].start = quire_page_down(r[i].start);
		r[i].end = quire_page_up(r[i].end);
	}
	return n;
}

/* ---- Entry ------------------------------------------------------------------------------- */

static void refresh_limits(struct task *t)
{
	struct quire_limits limits = t->space->mm->limits;

	if (!view_limits(t->tid, &limits))
		return;
	limits.read_implies_exec = (t->personality & READ_IMPLIES_EXEC) != 0;
	if (memcmp(&limits, &t->space->mm->limits, sizeof(limits)) != 0)
		world_limits(t->space, &limits);
}

/* Other threads may write to an area for the first time while the call runs: remember which could. */
static void remember_unowned(struct task *t)
{
	struct quire_index_walk walk;
	struct quire_vma *vma;
	struct range r[2];
	unsigned n = ranges_of(t, 0, false, r), i;
	bool all = t->space->mm->index.count <= SMALL_SPACE;
	bool anywhere = t->call.id == CALL_MMAP ? n == 0 : t->call.id == CALL_MREMAP && n == 1;

	if (!all && n == 0)
		return;
	quire_index_walk_start(&walk, &t->space->mm->index, 0);
	if (!all)
		quire_index_walk_start(&walk, &t->space->mm->index, r[0].start ? r[0].start - 1 : 0);
	while (t->nr_unowned < MAX_UNOWNED && (vma = quire_index_walk_next(&walk))) {
		bool touches = anywhere;

		for (i = 0; i < n; i++)
			touches |= vma->end >= r[i].start && vma->start <= r[i].end;
		if (touches && owners_may_have(vma)) {
			t->unowned[t->nr_unowned].start = vma->start;
			t->unowned[t->nr_unowned++].end = vma->end;
		}
		if (!all && vma->start > r[n - 1].end)
			break;
	}
}

static bool is_fork(enum call_id id)
{
	return id == CALL_FORK || id == CALL_VFORK || id == CALL_CLONE || id == CALL_CLONE3;
}

/* Calls that fail where a page lies beyond the end of its file. */
static bool brings_pages(const struct call *call)
{
	return call->id == CALL_MLOCK || call->id == CALL_MLOCK2 ||
	       (call->id == CALL_MADVISE && ((int)call->arg[2] == QUIRE_MADV_POPULATE_READ ||
					     (int)call->arg[2] == QUIRE_MADV_POPULATE_WRITE));
}

void follow_entry(struct shadow *s, struct task *t)
{
	struct shadow_space *sh = shadow_of(t->space);
	struct world_file *f;
	struct range r[2];
	unsigned n, i;

	if (t->space->lost)
		return;
	switch (t->call.id) {
	case CALL_PERSONALITY:
		return;
	case CALL_EXECVE:
	case CALL_EXECVEAT:
		/* The end of this space, if it works and nobody else is in it. */
		if (t->alone && sh->since_compared)
			compare_maps(s, t->space, "at exec");
		return;
	default:
		break;
	}
	refresh_limits(t);
	import_stack_growth(s, t->space);
	n = ranges_of(t, 0, false, r);
	owners_find(s, t->space, r, n, is_fork(t->call.id));
	if (sh->live > 1 && !is_fork(t->call.id) && !sh->log_is_whole)
		remember_unowned(t);
	if (brings_pages(&t->call)) {
		for (i = 0; i < n; i++)
			files_refresh(t->space, r[i].start, r[i].end);
	}
	if (t->call.id == CALL_MMAP) {
		if (!(t->call.arg[3] & QUIRE_MAP_ANONYMOUS)) {
			f = files_get(s, t, (int)t->raw[4], &t->special);
			t->call.file = f ? f->id : 0;
		} else if (t->call.arg[3] & QUIRE_MAP_HUGETLB) {
			t->special = true;
		}
		t->call.arg[4] = 0;
	}
}

/* ---- Exit -------------------------------------------------------------------------------- */

/*
 * Taking the right to write from memory without an owner, Linux gives back what it had accounted for it, for good. So after an
 * mprotect within the area its flags tell whether it had an owner when the call came to it.
 */
static bool had_owner_at_mprotect(struct task *t, const struct quire_vma *vma, uint64_t addr)
{
	struct view_areas areas;
	bool had = true;
	size_t i;

	if (vma->file || !(vma->flags & QUIRE_VM_ACCOUNT) || t->call.arg[2] & QUIRE_PROT_WRITE ||
	    !view_smaps(t->tid, &areas))
		return true;
	for (i = 0; i < areas.nr; i++) {
		if (areas.area[i].start <= addr && addr < areas.area[i].end)
			had = (areas.area[i].flags & QUIRE_VM_ACCOUNT) != 0;
	}
	view_free_areas(&areas);
	return had;
}

/*
 * Another thread made the first write to an area while this call ran: before Linux decided what to
 * join, or after? Linux's own areas tell, at those edges of the area that lie where the call worked: an
 * edge that is gone was joined across, which an owner of the area's own would have prevented (or
 * it makes no difference now); where all edges stand, it had its owner by then, or can never be joined.
 */
static bool had_owner(struct task *t, const struct quire_vma *vma, const struct range *r, unsigned nr, int64_t result)
{
	const uint64_t edge[2] = { vma->start, vma->end };
	struct view_area area;
	unsigned i, j;

	for (i = 0; i < nr; i++) {
		for (j = 0; j < 2; j++) {
			if (edge[j] >= r[i].start && edge[j] <= r[i].end &&
			    view_query(&shadow_of(t->space)->view, edge[j], &area, NULL) && area.start < edge[j])
				return false;
		}
	}
	if (t->call.id == CALL_MPROTECT && result == 0 && vma->start < r[0].end && vma->end > r[0].start)
		return had_owner_at_mprotect(t, vma, vma->start > r[0].start ? vma->start : r[0].start);
	return true;
}

/* A page of the area's own, where it is now: mremap may have moved it. */
static bool find_page(struct task *t, uint64_t start, uint64_t end, int64_t result, uint64_t *page)
{
	const uint64_t *a = t->call.arg;
	struct view *v = &shadow_of(t->space)->view;

	if (view_find_private(v, start, end, page))
		return true;
	if (t->call.id != CALL_MREMAP || result < 0 || (uint64_t)result == a[0] || end <= a[0] || start >= a[0] + a[1] ||
	    !view_find_private(v, (uint64_t)result, (uint64_t)result + a[2], page))
		return false;
	*page = start;
	return true;
}

static void push(struct newly_list *list, struct newly one)
{
	list->newly = tool_realloc(list->newly, (list->nr + 1) * sizeof(*list->newly));
	list->newly[list->nr++] = one;
	list->cap = list->nr;
}

/* Gives owners to those that had them before the call; *after gets those that are to be given theirs after it. */
static void settle_races(struct shadow *s, struct task *t, int64_t result, struct newly_list *after)
{
	struct newly_list before = { 0 }, all = { 0 };
	struct range r[2];
	unsigned n = ranges_of(t, result, true, r);
	size_t i;

	if (!owners_during(s, t->space, &all)) {
		for (i = 0; i < t->nr_unowned; i++)
			push(&all, (struct newly){ t->unowned[i].start, t->unowned[i].end, 0, UINT64_MAX });
	}
	for (i = 0; i < all.nr; i++) {
		struct newly one = all.newly[i];
		struct quire_vma *vma = world_find(t->space, one.start);

		if (!vma || !owners_may_have(vma) || !find_page(t, one.start, one.end, result, &one.page))
			continue;
		note(s, "first writes by other threads during a call: before or after it, by Linux's areas");
		push(had_owner(t, vma, r, n, result) ? &before : after, one);
	}
	free(all.newly);
	owners_take(s, t->space, &before);
}

/* What is behind a new shared anonymous mapping has a number that only Linux knows. */
static void identify_shared(struct shadow *s, struct task *t, int64_t result)
{
	struct view_area area;

	if (!view_query(&shadow_of(t->space)->view, (uint64_t)result, &area, NULL))
		return;
	if (world_identify(t->space, (uint64_t)result, area.dev_major, area.dev_minor, area.inode))
		note(s, "shared memory made: its inode number taken over");
}

/* shmat: Linux's segment number becomes a file, and its size an argument. False: cannot be known, so not served. */
static bool prepare_shmat(struct shadow *s, struct task *t, int64_t *result)
{
	struct shadow_space *sh = shadow_of(t->space);
	struct view_area area = { 0 };
	struct world_file *f;
	struct shmid_ds ds;
	char name[PATH_MAX];
	uint32_t narrow;
	uint64_t size = 0;

	if (*result >= 0 && t->shm_result) {
		if (!follow_read(t->tid, t->shm_result, &narrow, sizeof(narrow)))
			return false;
		*result = narrow;
	}
	if (shmctl((int)t->raw[t->shm_result ? 1 : 0], IPC_STAT, &ds) == 0)
		size = ds.shm_segsz;
	if (*result >= 0 && view_query(&sh->view, (uint64_t)*result, &area, name)) {
		if (!size)
			size = area.end - area.start;
	} else if (*result >= 0 || !size) {
		return false;
	} else {
		name[0] = '\0';
	}
	/* Rights and existence are not the address space's business. */
	if (*result == -EACCES || *result == -EIDRM)
		return false;
	f = files_segment(s, size, (t->call.arg[2] & SHM_RDONLY) != 0);
	if (*result >= 0) {
		world_file_set_path(f, name);
		world_file_set_identity(f, area.dev_major, area.dev_minor, area.inode);
	}
	t->call.arg[3] = size;
	t->call.arg[0] = 0;
	t->call.file = f->id;
	return true;
}

/* Answers that other things than the address space decide. True: not to be compared, and noted. */
static bool depends_on_others(struct shadow *s, const struct call *call, int64_t linux_says, int64_t ours)
{
	if (linux_says == -ENOMEM && ours >= 0 && s->world->system.overcommit_memory == 2) {
		note(s, "refused under strict overcommit, which counts other programs too: not compared");
		return true;
	}
	switch (call->id) {
	case CALL_MINCORE:
		note(s, "mincore: compared by errno only (the vector is a matter of residency)");
		if (linux_says == -EFAULT) {
			note(s, "mincore: bad vector, not compared");
			return true;
		}
		return false;
	case CALL_MSYNC:
		note(s, "msync: compared by errno only (what is written back is the file system's business)");
		return linux_says == -EIO && ours == 0;
	case CALL_MADVISE:
		switch ((int)call->arg[2]) {
		case QUIRE_MADV_WILLNEED:
		case QUIRE_MADV_COLD:
		case QUIRE_MADV_PAGEOUT:
		case QUIRE_MADV_POPULATE_READ:
		case QUIRE_MADV_POPULATE_WRITE:
			note(s, "madvise of pages to come or go: compared by errno only");
			return false;
		case QUIRE_MADV_COLLAPSE:
			note(s, "madvise(MADV_COLLAPSE): depends on huge pages at hand, not compared");
			return linux_says != ours;
		default:
			return false;
		}
	default:
		return false;
	}
}

/* A new mapping is known to be there; what its file is called, and what it is, can be asked now. */
static void after_mapping(struct shadow *s, struct task *t, int64_t result)
{
	const uint64_t *a = t->call.arg;

	if ((a[3] & QUIRE_MAP_ANONYMOUS) && (a[3] & QUIRE_MAP_TYPE) != QUIRE_MAP_PRIVATE)
		identify_shared(s, t, result);
	if (a[3] & QUIRE_MAP_GROWSDOWN)
		shadow_of(t->space)->grows_down = true;
	if ((a[3] & QUIRE_MAP_32BIT) && t->abi == ABI_64)
		note(s, "mmap with MAP_32BIT: the search begins where Linux began it (at random for each call)");
}

static void taken_over(struct shadow *s, struct task *t, const char *text)
{
	note_call(s, t->call.id, text);
	compare_resync(s, t->space);
}

static void serve(struct shadow *s, struct task *t, int64_t result)
{
	struct shadow_space *sh = shadow_of(t->space);
	struct world_file *f = world_file_get(s->world, t->call.file);
	struct newly_list after = { 0 };
	int64_t ours;
	bool any;

	if (f && result >= 0)
		files_identify(s, t, f, (uint64_t)result);
	if (t->special && result == -ENODEV && f) {
		world_file_add_flags(f, QUIRE_FILE_NOMMAP);
		note(s, "mmap of what cannot be mapped: that it cannot was taken from Linux's answer");
	}
	if (sh->live > 1)
		settle_races(s, t, result, &after);
	t->call.result = result;
	ours = world_call(t->space, &t->call);
	s->serial++;
	s->nr_calls++;
	sh->since_compared++;
	any = depends_on_others(s, &t->call, result, ours);
	world_record_call(t->space, &t->call, !any);
	owners_take(s, t->space, &after);
	if (ours != result && !any) {
		compare_result(s, t, ours);
		compare_resync(s, t->space);
	}
	if (t->call.id == CALL_MMAP && result >= 0 && ours == result)
		after_mapping(s, t, result);
	/* Served here, refused there. */
	if (any && ours >= 0 && result < 0)
		compare_resync(s, t->space);
	if (sh->merges_any && result >= 0 && !t->space->lost) {
		note(s, "calls after prctl(PR_SET_MEMORY_MERGE): areas taken over");
		compare_resync(s, t->space);
	}
}

static void exit_served(struct shadow *s, struct task *t, int64_t result)
{
	struct quire_layout *layout = &t->space->mm->layout;

	if ((t->abi == ABI_32) != layout->compat) {
		taken_over(s, t, "by the other word size's system call table: areas taken over");
		return;
	}
	if (t->call.id == CALL_SHMAT && !prepare_shmat(s, t, &result)) {
		if (result >= 0)
			taken_over(s, t, "segment unknown: areas taken over");
		else
			note_call(s, t->call.id, "refused for the segment's sake: not compared");
		return;
	}
	if (t->special && result >= 0) {
		taken_over(s, t, "of a device, huge pages or a file that is not known: areas taken over");
		return;
	}
	if (t->special && result != -ENODEV) {
		note_call(s, t->call.id, "of a device, huge pages or a file that is not known, refused: not compared");
		return;
	}
	serve(s, t, result);
}

static void exit_prctl(struct shadow *s, struct task *t)
{
	struct quire_layout layout = t->space->mm->layout;

	switch (t->raw[0]) {
	case PR_SET_MM:
		view_stat(t->tid, &layout);
		view_auxv(t->tid, &layout);
		if (t->raw[1] == PR_SET_MM_BRK)
			layout.brk = t->raw[2];
		if (t->raw[1] == PR_SET_MM_MAP) {
			struct prctl_mm_map map;

			if (follow_read(t->tid, t->raw[2], &map, sizeof(map)))
				layout.brk = map.brk;
		}
		world_layout(t->space, &layout);
		note(s, "prctl(PR_SET_MM): layout taken over");
		break;
	default:
		shadow_of(t->space)->merges_any |= t->raw[0] == SET_MEMORY_MERGE && t->raw[1];
		taken_over(s, t, "of areas' names or merging: areas taken over");
	}
}

/* Areas hold their file by now, if there are any. */
static void put_file(struct shadow *s, struct task *t)
{
	struct world_file *f = world_file_get(s->world, t->call.file);

	if (f)
		world_file_put(f);
	t->call.file = 0;
}

void follow_exit(struct shadow *s, struct task *t, int64_t result)
{
	struct shadow_space *sh = shadow_of(t->space);

	if (t->call.id == CALL_PERSONALITY) {
		if (result >= 0 && (uint32_t)t->raw[0] != PERSONALITY_ASK)
			t->personality = (uint32_t)t->raw[0];
		return;
	}
	if (t->space->lost)
		goto out;
	if (t->call.id < CALL_NR_SERVED) {
		exit_served(s, t, result);
	} else if (result < 0) {
		if (is_fork(t->call.id))
			note_call(s, t->call.id, "refused by Linux: not compared");
	} else if (t->call.id == CALL_PRCTL) {
		exit_prctl(s, t);
	} else if (t->call.id >= CALL_FIRST_TAKEN) {
		sh->user_faults |= t->call.id == CALL_USERFAULTFD;
		taken_over(s, t, "areas taken over");
	}
	if (!t->space->lost &&
	    (s->options.maps == SHADOW_MAPS_CALL ||
	     (s->options.maps == SHADOW_MAPS_DEFAULT && sh->since_compared >= COMPARE_EVERY)))
		compare_maps(s, t->space, s->options.maps == SHADOW_MAPS_CALL ? "after this call" : "after 1000 calls");
out:
	put_file(s, t);
}

void follow_abandon(struct shadow *s, struct task *t)
{
	put_file(s, t);
}

/* ---- Birth and death --------------------------------------------------------------------- */

struct space *follow_fork(struct shadow *s, struct task *t, pid_t child)
{
	struct shadow_space *sh = tool_alloc(sizeof(*sh));
	struct space *space;
	int err;

	space = world_fork(t->space, 0, child, &err);
	s->serial++;
	if (!space) {
		tool_warn("Quire's fork failed where Linux's did not: errno %d", -err);
		s->nr_differences++;
		t->space->nr_differences++;
		free(sh);
		return NULL;
	}
	sh->last_held = &sh->first_held;
	sh->live = 1;
	sh->look = child;
	sh->since_compared = 1;
	sh->grows_down = shadow_of(t->space)->grows_down;
	sh->merges_any = shadow_of(t->space)->merges_any;
	sh->user_faults = shadow_of(t->space)->user_faults;
	space->host = sh;
	if (!view_open(&sh->view, child)) {
		note(s, "processes that may not be looked at: not followed");
		s->nr_not_followed++;
		space->lost = true;
	}
	s->nr_processes++;
	if (shadow_of(t->space)->user_faults && !space->lost) {
		note(s, "children of a space with userfaultfd: areas taken over");
		compare_resync(s, space);
	}
	return space;
}

void follow_end(struct shadow *s, struct space *space, bool visible)
{
	struct shadow_space *sh = shadow_of(space);

	if (visible && !space->lost && sh->since_compared)
		compare_maps(s, space, "at exit");
	else if (!visible)
		note(s, "spaces that ended before they could be compared a last time");
	world_space_end(space);
	view_close(&sh->view);
	owners_forget(sh);
	free(sh);
	space->host = NULL;
}
