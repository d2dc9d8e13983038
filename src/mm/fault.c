/* SPDX-License-Identifier: MIT */
/*
 * The page fault: from an address and an access to a served entry or a signal. This file has the
 * order of things; fault_anon.c and fault_file.c make the pages. Called by hosts (quire_fault())
 * and by those who touch user memory themselves (gup.c, access.c). Takes no lock of the space but a
 * leaf table's; only growing a stack takes the writer lock, and waiting for who holds it (WAIT).
 *
 * One attempt:
 *
 *	look up under a grace period, check rights, look at the entry
 *	prepare the page; for what sleeps leave the grace period, come back, find the same
 *		area (by its id)
 *	lock the leaf: area still alive? entry still what it was?
 *	set, unlock, flush if something was replaced
 *
 * Whatever does not fit any more ends the attempt, and there is another one or somebody else has
 * served the fault: to lose a race is a success. What ends in want of memory has changed nothing:
 * the last thing that can fail comes before the first change.
 *
 * Sources: mmap(2), sigaction(2), Intel SDM vol. 3A 4.7; how Linux 6.18 answers, tried out.
 */
#include <mm/fault.h>
#include <pgtable/cursor.h>
#include <vma/policy.h>

/* ---- What an attempt holds --------------------------------------------------------------- */

void quire_fault_init(struct quire_fault *f, struct quire_mm *mm, quire_uaddr_t addr,
		      uint32_t access, bool user)
{
	f->mm = mm;
	f->q = mm->q;
	f->addr = quire_page_down(addr);
	f->access = access;
	f->user = user;
	f->grows = user;
	f->unshares = false;
	f->vma = NULL;
	f->entry = 0;
	f->exec_denied = false;
	f->droppable = false;
	f->growable = false;
	f->major = false;
	f->frame = NULL;
	f->frame_is_zero = false;
	f->populated = false;
	f->in_grace = false;
	f->leaf.table = NULL;
	f->cursor_open = false;
	f->page = NULL;
	f->locked = NULL;
	f->object = NULL;
	f->pinned = NULL;
	f->truncations = 0;
}

void quire_fault_destroy(struct quire_fault *f)
{
	if (f->frame)
		(void)quire_page_put(f->q, f->frame);
	f->frame = NULL;
}

void quire_fault_enter_grace(struct quire_fault *f)
{
	quire_assert(f->q, !f->in_grace);
	quire_grace_enter(f->q);
	f->in_grace = true;
}

void quire_fault_leave_grace(struct quire_fault *f)
{
	quire_assert(f->q, f->in_grace);
	quire_grace_leave(f->q);
	f->in_grace = false;
	f->leaf.table = NULL;
}

void quire_fault_close_cursor(struct quire_fault *f)
{
	quire_assert(f->q, f->cursor_open);
	quire_cursor_close(&f->c);
	f->cursor_open = false;
}

/* The grace period first: closing may flush, which may wait for others. */
void quire_fault_end_attempt(struct quire_fault *f)
{
	if (f->in_grace)
		quire_fault_leave_grace(f);
	if (f->cursor_open)
		quire_fault_close_cursor(f);
	if (f->locked) {
		quire_page_unlock(f->q, f->locked);
		f->locked = NULL;
	}
	if (f->page) {
		(void)quire_page_put(f->q, f->page);
		f->page = NULL;
	}
	if (f->object) {
		quire_object_put(f->object);
		f->object = NULL;
	}
	if (f->pinned) {
		quire_vma_unpin(f->pinned);
		f->pinned = NULL;
	}
	f->vma = NULL;
}

/* ---- Steps of an attempt ----------------------------------------------------------------- */

/*
 * The hardware's view: whatever is present can be read, so one right of any kind is enough to read;
 * a fetch without the right to execute faults the page in before it is refused, as it does where
 * the no-execute bit is what refuses it.
 */
static enum quire_outcome check_user_rights(struct quire_fault *f, uint64_t flags)
{
	if (f->access & QUIRE_ACCESS_WRITE)
		return flags & QUIRE_VM_WRITE ? QUIRE_FAULT_DONE : QUIRE_FAULT_DENIED;
	if (!(flags & QUIRE_VM_ACCESS_FLAGS))
		return QUIRE_FAULT_DENIED;
	f->exec_denied = (f->access & QUIRE_ACCESS_EXEC) && !(flags & QUIRE_VM_EXEC);
	return QUIRE_FAULT_DONE;
}

