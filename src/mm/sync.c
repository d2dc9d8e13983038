/* SPDX-License-Identifier: MIT */
/*
 * msync(2) and mincore(2): what a space has to say to and about the files behind it. Both only
 * look areas up, under grace periods that end before anything sleeps; neither takes the writer
 * lock or changes an area. Called by hosts.
 */
#include <base/string.h>
#include <mm/internal.h>

/*
 * What is kept of an area beyond the grace period in which it was found. The object is held, so
 * that pages can be asked for and written after the area may have gone.
 */
struct look {
	quire_uaddr_t start, end;
	uint64_t flags, pgoff;
	struct quire_object *object;
	bool has_file, has_ops;
};

/* The area that holds addr, or the next above; false if there is none. */
static bool look_up(struct quire_mm *mm, quire_uaddr_t addr, struct look *look)
{
	struct quire_vma *vma;

	quire_grace_enter(mm->q);
	vma = quire_find_vma(mm, addr);
	if (vma) {
		look->start = vma->start;
		look->end = vma->end;
		look->flags = vma->flags;
		look->pgoff = vma->pgoff;
		look->object = vma->object;
		look->has_file = vma->file != NULL;
		look->has_ops = vma->ops != NULL;
		if (look->object)
			quire_object_get(look->object);
	}
	quire_grace_leave(mm->q);
	return vma != NULL;
}

static void let_go(struct look *look)
{
	if (look->object)
		quire_object_put(look->object);
}

static uint64_t index_at(const struct look *look, quire_uaddr_t addr)
{
	return look->pgoff + ((addr - look->start) >> QUIRE_PAGE_SHIFT);
}

/* ---- msync ------------------------------------------------------------------------------- */

static int sync_range(struct quire_mm *mm, quire_uaddr_t start, quire_uaddr_t end, uint32_t flags)
{
	int holes = 0;

	while (start < end) {
		struct look look;
		quire_uaddr_t stop;
		int err = 0;

		if (!look_up(mm, start, &look))
			return -QUIRE_ENOMEM;
		if (start < look.start) {
			if (look.start >= end) {
				let_go(&look);
				return -QUIRE_ENOMEM;
			}
			holes = -QUIRE_ENOMEM;
			start = look.start;
		}
		stop = look.end < end ? look.end : end;
		if ((flags & QUIRE_MS_INVALIDATE) && (look.flags & QUIRE_VM_LOCKED))
			err = -QUIRE_EBUSY;
		else if ((flags & QUIRE_MS_SYNC) && look.object && (look.flags & QUIRE_VM_SHARED))
			err = quire_object_sync(look.object, index_at(&look, start),
						index_at(&look, stop - 1));
		let_go(&look);
		if (err)
			return err;
		start = stop;
	}
	return holes;
}

int quire_msync(struct quire_mm *mm, quire_uaddr_t addr, uint64_t len, uint32_t flags)
{
	uint64_t bytes = quire_page_up(len); /* a length near 2^64 becomes nothing, on Linux too */

	if (flags & ~(QUIRE_MS_ASYNC | QUIRE_MS_INVALIDATE | QUIRE_MS_SYNC))
		return -QUIRE_EINVAL;
	if (addr & ~QUIRE_PAGE_MASK)
		return -QUIRE_EINVAL;
	if ((flags & QUIRE_MS_ASYNC) && (flags & QUIRE_MS_SYNC))
		return -QUIRE_EINVAL;
	if (addr + bytes < addr)
		return -QUIRE_ENOMEM;
	return sync_range(mm, addr, addr + bytes, flags);
}

/* ---- mincore ----------------------------------------------------------------------------- */

/* Where no page is mapped: is one in the cache? */
static unsigned char cached(const struct look *look, quire_uaddr_t addr)
{
	struct quire_page *page;
	bool uptodate;

	if (!look->object)
		return 0;
	page = quire_object_find_page(look->object, index_at(look, addr));
	if (!page)
		return 0;
	uptodate = quire_page_test(page, QUIRE_PG_UPTODATE);
	(void)quire_page_put(look->object->q, page);
	return uptodate;
}

/* One byte a page of [start, end), which lies in the area. */
static void tell_residency(struct quire_mm *mm, const struct look *look, quire_uaddr_t start,
			   quire_uaddr_t end, unsigned char *vec)
{
	struct quire_cursor c;
	quire_uaddr_t addr = start;

	quire_cursor_open(&c, &mm->pt, start, end, 0);
	while (quire_cursor_next_leaf(&c)) {
		for (; addr < c.leaf_start; addr += QUIRE_PAGE_SIZE)
			*vec++ = cached(look, addr);
		for (; addr < c.leaf_end; addr += QUIRE_PAGE_SIZE) {
			switch (quire_pte_kind(mm->pt.fmt, quire_cursor_get(&c, addr))) {
			case QUIRE_PTE_PAGE:
				*vec++ = 1;
				break;
			case QUIRE_PTE_SWAP:
				*vec++ = 0;
				break;
			default:
				*vec++ = cached(look, addr);
			}
		}
	}
	quire_cursor_close(&c);
	for (; addr < end; addr += QUIRE_PAGE_SIZE)
		*vec++ = cached(look, addr);
}

/*
 * Linux shows the residency of private anonymous memory and of files; what a driver or the kernel
 * itself mapped without a file is not the process's to know, and counts as there. Raw frames
 * count as not mapped.
 */
static void tell_area(struct quire_mm *mm, const struct look *look, quire_uaddr_t start,
		      quire_uaddr_t end, unsigned char *vec)
{
	size_t pages = (size_t)((end - start) >> QUIRE_PAGE_SHIFT);

	if (look->has_ops && !look->has_file) {
		memset(vec, 1, pages);
	} else if (look->flags & QUIRE_VM_PFNMAP) {
		for (; start < end; start += QUIRE_PAGE_SIZE)
			*vec++ = cached(look, start);
	} else {
		tell_residency(mm, look, start, end, vec);
	}
}

int quire_mincore(struct quire_mm *mm, quire_uaddr_t addr, uint64_t len, unsigned char *vec)
{
	quire_uaddr_t end;

	if (addr & ~QUIRE_PAGE_MASK)
		return -QUIRE_EINVAL;
	if (addr + len < addr || addr + len > mm->layout.task_size)
		return -QUIRE_ENOMEM;
	end = quire_page_up(addr + len);
	while (addr < end) {
		struct look look;
		quire_uaddr_t stop;

		if (!look_up(mm, addr, &look))
			return -QUIRE_ENOMEM;
		if (addr < look.start) {
			let_go(&look);
			return -QUIRE_ENOMEM;
		}
		stop = look.end < end ? look.end : end;
		if (vec) {
			tell_area(mm, &look, addr, stop, vec);
			vec += (stop - addr) >> QUIRE_PAGE_SHIFT;
		}
		let_go(&look);
		addr = stop;
	}
	return 0;
}
