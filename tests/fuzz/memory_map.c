/* SPDX-License-Identifier: MIT */
/*
 * Bytes as what a firmware says of its memory: ranges in any order, that overlap, end before they begin, lie beyond all
 * addresses. quire_init() refuses them or comes up; then pages are taken and given back until nothing is
 * left, and every frame that was handed out must have been usable and not reserved.
 *
 *	byte 0          zones; 0x80 CPUs, 0x40 any zones, 0x20 distances, 0x10 high memory, 8 nodes, each with bytes of its own;
 *	                then, a range, 7 bytes: kind, shape and node, place, length
 *
 * A machine of its own: one CPU, and as much address space of the host's as the ranges may reach; only what is touched costs.
 */
#include "fuzz.h"

#include <quire/quire.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 0x1000ull
#define MOST_RANGES 24
#define HOST_BYTES (1ull << 42) /* physical memory that there can be */

struct host {
	struct quire q;
	struct quire_range map[MOST_RANGES];
	size_t nr;
	uint64_t out; /* frames handed out */
	uint64_t high; /* where the direct map ends; 0: nowhere */
	const char *report;
};

static unsigned char *ram;

static struct host *host_of(struct quire *q)
{
	return q->host;
}

/* ---- The port ---------------------------------------------------------------------------- */

void *quire_port_phys_to_virt(struct quire *q, quire_paddr_t pa)
{
	if (host_of(q)->high && pa >= host_of(q)->high)
		fuzz_fail("a pointer to high memory, %#llx", (unsigned long long)pa);
	return (void *)((uintptr_t)ram + pa);
}

static void *kmap(struct quire *q, struct quire_page *page)
{
	uint64_t pa = quire_page_to_pfn(q, page) * PAGE;

	if (!host_of(q)->high || pa < host_of(q)->high)
		fuzz_fail("a kmap of low memory, %#llx", (unsigned long long)pa);
	return (void *)((uintptr_t)ram + pa);
}

static void kunmap(struct quire *q, void *ptr)
{
	(void)q;
	(void)ptr;
}

/* Usable, reserved by none, and of one node, which is the one that the pages say. */
static bool is_usable(const struct host *h, uint64_t from, uint64_t to, unsigned node)
{
	bool usable = false;

	for (; from < to; from += PAGE) {
		usable = false;
		for (size_t i = 0; i < h->nr; i++) {
			const struct quire_range *r = &h->map[i];

			if (r->kind == QUIRE_RANGE_USABLE && r->start <= from && from + PAGE <= r->end && r->node == node)
				usable = true;
		}
		for (size_t i = 0; i < h->nr; i++) {
			const struct quire_range *r = &h->map[i];

			if (r->kind == QUIRE_RANGE_RESERVED && r->start < r->end && r->start < from + PAGE &&
			    from < r->end)
				return false;
		}
		if (!usable)
			return false;
	}
	return usable;
}

void quire_port_frames(struct quire *q, quire_pfn_t pfn, unsigned order, bool allocated)
{
	struct host *h = host_of(q);
	const struct quire_page *page = quire_pfn_to_page(q, pfn);

	if (pfn == 0 || !page || !is_usable(h, pfn * PAGE, (pfn + (1ull << order)) * PAGE, quire_page_node(page)))
		fuzz_fail("frames %#llx, order %u: not memory", (unsigned long long)pfn, order);
	if (quire_page_is_high(page) != (h->high && pfn * PAGE >= h->high))
		fuzz_fail("frames %#llx, order %u: high or not?", (unsigned long long)pfn, order);
	h->out += allocated ? 1ull << order : -(1ull << order);
}

unsigned quire_port_cpu(struct quire *q)
{
	(void)q;
	return 0;
}

unsigned long quire_port_irq_save(struct quire *q)
{
	(void)q;
	return 0;
}

void quire_port_irq_restore(struct quire *q, unsigned long flags)
{
	(void)q;
	(void)flags;
}

void quire_port_preempt_disable(struct quire *q)
{
	(void)q;
}

void quire_port_preempt_enable(struct quire *q)
{
	(void)q;
}

void quire_port_wait(struct quire *q, const uint32_t *word, uint32_t value)
{
	(void)q;
	if (*word == value)
		fuzz_fail("it waits, and there is nobody else");
}

void quire_port_wake(struct quire *q, const uint32_t *word, unsigned n)
{
	(void)q;
	(void)word;
	(void)n;
}

void quire_port_tlb_flush(struct quire *q, const struct quire_tlb_flush *flush)
{
	(void)q;
	(void)flush;
}

void quire_port_report(struct quire *q, const char *what, const char *where, uint64_t value)
{
	(void)where;
	(void)value;
	host_of(q)->report = what;
}

/* ---- Ranges ------------------------------------------------------------------------------ */

