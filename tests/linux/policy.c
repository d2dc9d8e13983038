/* SPDX-License-Identifier: MIT */
/*
 * mbind, set_mempolicy, get_mempolicy, migrate_pages, move_pages: the same calls to the running Linux and to Quire, on a machine of
 * one node, as this one must be. Compared are answers, modes, masks, states of pages, after each call the areas, and now and then numa_maps. Every
 * mode with every flag and a few masks; then calls made by chance, from a fixed seed unless QUIRE_SEED says another.
 *
 * Exit: 77, with the reason, where the kernel has no such calls, or several nodes.
 */
#define _GNU_SOURCE
#include "../unit/space.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../tools/host.h"

#define PAGES 16u
#define MOST_MOVED 6u

enum op { MBIND, SET, GET, MIGRATE, MOVE, STORE, UNMAP, MAP };

struct call {
	enum op op;
	uint64_t page, len; /* in pages, in bytes */
	uint32_t mode, flags;
	uint64_t nodes, to;
	bool no_mask; /* NULL */
	uint64_t maxnode;
	unsigned nr;
	uint64_t at[MOST_MOVED];
	int node[MOST_MOVED];
};

struct answer {
	int64_t ret;
	uint32_t mode;
	uint64_t nodes;
	int status[MOST_MOVED];
	char areas[PAGES * 2 + 1];
};

static struct quire_task_policy task;
static uint64_t linux_base;

/* ---- The two ----------------------------------------------------------------------------- */

static uint64_t quire_addr(uint64_t page)
{
	return page ? BASE + (page - 1) * PAGE : 0; /* 0: no address */
}

static uint64_t linux_addr(uint64_t page)
{
	return page ? linux_base + (page - 1) * PAGE : 0;
}

static int64_t in_quire(const struct call *c, struct answer *a)
{
	uint64_t nodes = c->nodes, mask = a->nodes;
	quire_uaddr_t at[MOST_MOVED];
	uint64_t addr = quire_addr(c->page);
	int64_t ret;

	switch (c->op) {
	case MBIND:
		return quire_mbind(space.mm, addr, c->len, c->mode, c->no_mask ? NULL : &nodes,
				   c->maxnode, c->flags);
	case SET:
		return quire_set_mempolicy(space.q, &task, c->mode, c->no_mask ? NULL : &nodes,
					   c->maxnode);
	case GET:
		ret = quire_get_mempolicy(space.mm, &task, &a->mode, c->no_mask ? NULL : &mask,
					  c->maxnode, addr, c->flags);
		a->nodes = mask;
		return ret;
	case MIGRATE:
		return quire_migrate_pages(space.mm, space.mm, c->maxnode, &nodes, &c->to);
	case MOVE:
		for (unsigned i = 0; i < c->nr; i++)
			at[i] = quire_addr(c->at[i]) + i;
		return quire_move_pages(space.mm, space.mm, c->nr, at, c->no_mask ? NULL : c->node,
					a->status, c->flags);
	case STORE:
		set(addr, 7);
		return 0;
	case UNMAP:
		return quire_munmap(space.mm, addr, c->len);
	default:
		ret = quire_mmap(space.mm, addr, c->len, c->mode, c->flags | QUIRE_MAP_FIXED, NULL,
				 0);
		return ret < 0 ? ret : 0;
	}
}

