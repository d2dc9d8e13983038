/* SPDX-License-Identifier: MIT */
/* What every part of the kernel may use: the instance, the console, panics, strings. */
#ifndef KERNEL_KERNEL_H
#define KERNEL_KERNEL_H

#include <quire/quire.h>

#include "x86/cpu.h"

/* The one instance of Quire; memory.c brings it up. */
extern struct quire kernel_quire;
#define Q (&kernel_quire)

#define HZ 250u /* timer interrupts a second on each processor */
#define NS_PER_SECOND UINT64_C(1000000000)

/* ---- Errors beyond Quire's; Linux's numbers ------------------------------------------------- */

#define EINTR QUIRE_EINTR
#define ENXIO 6
#define ENOEXEC 8
#define ECHILD 10
#define EXDEV 18
#define ENOTDIR 20
#define EISDIR 21
#define ENFILE 23
#define EMFILE 24
#define ENOTTY 25
#define ESPIPE 29
#define EROFS 30
#define EMLINK 31
#define EPIPE 32
#define EDEADLK 35
#define ENAMETOOLONG 36
#define ENOTEMPTY 39
#define ELOOP 40
#define EAFNOSUPPORT 97
#define ETIMEDOUT 110
#define ENOTSOCK 88
#define EPERM QUIRE_EPERM
#define ENOENT QUIRE_ENOENT
#define ESRCH QUIRE_ESRCH
#define EIO QUIRE_EIO
#define E2BIG QUIRE_E2BIG
#define EBADF QUIRE_EBADF
#define EAGAIN QUIRE_EAGAIN
#define ENOMEM QUIRE_ENOMEM
#define EACCES QUIRE_EACCES
#define EFAULT QUIRE_EFAULT
#define EBUSY QUIRE_EBUSY
#define EEXIST QUIRE_EEXIST
#define ENODEV QUIRE_ENODEV
#define EINVAL QUIRE_EINVAL
#define ETXTBSY QUIRE_ETXTBSY
#define EFBIG QUIRE_EFBIG
#define ENOSPC QUIRE_ENOSPC
#define ERANGE QUIRE_ERANGE
#define ENOSYS QUIRE_ENOSYS
#define EOVERFLOW QUIRE_EOVERFLOW
#define EOPNOTSUPP QUIRE_EOPNOTSUPP
/* Never seen by programs: a signal interrupts the call, which is made again if its handler says SA_RESTART. */
#define ERESTARTSYS 512
/* The same, but with a handler it always ends: EINTR. */
#define ERESTARTNOHAND 514

/* ---- Speech (printk.c, panic.c) --------------------------------------------------------------- */

int kvsnprintf(char *buf, size_t size, const char *format, __builtin_va_list args);
int ksnprintf(char *buf, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void printk(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The kernel has a bug: registers (NULL: none), backtrace, and QEMU ends with a status that is not 0. */
void panic(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
void panic_regs(const struct regs *regs, const char *format, ...)
	__attribute__((noreturn, format(printf, 2, 3)));

#define kernel_assert(condition)                                                                   \
	do {                                                                                       \
		if (!(condition))                                                                  \
			panic("assertion: %s (%s:%d)", #condition, __FILE__, __LINE__);            \
	} while (0)

/* ---- Boot (main.c, memory.c) ------------------------------------------------------------------ */

struct boot_module {
	quire_paddr_t start, end;
};
extern struct boot_module initramfs; /* empty: none */
extern char command_line[512];

/* The word after "name=" on the command line, or NULL; "" for "name" alone. Valid until the next call. */
const char *boot_option(const char *name);

void memory_init(uint32_t magic, quire_paddr_t info);
void memory_protect_image(
	void); /* boot's tables are gone; what is read-only becomes so everywhere */

/* A pointer into the direct map. Where that is depends on how many levels the tables have. */
extern uintptr_t page_offset;
static inline void *phys_to_ptr(quire_paddr_t pa)
{
	return (void *)(page_offset + (uintptr_t)pa);
}

/* ---- Time (clock.c) ---------------------------------------------------------------------------- */

void clock_init(void);
uint64_t clock_ns(void);       /* since boot */
uint64_t clock_realtime(void); /* nanoseconds since 1970 */
void clock_set_realtime(uint64_t ns);
uint64_t random64(void);
void random_bytes(void *buf, size_t n);
uint64_t clock_tsc_khz(void);

/* ---- Strings (string.c) ------------------------------------------------------------------------ */

size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);
char *kstrdup(const char *s); /* NULL: no memory */

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

#endif
