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

/* To read it, for another process: with the rights of get_user_pages(), and growing stacks. Otherwise the same. */
int quire_read_remote_page(struct quire_mm *mm, quire_uaddr_t addr, uint32_t access,
			   struct quire_page **page);

/*
 * As quire_get_user_page() to read, but the page is pinned, as pin_user_pages() does: an anonymous one that a
 * fork left shared becomes the area's alone first, so that who holds it and who writes to it see the same page.
 */
int quire_pin_remote_page(struct quire_mm *mm, quire_uaddr_t addr, struct quire_page **page);

/* Bytes on their way to user memory: from a buffer, or from a page that the caller has a reference to. */
struct quire_bytes {
	const void *buf;
	struct quire_page *page; /* instead of buf */
	uint64_t offset;	 /* in that page */
	uint64_t len;		 /* within one page, here and there */
};

/*
 * Store to addr, all of it or nothing, with the rights of quire_touch_page(); the page is marked dirty. It is done under
 * the leaf's lock, while the entry says that the area may write to this page. Who went by a reference alone would, after a fork and
 * another thread's copy on write, store to a page that is the child's by then. 0, -EFAULT, -ENOMEM. May sleep.
 */
int quire_store_bytes(struct quire_mm *mm, quire_uaddr_t addr, uint32_t access, bool user, bool grows,
		      const struct quire_bytes *bytes);

#endif
