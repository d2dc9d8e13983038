/* SPDX-License-Identifier: MIT */
/*
 * mmap(2), and putting in the areas that a loader finds in place. Called by hosts. Entries of the tables
 * are left alone but for those of what a fixed map replaces; pages come with faults, or with
 * quire_populate() after the writer lock is dropped.
 *
 *	area     |-----A-----|     |---B---|
 *	mmap           |---------------|            MAP_FIXED
 *	after    |--A--|-------N-------|-B-|        one splice; N is BUSY until A's and B's entries are gone
 *
 * The new area must be in the index before the old entries are cleared, or a fault in between would
 * find a hole and kill the program for touching what was mapped before the call and is after it. But a fault
 * that N served at once could set an entry that the clearing then takes away again, with
 * what the program has stored there. Hence BUSY: such a fault waits until the call is over.
 */
#include <base/string.h>
#include <mm/internal.h>

/* What a fresh area may ever become; mmap takes away from it. */
#define MAY_ALL (QUIRE_VM_MAYREAD | QUIRE_VM_MAYWRITE | QUIRE_VM_MAYEXEC)

/* Flags that MAP_SHARED_VALIDATE knows; those of huge page sizes are bits 26 to 30. */
#define HUGE_SIZE_SHIFT 26
#define HUGE_SIZE_MASK 0x1fu
#define LEGACY_FLAGS                                                                               \
	(QUIRE_MAP_SHARED | QUIRE_MAP_PRIVATE | QUIRE_MAP_FIXED | QUIRE_MAP_ANONYMOUS |            \
	 QUIRE_MAP_32BIT | QUIRE_MAP_ABOVE4G | QUIRE_MAP_GROWSDOWN | QUIRE_MAP_DENYWRITE |         \
	 QUIRE_MAP_EXECUTABLE | QUIRE_MAP_LOCKED | QUIRE_MAP_NORESERVE | QUIRE_MAP_POPULATE |      \
	 QUIRE_MAP_NONBLOCK | QUIRE_MAP_STACK | QUIRE_MAP_HUGETLB |                                \
	 HUGE_SIZE_MASK << HUGE_SIZE_SHIFT)

struct mapping {
	/* input */
	struct quire_mm *mm;
	quire_uaddr_t addr; /* the hint, then the place */
	uint64_t len;
	uint32_t prot, flags;
	struct quire_file *file; /* NULL: anonymous */
	uint64_t pgoff;
	/* derived */
	uint64_t vm_flags;
	struct quire_plan plan;
	/* reserved */
	struct quire_file *shmem; /* made here for shared anonymous memory; one reference */
	int64_t charged;	  /* pages committed, of which the area has none yet */
};

/* ---- Checks ------------------------------------------------------------------------------ */

/* The hint rounded down, but not below where maps begin. */
static quire_uaddr_t round_hint(const struct quire_mm *mm, quire_uaddr_t hint)
{
	quire_uaddr_t lowest = mm->q->mms.sysctl.mmap_min_addr;

	hint = quire_page_down(hint);
	return hint && hint < lowest ? quire_page_up(lowest) : hint;
}

static uint64_t flags_of(const struct mapping *m)
{
	uint64_t flags = m->mm->def_flags | MAY_ALL;

	flags |= m->prot & QUIRE_PROT_READ ? QUIRE_VM_READ : 0;
	flags |= m->prot & QUIRE_PROT_WRITE ? QUIRE_VM_WRITE : 0;
	flags |= m->prot & QUIRE_PROT_EXEC ? QUIRE_VM_EXEC : 0;
	flags |= m->flags & QUIRE_MAP_GROWSDOWN ? QUIRE_VM_GROWSDOWN : 0;
	flags |= m->flags & QUIRE_MAP_LOCKED ? QUIRE_VM_LOCKED : 0;
	flags |= m->flags & QUIRE_MAP_SYNC ? QUIRE_VM_SYNC : 0;
	if ((m->flags & QUIRE_MAP_STACK) && m->mm->q->mms.sysctl.thp_available)
		flags |= QUIRE_VM_NOHUGEPAGE;
	return flags;
}

/*
 * Huge pages need a pool, and there is none: after all that Linux checks before it looks into the
 * pool, ENOMEM. (Linux grants MAP_NORESERVE maps all the same; their first access is SIGBUS.)
 */
