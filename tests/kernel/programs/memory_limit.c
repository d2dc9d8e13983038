/* SPDX-License-Identifier: MIT */
/* Without memory calls answer ENOMEM, change nothing, and work again when some has been given back. */
#include "say.h"
#include <sys/resource.h>

static void limited(void *arg)
{
	struct rlimit limit = {32 << 20, 32 << 20};
	char *p, *parts[64], *more;
	int count = 0, i;

	must(setrlimit(RLIMIT_AS, &limit) == 0);
	want("more than the limit", mmap(NULL, 40 << 20, RW, PRIVATE, -1, 0), -ENOMEM);
	want("without rights it counts, too",
	     mmap(NULL, 40 << 20, PROT_NONE, PRIVATE | MAP_NORESERVE, -1, 0), -ENOMEM);
	while (count < 64 && (p = mmap(NULL, 1 << 20, RW, PRIVATE, -1, 0)) != MAP_FAILED) {
		p[0] = 1;
		parts[count++] = p;
	}
	fact("one MiB at a time, at most 32", count > 20 && count < 32 && errno == ENOMEM);
	want("mremap", mremap(parts[0], 1 << 20, 3 << 20, MREMAP_MAYMOVE), -ENOMEM);
	want("a second place for shared memory", mmap(NULL, 1 << 20, RW, SHARED, -1, 0), -ENOMEM);
	more = (char *)syscall(SYS_brk, 0);
	fact("brk", (char *)syscall(SYS_brk, more + (2 << 20)) == more);
	fact("malloc", malloc(2 << 20) == NULL && errno == ENOMEM);
	for (i = 0; i < count; i++)
		must(parts[i][0] == 1);
	say("all is there that was");
	want("over what is there, it is no more",
	     mmap(parts[1], 1 << 20, RW, PRIVATE | MAP_FIXED, -1, 0) == parts[1], 1);
	for (i = 0; i < 4; i++)
		must(munmap(parts[i], 1 << 20) == 0);
	p = mmap(NULL, 2 << 20, RW, PRIVATE, -1, 0);
	fact("some given back, some to be had", p != MAP_FAILED);
	if (fork() == 0) {
		want("a child has the same limit", mmap(NULL, 8 << 20, RW, PRIVATE, -1, 0),
		     -ENOMEM);
		_exit(0);
	}
	wait(NULL);
}

int main(void)
{
	want_end("limited", start(limited, NULL), "exit 0");
	fact("others are not", munmap(pages(16384), 16384 * PAGE) == 0);
	want("more than any machine has",
	     mmap(NULL, (SIZE_MAX & -PAGE) - (64 << 20), RW, PRIVATE, -1, 0), -ENOMEM);
	return finish();
}
