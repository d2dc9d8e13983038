/* SPDX-License-Identifier: MIT */
/*
 * Mounts: mount(2), umount(2), tmpfs(5). A file system is seen in one place only, so each inode knows its mount, and a
 * directory what covers it; path.c goes across. fs_lock, but for what is atomic and the list of files.
 */
#include "fs/proc.h"

#define MS_SILENT 32768u
#define MS_RELATIME (1u << 21)
#define MS_KNOWN                                                                                   \
	(MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME | MS_SILENT | MS_RELATIME)
#define MS_MAGIC 0xc0ed0000u /* of old, in the upper half */
#define MNT_DETACH 2u

static struct quire_list mounts = {&mounts, &mounts}; /* each behind the one that it is on */
static struct quire_spinlock list_lock;		      /* irq; mount->files */
static unsigned last_id;

/* ---- What belongs to one ---------------------------------------------------------------------- */

static bool has_pages(const struct inode *inode)
{
	return inode_type(inode) == S_IFREG && !inode->ops;
}

static void mount_put(struct mount *m)
{
	if (quire_fetch_sub(&m->refs, 1u) == 1)
		quire_kfree(Q, m);
}

void mount_join(struct mount *m, struct inode *inode)
{
	unsigned long flags = quire_spin_lock_irq(Q, &list_lock);

	(void)quire_fetch_add(&m->refs, 1u);
	inode->mount = m;
	inode->dev = m->dev;
	if (has_pages(inode)) {
		quire_list_add_tail(&m->files, &inode->mount_link);
		if (m->max_pages)
			inode->object.ops = &limited_ops;
	}
	quire_spin_unlock_irq(Q, &list_lock, flags);
}

void mount_leave(struct inode *inode)
{
	unsigned long flags;

	if (!inode->mount)
		return;
	flags = quire_spin_lock_irq(Q, &list_lock);
	if (has_pages(inode))
		quire_list_del(&inode->mount_link);
	quire_spin_unlock_irq(Q, &list_lock, flags);
	mount_put(inode->mount);
}

uint64_t mount_pages(struct mount *m)
{
	unsigned long flags = quire_spin_lock_irq(Q, &list_lock);
	struct quire_list *pos, *tmp;
	uint64_t n = 0;

	quire_list_for_each (pos, tmp, &m->files)
		n += quire_load(&quire_list_entry(pos, struct inode, mount_link)->object.nr_pages);
	quire_spin_unlock_irq(Q, &list_lock, flags);
	return n;
}

/* ---- Mounting --------------------------------------------------------------------------------------- */

static bool take_number(const char **p, unsigned base, uint64_t *value)
{
	const char *from = *p;

	for (*value = 0; **p >= '0' && **p < (char)('0' + base) && *value < UINT64_MAX >> 5; (*p)++)
		*value = *value * base + (uint64_t)(**p - '0');
	return *p != from;
}

/* size=BYTES, with k, m, g or % of memory behind it; mode=OCTAL; uid=; gid=. -EINVAL: anything else. */
static int take_options(struct mount *m, const char *p)
{
	struct inode *root = m->root;
	uint64_t v;

	while (*p) {
		if (!strncmp(p, "size=", 5) && (p += 5, take_number(&p, 10, &v))) {
			const char unit = *p | 32;
			const unsigned shift = unit == 'k'   ? 10
					       : unit == 'm' ? 20
					       : unit == 'g' ? 30
							     : 0;

			if (*p == '%')
				v = (v < 100 ? v : 100) *
				    (Q->pages.total_pages << QUIRE_PAGE_SHIFT) / 100;
			p += shift || *p == '%';
			if (v > QUIRE_OBJECT_MAX_SIZE >> shift)
				return -EINVAL;
			m->max_pages = quire_size_pages(v << shift);
		} else if (!strncmp(p, "mode=", 5) && (p += 5, take_number(&p, 8, &v))) {
			root->mode = S_IFDIR | ((uint32_t)v & 07777);
		} else if (!strncmp(p, "uid=", 4) && (p += 4, take_number(&p, 10, &v))) {
			root->uid = (uint32_t)v;
		} else if (!strncmp(p, "gid=", 4) && (p += 4, take_number(&p, 10, &v))) {
			root->gid = (uint32_t)v;
		} else {
			return -EINVAL;
		}
		if (*p == ',')
			p++;
		else if (*p)
			return -EINVAL;
	}
	return 0;
}

static int mount_locked(struct inode *at, const char *source, const char *type, unsigned flags,
			const char *options)
{
	const bool proc = !strcmp(type, "proc");
	struct mount *m;
	int err;

	if (at && inode_type(at) != S_IFDIR)
		return -ENOTDIR;
	if (at && !at->nlink)
		return -ENOENT;
	if (at && (at == root_inode || at == current_process()->fs->root || at->dir.mounted))
		return -EBUSY;
	if (at && at->ops && at != at->mount->root)
		return -EINVAL; /* it is another one each time that somebody looks */
	m = quire_kmalloc(Q, sizeof(*m) + strlen(source) + 1, QUIRE_GFP_KERNEL | QUIRE_GFP_ZERO);
	if (!m)
		return -ENOMEM;
	m->refs = 1;
	m->id = ++last_id;
	m->dev = 20 + m->id;
	m->type = proc ? "proc" : "tmpfs";
	m->flags = flags;
	memcpy(m->source, source, strlen(source) + 1);
	quire_list_init(&m->files);
	m->root = proc ? proc_root() : inode_new(S_IFDIR | 01777);
	err = m->root ? take_options(m, proc ? "" : options) : -ENOMEM;
	if (m->root)
		mount_join(m, m->root);
	if (err) {
		if (m->root)
			inode_put(m->root);
		mount_put(m);
		return err;
	}
	m->root->nlink = 2;
	m->at = at;
	if (at) {
		inode_get(at);
		at->dir.mounted = m;
	} else {
		root_inode = m->root;
	}
	quire_list_add_tail(&mounts, &m->link);
	return 0;
}

