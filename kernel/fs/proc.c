/* SPDX-License-Identifier: MIT */
/*
 * /proc as a tree: directories and files that are made when somebody looks. A text is written as a whole when it is first
 * read from its start, so that what one reader sees is of one moment.
 */
#include "fs/proc.h"

static const struct inode_ops directory_inode_ops, file_inode_ops, named_link_ops;

/* ---- Texts -------------------------------------------------------------------------------------- */

static int emit(struct quire_sink *sink, const char *text, size_t len)
{
	struct proc_text *t = (struct proc_text *)(void *)sink;

	if (t->used + len > t->size) {
		size_t size = t->size ? t->size : 4096;
		char *buf;

		while (size < t->used + len)
			size *= 2;
		buf = quire_vmalloc(Q, size);
		if (!buf) {
			t->error = -ENOMEM;
			return -ENOMEM;
		}
		if (t->buf)
			memcpy(buf, t->buf, t->used);
		quire_vfree(Q, t->buf);
		t->buf = buf;
		t->size = size;
	}
	memcpy(t->buf + t->used, text, len);
	t->used += len;
	return 0;
}

void proc_print(struct proc_text *t, const char *format, ...)
{
	char line[512];
	__builtin_va_list args;
	int n;

	__builtin_va_start(args, format);
	n = kvsnprintf(line, sizeof(line), format, args);
	__builtin_va_end(args);
	(void)emit(&t->sink, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

/* ---- Inodes --------------------------------------------------------------------------------------- */

static const struct proc_node root_node = {PROC_NONE, "proc", S_IFDIR | 0555,
					   .directory = PROC_ROOT};
static const struct proc_node pid_node = {PROC_ROOT, "PID", S_IFDIR | 0555, .directory = PROC_PID};

static int fd_link(struct process *p, int fd, char *buf, size_t size);
static struct inode *fd_follow(struct process *p, int fd);
static const struct proc_node fd_node = {PROC_FD, "FD", S_IFLNK | 0777, .link = fd_link,
					 .follow = fd_follow};

static struct inode *make(const struct proc_node *node, struct inode *dir, int pid, int fd)
{
	struct inode *inode = inode_new(node->mode);
	struct process *p;

	if (!inode)
		return NULL;
	inode->ops = node->directory		   ? &directory_inode_ops
		     : node->link && !node->follow ? &named_link_ops
						   : &file_inode_ops;
	inode->proc = node;
	inode->proc_pid = pid;
	inode->proc_fd = fd;
	inode->nlink = node->directory ? 2 : 1;
	inode->uid = inode->gid = 0;
	if (dir) {
		mount_join(dir->mount, inode);
		if (node->directory) {
			inode_get(dir);
			inode->dir.parent = dir;
		}
	}
	p = pid ? process_find(pid) : NULL;
	if (p) {
		inode->uid = p->euid;
		inode->gid = p->egid;
		process_put(p);
	}
	return inode;
}

const char *proc_name(const struct inode *inode, char number[12])
{
	if (inode->proc != &pid_node)
		return inode->proc->name;
	ksnprintf(number, 12, "%d", inode->proc_fd ? inode->proc_fd : inode->proc_pid);
	return number;
}

static const struct proc_node *find_node(enum proc_directory in, const char *name)
{
	const struct proc_node *n;

	for (n = proc_system_nodes; n->name; n++) {
		if (n->in == in && !strcmp(n->name, name))
			return n;
	}
	for (n = proc_process_nodes; n->name; n++) {
		if (n->in == in && !strcmp(n->name, name))
			return n;
	}
	return NULL;
}

/* A decimal number, or -1. */
static int number(const char *name)
{
	int n = 0;

	if (!*name || (*name == '0' && name[1]))
		return -1;
	for (; *name; name++) {
		if (*name < '0' || *name > '9' || n > 99999999)
			return -1;
		n = n * 10 + *name - '0';
	}
	return n;
}

static struct files *files_of(struct process *p)
{
	unsigned long flags = quire_spin_lock_irq(Q, &process_lock);
	struct files *files =
		p->state == PROCESS_ALIVE && p->nr_threads && p->mm ? files_get(p->files) : NULL;

	quire_spin_unlock_irq(Q, &process_lock, flags);
	return files;
}

static struct inode *lookup_number(struct inode *dir, int n)
{
	struct process *p;
	struct files *files;
	struct file *file;
	unsigned long flags;
	struct inode *inode = NULL;

	if (dir->proc->directory == PROC_ROOT) {
		p = process_find(n);
		if (!p)
			return NULL;
		inode = make(&pid_node, dir, n, 0);
		process_put(p);
		return inode;
	}
	p = process_find(dir->proc_pid);
	if (!p)
		return NULL;
	if (dir->proc->directory == PROC_TASK) {
		struct thread *t;

		flags = quire_spin_lock_irq(Q, &process_lock);
		t = thread_find_locked(n);
		if (!t || t->process != p)
			t = NULL;
		quire_spin_unlock_irq(Q, &process_lock, flags);
		if (t)
			inode = make(&pid_node, dir, dir->proc_pid, n);
	} else if (dir->proc->directory == PROC_FD && (files = files_of(p)) != NULL) {
		file = fd_get_of(files, n);
		if (file) {
			inode = make(&fd_node, dir, dir->proc_pid, n);
			file_put(file);
		}
		files_put(files);
	}
	process_put(p);
	return inode;
}

static struct inode *lookup(struct inode *dir, const char *name)
{
	const struct proc_node *node = find_node(dir->proc->directory, name);
	int n = number(name);

	if (node)
		return make(node, dir, dir->proc_pid, 0);
	return n >= 0 ? lookup_number(dir, n) : NULL;
}

/* ---- Listing ------------------------------------------------------------------------------------------ */

/* The nodes come first, then the numbers, whose position is what they say beyond that. */
#define FIRST_NUMBER 1000u

static bool listed_node(enum proc_directory in, uint64_t skip, const struct proc_node **found)
{
	const struct proc_node *const lists[] = {proc_system_nodes, proc_process_nodes};
	const struct proc_node *n;
	unsigned i;

	for (i = 0; i < 2; i++) {
		for (n = lists[i]; n->name; n++) {
			if (n->in == in && skip-- == 0) {
				*found = n;
				return true;
			}
		}
	}
	return false;
}

/* The lowest number from n on; -1: none. */
static int next_number(struct inode *dir, int n)
{
	unsigned long flags;
	struct quire_list *pos, *tmp;
	struct process *p;
	struct files *files;
	int best = -1;

	if (dir->proc->directory == PROC_ROOT) {
		flags = quire_spin_lock_irq(Q, &process_lock);
		quire_list_for_each (pos, tmp, &processes) {
			int pid = quire_list_entry(pos, struct process, link)->pid;

			if (pid >= n && (best < 0 || pid < best))
				best = pid;
		}
		quire_spin_unlock_irq(Q, &process_lock, flags);
		return best;
	}
	p = process_find(dir->proc_pid);
	if (!p)
		return -1;
	if (dir->proc->directory == PROC_TASK) {
		flags = quire_spin_lock_irq(Q, &process_lock);
		quire_list_for_each (pos, tmp, &p->threads) {
			int tid = quire_list_entry(pos, struct thread, link)->tid;

			if (tid >= n && (best < 0 || tid < best))
				best = tid;
		}
		quire_spin_unlock_irq(Q, &process_lock, flags);
	} else if (dir->proc->directory == PROC_FD && (files = files_of(p)) != NULL) {
		best = fd_next_used(files, n);
		files_put(files);
	}
	process_put(p);
	return best;
}

static bool entry(struct inode *dir, uint64_t pos, char name[NAME_MAX + 1], uint64_t *ino,
		  uint32_t *mode)
{
	const struct proc_node *node;
	int n;

	*ino = pos + 100;
	if (pos < FIRST_NUMBER && listed_node(dir->proc->directory, pos - 2, &node)) {
		ksnprintf(name, NAME_MAX + 1, "%s", node->name);
		*mode = node->mode;
		return true;
	}
	n = next_number(dir, pos < FIRST_NUMBER ? 0 : (int)(pos - FIRST_NUMBER));
	if (n < 0)
		return false;
	ksnprintf(name, NAME_MAX + 1, "%d", n);
	*mode = dir->proc->directory == PROC_FD ? S_IFLNK : S_IFDIR;
	*ino = FIRST_NUMBER + (uint64_t)n;
	return true;
}

static const struct inode_ops directory_inode_ops = {.lookup = lookup, .entry = entry};

/* ---- Links ---------------------------------------------------------------------------------------------- */

static struct file *file_of(struct process *p, int fd)
{
	struct files *files = files_of(p);
	struct file *file = files ? fd_get_of(files, fd) : NULL;

	if (files)
		files_put(files);
	return file;
}

static int fd_link(struct process *p, int fd, char *buf, size_t size)
{
	struct file *file = file_of(p, fd);
	int n;

	if (!file)
		return -ENOENT;
	n = ksnprintf(buf, size, "%s%s", file->map.path ? file->map.path : "?",
		      quire_load(&file->map.flags) & QUIRE_FILE_DELETED &&
				      inode_type(file->inode) != S_IFIFO
			      ? " (deleted)"
			      : "");
	file_put(file);
	return n < (int)size ? n : (int)size - 1;
}

static struct inode *fd_follow(struct process *p, int fd)
{
	struct file *file = file_of(p, fd);
	struct inode *inode = file ? file->inode : NULL;

	if (inode)
		inode_get(inode);
	if (file)
		file_put(file);
	return inode;
}

static int link_target(struct inode *inode, char *buf, size_t size)
{
	struct process *p = inode->proc_pid ? process_find(inode->proc_pid) : NULL;
	int n = inode->proc_pid && !p ? -ENOENT : inode->proc->link(p, inode->proc_fd, buf, size);

	if (p)
		process_put(p);
	return n;
}

static struct inode *follow_link(struct inode *inode)
{
	struct process *p = process_find(inode->proc_pid);
	struct inode *to = NULL;

	if (p && inode->proc->follow)
		to = inode->proc->follow(p, inode->proc_fd);
	if (p)
		process_put(p);
	return to;
}

/* ---- Files ------------------------------------------------------------------------------------------------ */

int proc_of_mm(struct proc_text *t, struct process *p,
	       int (*fn)(struct quire_mm *mm, struct quire_sink *sink))
{
	struct quire_mm *mm = process_get_mm(p);
	int err = 0;

	if (mm) {
		err = fn(mm, &t->sink);
		quire_mmput(mm);
	}
	return err;
}

static int generate(struct file *file)
{
	const struct proc_node *node = file->inode->proc;
	struct proc_text *t = quire_kmalloc(Q, sizeof(*t), QUIRE_GFP_KERNEL | QUIRE_GFP_ZERO), *old = file->private;
	struct process *p = file->inode->proc_pid ? process_find(file->inode->proc_pid) : NULL;
	int err = 0;

	if (!t)
		err = -ENOMEM;
	else if (file->inode->proc_pid && !p)
		err = -ESRCH;
	if (!err) {
		t->sink.emit = emit;
		err = node->show     ? node->show(t, p)
		      : node->of_mm  ? proc_of_mm(t, p, node->of_mm)
		      : node->of_all ? node->of_all(Q, &t->sink)
				     : emit(&t->sink, node->text, strlen(node->text));
		if (!err)
			err = t->error;
	}
	if (p)
		process_put(p);
	if (err) {
		if (t)
			quire_vfree(Q, t->buf);
		quire_kfree(Q, t);
		return err;
	}
	file->private = t;
	if (old) {
		quire_vfree(Q, old->buf);
		quire_kfree(Q, old);
	}
	return 0;
}

static int64_t proc_read(struct file *file, struct uio *uio, uint64_t *pos)
{
	const struct proc_node *node = file->inode->proc;
	struct proc_text *t;
	size_t n, got;
	int err = 0;

	if (node->read) {
		struct process *p = process_find(file->inode->proc_pid);
		int64_t done = p ? node->read(p, uio, pos) : -ESRCH;

		if (p)
			process_put(p);
		return done;
	}
	/* Who reads it at the same time would see it change, and go. */
	quire_mutex_lock(Q, &file->inode->write_lock);
	if (!file->private || *pos == 0)
		err = generate(file);
	t = file->private;
	n = err || *pos >= t->used ? 0 : (size_t)min_u64(uio->left, t->used - *pos);
	got = uio_put(uio, n ? t->buf + *pos : NULL, n);
	quire_mutex_unlock(Q, &file->inode->write_lock);
	*pos += got;
	return got || !n ? (err ? err : (int64_t)got) : -EFAULT;
}

static int64_t proc_write(struct file *file, struct uio *uio, uint64_t *pos)
{
	const struct proc_node *node = file->inode->proc;
	struct process *p = file->inode->proc_pid ? process_find(file->inode->proc_pid) : NULL;
	char text[128];
	size_t n = uio->left, got = uio_get(uio, text, (size_t)min_u64(n, sizeof(text) - 1));
	int err;

	text[got] = '\0';
	if (!node->store)
		err = -EACCES;
	else if (file->inode->proc_pid && !p)
		err = -ESRCH;
	else
		err = node->store(p, text);
	if (p)
		process_put(p);
	return err ? err : (int64_t)n;
}

static void proc_release(struct file *file)
{
	struct proc_text *t = file->private;

	if (t) {
		quire_vfree(Q, t->buf);
		quire_kfree(Q, t);
	}
}

static const struct file_ops proc_ops = {
	.read = proc_read,
	.write = proc_write,
	.release = proc_release,
	.seekable = true,
};

static int open_file(struct inode *inode, struct file *file)
{
	file->ops = &proc_ops;
	return 0;
}

static const struct inode_ops file_inode_ops = {
	.open = open_file, .readlink = link_target, .follow = follow_link};

/* Links that lead by name have no follow of their own. */
static const struct inode_ops named_link_ops = {.readlink = link_target};

struct inode *proc_root(void)
{
	return make(&root_node, NULL, 0, 0);
}
