/* SPDX-License-Identifier: MIT */
/*
 * vmalloc: areas, where they are put, what is behind them, and what comes of freeing what is not one. Through real pointers,
 * on every format. The pictures show pages; g is a guard.
 */
#include "vmalloc_world.h"

/* ---- Where areas are put ----------------------------------------------------------------- */

static quire_kaddr_t at(uint64_t page)
{
	return w.layout.vmalloc_start + page * PAGE;
}

/*
 *	page  0 1 2 3 4 5 6 7 8 9
 *	      A g B B B g C g
 *	free B          `- from 2: four pages
 *	one page goes to 2, four with its guard to 8, two with its guard to ... 4? no: 4 and 5 and no guard
 */
static void the_lowest_hole_that_fits_is_taken(void **state)
{
	struct quire_vm_struct *a, *b, *c, *d, *e, *f;

	(void)state;
	a = quire_get_vm_area(w.q, PAGE, 0);
	b = quire_get_vm_area(w.q, 2 * PAGE + 1, 0);
	c = quire_get_vm_area(w.q, 1, 0);
	assert_int_equal(a->addr, at(0));
	assert_int_equal(a->size, 2 * PAGE);
	assert_int_equal(b->addr, at(2));
	assert_int_equal(b->size, 4 * PAGE);
	assert_int_equal(c->addr, at(6));
	check();
	quire_free_vm_area(w.q, b);
	check();
	d = quire_get_vm_area(w.q, 4 * PAGE, 0); /* does not fit with its guard */
	assert_int_equal(d->addr, at(8));
	e = quire_get_vm_area(w.q, PAGE, 0);
	assert_int_equal(e->addr, at(2));
	f = quire_get_vm_area(w.q, 2 * PAGE, QUIRE_VM_NO_GUARD);
	assert_int_equal(f->addr, at(4));
	assert_int_equal(f->size, 2 * PAGE);
	check();
	assert_int_equal(w.q->vmalloc.nr_areas, 5);
	quire_free_vm_area(w.q, a);
	quire_free_vm_area(w.q, c);
	quire_free_vm_area(w.q, d);
	quire_free_vm_area(w.q, e);
	quire_free_vm_area(w.q, f);
	check();
	assert_int_equal(w.q->vmalloc.nr_areas, 0);
}

/*
 *	page  0 1..7 8 9..17 18 19..31 32
 *	      A      B       C         D        free: 7, 9 and 13 pages
 *
 * Eight pages aligned to eight: too many for the first hole, in the second 16 is too late, in the third there is 24.
 */
static void alignment_passes_over_holes_that_only_look_large_enough(void **state)
{
	const uint64_t size[] = {1, 7, 1, 9, 1, 13, 1};
	struct quire_vm_struct *area[7], *before = NULL, *got;

	(void)state;
	area[0] = quire_get_vm_area_caller(w.q, PAGE, 64 * PAGE, QUIRE_VM_NO_GUARD, NULL);
	assert_int_equal(area[0]->addr % (64 * PAGE), 0);
	assert_true(area[0]->addr - w.layout.vmalloc_start < 64 * PAGE);
	if (area[0]->addr != w.layout.vmalloc_start)
		before = quire_get_vm_area(w.q, area[0]->addr - w.layout.vmalloc_start,
					   QUIRE_VM_NO_GUARD);
	for (size_t i = 1; i < 7; i++) {
		area[i] = quire_get_vm_area(w.q, size[i] * PAGE, QUIRE_VM_NO_GUARD);
		assert_int_equal(area[i]->addr, area[i - 1]->addr + area[i - 1]->size);
	}
	for (size_t i = 1; i < 7; i += 2)
		quire_free_vm_area(w.q, area[i]);
	got = quire_get_vm_area_caller(w.q, 8 * PAGE, 8 * PAGE, QUIRE_VM_NO_GUARD, NULL);
	assert_int_equal(got->addr, area[0]->addr + 24 * PAGE);
	check();
	quire_free_vm_area(w.q, got);
	for (size_t i = 0; i < 7; i += 2)
		quire_free_vm_area(w.q, area[i]);
	if (before)
		quire_free_vm_area(w.q, before);
	check();
}

static void what_cannot_be_an_area_is_refused(void **state)
{
	const uint64_t all = w.layout.vmalloc_end - w.layout.vmalloc_start;

	(void)state;
	assert_null(quire_get_vm_area(w.q, 0, 0));
	assert_null(quire_get_vm_area(w.q, all, 0)); /* and a guard */
	assert_null(quire_get_vm_area(w.q, all + 1, QUIRE_VM_NO_GUARD));
	assert_null(quire_get_vm_area(w.q, UINT64_MAX, 0));
	assert_null(quire_get_vm_area(w.q, UINT64_MAX - PAGE + 1, QUIRE_VM_NO_GUARD));
	assert_null(quire_get_vm_area_caller(w.q, PAGE, 3 * PAGE, 0, NULL));
	assert_null(quire_get_vm_area_caller(w.q, PAGE, UINT64_C(1) << 63, 0, NULL));
	assert_null(quire_get_vm_area(w.q, PAGE, QUIRE_VM_ALLOC));
	assert_null(quire_get_vm_area(w.q, PAGE, QUIRE_VM_UNPURGED));
	assert_null(w.q->vmalloc.root);
	check();
}

