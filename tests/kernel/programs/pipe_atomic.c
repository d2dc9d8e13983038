/* SPDX-License-Identifier: MIT */
/* Several writers, one pipe: up to PIPE_BUF bytes stay together. */
#include "say.h"

enum { WRITERS = 4, ROUNDS = 40, LENGTH = 4096 };

static int fds[2];

static void writes(void *arg)
{
	char text[LENGTH];
	int i, self = (int)(intptr_t)arg;

	for (i = 0; i < ROUNDS; i++) {
		memset(text, 16 * self + i % 16, sizeof(text));
		must(write(fds[1], text, sizeof(text)) == sizeof(text));
	}
}

static ssize_t read_all(char *text)
{
	size_t got = 0;
	ssize_t n;

	while (got < LENGTH && (n = read(fds[0], text + got, LENGTH - got)) > 0)
		got += (size_t)n;
	return (ssize_t)got;
}

int main(void)
{
	pid_t pids[WRITERS];
	int i, together = 1, in_order = 1, next[WRITERS] = {0}, count = 0;
	char text[LENGTH];

	must(pipe(fds) == 0);
	for (i = 0; i < WRITERS; i++)
		pids[i] = start(writes, (void *)(intptr_t)i);
	close(fds[1]);
	while (read_all(text) == LENGTH) {
		int who = text[0] >> 4;

		together = together && all_are(text, LENGTH, text[0]);
		in_order =
			in_order && who >= 0 && who < WRITERS && next[who]++ % 16 == (text[0] & 15);
		count++;
	}
	for (i = 0; i < WRITERS; i++)
		want_end("writer", pids[i], "exit 0");
	want("pieces", count, WRITERS * ROUNDS);
	fact("each is of one writer", together);
	fact("and each writer's are in order", in_order);
	return finish();
}
