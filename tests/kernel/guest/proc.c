/* SPDX-License-Identifier: MIT */
/* /proc/self says of this process what it knows itself. */
#include "show.h"

static char text[1 << 16];

static const char *read_file(const char *path)
{
	int fd = open(path, O_RDONLY);
	ssize_t n, length = 0;

	CHECK(fd >= 0);
	while ((n = read(fd, text + length, sizeof(text) - 1 - (size_t)length)) > 0)
		length += n;
	CHECK(n == 0);
	text[length] = '\0';
	close(fd);
	return text;
}

static long field(const char *path, const char *name)
{
	const char *line = strstr(read_file(path), name);

	CHECK(line);
	return atol(line + strlen(name));
}

static void areas(void)
{
	char *p = map(16, PROT_READ | PROT_WRITE), line[200], head[40];
	char *found;

	CHECK(!mprotect(p + 4 * PAGE, 4 * PAGE, PROT_READ | PROT_EXEC));
	snprintf(head, sizeof(head), "%lx-%lx r-xp 00000000 00:00 0", (long)p + 4 * PAGE,
		 (long)p + 8 * PAGE);
	found = strstr(read_file("/proc/self/maps"), head);
	printf("the area in the middle: %d\n", found != NULL);
	snprintf(line, sizeof(line), "%s", strstr(text, "[stack]") ? "[stack]" : "none");
	printf("a stack: %s\n", line);
	printf("a heap: %d\n",
	       (malloc(100), strstr(read_file("/proc/self/maps"), "[heap]") != NULL));
	CHECK(!munmap(p, 16 * PAGE));
}

static void sizes(void)
{
	long rss = field("/proc/self/status", "RssAnon:"),
	     size = field("/proc/self/status", "VmSize:"), locked;
	char *p = map(256, PROT_READ | PROT_WRITE);

	printf("mapped: %ld kB more\n", field("/proc/self/status", "VmSize:") - size);
	memset(p, 1, 256 * PAGE);
	printf("touched: %ld kB more\n", field("/proc/self/status", "RssAnon:") - rss);
	locked = field("/proc/self/status", "VmLck:");
	if (!mlock(p, 8 * PAGE))
		printf("locked: %ld kB more\n", field("/proc/self/status", "VmLck:") - locked);
	CHECK(!madvise(p + 128 * PAGE, 128 * PAGE, MADV_DONTNEED));
	printf("given back: %ld kB less\n", 1024 + rss - field("/proc/self/status", "RssAnon:"));
	CHECK(!munmap(p, 256 * PAGE));
	printf("unmapped: %ld kB more\n", field("/proc/self/status", "VmSize:") - size);
}

static void frames(void)
{
	char *p = map(4, PROT_READ | PROT_WRITE);
	int fd = open("/proc/self/pagemap", O_RDONLY), i;
	uint64_t word[4];

	p[PAGE] = 1;
	p[3 * PAGE] = 1;
	CHECK(fd >= 0 &&
	      pread(fd, word, sizeof(word), (long)((uintptr_t)p / PAGE * 8)) == sizeof(word));
	for (i = 0; i < 4; i++)
		printf("page %d: present %d exclusive %d file %d\n", i, (int)(word[i] >> 63),
		       (int)(word[i] >> 56 & 1), (int)(word[i] >> 61 & 1));
	close(fd);
	CHECK(!munmap(p, 4 * PAGE));
}

static void smaps(void)
{
	char *p = map(64, PROT_READ | PROT_WRITE), head[40], *at;
	const char *const names[] = {"Size:",	      "Rss:",	    "Pss:",   "Private_Dirty:",
				     "Shared_Clean:", "Anonymous:", "Locked:"};
	size_t i;

	memset(p, 1, 10 * PAGE);
	snprintf(head, sizeof(head), "%lx-", (long)p);
	CHECK(!mprotect(p + 64 * PAGE - PAGE, PAGE,
			PROT_NONE)); /* so that it is an area of its own */
	CHECK(!mprotect(p, PAGE, PROT_READ) &&
	      !mprotect(p + PAGE, 62 * PAGE, PROT_READ | PROT_EXEC | PROT_WRITE));
	snprintf(head, sizeof(head), "%lx-%lx rwxp", (long)p + PAGE, (long)p + 63 * PAGE);
	at = strstr(read_file("/proc/self/smaps"), head);
	CHECK(at);
	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		char *line = strstr(at, names[i]);

		CHECK(line);
		printf("%s %ld kB\n", names[i], atol(line + strlen(names[i])));
	}
	CHECK(!munmap(p, 64 * PAGE));
}

int main(int argc, char **argv)
{
	char link[300];
	ssize_t n;
	int fd;

	areas();
	sizes();
	frames();
	smaps();
	read_file("/proc/self/cmdline");
	printf("cmdline: %d\n", argc == 1 && !strcmp(text, argv[0]));
	n = readlink("/proc/self/exe", link, sizeof(link) - 1);
	CHECK(n > 0);
	link[n] = '\0';
	printf("exe: %s\n", strrchr(link, '/'));
	printf("comm: %s", read_file("/proc/self/comm"));
	fd = open("/tmp", O_RDONLY);
	snprintf(text, sizeof(text), "/proc/self/fd/%d", fd);
	n = readlink(text, link, sizeof(link) - 1);
	CHECK(n > 0);
	link[n] = '\0';
	printf("fd: %s\n", link);
	close(fd);
	printf("pid: %d\n", atoi(read_file("/proc/self/stat")) == getpid());
	printf("MemTotal: %d\n", field("/proc/meminfo", "MemTotal:") > 50000);
	show("no such process", open("/proc/99999999/maps", O_RDONLY));
	show("no such file", open("/proc/self/nothing", O_RDONLY));
	show("made by nobody", open("/proc/self/new", O_CREAT | O_WRONLY, 0600) == -1);
	return 0;
}
