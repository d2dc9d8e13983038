/* SPDX-License-Identifier: MIT */
/*
 * Memory of another space: as a debugger reads and writes it (access_process_vm), and page by page
 * between two spaces (process_vm_readv(2), process_vm_writev(2)). Called by hosts. Permission to
 * look at that process is the host's business.
 */
#include <base/string.h>
#include <mm/gup.h>
#include <mm/internal.h>

static uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t page_offset(quire_uaddr_t addr)
{
	return addr & (QUIRE_PAGE_SIZE - 1);
}

static uint64_t left_in_page(quire_uaddr_t addr)
{
	return QUIRE_PAGE_SIZE - page_offset(addr);
}

/* ---- A debugger's access ----------------------------------------------------------------- */

/* All in one page. A stack grows for it, but not in vain: when there is a page for it. */
static int read_page(struct quire_mm *mm, quire_uaddr_t addr, void *buf, uint64_t n,
		     uint32_t access)
{
	struct quire_page *page;
	unsigned char *at;
	int err = quire_read_remote_page(mm, addr, access, &page);

	if (err)
		return err;
	at = quire_page_kmap(mm->q, page);
	memcpy(buf, at + page_offset(addr), n);
	quire_page_kunmap(mm->q, at);
	(void)quire_page_put(mm->q, page);
	return 0;
}

static int write_page(struct quire_mm *mm, quire_uaddr_t addr, const void *buf, uint64_t n,
		      uint32_t access)
{
	const struct quire_bytes bytes = {.buf = buf, .len = n};

	return quire_store_bytes(mm, addr, access, false, true, &bytes);
}

/*
 * Where there are no pages the driver may know a way. Bytes done, 0: none. An area that a call is just changing
 * is looked for again when that has ended.
 */
static uint64_t ask_driver(struct quire_mm *mm, quire_uaddr_t addr, void *buf, uint64_t len,
			   bool write)
{
	struct quire_vma *vma;
	bool knows, pinned;
	int done;

	for (;;) {
		quire_grace_enter(mm->q);
		vma = quire_find_vma(mm, addr);
		knows = vma && addr >= vma->start && vma->ops && vma->ops->access;
		pinned = knows && quire_vma_pin(vma);
		quire_grace_leave(mm->q);
		if (!knows)
			return 0;
		if (pinned)
			break;
		quire_mm_wait(mm);
	}
	done = vma->ops->access(vma, addr, buf, (size_t)len, write);
	quire_vma_unpin(vma);
	return done > 0 ? (uint64_t)done : 0;
}

uint64_t quire_access_process_vm(struct quire_mm *mm, quire_uaddr_t addr, void *buf, uint64_t len,
				 uint32_t access)
{
	bool write = (access & QUIRE_ACCESS_WRITE) != 0;
	unsigned char *at = buf;
	uint64_t done = 0;

	while (done < len) {
		uint64_t n = min64(len - done, left_in_page(addr + done));
		int err = write ? write_page(mm, addr + done, at + done, n, access)
				: read_page(mm, addr + done, at + done, n, access);

		if (!err) {
			done += n;
			continue;
		}
		n = ask_driver(mm, addr + done, at + done, len - done, write);
		done += n;
		if (!n)
			break;
	}
	return done;
}

/* ---- Between two spaces ------------------------------------------------------------------ */

#define MAX_IOVECS 1024
#define FEW_PAGES 16
#define MOST_PAGES (8192 / sizeof(struct quire_page *)) /* Linux's with pages of 4 KiB */
#define MAX_COUNT ((uint64_t)INT32_MAX & QUIRE_PAGE_MASK)

/* The caller's side: a place that moves on through its vectors. */
struct local {
	struct quire_mm *mm;
	const struct quire_iovec *vec;
	uint64_t offset; /* into *vec */
	uint64_t left;	 /* bytes, of all of them */
};

static int check_lengths(const struct quire_iovec *vec, size_t nr)
{
	if (nr > MAX_IOVECS)
		return -QUIRE_EINVAL;
	for (size_t i = 0; i < nr; i++) {
		if (vec[i].len > (uint64_t)INT64_MAX)
			return -QUIRE_EINVAL;
	}
	return 0;
}

/*
 * The caller's vectors must lie in what can be user memory, mapped or not; what is over the most
 * that one call moves is cut off, before that look if there is just one vector, after it if there
 * are several.
 */
static int import_local(struct local *l, struct quire_mm *mm, const struct quire_iovec *vec,
			size_t nr)
{
	uint64_t limit = mm->pt.fmt->user_end;
	int err = check_lengths(vec, nr);

	if (err)
		return err;
	l->mm = mm;
	l->vec = vec;
	l->offset = 0;
	l->left = 0;
	for (size_t i = 0; i < nr; i++) {
		uint64_t len = nr == 1 ? min64(vec[i].len, MAX_COUNT) : vec[i].len;
		uint64_t end = vec[i].base + len;

		if (end < len || end > limit)
			return -QUIRE_EFAULT;
		l->left += min64(len, MAX_COUNT - l->left);
	}
	return 0;
}

/*
 * Up to n bytes, all in one page of the other side, between the caller's place and there; page is what is read
 * of. What the caller's own memory does not allow ends it: -EFAULT, with all before it copied. *n: bytes copied.
 */
static int copy_page(struct local *l, struct quire_mm *remote, quire_uaddr_t there,
		     struct quire_page *page, uint64_t *n)
{
	uint64_t done = 0;
	int err = 0;

