/* SPDX-License-Identifier: MIT */
/* From a path to an inode, and what changes names: path_resolution(7). All under fs_lock. */
#include "fs/fs.h"
#include "process/process.h"

#define MAX_LINKS 40

struct walk {
	struct inode *at; /* a reference */
	unsigned links;
	char *names; /* what is left of the path; PATH_MAX bytes */
};

/* ---- Steps ----------------------------------------------------------------------------------------- */

static void go_to(struct walk *w, struct inode *inode)
{
	inode_get(inode);
	inode_put(w->at);
	w->at = inode;
}

/* What is seen where a directory is: the root of what was mounted over it last. */
static struct inode *uppermost(struct inode *inode)
{
	while (inode_type(inode) == S_IFDIR && inode->dir.mounted)
		inode = inode->dir.mounted->root;
	return inode;
}

static bool is_mounted(const struct inode *inode)
{
	return inode->mount && inode == inode->mount->root && inode->mount->at;
}

static struct inode *find_child(struct inode *dir, const char *name)
{
	struct inode *inode;
	struct dirent *e;

	if (dir->ops && dir->ops->lookup)
		return dir->ops->lookup(dir, name);
	e = dir_find(dir, name);
	if (!e)
		return NULL;
	inode = uppermost(e->inode);
	inode_get(inode);
	return inode;
}

/* Cut the first name off w->names: its length, 0 at the end. */
static size_t next_name(struct walk *w, char name[NAME_MAX + 1])
{
	char *p = w->names;
	size_t n = 0;

	while (*p == '/')
		p++;
	while (p[n] && p[n] != '/')
		n++;
	if (n > NAME_MAX)
		return n;
	memcpy(name, p, n);
	name[n] = '\0';
	memmove(w->names, p + n, strlen(p + n) + 1);
	return n;
}

/* Put a link's target in front of what is left. */
static int expand_link(struct walk *w, struct inode *link)
{
	char *target = quire_kmalloc(Q, PATH_MAX, QUIRE_GFP_KERNEL);
	size_t rest = strlen(w->names) + 1;
	int n, err = 0;

	if (!target)
		return -ENOMEM;
	if (link->ops && link->ops->readlink)
		n = link->ops->readlink(link, target, PATH_MAX - 1);
	else
		n = ksnprintf(target, PATH_MAX, "%s", link->target);
	if (n < 0)
		err = n;
	else if (!n)
		err = -ENOENT;
	else if ((size_t)n + rest > PATH_MAX)
		err = -ENAMETOOLONG;
	if (!err) {
		memmove(w->names + n, w->names, rest);
		memcpy(w->names, target, (size_t)n);
		if (target[0] == '/')
			go_to(w, current_process()->fs->root);
	}
	quire_kfree(Q, target);
	return err;
}

/* One name further; follow: through a link that it is. */
static int step(struct walk *w, const char *name, bool follow)
{
	const struct inode *root = current_process()->fs->root;
	struct inode *next;
	int err = 0;

	if (inode_type(w->at) != S_IFDIR)
		return -ENOTDIR;
	if (inode_permission(w->at, 1))
		return -EACCES;
	if (!strcmp(name, "."))
		return 0;
	if (!strcmp(name, "..")) {
		while (w->at != root && is_mounted(w->at))
			go_to(w, w->at->mount->at);
		if (w->at != root && w->at->dir.parent)
			go_to(w, uppermost(w->at->dir.parent));
		return 0;
	}
	next = find_child(w->at, name);
	if (!next)
		return -ENOENT;
	if (inode_type(next) != S_IFLNK || !follow) {
		inode_put(w->at);
		w->at = next;
		return 0;
	}
	if (++w->links > MAX_LINKS) {
		err = -ELOOP;
	} else if (next->ops && next->ops->follow) {
		struct inode *to = next->ops->follow(next);

		if (to) {
			inode_put(w->at);
			w->at = to;
		} else {
			err = -ENOENT;
		}
	} else {
		err = expand_link(w, next);
	}
	inode_put(next);
	return err;
}

