/* SPDX-License-Identifier: MIT */
/*
 * The kernel's addresses as a window of host addresses: the kernel's code is C that follows pointers, so
 * here the host's MMU plays the machine's.
 *
 *	RAM, a memory file         m->ram: all of it, the bus       the window: what the kernel's tables map
 *	+-----------+              +-----------+                    +-----------+ 4 GiB
 *	|  frame n  | <----------- |           |        .---------- |           | vmalloc, kmaps, fixmap
 *	|           |              |           |       /            |  nothing  |
 *	|  frame 1  | <----------- |           | <----'             +-----------+ high_memory
 *	|  frame 0  | <----------- |           | <----------------- |           | direct map
 *	+-----------+              +-----------+                    +-----------+ 3 GiB
 *
 * At first nothing of the window is mapped for the host. An access there is SIGSEGV: the handler walks the
 * simulated tables as a processor does, and maps the frame, or the large leaf, with the leaf's rights. That host
 * mapping is the kernel's TLB entry. It stays, however stale, until a flush names it; then the next access walks again.
 *
 * Threads share host mappings and CPUs are threads. So an entry notes the CPUs that have walked for it, and goes
 * when all of them have flushed it: whoever forgets to flush one of these CPUs leaves the entry to all. What this
 * cannot see: a CPU that has used another's entry and never walked itself needs no flush. There is no cache of upper
 * tables for kernel addresses. And a hit is the host's own, so nothing can look at it.
 *
 * The handler runs as if the access had called it, so it may do what the code with the access may do. It may take
 * window.lock, as nobody touches the window who has it; and no CPU's lock, as user memory is copied to and
 * from kernel pointers under that.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "internal.h"

#define GIB (UINT64_C(1) << 30)

/* A 64-bit kernel's vmalloc area has terabytes; nobody needs them here. */
#define VMALLOC_MOST (64 * GIB)

/* Pointers have the alignment that blocks of pages have. */
#define HOST_ALIGN ((uint64_t)MACHINE_PAGE << QUIRE_MAX_ORDER)

/*
 * Of all machines of the process. Linux lets a process have 65,530 stretches of addresses (vm.max_map_count), an entry
 * between nothing and nothing takes two, and others want some. A TLB may always forget.
 */
#define MOST_ENTRIES 24000u

static uint32_t entries_everywhere; /* atomic */

/* One leaf, or as much of it as lies in the region and in RAM. */
struct window_entry {
	struct window_region *region;
	quire_kaddr_t start;
	uint64_t pages;
	quire_pfn_t pfn;
	uint64_t cpus; /* which have walked for it and not flushed it */
	uint8_t rights, shift;
};

/* Kernel addresses [start, end) at host addresses; behind them, up to host_bytes, nothing is ever mapped. */
struct window_region {
	quire_kaddr_t start, end;
	unsigned char *host;
	uint64_t host_bytes;
	uint32_t *slot; /* by page: 1 + the number of the entry that begins there; 0: none */
};

#define MOST_REGIONS 3

/*
 * Equations (machine_window_check()):
 *   slot[] of an entry's first page names it
 *   an entry is some CPU's
 *   an entry gives what the kernel's tables give, or less
 */
struct window {
	struct machine_lock lock; /* of entries, slots, kernel, counters */
	struct quire_kva_layout layout;
	int memory; /* the file that is RAM */
	struct window_region region[MOST_REGIONS];
	unsigned nr_regions;
	bool booting;		   /* no tables: the direct map is there, and nothing else */
	struct machine_cpu kernel; /* as a CPU that has the kernel's root, and no space */
	struct window_entry *entry;
	uint32_t nr_entries;
	uint64_t walks, faults;
};

/* ---- Layout ------------------------------------------------------------------------------ */

uint64_t machine_window_high_memory(const struct quire_pgfmt *fmt, uint64_t ram_bytes)
{
	return fmt->va_bits == 32 && ram_bytes > QUIRE_LOWMEM_MAX ? QUIRE_LOWMEM_MAX : 0;
}

int machine_window_layout(const struct quire_pgfmt *fmt, uint64_t ram_bytes, uint64_t high_memory,
			  unsigned nr_cpus, struct quire_kva_layout *layout)
{
	const uint64_t low = high_memory && high_memory < ram_bytes ? high_memory : ram_bytes;
	int err = quire_kva_layout_init(layout, fmt, low, fmt->va_bits == 32 && low < ram_bytes,
					nr_cpus);

	if (!err && layout->vmalloc_end - layout->vmalloc_start > VMALLOC_MOST)
		layout->vmalloc_end = layout->vmalloc_start + VMALLOC_MOST;
	return err;
}