static void all_of_it_can_be_one_area(void **state)
{
	const uint64_t all = w.layout.vmalloc_end - w.layout.vmalloc_start;
	struct quire_vm_struct *area = quire_get_vm_area(w.q, all - PAGE, 0);

	(void)state;
	assert_int_equal(area->addr, w.layout.vmalloc_start);
	assert_null(quire_get_vm_area(w.q, 1, QUIRE_VM_NO_GUARD));
	assert_ptr_equal(quire_find_vm_area(w.q, w.layout.vmalloc_end - 1), area);
	check();
	quire_free_vm_area(w.q, area);
	area = quire_get_vm_area(w.q, all, QUIRE_VM_NO_GUARD);
	assert_int_equal(area->size, all);
	quire_free_vm_area(w.q, area);
}

static void an_area_is_found_by_any_address_in_it(void **state)
{
	struct quire_vm_struct *a = quire_get_vm_area(w.q, 2 * PAGE, 0), *copy;
	struct quire_vm_struct shown;

	(void)state;
	assert_ptr_equal(quire_find_vm_area(w.q, a->addr), a);
	assert_ptr_equal(quire_find_vm_area(w.q, a->addr + 3 * PAGE - 1), a);
	assert_null(quire_find_vm_area(w.q, a->addr + 3 * PAGE));
	assert_null(quire_find_vm_area(w.q, a->addr - 1));
	assert_true(quire_next_vm_area(w.q, 0, &shown));
	assert_int_equal(shown.addr, a->addr);
	assert_false(quire_next_vm_area(w.q, a->addr + 3 * PAGE, &shown));
	assert_null(quire_remove_vm_area(w.q, a->addr + PAGE));
	copy = quire_remove_vm_area(w.q, a->addr);
	assert_ptr_equal(copy, a);
	assert_null(quire_find_vm_area(w.q, copy->addr));
	check();
	quire_free_vm_area(w.q, copy);
}

/*
 * A space with many areas, random ones freed and others taken: each lies where a byte a page says that the lowest
 * hole is, and all descriptors together have the slabs that they need.
 */
#ifdef QUIRE_TSAN
#define MANY 2000u /* it looks at each byte that the model does, and there is one thread */
#else
#define MANY 100000u
#endif
#define MOST_PAGES 400000u

static unsigned char taken[MOST_PAGES];
static struct quire_vm_struct *many[MANY];

static uint64_t below(uint64_t n)
{
	static uint64_t random = 1234567;

	random ^= random << 13;
	random ^= random >> 7;
	random ^= random << 17;
	return random % n;
}

static void take_where_it_fits(size_t i, uint64_t pages)
{
	const unsigned char *hole = taken, *used;

	while ((used = memchr(hole, 1, pages + 1)))
		hole = memchr(used, 0, (size_t)(taken + MOST_PAGES - used));
	many[i] = quire_get_vm_area(w.q, pages * PAGE, 0);
	assert_non_null(many[i]);
	assert_int_equal(many[i]->addr, at((uint64_t)(hole - taken)));
	memset(taken + (hole - taken), 1, pages + 1);
}

static void give_back(size_t i)
{
	memset(taken + (many[i]->addr - w.layout.vmalloc_start) / PAGE, 0, many[i]->size / PAGE);
	quire_free_vm_area(w.q, many[i]);
}

static void many_areas_keep_first_fit_and_cost_little(void **state)
{
	const struct quire_cache *cache = &w.q->vmalloc.cache;
	struct quire_cache_stat stat;
	uint64_t bytes;

	(void)state;
	memset(taken, 0, sizeof(taken));
	/* 32 bits have room for as many if all are small. */
	for (size_t i = 0; i < MANY; i++)
		take_where_it_fits(i, 1);
	for (size_t n = 0; n < MANY; n++) {
		size_t i = below(MANY);

		give_back(i);
		take_where_it_fits(i, below(8) ? 1 : 1 + below(3));
	}
	assert_int_equal(w.q->vmalloc.nr_areas, MANY);
	check();
	quire_cache_stat(w.q, &w.q->vmalloc.cache, &stat);
	bytes = stat.total_slabs * (PAGE << cache->order);
	assert_int_equal(stat.active_objects, MANY);
	assert_true(bytes < MANY * 128ull);
	for (size_t i = 0; i < MANY; i++)
		give_back(i);
	check();
}

/* ---- Memory ------------------------------------------------------------------------------ */

