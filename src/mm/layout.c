/* SPDX-License-Identifier: MIT */
/*
 * Where maps are placed: the layout that a program starts with, and the address of a new map.
 * Called by exec (the layout) and by mmap, mremap and brk under the writer lock. Nothing here
 * changes a space. Addresses are Linux's to the byte (x86-64: arch/x86's layout, the rules of
 * mmap(2)); programs and recordings depend on them. Formats of other machines have these rules with
 * their own end of user space; where it has 32 bits, all programs have.
 *
 *	0        mmap_min_addr     legacy_base                                  mmap_base      task_size
 *	|--------|-----------------|--------------------------------------------|--gap, stack--|
 *	                           bottom-up: upwards from here ->   <- top-down: downwards from here
 */
#include <base/string.h>
#include <mm/internal.h>

#define COMPAT_TASK_SIZE UINT64_C(0xffffe000)
#define MAP_32BIT_START UINT64_C(0x40000000)
#define MAP_32BIT_END UINT64_C(0x80000000)
#define MAP_32BIT_SPREAD UINT64_C(0x02000000)
#define FOUR_GIB (UINT64_C(4) << 30)

/* ---- The layout -------------------------------------------------------------------------- */

#define STACK_GUARD (UINT64_C(256) << QUIRE_PAGE_SHIFT)
#define STACK_GAP_MIN (UINT64_C(128) << 20)
/* How far the kernel may shift a stack's top: 22 and 11 random bits of pages. */
#define STACK_SHIFT_64 (UINT64_C(0x3fffff) << QUIRE_PAGE_SHIFT)
#define STACK_SHIFT_32 (UINT64_C(0x7ff) << QUIRE_PAGE_SHIFT)
/* How many random bits of pages move the base: x86-64's 28 where that is little of the space, RISC-V's 18 with Sv39. */
#define MMAP_RANDOM_64 ((UINT64_C(1) << 28) - 1)
#define MMAP_RANDOM_39 ((UINT64_C(1) << 18) - 1)
#define MMAP_RANDOM_32 ((UINT64_C(1) << 8) - 1)

/*
 * Without asking for more, a program lives in the lower 47 bits where tables reach beyond 48; the page
 * that the format keeps from user space at the end of its own half is kept at the end of these, too.
 */
static uint64_t default_window(const struct quire_pgfmt *fmt)
{
	if (fmt->va_bits <= 48)
		return fmt->user_end;
	return (UINT64_C(1) << 47) - ((UINT64_C(1) << (fmt->va_bits - 1)) - fmt->user_end);
}

static uint64_t random_pages(const struct quire_pgfmt *fmt, bool compat)
{
	if (compat)
		return MMAP_RANDOM_32;
	return fmt->va_bits < 48 ? MMAP_RANDOM_39 : MMAP_RANDOM_64;
}

/* Below the stack at its largest, at least 128 MiB and at most five sixths of everything. */
static uint64_t stack_gap(uint64_t window, uint64_t stack_limit, uint64_t shift)
{
	uint64_t pad = shift + STACK_GUARD, most = window / 6 * 5;
	uint64_t gap = stack_limit;

	if (gap + pad > gap)
		gap += pad;
	if (gap < STACK_GAP_MIN)
		return STACK_GAP_MIN;
	return gap < most ? gap : most;
}

