/* SPDX-License-Identifier: MIT */
/* membarrier: which there are, and that one has to register first. */
#include "say.h"

enum { QUERY = 0, GLOBAL = 1, PRIVATE_EXPEDITED = 8, REGISTER_PRIVATE_EXPEDITED = 16 };

static long membarrier(int command, int flags)
{
	return syscall(SYS_membarrier, command, flags, 0);
}

static void child(void *arg)
{
	want("a child is registered", membarrier(PRIVATE_EXPEDITED, 0), 0);
}

int main(void)
{
	long all = membarrier(QUERY, 0);

	if (all == -1 && errno == ENOSYS)
		not_here("membarrier");
	fact("these are there", (all & PRIVATE_EXPEDITED) && (all & REGISTER_PRIVATE_EXPEDITED));
	want("not registered", membarrier(PRIVATE_EXPEDITED, 0), -EPERM);
	want("register", membarrier(REGISTER_PRIVATE_EXPEDITED, 0), 0);
	want("registered", membarrier(PRIVATE_EXPEDITED, 0), 0);
	want_end("child", start(child, NULL), "exit 0");
	want("no such command", membarrier(1 << 30, 0), -EINVAL);
	want("flags", membarrier(QUERY, 77), -EINVAL);
	return finish();
}