/* Each page is other memory, and what is behind the last one is nobody's. */
static void vmalloc_gives_memory_and_a_guard(void **state)
{
	const uint64_t pages[] = {1, 2, 17, 300};
	char *got[4];

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		got[i] = quire_vmalloc(w.q, pages[i] * PAGE);
		assert_non_null(got[i]);
		assert_true(quire_is_vmalloc_addr(w.q, got[i]));
		memset(got[i], (int)i + 1, pages[i] * PAGE);
		assert_true(faults(got[i] + pages[i] * PAGE));
		assert_int_equal(machine_probe_write(w.m, got[i] + pages[i] * PAGE, "x", 1),
				 -QUIRE_EFAULT);
		assert_int_equal(machine_probe_exec(w.m, got[i]), w.fmt == &quire_pgfmt_i386 ? 0 : -QUIRE_EFAULT);
		check();
	}
	assert_int_equal(w.q->vmalloc.nr_pages, 1 + 2 + 17 + 300);
	for (size_t i = 0; i < 4; i++) {
		for (uint64_t n = 0; n < pages[i]; n++) {
			struct quire_page *page = quire_vmalloc_to_page(w.q, got[i] + n * PAGE + 5);
			unsigned char *bytes = quire_page_kmap(w.q, page);

			assert_int_equal(bytes[0], i + 1);
			assert_int_equal(bytes[PAGE - 1], i + 1);
			quire_page_kunmap(w.q, bytes);
			assert_int_equal(quire_vmalloc_to_pfn(w.q, got[i] + n * PAGE),
					 quire_page_to_pfn(w.q, page));
		}
		assert_null(quire_vmalloc_to_page(w.q, got[i] + pages[i] * PAGE));
	}
	for (size_t i = 0; i < 4; i++) {
		quire_vfree(w.q, got[i]);
		check();
	}
	assert_int_equal(w.q->vmalloc.nr_pages, 0);
	quire_vfree(w.q, NULL);
	quire_vm_unmap_aliases(w.q);
	for (size_t i = 0; i < 4; i++)
		assert_true(faults(got[i]));
	check();
}

static void sizes_that_cannot_be_are_null(void **state)
{
	(void)state;
	assert_null(quire_vmalloc(w.q, 0));
	assert_null(quire_vmalloc(w.q, UINT64_MAX));
	assert_null(quire_vmalloc(w.q, RAM + PAGE));
	assert_null(quire_vmalloc(w.q, RAM)); /* nearly: part of it is in use */
	assert_null(quire_vmalloc_caller(w.q, PAGE, 3, 0, RW, 0, -1, NULL));
	assert_null(quire_vmalloc_caller(w.q, PAGE, 0, 0, QUIRE_PTE_WRITE, 0, -1, NULL));
	assert_null(quire_vmalloc_caller(w.q, PAGE, 0, 0, RW | QUIRE_PTE_EXEC, 0, -1, NULL));
	assert_null(quire_vmalloc_caller(w.q, PAGE, 0, 0, RW | QUIRE_PTE_USER, 0, -1, NULL));
	assert_null(quire_vmalloc_caller(w.q, PAGE, 0, 0, RW, QUIRE_VM_IOREMAP, -1, NULL));
	assert_null(quire_vmalloc_node(w.q, PAGE, 1));
	assert_null(quire_vzalloc(w.q, 0));
	assert_null(quire_vmalloc_user(w.q, UINT64_MAX - PAGE));
	assert_null(quire_vmalloc_32(w.q, UINT64_C(1) << 63));
	assert_null(quire_vmalloc_exec(w.q, 0));
	assert_null(quire_vzalloc_node(w.q, 0, 0));
	check();
	assert_null(w.q->vmalloc.root);
}

/* More than a page of pointers: the array is an area of its own, and goes with the first. */
static void the_array_of_pages_is_an_area_where_it_is_large(void **state)
{
	/* 10,400 bytes of pointers: three pages; of larger ones, two */
	const uint64_t pages = QUIRE_PAGE_SHIFT > 12 ? PAGE / 8 + 276 : 1300, arrays = QUIRE_PAGE_SHIFT > 12 ? 2 : 3;
	struct quire_vm_struct *area;
	char *got = quire_vmalloc(w.q, pages * PAGE);

	(void)state;
	assert_non_null(got);
	area = quire_find_vm_area(w.q, kaddr(got));
	assert_int_equal(area->nr_pages, pages);
	assert_true(quire_is_vmalloc_addr(w.q, area->pages));
	assert_int_equal(quire_find_vm_area(w.q, kaddr(area->pages))->nr_pages, arrays);
	assert_int_equal(w.q->vmalloc.nr_areas, 2);
	for (uint64_t i = 0; i < pages; i++)
		got[i * PAGE] = (char)i;
	for (uint64_t i = 0; i < pages; i++)
		assert_int_equal(got[i * PAGE], (char)i);
	check();
	quire_vfree(w.q, got);
	check();
	assert_int_equal(w.q->vmalloc.nr_areas, 0);
	quire_vm_unmap_aliases(w.q);
	assert_null(w.q->vmalloc.root);
}

static bool is_zero(const char *bytes, uint64_t len)
{
	for (uint64_t i = 0; i < len; i++)
		if (bytes[i])
			return false;
	return true;
}

static void what_is_zeroed_is_zero(void **state)
{
	void *(*const zeroed[])(struct quire * q, uint64_t size) = {
		quire_vzalloc, quire_vmalloc_user, quire_vmalloc_32_user};
	char *dirty, *got;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		dirty = quire_vmalloc(w.q, 8 * MIB);
		assert_non_null(dirty);
		memset(dirty, 0xff, 8 * MIB);
		quire_vfree(w.q, dirty);
		quire_vm_unmap_aliases(w.q);
		got = zeroed[i](w.q, 8 * MIB);
		assert_non_null(got);
		assert_true(is_zero(got, 8 * MIB));
		assert_int_equal(quire_find_vm_area(w.q, kaddr(got))->flags & QUIRE_VM_USERMAP,
				 i ? QUIRE_VM_USERMAP : 0);
		check();
		quire_vfree(w.q, got);
	}
}