static int check_huge(const struct mapping *m)
{
	uint32_t shift = m->flags >> HUGE_SIZE_SHIFT & HUGE_SIZE_MASK;
	uint32_t type = m->flags & QUIRE_MAP_TYPE;
	uint64_t len, page;

	if (!(m->flags & QUIRE_MAP_ANONYMOUS))
		return -QUIRE_EINVAL;
	if (shift != 0 && shift != 21 && shift != 30)
		return -QUIRE_EINVAL;
	page = UINT64_C(1) << (shift ? shift : 21);
	len = (m->len + page - 1) & ~(page - 1);
	if (!m->len)
		return -QUIRE_EINVAL;
	if (!len || len > m->mm->layout.task_size)
		return -QUIRE_ENOMEM;
	if ((m->flags & QUIRE_MAP_FIXED) && (m->addr & (page - 1)))
		return -QUIRE_EINVAL;
	if (type != QUIRE_MAP_SHARED && type != QUIRE_MAP_SHARED_VALIDATE &&
	    type != QUIRE_MAP_PRIVATE)
		return -QUIRE_EINVAL;
	if (m->flags & QUIRE_MAP_GROWSDOWN)
		return -QUIRE_EINVAL;
	return -QUIRE_ENOMEM;
}

/* Shared: what the file was opened for decides. */
static int check_shared_file(struct mapping *m)
{
	bool writable = (m->file->flags & QUIRE_FILE_WRITE) != 0;

	if ((m->flags & QUIRE_MAP_TYPE) == QUIRE_MAP_SHARED)
		m->flags &= LEGACY_FLAGS;
	if (m->flags & ~LEGACY_FLAGS)
		return -QUIRE_EOPNOTSUPP;
	if ((m->prot & QUIRE_PROT_WRITE) && !writable)
		return -QUIRE_EACCES;
	if (writable && (m->file->flags & QUIRE_FILE_APPEND_ONLY))
		return -QUIRE_EACCES;
	m->vm_flags |= QUIRE_VM_SHARED | QUIRE_VM_MAYSHARE;
	if (!writable)
		m->vm_flags &= ~(QUIRE_VM_MAYWRITE | QUIRE_VM_SHARED);
	return 0;
}

static int check_file(struct mapping *m)
{
	const struct quire_file *file = m->file;
	uint32_t type = m->flags & QUIRE_MAP_TYPE;
	int err;

	if (m->len > QUIRE_OBJECT_MAX_SIZE ||
	    m->pgoff > (QUIRE_OBJECT_MAX_SIZE - m->len) >> QUIRE_PAGE_SHIFT)
		return -QUIRE_EOVERFLOW;
	if (type == QUIRE_MAP_SHARED || type == QUIRE_MAP_SHARED_VALIDATE) {
		err = check_shared_file(m);
		if (err)
			return err;
	} else if (type != QUIRE_MAP_PRIVATE) {
		return -QUIRE_EINVAL;
	}
	if (!(file->flags & QUIRE_FILE_READ))
		return -QUIRE_EACCES;
	if (file->flags & QUIRE_FILE_NOEXEC) {
		if (m->vm_flags & QUIRE_VM_EXEC)
			return -QUIRE_EPERM;
		m->vm_flags &= ~QUIRE_VM_MAYEXEC;
	}
	if (file->flags & QUIRE_FILE_NOMMAP)
		return -QUIRE_ENODEV;
	if (m->vm_flags & QUIRE_VM_GROWSDOWN)
		return -QUIRE_EINVAL;
	if ((file->flags & QUIRE_FILE_SEAL_WRITE) && (m->vm_flags & QUIRE_VM_SHARED)) {
		if (m->vm_flags & QUIRE_VM_WRITE)
			return -QUIRE_EPERM;
		m->vm_flags &= ~QUIRE_VM_MAYWRITE;
	}
	return 0;
}

static int check_anonymous(struct mapping *m)
{
	switch (m->flags & QUIRE_MAP_TYPE) {
	case QUIRE_MAP_SHARED:
		if (m->vm_flags & QUIRE_VM_GROWSDOWN)
			return -QUIRE_EINVAL;
		m->pgoff = 0;
		m->vm_flags |= QUIRE_VM_SHARED | QUIRE_VM_MAYSHARE;
		return 0;
	case QUIRE_MAP_DROPPABLE:
		if ((m->flags & QUIRE_MAP_LOCKED) || (m->vm_flags & QUIRE_VM_GROWSDOWN))
			return -QUIRE_EINVAL;
		m->vm_flags |= QUIRE_VM_DROPPABLE | QUIRE_VM_NORESERVE | QUIRE_VM_WIPEONFORK |
			       QUIRE_VM_DONTDUMP;
		break;
	case QUIRE_MAP_PRIVATE:
		break;
	default:
		return -QUIRE_EINVAL;
	}
	m->pgoff = m->addr >> QUIRE_PAGE_SHIFT;
	return 0;
}

