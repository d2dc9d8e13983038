/* SPDX-License-Identifier: MIT */
/* Page faults in the order in which they happened; see faults.h. Source: perf_event_open(2). */
#include "faults.h"

#include <linux/perf_event.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util.h"

#define PAGE 4096u
#define RING_PAGES 8u /* data; a power of two. 1,365 faults between two calls fit */
#define RING_BYTES (RING_PAGES * PAGE)

static struct perf_event_mmap_page *ring_of(struct fault_log *log)
{
	return log->ring;
}

void faults_open(struct fault_log *log, pid_t tid)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_PAGE_FAULTS,
		.sample_period = 1,
		.sample_type = PERF_SAMPLE_TIME | PERF_SAMPLE_ADDR,
		.watermark = 1,
		.wakeup_watermark = UINT32_MAX, /* nobody waits for it */
	};

	log->ring = NULL;
	log->fd = (int)syscall(SYS_perf_event_open, &attr, tid, -1, -1, PERF_FLAG_FD_CLOEXEC);
	log->with_kernel = log->fd >= 0;
	if (log->fd < 0) {
		/* Without privileges: those of the program itself, not those that system calls have on its behalf. */
		attr.exclude_kernel = 1;
		log->fd = (int)syscall(SYS_perf_event_open, &attr, tid, -1, -1, PERF_FLAG_FD_CLOEXEC);
	}
	if (log->fd < 0)
		return;
	log->ring = mmap(NULL, PAGE + RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, log->fd, 0);
	if (log->ring == MAP_FAILED) {
		close(log->fd);
		log->fd = -1;
		log->ring = NULL;
	}
}

void faults_close(struct fault_log *log)
{
	if (log->ring)
		munmap(log->ring, PAGE + RING_BYTES);
	if (log->fd >= 0)
		close(log->fd);
	log->ring = NULL;
	log->fd = -1;
}

void faults_add(struct fault_list *list, struct fault fault)
{
	if (list->nr == list->cap) {
		list->cap = list->cap ? list->cap * 2 : 256;
		list->fault = tool_realloc(list->fault, list->cap * sizeof(*list->fault));
	}
	list->fault[list->nr++] = fault;
}

static void copy_out(const char *data, uint64_t at, void *to, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		((char *)to)[i] = data[(at + i) % RING_BYTES];
}

bool faults_read(struct fault_log *log, struct fault_list *list)
{
	struct perf_event_mmap_page *ring = ring_of(log);
	struct perf_event_header header;
	uint64_t head, tail, sample[2];
	const char *data;
	bool whole = log->with_kernel;

	if (!ring)
		return false;
	data = (const char *)ring + PAGE;
	head = __atomic_load_n(&ring->data_head, __ATOMIC_ACQUIRE);
	for (tail = ring->data_tail; tail < head; tail += header.size) {
		copy_out(data, tail, &header, sizeof(header));
		if (header.size < sizeof(header))
			return false;
		if (header.type == PERF_RECORD_LOST)
			whole = false;
		if (header.type != PERF_RECORD_SAMPLE)
			continue;
		copy_out(data, tail + sizeof(header), sample, sizeof(sample));
		faults_add(list, (struct fault){ sample[0], sample[1] & ~(uint64_t)(PAGE - 1), sample[0] });
	}
	__atomic_store_n(&ring->data_tail, head, __ATOMIC_RELEASE);
	return whole;
}