int fs_mount(struct inode *at, const char *source, const char *type, unsigned flags,
	     const char *options)
{
	int err;

	if ((flags & 0xffff0000) == MS_MAGIC)
		flags &= 0xffff;
	if (flags & ~MS_KNOWN)
		return -EINVAL;
	if (strcmp(type, "tmpfs") && strcmp(type, "proc"))
		return -ENODEV;
	quire_mutex_lock(Q, &fs_lock);
	err = mount_locked(at, source, type, flags, options);
	quire_mutex_unlock(Q, &fs_lock);
	return err;
}

/* ---- Taking away ----------------------------------------------------------------------------------------- */

/* All names below, the deepest first. */
static void remove_names(struct inode *root)
{
	struct inode *dir = root;

	while (dir != root || !quire_list_empty(&root->dir.entries)) {
		struct inode *parent = dir->dir.parent;
		struct dirent *e;

		if (quire_list_empty(&dir->dir.entries)) {
			dir_unlink(parent, dir->entry);
			dir = parent;
			continue;
		}
		e = quire_list_entry(dir->dir.entries.next, struct dirent, link);
		if (inode_type(e->inode) == S_IFDIR)
			dir = e->inode;
		else
			dir_unlink(dir, e);
	}
}

static void take_away(struct mount *m)
{
	struct inode *root = m->root, *at = m->at;

	quire_list_del(&m->link);
	at->dir.mounted = NULL;
	m->at = m->root = NULL;
	if (!root->ops)
		remove_names(root);
	root->nlink = 0;
	inode_put(root);
	inode_put(at);
	mount_put(m);
}

static bool is_on(const struct mount *m, const struct mount *below)
{
	for (; m; m = m->at ? m->at->mount : NULL) {
		if (m == below)
			return true;
	}
	return false;
}

int fs_umount(struct inode *at, unsigned flags)
{
	struct quire_list *pos, *previous;
	struct mount *m = at->mount;
	int err = 0;

	if (flags & ~(MNT_DETACH | UMOUNT_NOFOLLOW))
		return -EINVAL;
	/* Files that were mapped are let go a moment later. */
	if (m && quire_load(&m->users))
		quire_grace_wait(Q);
	quire_mutex_lock(Q, &fs_lock);
	if (!m || at != m->root)
		err = -EINVAL;
	else if (!m->at || (!(flags & MNT_DETACH) && quire_load(&m->users)))
		err = -EBUSY;
	/* From the last one on; what is on it is behind it. */
	for (pos = mounts.prev; !err && pos != &mounts; pos = previous) {
		struct mount *on = quire_list_entry(pos, struct mount, link);

		previous = pos->prev;
		if (!is_on(on, m))
			continue;
		if (on != m && !(flags & MNT_DETACH))
			err = -EBUSY;
		else
			take_away(on);
	}
	quire_mutex_unlock(Q, &fs_lock);
	return err;
}

/* ---- /proc/PID/mounts, mountinfo ---------------------------------------------------------------------------- */

static void print_name(struct proc_text *t, const char *name, const char *behind)
{
	for (; *name; name++)
		proc_print(t, strchr(" \t\n\\", *name) ? "\\%03o" : "%c", *name);
	proc_print(t, "%s", behind);
}

int mounts_show(struct proc_text *t, bool info)
{
	char *buf = quire_kmalloc(Q, PATH_MAX, QUIRE_GFP_KERNEL), rights[64], size[32];
	struct quire_list *pos, *tmp;

	if (!buf)
		return -ENOMEM;
	quire_mutex_lock(Q, &fs_lock);
	quire_list_for_each (pos, tmp, &mounts) {
		struct mount *m = quire_list_entry(pos, struct mount, link);

		ksnprintf(rights, sizeof(rights), "rw%s%s%s%s%s",
			  m->flags & MS_NOSUID ? ",nosuid" : "",
			  m->flags & MS_NODEV ? ",nodev" : "",
			  m->flags & MS_NOEXEC ? ",noexec" : "",
			  m->flags & MS_NOATIME ? ",noatime" : ",relatime",
			  m->flags & MS_NODIRATIME ? ",nodiratime" : "");
		size[0] = '\0';
		if (m->max_pages)
			ksnprintf(size, sizeof(size), ",size=%lluk",
				  ULL(m->max_pages * (QUIRE_PAGE_SIZE >> 10)));
		if (info)
			proc_print(t, "%u %u 0:%u / ", m->id, m->at ? m->at->mount->id : 0, m->dev);
		else
			print_name(t, m->source, " ");
		print_name(t, path_locked(m->root, buf), " ");
		if (info) {
			proc_print(t, "%s - %s ", rights, m->type);
			print_name(t, m->source, " rw");
			proc_print(t, "%s\n", size);
		} else {
			proc_print(t, "%s %s%s 0 0\n", m->type, rights, size);
		}
	}
	quire_mutex_unlock(Q, &fs_lock);
	quire_kfree(Q, buf);
	return 0;
}
