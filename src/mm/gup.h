/* SPDX-License-Identifier: MIT */
/*
 * User pages for the kernel's own use: what gup.c gives the other files of this room besides mm.h.
 */
#ifndef QUIRE_MM_GUP_H
#define QUIRE_MM_GUP_H

#include <mm/internal.h>

/*
 * Make sure that the page at addr is there for access; with a reference in *page unless page is
 * NULL. user: with the rights that the hardware gives user code, and growing stacks, as
 * copy_to_user() does; else with those of get_user_pages(). 0, -EFAULT, -ENOMEM. May sleep.
 */
int quire_touch_page(struct quire_mm *mm, quire_uaddr_t addr, uint32_t access, bool user,
		     struct quire_page **page);

/* For another process: with the rights of get_user_pages(), and growing stacks. Otherwise the same. */
int quire_touch_remote_page(struct quire_mm *mm, quire_uaddr_t addr, uint32_t access,
			    struct quire_page **page);

/*
 * As quire_get_user_page() does, but a page that is read is pinned, as pin_user_pages() does: an anonymous one that a
 * fork left shared becomes the area's alone first, so that who holds it and who writes to it see the same page.
 */
int quire_pin_remote_page(struct quire_mm *mm, quire_uaddr_t addr, uint32_t access,
			  struct quire_page **page);

#endif
