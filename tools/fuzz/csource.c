/* SPDX-License-Identifier: MIT */
/*
 * Prints a round as a C program that stands alone: it shows what Linux does, and nothing of Quire is in it. Called by
 * `quire fuzz` for rounds that differ. Only the functions that the round needs are printed, since the program is compiled
 * with warnings as errors, and read by somebody.
 *
 * The program sets up files and limits, starts itself once more without capabilities, and runs through the steps. All its
 * processes run through the same list; turn() lets one after the other have its step, by bytes in pipes. A thread does so, too,
 * but passes over what was before it was there.
 */
#include "csource.h"

#include <inttypes.h>
#include <string.h>
#include <sys/syscall.h>

#include "case.h"
#include "names.h"

/* What a round needs. */
struct uses {
	bool calls, accesses, loads, stores, words, runs, executions, processes, forks, exits, thread_exits, files, segments, writes, transfers;
	unsigned threads;
};

static const char intro[] =
	"#define _GNU_SOURCE\n"
	"#include <errno.h>\n"
	"#include <fcntl.h>\n"
	"#include <pthread.h>\n"
	"#include <setjmp.h>\n"
	"#include <signal.h>\n"
	"#include <stdarg.h>\n"
	"#include <stdint.h>\n"
	"#include <stdio.h>\n"
	"#include <stdlib.h>\n"
	"#include <string.h>\n"
	"#include <sys/mman.h>\n"
	"#include <sys/personality.h>\n"
	"#include <sys/resource.h>\n"
	"#include <sys/shm.h>\n"
	"#include <sys/syscall.h>\n"
	"#include <sys/uio.h>\n"
	"#include <sys/wait.h>\n"
	"#include <unistd.h>\n"
	"\n"
	"/* What all processes share; vec is where mincore() writes. */\n"
	"struct shared {\n"
	"\tuint64_t slot[9]; /* results that later steps use; the last one is the first break */\n"
	"\tint pid[8];\n"
	"\tint segment[2];\n"
	"};\n"
	"\n"
	"static struct shared *const shared = (struct shared *)0x600000000000;\n"
	"static char maps[1 << 18];\n";

static const char die[] = "static void die(const char *what)\n"
			  "{\n"
			  "\tperror(what);\n"
			  "\t_exit(2);\n"
			  "}\n"
			  "\n";

static const char printing[] =
	"/* Addresses that the kernel draws are not the same each time. */\n"
	"static void say_address(uint64_t address)\n"
	"{\n"
	"\tif (address < 0x400000 || (address >= 0xffffffc0000 && address < 0x110000000000))\n"
	"\t\tdprintf(1, \"%#lx\\n\", address);\n"
	"\telse\n"
	"\t\tdprintf(1, \"somewhere\\n\");\n"
	"}\n"
	"\n";

static const char results[] = "static void say_result(long result)\n"
			      "{\n"
			      "\tif (result != -1)\n"
			      "\t\tdprintf(1, \" = %#lx\\n\", result);\n"
			      "\telse if (error_name(errno))\n"
			      "\t\tdprintf(1, \" = %s\\n\", error_name(errno));\n"
			      "\telse\n"
			      "\t\tdprintf(1, \" = errno %d\\n\", errno);\n"
			      "}\n"
			      "\n";

static const char calling[] =
	"/* A call whose result is an address goes to slot, if that is not -1. */\n"
	"static void call(int number, const char *name, int slot, long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d,\n"
	"\t\t uint64_t e, uint64_t f)\n"
	"{\n"
	"\tlong result = syscall(nr, a, b, c, d, e, f);\n"
	"\n"
	"\tdprintf(1, \"%d p%d %s\", number, self, name);\n"
	"\tif (result != -1 && slot >= 0)\n"
	"\t\tshared->slot[slot] = (uint64_t)result;\n"
	"\tif (result == -1 || (nr != SYS_mmap && nr != SYS_mremap && nr != SYS_brk && nr != SYS_shmat)) {\n"
	"\t\tsay_result(result);\n"
	"\t} else {\n"
	"\t\tdprintf(1, \" = \");\n"
	"\t\tsay_address((uint64_t)result);\n"
	"\t}\n"
	"}\n"
	"\n";