void quire_layout_init(struct quire_layout *layout, const struct quire_pgfmt *fmt, bool compat,
		       bool legacy, uint64_t stack_limit, uint64_t random)
{
	bool narrow = fmt->va_bits == 32;
	uint64_t window = compat && !narrow ? quire_page_down(COMPAT_TASK_SIZE) : default_window(fmt);
	uint64_t shift, offset;

	compat |= narrow;
	shift = random ? (compat ? STACK_SHIFT_32 : STACK_SHIFT_64) : 0;
	offset = (random & random_pages(fmt, compat)) << QUIRE_PAGE_SHIFT;
	memset(layout, 0, sizeof(*layout));
	layout->task_size = compat ? window : fmt->user_end;
	layout->compat = compat;
	layout->topdown = !legacy;
	layout->mmap_legacy_base = quire_page_up(window / 3) + offset;
	layout->mmap_base =
		legacy ? layout->mmap_legacy_base
		       : quire_page_up(window - stack_gap(window, stack_limit, shift) - offset);
	layout->map_32bit_start = MAP_32BIT_START;
	if (random)
		layout->map_32bit_start +=
			quire_page_down(((random >> 32) << QUIRE_PAGE_SHIFT) % MAP_32BIT_SPREAD);
}

/* ---- A gap ------------------------------------------------------------------------------- */

/* A fixed address may lie in the kernel's half, and is then as negative as an errno, but further down. */
static bool is_errno(int64_t found)
{
	return found < 0 && found >= -4095;
}

/* What one search is for. */
struct wish {
	struct quire_mm *mm;
	quire_uaddr_t addr; /* hint, page aligned, or 0 */
	uint64_t len;	    /* bytes, page aligned */
	uint32_t map_flags;
};

static bool wants_32bit(const struct wish *w)
{
	return !w->mm->layout.compat && (w->map_flags & QUIRE_MAP_32BIT);
}

/* The end of what an ordinary program sees; a hint above it is how one asks for all there is. */
static quire_uaddr_t ordinary_end(const struct wish *w)
{
	uint64_t window = default_window(w->mm->pt.fmt), size = w->mm->layout.task_size;

	return size < window ? size : window;
}

static quire_uaddr_t window_end(const struct wish *w)
{
	quire_uaddr_t end = ordinary_end(w);

	return w->addr > end ? w->mm->layout.task_size : end;
}

/* Is [addr, addr + len) free, the guard below a stack that follows included? */
static bool hint_is_free(const struct wish *w)
{
	struct quire_vma *next = quire_index_find(&w->mm->index, w->addr);
	uint64_t guard;

	if (!next)
		return true;
	guard = quire_stack_guard(w->mm, next);
	return w->addr + w->len <= (next->start > guard ? next->start - guard : 0);
}

static struct quire_gap_request gap_request(const struct wish *w, quire_uaddr_t low,
					    quire_uaddr_t high)
{
	const struct quire_sysctl *ctl = &w->mm->q->mms.sysctl;

	return (struct quire_gap_request){
		.low = low > ctl->mmap_min_addr ? low : ctl->mmap_min_addr,
		.high = high,
		.size = w->len,
		.align = QUIRE_PAGE_SIZE,
		.offset = 0,
		.guard = ctl->stack_guard_gap,
	};
}

static int64_t find_bottomup(const struct wish *w)
{
	const struct quire_layout *layout = &w->mm->layout;
	quire_uaddr_t low = layout->mmap_legacy_base, high = window_end(w), found;
	struct quire_gap_request rq;
	int err;

	if (wants_32bit(w)) {
		low = layout->map_32bit_start;
		high = MAP_32BIT_END;
	}
	if (w->len > high)
		return -QUIRE_ENOMEM;
	if (w->addr && high - w->len >= w->addr && hint_is_free(w))
		return (int64_t)w->addr;
	rq = gap_request(w, low, high);
	err = quire_index_lowest_gap(&w->mm->index, &rq, &found);
	return err ? err : (int64_t)found;
}

/* A hint that straddles the end of the ordinary window is no hint. */
static bool hint_is_valid(const struct wish *w)
{
	if (w->mm->layout.task_size - w->len < w->addr)
		return false;
	return (w->addr > ordinary_end(w)) == (w->addr + w->len > ordinary_end(w));
}

