/* SPDX-License-Identifier: MIT */
/* One open file of /proc, read by several threads at once: each gets a text that is whole. */
#include "say.h"
#include <pthread.h>

#define THREADS 3
#define TURNS 400

static int fd;
static char first[256];

static void *reader(void *wrong)
{
	char text[1024];
	int i;

	for (i = 0; i < TURNS; i++) {
		ssize_t n = pread(fd, text, sizeof(text), 0);

		if (n < (ssize_t)strlen(first) || memcmp(text, first, strlen(first)))
			(*(int *)wrong)++;
	}
	return NULL;
}

int main(void)
{
	pthread_t thread[THREADS];
	int wrong[THREADS] = {0}, i;

	fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	must(fd >= 0 && pread(fd, first, sizeof(first) - 1, 0) > 0);
	*strchr(first, '\n') = 0;
	for (i = 0; i < THREADS; i++)
		must(pthread_create(&thread[i], NULL, reader, &wrong[i]) == 0);
	for (i = 0; i < THREADS; i++)
		must(pthread_join(thread[i], NULL) == 0);
	want("texts that were not whole", wrong[0] + wrong[1] + wrong[2], 0);
	return finish();
}
