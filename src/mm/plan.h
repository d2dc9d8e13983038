/* SPDX-License-Identifier: MIT */
/* What the files of the plan (plan.c, plan_merge.c, unmap.c) share and its callers do not need. */
#ifndef QUIRE_MM_PLAN_H
#define QUIRE_MM_PLAN_H

#include <mm/internal.h>

/* quire_vma.plan_marks. Of a visible area: */
#define QUIRE_PLAN_TAKEN 0x01u /* in plan->old: the picture no longer shows it */
#define QUIRE_PLAN_FROZE 0x02u /* this plan froze its owner: thawed when the plan is cancelled */
#define QUIRE_PLAN_KEPT 0x20u  /* in plan->areas from reserve to commit: stays where it is */
/* Of a copy: */
#define QUIRE_PLAN_COPY 0x04u /* it is one, in plan->areas or plan->dropped */
#define QUIRE_PLAN_OPEN 0x08u /* made by a cut: its driver has not heard of it */
/* Of both: */
#define QUIRE_PLAN_CLOSE 0x10u /* unmapped: its driver is to hear of it */

/* The hull takes [start, end) in. */
void quire_plan_cover(struct quire_plan *plan, quire_uaddr_t start, quire_uaddr_t end);

/* Hold the owner of a visible area while a merge is decided; undo that if it was not taken. Both do
 * nothing to copies. */
void quire_plan_pin(struct quire_vma *vma);
void quire_plan_unpin(struct quire_vma *vma);

/* Split without asking the driver. NULL: no memory. */
struct quire_vma *quire_plan_cut(struct quire_plan *plan, struct quire_vma *copy,
				 quire_uaddr_t addr);

/* An area of the picture goes because another one takes its place: its driver does not hear of it. */
void quire_plan_vanish(struct quire_plan *plan, struct quire_vma *vma);

#endif