/* Pages from high memory by default; vmalloc_32's are from where 32 bits reach, and below it. */
static void pages_are_from_high_memory_where_there_is_any(void **state)
{
	char *any = quire_vmalloc(w.q, 4 * PAGE), *low = quire_vmalloc_32(w.q, 4 * PAGE);
	const bool high = w.fmt->va_bits == 32;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(quire_page_is_high(quire_vmalloc_to_page(w.q, any + i * PAGE)),
				 high);
		assert_false(quire_page_is_high(quire_vmalloc_to_page(w.q, low + i * PAGE)));
		assert_true(quire_vmalloc_to_pfn(w.q, low + i * PAGE) < (UINT64_C(4) << 30) / PAGE);
	}
	quire_vfree(w.q, any);
	quire_vfree(w.q, low);
	check();
}

/* The level of the leaf there. */
static unsigned level_at(const char *ptr)
{
	unsigned level;

	quire_grace_enter(w.q);
	(void)quire_pgtable_lookup(&w.q->kva.pt, kaddr(ptr), &level);
	quire_grace_leave(w.q);
	return level;
}

/* Large leaves where the format has them below the root, the processor takes them and there are blocks of that size. */
static void large_areas_have_large_leaves(void **state)
{
	const bool can = has_large_leaves();
	char *got = quire_vmalloc(w.q, 5 * MIB);
	struct quire_page *page;

	(void)state;
	assert_non_null(got);
	assert_int_equal(level_at(got + 3 * MIB), can ? 1 : 0);
	assert_int_equal(level_at(got + 4 * MIB), 0);
	assert_int_equal(quire_find_vm_area(w.q, kaddr(got))->page_order, can ? 9 : 0);
	for (uint64_t i = 0; i < 5 * MIB; i += PAGE)
		*(uint64_t *)(void *)(got + i) = i;
	for (uint64_t i = 0; i < 5 * MIB; i += PAGE) {
		uint64_t there;

		page = quire_vmalloc_to_page(w.q, got + i);
		void *bytes = quire_page_kmap(w.q, page);

		memcpy(&there, bytes, 8);
		quire_page_kunmap(w.q, bytes);
		assert_int_equal(there, i);
	}
	check();
	quire_vfree(w.q, got);
	check();

	/* Where one has been there are small leaves next, and the reverse: their table goes. */
	w.q->vmalloc.huge = false;
	quire_vm_unmap_aliases(w.q);
	got = quire_vmalloc(w.q, 5 * MIB);
	assert_int_equal(quire_find_vm_area(w.q, kaddr(got))->page_order, 0);
	memset(got, 1, 5 * MIB);
	check();
	quire_vfree(w.q, got);
	w.q->vmalloc.huge = true;
	quire_vm_unmap_aliases(w.q);
	got = quire_vmalloc(w.q, 4 * MIB);
	memset(got, 2, 4 * MIB);
	assert_int_equal(level_at(got), can ? 1 : 0);
	check();
	quire_vfree(w.q, got);
}

/* ---- Freeing ----------------------------------------------------------------------------- */

static void what_is_freed_goes_after_one_flush_for_many(void **state)
{
	struct machine_stats before, after;
	char *got[20];

	(void)state;
	for (size_t i = 0; i < 20; i++) {
		got[i] = quire_vmalloc(w.q, 3 * PAGE);
		memset(got[i], 1, 3 * PAGE);
	}
	machine_stats(w.m, &before);
	for (size_t i = 0; i < 20; i++)
		quire_vfree(w.q, got[i]);
	machine_stats(w.m, &after);
	assert_int_equal(after.flushes, before.flushes);
	assert_int_equal(w.q->vmalloc.nr_areas, 0);
	assert_int_equal(w.q->vmalloc.nr_lazy_pages, 20 * 4);
	assert_null(quire_find_vm_area(w.q, kaddr(got[3])));
	check();
	quire_vmalloc_poll(w.q);
	machine_stats(w.m, &after);
	assert_int_equal(after.flushes, before.flushes + 1);
	assert_int_equal(w.q->vmalloc.nr_lazy_pages, 0);
	assert_null(w.q->vmalloc.root);
	check();
}

/* As many as may wait, and one more. */
static void enough_of_it_is_flushed_by_itself(void **state)
{
	char *got[9];

	(void)state;
	w.q->vmalloc.lazy_max_pages = 16;
	for (size_t i = 0; i < 9; i++)
		got[i] = quire_vmalloc(w.q, PAGE);
	for (size_t i = 0; i < 8; i++)
		quire_vfree(w.q, got[i]);
	assert_int_equal(w.q->vmalloc.purges, 0);
	quire_vfree(w.q, got[8]);
	assert_int_equal(w.q->vmalloc.purges, 1);
	assert_int_equal(w.q->vmalloc.nr_lazy_pages, 0);
	check();
}

