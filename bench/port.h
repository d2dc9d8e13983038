/* SPDX-License-Identifier: MIT */
/*
 * The least port there is, for benchmarks: one CPU, one thread, RAM from mmap in large pages, as a
 * kernel's direct map has them. Not for use together with another port.
 */
#ifndef BENCH_PORT_H
#define BENCH_PORT_H

#include <quire/quire.h>

/*
 * An instance with grace periods, pages and caches, and so many bytes of RAM. Aborts if that can't
 * be had.
 */
struct quire *bench_quire(uint64_t ram_bytes);

/*
 * One with the kernel's addresses of that format, and high memory behind low_bytes if that is less. Nobody can follow a
 * pointer to a high page here, or into the vmalloc area.
 */
struct quire *bench_kernel(const struct quire_pgfmt *fmt, uint64_t ram_bytes, uint64_t low_bytes);

uint64_t bench_ns(void); /* monotonic */
uint64_t
bench_cpu_ns(void); /* of this thread on a CPU: costs a system call, but others don't count */

#endif