static const char accessing[] =
	"static sigjmp_buf back;\n"
	"static siginfo_t raised;\n"
	"\n"
	"static void on_signal(int number, siginfo_t *info, void *context)\n"
	"{\n"
	"\traised = *info;\n"
	"\tsiglongjmp(back, number);\n"
	"}\n"
	"\n"
	"/* Each has its turn alone: one stack will do. */\n"
	"static void use_signal_stack(void)\n"
	"{\n"
	"\tstatic char stack[65536];\n"
	"\tstack_t alternate = { .ss_sp = stack, .ss_size = sizeof(stack) };\n"
	"\n"
	"\tsigaltstack(&alternate, NULL);\n"
	"}\n"
	"\n"
	"static void catch_signals(void)\n"
	"{\n"
	"\tstruct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };\n"
	"\n"
	"\tuse_signal_stack();\n"
	"\tsigaction(SIGSEGV, &action, NULL);\n"
	"\tsigaction(SIGBUS, &action, NULL);\n"
	"\tsigaction(SIGILL, &action, NULL);\n"
	"\tsigaction(SIGTRAP, &action, NULL);\n"
	"}\n"
	"\n"
	"static void say_signal(int number, const char *name)\n"
	"{\n"
	"\tdprintf(1, \"%d p%d %s: \", number, self, name);\n"
	"\tif (raised.si_signo == SIGSEGV && raised.si_code == SEGV_MAPERR)\n"
	"\t\tdprintf(1, \"SEGV_MAPERR\");\n"
	"\telse if (raised.si_signo == SIGSEGV && raised.si_code == SEGV_ACCERR)\n"
	"\t\tdprintf(1, \"SEGV_ACCERR\");\n"
	"\telse if (raised.si_signo == SIGSEGV && raised.si_code == SI_KERNEL)\n"
	"\t\tdprintf(1, \"SEGV_GENERAL\");\n"
	"\telse if (raised.si_signo == SIGBUS && raised.si_code == BUS_ADRERR)\n"
	"\t\tdprintf(1, \"BUS_ADRERR\");\n"
	"\telse\n"
	"\t\tdprintf(1, \"signal %d code %d\", raised.si_signo, raised.si_code);\n"
	"\tdprintf(1, \" at \");\n"
	"\tsay_address((uint64_t)raised.si_addr);\n"
	"}\n"
	"\n";

static const char loading[] =
	"/* What all bytes add up to; whole words where they are aligned. */\n"
	"static __attribute__((noinline)) uint64_t look(uint64_t address, uint64_t len)\n"
	"{\n"
	"\tuint64_t sum = 0, end = address + len;\n"
	"\n"
	"\tfor (; address < end && address % 8; address++)\n"
	"\t\tsum = sum * 0x100000001b3 + *(volatile unsigned char *)address;\n"
	"\tfor (; end - address >= 8; address += 8)\n"
	"\t\tsum = sum * 0x100000001b3 + *(volatile uint64_t *)address;\n"
	"\tfor (; address < end; address++)\n"
	"\t\tsum = sum * 0x100000001b3 + *(volatile unsigned char *)address;\n"
	"\treturn sum;\n"
	"}\n"
	"\n"
	"static void load(int number, uint64_t address, uint64_t len)\n"
	"{\n"
	"\tif (sigsetjmp(back, 0))\n"
	"\t\tsay_signal(number, \"load\");\n"
	"\telse\n"
	"\t\tdprintf(1, \"%d p%d load = %#lx\\n\", number, self, look(address, len));\n"
	"}\n"
	"\n";

static const char storing[] = "static void store(int number, uint64_t address, uint64_t byte)\n"
			      "{\n"
			      "\tif (sigsetjmp(back, 0)) {\n"
			      "\t\tsay_signal(number, \"store\");\n"
			      "\t\treturn;\n"
			      "\t}\n"
			      "\t*(volatile unsigned char *)address = (unsigned char)byte;\n"
			      "\tdprintf(1, \"%d p%d store = 0\\n\", number, self);\n"
			      "}\n"
			      "\n";

static const char storing_words[] =
	"/* One instruction. */\n"
	"static void store_word(int number, uint64_t address, uint64_t bytes, uint64_t value)\n"
	"{\n"
	"\tif (sigsetjmp(back, 0)) {\n"
	"\t\tsay_signal(number, \"store_word\");\n"
	"\t\treturn;\n"
	"\t}\n"
	"\tif (bytes == 1)\n"
	"\t\t__asm__ volatile(\"movb %b1, (%0)\" : : \"r\"(address), \"q\"(value) : \"memory\");\n"
	"\telse if (bytes == 2)\n"
	"\t\t__asm__ volatile(\"movw %w1, (%0)\" : : \"r\"(address), \"r\"(value) : \"memory\");\n"
	"\telse if (bytes == 4)\n"
	"\t\t__asm__ volatile(\"movl %k1, (%0)\" : : \"r\"(address), \"r\"(value) : \"memory\");\n"
	"\telse\n"
	"\t\t__asm__ volatile(\"movq %1, (%0)\" : : \"r\"(address), \"r\"(value) : \"memory\");\n"
	"\tdprintf(1, \"%d p%d store_word = 0\\n\", number, self);\n"
	"}\n"
	"\n";

static const char storing_runs[] =
	"/* One byte after the other, as far as it goes. */\n"
	"static void store_run(int number, uint64_t address, uint64_t bytes, uint64_t byte)\n"
	"{\n"
	"\tuint64_t i;\n"
	"\n"
	"\tif (sigsetjmp(back, 0)) {\n"
	"\t\tsay_signal(number, \"store_run\");\n"
	"\t\treturn;\n"
	"\t}\n"
	"\tfor (i = 0; i < bytes && i < 8192; i++)\n"
	"\t\t*(volatile unsigned char *)(address + i) = (unsigned char)byte;\n"
	"\tdprintf(1, \"%d p%d store_run = 0\\n\", number, self);\n"
	"}\n"
	"\n";