	while (done < *n && l->left) {
		quire_uaddr_t here = l->vec->base + l->offset;
		struct quire_bytes bytes = {.page = page, .offset = page_offset(there + done)};

		if (l->offset == l->vec->len) {
			l->vec++;
			l->offset = 0;
			continue;
		}
		bytes.len = min64(min64(*n - done, left_in_page(here)),
				  min64(l->vec->len - l->offset, l->left));
		if (page) {
			err = quire_store_bytes(l->mm, here, QUIRE_ACCESS_WRITE, true, true,
						&bytes);
		} else {
			bytes.offset = page_offset(here);
			err = quire_touch_page(l->mm, here, QUIRE_ACCESS_READ, true, &bytes.page);
			if (err)
				break;
			err = quire_store_bytes(remote, there + done, QUIRE_ACCESS_WRITE, false,
						false, &bytes);
			(void)quire_page_put(l->mm->q, bytes.page);
		}
		if (err)
			break;
		done += bytes.len;
		l->offset += bytes.len;
		l->left -= bytes.len;
	}
	*n = done;
	return err;
}

/*
 * The other side's pages that are looked at together: all are there, copies of them made if they are written to, before
 * the first byte moves. That shows where the two sides have memory in common: what is copied for the second page has
 * nothing yet of what is stored to the first.
 */
struct batch {
	struct quire_page **page; /* references, to read; NULL: to write, see quire_store_bytes() */
	struct quire_page *few[FEW_PAGES];
};

/* Pages that a vector touches. */
static uint64_t pages_of(quire_uaddr_t addr, uint64_t len)
{
	return quire_size_pages(page_offset(addr) + len);
}

static int open_batch(struct batch *b, struct quire *q, const struct quire_iovec *vec, size_t nr,
		      bool write)
{
	uint64_t pages = 0;

	for (size_t i = 0; i < nr; i++) {
		uint64_t n = pages_of(vec[i].base, vec[i].len);

		pages = pages > n ? pages : n;
	}
	b->page = write ? NULL : b->few;
	if (write || pages <= FEW_PAGES)
		return 0;
	b->page = quire_kmalloc(q, (size_t)min64(pages, MOST_PAGES) * sizeof(*b->page),
				QUIRE_GFP_KERNEL);
	return b->page ? 0 : -QUIRE_ENOMEM;
}

static void close_batch(struct batch *b, struct quire *q)
{
	if (b->page && b->page != b->few)
		quire_kfree(q, b->page);
}

/* As many of the pages from addr on as are there; 0: *err says why. */
static uint64_t take_pages(struct batch *b, struct quire_mm *remote, quire_uaddr_t addr,
			   uint64_t pages, int *err)
{
	uint64_t n;

	for (n = 0; n < pages && n < MOST_PAGES; n++) {
		quire_uaddr_t at = addr + (n << QUIRE_PAGE_SHIFT);

		*err = b->page ? quire_pin_remote_page(remote, at, &b->page[n])
			       : quire_touch_page(remote, at, QUIRE_ACCESS_WRITE, false, NULL);
		if (*err)
			break;
	}
	return n;
}

static int copy_remote_vector(struct local *l, struct quire_mm *remote,
			      const struct quire_iovec *vec, struct batch *b)
{
	uint64_t done = 0;
	int err = 0;

	while (!err && done < vec->len && l->left) {
		uint64_t pages = take_pages(b, remote, vec->base + done,
					    pages_of(vec->base + done, vec->len - done), &err);

		if (!pages)
			return err;
		err = 0;
		for (uint64_t i = 0; i < pages; i++) {
			quire_uaddr_t addr = vec->base + done;
			uint64_t n = min64(vec->len - done, left_in_page(addr));

			if (!err && l->left) {
				err = copy_page(l, remote, addr, b->page ? b->page[i] : NULL, &n);
				done += n;
			}
			if (b->page)
				(void)quire_page_put(remote->q, b->page[i]);
		}
	}
	return err;
}

static int64_t copy_between(struct quire_mm *local, const struct quire_iovec *lvec, size_t nr_local,
			    struct quire_mm *remote, const struct quire_iovec *rvec,
			    size_t nr_remote, uint64_t flags, bool write)
{
	struct batch batch;
	struct local l;
	uint64_t wanted;
	int err;

	if (flags)
		return -QUIRE_EINVAL;
	err = import_local(&l, local, lvec, nr_local);
	if (err)
		return err;
	/* With nothing to move on this side the other is not even looked at; with nothing on the other, nor who it is. */
	wanted = l.left;
	if (!wanted)
		return 0;
	err = check_lengths(rvec, nr_remote);
	if (err)
		return err;
	err = open_batch(&batch, local->q, rvec, nr_remote, write);
	if (err)
		return err;
	for (size_t i = 0; !err && i < nr_remote && l.left; i++)
		err = remote	    ? copy_remote_vector(&l, remote, &rvec[i], &batch)
		      : rvec[i].len ? -QUIRE_ESRCH
				    : 0;
	close_batch(&batch, local->q);
	if (wanted != l.left)
		return (int64_t)(wanted - l.left);
	return err;
}

int64_t quire_process_vm_readv(struct quire_mm *local, const struct quire_iovec *lvec,
			       size_t nr_local, struct quire_mm *remote,
			       const struct quire_iovec *rvec, size_t nr_remote, uint64_t flags)
{
	return copy_between(local, lvec, nr_local, remote, rvec, nr_remote, flags, false);
}

int64_t quire_process_vm_writev(struct quire_mm *local, const struct quire_iovec *lvec,
				size_t nr_local, struct quire_mm *remote,
				const struct quire_iovec *rvec, size_t nr_remote, uint64_t flags)
{
	return copy_between(local, lvec, nr_local, remote, rvec, nr_remote, flags, true);
}
