/* SPDX-License-Identifier: MIT */
/*
 * Only under the kernel: system calls at random, with arguments meant to hurt, by several processes with several threads
 * each; and by others jumps, reads, writes and code at random, stacks and frames of signals that are none. Children may
 * die of it; the kernel may not, nor tell them what is its own. An argument is the number of rounds, each of PROCESSES
 * processes; another the seed.
 */
#include "show.h"

#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/time.h>

#ifdef __x86_64__
#define STACK_POINTER "%rsp"
#define SEGMENT "%%gs"
#define CALL_KERNEL "syscall"
#define KERNEL_START 0x800000000000ull
#else
#define STACK_POINTER "%esp"
#define SEGMENT "%%fs"
#define CALL_KERNEL "int $0x80"
#define KERNEL_START 0xc0000000ull
#endif
#define PROCESSES 4
#define THREADS 2
#define NO_ROOT 211 /* status of a child that could not be locked in */

static uint64_t state;
static char *area;

static uint64_t chance(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * 0x9e3779b97f4a7c15ull;
}

/* Numbers that have broken kernels. */
static uint64_t argument(void)
{
	static const uint64_t odd[] = {
		0,
		1,
		2,
		3,
		7,
		8,
		63,
		64,
		127,
		255,
		256,
		511,
		1023,
		4095,
		4096,
		4097,
		8192,
		65535,
		65536,
		1 << 20,
		1 << 30,
		0x7fffffff,
		0x80000000,
		0xffffffff,
		0x100000000,
		-1ul,
		-2ul,
		-22ul,
		-4096ul,
		-4095ul,
		0x7ffffffff000,
		0x7fffffffefff,
		0x7ffffffff001,
		0x800000000000,
		0xffff800000000000,
		0xffff888000000000,
		0xffffc90000000000,
		0xffffffff80000000,
		0xffffffff80100000,
		0xfffffffffffff000,
		0x8000000000000000,
		0x7fffffffffffffff,
		0x555555554000,
	};

	switch (chance() >> 60) {
	case 0 ... 3:
		return odd[(chance() >> 32) % (sizeof(odd) / sizeof(*odd))];
	case 4 ... 8:
		return (uint64_t)(uintptr_t)area + (chance() >> 32) % (64 * PAGE);
	case 9:
		return ((uint64_t)(uintptr_t)area + (chance() >> 32) % (64 * PAGE)) & ~(PAGE - 1);
	case 10 ... 12:
		return (chance() >> 32) % 16;
	case 13:
		return 1ull << (chance() >> 58);
	default:
		return chance() >> (chance() >> 58);
	}
}

/* What would end the test itself, or stop it for long. */
static int is_left_out(long number)
{
	switch (number) {
	case SYS_pause:
	case SYS_nanosleep:
	case SYS_clock_nanosleep:
	case SYS_rt_sigsuspend:
	case SYS_rt_sigtimedwait:
	case SYS_futex:
	case SYS_poll:
	case SYS_ppoll:
#ifdef __i386__
	case SYS__newselect:
	case SYS_waitpid:
	case SYS_futex_time64:
	case SYS_ppoll_time64:
	case SYS_pselect6_time64:
	case SYS_rt_sigtimedwait_time64:
	case SYS_clock_nanosleep_time64:
	case SYS_clock_settime64:
#endif
	case SYS_select:
	case SYS_pselect6:
	case SYS_exit:
	case SYS_exit_group:
	case SYS_reboot:
	case SYS_kill:
	case SYS_tkill:
	case SYS_tgkill:
	case SYS_rt_sigqueueinfo:
	case SYS_rt_tgsigqueueinfo:
	case SYS_setrlimit:
	case SYS_prlimit64:
	case SYS_fork:
	case SYS_vfork:
	case SYS_clone:
	case SYS_clone3:
	case SYS_wait4:
	case SYS_waitid:
	case SYS_setuid:
	case SYS_read: /* of the terminal */
	case SYS_readv:
	case SYS_ioctl:
	case SYS_alarm:
	case SYS_clock_settime:
	case SYS_mount:
	case SYS_chroot:
	case SYS_sched_setaffinity:
		return 1;
	default:
		return 0;
	}
}

static long one_call(void)
{
	uint64_t a[6];
	long number;
	int i;

	do
		number = (long)((chance() >> 32) % 470);
	while (is_left_out(number));
	for (i = 0; i < 6; i++)
		a[i] = argument();
	return syscall(number, (long)a[0], (long)a[1], (long)a[2], (long)a[3], (long)a[4],
		       (long)a[5]);
}

static long calls;
/* Of all processes: calls that came back, accesses and the like that were tried, and bytes of the kernel's that could be read. */
static struct {
	long calls, accesses, read;
} * made;

static void *caller(void *arg)
{
	long i;

	for (i = 0; i < calls; i++) {
		(void)one_call();
		__atomic_fetch_add(&made->calls, 1, __ATOMIC_RELAXED);
	}
	return arg;
}

static sigjmp_buf back;

static void on_signal(int number)
{
	siglongjmp(back, number);
}

static void jump(unsigned long to)
{
	((void (*)(void))to)();
}

