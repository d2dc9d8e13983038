/* SPDX-License-Identifier: MIT */
/* /dev/null, zero, full and random: what they give, take and map. */
#include "say.h"
#include <sys/ioctl.h>

int main(void)
{
	int null = open("/dev/null", O_RDWR), zero = open("/dev/zero", O_RDWR),
	    full = open("/dev/full", O_RDWR), random = open("/dev/random", O_RDONLY),
	    urandom = open("/dev/urandom", O_RDONLY), i, different = 0;
	static char text[20000], other[20000];
	char *p, *q;

	must(null >= 0 && zero >= 0 && full >= 0 && random >= 0 && urandom >= 0);
	want("null: read", read(null, text, 100), 0);
	want("write", write(null, text, sizeof(text)), sizeof(text));
	want("seek", lseek(null, 5, SEEK_SET) >= 0, 1);
	want("map", mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, null, 0), -ENODEV);
	memset(text, 1, sizeof(text));
	want("zero: read", read(zero, text, sizeof(text)), sizeof(text));
	fact("zeroes", all_are(text, sizeof(text), 0));
	want("write", write(zero, text, 100), 100);
	p = mmap(NULL, 2 * PAGE, RW, MAP_PRIVATE, zero, 0);
	q = mmap(NULL, 2 * PAGE, RW, MAP_PRIVATE, zero, 0);
	must(p != MAP_FAILED && q != MAP_FAILED);
	fact("mapped it is zero", all_are(p, 2 * PAGE, 0));
	p[0] = 1;
	fact("and memory like other", p[0] == 1 && q[0] == 0);
	p = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, zero, 0);
	must(p != MAP_FAILED);
	if (fork() == 0) {
		p[PAGE] = 3;
		_exit(0);
	}
	wait(NULL);
	want("shared with a child", p[PAGE], 3);
	memset(text, 1, sizeof(text));
	want("full: read", read(full, text, sizeof(text)), sizeof(text));
	fact("zeroes", all_are(text, sizeof(text), 0));
	want("write", write(full, text, 1), -ENOSPC);
	want("of nothing", write(full, text, 0) <= 0, 1);

	want("urandom", read(urandom, text, sizeof(text)), sizeof(text));
	want("once more", read(urandom, other, sizeof(other)), sizeof(other));
	for (i = 0; i < (int)sizeof(text); i++)
		different += text[i] != other[i];
	fact("most bytes are others", different > 19000);
	want("random", read(random, text, 16), 16);
	fact("to nowhere", read(urandom, nowhere(), 16) < 0 && errno == EFAULT);
	want("from nowhere", write(null, nowhere(), 0), 0);
	want("is no terminal", ioctl(null, TIOCGWINSZ, text), -ENOTTY);
	want("isatty", isatty(zero), 0);
	return finish();
}
