/* SPDX-License-Identifier: MIT */
/*
 * A private mapping is written to behind its back, and the write reaches the file.
 *
 * CVE-2016-5195, "Dirty COW" (Linux 2.6.22 to 4.8). A debugger may write to memory that the program
 * itself may only read: its page is copied first. Linux did so in two steps, fault and look again,
 * and after the fault it dropped the wish to write, since the entry would never be writable. A
 * MADV_DONTNEED in between threw the copy away; the second look found the file's own page, good
 * enough for who only wants to read, and the write went there. CVE-2017-1000405 was the same with
 * the page of zeroes: the repair took a modified entry as proof of a copy, and an entry can be marked
 * modified without one.
 */
#include "museum.h"

static const char text[] = "written";

static void drops_the_copy(void)
{
	if (quire_madvise(space.mm, P(0), PAGE, QUIRE_MADV_DONTNEED))
		caught("madvise");
}

static void assert_file_unchanged(void)
{
	unsigned char bytes[sizeof(text)];

	assert_int_equal(quire_object_read(&disk->object, 0, bytes, sizeof(bytes)), sizeof(bytes));
	for (unsigned i = 0; i < sizeof(bytes); i++)
		must(bytes[i] == disk_byte(i), "a write to a private mapping reached the file");
}

static void a_forced_write_goes_to_a_copy(void **state)
{
	(void)state;
	map_file(0, 1, QUIRE_PROT_READ, QUIRE_MAP_PRIVATE, 0);
	(void)get(P(0));
	at(SERVED, 0, drops_the_copy);
	assert_int_equal(quire_access_process_vm(space.mm, P(0), (void *)(uintptr_t)text, sizeof(text),
						 QUIRE_ACCESS_WRITE | QUIRE_ACCESS_FORCE),
			 sizeof(text));
	must(came(SERVED), "the write needed no fault");
	assert_file_unchanged();
	assert_int_equal(get(P(0)), 'w');
}

static void a_forced_write_leaves_the_page_of_zeroes_alone(void **state)
{
	(void)state;
	map_at(0, 2, "r");
	(void)get(P(0));
	(void)get(P(1));
	at(SERVED, 0, drops_the_copy);
	assert_int_equal(quire_access_process_vm(space.mm, P(0), (void *)(uintptr_t)text, sizeof(text),
						 QUIRE_ACCESS_WRITE | QUIRE_ACCESS_FORCE),
			 sizeof(text));
	must(get(P(1)) == 0, "the page of zeroes was written to");
}

/* Modified, and yet not the writer's alone. */
static void a_forced_write_is_not_the_childs(void **state)
{
	struct quire_mm *child;

	(void)state;
	map_at(0, 1, "rw");
	set(P(0), 1);
	assert_int_equal(protect_at(0, 1, "r"), 0);
	child = fork_space(space.mm);
	assert_int_equal(quire_access_process_vm(space.mm, P(0), (void *)(uintptr_t)text, sizeof(text),
						 QUIRE_ACCESS_WRITE | QUIRE_ACCESS_FORCE),
			 sizeof(text));
	run_in(child);
	must(get(P(0)) == 1, "a write to a private page is seen by another process");
	put_space(child);
}

museum_main(exhibit(a_forced_write_goes_to_a_copy),
	    exhibit(a_forced_write_leaves_the_page_of_zeroes_alone),
	    exhibit(a_forced_write_is_not_the_childs))