static const char executing[] =
	"/* There is a return instruction, or nothing that may be executed. */\n"
	"static void execute(int number, uint64_t address)\n"
	"{\n"
	"\tif (sigsetjmp(back, 0)) {\n"
	"\t\tsay_signal(number, \"execute\");\n"
	"\t\treturn;\n"
	"\t}\n"
	"\t((void (*)(void))address)();\n"
	"\tdprintf(1, \"%d p%d execute = 0\\n\", number, self);\n"
	"}\n"
	"\n";

static const char turning[] =
	"static int token[8][2]; /* pipes: a byte for process n says that it is its turn */\n"
	"\n"
	"static void hand_to(int process)\n"
	"{\n"
	"\tif (write(token[process][1], \"\", 1) != 1)\n"
	"\t\tdie(\"pipe\");\n"
	"}\n"
	"\n"
	"static void wait_for_turn(void)\n"
	"{\n"
	"\tchar byte;\n"
	"\n"
	"\tif (read(token[self][0], &byte, 1) != 1)\n"
	"\t\tdie(\"pipe\");\n"
	"}\n"
	"\n"
	"/* Is the next step ours? All processes ask before every step; that of the step before passes the turn on. */\n"
	"static int turn(int process)\n"
	"{\n"
	"\tif (turns++ < born)\n"
	"\t\t; /* before this thread was there */\n"
	"\telse if (process != last && self == last)\n"
	"\t\thand_to(process);\n"
	"\telse if (process != last && self == process)\n"
	"\t\twait_for_turn();\n"
	"\tlast = process;\n"
	"\treturn self == process && turns > born;\n"
	"}\n"
	"\n";

static const char forking[] =
	"/* All are children of process 0, which sees each of them end. */\n"
	"static void make_process(int number, int process)\n"
	"{\n"
	"\tlong pid = syscall(SYS_clone, SIGCHLD | (self ? 0x8000 /* CLONE_PARENT */ : 0), 0, 0, 0, 0);\n"
	"\n"
	"\tif (pid == 0) {\n"
	"\t\tself = process;\n"
	"\t\treturn;\n"
	"\t}\n"
	"\tif (pid > 0)\n"
	"\t\tshared->pid[process] = (int)pid;\n"
	"\tdprintf(1, \"%d p%d fork\", number, self);\n"
	"\tsay_result(pid > 0 ? 0 : pid);\n"
	"}\n"
	"\n";

static const char thread_beginning[] =
	"static void make_steps(void);\n"
	"\n"
	"/* Not where pthread_create() would put them: each would be one mapping more. None is used twice. */\n"
	"static char stacks[THREADS][65536] __attribute__((aligned(4096)));\n"
	"static struct { int self, born; } beginning;\n"
	"\n"
	"static void *run_thread(void *arg)\n"
	"{\n"
	"\tself = beginning.self;\n"
	"\tborn = beginning.born;\n";

static const char thread_making[] =
	"\thand_to(*(int *)arg);\n"
	"\tmake_steps();\n"
	"\treturn NULL;\n"
	"}\n"
	"\n"
	"/* It is there before the next step. */\n"
	"static void make_thread(int number, int thread, int stack)\n"
	"{\n"
	"\tpthread_attr_t attributes;\n"
	"\tpthread_t made;\n"
	"\tint error;\n"
	"\n"
	"\tbeginning.self = thread;\n"
	"\tbeginning.born = turns;\n"
	"\tpthread_attr_init(&attributes);\n"
	"\tpthread_attr_setstack(&attributes, stacks[stack], sizeof(stacks[stack]));\n"
	"\terror = pthread_create(&made, &attributes, run_thread, &self);\n"
	"\tif (!error)\n"
	"\t\twait_for_turn();\n"
	"\terrno = error;\n"
	"\tdprintf(1, \"%d p%d thread\", number, self);\n"
	"\tsay_result(error ? -1 : 0);\n"
	"}\n"
	"\n";

static const char thread_exiting[] =
	"/* The thread whose turn it is ends, and its process does not; to that the turn goes. */\n"
	"static void end_thread(int number, int thread, int process)\n"
	"{\n"
	"\tif (turn(thread)) {\n"
	"\t\tdprintf(1, \"%d p%d exit = 0\\n\", number, self);\n"
	"\t\thand_to(process);\n"
	"\t\tsyscall(SYS_exit, 0);\n"
	"\t}\n"
	"\tif (self == process && turns > born)\n"
	"\t\twait_for_turn();\n"
	"\tlast = process;\n"
	"}\n"
	"\n";

