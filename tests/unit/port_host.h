/* SPDX-License-Identifier: MIT */
/*
 * A port for the unit tests of the low rooms: one process, RAM from mmap, threads for CPUs. It has
 * no MMU (that is the simulated machine's business, machine/), but it is strict: it aborts on what
 * no host could allow, such as sleeping with preemption off or a frame that is handed out twice.
 *
 * Not for use together with another port in one program.
 */
#ifndef QUIRE_TESTS_PORT_HOST_H
#define QUIRE_TESTS_PORT_HOST_H

#include <quire/quire.h>

#include <stddef.h>
#include <stdint.h>

/* AddressSanitizer's own word, and none without it. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HOST_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define HOST_ASAN 1
#endif
#ifdef HOST_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_UNPOISON_MEMORY_REGION(ptr, size) ((void)(ptr), (void)(size))
#endif

/* Report text kept: enough for any sentence of the library's. */
#define HOST_MESSAGE 160

struct host {
	struct quire q;
	quire_paddr_t ram_end; /* bytes from physical address 0 */
	unsigned char *ram;
	quire_paddr_t bend;    /* not 0: memory from here on is mapped a page further up, which is not linear */
	/* A byte a frame: 1 while handed out. Not below quire_page_init()'s own use. */
	unsigned char *taken;
	/* What the library said; atomic. */
	uint32_t reports;          /* calls of quire_port_report() */
	bool expect_reports;       /* false: a report aborts */
	char report[HOST_MESSAGE]; /* the last one's sentence */
	uint64_t report_value;
	uint32_t logs;
	/* TLB flushes; atomic; the last one written under its lock, read by tests with one thread. */
	uint32_t flushes, local_flushes;
	uint32_t flush_lock;
	struct quire_tlb_flush last_flush;
	uint64_t clock_ns;    /* what quire_port_clock_ns() says */
	uint64_t random;      /* state of quire_port_random(); 0: always 0 */
	uint64_t waits, wakes; /* calls; atomic */
};

static inline struct host *host_of(struct quire *q)
{
	return quire_container_of(q, struct host, q);
}

/* A host with ram_bytes of RAM, all from address 0, nr_cpus CPUs and a zeroed struct quire. Aborts if it can't. */
struct host *host_new(uint64_t ram_bytes, unsigned nr_cpus);
void host_delete(struct host *h);

/* host_new(), then grace periods, pages (one range, all zones but HIGHMEM) and caches. */
struct host *host_new_ready(uint64_t ram_bytes, unsigned nr_cpus);

/* This thread is that CPU from now on; a new thread is CPU 0. */
void host_set_cpu(unsigned cpu);

/* Preemption disabled or interrupts off on this thread? Tests check that calls leave neither behind. */
bool host_is_atomic(void);

/* The frames handed out at the moment, by the port's own count. */
uint64_t host_frames_taken(struct host *h);

/*
 * Reports are errors unless they are asked for:
 *	host_expect_reports(h);
 *	... something that must be reported once ...
 *	host_assert_report(h, "freed twice");   one report came, with this in its sentence
 */
void host_expect_reports(struct host *h);
void host_assert_report(struct host *h, const char *part);

/* Run fn(arg, cpu) on n threads that are CPU 0 to n - 1, and join them. */
void host_run_cpus(unsigned n, void (*fn)(void *arg, unsigned cpu), void *arg);

/* xorshift64*; state is never 0. For tests that want chance they can repeat. */
static inline uint64_t host_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(2685821657736338717);
}

#endif
