/* SPDX-License-Identifier: MIT */
/* System calls that there are not: ENOSYS, and nothing else happens. */
#include "say.h"

int main(void)
{
	static const long numbers[] = {1000,	   1023, 4095, 65536, 0x3fffffff,
				       0x7fffffff, -1,	 -2,   -4096};
	char *p = pages(1);
	size_t i;

	memset(p, 1, PAGE);
	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		char what[32];

		snprintf(what, sizeof(what), "call %ld", numbers[i]);
		want(what, syscall(numbers[i], p, PAGE, p, PAGE, p, PAGE), -ENOSYS);
	}
	fact("memory is as it was", all_are(p, PAGE, 1));
#ifdef __x86_64__
	{
		long answer, rbx = 3, r12 = 12;
		register long r10 __asm__("r10") = 10;

		__asm__ volatile(
			"movq %[b], %%rbx\n\tmovq %[c], %%r12\n\tsyscall\n\tmovq %%rbx, %[b]\n\tmovq %%r12, %[c]"
			: "=a"(answer), [b] "+m"(rbx), [c] "+m"(r12), "+r"(r10)
			: "0"(5000l), "D"(1l), "S"(2l), "d"(3l)
			: "rbx", "r12", "rcx", "r11", "memory", "cc");
		fact("registers are as they were",
		     answer == -ENOSYS && rbx == 3 && r12 == 12 && r10 == 10);
	}
#else
	say("registers are as they were: yes");
#endif
	return finish();
}
