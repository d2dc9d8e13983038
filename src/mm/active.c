/* SPDX-License-Identifier: MIT */
/*
 * Which space each CPU is in, for the host's scheduler. A kernel thread needs no space and keeps
 * the one that it finds loaded, so that two threads of one process with a kernel thread between them cost no
 * load and no flush. What is here decides and counts; the host loads, and sends the shoot-downs.
 *
 * Why a borrowed space's tables are there as long as a CPU has them loaded:
 *
 *   1. A CPU that borrows has one count of the descriptor. It takes it while a thread of the space still is on
 *      this CPU, thus while there are users, thus while there is a count; so it never takes the first.
 *   2. It gives it back in quire_finish_switch() only, when other tables are loaded and the CPU has left the
 *      mask of those that flushes go to.
 *   3. Tables go with the last count (quire_mmdrop()). So nobody has them loaded.
 *
 * And why they map nothing that is not there any more: the CPU stays in the mask while it borrows, so every flush
 * reaches it, that of the exit too, before the pages go. A host may answer a shoot-down by leaving instead.
 */
#include <mm/internal.h>

static struct quire_active *this_active(struct quire *q)
{
	return &q->mms.active[quire_port_cpu(q)];
}

struct quire_mm *quire_active_mm(struct quire *q)
{
	return this_active(q)->mm;
}

struct quire_pgtable *quire_switch_mm(struct quire *q, struct quire_mm *next)
{
	struct quire_active *active = this_active(q);

	quire_assert(q, !active->dropped);
	if (!next) {
		if (active->mm && !active->borrowed) {
			quire_mmgrab(active->mm);
			active->borrowed = true;
		}
		return NULL;
	}
	quire_assert(q, quire_load(&next->users) > 0);
	if (active->borrowed)
		active->dropped = active->mm;
	active->borrowed = false;
	if (active->mm == next)
		return NULL;
	active->mm = next;
	return &next->pt;
}

bool quire_leave_mm(struct quire *q)
{
	struct quire_active *active = this_active(q);

	if (!active->borrowed)
		return false;
	quire_assert(q, !active->dropped);
	active->dropped = active->mm;
	active->borrowed = false;
	active->mm = NULL;
	return true;
}

void quire_finish_switch(struct quire *q)
{
	struct quire_active *active = this_active(q);
	struct quire_mm *dropped = active->dropped;

	active->dropped = NULL;
	if (dropped)
		quire_mmdrop(dropped);
}

quire_broken_t quire_active_check(struct quire *q)
{
	unsigned cpu, other;

	for (cpu = 0; cpu < q->nr_cpus; cpu++) {
		const struct quire_active *active = &q->mms.active[cpu];
		const struct quire_mm *mm = active->mm;
		uint32_t counts;

		if (active->dropped)
			return "active: no switch is under way";
		if (!mm && active->borrowed)
			return "active: what is borrowed is a space";
		if (!mm)
			continue;
		counts = quire_load(&mm->users) > 0;
		if (!active->borrowed && !counts)
			return "active: a space whose thread is on a CPU has users";
		for (other = 0; other < q->nr_cpus; other++)
			counts += q->mms.active[other].mm == mm && q->mms.active[other].borrowed;
		if (quire_load(&mm->count) < counts)
			return "active: a space's count >= CPUs that borrow it + 1 for its users";
	}
	return NULL;
}
