/* SPDX-License-Identifier: MIT */
/*
 * System V shared memory: shmget(2), shmop(2), shmctl(2). A segment is an inode in no directory; each attachment opens it anew, so
 * that one for reading only stays so, and Quire's words about areas that come and go count who has it.
 */
#include "syscall/syscall.h"

#define IPC_CREAT 01000
#define IPC_EXCL 02000
#define IPC_RMID 0
#define IPC_SET 1
#define IPC_STAT 2
#define SHM_LOCK 11
#define SHM_UNLOCK 12
#define IPC_64 0x100 /* the version of the structures; there is no other */
#define SHM_RDONLY 010000
#define SHM_RND 020000
#define SHM_REMAP 040000
#define SHM_EXEC 0100000
#define SHM_DEST 01000
#define SHM_LOCKED 02000
#define SHMMNI 4096

struct segment {
	struct quire_list link;
	struct inode *inode; /* mode, owner and bytes; its number is the segment's */
	int32_t id, key;     /* key 0: nobody else's */
	uint32_t creator_uid, creator_gid;
	uint64_t size;
	uint64_t attached; /* areas of it, and calls that are making one */
	uint32_t state;	   /* SHM_DEST, SHM_LOCKED */
	int32_t creator, last;
	int64_t attach_time, detach_time, change_time; /* seconds since 1970 */
};

static struct quire_mutex make_mutex;  /* shmget: one look and creation at a time */
static struct quire_spinlock shm_lock; /* irq; the list, and all of a segment that changes */
static struct quire_list segments;
static unsigned nr_segments;
static int32_t next_id;

/* ---- Segments ------------------------------------------------------------------------------------ */

static struct segment *find(int32_t id, int32_t key)
{
	struct quire_list *pos, *tmp;

	if (!segments.next)
		quire_list_init(&segments);
	quire_list_for_each (pos, tmp, &segments) {
		struct segment *s = quire_list_entry(pos, struct segment, link);

		if (key ? s->key == key : s->id == id)
			return s;
	}
	return NULL;
}

static int64_t seconds(void)
{
	return (int64_t)(clock_realtime() / 1000000000);
}

/* Under shm_lock: is it to go now? Then it is out of the list, and the caller frees it when the lock is free. */
static bool is_over(struct segment *s)
{
	if (s->attached || !(s->state & SHM_DEST))
		return false;
	quire_list_del(&s->link);
	nr_segments--;
	return true;
}

static void free_segment(struct segment *s)
{
	inode_put(s->inode);
	quire_kfree(Q, s);
}

static void count_up(struct segment *s)
{
	unsigned long irq = quire_spin_lock_irq(Q, &shm_lock);

	s->attached++;
	s->attach_time = seconds();
	if (current_process())
		s->last = current_process()->pid;
	quire_spin_unlock_irq(Q, &shm_lock, irq);
}

static void count_down(struct segment *s, bool detached)
{
	unsigned long irq = quire_spin_lock_irq(Q, &shm_lock);
	bool over;

	s->attached--;
	if (detached) {
		s->detach_time = seconds();
		if (current_process())
			s->last = current_process()->pid;
	}
	over = is_over(s);
	quire_spin_unlock_irq(Q, &shm_lock, irq);
	if (over)
		free_segment(s);
}

/* ---- Areas of them ---------------------------------------------------------------------------------- */

static void area_opened(struct quire_vma *vma)
{
	count_up(vma->file->private_data);
}

static void area_closed(struct quire_vma *vma)
{
	count_down(vma->file->private_data, true);
}

/* Linux does not map a segment's pages around the one that is asked for. */
static int area_fault(struct quire_vmf *vmf)
{
	return quire_object_get_page(vmf->vma->object, vmf->pgoff, &vmf->page);
}

static const struct quire_vm_ops shm_ops = {
	.open = area_opened, .close = area_closed, .fault = area_fault};

static int area_mapped(struct quire_file *file, struct quire_vma *vma)
{
	count_up(file->private_data);
	return 0;
}

/* ---- Calls ------------------------------------------------------------------------------------------- */

static int64_t make_segment(int32_t key, uint64_t size, uint32_t flags)
{
	struct process *p = current_process();
	struct segment *s;
	unsigned long irq;
	int32_t id;

	if (!size || size > QUIRE_OBJECT_MAX_SIZE)
		return -EINVAL;
	if (nr_segments >= SHMMNI)
		return -ENOSPC;
	s = quire_kmalloc(Q, sizeof(*s), QUIRE_GFP_KERNEL | QUIRE_GFP_ZERO);
	if (!s)
		return -ENOMEM;
	s->inode = inode_new(S_IFREG | (flags & 0777));
	if (!s->inode) {
		quire_kfree(Q, s);
		return -ENOMEM;
	}
	quire_object_extend(&s->inode->object, size);
	s->key = key;
	s->size = size;
	s->creator = p->pid;
	s->creator_uid = p->euid;
	s->creator_gid = p->egid;
	s->change_time = seconds();
	irq = quire_spin_lock_irq(Q, &shm_lock);
	do {
		id = next_id;
		next_id = (int32_t)(((uint32_t)next_id + 1) & INT32_MAX);
	} while (find(id, 0));
	s->id = id;
	s->inode->ino = (uint64_t)id;
	quire_list_add_tail(&segments, &s->link);
	nr_segments++;
	quire_spin_unlock_irq(Q, &shm_lock, irq);
	return id;
}