/* Everything up to the point where the areas come in: the place, and what will be there. */
static int check_and_place(struct mapping *m)
{
	const struct quire_sysctl *ctl = &m->mm->q->mms.sysctl;
	int64_t place;
	int err;

	if (m->mm->index.count > ctl->max_map_count)
		return -QUIRE_ENOMEM;
	m->vm_flags = flags_of(m);
	place = quire_get_unmapped_area(m->mm, m->addr, m->len, m->file, m->pgoff, m->flags,
					m->vm_flags);
	if (place < 0)
		return (int)place;
	m->addr = (quire_uaddr_t)place;
	if ((m->flags & QUIRE_MAP_FIXED_NOREPLACE) &&
	    quire_index_intersection(&m->mm->index, m->addr, m->addr + m->len))
		return -QUIRE_EEXIST;
	if ((m->flags & QUIRE_MAP_LOCKED) && !quire_may_mlock(m->mm))
		return -QUIRE_EPERM;
	if (!quire_mlock_ok(m->mm, m->vm_flags, m->len >> QUIRE_PAGE_SHIFT))
		return -QUIRE_EAGAIN;
	err = m->file ? check_file(m) : check_anonymous(m);
	if (err)
		return err;
	if ((m->flags & QUIRE_MAP_NORESERVE) && ctl->overcommit_memory != QUIRE_OVERCOMMIT_NEVER)
		m->vm_flags |= QUIRE_VM_NORESERVE;
	return 0;
}

/* ---- Reserving --------------------------------------------------------------------------- */

/* Room under the limits, and the promise of memory. What goes at the same place makes room. */
static int charge(struct mapping *m)
{
	struct quire_tally *gone = &m->plan.gone;
	uint64_t pages = m->len >> QUIRE_PAGE_SHIFT;
	int err;

	if (!quire_may_expand(m->mm, m->vm_flags, pages - gone->total))
		return -QUIRE_ENOMEM;
	if (!quire_is_accountable(m->mm->q, m->file, m->vm_flags))
		return 0;
	m->vm_flags |= QUIRE_VM_ACCOUNT;
	if (pages != gone->accounted) {
		err = quire_commit_pages(m->mm, (int64_t)(pages - gone->accounted));
		if (err)
			return err;
		m->charged = (int64_t)(pages - gone->accounted);
	}
	gone->accounted = 0;
	return 0;
}

/* An object for shared anonymous memory. All of it is promised at once, to the object. */
static int make_shmem(struct mapping *m)
{
	uint64_t pages = m->len >> QUIRE_PAGE_SHIFT;
	bool counts = !(m->vm_flags & QUIRE_VM_NORESERVE);
	int err = counts ? quire_commit_pages(m->mm, (int64_t)pages) : 0;

	if (err)
		return err;
	err = quire_shmem_file(m->mm->q, m->len, &m->shmem);
	if (err) {
		if (counts)
			quire_uncommit_pages(m->mm, (int64_t)pages);
		return err;
	}
	m->shmem->object->committed_pages = counts ? pages : 0;
	return 0;
}

/* The area as it will be, not in the plan yet. Its file and object are borrowed. */
static void describe(const struct mapping *m, struct quire_vma *proto)
{
	struct quire_file *file = m->file ? m->file : m->shmem;

	proto->start = m->addr;
	proto->end = m->addr + m->len;
	proto->flags = m->vm_flags;
	proto->pgoff = m->pgoff;
	proto->file = file;
	proto->object = file ? file->object : NULL;
	proto->ops = file ? file->vm_ops : NULL;
}

/* A new area in the plan. NULL: no memory. */
static struct quire_vma *add_area(struct mapping *m)
{
	struct quire_vma *vma = quire_vma_alloc(m->mm);

	if (!vma)
		return NULL;
	describe(m, vma);
	if (vma->file) {
		quire_file_get(vma->file);
		if (vma->object)
			quire_object_get(vma->object);
	}
	quire_plan_insert(&m->plan, vma);
	return vma;
}

/*
 * The area that will hold the map, reserved to the last node; a driver has had its say, and nothing
 * can fail any more. NULL with *err; the plan is as far as it got.
 */
