/* SPDX-License-Identifier: MIT */
/*
 * RAM that costs the host next to nothing while nobody looks at it, so that gigabytes of it can be full: of a frame that
 * holds one word over and over that word is kept, and the host gets the page back. The next store, or access through the
 * window, finds the frame filled again.
 *
 *	frame     |w|w|w|w|...|w|        packed    w, and no page of the host's
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>

#include "internal.h"

#define WORDS (MACHINE_PAGE / 8)

static uint64_t *words_of(struct machine *m, quire_pfn_t pfn)
{
	return (uint64_t *)(void *)(m->ram + (pfn << MACHINE_PAGE_SHIFT));
}

void machine_unpack(struct machine *m, quire_pfn_t pfn)
{
	uint64_t *at = words_of(m, pfn), word = m->packed[pfn];
	unsigned i;

	lock(&m->pack_lock);
	if (quire_load(&m->frame[pfn]) & FRAME_PACKED) {
		for (i = 0; i < WORDS; i++)
			__atomic_store_n(&at[i], word, __ATOMIC_RELAXED);
		(void)quire_fetch_and(&m->frame[pfn], (uint8_t)~FRAME_PACKED);
	}
	unlock(&m->pack_lock);
}

/* Loads leave the frame packed: who reads all of memory does not fill the host's. */
unsigned char *machine_packed_bytes(struct machine *m, struct machine_cpu *cpu, quire_pfn_t pfn,
				    unsigned which)
{
	uint64_t *to = cpu->seen[which];
	unsigned i;

	for (i = 0; i < WORDS; i++)
		to[i] = m->packed[pfn];
	return (unsigned char *)to;
}

static bool pack(struct machine *m, quire_pfn_t pfn)
{
	const uint64_t *at = words_of(m, pfn), word = at[0];
	unsigned i;

	for (i = 1; i < WORDS; i++) {
		if (at[i] != word)
			return false;
	}
	m->packed[pfn] = word;
	return true;
}

static void give_back(struct machine *m, quire_pfn_t first, quire_pfn_t end)
{
	if (first < end &&
	    fallocate(machine_window_memory(m), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      (off_t)(first << MACHINE_PAGE_SHIFT),
		      (off_t)((end - first) << MACHINE_PAGE_SHIFT)))
		machine_die("the host does not take memory back: %s", strerror(errno));
}

/* What is free has nothing in it that anybody may rely on; what was never out has no page. */
uint64_t machine_pack(struct machine *m)
{
	quire_pfn_t pfn, run = 0, end = 0;
	uint64_t packed = 0;

	if (!m->window)
		machine_die("RAM of a machine without a window is not packed");
	if (!m->packed)
		m->packed = machine_map_sparse(m->nr_frames * sizeof(*m->packed));
	if (!m->packed)
		return 0;
	machine_window_forget(m);
	for (pfn = m->direct_bytes >> MACHINE_PAGE_SHIFT; pfn < m->nr_frames; pfn++) {
		uint8_t frame = quire_load(&m->frame[pfn]);

		if (!(frame & FRAME_DIRTY) || (frame & FRAME_PACKED))
			continue;
		if (frame & FRAME_ALLOCATED) {
			if (!pack(m, pfn))
				continue;
			packed++;
		}
		if (pfn != end) {
			give_back(m, run, end);
			run = pfn;
		}
		end = pfn + 1;
		quire_store(&m->frame[pfn],
			    (uint8_t)(frame & FRAME_ALLOCATED ? frame | FRAME_PACKED
							      : frame & ~FRAME_DIRTY));
	}
	give_back(m, run, end);
	return packed;
}