static int begin(struct walk *w, struct inode *base, const char *path)
{
	struct fs_context *fs = current_process()->fs;

	if (!*path)
		return -ENOENT;
	if (strnlen(path, PATH_MAX) == PATH_MAX)
		return -ENAMETOOLONG;
	w->names = quire_kmalloc(Q, PATH_MAX, QUIRE_GFP_KERNEL);
	if (!w->names)
		return -ENOMEM;
	memcpy(w->names, path, strlen(path) + 1);
	w->links = 0;
	w->at = *path == '/' ? fs->root : base ? base : fs->cwd;
	inode_get(w->at);
	return 0;
}

static void end(struct walk *w, int err)
{
	if (err)
		inode_put(w->at);
	quire_kfree(Q, w->names);
}

static int lookup_locked(struct inode *base, const char *path, unsigned flags, struct inode **out)
{
	char name[NAME_MAX + 1];
	struct walk w;
	size_t n;
	int err = begin(&w, base, path);

	if (err)
		return err;
	while (!err && (n = next_name(&w, name)) != 0) {
		if (n > NAME_MAX)
			err = -ENAMETOOLONG;
		else
			err = step(&w, name, w.names[0] || !(flags & LOOKUP_NOFOLLOW));
		/* A slash at the end asks for a directory. */
		if (!err && w.names[0] == '/' && w.names[1] == '\0' && inode_type(w.at) != S_IFDIR)
			err = -ENOTDIR;
	}
	if (!err && (flags & LOOKUP_DIRECTORY) && inode_type(w.at) != S_IFDIR)
		err = -ENOTDIR;
	end(&w, err);
	if (!err)
		*out = w.at;
	return err;
}

int path_lookup(struct inode *base, const char *path, unsigned flags, struct inode **out)
{
	int err;

	quire_mutex_lock(Q, &fs_lock);
	err = lookup_locked(base, path, flags, out);
	quire_mutex_unlock(Q, &fs_lock);
	return err;
}

/* If the last name is a link, put its target into w->names: 1; 0: it is none, or nothing yet; or an errno. */
static int last_link(struct walk *w, const char *name)
{
	struct inode *link;
	int err = 0;

	if (inode_type(w->at) != S_IFDIR)
		return -ENOTDIR;
	if (inode_permission(w->at, 1))
		return -EACCES;
	link = !strcmp(name, ".") || !strcmp(name, "..") ? NULL : find_child(w->at, name);
	if (!link)
		return 0;
	if (inode_type(link) == S_IFLNK) {
		if (++w->links > MAX_LINKS)
			err = -ELOOP;
		else if (link->ops && link->ops->follow)
			err = -ENOENT; /* it leads to a file, not to a name */
		else
			err = expand_link(w, link);
		err = err ? err : 1;
	}
	inode_put(link);
	return err;
}

/* follow: where the last name is a link, the directory and the name that it leads to. */
static int parent_locked(struct inode *base, const char *path, bool follow, struct inode **dir,
			 char name[NAME_MAX + 1], bool *slash)
{
	struct walk w;
	size_t n;
	int err = begin(&w, base, path);

	if (err)
		return err;
	*slash = false;
	name[0] = '\0';
	for (;;) {
		const char *p;

		n = next_name(&w, name);
		if (n > NAME_MAX)
			err = -ENAMETOOLONG;
		if (err || !n)
			break;
		for (p = w.names; *p == '/'; p++)
			*slash = true;
		if (!*p) { /* the last one */
			if (!follow)
				break;
			err = last_link(&w, name);
			if (err <= 0)
				break;
			err = 0;
			continue;
		}
		*slash = false;
		err = step(&w, name, true);
		if (err)
			break;
	}
	if (!err && inode_type(w.at) != S_IFDIR)
		err = -ENOTDIR;
	end(&w, err);
	if (!err)
		*dir = w.at;
	return err;
}

/* ---- The reverse ------------------------------------------------------------------------------------- */

