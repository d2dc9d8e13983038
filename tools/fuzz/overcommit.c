/* SPDX-License-Identifier: MIT */
/*
 * The host's overcommit settings, which are everybody's: how a round has them otherwise for the time of its steps, and how they
 * are what they were afterwards, whatever happens. Called by play.c.
 *
 * Who plays, in whatever tool, holds a lock: shared while the settings are the host's own, alone while they are not. A second one,
 * the gate, is taken on the way to the first, so that whoever wants to be alone is not passed by others for ever. Both lie on the
 * files of the settings themselves, which nobody needs to make or remove.
 *
 * A process that does nothing else, the keeper, waits for the player's end: if the player had something changed then, the keeper
 * puts it right before the lock goes. It has a session of its own, so that what is typed at the tool does not reach it.
 *
 * Others are to notice nothing. Mode 1 grants more than mode 0 does. Under mode 2 the limit is far beyond what the host has
 * promised, and no step comes so near to it (rules.c) that others would be refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "player.h"

#define MOST_PROMISED                                                                              \
	(8ull << 30) /* kB: 8 TiB by others, or the round is played under the host's settings */

enum { MODE, RATIO, KBYTES, NR_SETTINGS };
static const char *const path[NR_SETTINGS] = {
	"/proc/sys/vm/overcommit_memory",
	"/proc/sys/vm/overcommit_ratio",
	"/proc/sys/vm/overcommit_kbytes",
};

struct overcommit {
	int lock, gate;	     /* -1: the host has no such files */
	int fd[NR_SETTINGS]; /* to write; -1: may not */
	unsigned long before[NR_SETTINGS];
	uint32_t *changed; /* shared with the keeper */
	int keeper;	   /* write end of a pipe whose end the keeper waits for */
};

static unsigned long read_setting(const char *name)
{
	char text[32] = "";
	int fd = open(name, O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		(void)!read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	return strtoul(text, NULL, 10);
}

static bool write_setting(int fd, unsigned long value)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%lu\n", value);

	return pwrite(fd, text, (size_t)len, 0) == len;
}

/* The mode first, while its limit is still far away. Writing one of ratio and kbytes makes the other 0. */
static bool restore(const struct overcommit *o)
{
	int limit = o->before[KBYTES] ? KBYTES : RATIO;
	bool good = write_setting(o->fd[MODE], o->before[MODE]);

	return write_setting(o->fd[limit], o->before[limit]) && good;
}

static void __attribute__((noreturn)) keep(const struct overcommit *o, int end)
{
	char byte;
	int fd;

	setsid();
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	for (fd = 0; fd < 1024; fd++)
		if (fd != end && fd != o->lock && fd != o->fd[MODE] && fd != o->fd[RATIO] &&
		    fd != o->fd[KBYTES])
			close(fd);
	while (read(end, &byte, 1) < 0 && errno == EINTR)
		;
	if (__atomic_load_n(o->changed, __ATOMIC_ACQUIRE))
		restore(o);
	_exit(0);
}

/* Nobody's child, for the player waits for its children until it has none. */
static bool start_keeper(struct overcommit *o)
{
	int ends[2];
	pid_t pid;

	o->changed = mmap(NULL, sizeof(*o->changed), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (o->changed == MAP_FAILED || pipe2(ends, O_CLOEXEC))
		return false;
	pid = fork();
	if (pid == 0) {
		pid = fork();
		if (pid == 0)
			keep(o, ends[0]);
		_exit(pid < 0);
	}
	close(ends[0]);
	o->keeper = ends[1];
	return pid > 0 && waitpid(pid, NULL, 0) == pid;
}

static bool lock(const struct overcommit *o, int how)
{
	int err;

	if (o->lock < 0)
		return false;
	while (flock(o->gate, LOCK_EX) && errno == EINTR)
		;
	while ((err = flock(o->lock, how)) != 0 && errno == EINTR)
		;
	flock(o->gate, LOCK_UN);
	/* Quire's kernel has no such call: one plays there. */
	return err == 0 || errno == ENOSYS;
}

static void unlock(const struct overcommit *o)
{
	if (o->lock >= 0)
		flock(o->lock, LOCK_UN);
}

struct overcommit *overcommit_create(void)
{
	struct overcommit *o = tool_alloc(sizeof(*o));
	bool settable = true;
	unsigned i;

	o->keeper = -1;
	o->lock = open(path[MODE], O_RDONLY | O_CLOEXEC);
	o->gate = open(path[KBYTES], O_RDONLY | O_CLOEXEC);
	if (o->gate < 0 && o->lock >= 0) {
		close(o->lock);
		o->lock = -1;
	}
	lock(o, LOCK_SH);
	for (i = 0; i < NR_SETTINGS; i++) {
		o->before[i] = read_setting(path[i]);
		o->fd[i] = open(path[i], O_WRONLY | O_CLOEXEC);
		settable &= o->fd[i] >= 0;
	}
	unlock(o);
	/* As it is: the host may refuse even that. */
	settable = settable && o->lock >= 0 && o->before[MODE] < 2 &&
		   write_setting(o->fd[MODE], o->before[MODE]) && start_keeper(o);
	for (i = 0; i < NR_SETTINGS && !settable; i++) {
		if (o->fd[i] >= 0)
			close(o->fd[i]);
		o->fd[i] = -1;
	}
	return o;
}

void overcommit_destroy(struct overcommit *o)
{
	unsigned i;

	for (i = 0; i < NR_SETTINGS; i++)
		if (o->fd[i] >= 0)
			close(o->fd[i]);
	if (o->keeper >= 0)
		close(o->keeper);
	if (o->lock >= 0) {
		close(o->lock);
		close(o->gate);
	}
	free(o);
}

static unsigned long promised_kb(void)
{
	char text[8192], *line;
	int fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	if (n <= 0)
		return ~0ul;
	text[n] = '\0';
	line = strstr(text, "Committed_AS:");
	return line ? strtoul(line + strlen("Committed_AS:"), NULL, 10) : ~0ul;
}

bool overcommit_take(struct overcommit *o, uint8_t mode)
{
	/* Mode 0 could be stricter than the host's own, for others, too. */
	if (o->fd[MODE] < 0 || (mode != 1 && mode != 2))
		return false;
	if (!lock(o, LOCK_EX))
		return false;
	/* What other players have promised is gone by now. */
	if (promised_kb() < MOST_PROMISED)
		return true;
	unlock(o);
	return false;
}

bool overcommit_begin(struct overcommit *o, uint8_t mode)
{
	if (mode == STEP_OVERCOMMIT_HOSTS) {
		lock(o, LOCK_SH);
		return true;
	}
	__atomic_store_n(o->changed, 1, __ATOMIC_RELEASE);
	return (mode != 2 || write_setting(o->fd[KBYTES], STEP_STRICT_KBYTES)) &&
	       write_setting(o->fd[MODE], mode);
}

bool overcommit_end(struct overcommit *o, uint8_t mode)
{
	bool good = true;

	if (mode != STEP_OVERCOMMIT_HOSTS && *o->changed) {
		good = restore(o);
		__atomic_store_n(o->changed, 0, __ATOMIC_RELEASE);
	}
	unlock(o);
	return good;
}
