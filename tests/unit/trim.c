/* SPDX-License-Identifier: MIT */
/*
 * Tables that a writer has reserved, and faults that fail beside them. A failing fault takes away the
 * empty tables that it made; one of these may be the very table in which a writer is about to put
 * entries, and then it must stay.
 *
 *	one leaf table          |--area--|            |D|      every access to D fails: SIGBUS
 *	writer                  reserves the table ............ fills it
 *	fault at D                          makes it, fails, takes it away?
 */
#include "space.h"

#ifdef QUIRE_TSAN
#define ROUNDS 500u
#else
#define ROUNDS 4000u
#endif
#define AREA BASE
#define DRIVER (BASE + 256 * PAGE)
#define ELSEWHERE (BASE + PAGE / 4 * PAGE) /* two leaf tables on, or one where those are larger */

static int refuse(struct quire_vmf *vmf)
{
	(void)vmf;
	return -QUIRE_EFAULT;
}

static const struct quire_vm_ops refusing_ops = {.fault = refuse};

struct race {
	struct machine *m;
	uint32_t stop;
	unsigned wrong; /* what the writer found not to be as it should */
	void (*round)(struct race *race);
};

static void fail_or_write(struct machine *m, unsigned cpu, void *arg)
{
	struct race *race = arg;
	struct quire_signal sig;
	char byte;

	machine_switch(m, &space.mm->pt);
	if (cpu == 0) {
		for (unsigned i = 0; i < ROUNDS; i++)
			race->round(race);
		__atomic_store_n(&race->stop, 1, __ATOMIC_RELEASE);
	} else {
		while (!__atomic_load_n(&race->stop, __ATOMIC_ACQUIRE))
			(void)machine_load(m, DRIVER, &byte, 1, &sig);
	}
	machine_switch(m, NULL);
}

static void race_with(void (*round)(struct race *race))
{
	struct race race = {.m = space.m, .round = round};

	put_driver(space.mm, DRIVER, 1, VM_RW, &refusing_ops, NULL);
	machine_switch(space.m, NULL);
	machine_run_cpus(space.m, 2, fail_or_write, &race);
	run_in(space.mm);
	assert_int_equal(race.wrong, 0);
	assert_bus(QUIRE_ACCESS_READ, DRIVER);
}

static int64_t map(uint64_t addr)
{
	return quire_mmap(space.mm, addr, 4 * PAGE, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
			  QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED, NULL, 0);
}

/* Every page of the area is a guard when the call has returned. */
static void install_guards(struct race *race)
{
	struct quire_signal sig;
	char byte;

	race->wrong += map(AREA) != (int64_t)AREA;
	race->wrong += quire_madvise(space.mm, AREA, 4 * PAGE, QUIRE_MADV_GUARD_INSTALL) != 0;
	for (unsigned i = 0; i < 4; i++)
		race->wrong +=
			machine_load(race->m, AREA + i * PAGE, &byte, 1, &sig) != -QUIRE_EFAULT ||
			sig.signo != QUIRE_SIGSEGV;
	race->wrong += quire_munmap(space.mm, AREA, 4 * PAGE) != 0;
}

static void test_guards_are_set_while_a_fault_fails_beside_them(void **state)
{
	(void)state;
	race_with(install_guards);
}

/* What was stored before the move is there after it. */
static void move_there(struct race *race)
{
	unsigned char byte = 7;
	struct quire_signal sig;

	race->wrong += map(ELSEWHERE) != (int64_t)ELSEWHERE;
	race->wrong += machine_store(race->m, ELSEWHERE + PAGE, &byte, 1, &sig) != 0;
	race->wrong +=
		quire_mremap(space.mm, ELSEWHERE, 4 * PAGE, 4 * PAGE,
			     QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, AREA) != (int64_t)AREA;
	byte = 0;
	race->wrong += machine_load(race->m, AREA + PAGE, &byte, 1, &sig) != 0 || byte != 7;
	race->wrong += quire_munmap(space.mm, AREA, 4 * PAGE) != 0;
}

static void test_pages_move_while_a_fault_fails_beside_them(void **state)
{
	(void)state;
	race_with(move_there);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		space_test_two_cpus(test_guards_are_set_while_a_fault_fails_beside_them),
		space_test_two_cpus(test_pages_move_while_a_fault_fails_beside_them),
	};

	return cmocka_run_group_tests_name("trim", tests, NULL, NULL);
}
