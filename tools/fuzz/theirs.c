/* SPDX-License-Identifier: MIT */
/*
 * The player's side on the running Linux: the files that a round may map, the processes that play it (child.c), from
 * their start to their end. They are never the tool's own process: a round may do to its space what it likes. Called by
 * play.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/futex.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/vfs.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "player.h"

#define NOBODY 65534 /* a process with capabilities could lock all of the host's memory */
#define PATIENCE 20  /* seconds for a round */

extern const char fuzz_child_image[], fuzz_child_image_end[];

/* ---- Made and gone ----------------------------------------------------------------------- */

static const struct {
	const char *folder; /* NULL: a memfd, or a file that is there already */
	int same;           /* of that number; -1: its own */
	int flags;
} files[STEP_NR_FILES] = {
	[STEP_FILE_TMPFS] = { "/dev/shm", -1, O_RDWR },
	[STEP_FILE_AGAIN] = { NULL, STEP_FILE_TMPFS, O_RDWR },
	[STEP_FILE_READ_ONLY] = { "/dev/shm", -1, O_RDONLY },
	[STEP_FILE_DISK] = { "/var/tmp", -1, O_RDWR },
	[STEP_FILE_DISK_READ_ONLY] = { NULL, STEP_FILE_DISK, O_RDONLY },
	[STEP_FILE_WRITE_ONLY] = { "/dev/shm", -1, O_WRONLY },
	[STEP_FILE_MEMFD] = { NULL, -1, O_RDWR },
};

/* As the processes find it: inherited, at its number. */
static bool place(int fd, int number)
{
	return fd >= 0 && dup2(fd, number) == number;
}

