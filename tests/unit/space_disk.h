/* SPDX-License-Identifier: MIT */
/*
 * A space and a disk with one file for each test: for verbs that are put to files too. Included by
 * tests of verbs; one test program is one file.
 */
#ifndef QUIRE_TESTS_SPACE_DISK_H
#define QUIRE_TESTS_SPACE_DISK_H

#include "snapshot.h"

static struct disk *disk;

static inline int space_disk_setup(void **state, unsigned cpus, uint64_t file_pages)
{
	if (space_setup_cpus(state, cpus))
		return -1;
	disk = disk_new(space.q, file_pages * PAGE);
	return disk ? 0 : -1;
}

/* The file's object goes before the machine is asked whether anything is left. */
static inline int space_disk_teardown(void **state)
{
	(void)state;
	check_space(space.mm);
	machine_switch(space.m, NULL);
	quire_mmput(space.mm);
	quire_grace_wait(space.q);
	assert_null(disk_delete(disk));
	return machine_destroy(space.m) ? -1 : 0;
}

#endif
