/* SPDX-License-Identifier: MIT */
/* Calls about processes by descriptor: pidfd_open(2), pidfd_send_signal(2), process_madvise(2). */
#include "syscall/syscall.h"

int64_t sys_pidfd_open(struct call *c)
{
	const int pid = (int)c->arg[0];
	struct process *p;
	struct file *file;
	int result;

	if ((c->arg[1] & ~(uint64_t)O_NONBLOCK) || pid <= 0)
		return -EINVAL;
	p = process_find(pid);
	if (!p)
		return -ESRCH;
	result = pidfd_open(p, (uint32_t)c->arg[1], &file);
	process_put(p);
	if (result)
		return result;
	result = fd_install(file, true, 0);
	if (result < 0)
		file_put(file);
	return result;
}

/* The process behind a descriptor, with a reference; NULL: EBADF. */
struct process *pidfd_get(int fd, bool *nonblocking)
{
	struct file *file = fd_get(fd);
	struct process *p = file ? pidfd_process(file) : NULL;

	if (p) {
		process_get(p);
		*nonblocking = (file->flags & O_NONBLOCK) != 0;
	}
	if (file)
		file_put(file);
	return p;
}

int64_t sys_pidfd_send_signal(struct call *c)
{
	const struct process *self = current_process();
	struct siginfo info = {.signo = (int)c->arg[1], .code = SI_USER};
	struct process *p;
	bool nonblocking;
	int64_t err = 0;

	if (c->arg[3])
		return -EINVAL;
	p = pidfd_get((int)c->arg[0], &nonblocking);
	if (!p)
		return -EBADF;
	info.rt.pid = self->pid;
	info.rt.uid = self->uid;
	if (c->arg[2]) {
		if (copy_from_user(&info, c->arg[2], sizeof(info)))
			err = -EFAULT;
		else if (info.signo != (int)c->arg[1])
			err = -EINVAL;
		else if ((info.code >= 0 || info.code == SI_TKILL) && p != self)
			err = -EPERM;
	}
	if (!err && (info.signo < 0 || info.signo > NR_SIGNALS))
		err = -EINVAL;
	if (!err && p->state == PROCESS_REAPED)
		err = -ESRCH;
	if (!err && !signal_permitted(p, info.signo))
		err = -EPERM;
	if (!err && info.signo)
		err = signal_send(p, NULL, &info);
	process_put(p);
	return err;
}

/* What may be advised about other processes' memory. */
static bool is_harmless(int advice)
{
	return advice == QUIRE_MADV_COLD || advice == QUIRE_MADV_PAGEOUT ||
	       advice == QUIRE_MADV_WILLNEED || advice == QUIRE_MADV_COLLAPSE;
}

static int64_t advise(struct quire_mm *mm, const struct quire_iovec *vec, uint64_t n, int advice)
{
	int64_t done = 0;
	uint64_t i;

	for (i = 0; i < n; i++) {
		int err = quire_madvise(mm, vec[i].base, vec[i].len, advice);

		if (err)
			return done ? done : err;
		done += (int64_t)vec[i].len;
	}
	return done;
}

int64_t sys_process_madvise(struct call *c)
{
	const struct process *self = current_process();
	const int advice = (int)c->arg[3];
	struct quire_iovec *vec;
	struct quire_mm *mm;
	struct process *p;
	bool nonblocking;
	int64_t result;

	if (c->arg[4])
		return -EINVAL;
	result = get_iovec(c->arg[1], c->arg[2], &vec);
	if (result)
		return result;
	p = pidfd_get((int)c->arg[0], &nonblocking);
	mm = p ? process_get_mm(p) : NULL;
	if (!p)
		result = -EBADF;
	else if (!is_harmless(advice))
		result = -EINVAL;
	else if (!mm)
		result = -ESRCH;
	else if (self->euid)
		result = -EPERM;
	else
		result = advise(mm, vec, c->arg[2], advice);
	if (mm)
		quire_mmput(mm);
	if (p)
		process_put(p);
	quire_kfree(Q, vec);
	return result;
}