char *path_locked(struct inode *inode, char buf[PATH_MAX])
{
	struct inode *root = current_process()->fs->root;
	char *at = buf + PATH_MAX - 1, number[12];

	*at = '\0';
	while (inode != root && inode != root_inode) {
		const char *name = "(deleted)";
		struct inode *up = root_inode;
		size_t n;

		if (is_mounted(inode)) {
			inode = inode->mount->at;
			continue;
		}
		if (inode->entry) {
			name = inode->entry->name;
			up = inode->entry->dir;
		} else if (inode->proc && inode_type(inode) == S_IFDIR && inode->dir.parent) {
			name = proc_name(inode, number);
			up = inode->dir.parent;
		}
		n = strlen(name);
		if (n + 1 > (size_t)(at - buf))
			break;
		at -= n;
		memcpy(at, name, n);
		*--at = '/';
		inode = up;
	}
	if (!*at)
		*--at = '/';
	return at;
}

char *path_of(struct inode *inode)
{
	char *buf = quire_kmalloc(Q, PATH_MAX, QUIRE_GFP_KERNEL), *result;

	if (!buf)
		return NULL;
	quire_mutex_lock(Q, &fs_lock);
	result = kstrdup(path_locked(inode, buf));
	quire_mutex_unlock(Q, &fs_lock);
	quire_kfree(Q, buf);
	return result;
}

/* ---- Changes -------------------------------------------------------------------------------------------- */

static bool is_special(const char *name)
{
	return !*name || !strcmp(name, ".") || !strcmp(name, "..");
}

static int create_locked(struct inode *base, const char *path, uint32_t mode, uint64_t rdev,
			 const char *target, bool follow)
{
	char name[NAME_MAX + 1];
	struct inode *dir, *inode;
	bool slash;
	int err = parent_locked(base, path, follow, &dir, name, &slash);

	if (err)
		return err;
	if (is_special(name) || (!dir->ops && dir_find(dir, name)))
		err = -EEXIST;
	else if (slash && (mode & S_IFMT) != S_IFDIR)
		err = -ENOENT;
	else if (dir->ops)
		err = -EACCES;
	else
		err = inode_permission(dir, 3);
	if (!err) {
		inode = inode_new(mode);
		err = inode ? 0 : -ENOMEM;
	}
	if (!err) {
		mount_join(dir->mount, inode);
		inode->rdev = rdev;
		if (target) {
			inode->target = kstrdup(target);
			if (!inode->target)
				err = -ENOMEM;
		}
		if (!err)
			err = dir_link(dir, name, inode);
		inode_put(inode);
	}
	inode_put(dir);
	return err;
}

int fs_create(struct inode *base, const char *path, uint32_t mode, uint64_t rdev,
	      const char *target)
{
	int err;

	if ((mode & S_IFMT) != S_IFLNK)
		mode &= ~current_process()->fs->umask;
	quire_mutex_lock(Q, &fs_lock);
	err = create_locked(base, path, mode, rdev, target, false);
	quire_mutex_unlock(Q, &fs_lock);
	return err;
}

int fs_create_file(struct inode *base, const char *path, uint32_t mode)
{
	int err;

	mode = S_IFREG | (mode & 07777 & ~current_process()->fs->umask);
	quire_mutex_lock(Q, &fs_lock);
	err = create_locked(base, path, mode, 0, NULL, true);
	quire_mutex_unlock(Q, &fs_lock);
	return err;
}

int fs_link(struct inode *base, const char *from, struct inode *to_base, const char *to,
	    bool follow)
{
	char name[NAME_MAX + 1];
	struct inode *inode, *dir;
	bool slash;
	int err;

	quire_mutex_lock(Q, &fs_lock);
	err = lookup_locked(base, from, follow ? 0 : LOOKUP_NOFOLLOW, &inode);
	if (!err) {
		err = parent_locked(to_base, to, false, &dir, name, &slash);
		if (!err) {
			if (is_special(name) || (!dir->ops && dir_find(dir, name)))
				err = -EEXIST;
			else if (inode_type(inode) == S_IFDIR)
				err = -EPERM;
			else if (dir->mount != inode->mount)
				err = -EXDEV;
			else if (dir->ops)
				err = -EPERM;
			else
				err = inode_permission(dir, 3);
			if (!err)
				err = dir_link(dir, name, inode);
			inode_put(dir);
		}
		inode_put(inode);
	}
	quire_mutex_unlock(Q, &fs_lock);
	return err;
}

/* May an entry be taken out? The sticky bit keeps others' files. */
static int may_remove(struct inode *dir, const struct inode *inode)
{
	const struct process *p = current_process();
	int err = inode_permission(dir, 3);

	if (!err && (dir->mode & 01000) && p->euid && p->euid != inode->uid && p->euid != dir->uid)
		err = -EPERM;
	return err;
}

