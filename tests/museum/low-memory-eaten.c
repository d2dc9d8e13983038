/* SPDX-License-Identifier: MIT */
/*
 * Programs fill the low memory that the kernel alone needs, though their pages could lie anywhere.
 *
 * Linux for 32 bits until 2.6.11: with gigabytes of high memory in use, user pages took what was left of the first
 * 896 MiB, where tables, inodes and network buffers must be, and machines with most of their memory in programs
 * stood still or killed these ("lower_zone_protection", off by default, then "lowmem_reserve_ratio").
 */
#include "museum.h"

#define LOW (256u << 20) /* enough for lists of several pages */

static struct quire *q;

static struct quire_page *user_page(void)
{
	return quire_page_alloc(q, QUIRE_GFP_HIGHUSER | QUIRE_GFP_NOWARN, 0);
}

static struct quire_page *kernel_page(void)
{
	return quire_page_alloc(q, QUIRE_GFP_KERNEL | QUIRE_GFP_NOWARN, 0);
}

static void put_all(struct quire_list *pages)
{
	struct quire_list *pos, *tmp;

	quire_list_for_each (pos, tmp, pages) {
		quire_list_del(pos);
		quire_page_free(q, quire_list_entry(pos, struct quire_page, lru), 0);
	}
}

static void users_leave_the_kernel_its_memory(void **state)
{
	const struct machine_config config = {.ram_bytes = 2 * LOW, .high_memory = LOW};
	struct quire_list users, kernels;
	struct quire_page *page;
	struct machine *m;
	unsigned i;

	(void)state;
	quire_list_init(&users);
	quire_list_init(&kernels);
	assert_int_equal(machine_create(&config, &m), 0);
	q = machine_quire(m);
	while ((page = user_page()))
		quire_list_add(&users, &page->lru);
	/* Each fills this CPU's list besides, which lies there for the next. */
	for (i = 0; i < 200; i++) {
		page = kernel_page();
		must(page, "the kernel has no memory left");
		quire_list_add(&kernels, &page->lru);
		must(!user_page(), "a user's page is of what is kept for the kernel");
	}
	put_all(&users);
	put_all(&kernels);
	assert_int_equal(machine_destroy(m), 0);
}

museum_main(exhibit(users_leave_the_kernel_its_memory))