static int64_t in_linux(const struct call *c, struct answer *a)
{
	uint64_t nodes = c->nodes, to = c->to, mask = a->nodes;
	char *addr = (char *)(uintptr_t)linux_addr(c->page);
	void *at[MOST_MOVED];
	int64_t ret = 0;

	switch (c->op) {
	case MBIND:
		ret = syscall(SYS_mbind, addr, c->len, (unsigned long)c->mode,
			      c->no_mask ? NULL : &nodes, c->maxnode, c->flags);
		break;
	case SET:
		ret = syscall(SYS_set_mempolicy, (int)c->mode, c->no_mask ? NULL : &nodes,
			      c->maxnode);
		break;
	case GET:
		ret = syscall(SYS_get_mempolicy, &a->mode, c->no_mask ? NULL : &mask, c->maxnode,
			      addr, (unsigned long)c->flags);
		a->nodes = mask;
		break;
	case MIGRATE:
		ret = syscall(SYS_migrate_pages, 0, c->maxnode, &nodes, &to);
		break;
	case MOVE:
		for (unsigned i = 0; i < c->nr; i++)
			at[i] = (char *)(uintptr_t)linux_addr(c->at[i]) + i;
		ret = syscall(SYS_move_pages, 0, (unsigned long)c->nr, at,
			      c->no_mask ? NULL : c->node, a->status, c->flags);
		break;
	case STORE:
		*(volatile char *)addr = 7;
		break;
	case UNMAP:
		ret = munmap(addr, c->len);
		break;
	default:
		if (mmap(addr, c->len, (int)c->mode, (int)c->flags | MAP_FIXED, -1, 0) ==
		    MAP_FAILED)
			ret = -1;
	}
	return ret == -1 ? -errno : ret;
}

/* A letter a page, the same for pages of one area. */
static void quire_areas(char *areas)
{
	char letter = 'a';

	for (uint64_t i = 0; i < PAGES; i++) {
		struct quire_vma *vma = area(space.mm, BASE + i * PAGE);

		if (vma && vma->start == BASE + i * PAGE)
			letter++;
		areas[i] = vma ? letter : '.';
	}
}

static void linux_areas(char *areas)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512], letter = 'a';
	uint64_t start, end;

	assert_non_null(maps);
	memset(areas, '.', PAGES);
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64, &start, &end) != 2 || end <= linux_base ||
		    start >= linux_base + PAGES * PAGE)
			continue;
		letter++;
		for (; start < end; start += PAGE)
			areas[(start - linux_base) / PAGE] = letter;
	}
	fclose(maps);
}

/* ---- Compared ---------------------------------------------------------------------------- */

static void print_call(const struct call *c)
{
	static const char *const names[] = {"mbind",	     "set_mempolicy", "get_mempolicy",
					    "migrate_pages", "move_pages",    "store",
					    "munmap",	     "mmap"};

	print_error("%s page %d len %#" PRIx64 " mode %#x flags %#x nodes %#" PRIx64
		    "%s to %#" PRIx64 " maxnode %" PRIu64 " nr %u\n",
		    names[c->op], (int)c->page - 1, c->len, c->mode, c->flags, c->nodes,
		    c->no_mask ? " (NULL)" : "", c->to, c->maxnode, c->nr);
}

static void print_answer(const char *who, const struct answer *a)
{
	print_error("    %s  %d mode %#x nodes %#" PRIx64 " status %d %d %d %d %d %d areas %s\n",
		    who, (int)a->ret, a->mode, a->nodes, a->status[0], a->status[1], a->status[2],
		    a->status[3], a->status[4], a->status[5], a->areas);
}

static unsigned nr_calls;

static void compare(const struct call *c)
{
	struct answer linux_says, we_say;

	memset(&linux_says, 0x55, sizeof(linux_says));
	linux_says.areas[PAGES] = '\0';
	we_say = linux_says;
	linux_says.ret = in_linux(c, &linux_says);
	we_say.ret = in_quire(c, &we_say);
	linux_areas(linux_says.areas);
	quire_areas(we_say.areas);
	check_space(space.mm);
	nr_calls++;
	if (linux_says.ret == we_say.ret && linux_says.mode == we_say.mode &&
	    linux_says.nodes == we_say.nodes &&
	    !memcmp(linux_says.status, we_say.status, sizeof(we_say.status)) &&
	    !strcmp(linux_says.areas, we_say.areas))
		return;
	print_call(c);
	print_answer("Linux", &linux_says);
	print_answer("Quire", &we_say);
	fail_msg("call %u differs", nr_calls);
}

/* What both have at first: private memory, a hole, memory without rights, shared memory. */
static void map_all(void)
{
	const uint32_t rw = QUIRE_PROT_READ | QUIRE_PROT_WRITE;
	const uint32_t private_flags = QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS;
	const uint32_t shared_flags = QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS;

	compare(&(struct call){.op = UNMAP, .page = 1, .len = PAGES * PAGE});
	compare(&(struct call){
		.op = MAP, .page = 1, .len = 6 * PAGE, .mode = rw, .flags = private_flags});
	compare(&(struct call){.op = MAP, .page = 8, .len = 3 * PAGE, .flags = private_flags});
	compare(&(struct call){
		.op = MAP, .page = 11, .len = 4 * PAGE, .mode = rw, .flags = shared_flags});
	compare(&(struct call){.op = STORE, .page = 2});
	compare(&(struct call){.op = STORE, .page = 12});
}

