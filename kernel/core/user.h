/* SPDX-License-Identifier: MIT */
/* Checked copies: the only way in which the kernel touches a program's memory. All may sleep; -EFAULT. */
#ifndef KERNEL_USER_H
#define KERNEL_USER_H

#include "core/kernel.h"

/* The first address that no program can have. */
extern uint64_t user_end;
#define USER_END user_end

static inline bool user_range_ok(uint64_t addr, uint64_t n)
{
	return addr <= USER_END && n <= USER_END - addr;
}

int copy_to_user(uint64_t to, const void *from, size_t n);
int copy_from_user(void *to, uint64_t from, size_t n);
int clear_user(uint64_t to, size_t n);

/* Bytes that were copied, up to n. */
size_t copy_to_user_some(uint64_t to, const void *from, size_t n);
size_t copy_from_user_some(void *to, uint64_t from, size_t n);

/* A string with its end into a buffer: its length, -EFAULT, or -ENAMETOOLONG where no end comes within size bytes. */
int64_t copy_string_from_user(char *to, uint64_t from, size_t size);

/* n structs iovec, as wide as a program's words. */
int copy_iovec_from_user(struct quire_iovec *vec, uint64_t from, size_t n);

#define get_user(variable, addr) copy_from_user(&(variable), (addr), sizeof(variable))
#define put_user(variable, addr) copy_to_user((addr), &(variable), sizeof(variable))

/* A list of pieces, of a program's memory or (kernel) of the kernel's, that a read fills or a write empties. */
struct uio {
	const struct quire_iovec *vec;
	size_t nr;
	uint64_t offset; /* in the first piece */
	uint64_t left;	 /* bytes */
	bool kernel;
};

/* Copy n bytes out (in) and go on behind them; n <= left. Returns bytes copied: fewer where an address is bad. */
size_t uio_put(struct uio *uio, const void *from, size_t n);
size_t uio_get(struct uio *uio, void *to, size_t n);
size_t uio_zero(struct uio *uio, size_t n);

static inline struct uio uio_of(struct quire_iovec *vec, uint64_t base, uint64_t len, bool kernel)
{
	*vec = (struct quire_iovec){base, len};
	return (struct uio){.vec = vec, .nr = 1, .left = len, .kernel = kernel};
}

#endif
