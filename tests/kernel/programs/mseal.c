/* SPDX-License-Identifier: MIT */
/* mseal: an area that is sealed stays as and where it is. */
#include "say.h"
#include <sys/shm.h>

#ifndef SYS_mseal
#define SYS_mseal 462
#endif

static long seal(char *p, size_t length, unsigned long flags)
{
	return syscall(SYS_mseal, p, length, flags);
}

static void child(void *p)
{
	want("a child cannot either", munmap(p, PAGE), -EPERM);
}

int main(void)
{
	char *p = pages(6);
	int id;

	if (seal(p, 0, 0) == -1 && errno == ENOSYS)
		not_here("mseal");
	memset(p, 1, 6 * PAGE);
	want("seal two pages", seal(p + 2 * PAGE, 2 * PAGE, 0), 0);
	want_areas("become an area", p, 6, "0-2 rw-p, 2-4 rw-p, 4-6 rw-p");
	want("munmap", munmap(p + 2 * PAGE, PAGE), -EPERM);
	want("munmap of more", munmap(p, 6 * PAGE), -EPERM);
	want("mprotect", mprotect(p + 3 * PAGE, PAGE, PROT_READ), -EPERM);
	want("mremap", mremap(p + 2 * PAGE, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE), -EPERM);
	want("mmap over it", mmap(p + 3 * PAGE, PAGE, RW, PRIVATE | MAP_FIXED, -1, 0), -EPERM);
	want_areas("all as before", p, 6, "0-2 rw-p, 2-4 rw-p, 4-6 rw-p");
	fact("bytes too", all_are(p, 6 * PAGE, 1));
	p[2 * PAGE] = 2;
	want("it can be written", p[2 * PAGE], 2);
	want("DONTNEED of what can be written", madvise(p + 2 * PAGE, PAGE, MADV_DONTNEED), 0);
	want("again", seal(p + 2 * PAGE, 2 * PAGE, 0), 0);
	want("over a hole", (munmap(p + 5 * PAGE, PAGE), seal(p, 6 * PAGE, 0)), -ENOMEM);
	want("what is not sealed can go", munmap(p, PAGE), 0);
	want("flags", seal(p + 2 * PAGE, PAGE, 1), -EINVAL);
	want("not at a page", seal(p + 2 * PAGE + 1, PAGE, 0), -EINVAL);
	want("of nothing", seal(p + 2 * PAGE, 0, 0), 0);
	want_end("exit", start(child, p + 2 * PAGE), "exit 0");
	id = shmget(IPC_PRIVATE, 2 * PAGE, IPC_CREAT | 0600);
	must(id >= 0 && (p = shmat(id, NULL, 0)) != (void *)-1 && shmctl(id, IPC_RMID, NULL) == 0);
	want("seal a page of a segment", seal(p, PAGE, 0), 0);
	want("detach it", shmdt(p), 0);
	want_areas("what is sealed has stayed", p, 2, "0-1 rw-s");
	return finish();
}