static const char exiting[] =
	"/* The process whose turn it is ends; the turn is process 0's when nothing is left of it. */\n"
	"static void end_process(int number, int process)\n"
	"{\n"
	"\tif (turn(process)) {\n"
	"\t\tdprintf(1, \"%d p%d exit = 0\\n\", number, self);\n"
	"\t\thand_to(0);\n"
	"\t\t_exit(0);\n"
	"\t}\n"
	"\tif (self == 0) {\n"
	"\t\twait_for_turn();\n"
	"\t\twaitpid(shared->pid[process], NULL, 0);\n"
	"\t\tshared->pid[process] = 0;\n"
	"\t}\n"
	"\tlast = 0;\n"
	"}\n"
	"\n";

static const char writing[] =
	"static void write_file(int number, int file, uint64_t offset, uint64_t len, int byte)\n"
	"{\n"
	"\tstatic char bytes[131072];\n"
	"\n"
	"\tmemset(bytes, byte, sizeof(bytes));\n"
	"\tif (len > sizeof(bytes))\n"
	"\t\tlen = sizeof(bytes);\n"
	"\tdprintf(1, \"%d p%d write\", number, self);\n"
	"\tsay_result(pwrite(FILE_FD + file, bytes, len, (off_t)offset));\n"
	"}\n"
	"\n";

static const char own_maps[] =
	"/* The lines of the window, of every process that is still there. */\n"
	"static void say_maps(void)\n"
	"{\n"
	"\tint fd = open(\"/proc/self/maps\", O_RDONLY | O_CLOEXEC);\n"
	"\tsize_t used = 0;\n"
	"\tssize_t n;\n"
	"\tchar *line;\n"
	"\n"
	"\twhile (fd >= 0 && (n = read(fd, maps + used, sizeof(maps) - 1 - used)) > 0)\n"
	"\t\tused += (size_t)n;\n"
	"\tmaps[used] = 0;\n"
	"\tfor (line = strtok(maps, \"\\n\"); line; line = strtok(NULL, \"\\n\")) {\n"
	"\t\tuint64_t start = strtoull(line, NULL, 16);\n"
	"\n"
	"\t\tif (start < 0x400000 || (start >= 0xffffffc0000 && start < 0x110000000000))\n"
	"\t\t\tdprintf(1, \"p%d maps %s\\n\", self, line);\n"
	"\t}\n"
	"}\n"
	"\n";

static const char making_files[] =
	"/* Page j of file i begins with a return instruction; then comes 16 * i + j + 1. */\n"
	"static void make_file(int i, const char *folder, int again, int flags)\n"
	"{\n"
	"\tstatic unsigned char bytes[FILE_BYTES];\n"
	"\tstatic char path[64];\n"
	"\tint fd = -1, j;\n"
	"\n"
	"\tsnprintf(path, sizeof(path), \"%s/steps.%d.%d\", folder ? folder : \"\", getpid(), again < 0 ? i : again);\n"
	"\tif (!folder)\n"
	"\t\tfd = memfd_create(\"steps\", 0);\n"
	"\telse if (again < 0)\n"
	"\t\tfd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);\n"
	"\tif (again < 0) {\n"
	"\t\tfor (j = 0; j < (int)FILE_BYTES; j++)\n"
	"\t\t\tbytes[j] = j % 4096 ? (unsigned char)(16 * i + j / 4096 + 1) : 0xc3;\n"
	"\t\tif (fd < 0 || pwrite(fd, bytes, FILE_BYTES, 0) != (ssize_t)FILE_BYTES)\n"
	"\t\t\tdie(path);\n"
	"\t}\n"
	"\tif (folder) {\n"
	"\t\tint other = open(path, flags);\n"
	"\n"
	"\t\tif (again < 0)\n"
	"\t\t\tclose(fd);\n"
	"\t\tfd = other;\n"
	"\t}\n"
	"\tif (fd < 0 || dup2(fd, FILE_FD + i) < 0)\n"
	"\t\tdie(path);\n"
	"\tclose(fd);\n"
	"}\n"
	"\n"
	"static void make_files(void)\n"
	"{\n"
	"\tchar command[128];\n"
	"\n"
	"\tmake_file(0, \"/dev/shm\", -1, O_RDWR);\n"
	"\tmake_file(1, \"/dev/shm\", 0, O_RDWR);\n"
	"\tmake_file(2, \"/dev/shm\", -1, O_RDONLY);\n"
	"\tmake_file(3, \"/var/tmp\", -1, O_RDWR);\n"
	"\tmake_file(4, \"/var/tmp\", 3, O_RDONLY);\n"
	"\tmake_file(5, \"/dev/shm\", -1, O_WRONLY);\n"
	"\tmake_file(6, NULL, -1, O_RDWR);\n"
	"\tsnprintf(command, sizeof(command), \"rm -f /dev/shm/steps.%d.* /var/tmp/steps.%d.*\", getpid(), getpid());\n"
	"\tif (system(command))\n"
	"\t\tdie(command);\n"
	"}\n"
	"\n";

