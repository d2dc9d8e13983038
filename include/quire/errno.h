/* SPDX-License-Identifier: MIT */
/*
 * Error numbers. Every function that can fail returns one of these, negated. The values are
 * Linux's (asm-generic), so that a kernel which serves Linux's system calls passes them through.
 */
#ifndef QUIRE_ERRNO_H
#define QUIRE_ERRNO_H

#define QUIRE_EPERM 1
#define QUIRE_ENOENT 2
#define QUIRE_ESRCH 3
#define QUIRE_EINTR 4
#define QUIRE_EIO 5
#define QUIRE_E2BIG 7
#define QUIRE_EBADF 9
#define QUIRE_EAGAIN 11
#define QUIRE_ENOMEM 12
#define QUIRE_EACCES 13
#define QUIRE_EFAULT 14
#define QUIRE_EBUSY 16
#define QUIRE_EEXIST 17
#define QUIRE_ENODEV 19
#define QUIRE_EINVAL 22
#define QUIRE_ETXTBSY 26
#define QUIRE_EFBIG 27
#define QUIRE_ENOSPC 28
#define QUIRE_ERANGE 34
#define QUIRE_ENOSYS 38
#define QUIRE_EOVERFLOW 75
#define QUIRE_EOPNOTSUPP 95
#define QUIRE_EHWPOISON 133

#endif