static bool is_within(quire_kaddr_t addr, quire_kaddr_t start, quire_kaddr_t end)
{
	return addr >= start && addr < end;
}

static bool is_direct(const struct window *w, quire_kaddr_t addr)
{
	return is_within(addr, w->layout.page_offset, w->layout.high_memory);
}

static bool is_pkmap(const struct window *w, quire_kaddr_t addr)
{
	const struct quire_kva_layout *l = &w->layout;

	return is_within(addr, l->pkmap_base,
			 l->pkmap_base + ((uint64_t)l->nr_pkmaps << MACHINE_PAGE_SHIFT));
}

static bool is_vmalloc(const struct window *w, quire_kaddr_t addr)
{
	return is_within(addr, w->layout.vmalloc_start, w->layout.vmalloc_end);
}

static const char *part_of(const struct window *w, quire_kaddr_t addr)
{
	const struct quire_kva_layout *l = &w->layout;

	if (is_direct(w, addr))
		return "in the direct map";
	if (is_vmalloc(w, addr))
		return "in the vmalloc area";
	if (is_pkmap(w, addr))
		return "in the pkmap";
	if (is_within(addr, l->fixaddr_start, l->fixaddr_top))
		return "in the fixmap";
	if (is_within(addr, l->high_memory, l->high_memory + QUIRE_VMALLOC_OFFSET))
		return "in the hole behind the direct map";
	if (is_within(addr, l->vmalloc_end, l->vmalloc_end + 2 * MACHINE_PAGE))
		return "behind the vmalloc area";
	return "in no part of the layout";
}

/* ---- Building ---------------------------------------------------------------------------- */

/*
 * Not through libc for what happens on a fault: a sanitizer that stands before it would take the mapping for new
 * memory, and forget, or report, what it knows of the addresses.
 */
static bool host_map(unsigned char *at, uint64_t bytes, int prot, int flags, int fd,
		     uint64_t offset)
{
	return syscall(SYS_mmap, at, bytes, prot, flags | MAP_FIXED | MAP_NORESERVE, fd, offset) !=
	       -1;
}