static const char limiting[] =
	"/* A limit of what the process may add to what it has now. */\n"
	"static void limit(int resource, const char *line, uint64_t bytes)\n"
	"{\n"
	"\tstatic char text[4096];\n"
	"\tint fd = open(\"/proc/self/status\", O_RDONLY | O_CLOEXEC);\n"
	"\tssize_t n = read(fd, text, sizeof(text) - 1);\n"
	"\tchar *at = n > 0 ? strstr(text, line) : NULL;\n"
	"\tstruct rlimit limit;\n"
	"\n"
	"\tclose(fd);\n"
	"\tif (!at)\n"
	"\t\tdie(\"/proc/self/status\");\n"
	"\tlimit.rlim_cur = limit.rlim_max = strtoull(at + strlen(line), NULL, 10) * 1024 + bytes;\n"
	"\tif (setrlimit((__rlimit_resource_t)resource, &limit))\n"
	"\t\tdie(\"setrlimit\");\n"
	"}\n"
	"\n";

static const char filling_up[] =
	"/* Areas, until only so many more are allowed. */\n"
	"static void fill_up(long left)\n"
	"{\n"
	"\tstatic char text[65536];\n"
	"\tchar *const start = (char *)0x500000000000;\n"
	"\tlong areas = 0, i;\n"
	"\tFILE *f = fopen(\"/proc/sys/vm/max_map_count\", \"r\");\n"
	"\tint fd;\n"
	"\n"
	"\tif (!f || fscanf(f, \"%ld\", &areas) != 1)\n"
	"\t\tdie(\"max_map_count\");\n"
	"\tfclose(f);\n"
	"\tfd = open(\"/proc/self/maps\", O_RDONLY | O_CLOEXEC);\n"
	"\twhile ((i = read(fd, text, sizeof(text))) > 0)\n"
	"\t\twhile (i-- > 0)\n"
	"\t\t\tareas -= text[i] == '\\n' && (i < 10 || memcmp(text + i - 10, \"[vsyscall]\", 10));\n"
	"\tclose(fd);\n"
	"\tareas -= left;\n"
	"\tif (areas > 0 && mmap(start, (size_t)areas * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != start)\n"
	"\t\tdie(\"mmap\");\n"
	"\tfor (i = 1; i < areas; i += 2)\n"
	"\t\tif (mprotect(start + i * 4096, 4096, PROT_READ))\n"
	"\t\t\tdie(\"mprotect\");\n"
	"}\n"
	"\n";

static const char transferring[] =
	"/* process_vm_readv() and process_vm_writev(): two ranges there, one buffer here. */\n"
	"static void transfer(int number, const char *name, long nr, int process, uint64_t a, uint64_t a_len, uint64_t b,\n"
	"\t\t     uint64_t b_len, uint64_t flags)\n"
	"{\n"
	"\tstatic unsigned char buffer[32768];\n"
	"\tstruct iovec remote[2] = { { (void *)a, a_len }, { (void *)b, b_len } }, local = { buffer, 0 };\n"
	"\tint i;\n"
	"\n"
	"\tfor (i = 0; i < 2; i++) {\n"
	"\t\tif (remote[i].iov_len >> 63)\n"
	"\t\t\tcontinue;\n"
	"\t\tif (remote[i].iov_len > sizeof(buffer) - local.iov_len)\n"
	"\t\t\tremote[i].iov_len = sizeof(buffer) - local.iov_len;\n"
	"\t\tlocal.iov_len += remote[i].iov_len;\n"
	"\t}\n"
	"\tfor (i = 0; i < (int)local.iov_len; i++)\n"
	"\t\tbuffer[i] = (unsigned char)(0xc3 + i % 251);\n"
	"\tdprintf(1, \"%d p%d %s\", number, self, name);\n"
	"\tsay_result(syscall(nr, shared->pid[process], &local, 1, remote, 2, flags));\n"
	"}\n"
	"\n";

static bool is_transfer(const struct step *s)
{
	return s->kind == STEP_CALL && (s->nr == SYS_process_vm_readv || s->nr == SYS_process_vm_writev);
}

static struct uses what_is_used(const struct round *round)
{
	bool thread[STEP_MAX_PROCESSES] = {false};
	struct uses u = {0};
	unsigned i;

	for (i = 0; i < round->nr_steps; i++) {
		const struct step *s = &round->steps[i];
		const struct fuzz_call *call = s->kind == STEP_CALL ? fuzz_call_by_nr(s->nr) : NULL;
		unsigned j;

		if (round->left_out && round->left_out[i])
			continue;
		u.transfers |= is_transfer(s);
		u.calls |= s->kind == STEP_CALL && !is_transfer(s);
		u.loads |= s->kind == STEP_LOAD;
		u.stores |= s->kind == STEP_STORE;
		u.words |= s->kind == STEP_STORE_WORD;
		u.runs |= s->kind == STEP_STORE_RUN;
		u.executions |= s->kind == STEP_EXECUTE;
		u.forks |= s->kind == STEP_FORK;
		u.threads += s->kind == STEP_THREAD;
		if (s->kind == STEP_FORK || s->kind == STEP_THREAD)
			thread[s->arg[0] % STEP_MAX_PROCESSES] = s->kind == STEP_THREAD;
		u.thread_exits |= s->kind == STEP_EXIT && thread[s->process];
		u.exits |= s->kind == STEP_EXIT && !thread[s->process];
		u.writes |= s->kind == STEP_WRITE;
		u.segments |= s->kind == STEP_CALL && s->nr == SYS_shmat;
		for (j = 0; call && j < 6; j++)
			u.files |= call->operand[j] == OPERAND_FILE &&
				   s->arg[j] - STEP_FD < STEP_NR_FILES;
	}
	u.processes = u.forks || u.threads;
	u.accesses = u.loads || u.stores || u.words || u.runs || u.executions;
	u.files |= u.writes;
	return u;
}

