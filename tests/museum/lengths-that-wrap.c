/* SPDX-License-Identifier: MIT */
/*
 * A length, an end or a page number that wraps around, or is nothing.
 *
 * CVE-2003-0985: mremap() to a new length of 0 made an area of no bytes, which nothing in Linux
 * 2.4 was prepared for; it was enough to become root. CVE-2003-0961: brk() did not ask whether the
 * heap ended in the kernel. CVE-2011-2496: a mapping grown until its page numbers wrapped stopped the
 * kernel at an assertion of its own. CVE-2018-7740: the same for a page number given to
 * remap_file_pages() of a huge-page file.
 */
#include "museum.h"

#define LAST_PAGE (UINT64_MAX & ~(PAGE - 1))

static void nothing_is_no_length(void **state)
{
	(void)state;
	map_at(0, 4, "rw");
	must(quire_mremap(space.mm, P(0), PAGE, 0, 0, 0) == -QUIRE_EINVAL,
	     "mremap took nothing for a new length");
	must(quire_mremap(space.mm, P(0), PAGE, 0, QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED,
			  P(8)) == -QUIRE_EINVAL,
	     "mremap took nothing for a new length");
	must(quire_mremap(space.mm, P(0), 0, PAGE, QUIRE_MREMAP_MAYMOVE, 0) == -QUIRE_EINVAL,
	     "mremap doubled private memory");
	assert_int_equal(quire_mmap(space.mm, 0, 0, RW, ANON, NULL, 0), -QUIRE_EINVAL);
	assert_int_equal(quire_munmap(space.mm, P(0), 0), -QUIRE_EINVAL);
	assert_picture("0-4 rw-p");
}

static void what_rounds_up_to_nothing_is_refused(void **state)
{
	(void)state;
	map_at(0, 4, "rw");
	must(quire_mmap(space.mm, 0, UINT64_MAX, RW, ANON, NULL, 0) < 0,
	     "mmap took a length that rounds up to nothing");
	must(quire_munmap(space.mm, P(0), UINT64_MAX) == -QUIRE_EINVAL, "munmap went all the way round");
	must(quire_munmap(space.mm, P(0), LAST_PAGE) == -QUIRE_EINVAL, "munmap went all the way round");
	must(quire_mprotect(space.mm, P(0), LAST_PAGE, 0) == -QUIRE_ENOMEM,
	     "mprotect went all the way round");
	must(quire_madvise(space.mm, P(0), LAST_PAGE, QUIRE_MADV_DONTNEED) == -QUIRE_EINVAL,
	     "madvise went all the way round");
	must(quire_mremap(space.mm, P(0), LAST_PAGE, PAGE, 0, 0) < 0, "mremap went all the way round");
	must(quire_mremap(space.mm, P(0), PAGE, LAST_PAGE, QUIRE_MREMAP_MAYMOVE, 0) < 0,
	     "mremap went all the way round");
	assert_picture("0-4 rw-p");
}

static void page_numbers_do_not_wrap(void **state)
{
	(void)state;
	put_file(space.mm, P(0), 2, VM_RW, &disk->file, UINT64_MAX - 1);
	must(quire_mremap(space.mm, P(0), 2 * PAGE, 4 * PAGE, QUIRE_MREMAP_MAYMOVE, 0) ==
		     -QUIRE_EINVAL,
	     "a mapping grew until its page numbers wrapped");
	must(quire_mmap(space.mm, 0, 2 * PAGE, RW, QUIRE_MAP_SHARED, &disk->file,
			QUIRE_OBJECT_MAX_SIZE & ~(PAGE - 1)) == -QUIRE_EOVERFLOW,
	     "a mapping began where no file can be");
	must(quire_mmap(space.mm, 0, 2 * PAGE, RW, QUIRE_MAP_SHARED, &disk->file, LAST_PAGE) ==
		     -QUIRE_EOVERFLOW,
	     "a mapping began where no file can be");
}

static void a_heap_ends_below_the_kernel(void **state)
{
	uint64_t brk = space.mm->layout.task_size - 4 * PAGE;

	(void)state;
	space.mm->layout.start_brk = brk;
	space.mm->layout.brk = brk;
	assert_int_equal(quire_brk(space.mm, brk + PAGE), brk + PAGE);
	brk += PAGE;
	must(quire_brk(space.mm, space.mm->layout.task_size + PAGE) == brk,
	     "a heap ends beyond the program's memory");
	must(quire_brk(space.mm, UINT64_MAX) == brk, "a heap ends beyond the program's memory");
	must(quire_brk(space.mm, LAST_PAGE) == brk, "a heap ends beyond the program's memory");
}

museum_main(exhibit(nothing_is_no_length), exhibit(what_rounds_up_to_nothing_is_refused),
	    exhibit(page_numbers_do_not_wrap), exhibit(a_heap_ends_below_the_kernel))