/* The same by number, however small they are; what interrupts have set aside is not among them. */
static void many_small_ones_are_flushed_by_number(void **state)
{
	char *got[513];

	(void)state;
	assert_int_equal(w.q->vmalloc.lazy_max_areas, 512);
	w.q->vmalloc.lazy_max_pages = UINT64_MAX;
	for (size_t i = 0; i < 513; i++)
		got[i] = quire_vmalloc(w.q, PAGE);
	quire_vfree_atomic(w.q, got[0]);
	assert_int_equal(w.q->vmalloc.nr_lazy, 0);
	for (size_t i = 1; i < 512; i++)
		quire_vfree(w.q, got[i]);
	assert_int_equal(w.q->vmalloc.nr_lazy, 512);
	assert_int_equal(w.q->vmalloc.purges, 0);
	check();
	quire_vfree(w.q, got[512]);
	assert_int_equal(w.q->vmalloc.purges, 1);
	assert_int_equal(w.q->vmalloc.nr_lazy, 0);
	assert_null(w.q->vmalloc.root);
	check();
}

/* Linux's lazy_max_pages(): 32 MiB times fls(CPUs); here no more than a 16th of memory. */
static void how_much_may_wait_depends_on_memory(void **state)
{
	(void)state;
	assert_true(w.q->vmalloc.lazy_max_pages <= (RAM / PAGE) / 16);
	assert_true(w.q->vmalloc.lazy_max_pages > (RAM / PAGE) / 20);
}

/* No hole but those that wait: they are flushed and one is found. The same for memory. */
static void what_waits_is_had_before_anything_fails(void **state)
{
	const uint64_t all = w.layout.vmalloc_end - w.layout.vmalloc_start;
	char *got = quire_vmalloc(w.q, 8 * PAGE);
	struct quire_vm_struct *area;
	uint64_t half;

	(void)state;
	area = quire_get_vm_area(w.q, all - 9 * PAGE, QUIRE_VM_NO_GUARD);
	assert_non_null(area);
	quire_vfree(w.q, got);
	assert_int_equal(w.q->vmalloc.nr_lazy_pages, 9);
	got = quire_vmalloc(w.q, 8 * PAGE);
	assert_int_equal(kaddr(got), w.layout.vmalloc_start);
	check();
	quire_vfree(w.q, got);
	quire_free_vm_area(w.q, area);
	quire_vm_unmap_aliases(w.q);

	w.q->vmalloc.lazy_max_pages = UINT64_MAX;
	half = quire_free_pages(w.q) * 3 / 5;
	got = quire_vmalloc(w.q, half * PAGE);
	assert_non_null(got);
	quire_vfree(w.q, got);
	got = quire_vmalloc(w.q, half * PAGE);
	assert_non_null(got);
	quire_vfree(w.q, got);
	check();
}

static void what_is_no_area_is_not_freed(void **state)
{
	char *a = quire_vmalloc(w.q, 2 * PAGE), *b = quire_vmalloc(w.q, 2 * PAGE), *io, *mapped;
	struct quire_page *page = quire_vmalloc_to_page(w.q, b);
	struct quire_vm_struct *area = quire_get_vm_area(w.q, PAGE, 0);

	(void)state;
	machine_set_quiet(w.m, true);
	quire_vfree(w.q, a + PAGE);
	expect("vmalloc: freed inside an area");
	quire_vfree(w.q, a + 2 * PAGE); /* its guard */
	expect("vmalloc: freed inside an area");
	quire_vfree(w.q, a + 8);
	expect("vmalloc: freed inside an area");
	quire_vfree(w.q, pointer(w.layout.vmalloc_end - PAGE));
	expect("vmalloc: freed where there is no area");
	quire_vfree(w.q, quire_page_to_virt(w.q, w.q->pages.zero_page));
	expect("vmalloc: freed where there is no area");
	quire_vfree(w.q, a);
	quire_vfree(w.q, a);
	expect("vmalloc: freed twice");
	quire_vm_unmap_aliases(w.q);
	quire_vfree(w.q, a);
	expect("vmalloc: freed where there is no area");
	quire_vfree_atomic(w.q, a);
	expect("vmalloc: freed where there is no area");

	quire_vunmap(w.q, b);
	expect("vmalloc: freed by what does not go with how it was made");
	quire_iounmap(w.q, b);
	expect("vmalloc: freed by what does not go with how it was made");
	quire_vfree(w.q, pointer(area->addr));
	expect("vmalloc: freed by what does not go with how it was made");
	mapped = quire_vmap(w.q, &page, 1, 0, RW);
	quire_vfree(w.q, mapped);
	expect("vmalloc: freed by what does not go with how it was made");
	io = quire_ioremap(w.q, RAM + MIB, PAGE);
	quire_vfree(w.q, io);
	expect("vmalloc: freed by what does not go with how it was made");
	quire_vm_unmap_ram(w.q, mapped, 1);
	expect("vmalloc: vm_unmap_ram() of what vm_map_ram() has not given");
	machine_set_quiet(w.m, false);

	assert_int_equal(w.q->vmalloc.nr_areas, 4);
	b[PAGE] = 1; /* still there */
	quire_iounmap(w.q, io);
	quire_vunmap(w.q, mapped);
	quire_vm_unmap_aliases(w.q);
	quire_vfree(w.q, b);
	quire_free_vm_area(w.q, area);
	check();
}

/* ---- Interrupts -------------------------------------------------------------------------- */

