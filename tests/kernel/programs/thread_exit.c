/* SPDX-License-Identifier: MIT */
/* A process of several threads ends by exit_group, by a signal, by its last thread, or executes another program. */
#include "say.h"
#include <pthread.h>

static void *waits(void *arg)
{
	for (;;)
		pause();
	return NULL;
}

static void *exits(void *arg)
{
	pause_ms(5);
	_exit(7);
}

static void *executes(void *arg)
{
	execl("/proc/self/exe", "thread_exit", arg, NULL);
	_exit(1);
}

static void *last(void *arg)
{
	char state[4096] = "";
	int tries;

	/* Until the first thread has ended: the process is there all the same. */
	for (tries = 0; tries < 10000 && !strstr(state, "State:\tZ"); tries++)
		text_of("/proc/self/status", state, sizeof(state));
	syscall(SYS_exit, 9);
	return NULL;
}

static void threads(void *(*run)(void *), void *arg)
{
	pthread_t thread;
	int i;

	for (i = 0; i < 3; i++)
		must(pthread_create(&thread, NULL, waits, NULL) == 0);
	must(pthread_create(&thread, NULL, run, arg) == 0);
}

static void one_exits(void *arg)
{
	threads(exits, NULL);
	waits(NULL);
}

static void main_exits(void *arg)
{
	threads(waits, NULL);
	_exit(8);
}

static void killed(void *arg)
{
	threads(waits, NULL);
	kill(getpid(), SIGTERM);
	waits(NULL);
}

static void main_ends(void *arg)
{
	pthread_t thread;

	must(pthread_create(&thread, NULL, last, NULL) == 0);
	syscall(SYS_exit, 3);
}

static void one_executes(void *arg)
{
	static char number[16];

	snprintf(number, sizeof(number), "%d", (int)getpid());
	threads(executes, number);
	waits(NULL);
}

static void faults(void *arg)
{
	threads(waits, NULL);
	*(volatile char *)arg = 1;
}

int main(int argc, char **argv)
{
	char text[4096], *found;

	if (argc > 1) {
		text_of("/proc/self/status", text, sizeof(text));
		found = strstr(text, "Threads:\t1\n");
		_exit(getpid() == atoi(argv[1]) && syscall(SYS_gettid) == getpid() && found ? 11
											    : 1);
	}
	want_end("a thread calls exit_group", start(one_exits, NULL), "exit 7");
	want_end("main does", start(main_exits, NULL), "exit 8");
	want_end("a signal", start(killed, NULL), "SIGTERM");
	want_end("the last of two", start(main_ends, NULL), "exit 9");
	want_end("a thread executes a program: it is the process", start(one_executes, NULL),
		 "exit 11");
	want_end("a fault", start(faults, (void *)16), "SIGSEGV");
	return finish();
}