/* What the mode's bits ask for, as read and write of all that they are bits of. */
static unsigned wanted(uint32_t flags)
{
	return (flags >> 6 | flags >> 3 | flags) & 6;
}

int64_t sys_shmget(struct call *c)
{
	int32_t key = (int32_t)c->arg[0];
	uint64_t size = c->arg[1];
	uint32_t flags = (uint32_t)c->arg[2];
	struct segment *s;
	unsigned long irq;
	int64_t result;

	if (!key)
		return make_segment(key, size, flags);
	quire_mutex_lock(Q, &make_mutex);
	irq = quire_spin_lock_irq(Q, &shm_lock);
	s = find(0, key);
	if (!s)
		result = -ENOENT;
	else if ((flags & (IPC_CREAT | IPC_EXCL)) == (IPC_CREAT | IPC_EXCL))
		result = -EEXIST;
	else if (size > s->size)
		result = -EINVAL;
	else
		result = inode_permission(s->inode, wanted(flags));
	if (!result)
		result = s->id;
	quire_spin_unlock_irq(Q, &shm_lock, irq);
	if (result == -ENOENT && (flags & IPC_CREAT))
		result = make_segment(key, size, flags);
	quire_mutex_unlock(Q, &make_mutex);
	return result;
}

static bool is_taken(uint64_t addr, uint64_t size)
{
	bool taken;

	quire_grace_enter(Q);
	taken = quire_index_intersection(&current()->mm->index, addr, addr + size) != NULL;
	quire_grace_leave(Q);
	return taken;
}

static int64_t map_segment(struct segment *s, uint64_t addr, bool fixed, uint32_t flags)
{
	uint32_t prot = QUIRE_PROT_READ, how = QUIRE_MAP_SHARED;
	struct file *file;
	char path[16];
	int64_t result;

	if (fixed)
		how |= flags & SHM_REMAP || !addr ? QUIRE_MAP_FIXED : QUIRE_MAP_FIXED_NOREPLACE;
	/* EINVAL comes before all that mmap may say; in case another thread maps something now, mmap looks again. */
	if ((how & QUIRE_MAP_FIXED_NOREPLACE) && is_taken(addr, s->size))
		return -EINVAL;
	ksnprintf(path, sizeof(path), "/SYSV%08x", (unsigned)s->key);
	result = file_open_inode(s->inode, flags & SHM_RDONLY ? O_RDONLY : O_RDWR, kstrdup(path),
				 &file);
	if (result)
		return result;
	file->map.flags |= QUIRE_FILE_MOVES_ALONE;
	file->map.vm_ops = &shm_ops;
	file->map.mmap = area_mapped;
	file->map.private_data = s;
	if (!(flags & SHM_RDONLY))
		prot |= QUIRE_PROT_WRITE;
	if (flags & SHM_EXEC)
		prot |= QUIRE_PROT_EXEC;
	result = quire_mmap(current()->mm, addr, s->size, prot, how, &file->map, 0);
	file_put(file);
	return result == -EEXIST ? -EINVAL : result;
}

int64_t sys_shmat(struct call *c)
{
	uint64_t addr = c->arg[1];
	uint32_t flags = (uint32_t)c->arg[2];
	struct segment *s;
	unsigned long irq;
	int64_t result = 0;

	if (addr & ~QUIRE_PAGE_MASK) {
		if (!(flags & SHM_RND))
			return -EINVAL;
		addr &= QUIRE_PAGE_MASK;
		if (!addr && (flags & SHM_REMAP))
			return -EINVAL;
	}
	if (!c->arg[1] && (flags & SHM_REMAP))
		return -EINVAL;
	irq = quire_spin_lock_irq(Q, &shm_lock);
	s = (int32_t)c->arg[0] < 0 ? NULL : find((int32_t)c->arg[0], 0);
	if (!s)
		result = -EINVAL;
	else
		result = inode_permission(s->inode, (flags & SHM_RDONLY ? 4u : 6u) |
							    (flags & SHM_EXEC ? 1u : 0u));
	if (!result)
		s->attached++; /* it stays until the area counts */
	quire_spin_unlock_irq(Q, &shm_lock, irq);
	if (result)
		return result;
	result = (unsigned long)(addr + s->size) < addr && !(flags & SHM_REMAP)
			 ? -EINVAL
			 : map_segment(s, addr, c->arg[1] != 0, flags);
	count_down(s, false);
	return result;
}

struct attachment {
	const struct quire_file *file; /* NULL: none; otherwise only to compare */
	uint64_t start, end, size;
};

/* The first area in [at, end) that was attached at base. The object lasts as long as the area, which the grace period keeps. */
static struct attachment next_area(uint64_t base, uint64_t at, uint64_t end)
{
	struct quire_mm *mm = current()->mm;
	struct attachment found = {0};
	struct quire_vma *vma;

