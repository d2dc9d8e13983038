/* SPDX-License-Identifier: MIT */
/* A program with much data: all of it is there each time, and what was written the last time is not. */
#include "say.h"

enum { MiB = 1 << 20 };

/* Half a MiB of it, a page of zeroes, and a tail that the zeroes of .bss share a page with. */
static uint32_t data[32 * 4096 + 1024] = {[0 ... 16 * 4096 - 1] = 0x12345678,
					  [16 * 4096 ... 32 * 4096 - 1] = 0x9abcdef0};
static char bss[16 * MiB];
static const uint32_t constant[4096] = {[0 ... 4095] = 0x0f0f0f0f};
static __thread int in_thread = 77;

static int whole(void)
{
	int i, good = 1;

	for (i = 0; i < 16 * 4096; i++)
		good = good && data[i] == 0x12345678 && data[16 * 4096 + i] == 0x9abcdef0;
	for (i = 0; i < 1024; i++)
		good = good && data[32 * 4096 + i] == 0;
	for (i = 0; i < 4096; i++)
		good = good && constant[i] == 0x0f0f0f0f;
	return good;
}

int main(int argc, char **argv)
{
	char count[2] = {'0', 0};
	size_t i, touched = 0;

	if (argc > 1)
		count[0] = (char)(argv[1][0] + 1);
	say("time %s", count);
	fact("data is there", whole());
	for (i = 0; i < sizeof(bss); i += 64 * 1024)
		touched += ((volatile char *)bss)[i] != 0;
	want("what is zero is zero", (long)touched, 0);
	want("a thread's data", in_thread, 77);
	fact("constants cannot be written", !strcmp(fault(constant, 'w'), "SIGSEGV ACCERR"));
	memset(data, 1, sizeof(data));
	memset(bss, 2, 2 * MiB);
	in_thread = 3;
	for (i = 0; i < sizeof(bss); i += 64 * 1024)
		bss[i] = 5;
	if (say_failures || count[0] == '2')
		return finish();
	execv("/proc/self/exe", (char *[]){argv[0], count, NULL});
	return 1;
}
