/* SPDX-License-Identifier: MIT */
/* The stack grows as it is used, and keeps what was on it; a child has a stack of its own. */
#include "say.h"

static long stack_kb(void)
{
	return figure("/proc/self/status", "VmStk:");
}

__attribute__((noinline)) static long dig(int depth)
{
	volatile char room[16384];
	long sum;

	room[0] = (char)depth;
	room[sizeof(room) - 1] = (char)(depth + 1);
	sum = depth ? dig(depth - 1) : 0;
	return sum + room[0] + room[sizeof(room) - 1];
}

static long expected(int depth)
{
	long sum = 0;

	for (; depth >= 0; depth--)
		sum += (char)depth + (char)(depth + 1);
	return sum;
}

static void child(void *arg)
{
	fact("a child goes deeper", dig(250) == expected(250));
	fact("its stack is larger", stack_kb() > 4000);
}

int main(void)
{
	volatile char here;
	long before = stack_kb(), after;
	char text[65536], name[32] = "";
	unsigned long start_of, end;
	char *line;

	fact("it is small at first", before > 0 && before < 1024);
	fact("deep calls", dig(100) == expected(100));
	after = stack_kb();
	fact("make it larger", after >= before + 1400);
	fact("and again", dig(100) == expected(100));
	fact("no larger", stack_kb() == after);
	want_end("child", start(child, NULL), "exit 0");
	fact("ours is as it was", stack_kb() == after);

	text_of("/proc/self/maps", text, sizeof(text));
	for (line = text; line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
		if (sscanf(line, "%lx-%lx %*s %*s %*s %*s %31s", &start_of, &end, name) == 3 &&
		    !strcmp(name, "[stack]"))
			break;
	}
	want_text("maps has it", name, "[stack]");
	fact("with this variable in it",
	     (unsigned long)&here >= start_of && (unsigned long)&here < end);
	want_fault("far below it", (char *)start_of - (1024 << 20), 'r', "SIGSEGV MAPERR");
	return finish();
}
