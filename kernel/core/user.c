/* SPDX-License-Identifier: MIT */
/* Checked copies between kernel and program. What faults is fixed up: entry64.S, trap.c. */
#include "core/user.h"

#include "core/thread.h"

size_t copy_to_user_some(uint64_t to, const void *from, size_t n)
{
	if (!current()->mm || !user_range_ok(to, n))
		return 0;
	return n - user_copy((void *)(uintptr_t)to, from, n);
}

size_t copy_from_user_some(void *to, uint64_t from, size_t n)
{
	if (!current()->mm || !user_range_ok(from, n))
		return 0;
	return n - user_copy(to, (const void *)(uintptr_t)from, n);
}

int copy_to_user(uint64_t to, const void *from, size_t n)
{
	return copy_to_user_some(to, from, n) == n ? 0 : -EFAULT;
}

int copy_from_user(void *to, uint64_t from, size_t n)
{
	return copy_from_user_some(to, from, n) == n ? 0 : -EFAULT;
}

int clear_user(uint64_t to, size_t n)
{
	if (!current()->mm || !user_range_ok(to, n))
		return -EFAULT;
	return user_clear((void *)(uintptr_t)to, n) ? -EFAULT : 0;
}

int64_t copy_string_from_user(char *to, uint64_t from, size_t size)
{
	size_t done = 0;

	/* Page by page: what lies behind the string's end may not be there. */
	while (done < size) {
		size_t part = QUIRE_PAGE_SIZE - ((from + done) & ~QUIRE_PAGE_MASK), got, i;

		if (part > size - done)
			part = size - done;
		got = copy_from_user_some(to + done, from + done, part);
		for (i = 0; i < got; i++) {
			if (!to[done + i])
				return (int64_t)(done + i);
		}
		if (got < part)
			return -EFAULT;
		done += part;
	}
	return -ENAMETOOLONG;
}

int copy_iovec_from_user(struct quire_iovec *vec, uint64_t from, size_t n)
{
	unsigned long pair[2];
	size_t i;

	if (sizeof(long) == 8)
		return copy_from_user(vec, from, n * sizeof(*vec));
	for (i = 0; i < n; i++) {
		if (copy_from_user(pair, from + i * sizeof(pair), sizeof(pair)))
			return -EFAULT;
		vec[i] = (struct quire_iovec){pair[0], pair[1]};
	}
	return 0;
}

/* ---- Lists of pieces --------------------------------------------------------------------------- */

enum direction { PUT, GET, ZERO };

static size_t transfer(struct uio *uio, void *buf, size_t n, enum direction direction)
{
	size_t done = 0;

	while (done < n && uio->nr) {
		uint64_t at = uio->vec->base + uio->offset, part = uio->vec->len - uio->offset;
		void *p = (char *)buf + done;
		size_t got;

		if (part > n - done)
			part = n - done;
		if (uio->kernel) {
			if (direction == PUT)
				memcpy((void *)(uintptr_t)at, p, part);
			else if (direction == GET)
				memcpy(p, (void *)(uintptr_t)at, part);
			else
				memset((void *)(uintptr_t)at, 0, part);
			got = part;
		} else if (direction == PUT) {
			got = copy_to_user_some(at, p, part);
		} else if (direction == GET) {
			got = copy_from_user_some(p, at, part);
		} else {
			got = clear_user(at, part) ? 0 : part;
		}
		done += got;
		uio->left -= got;
		uio->offset += got;
		if (got < part)
			break;
		if (uio->offset == uio->vec->len) {
			uio->vec++;
			uio->nr--;
			uio->offset = 0;
		}
	}
	return done;
}

size_t uio_put(struct uio *uio, const void *from, size_t n)
{
	return transfer(uio, (void *)(uintptr_t)from, n, PUT);
}

size_t uio_get(struct uio *uio, void *to, size_t n)
{
	return transfer(uio, to, n, GET);
}

size_t uio_zero(struct uio *uio, size_t n)
{
	static char nothing;

	return transfer(uio, &nothing, n, ZERO);
}