static struct quire_vma *build(struct mapping *m, int *err)
{
	struct quire_vma *vma = NULL;
	bool shmem = !m->file && (m->vm_flags & QUIRE_VM_SHARED);

	*err = 0;
	if (shmem) {
		*err = make_shmem(m);
	} else {
		struct quire_vma proto;

		memset(&proto, 0, sizeof(proto));
		describe(m, &proto);
		vma = quire_plan_merge_new(&m->plan, &proto, err);
	}
	if (*err)
		return NULL;
	if (vma) {
		*err = quire_plan_reserve(&m->plan);
		return vma;
	}
	vma = add_area(m);
	*err = vma ? quire_plan_reserve(&m->plan) : -QUIRE_ENOMEM;
	if (!*err && m->file && m->file->mmap)
		*err = m->file->mmap(m->file, vma);
	return vma;
}

/* ---- Doing ------------------------------------------------------------------------------- */

/*
 * Where the driver's pages come at once, what was there goes without its tables, which they need; and out of the reverse
 * maps, or a truncate of what was mapped there would find them.
 */
static void fill(struct mapping *m, struct quire_vma *vma)
{
	struct quire_list *pos, *tmp;

	quire_plan_zap(&m->plan, m->addr, m->addr + m->len, 0);
	quire_list_for_each (pos, tmp, &m->plan.old)
		quire_object_unlink(quire_list_entry(pos, struct quire_vma, plan_link));
	quire_insertions_perform(vma);
	quire_tables_trim(&m->mm->pt, m->addr, m->addr + m->len);
}

/* Put the plan in force. */
static void perform(struct mapping *m, struct quire_vma *vma)
{
	struct quire_mm *mm = m->mm;
	uint64_t pages = m->len >> QUIRE_PAGE_SHIFT;
	bool replaces = m->plan.gone.total != 0;

	/* Never locked, and only now: until here it looked for neighbours that are. */
	if ((vma->flags & QUIRE_VM_LOCKED) &&
	    (vma->flags & (QUIRE_VM_SPECIAL | QUIRE_VM_DROPPABLE)))
		vma->flags &= ~QUIRE_VM_LOCKED_MASK;
	if (replaces || mm->insertions)
		vma->state = QUIRE_VMA_BUSY;
	quire_plan_commit(&m->plan);
	quire_account_vm(mm, vma->flags, (int64_t)pages);
	if (vma->flags & QUIRE_VM_LOCKED)
		quire_store(&mm->locked_vm, mm->locked_vm + pages);
	if (mm->insertions)
		fill(m, vma);
	else if (replaces)
		quire_plan_zap(&m->plan, m->addr, m->addr + m->len, QUIRE_ZAP_TRIM);
	quire_plan_finish(&m->plan);
}

static int map_locked(struct mapping *m)
{
	struct quire_mm *mm = m->mm;
	struct quire_vma *vma = NULL;
	bool overlaps =
		(m->flags & (QUIRE_MAP_FIXED | QUIRE_MAP_FIXED_NOREPLACE)) == QUIRE_MAP_FIXED;
	int err = check_and_place(m);

	if (err)
		return err;
	quire_plan_init(&m->plan, mm);
	if (overlaps)
		err = quire_plan_unmap(&m->plan, m->addr, m->addr + m->len);
	if (!err)
		err = charge(m);
	if (err) {
		quire_plan_leave_cuts(&m->plan, m->addr, m->addr + m->len);
		return err;
	}
	vma = build(m, &err);
	if (err) {
		quire_insertions_drop(mm);
		quire_plan_cancel(&m->plan);
	} else {
		perform(m, vma);
	}
	if (err && m->charged)
		quire_uncommit_pages(mm, m->charged);
	/* The area has its own reference. */
	if (m->shmem)
		quire_file_put(mm->q, m->shmem);
	return err;
}