static void free_in_interrupt(struct machine *m, void *arg)
{
	quire_vfree(machine_quire(m), arg);
}

/* Nothing is unmapped there; the next call from elsewhere does it. */
static void vfree_in_an_interrupt_is_put_off(void **state)
{
	char *a = quire_vmalloc(w.q, 3 * PAGE), *b = quire_vmalloc(w.q, PAGE), *c;

	(void)state;
	machine_interrupt(w.m, free_in_interrupt, a);
	assert_false(faults(a));
	assert_null(quire_find_vm_area(w.q, kaddr(a)));
	assert_int_equal(w.q->vmalloc.nr_areas, 1);
	check();
	machine_set_quiet(w.m, true);
	machine_interrupt(w.m, free_in_interrupt, a);
	expect("vmalloc: freed twice");
	quire_vfree(w.q, a);
	expect("vmalloc: freed twice");
	machine_set_quiet(w.m, false);
	assert_null(w.q->vmalloc.set_aside);
	assert_int_equal(w.q->vmalloc.nr_lazy_pages, 4);
	quire_vfree_atomic(w.q, b);
	assert_non_null(w.q->vmalloc.set_aside);
	c = quire_vmalloc(w.q, PAGE);
	assert_null(w.q->vmalloc.set_aside);
	machine_interrupt(w.m, free_in_interrupt, c);
	quire_vmalloc_poll(w.q);
	assert_null(w.q->vmalloc.root);
	check();
}

/* An area whose array is an area: both go. */
static void vfree_in_an_interrupt_frees_large_areas(void **state)
{
	char *a = quire_vmalloc(w.q, (PAGE / 8 + 1024) * PAGE);

	(void)state;
	machine_interrupt(w.m, free_in_interrupt, a);
	check();
	quire_vm_unmap_aliases(w.q);
	assert_null(w.q->vmalloc.root);
	check();
}

/* ---- Code -------------------------------------------------------------------------------- */

/* Written, then read-only and executable, in the direct map read-only too; freed, all is as it was. */
static void code_is_written_and_then_run(void **state)
{
	char *code = quire_vmalloc_exec(w.q, 2 * PAGE);
	struct quire_page *page = quire_vmalloc_to_page(w.q, code);
	const bool high = quire_page_is_high(page), nx = w.fmt != &quire_pgfmt_i386;
	char *direct = high ? NULL : quire_page_to_virt(w.q, page);

	(void)state;
	memset(code, 0x90, 2 * PAGE);
	assert_int_equal(machine_probe_exec(w.m, code), nx ? -QUIRE_EFAULT : 0);
	assert_int_equal(quire_set_memory_rox(w.q, kaddr(code), 2), 0);
	assert_int_equal(machine_probe_exec(w.m, code), 0);
	assert_int_equal(machine_probe_write(w.m, code, "x", 1), -QUIRE_EFAULT);
	if (direct)
		assert_int_equal(machine_probe_write(w.m, direct, "x", 1), -QUIRE_EFAULT);
	check();
	quire_vfree(w.q, code);
	assert_true(faults(code));
	if (direct)
		assert_int_equal(machine_probe_write(w.m, direct, "x", 1), 0);
	assert_int_equal(w.q->vmalloc.nr_lazy_pages, 0);
	check();
}

/* ---- Areas that their owner fills -------------------------------------------------------- */

static void an_area_is_mapped_unmapped_and_mapped_again(void **state)
{
	struct quire_page *page[3];
	struct quire_vm_struct *area = quire_get_vm_area(w.q, 3 * PAGE, QUIRE_VM_MAP);
	char *at3 = pointer(area->addr);

	(void)state;
	for (int i = 0; i < 3; i++)
		page[i] = quire_page_alloc(w.q, QUIRE_GFP_ZERO, 0);
	assert_int_equal(quire_map_vm_area(w.q, area, RW, page, 0), -QUIRE_EINVAL);
	assert_int_equal(quire_map_vm_area(w.q, area, RW, page, 4), -QUIRE_EINVAL);
	assert_int_equal(quire_map_vm_area(w.q, area, 0, page, 3), -QUIRE_EINVAL);
	assert_int_equal(quire_map_vm_area(w.q, area, RW | QUIRE_PTE_EXEC, page, 3), -QUIRE_EINVAL);
	assert_true(faults(at3));
	assert_int_equal(quire_map_vm_area(w.q, area, READ, page, 2), 0);
	assert_false(faults(at3 + PAGE));
	assert_true(faults(at3 + 2 * PAGE));
	assert_int_equal(machine_probe_write(w.m, at3, "x", 1), -QUIRE_EFAULT);
	assert_int_equal(quire_map_vm_area(w.q, area, RW, page, 3), -QUIRE_EINVAL);
	check();
	quire_unmap_vm_area(w.q, area);
	assert_true(faults(at3));
	assert_int_equal(quire_map_vm_area(w.q, area, RW, page, 3), 0);
	at3[2 * PAGE] = 7;
	assert_int_equal(*((char *)quire_page_to_virt(w.q, page[2])), 7);
	check();
	quire_free_vm_area(w.q, area);
	assert_true(faults(at3));
	for (int i = 0; i < 3; i++)
		quire_page_free(w.q, page[i], 0);
	check();
}