/*
 * The kernel's view when it works for somebody else: READ to read, WRITE to write, and with FORCE
 * what the area may become; but no write to a shared area behind its back, and nothing where there
 * are no pages.
 */
static enum quire_outcome check_kernel_rights(struct quire_fault *f, uint64_t flags)
{
	bool force = (f->access & QUIRE_ACCESS_FORCE) != 0;

	if (flags & (QUIRE_VM_IO | QUIRE_VM_PFNMAP))
		return QUIRE_FAULT_DENIED;
	if (f->access & QUIRE_ACCESS_WRITE) {
		if (flags & QUIRE_VM_WRITE)
			return QUIRE_FAULT_DONE;
		if (!force || (flags & QUIRE_VM_SHARED) || !(flags & QUIRE_VM_MAYWRITE))
			return QUIRE_FAULT_DENIED;
		return QUIRE_FAULT_DONE;
	}
	if (!(flags & QUIRE_VM_READ) && (!force || !(flags & QUIRE_VM_MAYREAD)))
		return QUIRE_FAULT_DENIED;
	return QUIRE_FAULT_DONE;
}

enum quire_outcome quire_fault_check_rights(struct quire_fault *f, const struct quire_vma *vma)
{
	return f->user ? check_user_rights(f, vma->flags) : check_kernel_rights(f, vma->flags);
}

static enum quire_outcome check_state(const struct quire_vma *vma)
{
	switch (quire_load_acquire(&vma->state)) {
	case QUIRE_VMA_ALIVE:
		return QUIRE_FAULT_DONE;
	case QUIRE_VMA_BUSY:
		return QUIRE_FAULT_WAIT;
	default:
		return QUIRE_FAULT_AGAIN;
	}
}

enum quire_outcome quire_fault_find(struct quire_fault *f)
{
	struct quire_vma *vma;
	enum quire_outcome r;

	quire_fault_enter_grace(f);
	vma = quire_find_vma(f->mm, f->addr);
	if (!vma || f->addr < vma->start) {
		f->growable = vma && (vma->flags & QUIRE_VM_GROWSDOWN);
		return QUIRE_FAULT_HOLE;
	}
	r = check_state(vma);
	if (r)
		return r;
	r = quire_fault_check_rights(f, vma);
	if (r)
		return r;
	f->vma = vma;
	f->id = vma->id;
	f->pgoff = quire_linear_page_index(vma, f->addr);
	f->rights = quire_vma_ptebits(vma);
	f->droppable = (vma->flags & QUIRE_VM_DROPPABLE) != 0;
	return QUIRE_FAULT_DONE;
}

enum quire_outcome quire_fault_look_again(struct quire_fault *f)
{
	struct quire_vma *vma;

	quire_fault_enter_grace(f);
	vma = quire_find_vma(f->mm, f->addr);
	if (!vma || f->addr < vma->start || vma->id != f->id)
		return QUIRE_FAULT_AGAIN;
	f->vma = vma;
	return check_state(vma);
}

enum quire_outcome quire_fault_make_leaf(struct quire_fault *f)
{
	quire_fault_leave_grace(f);
	if (quire_tables_populate(&f->mm->pt, f->addr, f->addr + QUIRE_PAGE_SIZE))
		return QUIRE_FAULT_OOM;
	f->populated = true;
	return QUIRE_FAULT_AGAIN;
}

enum quire_outcome quire_fault_lock_leaf(struct quire_fault *f, quire_uaddr_t start,
					 quire_uaddr_t end)
{
	quire_assert(f->q, f->in_grace && !f->cursor_open);
	quire_cursor_open(&f->c, &f->mm->pt, start, end, 0);
	f->cursor_open = true;
	if (!quire_cursor_seek_leaf(&f->c, f->addr, &f->leaf)) {
		quire_fault_close_cursor(f);
		return quire_fault_make_leaf(f);
	}
	/*
	 * The one check that orders faults against everything else: who killed the area takes this
	 * lock later. Or, if the area is about to move, the lock of every leaf that there was; who is
	 * the first to fill a leaf has to see that it moves: hold_source() in remap.c.
	 */
	if (f->entry == 0)
		quire_fence();
	return check_state(f->vma);
}

