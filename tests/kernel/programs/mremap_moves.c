/* SPDX-License-Identifier: MIT */
/* Memory that moves keeps every byte, across tables and at any distance, in a child as well. */
#include "say.h"

enum { COUNT = 1100 };

static int holds(const char *p, size_t from, size_t to)
{
	size_t i;

	for (i = from; i < to; i++) {
		if (*(const volatile unsigned *)(p + i * PAGE) != (unsigned)i * 2654435761u)
			return 0;
	}
	return 1;
}

static void child(void *arg)
{
	char *p = arg, *q = mremap(p, COUNT * PAGE, (COUNT + 1) * PAGE, MREMAP_MAYMOVE);

	must(q != MAP_FAILED);
	fact("the child moves its own", holds(q, 0, COUNT));
	*(unsigned *)q = 1;
}

int main(void)
{
	char *p = pages(COUNT), *room = place(4 * COUNT), *q;
	size_t i;

	for (i = 0; i < COUNT; i++)
		*(unsigned *)(p + i * PAGE) = (unsigned)i * 2654435761u;
	for (i = 0; i < 6; i++) {
		char *to = room + (i % 2 ? 2 * COUNT + 13 : 7 * i) * PAGE;

		q = mremap(p, COUNT * PAGE, COUNT * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
		must(q == to);
		fact("moved", holds(q, 0, COUNT));
		p = q;
	}
	want_end("child", start(child, p), "exit 0");
	fact("after the child", holds(p, 0, COUNT));
	q = room + (p >= room + 2 * COUNT * PAGE ? 0 : 2 * COUNT) * PAGE;
	must(mremap(p + 500 * PAGE, 100 * PAGE, 100 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q) == q);
	fact("a part of it",
	     holds(q - 500 * PAGE, 500, 600) && holds(p, 0, 500) && holds(p, 600, COUNT));
	must(mremap(q, 100 * PAGE, 100 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + 500 * PAGE) ==
	     p + 500 * PAGE);
	fact("and back", holds(p, 0, COUNT));
	want_areas("one area again", p, COUNT, "0-1100 rw-p");
	return finish();
}
