/* SPDX-License-Identifier: MIT */
/*
 * Files. An inode is a thing with a number; directories give it names; a struct file is one opening of it, with a
 * position, and what Quire maps. Regular files are Quire's objects: there is no other copy of their bytes.
 *
 * Locks: fs_lock (a mutex) for all names; an inode's own content is its object's, or its pipe's, business.
 */
#ifndef KERNEL_FS_H
#define KERNEL_FS_H

#include "core/kernel.h"
#include "core/user.h"

#define S_IFMT 0170000u
#define S_IFSOCK 0140000u
#define S_IFLNK 0120000u
#define S_IFREG 0100000u
#define S_IFBLK 0060000u
#define S_IFDIR 0040000u
#define S_IFCHR 0020000u
#define S_IFIFO 0010000u

#define O_ACCMODE 3u
#define O_RDONLY 0u
#define O_WRONLY 1u
#define O_RDWR 2u
#define O_CREAT 0100u
#define O_EXCL 0200u
#define O_NOCTTY 0400u
#define O_TRUNC 01000u
#define O_APPEND 02000u
#define O_NONBLOCK 04000u
#define O_DIRECTORY 0200000u
#define O_NOFOLLOW 0400000u
#define O_CLOEXEC 02000000u
#define O_PATH 010000000u
#define O_TMPFILE 020000000u

#define PATH_MAX 4096u
#define NAME_MAX 255u
#define AT_FDCWD (-100)
#define POLLIN 1u
#define POLLOUT 4u
#define POLLERR 8u
#define POLLHUP 16u

struct inode;
struct file;
struct mount;
struct process;
struct proc_text;

/* ---- Inodes (inode.c) ------------------------------------------------------------------------- */

struct inode_ops {
	/* The inode behind a name, with a reference, or NULL. fs_lock. NULL: entries in memory. */
	struct inode *(*lookup)(struct inode *dir, const char *name);
	/* The name at position pos (from 2: "." and ".." come before) and its number and type; false: no more. */
	bool (*entry)(struct inode *dir, uint64_t pos, char name[NAME_MAX + 1], uint64_t *ino,
		      uint32_t *mode);
	/* Make file ready: its ops and private. NULL: by type. */
	int (*open)(struct inode *inode, struct file *file);
	/* Where a symbolic link leads: its length. NULL: inode->target. */
	int (*readlink)(struct inode *inode, char *buf, size_t size);
	/* The inode itself that a link leads to, where it has no name perhaps; a reference. NULL: by name. */
	struct inode *(*follow)(struct inode *inode);
	/* The last reference goes. Any context. */
	void (*release)(struct inode *inode);
};

struct inode {
	uint32_t refs;	/* atomic; an entry of a directory is one */
	uint32_t nlink; /* fs_lock */
	uint64_t ino;
	uint32_t mode, uid, gid;
	uint64_t rdev;		      /* major << 8 | minor */
	int64_t atime, mtime, ctime;  /* nanoseconds since 1970 */
	uint32_t dev;		      /* minor number of the file system */
	struct mount *mount;	      /* it is in, with a reference; NULL: in none */
	struct quire_list mount_link; /* mount->files */
	const struct inode_ops *ops;  /* NULL: a plain one in memory */
	struct quire_list open_files; /* struct file.inode_link; files_lock */
	struct quire_list locks;      /* fcntl's; lock_mutex */
	/* One write or change of size at a time, as Quire's objects ask; faults under it are fine: they do not take it. */
	struct quire_mutex write_lock;
	struct dirent *entry; /* its name, the latest if it has several; NULL: none; fs_lock */
	union {
		struct quire_object object; /* S_IFREG */
		struct {		    /* S_IFDIR in memory; fs_lock */
			struct quire_list entries;
			struct inode *parent;  /* a reference; NULL: a root, which is in none */
			struct mount *mounted; /* over it */
			uint64_t next_position;
		} dir;
		char *target;	   /* S_IFLNK */
		struct pipe *pipe; /* S_IFIFO; fifo_lock of pipe.c */
	};
	const struct proc_node *proc; /* of /proc: what it is, whose */
	int proc_pid, proc_fd;
};