/* As the area's policy says, or the thread's. */
static struct quire_page *alloc_frame(struct quire_fault *f, quire_gfp_t gfp)
{
	if (quire_policies_in_use(f->q))
		return quire_page_alloc_policy(f->q, quire_vma_policy(f->vma, f->addr),
					       quire_linear_page_index(f->vma, f->addr), gfp);
	return quire_page_alloc(f->q, gfp, 0);
}

enum quire_outcome quire_fault_take_frame(struct quire_fault *f, bool zeroed)
{
	if (!f->frame) {
		f->frame = alloc_frame(f, QUIRE_GFP_HIGHMEM | QUIRE_GFP_NOWARN |
						  (zeroed ? QUIRE_GFP_ZERO : 0));
		if (!f->frame)
			return QUIRE_FAULT_OOM;
		f->frame_is_zero = zeroed;
	} else if (zeroed && !f->frame_is_zero) {
		quire_page_zero(f->q, f->frame);
		f->frame_is_zero = true;
	}
	return QUIRE_FAULT_DONE;
}

/* An owner shows (in merges), so the tables come first: after it nothing is left that can fail. */
enum quire_outcome quire_fault_take_owner(struct quire_fault *f)
{
	const struct quire_anon *anon = quire_load_acquire(&f->vma->anon);

	if (quire_likely(anon && anon != QUIRE_ANON_FROZEN))
		return QUIRE_FAULT_DONE;
	if (!f->populated)
		return quire_fault_make_leaf(f);
	switch (quire_anon_prepare(f->vma, QUIRE_GFP_NOWAIT | QUIRE_GFP_NOWARN)) {
	case 0:
		return QUIRE_FAULT_DONE;
	case -QUIRE_EAGAIN:
		return QUIRE_FAULT_WAIT;
	default:
		return QUIRE_FAULT_OOM;
	}
}

/*
 * Why: see copy.c. Either the fork has yet to come to this address, and copies what we are about to
 * set; or it has been here: under the leaf's lock, and we see its mark, as we have taken that lock
 * since; or before there was a leaf, and we see it by the fence.
 */
bool quire_fault_waits_for_fork(struct quire_fault *f)
{
	quire_fence();
	return (quire_load_acquire(&f->mm->unflushed) & QUIRE_UNFLUSHED_FORK) != 0;
}

void quire_fault_set_frame(struct quire_fault *f)
{
	const struct quire_pgfmt *fmt = f->mm->pt.fmt;
	quire_ptebits_t bits = f->rights | QUIRE_PTE_ACCESSED;
	struct quire_page *page = f->frame;

	if (f->vma->flags & QUIRE_VM_WRITE)
		bits |= QUIRE_PTE_WRITE;
	if (quire_fault_is_write(f) || (f->vma->flags & QUIRE_VM_WRITE))
		bits |= QUIRE_PTE_DIRTY;
	quire_page_make_anon(f->vma, page, f->addr);
	bits |= quire_lock_bit(f->vma, page);
	leaf_fill(&f->c, f->addr, pte_make(fmt, quire_page_to_pfn(f->q, page), bits));
	f->frame = NULL;
}

/* ---- The whole --------------------------------------------------------------------------- */

static enum quire_outcome attempt(struct quire_fault *f)
{
	enum quire_outcome r = quire_fault_find(f);

	if (r)
		return r;
	f->entry = quire_pgtable_peek_leaf(&f->mm->pt, f->addr, &f->leaf);
	switch (pte_kind(f->mm->pt.fmt, f->entry)) {
	case QUIRE_PTE_EMPTY:
		return quire_vma_is_anonymous(f->vma) ? quire_fault_anon_empty(f)
						      : quire_fault_file_empty(f);
	case QUIRE_PTE_PAGE:
		return quire_fault_present(f);
	case QUIRE_PTE_GUARD:
		return QUIRE_FAULT_GUARD;
	default:
		/* There is no swap yet, so nothing can have put this here. */
		quire_report(f->q, "fault: an entry of no known kind", f->addr);
		return QUIRE_FAULT_BUS;
	}
}

/* As Linux counts: an event for every fault, but for the process only those that were served. */
static void count_fault(struct quire_fault *f, enum quire_outcome r)
{
	quire_stat_add(f->q, QUIRE_STAT_PGFAULT, 1);
	if (r != QUIRE_FAULT_DONE)
		return;
	if (f->major) {
		quire_stat_add(f->q, QUIRE_STAT_PGMAJFAULT, 1);
		quire_add_relaxed(&f->mm->major_faults, UINT64_C(1));
	} else {
		quire_add_relaxed(&f->mm->minor_faults, UINT64_C(1));
	}
}