static void host_unmap(unsigned char *at, uint64_t bytes)
{
	if (!host_map(at, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
		machine_die("the host cannot unmap a part of the window: %s", strerror(errno));
}

static uint64_t region_pages(const struct window_region *r)
{
	return (r->end - r->start) >> MACHINE_PAGE_SHIFT;
}

static bool add_region(struct window *w, quire_kaddr_t start, quire_kaddr_t end, uint64_t beyond)
{
	struct window_region *r = &w->region[w->nr_regions];
	uint64_t bytes = end - start > beyond ? end - start : beyond, align;
	unsigned char *at;

	at = mmap(NULL, bytes + HOST_ALIGN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		  -1, 0);
	if (at == MAP_FAILED)
		return false;
	align = -(uintptr_t)at & (HOST_ALIGN - 1);
	if (align)
		munmap(at, align);
	if (align != HOST_ALIGN)
		munmap(at + align + bytes, HOST_ALIGN - align);
	*r = (struct window_region){
		.start = start, .end = end, .host = at + align, .host_bytes = bytes};
	w->nr_regions++;
	r->slot = machine_map_sparse(region_pages(r) * sizeof(*r->slot));
	return r->slot;
}

/*
 * A 32-bit kernel's gigabyte is one piece. Of a 64-bit kernel's addresses there are three: direct map, vmalloc area,
 * and the last two gigabytes before the fixmap's end, where its image may be. A pointer to a frame beyond the direct
 * map, made by adding, is one behind the first.
 */
static bool add_regions(struct window *w, const struct quire_pgfmt *fmt, uint64_t ram_bytes)
{
	const struct quire_kva_layout *l = &w->layout;
	quire_kaddr_t image = l->fixaddr_start & ~(2 * GIB - 1);

	if (fmt->va_bits == 32)
		return add_region(w, l->page_offset, 4 * GIB, ram_bytes);
	if (image < l->vmalloc_end && l->fixaddr_top > l->vmalloc_start)
		image = l->fixaddr_start;
	return add_region(w, l->page_offset, l->high_memory, ram_bytes) &&
	       add_region(w, l->vmalloc_start, l->vmalloc_end, 0) &&
	       add_region(w, image, l->fixaddr_top, 0);
}

/* Which host addresses are whose: read by the handler without a lock. */
#define MOST_PLACES 64

struct place {
	uint64_t start, end;
	struct machine *machine; /* NULL: free */
};

static struct place places[MOST_PLACES];
static struct machine_lock places_lock;

static void remove_places(const struct machine *m)
{
	unsigned i;

	lock(&places_lock);
	for (i = 0; i < MOST_PLACES; i++) {
		if (places[i].machine == m)
			quire_store_release(&places[i].machine, (struct machine *)NULL);
	}
	unlock(&places_lock);
}

static bool add_places(struct machine *m)
{
	struct window *w = m->window;
	unsigned i, added = 0;

	lock(&places_lock);
	for (i = 0; i < MOST_PLACES && added < w->nr_regions; i++) {
		if (places[i].machine)
			continue;
		quire_store(&places[i].start, (uint64_t)(uintptr_t)w->region[added].host);
		quire_store(&places[i].end, (uint64_t)(uintptr_t)w->region[added].host +
						    w->region[added].host_bytes);
		quire_store_release(&places[i].machine, m);
		added++;
	}
	unlock(&places_lock);
	return added == w->nr_regions;
}

static struct machine *machine_at(uint64_t host)
{
	struct machine *m;
	unsigned i;

	for (i = 0; i < MOST_PLACES; i++) {
		m = quire_load_acquire(&places[i].machine);
		if (m && host >= quire_load(&places[i].start) && host < quire_load(&places[i].end))
			return m;
	}
	return NULL;
}

/* What a machine without tables has. */
static void map_direct(struct machine *m)
{
	struct window *w = m->window;

	if (!host_map(m->direct, m->direct_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, w->memory, 0))
		machine_die("the host cannot map the direct map: %s", strerror(errno));
}

bool machine_window_create(struct machine *m, const struct quire_pgfmt *fmt,
			   const struct quire_kva_layout *layout)
{
	struct window *w = machine_map_sparse(sizeof(*w));

	if (!w)
		return false;
	m->window = w;
	w->layout = *layout;
	w->kernel.mmu = machine_mmu(fmt);
	w->memory = memfd_create("machine", MFD_CLOEXEC);
	w->entry = machine_map_sparse(MOST_ENTRIES * sizeof(*w->entry));
	if (w->memory < 0 || !w->entry || ftruncate(w->memory, (off_t)m->ram_bytes) ||
	    !add_regions(w, fmt, m->ram_bytes) || !add_places(m))
		return false;
	m->ram = mmap(NULL, m->ram_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
		      w->memory, 0);
	if (m->ram == MAP_FAILED) {
		m->ram = NULL;
		return false;
	}
	m->direct = w->region[0].host;
	m->direct_bytes = layout->high_memory - layout->page_offset;
	machine_catch_faults();
	w->booting = true;
	map_direct(m);
	return true;
}

void machine_window_destroy(struct machine *m)
{
	struct window *w = m->window;
	unsigned i;

	if (!w)
		return;
	remove_places(m);
	for (i = 0; i < w->nr_regions; i++) {
		munmap(w->region[i].host, w->region[i].host_bytes);
		if (w->region[i].slot)
			munmap(w->region[i].slot,
			       region_pages(&w->region[i]) * sizeof(*w->region[i].slot));
	}
	if (w->entry)
		munmap(w->entry, MOST_ENTRIES * sizeof(*w->entry));
	if (w->memory >= 0)
		close(w->memory);
	munmap(w, sizeof(*w));
	m->window = NULL;
}

const struct quire_kva_layout *machine_layout(struct machine *m)
{
	if (!m->window)
		machine_die("a machine without a window has no kernel addresses");
	return &m->window->layout;
}

/* ---- Pointers ---------------------------------------------------------------------------- */

static struct window_region *region_of(struct window *w, quire_kaddr_t addr)
{
	unsigned i;

	for (i = 0; i < w->nr_regions; i++) {
		if (is_within(addr, w->region[i].start, w->region[i].end))
			return &w->region[i];
	}
	return NULL;
}

void *quire_port_kaddr_to_ptr(struct quire *q, quire_kaddr_t addr)
{
	struct machine *m = machine_of(q);
	struct window_region *r;

	if (!m->window)
		return (void *)(uintptr_t)addr;
	r = region_of(m->window, addr);
	if (!r)
		machine_die("no pointer leads to %#llx: it is outside the kernel's addresses",
			    (unsigned long long)addr);
	return r->host + (addr - r->start);
}

/* A pointer to something of the host's is no kernel address; the number it has is none either. */
quire_kaddr_t quire_port_ptr_to_kaddr(struct quire *q, const void *ptr)
{
	struct machine *m = machine_of(q);
	struct window *w = m->window;
	unsigned i;

	for (i = 0; w && i < w->nr_regions; i++) {
		uint64_t offset = (uintptr_t)ptr - (uintptr_t)w->region[i].host;

		if (offset < w->region[i].host_bytes)
			return w->region[i].start + offset;
	}
	return (uintptr_t)ptr;
}

/* ---- Entries; the lock is held ----------------------------------------------------------- */

static unsigned char *host_of(const struct window_entry *e)
{
	return e->region->host + (e->start - e->region->start);
}

static uint64_t last_of(const struct window_entry *e)
{
	return e->start + (e->pages << MACHINE_PAGE_SHIFT) - 1;
}

static uint32_t *slot_of(struct window_region *r, quire_kaddr_t addr)
{
	return &r->slot[(addr - r->start) >> MACHINE_PAGE_SHIFT];
}

/*
 * The direct map has every frame at all times: its entries forbid nobody to free one. Nor do those of permanent kmaps,
 * which stay when the last user has gone; users are looked for when a frame is freed (port.c).
 */
static bool may_outlive_page(const struct window *w, quire_kaddr_t addr)
{
	return is_direct(w, addr) || is_pkmap(w, addr);
}

static void refer_all(struct machine *m, const struct window_entry *e, int by)
{
	uint64_t i;

	for (i = 0; i < e->pages && !may_outlive_page(m->window, e->start); i++)
		machine_refer(m, e->pfn + i, by);
}

static void forget_all(struct machine *m)
{
	struct window *w = m->window;
	unsigned i;

	while (w->nr_entries) {
		struct window_entry *e = &w->entry[--w->nr_entries];

		(void)quire_fetch_sub(&entries_everywhere, 1u);
		*slot_of(e->region, e->start) = 0;
		refer_all(m, e, -1);
	}
	for (i = 0; i < w->nr_regions; i++)
		host_unmap(w->region[i].host, w->region[i].host_bytes);
}

/* The entry alone: the host goes on mapping what it says. */
static void drop(struct machine *m, struct window_entry *e)
{
	struct window *w = m->window;
	struct window_entry *last;

	*slot_of(e->region, e->start) = 0;
	refer_all(m, e, -1);
	(void)quire_fetch_sub(&entries_everywhere, 1u);
	last = &w->entry[--w->nr_entries];
	if (e != last) {
		*e = *last;
		*slot_of(e->region, e->start) = (uint32_t)(e - w->entry) + 1;
	}
}

static void forget(struct machine *m, struct window_entry *e)
{
	host_unmap(host_of(e), e->pages << MACHINE_PAGE_SHIFT);
	drop(m, e);
}

/* The entry over addr, of whatever size. */
static struct window_entry *find(struct window *w, struct window_region *r, quire_kaddr_t addr)
{
	unsigned level;

	for (level = 1; level <= machine_mmu_levels(w->kernel.mmu); level++) {
		unsigned shift = machine_mmu_shift(w->kernel.mmu, level);
		quire_kaddr_t start = addr >> shift << shift;
		uint32_t slot = *slot_of(r, start < r->start ? r->start : start);
		struct window_entry *e = slot ? &w->entry[slot - 1] : NULL;

		if (e && e->shift == shift && addr <= last_of(e))
			return e;
	}
	return NULL;
}

/* These CPUs have nothing of [start, last] any more; last included. */
static void forget_range(struct machine *m, quire_kaddr_t start, quire_kaddr_t last, uint64_t cpus)
{
	struct window *w = m->window;
	uint64_t pages = ((last - start) >> MACHINE_PAGE_SHIFT) + 1;
	struct window_entry *e;
	uint64_t i;

	if (pages <= w->nr_entries) {
		for (i = 0; i < pages; i++) {
			quire_kaddr_t addr = start + (i << MACHINE_PAGE_SHIFT);
			struct window_region *r = region_of(w, addr);

			e = r ? find(w, r, addr) : NULL;
			if (e && !(e->cpus &= ~cpus))
				forget(m, e);
		}
		return;
	}
	for (i = w->nr_entries; i-- > 0;) {
		e = &w->entry[i];
		if (e->start <= last && last_of(e) >= start && !(e->cpus &= ~cpus))
			forget(m, e);
	}
}

static int protection(uint8_t rights)
{
	int prot = PROT_READ;

	/* The first store must fault, for D to be set by a walk. */
	if ((rights & RIGHT_WRITE) && (rights & RIGHT_DIRTY))
		prot |= PROT_WRITE;
	if (rights & RIGHT_EXEC)
		prot |= PROT_EXEC;
	return prot;
}

static void enter(struct machine *m, struct machine_cpu *cpu, struct window_region *r,
		  quire_kaddr_t addr, const struct translation *t)
{
	struct window *w = m->window;
	uint64_t before = (addr & ((UINT64_C(1) << t->shift) - 1)) >> MACHINE_PAGE_SHIFT, skipped, i;
	struct window_entry new =
		{
			.region = r,
			.start = addr >> t->shift << t->shift,
			.pages = UINT64_C(1) << (t->shift - MACHINE_PAGE_SHIFT),
			.pfn = t->pfn - before,
			.cpus = UINT64_C(1) << cpu->number,
			.rights = t->rights,
			.shift = t->shift,
		},
			    *old;

	if (new.start < r->start) {
		skipped = (r->start - new.start) >> MACHINE_PAGE_SHIFT;
		new.start = r->start;
		new.pfn += skipped;
		new.pages -= skipped;
	}
	if (last_of(&new) > r->end - 1)
		new.pages = (r->end - new.start) >> MACHINE_PAGE_SHIFT;
	if (new.pfn + new.pages > m->nr_frames)
		new.pages = m->nr_frames - new.pfn;

	old = find(w, r, addr);
	if (old && old->start == new.start && old->shift == new.shift && old->pfn == new.pfn)
		new.cpus |= old->cpus;
	if (old && old->start == new.start && old->pages == new.pages)
		drop(m, old); /* what the host maps there is replaced in one step */
	else
		forget_range(m, new.start, last_of(&new), ~UINT64_C(0));
	if (quire_load(&entries_everywhere) >= MOST_ENTRIES && w->nr_entries)
		forget_all(m);
	for (i = 0; i < new.pages && new.pfn + i >= m->direct_bytes >> MACHINE_PAGE_SHIFT; i++)
		machine_reach(m, new.pfn + i);
	if (!host_map(host_of(&new), new.pages << MACHINE_PAGE_SHIFT, protection(new.rights),
		      MAP_SHARED, w->memory, new.pfn << MACHINE_PAGE_SHIFT))
		machine_die("the host cannot map a page: %s", strerror(errno));
	(void)quire_fetch_add(&entries_everywhere, 1u);
	w->entry[w->nr_entries++] = new;
	*slot_of(r, new.start) = w->nr_entries;
	refer_all(m, &new, 1);
}

/*
 * ThreadSanitizer does a release store itself, with locks of its own held: if that faults, the handler waits for ever.
 * Atomics are in the direct map, so there the TLB is filled ahead, as a processor's may be, after whatever
 * has emptied it. The lock is held.
 */
static void fill_ahead(struct machine *m, quire_kaddr_t start, quire_kaddr_t last)
{
	const uint64_t largest = UINT64_C(1) << (2 * MACHINE_PAGE_SHIFT - 2); /* or more than a leaf that a flush of one page may drop */
	struct window *w = m->window;
	const quire_kaddr_t end = w->layout.high_memory;
	quire_kaddr_t addr = start & ~(largest - 1);
	struct window_region *r;
	struct window_entry *e;
	struct translation t;

	if (!MACHINE_TSAN || w->booting)
		return;
	last |= largest - 1;
	if (addr < w->layout.page_offset)
		addr = w->layout.page_offset;
	r = region_of(w, addr);
	while (addr < end && addr <= last) {
		e = find(w, r, addr);
		if (!e && machine_walk_kernel(m, &w->kernel, addr, 0, &t) == WALK_OK) {
			enter(m, machine_this_cpu(m), r, addr, &t);
			e = find(w, r, addr);
		}
		addr = e ? last_of(e) + 1 : addr + MACHINE_PAGE;
	}
}

/* What this CPU walks: the root that it has loaded, unless the kernel has a register of its own for one. */
static const struct machine_cpu *walker(struct machine *m, const struct machine_cpu *cpu)
{
	return cpu->pt && !cpu->kernel_apart ? cpu : &m->window->kernel;
}

/* ---- Flushes ----------------------------------------------------------------------------- */

void machine_window_flush(struct machine *m, const struct quire_tlb_flush *flush)
{
	struct window *w = m->window;
	uint64_t last = flush->end == UINT64_MAX ? UINT64_MAX : flush->end - 1;

	if (!flush->kernel || flush->start > last)
		return;
	lock(&w->lock);
	forget_range(m, flush->start, last, flush->cpus ? flush->cpus[0] : ~UINT64_C(0));
	fill_ahead(m, flush->start, last);
	unlock(&w->lock);
}

void machine_window_flush_local(struct machine *m, const struct machine_cpu *cpu,
				quire_kaddr_t addr)
{
	struct window *w = m->window;
	struct window_region *r;
	struct translation t;

	addr = quire_page_down(addr);
	r = region_of(w, addr);
	lock(&w->lock);
	/*
	 * A processor may walk ahead of any access. Whoever asks for this flush has just set the entry, and will use it:
	 * to put its frame in the old one's place is one call to the host, where an access costs a signal and two.
	 */
	if (!w->booting && r && machine_look_kernel(m, walker(m, cpu), addr, &t) == WALK_OK &&
	    !(QUIRE_DEBUG && quire_load(&m->frame[t.pfn]) & FRAME_FREED))
		enter(m, machine_this_cpu(m), r, addr, &t);
	else
		forget_range(m, addr, addr, UINT64_C(1) << cpu->number);
	unlock(&w->lock);
}

void machine_load_kernel(struct machine *m, quire_paddr_t root)
{
	struct window *w = m->window;

	if (!w)
		machine_die("a machine without a window has no kernel tables");
	lock(&w->lock);
	if (!w->booting)
		machine_refer(m, w->kernel.root, -1);
	forget_all(m);
	w->kernel.root = root >> MACHINE_PAGE_SHIFT;
	w->booting = root == 0;
	if (w->booting) {
		map_direct(m);
	} else {
		machine_mmu_load(m, &w->kernel);
		machine_refer(m, w->kernel.root, 1);
		fill_ahead(m, 0, UINT64_MAX);
	}
	unlock(&w->lock);
}

int machine_window_memory(const struct machine *m)
{
	return m->window->memory;
}

void machine_window_forget(struct machine *m)
{
	lock(&m->window->lock);
	forget_all(m);
	fill_ahead(m, 0, UINT64_MAX);
	unlock(&m->window->lock);
}

/* ---- Faults ------------------------------------------------------------------------------ */

static bool walk(struct machine *m, struct machine_cpu *cpu, struct window_region *r,
		 quire_kaddr_t addr, unsigned want)
{
	struct window *w = m->window;
	struct translation t;
	bool ok = false;

	lock(&w->lock);
	if (!w->booting) {
		w->walks++;
		ok = machine_walk_kernel(m, walker(m, cpu), addr, want, &t) == WALK_OK;
		if (ok && QUIRE_DEBUG && !is_direct(w, addr) &&
		    (quire_load(&m->frame[t.pfn]) & FRAME_FREED)) {
			machine_report(m, "mmu: the kernel's tables map a freed frame", "window",
				       addr);
			ok = false;
		}
		if (ok)
			enter(m, cpu, r, addr, &t);
		else
			forget_range(m, addr, addr, UINT64_C(1) << cpu->number);
	}
	unlock(&w->lock);
	return ok;
}

/* Where a probe goes on whose access is a bad one. */
static _Thread_local sigjmp_buf *volatile probing;

/* As a kernel's page-fault handler: what the loaded space may lack of the kernel's tables, it gets, and tries again. */
static bool serve(struct machine *m, struct machine_cpu *cpu, struct window_region *r,
		  quire_kaddr_t addr, unsigned want)
{
	struct window *w = m->window;
	sigjmp_buf *outer = probing;
	int err;

	if (walk(m, cpu, r, addr, want))
		return true;
	if (w->booting || !cpu->pt)
		return false;
	/* It touches tables, in the direct map; if they are not there it is not for the probe to say so. */
	probing = NULL;
	err = quire_kernel_fault(cpu->pt, addr);
	probing = outer;
	lock(&w->lock);
	w->faults++;
	unlock(&w->lock);
	return !err && walk(m, cpu, r, addr, want);
}

static const char *what_is_wrong(struct machine *m, struct machine_cpu *cpu, quire_kaddr_t addr,
				 unsigned want)
{
	struct translation t;

	if (m->window->booting)
		return "the machine is coming up, and has the direct map alone";
	if (machine_look_kernel(m, walker(m, cpu), addr, &t) != WALK_OK)
		return "nothing is mapped there";
	if (want & ~(unsigned)t.rights)
		return want == RIGHT_WRITE ? "it is mapped read-only" : "it is not to be executed";
	return "what is mapped there is free";
}

static void bad_access(struct machine *m, struct machine_cpu *cpu, uint64_t host, unsigned want,
		       uint64_t code)
{
	quire_kaddr_t addr = quire_port_ptr_to_kaddr(&m->q, (const void *)(uintptr_t)host);

	if (probing)
		siglongjmp(*probing, 1);
	machine_die("CPU %u %s %#llx, %s: %s (by the instruction at %#llx)", cpu->number,
		    want == RIGHT_WRITE ? "stores to"
		    : want		? "executes"
					: "loads from",
		    (unsigned long long)addr, part_of(m->window, addr),
		    what_is_wrong(m, cpu, addr, want), (unsigned long long)code);
}

static struct sigaction before; /* us: where other faults go; under places_lock */

static void pass_on(int signo, siginfo_t *info, void *context)
{
	struct sigaction ending = {.sa_handler = SIG_DFL};

	if (before.sa_flags & SA_SIGINFO) {
		before.sa_sigaction(signo, info, context);
	} else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
		before.sa_handler(signo);
	} else {
		/* The access is made again and ends the process; a signal that was sent is sent again. */
		(void)sigaction(signo, &ending, NULL);
		if (info->si_code <= 0)
			(void)raise(signo);
	}
}

/* What the access was, from the processor's error code; elsewhere than on x86 it is guessed. */
static unsigned wanted(const ucontext_t *context, const siginfo_t *info, uint64_t *code)
{
#if defined(__x86_64__)
	const greg_t error = context->uc_mcontext.gregs[REG_ERR];

	(void)info;
	*code = (uint64_t)context->uc_mcontext.gregs[REG_RIP];
	return error & 16 ? RIGHT_EXEC : error & 2 ? RIGHT_WRITE : 0;
#else
	(void)context;
	*code = 0;
	/* Who may not do it although something is mapped there stores, as a rule. */
	return info->si_code == SEGV_ACCERR ? RIGHT_WRITE : 0;
#endif
}

static void on_fault(int signo, siginfo_t *info, void *context)
{
	const ucontext_t *interrupted = context;
	uint64_t host = (uintptr_t)info->si_addr, code;
	struct machine *m = info->si_code > 0 ? machine_at(host) : NULL;
	unsigned want = wanted(interrupted, info, &code);
	struct window_region *r;
	struct machine_cpu *cpu;
	quire_kaddr_t addr;
	int saved = errno;

	if (!m) {
		pass_on(signo, info, context);
		return;
	}
	/* Tables may be out of reach and fault in turn. A sanitizer blocks all signals whatever we ask for. */
	(void)sigprocmask(SIG_SETMASK, &interrupted->uc_sigmask, NULL);
	cpu = machine_this_cpu(m);
	addr = quire_port_ptr_to_kaddr(&m->q, info->si_addr);
	r = region_of(m->window, addr);
	if (!r || !serve(m, cpu, r, quire_page_down(addr), want))
		bad_access(m, cpu, host, want, code);
	errno = saved;
}

/* The host's mappings are shared by threads, and so is the handler: it stays once it is there. */
void machine_catch_faults(void)
{
	struct sigaction ours = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER},
			 now;

	lock(&places_lock);
	if (sigaction(SIGSEGV, NULL, &now))
		machine_die("sigaction: %s", strerror(errno));
	if (now.sa_sigaction != on_fault)
		before = now;
	(void)sigaction(SIGSEGV, &ours, NULL);
	unlock(&places_lock);
}