static void every_mode_with_every_flag(void **state)
{
	static const uint64_t masks[] = {0, 1, 2, 3, UINT64_C(1) << 63, UINT64_MAX};
	static const uint64_t sizes[] = {0, 1, 2, 64, 65, QUIRE_PAGE_SIZE * 8 + 2};
	struct call c = {.page = 1, .len = 4 * PAGE};

	(void)state;
	map_all();
	for (c.mode = 0; c.mode < 9; c.mode++) {
		for (unsigned f = 0; f < 8; f++) {
			for (unsigned m = 0; m < QUIRE_ARRAY_SIZE(masks) * QUIRE_ARRAY_SIZE(sizes);
			     m++) {
				struct call get = {.op = GET, .page = 1, .flags = 2, .maxnode = 65};

				c.nodes = masks[m % QUIRE_ARRAY_SIZE(masks)];
				c.maxnode = sizes[m / QUIRE_ARRAY_SIZE(masks)];
				c.mode |= f << 13;
				c.op = MBIND;
				/* The last of them is refused by its size alone: nobody reads so far. */
				compare(&c);
				compare(&get);
				c.op = SET;
				compare(&c);
				get.page = 0;
				get.flags = 0;
				compare(&get);
				get.flags = QUIRE_MPOL_F_NODE;
				compare(&get);
				c.mode &= ~(7u << 13);
			}
		}
	}
	compare(&(struct call){.op = SET, .no_mask = true});
}