/*
 * What the page will need is taken first, so that a stack which has grown has not done so in vain.
 */
static enum quire_outcome grow_stack(struct quire_fault *f)
{
	enum quire_outcome r = QUIRE_FAULT_DONE;

	if (quire_fault_needs_frame(f)) {
		/* The stack's policy is that of what it grows by. */
		quire_fault_enter_grace(f);
		f->vma = quire_find_vma(f->mm, f->addr);
		r = f->vma ? quire_fault_take_frame(f, true) : QUIRE_FAULT_HOLE;
		quire_fault_end_attempt(f);
	}
	if (r)
		return r;
	if (quire_tables_populate(&f->mm->pt, f->addr, f->addr + QUIRE_PAGE_SIZE))
		return QUIRE_FAULT_OOM;
	f->populated = true;
	return quire_expand_stack(f->mm, f->addr) ? QUIRE_FAULT_HOLE : QUIRE_FAULT_AGAIN;
}

/*
 * The tables were made for an entry that does not come; if they hold anything they stay. A writer
 * may have reserved them meanwhile and counts on them while they are still empty (mremap, guards):
 * so only while there is no writer. Else they stay for now, and go with the area.
 */
static void trim_tables(struct quire_fault *f)
{
	if (!quire_mutex_trylock(f->q, &f->mm->lock))
		return;
	quire_tables_trim(&f->mm->pt, f->addr, f->addr + QUIRE_PAGE_SIZE);
	quire_mutex_unlock(f->q, &f->mm->lock);
}

enum quire_outcome quire_serve_fault(struct quire_fault *f)
{
	enum quire_outcome r;
	unsigned tries = 0;

	f->major = false;
	for (;;) {
		r = attempt(f);
		quire_fault_end_attempt(f);
		if (r == QUIRE_FAULT_DONE)
			break;
		if (r == QUIRE_FAULT_AGAIN)
			continue;
		if (r == QUIRE_FAULT_WAIT) {
			quire_mm_wait(f->mm);
			continue;
		}
		if (r == QUIRE_FAULT_HOLE && f->grows && f->growable) {
			r = grow_stack(f);
			if (r == QUIRE_FAULT_AGAIN)
				continue;
		}
		/* In the grace period there was no waiting for memory. */
		if (quire_unlikely(r == QUIRE_FAULT_OOM) && quire_grace_reclaim(f->q, &tries))
			continue;
		if (f->populated)
			trim_tables(f);
		f->populated = false;
		break;
	}
	if (r != QUIRE_FAULT_HOLE && r != QUIRE_FAULT_DENIED)
		count_fault(f, r);
	return r == QUIRE_FAULT_DONE && f->exec_denied ? QUIRE_FAULT_DENIED : r;
}

int quire_fault(struct quire_mm *mm, quire_uaddr_t addr, uint32_t access, struct quire_signal *sig)
{
	struct quire_fault f;
	enum quire_outcome r;

	quire_fault_init(&f, mm, addr, access & ~QUIRE_ACCESS_FORCE, true);
	r = quire_serve_fault(&f);
	quire_fault_destroy(&f);
	/*
	 * A droppable area is no reason to kill: Linux lets the instruction run again, until there
	 * is memory.
	 */
	if (r == QUIRE_FAULT_OOM && f.droppable)
		r = QUIRE_FAULT_DONE;

	sig->addr = addr;
	switch (r) {
	case QUIRE_FAULT_DONE:
		sig->signo = 0;
		sig->code = 0;
		return 0;
	case QUIRE_FAULT_OOM:
		quire_port_log(mm->q, QUIRE_LOG_WARN, "page fault: no memory");
		sig->signo = QUIRE_SIGKILL;
		sig->code = 0;
		return -QUIRE_ENOMEM;
	case QUIRE_FAULT_BUS:
		sig->signo = QUIRE_SIGBUS;
		sig->code = QUIRE_BUS_ADRERR;
		return -QUIRE_EFAULT;
	case QUIRE_FAULT_DENIED:
		sig->signo = QUIRE_SIGSEGV;
		sig->code = QUIRE_SEGV_ACCERR;
		return -QUIRE_EFAULT;
	default:
		sig->signo = QUIRE_SIGSEGV;
		sig->code = QUIRE_SEGV_MAPERR;
		return -QUIRE_EFAULT;
	}
}