static int64_t find_topdown(const struct wish *w)
{
	const struct quire_layout *layout = &w->mm->layout;
	quire_uaddr_t low = QUIRE_PAGE_SIZE, high = layout->mmap_base, found;
	struct quire_gap_request rq;

	if (wants_32bit(w))
		return find_bottomup(w);
	if (w->addr && hint_is_valid(w) && hint_is_free(w))
		return (int64_t)w->addr;
	if (!layout->compat && (w->map_flags & QUIRE_MAP_ABOVE4G))
		low = FOUR_GIB;
	if (w->addr > ordinary_end(w))
		high += layout->task_size - ordinary_end(w);
	rq = gap_request(w, low, high);
	if (!quire_index_highest_gap(&w->mm->index, &rq, &found))
		return (int64_t)found;
	/* A large stack limit leaves little below mmap_base: look where it would not. */
	return find_bottomup(w);
}

static int64_t find_gap(const struct wish *w)
{
	if (w->len > w->mm->layout.task_size)
		return -QUIRE_ENOMEM;
	if (w->map_flags & QUIRE_MAP_FIXED)
		return (int64_t)w->addr;
	return w->mm->layout.topdown ? find_topdown(w) : find_bottomup(w);
}

/* ---- A gap with room to align in --------------------------------------------------------- */

/*
 * Byte offset of the map and address are to agree modulo align, so that huge pages fit. The search is
 * for align bytes more than the map needs; the map then moves up inside what was found:
 *
 *	found      |----------------- len + align -----------------|
 *	           |--sub--|----------- len -----------|           |
 *	                   ^ agrees with offset modulo align
 *
 * 0: nothing to align (no whole huge page in it), or no room.
 */
static int64_t find_aligned(const struct wish *w, uint64_t offset, uint64_t align)
{
	uint64_t first = (offset + align - 1) & ~(align - 1), end = offset + w->len;
	struct wish padded = *w;
	uint64_t sub;
	int64_t found;

	/* Signed, as file offsets are: the last huge page below 2^63 counts as whole. */
	if (w->mm->layout.compat || (int64_t)end <= (int64_t)first || end - first < align)
		return 0;
	padded.len += align;
	if (padded.len < w->len || offset + padded.len < offset)
		return 0;
	found = find_gap(&padded);
	if (is_errno(found))
		return 0;
	if ((quire_uaddr_t)found == w->addr)
		return found;
	sub = (offset - (uint64_t)found) & (align - 1);
	if (!sub && w->mm->layout.topdown)
		sub = align;
	return found + (int64_t)sub;
}

int64_t quire_get_unmapped_area(struct quire_mm *mm, quire_uaddr_t addr, uint64_t len,
				struct quire_file *file, uint64_t pgoff, uint32_t map_flags,
				uint64_t vm_flags)
{
	const struct wish w = {.mm = mm, .addr = addr, .len = len, .map_flags = map_flags};
	uint64_t align = 0;
	int64_t found = 0;

	(void)vm_flags;
	quire_mutex_assert(mm->q, &mm->lock);
	if (len > mm->layout.task_size)
		return -QUIRE_ENOMEM;
	if (file)
		align = file->map_align;
	else if (!(map_flags & QUIRE_MAP_SHARED) && !addr && mm->q->mms.sysctl.anon_align &&
		 !(len & (mm->q->mms.sysctl.anon_align - 1)))
		align = mm->q->mms.sysctl.anon_align;
	if (align)
		found = find_aligned(&w, file ? pgoff << QUIRE_PAGE_SHIFT : 0, align);
	if (!found)
		found = find_gap(&w);
	if (is_errno(found))
		return found;
	if ((quire_uaddr_t)found > mm->layout.task_size - len)
		return -QUIRE_ENOMEM;
	if ((uint64_t)found & ~QUIRE_PAGE_MASK)
		return -QUIRE_EINVAL;
	if ((quire_uaddr_t)found < mm->q->mms.sysctl.dac_mmap_min_addr && !mm->limits.cap_sys_rawio)
		return -QUIRE_EPERM;
	return found;
}