/* ---- Probes ------------------------------------------------------------------------------ */

static void check_probe(struct machine *m, const void *ptr, size_t len)
{
	uint64_t host = (uintptr_t)ptr;

	(void)machine_this_cpu(m);
	if (len && (machine_at(host) != m || machine_at(host + len - 1) != m))
		machine_die("a probe of %p, which is no kernel address", ptr);
}

/* Byte by byte, as a sanitizer must not be asked what it thinks of them. */
__attribute__((no_sanitize("address", "thread"), noinline)) static void
copy(volatile unsigned char *to, const volatile unsigned char *from, size_t len)
{
	while (len--)
		*to++ = *from++;
}

static int probe(volatile unsigned char *to, const volatile unsigned char *from, size_t len)
{
	sigjmp_buf *const outer = probing;
	sigjmp_buf here;

	/* The handler has no signals blocked that we have not. */
	if (sigsetjmp(here, 0)) {
		probing = outer;
		return -QUIRE_EFAULT;
	}
	probing = &here;
	copy(to, from, len);
	probing = outer;
	return 0;
}

int machine_probe_read(struct machine *m, const void *ptr, void *buf, size_t len)
{
	check_probe(m, ptr, len);
	return probe(buf, ptr, len);
}

int machine_probe_write(struct machine *m, void *ptr, const void *buf, size_t len)
{
	check_probe(m, ptr, len);
	return probe(ptr, buf, len);
}