int64_t quire_mmap(struct quire_mm *mm, quire_uaddr_t addr, uint64_t len, uint32_t prot,
		   uint32_t flags, struct quire_file *file, uint64_t offset)
{
	struct mapping m;
	int err;

	if (offset & ~QUIRE_PAGE_MASK)
		return -QUIRE_EINVAL;
	if (!(flags & QUIRE_MAP_ANONYMOUS) && !file)
		return -QUIRE_EBADF;
	m.mm = mm;
	m.addr = addr;
	m.len = len;
	m.prot = prot;
	m.flags = flags;
	m.file = flags & QUIRE_MAP_ANONYMOUS ? NULL : file;
	m.pgoff = offset >> QUIRE_PAGE_SHIFT;
	m.shmem = NULL;
	m.charged = 0;
	if (flags & QUIRE_MAP_HUGETLB)
		return check_huge(&m);
	if (!len)
		return -QUIRE_EINVAL;
	if ((prot & QUIRE_PROT_READ) && mm->limits.read_implies_exec &&
	    !(m.file && (m.file->flags & QUIRE_FILE_NOEXEC)))
		m.prot |= QUIRE_PROT_EXEC;
	if (flags & QUIRE_MAP_FIXED_NOREPLACE)
		m.flags |= QUIRE_MAP_FIXED;
	if (!(m.flags & QUIRE_MAP_FIXED))
		m.addr = round_hint(mm, addr);
	m.len = quire_page_up(len);
	if (!m.len)
		return -QUIRE_ENOMEM;

	quire_mutex_lock(mm->q, &mm->lock);
	err = map_locked(&m);
	quire_mutex_unlock(mm->q, &mm->lock);
	if (err)
		return err;
	if (((m.vm_flags & QUIRE_VM_LOCKED) ||
	     (m.flags & (QUIRE_MAP_POPULATE | QUIRE_MAP_NONBLOCK)) == QUIRE_MAP_POPULATE) &&
	    !mm->q->mms.sysctl.populate_disabled)
		(void)quire_populate(mm, m.addr, m.addr + m.len, true);
	return (int64_t)m.addr;
}

/* ---- Areas as they are found ------------------------------------------------------------- */

static struct quire_vma *area_of(struct quire_mm *mm, const struct quire_area_desc *desc)
{
	struct quire_vma *vma = quire_vma_alloc(mm);

	if (!vma)
		return NULL;
	vma->start = desc->start;
	vma->end = desc->end;
	vma->flags = desc->flags;
	vma->pgoff = desc->pgoff;
	vma->private_data = desc->private_data;
	vma->ops = desc->ops;
	if (desc->file) {
		vma->file = desc->file;
		quire_file_get(vma->file);
		vma->object = desc->file->object;
		if (vma->object)
			quire_object_get(vma->object);
		if (!vma->ops)
			vma->ops = desc->file->vm_ops;
	}
	return vma;
}

static int insert_locked(struct quire_mm *mm, const struct quire_area_desc *desc)
{
	uint64_t pages = (desc->end - desc->start) >> QUIRE_PAGE_SHIFT;
	int64_t charged = desc->flags & QUIRE_VM_ACCOUNT ? (int64_t)pages : 0;
	struct quire_plan plan;
	struct quire_vma *vma;
	int err;

	if (quire_index_intersection(&mm->index, desc->start, desc->end))
		return -QUIRE_EEXIST;
	err = charged ? quire_commit_pages(mm, charged) : 0;
	if (err)
		return err;
	quire_plan_init(&plan, mm);
	vma = area_of(mm, desc);
	if (vma)
		quire_plan_insert(&plan, vma);
	err = vma ? quire_plan_reserve(&plan) : -QUIRE_ENOMEM;
	if (err) {
		quire_plan_cancel(&plan);
		quire_uncommit_pages(mm, charged);
		return err;
	}
	quire_plan_commit(&plan);
	quire_account_vm(mm, vma->flags, (int64_t)pages);
	if (vma->flags & QUIRE_VM_LOCKED)
		quire_store(&mm->locked_vm, mm->locked_vm + pages);
	quire_plan_finish(&plan);
	return 0;
}

/* What quire_mm_check() would call broken is not put in. */
static bool is_an_area(const struct quire_mm *mm, const struct quire_area_desc *desc)
{
	const uint64_t raw = QUIRE_VM_PFNMAP | QUIRE_VM_MIXEDMAP;

	if (((desc->start | desc->end) & ~QUIRE_PAGE_MASK) || desc->start >= desc->end ||
	    desc->end > mm->layout.task_size)
		return false;
	if ((desc->flags & QUIRE_VM_LOCKED_MASK) == QUIRE_VM_LOCKONFAULT)
		return false;
	return !(desc->flags & QUIRE_VM_SHARED) || desc->file || desc->ops || (desc->flags & raw);
}

int quire_insert_vm_area(struct quire_mm *mm, const struct quire_area_desc *desc)
{
	int err;

	if (!is_an_area(mm, desc))
		return -QUIRE_EINVAL;
	quire_mutex_lock(mm->q, &mm->lock);
	err = insert_locked(mm, desc);
	quire_mutex_unlock(mm->q, &mm->lock);
	return err;
}