static bool make_file(struct player *p, unsigned i)
{
	char name[64];
	int fd;

	if (files[i].same >= 0) {
		snprintf(name, sizeof(name), "/proc/self/fd/%d", p->fill_fd[files[i].same]);
		p->fill_fd[i] = -1;
		strcpy(p->path[i], p->path[files[i].same]);
		fd = open(name, files[i].flags | O_CLOEXEC);
		if (!place(fd, STEP_FD + (int)i))
			return false;
		close(fd);
		return true;
	}
	if (!files[i].folder) {
		p->fill_fd[i] = memfd_create("quire", MFD_CLOEXEC);
		strcpy(p->path[i], "/memfd:quire");
		if (p->fill_fd[i] < 0 || (geteuid() == 0 && fchown(p->fill_fd[i], NOBODY, NOBODY)))
			return false;
		return place(p->fill_fd[i], STEP_FD + (int)i);
	}
	snprintf(p->path[i], sizeof(p->path[i]), "%s/quire-fuzz.%d.%u", files[i].folder, getpid(), i);
	p->fill_fd[i] = open(p->path[i], O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (p->fill_fd[i] < 0 || (geteuid() == 0 && fchown(p->fill_fd[i], NOBODY, NOBODY)))
		return false;
	fd = open(p->path[i], files[i].flags | O_CLOEXEC);
	unlink(p->path[i]);
	if (!place(fd, STEP_FD + (int)i))
		return false;
	close(fd);
	return true;
}

static void nothing(int signo)
{
	(void)signo;
}

/* Between processes of one user, none of which is the other's parent. */
static bool may_transfer(void)
{
	int fd = open("/proc/sys/kernel/yama/ptrace_scope", O_RDONLY | O_CLOEXEC);
	char from = 0, to = 1, scope = '0';
	struct iovec local = { &to, 1 }, remote = { &from, 1 };

	if (fd >= 0) {
		(void)!read(fd, &scope, 1);
		close(fd);
	}
	return scope <= '1' && process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 1;
}

static bool says(const char *path, const char *what)
{
	char text[16] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	return n > 0 && strncmp(text, what, strlen(what)) == 0;
}

/* By the module, or by schemes of somebody's own; of those only that they run. */
static bool host_reclaims(void)
{
	bool on = says("/sys/module/damon_reclaim/parameters/enabled", "Y");
	glob_t states;
	size_t i;

	if (glob("/sys/kernel/mm/damon/admin/kdamonds/[0-9]*/state", 0, NULL, &states))
		return on;
	for (i = 0; i < states.gl_pathc; i++)
		on |= says(states.gl_pathv[i], "on");
	globfree(&states);
	return on;
}

const char *theirs_create(struct player *p)
{
	const struct sigaction action = { .sa_handler = nothing };
	size_t size = (size_t)(fuzz_child_image_end - fuzz_child_image);
	struct statfs st;
	unsigned i;

	p->image_fd = memfd_create("quire-fuzz", MFD_CLOEXEC);
	if (p->image_fd < 0 || write(p->image_fd, fuzz_child_image, size) != (ssize_t)size)
		return "memfd_create()";
	p->channel_fd = memfd_create("quire-channel", MFD_CLOEXEC);
	if (p->channel_fd < 0 || ftruncate(p->channel_fd, sizeof(struct channel)) || !place(p->channel_fd, CHANNEL_FD))
		return "memfd_create()";
	p->channel = mmap(NULL, sizeof(struct channel), PROT_READ | PROT_WRITE, MAP_SHARED, p->channel_fd, 0);
	if (p->channel == MAP_FAILED)
		return "mmap() of shared memory";
	for (i = 0; i < STEP_NR_FILES; i++)
		if (!make_file(p, i))
			return files[i].folder ? files[i].folder : "memfd_create()";
	p->no_transfer = !may_transfer();
	p->by_quire = access("/proc/quire", F_OK) == 0;
	p->no_disk = fstatfs(STEP_FD + STEP_FILE_DISK, &st) == 0 && st.f_type == TMPFS_MAGIC;
	p->host_reclaims = host_reclaims();
	sigaction(SIGALRM, &action, NULL);
	return NULL;
}

void theirs_destroy(struct player *p)
{
	unsigned i;

	theirs_end(p);
	for (i = 0; i < STEP_NR_FILES; i++) {
		if (p->fill_fd[i] >= 0)
			close(p->fill_fd[i]);
		close(STEP_FD + (int)i);
	}
	munmap(p->channel, sizeof(struct channel));
	close(CHANNEL_FD);
	close(p->channel_fd);
	close(p->image_fd);
}

/* ---- The start of a round ---------------------------------------------------------------- */

static bool failed(struct player *p, const char *what)
{
	text_printf(&p->result.what, "%s: %s\n", what, strerror(errno));
	return false;
}

static bool fill_files(struct player *p)
{
	unsigned char block[STEP_PAGE];
	unsigned i, j;

	for (i = 0; i < STEP_NR_FILES; i++) {
		if (p->fill_fd[i] < 0)
			continue;
		if (ftruncate(p->fill_fd[i], 0))
			return failed(p, p->path[i]);
		for (j = 0; j < STEP_FILE_PAGES - 1; j++) {
			size_t len = j == STEP_FILE_PAGES - 2 ? 100 : sizeof(block);

			memset(block, (int)(0x10 * i + j + 1), sizeof(block));
			block[0] = 0xc3;
			if (pwrite(p->fill_fd[i], block, len, (off_t)(j * STEP_PAGE)) != (ssize_t)len)
				return failed(p, p->path[i]);
		}
	}
	return true;
}

static long futex(uint32_t *word, int op, uint32_t value, const struct timespec *timeout)
{
	return syscall(SYS_futex, word, op, value, timeout, NULL, 0);
}

/* Between vfork() and exec: raw calls, which change nothing of the tool that is the tool's for longer than this. */
static void __attribute__((noreturn)) become_child(struct player *p)
{
	static char name[] = "quire-fuzz";
	static char *const argv[] = { name, NULL }, *const envp[] = { NULL };

	if (geteuid() == 0 && (syscall(SYS_setgroups, 0, NULL) || syscall(SYS_setresgid, NOBODY, NOBODY, NOBODY) ||
			       syscall(SYS_setresuid, NOBODY, NOBODY, NOBODY)))
		_exit(126);
	if (p->round->no_random)
		personality(ADDR_NO_RANDOMIZE);
	syscall(SYS_execveat, p->image_fd, "", argv, envp, AT_EMPTY_PATH);
	_exit(127);
}

static uint64_t status_bytes(const char *text, const char *name)
{
	const char *line = strstr(text, name);

	return line ? strtoull(line + strlen(name), NULL, 10) * 1024 : 0;
}

static bool set_limits(struct player *p)
{
	const struct round *r = p->round;
	uint64_t as = r->limit_as, data = r->limit_data;

	if (as != ~0ull || data != ~0ull) {
		char path[64], text[4096];
		ssize_t n;
		int fd;

		snprintf(path, sizeof(path), "/proc/%d/status", (int)p->first);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
		if (n <= 0)
			return failed(p, path);
		text[n] = '\0';
		if (as != ~0ull)
			as += status_bytes(text, "VmSize:");
		if (data != ~0ull)
			data += status_bytes(text, "VmData:");
	}
	memcpy(p->channel->limit, (const uint64_t[]){ as, data, r->limit_stack, r->limit_memlock }, sizeof(p->channel->limit));
	return true;
}

static bool uses_segments(const struct round *round)
{
	unsigned i;

	for (i = 0; i < round->nr_steps; i++)
		if (round->steps[i].kind == STEP_CALL && round->steps[i].nr == SYS_shmat)
			return true;
	return false;
}

/* Removed as soon as it is attached here: so it goes with us, whatever happens. */
static bool make_segments(struct player *p)
{
	unsigned i;

	for (i = 0; i < STEP_NR_SEGMENTS && uses_segments(p->round); i++) {
		int id = shmget(IPC_PRIVATE, STEP_SEGMENT_PAGES * STEP_PAGE, IPC_CREAT | 0777);
		void *at = id < 0 ? (void *)-1 : shmat(id, NULL, 0);

		if (at == (void *)-1)
			return failed(p, "shmget(), shmat()");
		p->attached[i] = at;
		shmctl(id, IPC_RMID, NULL);
		p->channel->segment[i] = id;
	}
	return true;
}

static void drop_segments(struct player *p)
{
	unsigned i;

	for (i = 0; i < STEP_NR_SEGMENTS; i++) {
		if (p->attached[i])
			shmdt(p->attached[i]);
		p->attached[i] = NULL;
	}
}

bool theirs_begin(struct player *p)
{
	struct channel *c = p->channel;
	struct timespec tick = { 0, 50000000 };
	uint32_t state;
	int status;
	pid_t pid;

	c->state = CHANNEL_IDLE;
	c->next = 0;
	c->nr_steps = 0;
	c->text_used = 0;
	c->nr_samples = 0;
	c->nr_pads = 0;
	memset(c->pid, 0, sizeof(c->pid));
	p->died = NULL;
	if (!fill_files(p) || !make_segments(p))
		return false;
	pid = vfork();
	if (pid == 0)
		become_child(p);
	if (pid < 0)
		return failed(p, "fork()");
	p->first = pid;
	while ((state = __atomic_load_n(&c->state, __ATOMIC_ACQUIRE)) != CHANNEL_READY) {
		futex(&c->state, FUTEX_WAIT, state, &tick);
		if (waitpid(pid, &status, WNOHANG) != pid)
			continue;
		p->first = 0;
		text_printf(&p->result.what, "the judged process does not start: status %#x%s\n", status,
			    WIFEXITED(status) && WEXITSTATUS(status) == 126 ? " (setresuid)" :
			    WIFEXITED(status) && WEXITSTATUS(status) == 127 ? " (execveat)" : "");
		return false;
	}
	return set_limits(p);
}

/* ---- Playing ----------------------------------------------------------------------------- */

static uint32_t next_made(const struct channel *c, uint32_t i)
{
	while (i < c->nr_steps && !(c->plan[i] & PLAN_MADE))
		i++;
	return i;
}

static void kill_all(struct player *p)
{
	uint32_t k;

	for (k = 0; k < STEP_MAX_PROCESSES; k++)
		if (p->channel->pid[k] > 0)
			kill(p->channel->pid[k], SIGKILL);
}

static void __attribute__((format(printf, 3, 4))) died(struct player *p, uint32_t at, const char *format, ...)
{
	va_list ap;

	if (p->died)
		return;
	va_start(ap, format);
	vsnprintf(p->died_text, sizeof(p->died_text), format, ap);
	va_end(ap);
	p->died = p->died_text;
	p->died_at = at;
	kill_all(p);
}

/* Process k has ended, all of it is gone. */
static void ended(struct player *p, uint32_t k, int status)
{
	struct channel *c = p->channel;
	uint32_t at = __atomic_load_n(&c->next, __ATOMIC_ACQUIRE) & ~CHANNEL_BORN;
	bool clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;

	c->pid[k] = 0;
	if (clean && at >= c->nr_steps)
		return;
	if (clean && at < c->nr_steps && c->step[at].kind == STEP_EXIT && c->step[at].process == k) {
		c->record[at].result = 0;
		__atomic_store_n(&c->next, next_made(c, at + 1), __ATOMIC_RELEASE);
		futex(&c->next, FUTEX_WAKE, STEP_MAX_PROCESSES, NULL);
		return;
	}
	died(p, at, "process %u ended with %s %d%s", k, WIFSIGNALED(status) ? "signal" : "status",
	     WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
	     c->state == CHANNEL_TEXT_FULL ? ", out of room for texts" : "");
}

void theirs_run(struct player *p)
{
	/* Quire's kernel runs on emulated processors. */
	const struct itimerval none = { 0 }, patience = { .it_value.tv_sec = p->by_quire ? 5 * PATIENCE : PATIENCE,
							  .it_interval.tv_sec = 1 };
	struct channel *c = p->channel;
	uint32_t k;
	int status;
	pid_t pid;

	__atomic_store_n(&c->next, next_made(c, 0), __ATOMIC_RELEASE);
	__atomic_store_n(&c->state, CHANNEL_GO, __ATOMIC_RELEASE);
	futex(&c->state, FUTEX_WAKE, 1, NULL);
	setitimer(ITIMER_REAL, &patience, NULL);
	while ((pid = waitpid(-1, &status, 0)) > 0 || errno == EINTR) {
		uint32_t at = __atomic_load_n(&c->next, __ATOMIC_ACQUIRE) & ~CHANNEL_BORN;

		if (pid < 0)
			died(p, at, "nothing moves any more");
		for (k = 0; pid > 0 && k < STEP_MAX_PROCESSES; k++)
			if (c->pid[k] == pid)
				ended(p, k, status);
	}
	setitimer(ITIMER_REAL, &none, NULL);
	p->first = 0;
}

void theirs_end(struct player *p)
{
	kill_all(p);
	if (p->first)
		kill(p->first, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	memset(p->channel->pid, 0, sizeof(p->channel->pid));
	p->first = 0;
	drop_segments(p);
}