int machine_probe_exec(struct machine *m, const void *ptr)
{
	struct machine_cpu *cpu = machine_this_cpu(m);
	struct window *w = m->window;
	struct window_region *r;
	struct window_entry *e;
	quire_kaddr_t addr;
	bool ok;

	check_probe(m, ptr, 1);
	addr = quire_page_down(quire_port_ptr_to_kaddr(&m->q, ptr));
	r = region_of(w, addr);
	if (!r)
		return -QUIRE_EFAULT;
	lock(&w->lock);
	e = find(w, r, addr);
	ok = e && (e->rights & RIGHT_EXEC);
	unlock(&w->lock);
	return ok || serve(m, cpu, r, addr, RIGHT_EXEC) ? 0 : -QUIRE_EFAULT;
}

/* ---- Looking on -------------------------------------------------------------------------- */

void machine_window_stats(struct machine *m, struct machine_stats *stats)
{
	lock(&m->window->lock);
	stats->kernel_walks = m->window->walks;
	stats->kernel_faults = m->window->faults;
	unlock(&m->window->lock);
}

/*
 * Against the kernel's own root, which has all that any root has. Entries of the vmalloc area go at once and are
 * flushed later, so there an entry may be one that the tables have no more; until then nobody has the
 * addresses again, so one that they have otherwise is wrong there too.
 */
