/* SPDX-License-Identifier: MIT */
/* Who dies with a robust lock leaves a mark in it, and wakes who waits for it. */
#include "say.h"
#include <pthread.h>
#include <stddef.h>

enum { WAIT = 0, WAKE = 1 };
#define WAITERS 0x80000000u
#define OWNER_DIED 0x40000000u

/* The kernel's own form of the list. */
struct node {
	struct node *next;
	unsigned lock;
};

struct head {
	struct node *list;
	long offset;
	struct node *pending;
};

struct shared {
	struct node nodes[3];
	struct head head;
	pthread_mutex_t mutex;
};

static struct shared *shared;

static void dies(void *arg)
{
	struct head *head = &shared->head;
	unsigned self = (unsigned)syscall(SYS_gettid);

	head->offset = (long)(offsetof(struct node, lock) - offsetof(struct node, next));
	head->list = &shared->nodes[0];
	shared->nodes[0].next = &shared->nodes[1];
	shared->nodes[1].next = (struct node *)head;
	head->pending = &shared->nodes[2];
	shared->nodes[0].lock = self | WAITERS;
	shared->nodes[1].lock = self + 1; /* somebody else's */
	shared->nodes[2].lock = self;
	want("set_robust_list", syscall(SYS_set_robust_list, head, sizeof(*head)), 0);
	want("of another size", syscall(SYS_set_robust_list, head, 3), -EINVAL);
	if (arg)
		raise(SIGKILL);
}

static void locks(void *arg)
{
	must(pthread_mutex_lock(&shared->mutex) == 0);
}

static void look(const char *how, const char *end)
{
	unsigned locked = __atomic_load_n(&shared->nodes[1].lock, __ATOMIC_SEQ_CST);
	struct timespec time = {20, 0};
	unsigned value;

	memset(shared->nodes, 0, sizeof(shared->nodes));
	want_end(how, start(dies, (void *)(strcmp(end, "exit 0") ? end : NULL)), end);
	/* The mark is made before the parent hears of the end. */
	value = shared->nodes[0].lock;
	if (!(value & OWNER_DIED))
		syscall(SYS_futex, &shared->nodes[0].lock, WAIT, value, &time, NULL, 0);
	locked = shared->nodes[0].lock;
	fact("the lock is marked, and is nobody's", locked == (WAITERS | OWNER_DIED));
	fact("somebody else's is not",
	     !(shared->nodes[1].lock & OWNER_DIED) && shared->nodes[1].lock != 0);
	fact("one that was just to be taken is", shared->nodes[2].lock == OWNER_DIED);
}

static void waits(void *arg)
{
	struct timespec time = {20, 0};
	unsigned value;

	/* Until the owner has died. */
	while (!((value = __atomic_load_n(&shared->nodes[0].lock, __ATOMIC_SEQ_CST)) & OWNER_DIED))
		if (!value)
			pause_ms(1);
		else
			must(syscall(SYS_futex, &shared->nodes[0].lock, WAIT, value, &time, NULL,
				     0) == 0 ||
			     errno == EAGAIN);
}

int main(void)
{
	pthread_mutexattr_t attr;
	pid_t waiter;

	shared = mmap(NULL, PAGE, RW, SHARED, -1, 0);
	must(shared != MAP_FAILED);
	look("exit", "exit 0");
	look("killed", "SIGKILL");
	memset(shared->nodes, 0, sizeof(shared->nodes));
	waiter = start(waits, NULL);
	want_end("its owner", start(dies, NULL), "exit 0");
	want_end("who waited was woken", waiter, "exit 0");

	must(pthread_mutexattr_init(&attr) == 0);
	must(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST) == 0);
	must(pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED) == 0);
	must(pthread_mutex_init(&shared->mutex, &attr) == 0);
	want_end("a child that ends with the library's lock", start(locks, NULL), "exit 0");
	want_text("who takes it then is told", error_name(pthread_mutex_lock(&shared->mutex)),
		  "EOWNERDEAD");
	want("makes it good", pthread_mutex_consistent(&shared->mutex), 0);
	want("and gives it back", pthread_mutex_unlock(&shared->mutex), 0);
	want("to be taken again", pthread_mutex_lock(&shared->mutex), 0);
	return finish();
}
