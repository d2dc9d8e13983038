/* SPDX-License-Identifier: MIT */
/*
 * Atomic operations on 64 bits for 32-bit kernels, by the names under which compilers call them: all are CMPXCHG8B, which is a
 * full barrier, whatever order is asked for. It writes even where it changes nothing, so what is loaded must be writable.
 * entry64_cmpxchg() of the library says what CLC is for.
 */
#include <stdbool.h>
#include <stdint.h>

#define NAMED(name) __asm__("__atomic_" #name "_8")

/* *p == *old ? (*p = new, true) : (*old = *p, false) */
static inline bool exchange(volatile uint64_t *p, uint64_t *old, uint64_t new)
{
	bool same;

	__asm__ volatile("clc; lock cmpxchg8b %1"
			 : "=@ccz"(same), "+m"(*p), "+A"(*old)
			 : "b"((uint32_t) new), "c"((uint32_t)(new >> 32))
			 : "memory");
	return same;
}

uint64_t load(volatile uint64_t *p, int order) NAMED(load);
uint64_t load(volatile uint64_t *p, int order)
{
	uint64_t value = 0;

	(void)exchange(p, &value, 0); /* 0 becomes 0, or nothing changes */
	return value;
}

void store(volatile uint64_t *p, uint64_t value, int order) NAMED(store);
void store(volatile uint64_t *p, uint64_t value, int order)
{
	uint64_t old = *p;

	while (!exchange(p, &old, value))
		;
}

bool compare(volatile uint64_t *p, uint64_t *old, uint64_t new, int success, int failure)
	NAMED(compare_exchange);
bool compare(volatile uint64_t *p, uint64_t *old, uint64_t new, int success, int failure)
{
	return exchange(p, old, new);
}

#define READ_MODIFY_WRITE(name, value_now)                                                         \
	uint64_t name(volatile uint64_t *p, uint64_t v, int order) NAMED(name);                    \
	uint64_t name(volatile uint64_t *p, uint64_t v, int order)                                 \
	{                                                                                          \
		uint64_t old = *p;                                                                 \
                                                                                                   \
		while (!exchange(p, &old, value_now))                                              \
			;                                                                          \
		return old;                                                                        \
	}

READ_MODIFY_WRITE(fetch_add, old + v)
READ_MODIFY_WRITE(fetch_sub, old - v)
READ_MODIFY_WRITE(fetch_or, old | v)
READ_MODIFY_WRITE(fetch_and, old &v)

uint64_t swap(volatile uint64_t *p, uint64_t v, int order) NAMED(exchange);
uint64_t swap(volatile uint64_t *p, uint64_t v, int order)
{
	uint64_t old = *p;

	while (!exchange(p, &old, v))
		;
	return old;
}