static quire_broken_t check_entry(struct machine *m, const struct window_entry *e)
{
	struct window *w = m->window;
	uint64_t i = 0;

	while (i < e->pages) {
		quire_kaddr_t addr = e->start + (i << MACHINE_PAGE_SHIFT);
		struct translation t;
		uint64_t left;

		if (machine_look_kernel(m, &w->kernel, addr, &t) != WALK_OK) {
			if (!is_vmalloc(w, addr))
				return "machine: a kernel TLB entry's page is in the tables";
			i++;
			continue;
		}
		if (t.pfn != e->pfn + i)
			return "machine: a kernel TLB entry's frame is that of the tables";
		if (e->rights & ~t.rights)
			return "machine: a kernel TLB entry's rights are at most those of the tables";
		left = (UINT64_C(1) << t.shift) - (addr & ((UINT64_C(1) << t.shift) - 1));
		i += left >> MACHINE_PAGE_SHIFT;
	}
	return NULL;
}

quire_broken_t machine_window_check(struct machine *m)
{
	struct window *w = m->window;
	quire_broken_t broken = NULL;
	uint32_t i;

	lock(&w->lock);
	for (i = 0; i < w->nr_entries && !broken; i++) {
		const struct window_entry *e = &w->entry[i];

		if (*slot_of(e->region, e->start) != i + 1)
			broken = "machine: a kernel TLB entry's slot names it";
		else if (!e->cpus)
			broken = "machine: a kernel TLB entry is some CPU's";
		else
			broken = check_entry(m, e);
	}
	unlock(&w->lock);
	return broken;
}