static int check_removal(struct inode *dir, struct dirent *e, bool directory, bool slash)
{
	int err = may_remove(dir, e->inode);

	if (err)
		return err;
	if (!directory)
		return inode_type(e->inode) == S_IFDIR ? -EISDIR : slash ? -ENOTDIR : 0;
	if (inode_type(e->inode) != S_IFDIR)
		return -ENOTDIR;
	if (e->inode->dir.mounted)
		return -EBUSY;
	return quire_list_empty(&e->inode->dir.entries) ? 0 : -ENOTEMPTY;
}

int fs_unlink(struct inode *base, const char *path, bool directory)
{
	char name[NAME_MAX + 1];
	struct inode *dir;
	struct dirent *e;
	bool slash;
	int err;

	quire_mutex_lock(Q, &fs_lock);
	err = parent_locked(base, path, false, &dir, name, &slash);
	if (!err) {
		e = dir->ops || is_special(name) ? NULL : dir_find(dir, name);
		if (!*name)
			err = directory ? -EBUSY : -EISDIR;
		else if (!strcmp(name, "."))
			err = directory ? -EINVAL : -EISDIR;
		else if (!strcmp(name, ".."))
			err = directory ? -ENOTEMPTY : -EISDIR;
		else if (dir->ops)
			err = -EPERM;
		else
			err = e ? check_removal(dir, e, directory, slash) : -ENOENT;
		if (!err)
			dir_unlink(dir, e);
		inode_put(dir);
	}
	quire_mutex_unlock(Q, &fs_lock);
	return err;
}

#define RENAME_NOREPLACE 1u

static bool is_below(struct inode *dir, const struct inode *above)
{
	while (dir && dir != above)
		dir = dir->dir.parent;
	return dir;
}

static int rename_locked(struct inode *from_dir, const char *from, struct inode *to_dir,
			 const char *to, unsigned flags, bool slash)
{
	struct dirent *source, *target;
	struct inode *inode;
	int err;

	if (is_special(from) || is_special(to))
		return -EBUSY;
	if (from_dir->mount != to_dir->mount)
		return -EXDEV;
	if (from_dir->ops)
		return -EPERM;
	source = dir_find(from_dir, from);
	target = dir_find(to_dir, to);
	if (!source)
		return -ENOENT;
	inode = source->inode;
	err = may_remove(from_dir, inode);
	if (!err)
		err = inode_permission(to_dir, 3);
	if (err)
		return err;
	if (slash && inode_type(inode) != S_IFDIR)
		return -ENOTDIR;
	if (target && (flags & RENAME_NOREPLACE))
		return -EEXIST;
	if (target && target->inode == inode)
		return 0;
	if (inode_type(inode) == S_IFDIR && is_below(to_dir, inode))
		return -EINVAL;
	if (uppermost(inode) != inode)
		return -EBUSY;
	if (target) {
		err = check_removal(to_dir, target, inode_type(inode) == S_IFDIR, false);
		if (err)
			return err;
	}
	/* The new name first: it is what may fail. */
	err = dir_link(to_dir, to, inode);
	if (err)
		return err;
	if (target)
		dir_unlink(to_dir, target);
	dir_unlink(from_dir, source);
	return 0;
}

int fs_rename(struct inode *base, const char *from, struct inode *to_base, const char *to,
	      unsigned flags)
{
	char name[NAME_MAX + 1], to_name[NAME_MAX + 1];
	struct inode *dir, *to_dir;
	bool slash, to_slash;
	int err;

	if (flags & ~RENAME_NOREPLACE)
		return -EINVAL;
	quire_mutex_lock(Q, &fs_lock);
	err = parent_locked(base, from, false, &dir, name, &slash);
	if (!err) {
		err = parent_locked(to_base, to, false, &to_dir, to_name, &to_slash);
		if (!err) {
			err = rename_locked(dir, name, to_dir, to_name, flags, slash || to_slash);
			inode_put(to_dir);
		}
		inode_put(dir);
	}
	quire_mutex_unlock(Q, &fs_lock);
	return err;
}