static void take_range(struct bytes *b, struct quire_range *r, bool nodes)
{
	uint8_t shape = take8(b);
	uint64_t place = take16(b), low = take16(b), len = take16(b);

	r->kind = shape & 1 ? QUIRE_RANGE_USABLE : QUIRE_RANGE_RESERVED;
	r->node = nodes ? shape >> 4 & 7 : 0;
	switch (shape >> 1 & 7) {
	case 0: /* anywhere below 4 GiB, to the byte */
		r->start = place << 16 | low;
		r->end = r->start + (len << 6);
		break;
	case 1: /* whole pages, low down */
	case 2:
	case 3:
		r->start = (place & 0xfff) << 12;
		r->end = r->start + ((len & 0x1fff) << 12);
		break;
	case 4: /* far up */
		r->start = place << 26;
		r->end = r->start + ((len & 0x3fff) << 12);
		break;
	case 5: /* ends before it begins */
		r->start = place << 12;
		r->end = low << 10;
		break;
	case 6: /* beyond all */
		r->start = place << 36;
		r->end = r->start + (low << 40) + len;
		break;
	default:
		r->start = take64(b);
		r->end = take64(b);
		if (shape & 0x80)
			r->kind = (enum quire_range_kind)(shape >> 4);
	}
	/* What the host can't back is not called memory; refused it must be all the same where it is nonsense. */
	if (r->kind == QUIRE_RANGE_USABLE && r->end > HOST_BYTES && r->end <= 1ull << 52 && r->start <= r->end)
		r->kind = QUIRE_RANGE_RESERVED;
	/* Nor more than is worth it. */
	if (r->kind == QUIRE_RANGE_USABLE && r->end > r->start && r->end - r->start > 64u << 20 && r->end <= 1ull << 52)
		r->end = r->start + (64u << 20);
}

/* ---- All of it used ---------------------------------------------------------------------- */

#define MOST_BLOCKS 4096

static void use_all(struct host *h, struct bytes *b)
{
	static struct quire_page *block[MOST_BLOCKS];
	static uint8_t order[MOST_BLOCKS];
	struct quire *q = &h->q;
	unsigned nr = 0;
	uint8_t how = take8(b);
	uint64_t before = quire_free_pages(q);
	quire_gfp_t gfp;

	while (nr < MOST_BLOCKS) {
		order[nr] = (uint8_t)((how + nr) % (QUIRE_MAX_ORDER + 2));
		gfp = how & 0x80 ? QUIRE_GFP_DMA : how & 0x20 ? QUIRE_GFP_HIGHUSER : 0;
		if (how & 0x40)
			gfp |= QUIRE_GFP_ZERO;
		block[nr] = how & 0x10 ? quire_page_alloc_mask(q, how % q->pages.nr_nodes, ~0u << (how & 3), gfp, order[nr])
				       : quire_page_alloc(q, gfp, order[nr]);
		if (!block[nr] && order[nr] <= 1)
			break;
		nr += block[nr] != NULL;
		how += 3;
	}
	fuzz_check(quire_page_check(q));
	while (nr--)
		quire_page_free(q, block[nr], order[nr]);
	fuzz_check(quire_page_check(q));
	if (quire_free_pages(q) != before)
		fuzz_fail("%llu pages were free, %llu are", (unsigned long long)before, (unsigned long long)quire_free_pages(q));
}

static void try_space(struct host *h)
{
	struct quire_mm *mm;

	if (quire_mm_create(&h->q, NULL, &mm))
		return;
	(void)quire_mmap(mm, 0x10000000, 16 * PAGE, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
			 QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED | QUIRE_MAP_POPULATE, NULL, 0);
	fuzz_check(quire_mm_check(mm));
	quire_mmput(mm);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct host h;
	static uint8_t distance[64];
	struct bytes b = { data, data + size };
	uint8_t first = take8(&b);
	struct quire_config config = {
		.nr_cpus = first & 0x80 ? take8(&b) : 1,
		.fmt = &quire_pgfmt_x86_64,
		.map = h.map,
		.zones = first & 0x40 ? take8(&b) : (first & 7) | 1u << QUIRE_ZONE_NORMAL,
	};
	int err;

	if (!ram) {
		ram = mmap(NULL, HOST_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (ram == MAP_FAILED)
			abort();
	}
	memset(&h, 0, sizeof(h));
	h.q.host = &h;
	if (first & 8)
		config.nr_nodes = take8(&b) % 12;
	if (first & 0x10) {
		h.high = (uint64_t)take16(&b) << 16;
		if (!(first & 7)) /* within a frame */
			h.high |= take8(&b);
		config.high_memory = h.high;
		config.zones |= 1u << QUIRE_ZONE_HIGHMEM;
	}
	if (first & 0x20) {
		for (size_t i = 0; i < sizeof(distance); i++)
			distance[i] = i % (config.nr_nodes + 1) && take8(&b) % 16 ? (uint8_t)(11 + take8(&b)) : 10;
		config.node_distance = distance;
	}
	for (h.nr = 0; bytes_left(&b) && h.nr < MOST_RANGES; h.nr++)
		take_range(&b, &h.map[h.nr], first & 8);
	config.nr_ranges = h.nr;
	err = quire_init(&h.q, &config);
	if (err && err != -QUIRE_EINVAL && err != -QUIRE_ENOMEM)
		fuzz_fail("quire_init: %d", err);
	if (!err) {
		h.q.pages.kmap_local = kmap;
		h.q.pages.kunmap_local = kunmap;
		b = (struct bytes){ data, data + size };
		use_all(&h, &b);
		try_space(&h);
		fuzz_check(quire_exit(&h.q));
	}
	if (h.report)
		fuzz_fail("reported: %s", h.report);
	for (size_t i = 0; i < h.nr; i++) {
		const struct quire_range *r = &h.map[i];

		if (r->kind == QUIRE_RANGE_USABLE && r->start < r->end && r->end <= HOST_BYTES)
			(void)madvise(ram + (r->start & ~(PAGE - 1)), r->end - (r->start & ~(PAGE - 1)), MADV_DONTNEED);
	}
	return 0;
}