static void print_error_names(FILE *to)
{
	int number;

	fputs("static const char *error_name(int number)\n{\n\tswitch (number) {\n", to);
	for (number = 1; number < 134; number++)
		if (fuzz_errno_name(number))
			fprintf(to, "\tcase %d: return \"%s\";\n", number, fuzz_errno_name(number));
	fputs("\tdefault: return NULL;\n\t}\n}\n\n", to);
}

/* ---- Steps --------------------------------------------------------------------------------- */

static void print_argument(FILE *to, const struct step *s, unsigned arg, enum operand operand)
{
	uint64_t value = s->arg[arg];

	/* glibc's headers lack some of the names, so the words stand in the comment above. */
	if (s->slot_arg == (int)arg)
		fprintf(to, "shared->slot[%d] + %#" PRIx64,
			s->slot == STEP_BREAK ? STEP_MAX_SLOTS : s->slot, value);
	else if (s->kind == STEP_CALL && s->nr == SYS_shmat && arg == 0 && value < STEP_NR_SEGMENTS)
		fprintf(to, "(uint64_t)shared->segment[%" PRIu64 "]", value);
	else if (operand == OPERAND_FILE && value - STEP_FD < STEP_NR_FILES)
		fprintf(to, "FILE_FD + %" PRIu64, value - STEP_FD);
	else
		fprintf(to, "%#" PRIx64, value);
}

static void print_call(FILE *to, unsigned number, const struct step *s, const char *indent)
{
	const struct fuzz_call *call = fuzz_call_by_nr(s->nr);
	unsigned i;

	if (call)
		fprintf(to, "%scall(%u, \"%s\", %d, %d", indent, number, call->name, s->into_slot,
			s->nr);
	else
		fprintf(to, "%scall(%u, \"call%d\", %d, %d", indent, number, s->nr, s->into_slot,
			s->nr);
	for (i = 0; i < 6; i++) {
		fputs(", ", to);
		print_argument(to, s, i, call ? (enum operand)call->operand[i] : OPERAND_NUMBER);
	}
	fputs(");\n", to);
}

static void print_transfer(FILE *to, unsigned number, const struct step *s, const char *indent, const uint8_t *owner)
{
	unsigned i;

	fprintf(to, "%stransfer(%u, \"%s\", %d, %u", indent, number, fuzz_call_by_nr(s->nr)->name, s->nr,
		owner[s->arg[0] % STEP_MAX_PROCESSES]);
	for (i = 1; i < 6; i++) {
		fputs(", ", to);
		print_argument(to, s, i, OPERAND_NUMBER);
	}
	fputs(");\n", to);
}

static void print_access(FILE *to, unsigned number, const struct step *s, const char *indent)
{
	unsigned nr = fuzz_call_nr_operands(fuzz_kind_call(s->kind)), i;

	fprintf(to, "%s%s(%u", indent, fuzz_kind_call(s->kind)->name, number);
	for (i = 0; i < nr; i++) {
		fputs(", ", to);
		print_argument(to, s, i, OPERAND_NUMBER);
	}
	fputs(");\n", to);
}

/* owner: the process that each is a thread of; itself. nr_threads: made before. */
static void print_step(FILE *to, unsigned number, const struct step *s, bool processes, const uint8_t *owner, unsigned nr_threads)
{
	const char *indent = processes ? "\t\t" : "\t";

	if (processes && s->kind != STEP_EXIT)
		fprintf(to, "\tif (turn(%u))\n", s->process);
	switch (s->kind) {
	case STEP_CALL:
		if (is_transfer(s))
			print_transfer(to, number, s, indent, owner);
		else
			print_call(to, number, s, indent);
		break;
	case STEP_FORK:
		fprintf(to, "%smake_process(%u, %" PRIu64 ");\n", indent, number, s->arg[0]);
		break;
	case STEP_THREAD:
		fprintf(to, "%smake_thread(%u, %" PRIu64 ", %u);\n", indent, number, s->arg[0], nr_threads);
		break;
	case STEP_EXIT:
		if (owner[s->process] == s->process)
			fprintf(to, "\tend_process(%u, %u);\n", number, s->process);
		else
			fprintf(to, "\tend_thread(%u, %u, %u);\n", number, s->process, owner[s->process]);
		break;
	case STEP_WRITE:
		fprintf(to,
			"%swrite_file(%u, %" PRIu64 ", %#" PRIx64 ", %#" PRIx64 ", %#" PRIx64
			");\n",
			indent, number, s->arg[0], s->arg[1], s->arg[2], s->arg[3] & 0xff);
		break;
	default:
		print_access(to, number, s, indent);
	}
}

