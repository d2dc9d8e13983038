/* SPDX-License-Identifier: MIT */
/*
 * A right that mmap() refuses is had afterwards by mprotect().
 *
 * CVE-2006-2071 (Linux until 2.6.16): a SysV segment attached read-only could be made writable, since
 * nobody had written down that it may not. The same was found for files on filesystems mounted
 * noexec, for memfds sealed against writing (2018: the seal looked at VM_WRITE, not at
 * VM_MAYWRITE), and for what mremap() and remap_file_pages() made of a mapping's flags.
 */
#include "museum.h"

static void a_file_opened_for_reading_stays_read_only(void **state)
{
	(void)state;
	disk->file.flags &= ~QUIRE_FILE_WRITE;
	map_file(0, 2, QUIRE_PROT_READ, QUIRE_MAP_SHARED, 0);
	must(protect_at(0, 1, "rw") == -QUIRE_EACCES, "mprotect gave a right that mmap refuses");
	assert_int_equal(quire_mremap(space.mm, P(0), PAGE, PAGE,
				      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, P(8)),
			 P(8));
	must(protect_at(8, 1, "rw") == -QUIRE_EACCES, "mprotect gave a right that mmap refuses");
	disk->file.flags |= QUIRE_FILE_WRITE;
}

static void what_must_not_be_executed_is_not(void **state)
{
	(void)state;
	disk->file.flags |= QUIRE_FILE_NOEXEC;
	map_file(0, 1, QUIRE_PROT_READ, QUIRE_MAP_PRIVATE, 0);
	must(protect_at(0, 1, "rx") == -QUIRE_EACCES, "mprotect gave a right that mmap refuses");
}

static void a_seal_holds(void **state)
{
	(void)state;
	disk->file.flags |= QUIRE_FILE_SEAL_WRITE;
	map_file(0, 1, QUIRE_PROT_READ, QUIRE_MAP_SHARED, 0);
	must(protect_at(0, 1, "rw") == -QUIRE_EACCES, "mprotect gave a right that mmap refuses");
}

/* Not even a debugger's write gets there: that would be a copy, and of shared memory there is none. */
static void shared_memory_is_not_written_by_force(void **state)
{
	unsigned char byte = 1;

	(void)state;
	map_file(0, 1, QUIRE_PROT_READ, QUIRE_MAP_SHARED, 0);
	must(quire_access_process_vm(space.mm, P(0), &byte, 1,
				     QUIRE_ACCESS_WRITE | QUIRE_ACCESS_FORCE) == 0 &&
		     get(P(0)) == disk_byte(0),
	     "a write was forced on shared memory");
}

museum_main(exhibit(a_file_opened_for_reading_stays_read_only),
	    exhibit(what_must_not_be_executed_is_not), exhibit(a_seal_holds),
	    exhibit(shared_memory_is_not_written_by_force))
