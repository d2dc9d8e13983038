/* SPDX-License-Identifier: MIT */
/*
 * SysV shared memory on the machine's side: shmat() and shmdt() are the kernel's, not the address space's, so they are made
 * here out of mappings of an object, as Linux makes them. Called by ours.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/shm.h>

#include "player.h"

#define PAGE STEP_PAGE
#define SEGMENT_BYTES (STEP_SEGMENT_PAGES * PAGE)

/* Linux does not map a segment's pages around the one that is asked for. */
static int segment_fault(struct quire_vmf *vmf)
{
	struct quire_page *page;
	int err = quire_object_get_page(vmf->vma->object, vmf->pgoff, &page);

	if (!err)
		vmf->page = page;
	return err;
}

/* Who wants to be told of their end does not merge. */
static void segment_close(struct quire_vma *vma)
{
	(void)vma;
}

static const struct quire_vm_ops segment_ops = { .close = segment_close, .fault = segment_fault };

static int punch(struct quire_object *object, uint64_t start, uint64_t end)
{
	(void)object;
	(void)start;
	(void)end;
	return 0;
}

static const struct quire_file_ops memory_ops = { .punch_hole = punch };

static void file_release(struct quire *q, struct quire_file *file)
{
	(void)q;
	free(file);
}

void segments_begin(struct player *p)
{
	unsigned i;

	for (i = 0; i < STEP_NR_SEGMENTS; i++)
		quire_object_init(p->q, &p->segment[i], &memory_ops, SEGMENT_BYTES, QUIRE_OBJECT_SHMEM | QUIRE_OBJECT_NOSYNC);
}

void segments_end(struct player *p)
{
	unsigned i;

	for (i = 0; i < STEP_NR_SEGMENTS; i++)
		quire_object_put(&p->segment[i]);
}

bool segments_is(const struct quire_vma *vma)
{
	return vma->ops == &segment_ops;
}

/* Each attachment is an open file of its own. */
static struct quire_file *open_segment(struct player *p, uint64_t number, bool read_only)
{
	struct quire_file *file = tool_alloc(sizeof(*file));

	*file = (struct quire_file){
		.object = &p->segment[number],
		.vm_ops = &segment_ops,
		.release = file_release,
		.path = "/SYSV00000000",
		.inode = (uint64_t)p->channel->segment[number],
		.dev_minor = 1,
		.flags = QUIRE_FILE_READ | QUIRE_FILE_DELETED | QUIRE_FILE_MOVES_ALONE | (read_only ? 0 : QUIRE_FILE_WRITE),
		.refs = 1,
	};
	quire_object_get(&p->segment[number]);
	return file;
}

int64_t segments_attach(struct player *p, struct quire_mm *mm, uint64_t number, uint64_t addr, uint64_t flags)
{
	uint32_t prot = QUIRE_PROT_READ, map = QUIRE_MAP_SHARED;
	struct quire_file *file;
	int64_t result;

	if (number >= STEP_NR_SEGMENTS)
		return -EINVAL;
	if (addr) {
		if (addr % PAGE && !(flags & SHM_RND))
			return -EINVAL;
		if (addr < PAGE && (flags & SHM_REMAP))
			return -EINVAL;
		addr &= ~(PAGE - 1);
		map |= QUIRE_MAP_FIXED;
	} else if (flags & SHM_REMAP) {
		return -EINVAL;
	}
	if (!(flags & SHM_RDONLY))
		prot |= QUIRE_PROT_WRITE;
	if (flags & SHM_EXEC)
		prot |= QUIRE_PROT_EXEC;
	if (addr && !(flags & SHM_REMAP) &&
	    (addr + SEGMENT_BYTES < addr || quire_index_intersection(&mm->index, addr, addr + SEGMENT_BYTES)))
		return -EINVAL;
	file = open_segment(p, number, flags & SHM_RDONLY);
	result = quire_mmap(mm, addr, SEGMENT_BYTES, prot, map, file, 0);
	quire_file_put(p->q, file);
	return result;
}

static bool is_piece(const struct quire_vma *vma, uint64_t addr)
{
	return segments_is(vma) && (vma->start - addr) / PAGE == vma->pgoff;
}

/* Every piece of the attachment that began at addr, whatever holes were made in it. What cannot be unmapped stays. */
int64_t segments_detach(struct quire_mm *mm, uint64_t addr)
{
	struct quire_vma *vma;
	struct quire_file *file;
	uint64_t next;

	if (addr % PAGE)
		return -EINVAL;
	for (vma = quire_find_vma(mm, addr); vma && !is_piece(vma, addr); vma = quire_find_vma(mm, vma->end))
		;
	if (!vma)
		return -EINVAL;
	file = vma->file;
	quire_file_get(file);
	next = vma->end;
	(void)quire_munmap(mm, vma->start, vma->end - vma->start);
	while ((vma = quire_find_vma(mm, next)) && vma->end - addr <= SEGMENT_BYTES) {
		next = vma->end;
		if (is_piece(vma, addr) && vma->file == file)
			(void)quire_munmap(mm, vma->start, vma->end - vma->start);
	}
	quire_file_put(mm->q, file);
	return 0;
}