static void print_steps(FILE *to, const struct round *round, const struct answer *linux_said,
			const struct uses *u)
{
	bool there[STEP_MAX_PROCESSES] = {true};
	uint8_t owner[STEP_MAX_PROCESSES] = {0, 1, 2, 3, 4, 5, 6, 7};
	char text[1024];
	unsigned i, k, nr_threads = 0;

	fputs("static void make_steps(void)\n{\n", to);
	for (i = 0; i < round->nr_steps; i++) {
		const struct step *s = &round->steps[i];
		bool made = there[s->process % STEP_MAX_PROCESSES];

		if ((round->left_out && round->left_out[i]) || !made ||
		    (linux_said && !linux_said[i].made))
			continue;
		fuzz_step_print(s, text, sizeof(text));
		fprintf(to, "\t/* %s */\n", text);
		print_step(to, i, s, u->processes, owner, nr_threads);
		nr_threads += s->kind == STEP_THREAD;
		if (linux_said) {
			fuzz_answer_print(i, s, &linux_said[i], text, sizeof(text));
			fprintf(to, "\t/* -> %s */\n", text);
		}
		if (s->kind == STEP_FORK || s->kind == STEP_THREAD) {
			k = s->arg[0] % STEP_MAX_PROCESSES;
			there[k] = !linux_said || linux_said[i].result >= 0;
			owner[k] = s->kind == STEP_THREAD ? owner[s->process] : (uint8_t)k;
		}
		for (k = 0; s->kind == STEP_EXIT && k < STEP_MAX_PROCESSES; k++)
			if (k == s->process || owner[k] == s->process)
				there[k] = false;
	}
	for (i = 0; i < STEP_MAX_PROCESSES; i++) {
		if (!there[i] || owner[i] != i)
			continue;
		if (u->processes)
			fprintf(to, "\tif (turn(%u))\n\t", i);
		fputs("\tsay_maps();\n", to);
	}
	/* Process 0 reads the bytes that nobody else is there to read, and sees to it that nobody is left. */
	if (u->processes)
		fputs("\tif (turn(0))\n\t\treturn;\n", to);
	fputs("}\n\n", to);
}

static void print_limit(FILE *to, const char *resource, uint64_t value)
{
	if (value != ~0ull)
		fprintf(to,
			"\tif (setrlimit(%s, &(struct rlimit){ %#" PRIx64 ", %#" PRIx64
			" }))\n\t\tdie(\"setrlimit\");\n",
			resource, value, value);
}

static void print_main(FILE *to, const struct round *round, const struct uses *u)
{
	fputs("/* Files and limits; then this program starts anew, as nobody in particular. */\n"
	      "static void prepare(const char *name)\n{\n",
	      to);
	if (u->files)
		fputs("\tmake_files();\n", to);
	print_limit(to, "RLIMIT_STACK", round->limit_stack);
	print_limit(to, "RLIMIT_MEMLOCK", round->limit_memlock);
	if (round->no_random)
		fputs("\tpersonality(ADDR_NO_RANDOMIZE);\n", to);
	fputs("\tif (!getuid() && (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534)))\n"
	      "\t\tdie(\"setresuid\");\n"
	      "\texecl(\"/proc/self/exe\", name, \"steps\", NULL);\n"
	      "\tdie(\"exec\");\n"
	      "}\n\n"
	      "int main(int argc, char **argv)\n{\n",
	      to);
	if (round->overcommit != STEP_OVERCOMMIT_HOSTS)
		fputs("\tFILE *f = fopen(\"/proc/sys/vm/overcommit_memory\", \"r\");\n"
		      "\tint mode = f ? fgetc(f) : 0;\n",
		      to);
	if (u->processes || u->segments)
		fputs("\tint i;\n", to);
	if (round->overcommit != STEP_OVERCOMMIT_HOSTS || u->processes || u->segments)
		fputs("\n", to);
	if (round->overcommit != STEP_OVERCOMMIT_HOSTS)
		fprintf(to,
			"\t/* Everybody's, and not this program's to change. */\n"
			"\tif (mode != '%u') {\n"
			"\t\tdprintf(2, \"sysctl vm.overcommit_memory=%u%s first\\n\");\n"
			"\t\treturn 3;\n"
			"\t}\n",
			round->overcommit, round->overcommit,
			round->overcommit == 2 ? " vm.overcommit_kbytes=309237645312" : "");
	fputs("\tif (argc < 2)\n"
	      "\t\tprepare(argv[0]);\n"
	      "\tif (mmap(shared, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != shared)\n"
	      "\t\tdie(\"mmap\");\n"
	      "\tmemset(maps, 0, sizeof(maps));\n",
	      to);
	if (u->transfers)
		fputs("\tshared->pid[0] = getpid();\n", to);
	/* What pthread_create() takes is not to move the break. */
	if (u->threads)
		fputs("\tfree(malloc(65536));\n", to);
	fputs("\tshared->slot[8] = (uint64_t)syscall(SYS_brk, 0);\n", to);
	if (u->processes)
		fputs("\tfor (i = 0; i < 8; i++)\n\t\tif (pipe(token[i]))\n\t\t\tdie(\"pipe\");\n",
		      to);
	if (u->segments)
		fprintf(to,
			"\tfor (i = 0; i < %d; i++)\n"
			"\t\tif ((shared->segment[i] = shmget(IPC_PRIVATE, %llu, 0600)) < 0)\n\t\t\tdie(\"shmget\");\n",
			STEP_NR_SEGMENTS, STEP_SEGMENT_PAGES * STEP_PAGE);
	if (u->accesses)
		fputs("\tcatch_signals();\n", to);
	if (round->limit_maps != ~0ull)
		fprintf(to, "\tfill_up(%" PRIu64 ");\n", round->limit_maps);
	if (round->limit_as != ~0ull)
		fprintf(to, "\tlimit(RLIMIT_AS, \"VmSize:\", %#" PRIx64 ");\n", round->limit_as);
	if (round->limit_data != ~0ull)
		fprintf(to, "\tlimit(RLIMIT_DATA, \"VmData:\", %#" PRIx64 ");\n",
			round->limit_data);
	fputs("\tmake_steps();\n", to);
	if (u->segments) {
		if (u->processes)
			fputs("\tif (self)\n\t\t_exit(0);\n\twhile (wait(NULL) > 0)\n\t\t;\n", to);
		fprintf(to,
			"\tfor (i = 0; i < %d; i++)\n\t\tshmctl(shared->segment[i], IPC_RMID, NULL);\n",
			STEP_NR_SEGMENTS);
	} else if (u->processes) {
		fputs("\twhile (self == 0 && wait(NULL) > 0)\n\t\t;\n", to);
	}
	fputs("\t_exit(0);\n}\n", to);
}