	quire_grace_enter(Q);
	while (!found.file && at < end && (vma = quire_index_intersection(&mm->index, at, end))) {
		if (vma->ops == &shm_ops && vma->start >= base &&
		    vma->pgoff == (vma->start - base) >> QUIRE_PAGE_SHIFT)
			found = (struct attachment){vma->file, vma->start, vma->end,
						    quire_load(&vma->object->size)};
		at = vma->end;
	}
	quire_grace_leave(Q);
	return found;
}

/*
 * What is left of one attachment: the areas that are where its pages would be. Who changes the same addresses at the same time from
 * another thread may lose what it puts there.
 */
int64_t sys_shmdt(struct call *c)
{
	const struct quire_file *first = NULL;
	uint64_t base = c->arg[0], at = base, end = USER_END;
	struct attachment a;
	int64_t result = -EINVAL;

	if (base & ~QUIRE_PAGE_MASK)
		return -EINVAL;
	while ((a = next_area(base, at, end)).file) {
		if (!first) {
			first = a.file;
			end = base + ((a.size + QUIRE_PAGE_SIZE - 1) & QUIRE_PAGE_MASK);
			result = 0; /* whatever cannot be unmapped */
		} else if (a.end > end) {
			break;
		}
		if (a.file == first)
			(void)quire_munmap(current()->mm, a.start, a.end - a.start);
		at = a.end;
	}
	return result;
}

struct ipc_perm {
	int32_t key;
	uint32_t uid, gid, creator_uid, creator_gid, mode;
	uint16_t sequence, padding;
	unsigned long unused[2];
};

struct shmid_ds {
	struct ipc_perm perm;
	unsigned long size;
#ifdef __x86_64__
	int64_t attach_time, detach_time, change_time;
#else
	uint32_t attach_time, attach_high, detach_time, detach_high, change_time, change_high;
#endif
	int32_t creator, last;
	unsigned long attached, unused[2];
};

static void fill(const struct segment *s, struct shmid_ds *ds)
{
	*ds = (struct shmid_ds){
		.perm = {.key = s->key,
			 .uid = s->inode->uid,
			 .gid = s->inode->gid,
			 .creator_uid = s->creator_uid,
			 .creator_gid = s->creator_gid,
			 .mode = (s->inode->mode & 0777) | s->state},
		.size = (unsigned long)s->size,
		.creator = s->creator,
		.last = s->last,
		.attached = (unsigned long)s->attached,
	};
#ifdef __x86_64__
	ds->attach_time = s->attach_time;
	ds->detach_time = s->detach_time;
	ds->change_time = s->change_time;
#else
	ds->attach_time = (uint32_t)s->attach_time;
	ds->detach_time = (uint32_t)s->detach_time;
	ds->change_time = (uint32_t)s->change_time;
#endif
}

/* Under shm_lock. What only its owner, its maker and the superuser may. */
static int change(struct segment *s, int command, const struct shmid_ds *ds)
{
	const struct process *p = current_process();

	if (p->euid && p->euid != s->inode->uid && p->euid != s->creator_uid)
		return -EPERM;
	switch (command) {
	case IPC_RMID:
		s->state |= SHM_DEST;
		s->key = 0;
		break;
	case IPC_SET:
		s->inode->uid = ds->perm.uid;
		s->inode->gid = ds->perm.gid;
		s->inode->mode = S_IFREG | (ds->perm.mode & 0777);
		s->change_time = seconds();
		break;
	case SHM_LOCK: /* nothing is ever swapped out */
		s->state |= SHM_LOCKED;
		break;
	case SHM_UNLOCK:
		s->state &= ~(uint32_t)SHM_LOCKED;
		break;
	}
	return 0;
}

int64_t sys_shmctl(struct call *c)
{
	int command = (int)c->arg[1] & ~IPC_64;
	bool over = false;
	struct shmid_ds ds;
	struct segment *s;
	unsigned long irq;
	int err = 0;

	if (command != IPC_RMID && command != IPC_SET && command != IPC_STAT &&
	    command != SHM_LOCK && command != SHM_UNLOCK)
		return -EINVAL;
	if (command == IPC_SET && copy_from_user(&ds, c->arg[2], sizeof(ds)))
		return -EFAULT;
	irq = quire_spin_lock_irq(Q, &shm_lock);
	s = (int32_t)c->arg[0] < 0 ? NULL : find((int32_t)c->arg[0], 0);
	if (!s) {
		err = -EINVAL;
	} else if (command == IPC_STAT) {
		err = inode_permission(s->inode, 4);
		fill(s, &ds);
	} else {
		err = change(s, command, &ds);
		over = !err && is_over(s);
	}
	quire_spin_unlock_irq(Q, &shm_lock, irq);
	if (over)
		free_segment(s);
	if (!err && command == IPC_STAT && copy_to_user(c->arg[2], &ds, sizeof(ds)))
		err = -EFAULT;
	return err;
}
