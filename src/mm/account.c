/* SPDX-License-Identifier: MIT */
/*
 * Counting pages: how many a space has, of which kind, whether it may have more (RLIMIT_AS,
 * RLIMIT_DATA, RLIMIT_MEMLOCK), and what all spaces together have been promised (overcommit).
 * Called by every verb that makes areas grow, shrink or change their kind; under the writer lock,
 * but for the promise, which is the instance's and atomic. Nothing here looks at areas or tables.
 */
#include <mm/internal.h>

/* ---- Kinds ------------------------------------------------------------------------------- */

/* Every page is in total_vm, and in at most one of these. Readers take no lock, hence the stores. */
static uint64_t *counter_of(struct quire_mm *mm, uint64_t flags)
{
	if (flags & QUIRE_VM_GROWSDOWN)
		return &mm->stack_vm;
	if ((flags & (QUIRE_VM_EXEC | QUIRE_VM_WRITE)) == QUIRE_VM_EXEC)
		return &mm->exec_vm;
	if ((flags & (QUIRE_VM_WRITE | QUIRE_VM_SHARED)) == QUIRE_VM_WRITE)
		return &mm->data_vm;
	return NULL;
}

/* The mark is set when the total falls; whoever reads it takes the larger of the two. */
static void note_peak(struct quire_mm *mm)
{
	if (mm->hiwater_vm < mm->total_vm)
		quire_store(&mm->hiwater_vm, mm->total_vm);
}

void quire_account_vm(struct quire_mm *mm, uint64_t flags, int64_t pages)
{
	uint64_t *counter = counter_of(mm, flags);

	if (pages < 0)
		note_peak(mm);
	quire_store(&mm->total_vm, mm->total_vm + (uint64_t)pages);
	if (counter)
		quire_store(counter, *counter + (uint64_t)pages);
}

void quire_account_change(struct quire_mm *mm, uint64_t from, uint64_t to, uint64_t pages)
{
	uint64_t *before = counter_of(mm, from), *after = counter_of(mm, to);

	if (before == after)
		return;
	if (before)
		quire_store(before, *before - pages);
	if (after)
		quire_store(after, *after + pages);
}

void quire_tally_area(struct quire_tally *tally, uint64_t flags, uint64_t pages)
{
	tally->total += pages;
	if (flags & QUIRE_VM_GROWSDOWN)
		tally->stack += pages;
	else if ((flags & (QUIRE_VM_EXEC | QUIRE_VM_WRITE)) == QUIRE_VM_EXEC)
		tally->exec += pages;
	else if ((flags & (QUIRE_VM_WRITE | QUIRE_VM_SHARED)) == QUIRE_VM_WRITE)
		tally->data += pages;
	if (flags & QUIRE_VM_LOCKED)
		tally->locked += pages;
	if (flags & QUIRE_VM_ACCOUNT)
		tally->accounted += pages;
}

void quire_account_gone(struct quire_mm *mm, const struct quire_tally *gone)
{
	if (!gone->total)
		return;
	note_peak(mm);
	quire_store(&mm->total_vm, mm->total_vm - gone->total);
	quire_store(&mm->data_vm, mm->data_vm - gone->data);
	quire_store(&mm->exec_vm, mm->exec_vm - gone->exec);
	quire_store(&mm->stack_vm, mm->stack_vm - gone->stack);
	quire_store(&mm->locked_vm, mm->locked_vm - gone->locked);
	if (gone->accounted)
		quire_uncommit_pages(mm, (int64_t)gone->accounted);
}

/* ---- Limits ------------------------------------------------------------------------------ */

bool quire_may_expand(struct quire_mm *mm, uint64_t flags, uint64_t pages)
{
	return quire_may_expand_from(mm, flags, mm->total_vm, mm->data_vm, pages);
}

bool quire_may_expand_from(struct quire_mm *mm, uint64_t flags, uint64_t total_vm, uint64_t data_vm, uint64_t pages)
{
	const struct quire_limits *limits = &mm->limits;

	if (total_vm + pages > limits->as >> QUIRE_PAGE_SHIFT)
		return false;
	if ((flags & (QUIRE_VM_WRITE | QUIRE_VM_SHARED | QUIRE_VM_GROWSDOWN)) != QUIRE_VM_WRITE)
		return true;
	if (data_vm + pages <= limits->data >> QUIRE_PAGE_SHIFT)
		return true;
	/* Valgrind sets its client's soft limit to 0, to serve brk by itself. */
	return limits->data == 0 && data_vm + pages <= limits->data_hard >> QUIRE_PAGE_SHIFT;
}

bool quire_mlock_ok(struct quire_mm *mm, uint64_t flags, uint64_t pages)
{
	if (!(flags & QUIRE_VM_LOCKED) || mm->limits.cap_ipc_lock)
		return true;
	return mm->locked_vm + pages <= mm->limits.memlock >> QUIRE_PAGE_SHIFT;
}

bool quire_may_mlock(struct quire_mm *mm)
{
	return mm->limits.memlock != 0 || mm->limits.cap_ipc_lock;
}

/* ---- Promises ---------------------------------------------------------------------------- */

bool quire_is_accountable(struct quire *q, struct quire_file *file, uint64_t flags)
{
	(void)q;
	(void)file;
	return (flags & (QUIRE_VM_NORESERVE | QUIRE_VM_SHARED | QUIRE_VM_WRITE)) == QUIRE_VM_WRITE;
}

/* Memory and swap that there are to promise. */
static uint64_t total_pages(const struct quire *q)
{
	uint64_t set = q->mms.sysctl.overcommit_total_pages;

	return set ? set : q->pages.total_pages;
}

uint64_t quire_commit_limit(struct quire *q)
{
	const struct quire_sysctl *ctl = &q->mms.sysctl;
	uint64_t swap = ctl->overcommit_swap_pages;

	if (ctl->overcommit_kbytes)
		return (ctl->overcommit_kbytes >> (QUIRE_PAGE_SHIFT - 10)) + swap;
	return (total_pages(q) - swap) * ctl->overcommit_ratio / 100 + swap;
}

/* Mode 2: something is kept back for whoever has to repair things, and something for the user. */
static int64_t strict_limit(struct quire_mm *mm)
{
	const struct quire_sysctl *ctl = &mm->q->mms.sysctl;
	uint64_t user = ctl->user_reserve_kbytes >> (QUIRE_PAGE_SHIFT - 10);
	int64_t allowed = (int64_t)quire_commit_limit(mm->q);

	if (!mm->limits.cap_sys_admin)
		allowed -= (int64_t)(ctl->admin_reserve_kbytes >> (QUIRE_PAGE_SHIFT - 10));
	return allowed - (int64_t)(mm->total_vm / 32 < user ? mm->total_vm / 32 : user);
}

int quire_commit_pages(struct quire_mm *mm, int64_t pages)
{
	struct quire_mms *mms = &mm->q->mms;
	int64_t committed = quire_fetch_add(&mms->committed, pages) + pages;

	switch (mms->sysctl.overcommit_memory) {
	case QUIRE_OVERCOMMIT_GUESS:
		if ((uint64_t)pages <= total_pages(mm->q))
			return 0;
		break;
	case QUIRE_OVERCOMMIT_NEVER:
		if (committed < strict_limit(mm))
			return 0;
		break;
	default: /* QUIRE_OVERCOMMIT_ALWAYS */
		return 0;
	}
	quire_uncommit_pages(mm, pages);
	return -QUIRE_ENOMEM;
}

void quire_uncommit_pages(struct quire_mm *mm, int64_t pages)
{
	(void)quire_fetch_sub(&mm->q->mms.committed, pages);
}