/* Its tables are there: entries can be set with no memory left. */
static void alloc_vm_area_has_its_tables(void **state)
{
	struct quire_vm_struct *area = quire_alloc_vm_area(w.q, 700 * PAGE);
	struct quire_page *page = quire_page_alloc(w.q, QUIRE_GFP_ZERO, 0);
	char *start = pointer(area->addr);
	uint64_t tables = w.q->kva.pt.tables[0];

	(void)state;
	assert_true(faults(start));
	w.q->pages.fail.after = 1;
	w.q->pages.fail.sticky = true;
	for (unsigned i = 0; i < 700; i += 233) {
		struct quire_cursor c;

		quire_cursor_open(&c, &w.q->kva.pt, area->addr + i * PAGE, area->addr + (i + 1) * PAGE,
				  0);
		assert_true(quire_cursor_seek(&c, area->addr + i * PAGE));
		(void)quire_cursor_replace(&c, area->addr + i * PAGE,
					   quire_pte_make(w.fmt, quire_page_to_pfn(w.q, page),
							  RW | QUIRE_PTE_ACCESSED | QUIRE_PTE_DIRTY |
								  QUIRE_PTE_GLOBAL));
		quire_cursor_close(&c);
		start[i * PAGE] = (char)(i + 1);
		assert_int_equal(*(char *)quire_page_to_virt(w.q, page), (char)(i + 1));
	}
	w.q->pages.fail.after = 0;
	w.q->pages.fail.sticky = false;
	assert_int_equal(w.q->kva.pt.tables[0], tables);
	check();
	quire_free_vm_area(w.q, area);
	quire_page_free(w.q, page, 0);
	check();
}

/* ---- vread and vwrite -------------------------------------------------------------------- */

/*
 *	|--A--|g|--io--|g|  (freed)  |--B, read-only--|g|
 */
static void vread_shows_memory_and_zeroes_elsewhere(void **state)
{
	char *a = quire_vmalloc(w.q, 2 * PAGE), *b, *freed, *buffer = malloc(16 * PAGE);
	char *io = quire_ioremap(w.q, RAM + MIB, PAGE);

	(void)state;
	freed = quire_vmalloc(w.q, PAGE);
	b = quire_vmalloc(w.q, PAGE);
	memset(a, 1, 2 * PAGE);
	memset(freed, 2, PAGE);
	memset(b, 3, PAGE);
	assert_int_equal(quire_set_memory_ro(w.q, kaddr(b), 1), 0);
	quire_vfree(w.q, freed);
	assert_int_equal(kaddr(b), kaddr(a) + 7 * PAGE);

	memset(buffer, 9, 16 * PAGE);
	assert_int_equal(quire_vread(w.q, buffer, a + 100, 9 * PAGE), 9 * PAGE);
	for (uint64_t i = 0; i < 9 * PAGE; i++) {
		uint64_t page = (i + 100) / PAGE;

		assert_int_equal(buffer[i], page < 2 ? 1 : page == 7 ? 3 : 0);
	}
	assert_int_equal(buffer[9 * PAGE], 9);
	assert_int_equal(quire_vread(w.q, buffer, pointer(w.layout.vmalloc_end - PAGE), 2 * PAGE), 0);
	assert_int_equal(quire_vread(w.q, buffer, quire_page_to_virt(w.q, w.q->pages.zero_page), 8), 0);
	assert_int_equal(quire_vread(w.q, buffer, a, 0), 0);

	memset(buffer, 5, 16 * PAGE);
	assert_int_equal(quire_vwrite(w.q, buffer, a + PAGE, 7 * PAGE), 7 * PAGE);
	assert_int_equal(a[PAGE - 1], 1);
	assert_int_equal(a[PAGE], 5);
	assert_int_equal(a[2 * PAGE - 1], 5);
	assert_int_equal(b[0], 3); /* read-only */
	assert_int_equal(b[PAGE - 1], 3);
	assert_int_equal(quire_vread(w.q, buffer, b + 1, PAGE / 2), PAGE / 2);
	assert_int_equal(buffer[7], 3);
	check();
	free(buffer);
	assert_int_equal(quire_set_memory_rw(w.q, kaddr(b), 1), 0);
	quire_iounmap(w.q, io);
	quire_vfree(w.q, a);
	quire_vfree(w.q, b);
	check();
}

/* Within large leaves too. */
static void vread_reaches_into_large_leaves(void **state)
{
	char *a = quire_vmalloc(w.q, 3 * MIB), *buffer = malloc(3 * MIB);

	(void)state;
	for (uint64_t i = 0; i < 3 * MIB; i++)
		a[i] = (char)(i / 7);
	assert_int_equal(quire_vread(w.q, buffer, a, 3 * MIB), 3 * MIB);
	assert_memory_equal(a, buffer, 3 * MIB);
	assert_int_equal(quire_vwrite(w.q, "hello", a + 5 * PAGE - 2, 5), 5);
	assert_memory_equal(a + 5 * PAGE - 2, "hello", 5);
	free(buffer);
	quire_vfree(w.q, a);
	check();
}

/* ---- Nodes ------------------------------------------------------------------------------- */

static int setup_nodes(void **state)
{
	static const struct quire_range map[] = {
		{MIB, RAM / 2, QUIRE_RANGE_USABLE, 0},
		{RAM / 2, RAM, QUIRE_RANGE_USABLE, 1},
	};

	return world_setup(*state, 2, 2, map, 2);
}