static void arguments_one_by_one(void **state)
{
	static const struct call calls[] = {
		{.op = MBIND,
		 .page = 1,
		 .len = UINT64_MAX - PAGE,
		 .mode = 2,
		 .nodes = 1,
		 .maxnode = 65},
		{.op = MBIND, .page = 1, .len = UINT64_MAX, .mode = 2, .nodes = 1, .maxnode = 65},
		{.op = MBIND, .page = 1, .len = 0, .mode = 2, .nodes = 0, .maxnode = 65},
		{.op = MBIND,
		 .page = 1,
		 .len = 0,
		 .mode = 2,
		 .nodes = 0,
		 .maxnode = 65,
		 .flags = 8},
		{.op = MBIND, .page = 1, .len = PAGE, .mode = 1, .no_mask = true, .maxnode = 65},
		{.op = MBIND, .page = 1, .len = PAGE, .mode = 2, .no_mask = true, .maxnode = 0},
		{.op = MBIND, .page = 1, .len = 8 * PAGE, .mode = 2, .nodes = 1, .maxnode = 65},
		{.op = MBIND, .page = 7, .len = 2 * PAGE, .mode = 2, .nodes = 1, .maxnode = 65},
		{.op = MBIND, .page = 7, .len = PAGE, .mode = 0, .maxnode = 65},
		{.op = MBIND, .page = 15, .len = PAGE, .mode = 0, .maxnode = 65},
		{.op = MBIND, .page = 1, .len = PAGES * PAGE, .mode = 0, .maxnode = 65, .flags = 7},
		{.op = GET, .page = 1, .maxnode = 0, .flags = 2},
		{.op = GET, .page = 1, .maxnode = 1, .flags = 2},
		{.op = GET, .page = 1, .maxnode = 2, .flags = 2},
		{.op = GET, .page = 7, .maxnode = 65, .flags = 2},
		{.op = GET, .page = 8, .maxnode = 65, .flags = 3},
		{.op = GET, .page = 1, .maxnode = 65, .flags = 3},
		{.op = GET, .page = 2, .maxnode = 65, .flags = 3},
		{.op = GET, .page = 1, .maxnode = 65, .flags = 0},
		{.op = GET, .page = 1, .maxnode = 65, .flags = 1},
		{.op = GET, .page = 1, .maxnode = 65, .flags = 8},
		{.op = GET, .page = 1, .maxnode = 65, .flags = 4},
		{.op = GET, .maxnode = 65, .flags = 4},
		{.op = GET, .maxnode = 65, .flags = 6},
		{.op = GET, .maxnode = 65, .flags = 5},
		{.op = GET, .no_mask = true, .flags = 0},
		{.op = MIGRATE, .nodes = 1, .to = 1, .maxnode = 65},
		{.op = MIGRATE, .nodes = 1, .to = 0, .maxnode = 65},
		{.op = MIGRATE, .nodes = 0, .to = 1, .maxnode = 65},
		{.op = MIGRATE, .nodes = 2, .to = 1, .maxnode = 65},
		{.op = MIGRATE, .nodes = 1, .to = 2, .maxnode = 65},
		{.op = MIGRATE, .nodes = 1, .to = 3, .maxnode = 65},
		{.op = MIGRATE, .nodes = 1, .to = 1, .maxnode = 1},
		{.op = MOVE, .nr = 3, .at = {1, 2, 7}, .no_mask = true},
		{.op = MOVE, .nr = 3, .at = {1, 2, 7}, .no_mask = true, .flags = 4},
		{.op = MOVE, .nr = 3, .at = {1, 2, 7}, .no_mask = true, .flags = 1},
		{.op = MOVE, .nr = 0, .flags = 2},
		{.op = MOVE, .nr = 4, .at = {2, 3, 7, 12}, .flags = 2},
		{.op = MOVE, .nr = 2, .at = {2, 12}, .node = {0, 1}, .flags = 2},
		{.op = MOVE, .nr = 2, .at = {2, 12}, .node = {-1, 0}, .flags = 2},
		{.op = MOVE, .nr = 2, .at = {2, 12}, .node = {0, 5000}, .flags = 2},
	};

	(void)state;
	map_all();
	for (size_t i = 0; i < QUIRE_ARRAY_SIZE(calls); i++)
		compare(&calls[i]);
	/* Not a page's address. */
	assert_int_equal(syscall(SYS_mbind, linux_base + 1, PAGE, 2L, &(unsigned long){1}, 65L, 0),
			 -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(quire_mbind(space.mm, BASE + 1, PAGE, 2, &(uint64_t){1}, 65, 0),
			 -QUIRE_EINVAL);
}

/* ---- numa_maps --------------------------------------------------------------------------- */

struct lines {
	struct quire_sink sink;
	char text[1 << 15]; /* terminated */
	size_t len;
};

static int keep(struct quire_sink *sink, const char *text, size_t len)
{
	struct lines *l = quire_container_of(sink, struct lines, sink);

	assert_true(l->len + len < sizeof(l->text));
	memcpy(l->text + l->len, text, len);
	l->len += len;
	l->text[l->len] = '\0';
	return 0;
}

/* Active pages are a matter of age. */
static void cut_active(char *line)
{
	char *active = strstr(line, " active=");

	if (active) {
		char *rest = active + 8 + strspn(active + 8, "0123456789");

		memmove(active, rest, strlen(rest) + 1);
	}
}

static void compare_numa_maps(void)
{
	static struct lines ours;
	FILE *f = fopen("/proc/self/numa_maps", "r");
	char theirs[512], *next = ours.text;

	assert_non_null(f);
	ours.sink.emit = keep;
	ours.len = 0;
	assert_int_equal(quire_proc_numa_maps(space.mm, &task, &ours.sink), 0);
	while (fgets(theirs, sizeof(theirs), f)) {
		uint64_t start = strtoull(theirs, NULL, 16);
		char *our;

		if (start < linux_base || start >= linux_base + PAGES * PAGE)
			continue;
		our = next;
		next += strcspn(next, "\n");
		assert_true(*next == '\n');
		*next++ = '\0';
		theirs[strcspn(theirs, "\n")] = '\0';
		cut_active(theirs);
		cut_active(our);
		assert_string_equal(our, theirs);
	}
	assert_int_equal(*next, '\0');
	fclose(f);
}

/* ---- By chance --------------------------------------------------------------------------- */

#define NR_RANDOM 4000u

static uint64_t chance;

static unsigned below(unsigned n)
{
	chance ^= chance >> 12;
	chance ^= chance << 25;
	chance ^= chance >> 27;
	return (unsigned)(chance * UINT64_C(2685821657736338717) >> 40) % n;
}

static uint64_t any_mask(void)
{
	static const uint64_t masks[] = {1, 1, 1, 1, 1, 3, 0x11, 0, 2, UINT64_MAX};

	return masks[below(QUIRE_ARRAY_SIZE(masks))];
}

static void by_chance(void **state)
{
	const char *seed = getenv("QUIRE_SEED");

	(void)state;
	chance = seed ? strtoull(seed, NULL, 0) * 2 + 1 : 20261129;
	map_all();
	for (unsigned i = 0; i < NR_RANDOM; i++) {
		struct call c = {
			.op = (enum op)below(STORE),
			.page = 1 + below(PAGES),
			.len = (1 + below(6)) * PAGE,
			.mode = below(7) | (below(4) ? 0 : below(8) << 13),
			.nodes = any_mask(),
			.to = any_mask(),
			.no_mask = !below(10),
			.maxnode = 65,
		};

		if (c.op == MBIND)
			c.flags = below(3) ? 0 : below(8);
		if (c.op == GET)
			c.flags = below(4) ? 2 : below(8);
		if (c.op == GET && !(c.flags & 2) && below(4))
			c.page = 0;
		if (c.op == MOVE) {
			c.nr = below(MOST_MOVED + 1);
			c.flags = below(8) ? 2 : below(8);
			for (unsigned n = 0; n < c.nr; n++)
				c.at[n] = 1 + below(PAGES);
			c.node[0] = below(8) ? 0 : 1;
		}
		if (c.op == MBIND && !below(4))
			c.op = SET;
		if (!below(200))
			map_all();
		compare(&c);
		if (i % 20 == 0)
			compare_numa_maps();
	}
	print_message("%u calls\n", nr_calls);
}

/* ---- May it be asked? -------------------------------------------------------------------- */

static const char *why_not(void)
{
	char possible[16] = "";
	FILE *f = fopen("/sys/devices/system/node/possible", "r");

	if (!f || !fgets(possible, sizeof(possible), f))
		strcpy(possible, "?");
	if (f)
		fclose(f);
	if (syscall(SYS_set_mempolicy, 0, NULL, 0L) ||
	    syscall(SYS_migrate_pages, 0, 0L, NULL, NULL) != -1 || errno != EINVAL)
		return "the kernel has no memory policies, or does not let us have them";
	if (strcmp(possible, "0\n"))
		return "not a machine of one node";
	return NULL;
}

/* CAP_SYS_NICE, bit 23. */
static bool may_move_all(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	uint64_t caps = 0;
	char line[256];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "CapEff: %" SCNx64, &caps) == 1)
			break;
	}
	if (f)
		fclose(f);
	return caps >> 23 & 1;
}

