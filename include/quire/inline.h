/* SPDX-License-Identifier: MIT */
/*
 * Bodies of functions that are too small to be called: quire.h includes this, so that in release
 * builds whoever sees struct quire has them inlined. Each is in the library too, under the same name
 * (src/base/grace.c and src/page/page.c, which ask for it with QUIRE_EMIT_*), for debug builds, for builds without
 * optimisation and for other languages. What they do is said where they are declared, in base.h and page.h.
 */
#ifndef QUIRE_INLINE_H
#define QUIRE_INLINE_H

#include <quire/quire.h>

#if defined(QUIRE_EMIT_GRACE) || defined(QUIRE_EMIT_PAGE)
#define QUIRE_INLINE
#else
/* A body for the optimiser alone; never emitted. */
#define QUIRE_INLINE extern inline __attribute__((gnu_inline))
#endif

#if defined(QUIRE_EMIT_GRACE) || (!QUIRE_DEBUG && !defined(QUIRE_EMIT_PAGE))

/*
 * Grace periods; why it is right stands in src/base/grace.c.
 *
 * The stamp is written with release, so that what an earlier section on this CPU did is seen by whoever reads
 * the stamp of this one; then comes a full fence. On x86 one exchange is both, at half the price.
 */
QUIRE_INLINE void quire_grace_enter(struct quire *q)
{
	struct quire_grace_cpu *c;

	quire_port_preempt_disable(q);
	c = &q->grace.cpu[quire_port_cpu(q)];
	quire_store(&c->nesting, quire_load(&c->nesting) + 1);
	quire_compiler_fence();
	if (quire_likely(quire_load(&c->epoch) == 0)) {
		uint64_t epoch = quire_load_acquire(&q->grace.epoch);

#if defined(__i386__) || defined(__x86_64__) || defined(QUIRE_TSAN)
		(void)quire_exchange(&c->epoch, epoch);
#else
		quire_store_release(&c->epoch, epoch);
		quire_fence();
#endif
	}
}

QUIRE_INLINE void quire_grace_leave(struct quire *q)
{
	struct quire_grace_cpu *c = &q->grace.cpu[quire_port_cpu(q)];
	uint32_t nesting = quire_load(&c->nesting) - 1;

	quire_assert(q, nesting != UINT32_MAX);
	quire_store(&c->nesting, nesting);
	quire_compiler_fence();
	if (quire_likely(nesting == 0))
		quire_store_release(&c->epoch, 0);
	quire_port_preempt_enable(q);
}

#endif

#if defined(QUIRE_EMIT_PAGE) || (!QUIRE_DEBUG && !defined(QUIRE_EMIT_GRACE))

QUIRE_INLINE struct quire_page *quire_pfn_to_page(struct quire *q, quire_pfn_t pfn)
{
	const struct quire_pages *p = &q->pages;
	uintptr_t offset = (uintptr_t)(pfn - p->first_pfn), section;
	struct quire_page *page;

	/* Of a frame below it is huge, and so out of the span, which is not more than a word counts. */
	if (quire_unlikely(pfn - p->first_pfn >= p->span_pages))
		return NULL;
	section = p->section_map[offset >> p->section_shift];
	if (quire_unlikely(section == 0))
		return NULL;
	page = &p->map[((section - 1) << p->section_shift) +
		       (offset & (((uintptr_t)1 << p->section_shift) - 1))];
	/* That bit never changes, so whatever else of the word does. */
	return quire_likely((quire_peek(&page->flags) & QUIRE_PG_ABSENT) == 0) ? page : NULL;
}

QUIRE_INLINE quire_pfn_t quire_page_to_pfn(struct quire *q, const struct quire_page *page)
{
	const struct quire_pages *p = &q->pages;
	uintptr_t place = (uintptr_t)(page - p->map);

	quire_assert(q, place < p->nr_map);
	return p->first_pfn + ((uintptr_t)p->section_at[place >> p->section_shift] << p->section_shift) +
	       (place & (((uintptr_t)1 << p->section_shift) - 1));
}

QUIRE_INLINE void *quire_page_to_virt(struct quire *q, const struct quire_page *page)
{
	quire_paddr_t pa = quire_page_to_pfn(q, page) << QUIRE_PAGE_SHIFT;

	quire_assert(q, pa < q->pages.high_memory);
	return (void *)(q->pages.direct + (uintptr_t)pa);
}

QUIRE_INLINE struct quire_page *quire_virt_to_page(struct quire *q, const void *ptr)
{
	quire_paddr_t pa = (uintptr_t)ptr - q->pages.direct;

	return quire_likely(pa < q->pages.high_memory) ? quire_pfn_to_page(q, pa >> QUIRE_PAGE_SHIFT) : NULL;
}

/*
 * What is mapped for good needs no kmap; debug builds let the port see that nobody sleeps in it. The direct map's pointers
 * and the kmaps' lie apart, so a pointer says whose it is.
 */
QUIRE_INLINE void *quire_page_kmap(struct quire *q, struct quire_page *page)
{
	quire_paddr_t pa = quire_page_to_pfn(q, page) << QUIRE_PAGE_SHIFT;

	if (QUIRE_DEBUG)
		quire_port_preempt_disable(q);
	return quire_likely(pa < q->pages.high_memory) ? (void *)(q->pages.direct + (uintptr_t)pa)
						       : quire_page_kmap_high(q, page);
}

QUIRE_INLINE void quire_page_kunmap(struct quire *q, void *ptr)
{
	if (quire_unlikely((uintptr_t)ptr - q->pages.direct >= q->pages.high_memory))
		quire_page_kunmap_high(q, ptr);
	if (QUIRE_DEBUG)
		quire_port_preempt_enable(q);
}

#endif

#endif
