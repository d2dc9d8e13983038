/* SPDX-License-Identifier: MIT */
/* getrandom: as many bytes as asked for, never twice the same, in any process. */
#include "say.h"
#include <sys/random.h>

int main(void)
{
	static unsigned char one[10000], two[10000];
	unsigned char *shared = mmap(NULL, PAGE, RW, SHARED, -1, 0);
	int counts[256] = {0}, i, least = 1000, most = 0;

	must(shared != MAP_FAILED);
	want("getrandom", getrandom(one, 256, 0), 256);
	want("without waiting", getrandom(one, 16, GRND_NONBLOCK), 16);
	want("from the other source", getrandom(one, 16, GRND_RANDOM), 16);
	want("of nothing", getrandom(one, 0, 0), 0);
	for (i = 0; i < 10000;) {
		ssize_t n = getrandom(one + i, (size_t)(10000 - i), 0);

		must(n > 0);
		i += (int)n;
	}
	for (i = 0; i < 10000;) {
		ssize_t n = getrandom(two + i, (size_t)(10000 - i), 0);

		must(n > 0);
		i += (int)n;
	}
	fact("two are not the same", memcmp(one, two, sizeof(one)) != 0);
	for (i = 0; i < 10000; i++)
		counts[one[i]]++;
	for (i = 0; i < 256; i++) {
		least = counts[i] < least ? counts[i] : least;
		most = counts[i] > most ? counts[i] : most;
	}
	fact("every byte comes, none too often", least > 0 && most < 120);
	if (fork() == 0) {
		must(getrandom(shared, 64, 0) == 64);
		_exit(0);
	}
	must(getrandom(shared + 100, 64, 0) == 64);
	wait(NULL);
	fact("a child has others", memcmp(shared, shared + 100, 64) != 0);
	want("unknown flags", getrandom(one, 1, 0x80), -EINVAL);
	want("to nowhere", getrandom(nowhere(), 16, 0), -EFAULT);
	return finish();
}