static void pages_are_from_the_node_asked_for(void **state)
{
	char *got[2] = {quire_vmalloc_node(w.q, 5 * PAGE, 0), quire_vzalloc_node(w.q, 5 * PAGE, 1)};

	(void)state;
	for (unsigned node = 0; node < 2; node++) {
		for (unsigned i = 0; i < 5; i++)
			assert_int_equal(
				quire_page_node(quire_vmalloc_to_page(w.q, got[node] + i * PAGE)),
				node);
	}
	assert_true(is_zero(got[1], 5 * PAGE));
	quire_vfree(w.q, got[0]);
	quire_vfree(w.q, got[1]);
	check();
	/* More than the node has: from the others, too. */
	got[0] = quire_vmalloc_node(w.q, RAM * 5 / 8, 0);
	assert_non_null(got[0]);
	quire_vfree(w.q, got[0]);
	check();
}

/* ---- A machine without a kernel address space -------------------------------------------- */

static void without_kernel_addresses_everything_is_null(void **state)
{
	struct machine *m;
	struct quire *q;
	struct quire_page *page;

	(void)state;
	assert_int_equal(machine_create(NULL, &m), 0);
	q = machine_quire(m);
	page = quire_page_alloc(q, 0, 0);
	assert_null(quire_vmalloc(q, PAGE));
	assert_null(quire_get_vm_area(q, PAGE, 0));
	assert_null(quire_alloc_vm_area(q, PAGE));
	assert_null(quire_vmap(q, &page, 1, 0, RW));
	assert_null(quire_vm_map_ram(q, &page, 1));
	assert_null(quire_ioremap(q, 0xfee00000, PAGE));
	assert_false(quire_is_vmalloc_addr(q, page));
	quire_vmalloc_poll(q);
	quire_vm_unmap_aliases(q);
	quire_vfree(q, NULL);
	assert_null(quire_vmalloc_check(q));
	quire_page_free(q, page, 0);
	assert_int_equal(machine_destroy(m), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_ALL_FORMATS(the_lowest_hole_that_fits_is_taken),
		ON_ALL_FORMATS(alignment_passes_over_holes_that_only_look_large_enough),
		ON_ALL_FORMATS(what_cannot_be_an_area_is_refused),
		ON_ALL_FORMATS(all_of_it_can_be_one_area),
		ON_ALL_FORMATS(an_area_is_found_by_any_address_in_it),
#if QUIRE_PAGE_SHIFT == 12
		{"many_areas_keep_first_fit_and_cost_little i386",
		 many_areas_keep_first_fit_and_cost_little, setup, teardown,
		 (void *)(uintptr_t)&quire_pgfmt_i386},
#endif
		ON_X86_64(many_areas_keep_first_fit_and_cost_little),
		ON_ALL_FORMATS(vmalloc_gives_memory_and_a_guard),
		ON_ALL_FORMATS(sizes_that_cannot_be_are_null),
		ON_ALL_FORMATS(the_array_of_pages_is_an_area_where_it_is_large),
		ON_ALL_FORMATS(what_is_zeroed_is_zero),
		ON_ALL_FORMATS(pages_are_from_high_memory_where_there_is_any),
		ON_ALL_FORMATS(large_areas_have_large_leaves),
		ON_ALL_FORMATS(what_is_freed_goes_after_one_flush_for_many),
		ON_X86_64(enough_of_it_is_flushed_by_itself),
		ON_X86_64(many_small_ones_are_flushed_by_number),
		ON_X86_64(how_much_may_wait_depends_on_memory),
		ON_ALL_FORMATS(what_waits_is_had_before_anything_fails),
		ON_ALL_FORMATS(what_is_no_area_is_not_freed),
		ON_ALL_FORMATS(vfree_in_an_interrupt_is_put_off),
		ON_ALL_FORMATS(vfree_in_an_interrupt_frees_large_areas),
		ON_ALL_FORMATS(code_is_written_and_then_run),
		ON_ALL_FORMATS(an_area_is_mapped_unmapped_and_mapped_again),
		ON_ALL_FORMATS(alloc_vm_area_has_its_tables),
		ON_ALL_FORMATS(vread_shows_memory_and_zeroes_elsewhere),
		ON_ALL_FORMATS(vread_reaches_into_large_leaves),
#define ON_NODES(f, format) {#f " " #format, f, setup_nodes, teardown, (void *)(uintptr_t)&quire_pgfmt_##format}
#if QUIRE_PAGE_SHIFT == 16
		ON_NODES(pages_are_from_the_node_asked_for, aarch64_64k),
#elif QUIRE_PAGE_SHIFT == 14
		ON_NODES(pages_are_from_the_node_asked_for, aarch64_16k),
#else
		ON_NODES(pages_are_from_the_node_asked_for, i386),
		ON_NODES(pages_are_from_the_node_asked_for, pae),
		ON_NODES(pages_are_from_the_node_asked_for, x86_64),
#endif
		cmocka_unit_test(without_kernel_addresses_everything_is_null),
	};

	return cmocka_run_group_tests_name("vmalloc", tests, NULL, NULL);
}