struct dirent {
	struct quire_list link;
	struct inode *dir;   /* that it is in; no reference */
	struct inode *inode; /* a reference */
	uint64_t position;   /* ascending in the list */
	char name[];
};

extern struct quire_mutex fs_lock;
extern struct inode *root_inode;
extern const struct quire_file_ops limited_ops; /* of files whose mount has a size of its own */

void fs_init(void); /* the root, /dev, /proc, what the initramfs has */

struct inode *inode_new(uint32_t mode);
void inode_get(struct inode *inode);
void inode_put(struct inode *inode);
static inline uint32_t inode_type(const struct inode *inode)
{
	return inode->mode & S_IFMT;
}

/* Entries of directories in memory; fs_lock. link takes a reference. */
struct dirent *dir_find(struct inode *dir, const char *name);
int dir_link(struct inode *dir, const char *name, struct inode *inode);
void dir_unlink(struct inode *dir, struct dirent *entry);

/* May the current process do that with it (4 read, 2 write, 1 execute or search)? 0 or -EACCES. */
int inode_permission(const struct inode *inode, unsigned want);
void inode_touch(struct inode *inode); /* its content has changed now */

/* ---- Mounts (mount.c) ------------------------------------------------------------------------------ */

#define MS_NOSUID 2u
#define MS_NODEV 4u
#define MS_NOEXEC 8u
#define MS_NOATIME 1024u
#define MS_NODIRATIME 2048u
#define UMOUNT_NOFOLLOW 8u

struct mount {
	struct quire_list link; /* all of them */
	uint32_t refs;		/* atomic: being one, and each inode */
	uint32_t users;		/* atomic: openings, and directories of processes */
	struct inode *root,
		*at; /* references; at: what it covers, NULL: the first. Both NULL: taken away */
	struct quire_list files; /* regular ones by inode.mount_link; under mount.c's own lock */
	uint64_t max_pages;	 /* 0: as many as files may have at all */
	unsigned id, dev, flags; /* MS_* */
	const char *type;
	char source[];
};

/* at: a directory, NULL at boot. -ENODEV, -EINVAL (flags, options), -ENOTDIR, -EBUSY, -ENOENT, -ENOMEM. */
int fs_mount(struct inode *at, const char *source, const char *type, unsigned flags,
	     const char *options);
/* Of the root of one. With MNT_DETACH its names are gone at once, whoever uses it. */
int fs_umount(struct inode *at, unsigned flags);
void mount_join(struct mount *m, struct inode *inode); /* a new inode */
void mount_leave(struct inode *inode);		       /* it goes. Any context */
uint64_t mount_pages(struct mount *m);		       /* of its files */
int mounts_show(struct proc_text *t, bool info);

static inline void inode_use(struct inode *inode, int by)
{
	if (inode->mount)
		(void)quire_fetch_add(&inode->mount->users, (uint32_t)by);
}

/* ---- Paths (path.c) --------------------------------------------------------------------------------- */

#define LOOKUP_NOFOLLOW 1u
#define LOOKUP_DIRECTORY 2u

/* base NULL: the current directory. *out has a reference. */
int path_lookup(struct inode *base, const char *path, unsigned flags, struct inode **out);
/* The way from the root to an inode in memory: an allocated string; NULL: no memory. What has no name any more is "(deleted)". */
char *path_of(struct inode *inode);
char *path_locked(struct inode *inode, char buf[PATH_MAX]); /* the same in buf; fs_lock */

int fs_create(struct inode *base, const char *path, uint32_t mode, uint64_t rdev,
	      const char *target);
/* A regular file, as O_CREAT makes it: at the end of the link that path is, if it is one. */
int fs_create_file(struct inode *base, const char *path, uint32_t mode);
int fs_link(struct inode *base, const char *from, struct inode *to_base, const char *to,
	    bool follow);
int fs_unlink(struct inode *base, const char *path, bool directory);
int fs_rename(struct inode *base, const char *from, struct inode *to_base, const char *to,
	      unsigned flags);

/* ---- Open files (file.c) ------------------------------------------------------------------------------ */

