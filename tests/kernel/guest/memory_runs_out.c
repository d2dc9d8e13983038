/* SPDX-License-Identifier: MIT */
/* Only under the kernel: more memory than the machine has. Whoever wants it is killed; everybody else lives on. */
#include "show.h"

static void takes_all(void)
{
	size_t i, pages = (2560ul << 20) / PAGE;
	char *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(p != MAP_FAILED);
	for (i = 0; i < pages; i++)
		p[i * PAGE] = 1;
}

static void shared(void)
{
	size_t i, pages = (2560ul << 20) / PAGE;
	char *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(p != MAP_FAILED);
	for (i = 0; i < pages; i++)
		p[i * PAGE] = 1;
}

static void files(void)
{
	static char page[PAGE];
	int fd = open("/tmp/full", O_CREAT | O_RDWR, 0600);
	long n = 0;

	CHECK(fd >= 0 && !unlink("/tmp/full"));
	while (write(fd, page, PAGE) == PAGE)
		n++;
	printf("a file ends with errno %d after more than %ld MiB\n", errno, n > 20000 ? 80 : n);
}

int main(void)
{
	int i;

	for (i = 0; i < 2; i++)
		in_child("takes all", takes_all);
	in_child("takes all, shared", shared);
	in_child("files", files);
	return 0;
}
