/* SPDX-License-Identifier: MIT */
/*
 * The model's steps made on the running Linux: a process for each space, which the judge tells by
 * shared memory what to do next. They are processes of nobody in particular, so that limits hold. What
 * lies around the window is walled off. Called by judge.c; knows nothing of Quire.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <quire/vma.h>

#include "search.h"

#define NR_MSEAL 462
#define PAGE 4096u
#define HALF 2048u
#define PATIENCE 5 /* seconds */

enum command { STEP, LOOK, QUIT };

/* One a space. */
struct slot {
	uint32_t turn; /* futex; 1: the process's */
	uint32_t command;
	struct step step;
	uint8_t value;
	int32_t child; /* FORK: the child's slot */
	pid_t pid;
	struct outcome outcome;
	unsigned char vec[MODEL_PAGES];
	struct linux_page page[MODEL_PAGES];
};

static struct slot *slots; /* shared */
static unsigned me;	   /* my slot, in a process of a space */
static unsigned pages;
static int file = -1;

static void *page_at(unsigned page)
{
	return (void *)(uintptr_t)MODEL_ADDRESS(page);
}

/* ---- Turns ------------------------------------------------------------------------------- */

static void hand_over(struct slot *slot, uint32_t turn)
{
	__atomic_store_n(&slot->turn, turn, __ATOMIC_RELEASE);
	syscall(SYS_futex, &slot->turn, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* False: it has taken too long. */
static bool wait_for(struct slot *slot, uint32_t turn)
{
	struct timespec tick = {.tv_sec = 1};

	for (unsigned seconds = 0; seconds < PATIENCE;) {
		uint32_t now_is = __atomic_load_n(&slot->turn, __ATOMIC_ACQUIRE);

		if (now_is == turn)
			return true;
		if (syscall(SYS_futex, &slot->turn, FUTEX_WAIT, now_is, &tick, NULL, 0) &&
		    errno == ETIMEDOUT)
			seconds++;
	}
	return false;
}

/* ---- In a process of a space ------------------------------------------------------------- */

static sigjmp_buf after_signal;
static struct outcome *signalled;

static void on_signal(int signo, siginfo_t *info, void *context)
{
	(void)context;
	signalled->value = -EFAULT;
	signalled->signo = signo;
	signalled->code = info->si_code;
	signalled->addr = (uint64_t)(uintptr_t)info->si_addr;
	siglongjmp(after_signal, 1);
}

static void access_byte(unsigned page, unsigned half, bool store, uint8_t value, struct outcome *o)
{
	volatile unsigned char *at = (unsigned char *)page_at(page) + half * HALF;

	memset(o, 0, sizeof(*o));
	signalled = o;
	if (sigsetjmp(after_signal, 1))
		return;
	if (store)
		*at = value;
	else
		o->byte = *at;
}

static int64_t answer_of(long value)
{
	return value == -1 ? -errno : value;
}

static int64_t write_half(unsigned half, uint8_t value)
{
	unsigned char bytes[HALF];

	memset(bytes, value, sizeof(bytes));
	return pwrite(file, bytes, HALF, (off_t)half * HALF) == HALF ? 0 : -EIO;
}

static void live(unsigned slot) __attribute__((noreturn));

static void make_child(int slot)
{
	pid_t pid = fork();

	if (pid < 0)
		_exit(1);
	if (!pid)
		live((unsigned)slot);
	/* The child is there when the step is over. */
	if (!wait_for(&slots[slot], 0))
		_exit(1);
}

static void make_step(struct slot *slot)
{
	const struct step *t = &slot->step;
	struct outcome *o = &slot->outcome;
	void *at = page_at(t->start), *to = t->to == NOWHERE ? NULL : page_at(t->to);
	size_t len = (size_t)t->n * PAGE;
	long value = 0;

	memset(o, 0, sizeof(*o));
	/* Not through the C library, which sanitizers may have changed. */
	switch ((enum model_call)t->call) {
	case CALL_MMAP:
		value = syscall(SYS_mmap, at, len, t->prot,
				t->flags | (t->file ? 0 : (uint32_t)MAP_ANONYMOUS),
				t->file ? file : -1, (off_t)t->off * PAGE);
		break;
	case CALL_MUNMAP: value = syscall(SYS_munmap, at, len); break;
	case CALL_MPROTECT: value = syscall(SYS_mprotect, at, len, t->prot); break;
	case CALL_MREMAP:
		value = syscall(SYS_mremap, at, len, (size_t)t->new_n * PAGE, t->flags, to);
		break;
	case CALL_MADVISE: value = syscall(SYS_madvise, at, len, t->flags); break;
	case CALL_MLOCK: value = syscall(SYS_mlock, at, len); break;
	case CALL_MLOCK2: value = syscall(SYS_mlock2, at, len, t->flags); break;
	case CALL_MUNLOCK: value = syscall(SYS_munlock, at, len); break;
	case CALL_MSYNC: value = syscall(SYS_msync, at, len, t->flags); break;
	case CALL_MINCORE: value = syscall(SYS_mincore, at, len, slot->vec); break;
	case CALL_MSEAL: value = syscall(NR_MSEAL, at, len, 0); break;
	case CALL_FTRUNCATE: value = ftruncate(file, (off_t)t->n * HALF); break;
	case CALL_PWRITE:
		o->value = write_half(t->start, slot->value);
		return;
	case CALL_STORE:
	case CALL_LOAD:
		access_byte(t->start, t->off, t->call == CALL_STORE, slot->value, o);
		return;
	case CALL_FORK: make_child(slot->child); break;
	default: break; /* who goes on is the judge's to know */
	}
	o->value = answer_of(value);
}

/* VmFlags in smaps: the model's flags, as far as they are shown. */
static uint64_t parse_flags(const char *text)
{
	static const struct {
		char name[3];
		uint64_t flag;
	} names[] = {
		{"rd", QUIRE_VM_READ}, {"wr", QUIRE_VM_WRITE}, {"ex", QUIRE_VM_EXEC},
		{"sh", QUIRE_VM_SHARED}, {"mr", QUIRE_VM_MAYREAD}, {"mw", QUIRE_VM_MAYWRITE},
		{"me", QUIRE_VM_MAYEXEC}, {"ms", QUIRE_VM_MAYSHARE}, {"gd", QUIRE_VM_GROWSDOWN},
		{"lo", QUIRE_VM_LOCKED}, {"sr", QUIRE_VM_SEQ_READ}, {"rr", QUIRE_VM_RAND_READ},
		{"dc", QUIRE_VM_DONTCOPY}, {"lf", QUIRE_VM_LOCKONFAULT}, {"ac", QUIRE_VM_ACCOUNT},
		{"nr", QUIRE_VM_NORESERVE}, {"wf", QUIRE_VM_WIPEONFORK}, {"dd", QUIRE_VM_DONTDUMP},
		{"sl", QUIRE_VM_SEALED},
	};
	uint64_t flags = 0;

	for (; text[0] >= 'a' && text[0] <= 'z'; text += 3)
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			if (!memcmp(text, names[i].name, 2))
				flags |= names[i].flag;
	return flags;
}

static void look_at_areas(struct slot *slot)
{
	FILE *smaps = fopen("/proc/self/smaps", "r");
	unsigned first = 0, end = 0;
	char line[512], perms[8];

	while (smaps && fgets(line, sizeof(line), smaps)) {
		unsigned long long start, stop, offset;

		if (!strncmp(line, "VmFlags: ", 9)) {
			for (unsigned p = first; p < end; p++)
				slot->page[p].flags = parse_flags(line + 9);
			continue;
		}
		if (line[0] >= 'A' && line[0] <= 'Z')
			continue;
		first = end = 0;
		if (sscanf(line, "%llx-%llx %7s %llx", &start, &stop, perms, &offset) != 4 ||
		    start < MODEL_BASE || stop > MODEL_ADDRESS(pages))
			continue;
		first = (unsigned)((start - MODEL_BASE) / PAGE);
		end = (unsigned)((stop - MODEL_BASE) / PAGE);
		for (unsigned p = first; p < end; p++) {
			slot->page[p].mapped = true;
			slot->page[p].first = p == first;
			slot->page[p].offset = offset / PAGE + (p - first);
			memcpy(slot->page[p].perms, perms, 4);
		}
	}
	if (smaps)
		fclose(smaps);
}

static void look(struct slot *slot)
{
	memset(slot->page, 0, sizeof(slot->page));
	look_at_areas(slot);
	for (unsigned p = 0; p < pages && p < MODEL_PAGES; p++)
		if (syscall(SYS_mincore, page_at(p), PAGE, &slot->vec[p]))
			slot->vec[p] = 2;
	for (unsigned p = 0; p < pages && p < MODEL_PAGES; p++)
		for (unsigned h = 0; h < 2; h++)
			access_byte(p, h, false, 0, &slot->page[p].load[h]);
}

static void live(unsigned slot)
{
	me = slot;
	slots[me].pid = getpid();
	hand_over(&slots[me], 0);
	while (wait_for(&slots[me], 1)) {
		switch (slots[me].command) {
		case STEP: make_step(&slots[me]); break;
		case LOOK: look(&slots[me]); break;
		default: _exit(0);
		}
		hand_over(&slots[me], 0);
	}
	_exit(1);
}

/* Something that merges with nothing, and that nothing grows over. */
static void build_wall(void *at)
{
	if (mmap(at, PAGE, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != at)
		_exit(1);
}

static void begin_process(const struct model *first)
{
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_NODEFER};

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	signal(SIGCHLD, SIG_IGN);
	build_wall((char *)page_at(0) - PAGE);
	build_wall(page_at(first->pages));
	if (first->memlock != MODEL_UNLIMITED) {
		struct rlimit limit = {(rlim_t)first->memlock * PAGE, (rlim_t)first->memlock * PAGE};

		setrlimit(RLIMIT_MEMLOCK, &limit);
	}
	/* Who may do anything has no limits. */
	if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
		_exit(1);
	live(0);
}

/* ---- In the judge ------------------------------------------------------------------------ */

static bool tell(unsigned slot, enum command command)
{
	slots[slot].command = command;
	hand_over(&slots[slot], 1);
	return wait_for(&slots[slot], 0);
}

/* The process is gone, and its space with it, when this returns. */
static void end_process(unsigned slot)
{
	int fd = (int)syscall(SYS_pidfd_open, slots[slot].pid, 0);
	struct pollfd gone = {.fd = fd, .events = POLLIN};

	slots[slot].command = QUIT;
	hand_over(&slots[slot], 1);
	if (fd >= 0 && poll(&gone, 1, PATIENCE * 1000) != 1)
		kill(slots[slot].pid, SIGKILL);
	if (fd >= 0)
		close(fd);
	slots[slot].pid = 0;
}

static void fill_file(void)
{
	unsigned char bytes[HALF];

	if (ftruncate(file, 0))
		abort();
	for (unsigned h = 0; h < MODEL_FILE_HALVES; h++) {
		memset(bytes, model_file_byte(h / 2, h % 2), sizeof(bytes));
		if (pwrite(file, bytes, HALF, (off_t)h * HALF) != HALF)
			abort();
	}
}

/* Who goes on after the step, as the model has it. */
static unsigned next_space(const struct model *before, const struct step *t, int32_t *child)
{
	struct model after = *before;
	struct outcome o;

	(void)model_step(&after, t, 0, &o);
	*child = -1;
	for (int i = 0; i < MODEL_SPACES; i++)
		if (after.space[i].exists && !before->space[i].exists)
			*child = i;
	return after.current;
}

static void run_steps(const struct model *first, const struct step *steps, unsigned n,
		      struct linux_answer *answer)
{
	struct model m = *first;

	for (unsigned i = 0; i < n; i++) {
		struct slot *slot = &slots[m.current];
		unsigned old = m.current;
		struct outcome o;

		slot->step = steps[i];
		slot->value = value_at(i);
		(void)next_space(&m, &steps[i], &slot->child);
		if (slot->child >= 0)
			slots[slot->child].turn = 1;
		memset(slot->vec, 0, sizeof(slot->vec));
		if (!tell(old, STEP))
			return;
		answer->outcome[i] = slot->outcome;
		if (steps[i].call == CALL_MINCORE && !slot->outcome.value)
			for (unsigned p = 0; p < steps[i].n && p < MODEL_PAGES; p++)
				answer->outcome[i].vec[p] = slot->vec[p] & 1;
		(void)model_step(&m, &steps[i], value_at(i), &o);
		if (steps[i].call == CALL_EXIT)
			end_process(old);
		answer->made = i + 1;
	}
	if (!tell(m.current, LOOK)) {
		answer->made = 0;
		return;
	}
	memcpy(answer->vec, slots[m.current].vec, sizeof(answer->vec));
	memcpy(answer->page, slots[m.current].page, sizeof(answer->page));
}

void linux_run(const struct model *first, const struct step *steps, unsigned n,
	       struct linux_answer *answer)
{
	pid_t pid;

	memset(answer, 0, sizeof(*answer));
	memset(slots, 0, MODEL_SPACES * sizeof(*slots));
	fill_file();
	pages = first->pages;
	slots[0].turn = 1;
	pid = fork();
	if (pid < 0)
		abort();
	if (!pid)
		begin_process(first);
	if (wait_for(&slots[0], 0))
		run_steps(first, steps, n, answer);
	else
		kill(pid, SIGKILL);
	for (unsigned i = 0; i < MODEL_SPACES; i++)
		if (slots[i].pid)
			end_process(i);
	/* Those whose parents have gone before them are ours. */
	while (waitpid(-1, NULL, 0) > 0)
		;
}

const char *linux_open(void)
{
	char name[] = "/var/tmp/quire-model-XXXXXX";
	struct utsname system;
	int major, minor;

	if (uname(&system) || sscanf(system.release, "%d.%d", &major, &minor) != 2 ||
	    major < 6 || (major == 6 && minor < 18))
		return "this kernel is older than 6.18";
	if (getuid())
		return "needs root, to become somebody else for whom limits hold";
	file = mkstemp(name);
	slots = mmap(NULL, MODEL_SPACES * sizeof(*slots), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (file < 0 || slots == MAP_FAILED)
		return "no file in /var/tmp, or no memory";
	unlink(name);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	return NULL;
}

void linux_close(void)
{
	close(file);
	munmap(slots, MODEL_SPACES * sizeof(*slots));
}