struct file_ops {
	/* Bytes done, or an errno. *pos is theirs to move. */
	int64_t (*read)(struct file *file, struct uio *uio, uint64_t *pos);
	int64_t (*write)(struct file *file, struct uio *uio, uint64_t *pos);
	int64_t (*ioctl)(struct file *file, unsigned command, uint64_t arg);
	/* POLL* that hold now. NULL: reading and writing. */
	unsigned (*poll)(struct file *file);
	/* Last reference gone; any context unless the file cannot be mapped. */
	void (*release)(struct file *file);
	bool seekable;
};

struct file {
	struct quire_file map; /* counts the references; path is allocated */
	struct inode *inode;
	const struct file_ops *ops;
	uint32_t flags; /* O_* */
	struct quire_mutex pos_lock;
	uint64_t pos;
	void *private;
	const void *
		poll_key; /* what is waked when poll's answer may have changed; NULL: it never does */
	struct quire_list inode_link;
	int owner;
};

extern const struct file_ops regular_ops, directory_ops;

static inline void file_get(struct file *file)
{
	quire_file_get(&file->map);
}

static inline void file_put(struct file *file)
{
	quire_file_put(Q, &file->map);
}

static inline bool file_readable(const struct file *file)
{
	return !(file->flags & O_PATH) && (file->flags & O_ACCMODE) != O_WRONLY;
}

static inline bool file_writable(const struct file *file)
{
	return !(file->flags & O_PATH) && (file->flags & O_ACCMODE) != O_RDONLY;
}

int file_open(struct inode *base, const char *path, uint32_t flags, uint32_t mode,
	      struct file **out);
/* An opening of an inode; takes the path, allocated, over even on failure. */
int file_open_inode(struct inode *inode, uint32_t flags, char *path, struct file **out);
int file_open_kernel(const char *path, struct file **out); /* to read, permissions not asked */
int file_open_exec(const char *path, struct file **out);   /* a regular file that may be executed */
int64_t file_read_kernel(struct file *file, void *buf, size_t n, uint64_t pos);
int64_t file_read(struct file *file, struct uio *uio, uint64_t *pos);
int64_t file_write(struct file *file, struct uio *uio, uint64_t *pos);
int file_truncate(struct inode *inode, uint64_t size);
uint64_t inode_size(const struct inode *inode);
void files_mark_deleted(struct inode *inode);

/* ---- Tables of them (files.c) ----------------------------------------------------------------------------- */

struct files *files_new(void);
struct files *files_get(struct files *files);
struct files *files_copy(struct files *files);
void files_put(struct files *files);
struct file *fd_get(int fd); /* with a reference; NULL: EBADF */
struct file *fd_get_of(struct files *files, int fd);
int fd_install(struct file *file, bool cloexec,
	       int lowest); /* the reference is the table's; -EMFILE: it is not */
int fd_replace(struct file *file, int fd, bool cloexec); /* dup2: takes a reference of its own */
int fd_close(int fd);
int fd_close_range(unsigned first, unsigned last, bool cloexec);
int fd_get_cloexec(int fd);
int fd_set_cloexec(int fd, bool cloexec);
int fd_next_used(struct files *files, int fd); /* the first from fd on that is open; -1 */
void files_close_on_exec(struct process *p);

/* ---- Pipes, devices, the archive ------------------------------------------------------------------------------ */

int pipe_create(struct file *ends[2], uint32_t flags);
int pipe_open_fifo(struct inode *inode, struct file *file);
int64_t pipe_bytes(struct file *file); /* FIONREAD; or -ENOTTY */
int device_open(struct inode *inode, struct file *file);
bool file_is_zero(
	const struct file *file); /* an opening of /dev/zero: mapped, it is anonymous memory */
/* Says itself what is wrong with it; what came before that is there. */
void initramfs_unpack(const uint8_t *data, size_t size);

/* Record locks (locks.c): fcntl(2). */
int locks_call(struct file *file, int command, uint64_t arg);
void locks_drop(struct file *file, struct process *p);
struct inode *proc_root(void); /* of one more mount; NULL: no memory */
/* Of a directory in /proc. */
const char *proc_name(const struct inode *inode, char number[12]);

#endif
