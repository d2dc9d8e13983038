/* SPDX-License-Identifier: MIT */
/*
 * Bytes as what the kernel says: each of the tool's readers of /proc, of a thread's log of page faults, and of the texts
 * that are compared. The first byte says which. The kernel does not lie to them; but processes end, change and name
 * themselves while they are read, so any text can be cut anywhere.
 */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* Whatever file they open is the input; and limits have to be read from a text. */
static const uint8_t *file_bytes;
static size_t file_size;

static int open_input(const char *path, int flags)
{
	int fd = memfd_create(path + strlen(path), MFD_CLOEXEC);

	(void)flags;
	if (fd < 0 || write(fd, file_bytes, file_size) != (ssize_t)file_size)
		abort();
	return fd;
}

static int no_prlimit(pid_t pid, int resource, const void *new, void *old)
{
	(void)pid;
	(void)resource;
	(void)new;
	(void)old;
	errno = EPERM;
	return -1;
}

#define open(path, flags) open_input(path, flags)
#define prlimit(pid, resource, new, old) no_prlimit(pid, resource, new, old)
#include "../../tools/kernel_view.c"
#undef open
#undef prlimit

#include "../../tools/compare.c"

/* Both have one. */
#define same_line texts_same_line
#include "../../tools/fuzz/texts.c"

bool rules_is_adopted(const struct player *p, uint64_t start, const char *name)
{
	(void)p;
	return (start & 4096) && name[0];
}

/* What compares with a running program is not called here. */
void note(struct shadow *s, const char *text)
{
	(void)s;
	fuzz_fail("%s", text);
}

void import_stack_growth(struct shadow *s, struct space *space)
{
	(void)space;
	note(s, "import_stack_growth");
}

void owners_find(struct shadow *s, struct space *space, const struct range *ranges, unsigned nr, bool all)
{
	(void)space;
	(void)ranges;
	(void)nr;
	(void)all;
	note(s, "owners_find");
}

/* ---- Readers ----------------------------------------------------------------------------- */

static void check_areas(const struct view_areas *areas)
{
	if (!areas->tail)
		fuzz_fail("no text behind the areas");
	for (size_t i = 0; i < areas->nr; i++) {
		if (!areas->area[i].name || areas->area[i].start >= USER_END)
			fuzz_fail("area %zu", i);
	}
}

static void read_areas(const char *text, bool smaps)
{
	struct view_areas areas;
	struct lines lines;

	if (smaps) {
		if (view_smaps(1, &areas) && !areas.nr)
			fuzz_fail("smaps without areas were taken");
	} else {
		view_parse_maps(text, &areas);
		check_areas(&areas);
	}
	view_free_areas(&areas);
	split(text, &lines);
	for (size_t i = 0; i < lines.nr; i++) {
		if (lines.line[i].len != strcspn(lines.line[i].p, "\n") || without_name(&lines.line[i]) > lines.line[i].len)
			fuzz_fail("line %zu", i);
	}
	free(lines.line);
}

static void read_process(void)
{
	struct quire_layout layout = { 0 };
	struct quire_limits limits = { 0 };

	(void)view_stat(1, &layout);
	(void)view_auxv(1, &layout);
	layout.compat = true;
	(void)view_auxv(1, &layout);
	(void)view_limits(1, &limits);
	(void)view_personality(1);
	(void)view_was_killed(1);
	(void)view_is_zombie(1);
}

/* A thread's ring of samples, as the kernel would have left it, or not. */
static void read_log(const uint8_t *data, size_t size)
{
	static unsigned char ring[4096 + 8 * 4096] __attribute__((aligned(4096)));
	struct perf_event_mmap_page *page = (struct perf_event_mmap_page *)(void *)ring;
	struct fault_log log = { .fd = -1, .ring = ring, .with_kernel = true };
	struct fault_list list = { 0 };

	if (size < 8)
		return;
	memset(ring, 0, sizeof(ring));
	page->data_tail = data[0] * 200u;
	page->data_head = page->data_tail + (data[1] << 8 | data[2]);
	for (size_t i = 3; i < size; i++)
		ring[4096 + (page->data_tail + i - 3) % (8 * 4096)] = data[i];
	(void)faults_read(&log, &list);
	for (size_t i = 0; i < list.nr; i++) {
		if (list.fault[i].page & 4095)
			fuzz_fail("a fault at %#llx", (unsigned long long)list.fault[i].page);
	}
	free(list.fault);
}

static void compare_texts(const char *text, size_t len)
{
	static struct area areas[MAX_AREAS];
	static struct inodes inodes;
	size_t half = len / 2;
	struct text what = { 0 };
	char *ours = tool_strndup(text + half, len - half), *theirs = tool_strndup(text, half);

	inodes.nr = 0;
	if (!texts_same_maps(&inodes, theirs, half, theirs, half, &what) && half && !strstr(theirs, SHARED_ANONYMOUS) &&
	    !strstr(theirs, VSYSCALL))
		fuzz_fail("a text is not itself: %s", what.p);
	(void)texts_same_maps(&inodes, theirs, half, ours, len - half, &what);
	if (parse_smaps(text, text + len, areas) > MAX_AREAS)
		fuzz_fail("too many areas");
	(void)status_kb(text, text + len, "VmSize:");
	text_free(&what);
	free(ours);
	free(theirs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world_system system;
	char *text;

	if (!size)
		return 0;
	file_bytes = data + 1;
	file_size = size - 1;
	text = tool_strndup((const char *)data + 1, size - 1);
	switch (data[0] % 8) {
	case 0:
	case 1:
		read_areas(text, false);
		break;
	case 2:
		read_areas(text, true);
		break;
	case 3:
		read_process();
		break;
	case 4:
		read_log(data + 1, size - 1);
		break;
	case 5:
		view_system(&system);
		break;
	default:
		compare_texts(text, strlen(text));
	}
	free(text);
	return 0;
}
