/* SPDX-License-Identifier: MIT */
/* Signals to one thread and to the process; each thread has its own mask, all have the same handlers. */
#include "say.h"
#include <pthread.h>
#include <semaphore.h>

static volatile pid_t handled_by;
static volatile sig_atomic_t count;
static volatile pid_t other_id;
static sem_t ready, handled, leave;

static pid_t self_id(void)
{
	return (pid_t)syscall(SYS_gettid);
}

static void handler(int number)
{
	handled_by = self_id();
	count++;
	sem_post(&handled);
}

static void *other(void *arg)
{
	sigset_t set;

	other_id = self_id();
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	sem_post(&ready);
	while (sem_wait(&leave) < 0)
		;
	return NULL;
}

static void take(void)
{
	while (sem_wait(&handled) < 0)
		;
}

int main(void)
{
	pthread_t thread;
	sigset_t set;

	must(sem_init(&ready, 0, 0) == 0 && sem_init(&handled, 0, 0) == 0 &&
	     sem_init(&leave, 0, 0) == 0);
	sigaction(SIGUSR1, &(struct sigaction){.sa_handler = handler, .sa_flags = SA_RESTART},
		  NULL);
	sigaction(SIGUSR2, &(struct sigaction){.sa_handler = handler, .sa_flags = SA_RESTART},
		  NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	must(pthread_create(&thread, NULL, other, NULL) == 0);
	sem_wait(&ready);
	fact("main's number is the process's, the other's is not",
	     self_id() == getpid() && other_id != getpid());

	must(pthread_kill(thread, SIGUSR1) == 0);
	take();
	fact("to the thread", handled_by == other_id);
	must(kill(getpid(), SIGUSR2) == 0);
	take();
	fact("to the process: the thread that does not block it", handled_by == other_id);
	must(pthread_kill(pthread_self(), SIGUSR1) == 0);
	take();
	fact("to ourselves", handled_by == getpid());
	must(pthread_kill(pthread_self(), SIGUSR2) == 0);
	must(sigpending(&set) == 0);
	fact("blocked here, pending here", sigismember(&set, SIGUSR2) && count == 3);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	take();
	fact("unblocked", handled_by == getpid() && count == 4);
	want("to a thread of another process's", syscall(SYS_tgkill, getppid(), other_id, SIGUSR1),
	     -ESRCH);
	want("below 0", syscall(SYS_tgkill, -1, other_id, SIGUSR1), -EINVAL);
	sem_post(&leave);
	must(pthread_join(thread, NULL) == 0);
	return finish();
}
