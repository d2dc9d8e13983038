/* SPDX-License-Identifier: MIT */
/* Several processes, one file: O_APPEND loses nothing, a position is shared, a mapping too, and all see the file grow. */
#include "say.h"

enum { CHILDREN = 4, ROUNDS = 100 };

static char path[] = "/dev/shm/files_shared.XXXXXX";
static int fd;
static volatile unsigned *counter;

static void appends(void *arg)
{
	char line[16];
	int i, own = open(path, O_WRONLY | O_APPEND);

	must(own >= 0);
	for (i = 0; i < ROUNDS; i++) {
		memset(line, 'a' + (int)(intptr_t)arg, 15);
		line[15] = '\n';
		must(write(own, line, 16) == 16);
	}
}

static void takes(void *arg)
{
	char line[16];

	/* The position is everybody's: each line is read by one of us. */
	while (read(fd, line, 16) == 16)
		__atomic_fetch_add(&counter[1 + (line[0] - 'a')], 1, __ATOMIC_SEQ_CST);
}

static void counts(void *arg)
{
	unsigned *own = mmap(NULL, PAGE, RW, MAP_SHARED, open(path, O_RDWR), 0);
	int i;

	must(own != MAP_FAILED);
	for (i = 0; i < 1000; i++)
		__atomic_fetch_add(&own[0], 1, __ATOMIC_SEQ_CST);
}

static void all(const char *what, void (*run)(void *))
{
	pid_t pids[CHILDREN];
	int i;

	for (i = 0; i < CHILDREN; i++)
		pids[i] = start(run, (void *)(intptr_t)i);
	for (i = 0; i < CHILDREN; i++)
		want_end(what, pids[i], "exit 0");
}

int main(void)
{
	unsigned sum = 0;
	char line[16];
	int i, whole = 1;
	char *p;

	must((fd = mkstemp(path)) >= 0);
	counter = mmap(NULL, PAGE, RW, SHARED, -1, 0);
	must(counter != MAP_FAILED);
	all("appending", appends);
	want("bytes", lseek(fd, 0, SEEK_END), CHILDREN * ROUNDS * 16);
	for (i = 0; i < CHILDREN * ROUNDS; i++)
		whole = whole && pread(fd, line, 16, i * 16) == 16 && all_are(line, 15, line[0]) &&
			line[15] == '\n';
	fact("each line is whole", whole);
	lseek(fd, 0, SEEK_SET);
	all("reading from one position", takes);
	for (i = 0; i < CHILDREN; i++)
		sum += counter[1 + i];
	want("lines read", sum, CHILDREN * ROUNDS);
	want("of the first", counter[1], ROUNDS);

	must(ftruncate(fd, 0) == 0 && ftruncate(fd, PAGE) == 0);
	all("counting in a mapping", counts);
	must(pread(fd, &sum, sizeof(sum), 0) == sizeof(sum));
	want("counted", sum, CHILDREN * 1000);
	p = mmap(NULL, 3 * PAGE, RW, MAP_SHARED, fd, 0);
	must(p != MAP_FAILED);
	want_fault("behind the end", p + PAGE, 'r', "SIGBUS ADRERR");
	must(truncate(path, 3 * PAGE) == 0);
	want_fault("when another has made it longer", p + 2 * PAGE, 'w', "fine");
	want("unlink", unlink(path), 0);
	want("mapped all the same", *(unsigned *)p, CHILDREN * 1000);
	return finish();
}
