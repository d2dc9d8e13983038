/* SPDX-License-Identifier: MIT */
/*
 * What the files of a fault share (fault.c, fault_anon.c, fault_file.c), and what gup.c and
 * access.c use of it.
 *
 * A fault is served in attempts. Each begins with a look-up and ends with one of the outcomes
 * below; whatever it took on the way (grace period, leaf lock, page, object, pin) hangs off struct
 * quire_fault and is given back in one place, quire_fault_end_attempt(), in the right order. So a
 * handler may return anywhere.
 */
#ifndef QUIRE_MM_FAULT_H
#define QUIRE_MM_FAULT_H

#include <mm/internal.h>

enum quire_outcome {
	QUIRE_FAULT_DONE,  /* served, by us or by somebody else: run the instruction again */
	QUIRE_FAULT_AGAIN, /* lost a race: look up again */
	QUIRE_FAULT_WAIT, /* a writer has it: look up again when that has finished */
	QUIRE_FAULT_HOLE,   /* no area here: SIGSEGV, SEGV_MAPERR */
	QUIRE_FAULT_GUARD,  /* a guard entry: the same signal */
	QUIRE_FAULT_DENIED, /* SIGSEGV, SEGV_ACCERR */
	QUIRE_FAULT_BUS,    /* SIGBUS, BUS_ADRERR */
	QUIRE_FAULT_OOM,
};

struct quire_fault {
	/* input */
	struct quire_mm *mm;
	struct quire *q;
	quire_uaddr_t addr; /* page aligned */
	uint32_t access;    /* QUIRE_ACCESS_* */
	bool user;	    /* rights as the hardware has them; else as get_user_pages() has them */
	bool grows;	    /* stacks, that is: as user says, unless it is set otherwise after init */
	bool unshares;	    /* a read that wants an anonymous page to be the area's alone; set after init */
	/* derived; vma only inside the grace period, or while pinned */
	struct quire_vma *vma;
	uint64_t id;		/* the area's */
	uint64_t pgoff;		/* quire_linear_page_index() of addr */
	quire_ptebits_t rights; /* of the area's entries: quire_vma_ptebits() */
	quire_pte_t entry;	/* what stood at addr when we looked */
	struct quire_leaf leaf; /* where; while the grace period goes on */
	bool droppable;		/* the area is QUIRE_VM_DROPPABLE */
	bool growable;		/* no area, but a stack above */
	bool exec_denied;	/* a fetch without the right: served as a read, then refused */
	bool major;		/* a file page had to be read */
	/* reserved: kept from one attempt to the next */
	struct quire_page *frame; /* for a private page; kind KERNEL until it is used */
	bool frame_is_zero;
	bool populated; /* made the leaf table */
	/* held: until the attempt ends */
	bool in_grace;
	bool cursor_open;
	struct quire_page *page;     /* with a reference: the object's, or what is being copied */
	struct quire_page *locked;   /* this page's lock */
	struct quire_object *object; /* with a reference */
	struct quire_vma *pinned;
	uint64_t truncations; /* of the area's object, before its page was looked at */
	struct quire_cursor c;
};

static inline bool quire_fault_is_write(const struct quire_fault *f)
{
	return (f->access & QUIRE_ACCESS_WRITE) != 0;
}

/* Anonymous memory that is not there yet: is a page of its own needed, or do zeroes do? */
static inline bool quire_fault_needs_frame(const struct quire_fault *f)
{
	return quire_fault_is_write(f) || f->q->mms.sysctl.forbid_zeropage;
}

/*
 * Serve a fault to its end: DONE, or one of HOLE and below. Outside grace periods; may sleep.
 * (fault.c)
 */
enum quire_outcome quire_serve_fault(struct quire_fault *f);

void quire_fault_init(struct quire_fault *f, struct quire_mm *mm, quire_uaddr_t addr,
		      uint32_t access, bool user);
/* Give back what one attempt holds. */
void quire_fault_end_attempt(struct quire_fault *f);
/* Give back what attempts have kept. */
void quire_fault_destroy(struct quire_fault *f);

/* May the access be made to vma? DONE or DENIED; sets exec_denied. */
enum quire_outcome quire_fault_check_rights(struct quire_fault *f, const struct quire_vma *vma);

void quire_fault_enter_grace(struct quire_fault *f);
void quire_fault_leave_grace(struct quire_fault *f);
void quire_fault_close_cursor(struct quire_fault *f);

/*
 * Enter a grace period, find the area and check its state and the rights: DONE, or what to do
 * instead.
 */
enum quire_outcome quire_fault_find(struct quire_fault *f);

/*
 * After a sleep: in a grace period again, and the area still the one it was? DONE or what to do
 * instead.
 */
enum quire_outcome quire_fault_look_again(struct quire_fault *f);

/*
 * Leave the grace period and make addr's leaf table if there is none: AGAIN or OOM. Once a fault;
 * see populated.
 */
enum quire_outcome quire_fault_make_leaf(struct quire_fault *f);

/*
 * The cursor over [start, end), standing in addr's leaf, the area alive: DONE. Else AGAIN, WAIT or
 * OOM. Makes the leaf table if there is none, which takes another attempt.
 */
enum quire_outcome quire_fault_lock_leaf(struct quire_fault *f, quire_uaddr_t start,
					 quire_uaddr_t end);

/* Leaf locked: does the entry map an anonymous page that is not the area's alone? (fault_anon.c) */
bool quire_fault_shares_anon(struct quire_fault *f, quire_pte_t entry);

/* Make sure of f->frame. DONE or OOM. */
enum quire_outcome quire_fault_take_frame(struct quire_fault *f, bool zeroed);

/* Make sure of the area's owner: DONE, AGAIN, WAIT or OOM. */
enum quire_outcome quire_fault_take_owner(struct quire_fault *f);

/*
 * Leaf locked: is a fork copying this space, so that it may get no page of its own now? Then WAIT.
 */
bool quire_fault_waits_for_fork(struct quire_fault *f);

/* Leaf locked, the entry empty: map f->frame there as the area's own page. */
void quire_fault_set_frame(struct quire_fault *f);

/* (fault_anon.c) */
enum quire_outcome quire_fault_anon_empty(struct quire_fault *f);
enum quire_outcome quire_fault_present(struct quire_fault *f);

/* (fault_file.c) */
enum quire_outcome quire_fault_file_empty(struct quire_fault *f);
/*
 * A write to a tracked shared page that is mapped read-only; f->page has a reference. Outside grace
 * and leaf lock, the area pinned if it has operations.
 */
enum quire_outcome quire_fault_shared_write(struct quire_fault *f);

#endif
