/* SPDX-License-Identifier: MIT */
/* /proc/self/maps: a line an area, in order, with its rights, offset and name. */
#include "say.h"
#include <sys/sysmacros.h>

struct line {
	unsigned long from, to, offset, number;
	unsigned major, minor;
	char rights[8], name[128];
};

/* The line of the area with p in it. */
static struct line find(const void *p)
{
	static char text[65536];
	struct line line;
	char *at, *next;

	text_of("/proc/self/maps", text, sizeof(text));
	for (at = text; *at; at = next) {
		next = strchr(at, '\n');
		must(next);
		*next++ = 0;
		line.name[0] = 0;
		must(sscanf(at, "%lx-%lx %4s %lx %x:%x %lu %127[^\n]", &line.from, &line.to,
			    line.rights, &line.offset, &line.major, &line.minor, &line.number,
			    line.name) >= 7);
		if ((unsigned long)p >= line.from && (unsigned long)p < line.to)
			return line;
	}
	memset(&line, 0, sizeof(line));
	return line;
}

static int in_order(void)
{
	static char text[65536];
	unsigned long from, to, last = 0;
	char *at;

	text_of("/proc/self/maps", text, sizeof(text));
	for (at = text; *at; at = strchr(at, '\n') + 1) {
		if (sscanf(at, "%lx-%lx", &from, &to) != 2 || from < last || to <= from ||
		    from % PAGE || to % PAGE)
			return 0;
		last = to;
	}
	return 1;
}

static int data = 5;

int main(void)
{
	static const struct {
		int rights;
		const char *text;
	} all[] = {
		{PROT_NONE, "---p"},
		{PROT_READ, "r--p"},
		{RW, "rw-p"},
		{PROT_READ | PROT_EXEC, "r-xp"},
		{RW | PROT_EXEC, "rwxp"},
	};
	char path[] = "/tmp/proc_maps.XXXXXX", text[64], *p, *q;
	int fd = mkstemp(path), on_stack;
	struct line line;
	struct stat stat;
	size_t i;

	must(fd >= 0 && ftruncate(fd, 4 * PAGE) == 0 && fstat(fd, &stat) == 0);
	fact("lines are in order", in_order());
	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		p = mmap(NULL, 3 * PAGE, all[i].rights, PRIVATE, -1, 0);
		must(p != MAP_FAILED);
		want_text("rights", find(p).rights, all[i].text);
	}
	line = find(p);
	fact("anonymous: no offset, device, number or name",
	     !line.offset && !line.major && !line.minor && !line.number && !line.name[0]);
	p = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, fd, PAGE);
	must(p != MAP_FAILED);
	line = find(p);
	want_text("a file", line.rights, "r--s");
	want("its offset", (long)line.offset, PAGE);
	fact("its name", !strcmp(line.name, path));
	fact("its number", line.number == (unsigned long)stat.st_ino);
	fact("its length", line.from == (unsigned long)p && line.to == (unsigned long)p + 2 * PAGE);
	must(munmap(p, PAGE) == 0);
	want("the second page's offset", (long)find(p + PAGE).offset, 2 * PAGE);
	unlink(path);
	snprintf(text, sizeof(text), "%s (deleted)", path);
	fact("without a name it is deleted", !strcmp(find(p + PAGE).name, text));

	want_text("the stack", find(&on_stack).name, "[stack]");
	want_text("its rights", find(&on_stack).rights, "rw-p");
	p = (char *)syscall(SYS_brk, 0);
	q = (char *)syscall(SYS_brk, p + 4 * PAGE);
	must(q == p + 4 * PAGE);
	want_text("the heap", find(p + 2 * PAGE).name, "[heap]");
	want_text("the program", find((void *)(uintptr_t)main).rights, "r-xp");
	want_text("its data", find(&data).rights, "rw-p");
	want_text("its constants", find("constant").rights, "r--p");
	fact("it has a name", strrchr(find((void *)(uintptr_t)main).name, '/') &&
				      !strcmp(strrchr(find(&data).name, '/'), "/proc_maps"));
	fact("lines are in order", in_order());
	return finish();
}