/* Most of them end in a signal. */
static void bad_access(void)
{
	unsigned long at = (unsigned long)argument();
	unsigned char *code = (unsigned char *)area + (chance() >> 32) % (63 * PAGE);

	switch (chance() >> 60) {
	case 0 ... 2:
		*(volatile char *)at = 1;
		break;
	case 3 ... 5:
		(void)*(volatile char *)at;
		if (at >= KERNEL_START)
			made->read++;
		break;
	case 6:
		jump(at);
		break;
	case 7:
		code[0] = 0xcd; /* int $n */
		code[1] = (unsigned char)(chance() >> 56);
		code[2] = 0xc3;
		jump((unsigned long)code);
		break;
	case 8 ... 10:
		jump((unsigned long)code);
		break;
	case 11:
		__asm__ volatile("mov %0, %" STACK_POINTER "; push %0; ud2" : : "r"(at));
		break;
	case 12:
		__asm__ volatile("mov %0, %" STACK_POINTER "; " CALL_KERNEL "; ud2"
				 :
				 : "r"(at), "a"(SYS_getpid)
				 : "memory");
		break;
	case 13:
		/* A frame of whatever is there. */
		__asm__ volatile("mov %0, %" STACK_POINTER "; " CALL_KERNEL "; ud2"
				 :
				 : "r"(code), "a"(SYS_rt_sigreturn)
				 : "memory");
		break;
	case 14:
		__asm__ volatile("push %0; popf; nop; nop" : : "r"(at) : "cc", "memory");
		break;
	default:
		__asm__ volatile("mov %w0, " SEGMENT : : "r"((unsigned)at));
	}
}

/* Whatever happens, it goes on; until it has broken what it needs for that. */
static void access_at_random(void)
{
	static char stack[65536];
	static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGALRM, SIGSYS};
	const stack_t own = {.ss_sp = stack, .ss_size = sizeof(stack)};
	const struct sigaction action = {.sa_handler = on_signal,
					 .sa_flags = SA_ONSTACK | SA_NODEFER};
	/* Code at random may go in circles. */
	const struct itimerval soon = {.it_value.tv_usec = 4000, .it_interval.tv_usec = 4000};
	static long left;
	unsigned i;

	sigaltstack(&own, NULL);
	for (i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		sigaction(signals[i], &action, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	left = calls / 8;
	sigsetjmp(back, 1);
	while (left-- > 0) {
		made->accesses++;
		bad_access();
	}
}

static void child(unsigned seed, int accesses)
{
	struct rlimit size = {8 << 20, 8 << 20}, space = {256 << 20, 256 << 20}, none = {0, 0};
	pthread_t t[THREADS];
	int ends[2], i;

	/* Nothing of what is written at random is for the console. */
	close(0);
	close(1);
	close(2);
	open("/dev/null", O_RDWR);
	state = seed * 0x2545f4914f6cdd1dull | 1;
	setrlimit(RLIMIT_FSIZE, &size);
	setrlimit(RLIMIT_AS, &space);
	setrlimit(RLIMIT_CORE, &none);
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	area = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED)
		_exit(1);
	for (i = 0; i < (int)(64 * PAGE); i++)
		area[i] = (char)(chance() >> 56);
	open("/tmp/hostile/file", O_RDWR | O_CREAT, 0600);
	open("/proc/self/maps", O_RDONLY);
	pipe(ends);
	/* A path at random that begins with a slash is in the directory that will be cleared, too. */
	if (chroot("/tmp/hostile"))
		_exit(NO_ROOT);
	if (accesses) {
		access_at_random();
		_exit(0);
	}
	for (i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, caller, NULL);
	caller(NULL);
	_exit(0);
}

/* Files that children have left; what else they made has names of bytes at random, and stays until the machine goes. */
static void remove_all(void)
{
	DIR *d = opendir("/tmp/hostile");
	struct dirent *e;
	int id;

	while (d && (e = readdir(d)) != NULL)
		if (unlinkat(dirfd(d), e->d_name, 0))
			unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR);
	if (d)
		closedir(d);
	rmdir("/tmp/hostile");
	/* Shared memory stays until somebody removes it; this kernel counts it from 0. */
	for (id = 0; id < 20000; id++)
		shmctl(id, IPC_RMID, NULL);
}

int main(int argc, char **argv)
{
	unsigned seed = argc > 2 ? (unsigned)atoi(argv[2]) : 1, round, i;
	/* A child dies of its first mistake, and there are many: so there are many children. */
	const unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 40;

	calls = 2000;
	/* Far from all that they write to. */
	made = mmap((void *)(sizeof(long) == 8 ? 0x123400000000 : 0x12340000), PAGE,
		    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	CHECK(made != MAP_FAILED);
	mkdir("/tmp/hostile", 0777);
	chdir("/tmp/hostile");
	for (round = 0; round < rounds; round++) {
		pid_t pid[PROCESSES];

		for (i = 0; i < PROCESSES; i++) {
			pid[i] = fork();
			if (!pid[i])
				child(seed + round * PROCESSES + i, i == 0);
		}
		for (i = 0; i < PROCESSES; i++) {
			int status = 0, turn;

			/* What still runs after a while sleeps somewhere, or goes in circles: that is its right. */
			for (turn = 0;
			     turn < (i ? 200 : 50) && waitpid(pid[i], &status, WNOHANG) == 0;
			     turn++)
				usleep(10000);
			kill(pid[i], SIGKILL);
			waitpid(pid[i], &status, 0);
			CHECK(!WIFEXITED(status) || WEXITSTATUS(status) != NO_ROOT);
		}
	}
	chdir("/");
	remove_all();
	if (argc > 1)
		printf("%ld calls, %ld accesses\n", made->calls, made->accesses);
	printf(made->read ? "the kernel can be read\n" : "the kernel lives\n");
	return 0;
}