static int setup(void **state)
{
	void *place = mmap((void *)(uintptr_t)BASE, PAGES * PAGE, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (place == MAP_FAILED || space_setup(state))
		return -1;
	linux_base = (uint64_t)(uintptr_t)place;
	memset(&task, 0, sizeof(task));
	space.q->mms.sysctl.forbid_zeropage = host_forbids_zeropage();
	space.q->mms.sysctl.anon_align = 0;
	space.mm->limits.cap_sys_nice = may_move_all();
	machine_set_policy(space.m, &task);
	return 0;
}

static int teardown(void **state)
{
	(void)syscall(SYS_set_mempolicy, 0, NULL, 0L);
	munmap((void *)(uintptr_t)linux_base, PAGES * PAGE);
	quire_task_policy_exit(space.q, &task);
	machine_set_policy(space.m, NULL);
	return space_teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_mode_with_every_flag, setup, teardown),
		cmocka_unit_test_setup_teardown(arguments_one_by_one, setup, teardown),
		cmocka_unit_test_setup_teardown(by_chance, setup, teardown),
	};
	const char *why = why_not();

	if (why) {
		printf("linux-policy: skipped: %s\n", why);
		return 77;
	}
	return cmocka_run_group_tests_name("policies as on Linux", tests, NULL, NULL);
}
