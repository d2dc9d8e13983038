/* SPDX-License-Identifier: MIT */
/*
 * One million areas in one space: placed, found, cut out and joined again. Small answers in a large
 * space; how fast is for bench/.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <machine.h>

#define AREAS 1000000u
#define ANON (QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS)

static struct machine *machine;
static struct quire *q;
static struct quire_mm *mm;

static int set_up(void **state)
{
	const struct machine_config config = { .ram_bytes = UINT64_C(2) << 30 };
	struct quire_layout layout;

	(void)state;
	if (machine_create(&config, &machine))
		return -1;
	q = machine_quire(machine);
	q->mms.sysctl.max_map_count = AREAS;
	quire_layout_init(&layout, q->fmt, false, false, 8 << 20, 0);
	return quire_mm_create(q, &layout, &mm);
}

static int tear_down(void **state)
{
	(void)state;
	quire_mmput(mm);
	return machine_destroy(machine) ? -1 : 0;
}

/* Neighbours differ in rights, so nothing merges; each lies right below the one before, as top-down placement has it. */
static void a_million_areas_lie_side_by_side(void **state)
{
	quire_uaddr_t expected = mm->layout.mmap_base;
	unsigned i;

	(void)state;
	for (i = 0; i < AREAS; i++) {
		expected -= QUIRE_PAGE_SIZE;
		assert_int_equal(quire_mmap(mm, 0, QUIRE_PAGE_SIZE, i % 2 ? QUIRE_PROT_READ : QUIRE_PROT_NONE, ANON,
					    NULL, 0), expected);
	}
	assert_int_equal(mm->index.count, AREAS);
	assert_int_equal(mm->total_vm, AREAS);
	assert_null(quire_mm_check(mm));
	/* Linux refuses the call that would exceed vm.max_map_count by more than one. */
	assert_int_equal(quire_mmap(mm, 0, QUIRE_PAGE_SIZE, QUIRE_PROT_READ | QUIRE_PROT_EXEC, ANON, NULL, 0),
			 expected - QUIRE_PAGE_SIZE);
	assert_int_equal(quire_mmap(mm, 0, QUIRE_PAGE_SIZE, QUIRE_PROT_EXEC, ANON, NULL, 0), -QUIRE_ENOMEM);
	assert_int_equal(quire_munmap(mm, expected - QUIRE_PAGE_SIZE, QUIRE_PAGE_SIZE), 0);
}

static void each_of_them_is_found(void **state)
{
	const quire_uaddr_t top = mm->layout.mmap_base;
	unsigned i;

	(void)state;
	for (i = 0; i < AREAS; i += 7) {
		quire_uaddr_t addr = top - (i + 1) * QUIRE_PAGE_SIZE;
		struct quire_vma *vma;

		quire_grace_enter(q);
		vma = quire_find_vma(mm, addr + 1);
		assert_non_null(vma);
		assert_int_equal(vma->start, addr);
		assert_int_equal(vma->flags & QUIRE_VM_READ, i % 2 ? QUIRE_VM_READ : 0);
		quire_grace_leave(q);
	}
}

/*
 *	areas    |r|-|r|-|r|-|        every second one goes ...
 *	munmap   |r| |r| |r| |        ... then the rest takes its rights, and the gaps are filled: one area
 */
static void holes_are_cut_and_filled(void **state)
{
	const quire_uaddr_t top = mm->layout.mmap_base, bottom = top - AREAS * QUIRE_PAGE_SIZE;
	unsigned i;

	(void)state;
	for (i = 0; i < AREAS; i += 2)
		assert_int_equal(quire_munmap(mm, top - (i + 1) * QUIRE_PAGE_SIZE, QUIRE_PAGE_SIZE), 0);
	assert_int_equal(mm->index.count, AREAS / 2);
	/* The highest hole is the one that went first. */
	assert_int_equal(quire_mmap(mm, 0, QUIRE_PAGE_SIZE, QUIRE_PROT_NONE, ANON, NULL, 0), top - QUIRE_PAGE_SIZE);
	assert_int_equal(quire_munmap(mm, top - QUIRE_PAGE_SIZE, QUIRE_PAGE_SIZE), 0);
	/* No hole is two pages wide: below them all, then. */
	assert_int_equal(quire_mmap(mm, 0, 2 * QUIRE_PAGE_SIZE, QUIRE_PROT_NONE, ANON, NULL, 0),
			 bottom - 2 * QUIRE_PAGE_SIZE);
	assert_int_equal(quire_munmap(mm, bottom - 2 * QUIRE_PAGE_SIZE, 2 * QUIRE_PAGE_SIZE), 0);
	for (i = 0; i < AREAS; i += 2)
		assert_int_equal(quire_mmap(mm, 0, QUIRE_PAGE_SIZE, QUIRE_PROT_READ, ANON, NULL, 0),
				 top - (i + 1) * QUIRE_PAGE_SIZE);
	assert_int_equal(mm->index.count, 1);
	assert_int_equal(quire_find_vma(mm, 0)->start, bottom);
	assert_int_equal(quire_find_vma(mm, 0)->end, top);
	assert_null(quire_mm_check(mm));
	assert_int_equal(quire_munmap(mm, bottom, AREAS * QUIRE_PAGE_SIZE), 0);
	assert_int_equal(mm->index.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_million_areas_lie_side_by_side),
		cmocka_unit_test(each_of_them_is_found),
		cmocka_unit_test(holes_are_cut_and_filled),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