/* The text of a comment may not end it. */
static void print_comment(FILE *to, const char *comment)
{
	fputs("/*\n", to);
	while (comment && *comment) {
		size_t len = strcspn(comment, "\n");

		fputs(" * ", to);
		for (; len; len--, comment++)
			if (comment[0] != '*' || comment[1] != '/')
				fputc(*comment, to);
		fputc('\n', to);
		comment += *comment == '\n';
	}
	fputs(" * What Linux does. Compile with: gcc -static -no-pie; -> is what it said to the judge.\n */\n",
	      to);
}

void fuzz_csource(FILE *to, const struct round *round, const struct answer *linux_said,
		  const char *comment)
{
	struct uses u = what_is_used(round);

	print_comment(to, comment);
	fputs(intro, to);
	if (u.files)
		fprintf(to, "#define FILE_FD %d\n#define FILE_BYTES %lluu\n\n", STEP_FD,
			STEP_FILE_BYTES);
	fputs(u.threads ? "static __thread int self; /* number of this process or thread */\n"
			: "static int self; /* number of this process */\n", to);
	if (u.processes)
		fprintf(to,
			"static %sint last; /* who made the step before */\n"
			"static %sint turns, born; /* how many turns there were, and were before this thread was there */\n",
			u.threads ? "__thread " : "", u.threads ? "__thread " : "");
	fputs("\n", to);
	fputs(die, to);
	if (u.calls || u.accesses)
		fputs(printing, to);
	if (u.calls || u.processes || u.writes || u.transfers) {
		print_error_names(to);
		fputs(results, to);
	}
	if (u.calls)
		fputs(calling, to);
	if (u.accesses)
		fputs(accessing, to);
	if (u.loads)
		fputs(loading, to);
	if (u.stores)
		fputs(storing, to);
	if (u.words)
		fputs(storing_words, to);
	if (u.runs)
		fputs(storing_runs, to);
	if (u.executions)
		fputs(executing, to);
	if (u.processes)
		fputs(turning, to);
	if (u.forks)
		fputs(forking, to);
	if (u.threads) {
		fprintf(to, "#define THREADS %u\n\n", u.threads);
		fputs(thread_beginning, to);
		if (u.accesses)
			fputs("\tuse_signal_stack();\n", to);
		fputs(thread_making, to);
	}
	if (u.thread_exits)
		fputs(thread_exiting, to);
	if (u.exits)
		fputs(exiting, to);
	if (u.writes)
		fputs(writing, to);
	if (u.transfers)
		fputs(transferring, to);
	fputs(own_maps, to);
	if (u.files)
		fputs(making_files, to);
	if (round->limit_as != ~0ull || round->limit_data != ~0ull)
		fputs(limiting, to);
	if (round->limit_maps != ~0ull)
		fputs(filling_up, to);
	print_steps(to, round, linux_said, &u);
	print_main(to, round, &u);
}
