/* SPDX-License-Identifier: MIT */
/*
 * remap_file_pages(2): other pages of the file at the same addresses. Called by hosts. Linux has
 * made it a fixed mmap of the same file since 4.0, and so it is here: one area becomes several.
 */
#include <mm/internal.h>

/* Areas of one file with the same flags, and no hole, from the one that holds start up to end? */
static bool is_uniform(struct quire_mm *mm, const struct quire_vma *first, quire_uaddr_t end)
{
	struct quire_index_walk walk;
	struct quire_vma *vma;
	quire_uaddr_t reached = first->end;

	quire_index_walk_start(&walk, &mm->index, reached);
	while (reached < end) {
		vma = quire_index_walk_next(&walk);
		if (!vma || vma->start != reached || vma->file != first->file ||
		    vma->flags != first->flags)
			return false;
		reached = vma->end;
	}
	return true;
}

/*
 * The file behind [start, end) with a reference, and how it is mapped there; NULL if the call
 * does not apply.
 */
static struct quire_file *find_file(struct quire_mm *mm, quire_uaddr_t start, quire_uaddr_t end,
				    uint32_t *prot, uint32_t *map_flags)
{
	struct quire_vma *vma = quire_find_vma(mm, start);

	if (!vma || vma->start > start || !(vma->flags & QUIRE_VM_SHARED) || !vma->file)
		return NULL;
	if (!is_uniform(mm, vma, end))
		return NULL;
	*prot = (vma->flags & QUIRE_VM_READ ? QUIRE_PROT_READ : 0) |
		(vma->flags & QUIRE_VM_WRITE ? QUIRE_PROT_WRITE : 0) |
		(vma->flags & QUIRE_VM_EXEC ? QUIRE_PROT_EXEC : 0);
	if (vma->flags & QUIRE_VM_LOCKED)
		*map_flags |= QUIRE_MAP_LOCKED;
	quire_file_get(vma->file);
	return vma->file;
}

int quire_remap_file_pages(struct quire_mm *mm, quire_uaddr_t addr, uint64_t size, uint32_t prot,
			   uint64_t pgoff, uint32_t flags)
{
	uint32_t map_flags = (flags & QUIRE_MAP_NONBLOCK) | QUIRE_MAP_SHARED | QUIRE_MAP_FIXED |
			     QUIRE_MAP_POPULATE;
	quire_uaddr_t start = quire_page_down(addr);
	struct quire_file *file;
	int64_t place;

	size = quire_page_down(size);
	if (prot || start + size <= start || pgoff + (size >> QUIRE_PAGE_SHIFT) < pgoff)
		return -QUIRE_EINVAL;
	quire_mutex_lock(mm->q, &mm->lock);
	file = find_file(mm, start, start + size, &prot, &map_flags);
	quire_mutex_unlock(mm->q, &mm->lock);
	if (!file)
		return -QUIRE_EINVAL;
	if (pgoff > UINT64_MAX >> QUIRE_PAGE_SHIFT)
		place = -QUIRE_EOVERFLOW;
	else
		place = quire_mmap(mm, start, size, prot, map_flags, file,
				   pgoff << QUIRE_PAGE_SHIFT);
	quire_file_put(mm->q, file);
	return place < 0 ? (int)place : 0;
}
