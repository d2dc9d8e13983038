/* SPDX-License-Identifier: MIT */
/* System V shared memory: attached, detached, read only, at a place, and gone with its last user. */
#include "say.h"
#include <sys/ipc.h>
#include <sys/shm.h>

static int id;

static int is_mapped(char *p)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry;

	must(fd >= 0 && pread(fd, &entry, 8, (off_t)((uintptr_t)p / PAGE) * 8) == 8);
	close(fd);
	return (int)(entry >> 63);
}

static void child(void *p)
{
	char *q = shmat(id, NULL, 0);

	must(q != (void *)-1);
	want("the child reads, twice", q[0] * 10 + ((char *)p)[0], 11);
	q[0] = 2;
	q[PAGE] = 3;
}

#define ROOM 70000 /* pages; a host may allow more areas, then nothing is seen here */

/* What is taken is said before that there are too many areas. */
static void no_more_areas(void *taken)
{
	char *room = mmap(NULL, ROOM * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *apart = pages(16);
	long i, at_free, at_taken;

	must(room != MAP_FAILED && munmap(apart, 16 * PAGE) == 0);
	for (i = 1; i < ROOM && mprotect(room + i * PAGE, PAGE, PROT_READ) == 0; i += 2)
		;
	for (i = 0; i < 16 && mmap(apart + i * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED;
	     i += 2)
		;
	at_free = answer_of((long)shmat(id, apart + 14 * PAGE, 0));
	at_taken = answer_of((long)shmat(id, taken, 0));
	must(munmap(room, ROOM * PAGE) == 0);
	fact("too many areas", at_free == -ENOMEM || i == 16);
	want("at a place where something is, then", at_taken, -EINVAL);
	munmap(apart, 16 * PAGE);
}

int main(void)
{
	struct shmid_ds ds;
	char *p, *q, *at;
	long code;

	id = shmget(IPC_PRIVATE, 2 * PAGE - 100, IPC_CREAT | 0600);
	if (id < 0 && errno == ENOSYS)
		not_here("System V shared memory");
	must(id >= 0);
	p = shmat(id, NULL, 0);
	must(p != (void *)-1);
	want_areas("attached", p, 2, "0-2 rw-s");
	fact("all is zero", all_are(p, 2 * PAGE, 0));
	p[0] = 1;
	want_end("child", start(child, p), "exit 0");
	fact("what the child wrote", p[0] == 2 && p[PAGE] == 3);
	q = shmat(id, NULL, SHM_RDONLY);
	must(q != (void *)-1);
	want_areas("read only", q, 2, "0-2 r--s");
	want("the same memory", q[0], 2);
	fact("the page beside it has not been mapped", !is_mapped(q + PAGE));
	want_fault("writing it", q, 'w', "SIGSEGV ACCERR");
	must(shmctl(id, IPC_STAT, &ds) == 0);
	want("size", ds.shm_segsz, 2 * PAGE - 100);
	want("attached", ds.shm_nattch, 2);
	want("mode", ds.shm_perm.mode & 0777, 0600);
	want("detach", shmdt(q), 0);
	want_fault("it is gone", q, 'r', "SIGSEGV MAPERR");
	want("detach again", shmdt(q), -EINVAL);

	at = pages(4);
	want("at a place where something is", (long)shmat(id, at, 0), -EINVAL);
	no_more_areas(at);
	fact("unless it is to go", shmat(id, at, SHM_REMAP) == at);
	want_areas("then", at, 4, "0-2 rw-s, 2-4 rw-p");
	must(remap_file_pages(at, PAGE, 0, 0, 0) == 0);
	want_areas("a page mapped anew as it was", at, 4, "0-2 rw-s, 2-4 rw-p");
	want("at no page", (long)shmat(id, at + 5, 0), -EINVAL);
	fact("which may be rounded", (munmap(at, 2 * PAGE), shmat(id, at + 5, SHM_RND)) == at);
	/* Where a kernel of 64 bits runs a program of 32, nothing wraps: there is no room, then. */
	code = answer_of((long)shmat(id, (void *)-PAGE, 0));
	fact("beyond the end of all addresses", code == -EINVAL || (sizeof(long) == 4 && code == -ENOMEM));
	want("remove", shmctl(id, IPC_RMID, NULL), 0);
	want("who has it keeps it", at[PAGE], 3);
	must(shmctl(id, IPC_STAT, &ds) == 0);
	fact("marked", (ds.shm_perm.mode & 01000) != 0 && ds.shm_nattch == 2);
	want("detach", shmdt(p), 0);
	want("a part unmapped", munmap(at, PAGE), 0);
	want("the rest is there", at[PAGE], 3);
	want("detach what is left", shmdt(at), 0);
	want_areas("then", at, 4, "2-4 rw-p");
	want("it is gone", shmctl(id, IPC_STAT, &ds), -EINVAL);
	want("attach what is gone", (long)shmat(id, NULL, 0), -EINVAL);
	want("nothing", shmget(IPC_PRIVATE, 0, 0600), -EINVAL);
	want("a key that nobody has", shmget(0x51726531, PAGE, 0), -ENOENT);
	return finish();
}
