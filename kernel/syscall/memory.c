/* SPDX-License-Identifier: MIT */
/* Calls about memory: each is Quire's, and what is left here is to find the file and the space. */
#include "syscall/syscall.h"

static struct quire_mm *mm(void)
{
	return current()->mm;
}

int64_t sys_mmap(struct call *c)
{
	uint32_t flags = (uint32_t)c->arg[3];
	struct file *file = NULL;
	int64_t addr;

	if (c->arg[5] & ~QUIRE_PAGE_MASK)
		return -EINVAL;
	if (!(flags & QUIRE_MAP_ANONYMOUS)) {
		file = fd_get((int)c->arg[4]);
		if (!file || (file->flags & O_PATH)) {
			if (file)
				file_put(file);
			return -EBADF;
		}
	}
	if (file && file_is_zero(file)) {
		/* It is anonymous memory, as if it had been asked for; what the opening does not allow stays forbidden. */
		uint32_t type = flags & 0xf, prot = (uint32_t)c->arg[2];

		if (!file_readable(file) || (type != QUIRE_MAP_PRIVATE &&
					     (prot & QUIRE_PROT_WRITE) && !file_writable(file))) {
			file_put(file);
			return -EACCES;
		}
		if (type == QUIRE_MAP_SHARED_VALIDATE)
			flags = (flags & ~0xfu) | QUIRE_MAP_SHARED;
		flags |= QUIRE_MAP_ANONYMOUS;
		file_put(file);
		file = NULL;
	}
	addr = quire_mmap(mm(), c->arg[0], c->arg[1], (uint32_t)c->arg[2], flags,
			  file ? &file->map : NULL, c->arg[5]);
	if (file)
		file_put(file);
	return addr;
}

SYSCALL(munmap, quire_munmap(mm(), c->arg[0], c->arg[1]))
SYSCALL(mprotect, quire_mprotect(mm(), c->arg[0], c->arg[1], (uint32_t)c->arg[2]))

int64_t sys_mremap(struct call *c)
{
	return quire_mremap(mm(), c->arg[0], c->arg[1], c->arg[2], (uint32_t)c->arg[3], c->arg[4]);
}

SYSCALL(brk, (int64_t)quire_brk(mm(), c->arg[0]))

int64_t sys_madvise(struct call *c)
{
	const unsigned long addr = (unsigned long)c->arg[0], len = (unsigned long)c->arg[1],
			    bytes = (len + ~(unsigned long)QUIRE_PAGE_MASK) &
				    (unsigned long)QUIRE_PAGE_MASK;

	/* A length wraps where the machine's words do; Quire's are longer, perhaps. */
	if ((len && !bytes) || addr + bytes < addr)
		return -EINVAL;
	return quire_madvise(mm(), addr, len, (int)c->arg[2]);
}

SYSCALL(mlock, quire_mlock(mm(), c->arg[0], c->arg[1]))
SYSCALL(mlock2, quire_mlock2(mm(), c->arg[0], c->arg[1], (uint32_t)c->arg[2]))
SYSCALL(munlock, quire_munlock(mm(), c->arg[0], c->arg[1]))
SYSCALL(mlockall, quire_mlockall(mm(), (uint32_t)c->arg[0]))
SYSCALL(munlockall, quire_munlockall(mm()))
SYSCALL(msync, quire_msync(mm(), c->arg[0], c->arg[1], (uint32_t)c->arg[2]))

/* Piece by piece, so that a long range needs no long buffer. */
int64_t sys_mincore(struct call *c)
{
	uint64_t addr = c->arg[0], left, vec = c->arg[2];
	unsigned char buf[256];
	int err;

	if (addr & ~QUIRE_PAGE_MASK)
		return -EINVAL;
	if (!user_range_ok(addr, c->arg[1]))
		return -ENOMEM;
	left = (c->arg[1] + QUIRE_PAGE_SIZE - 1) >> QUIRE_PAGE_SHIFT;
	if (!user_range_ok(vec, left))
		return -EFAULT;
	while (left) {
		uint64_t n = min_u64(left, sizeof(buf));

		err = quire_mincore(mm(), addr, n << QUIRE_PAGE_SHIFT, buf);
		if (err)
			return err;
		if (copy_to_user(vec, buf, n))
			return -EFAULT;
		addr += n << QUIRE_PAGE_SHIFT;
		vec += n;
		left -= n;
	}
	return 0;
}

SYSCALL(mseal, quire_mseal(mm(), c->arg[0], c->arg[1], c->arg[2]))

int64_t sys_remap_file_pages(struct call *c)
{
	return quire_remap_file_pages(mm(), c->arg[0], c->arg[1], (uint32_t)c->arg[2], c->arg[3],
				      (uint32_t)c->arg[4]);
}

/* ---- Other processes' memory --------------------------------------------------------------------- */

#define MAX_IOV 1024

int get_iovec(uint64_t addr, uint64_t n, struct quire_iovec **vec)
{
	if (n > MAX_IOV)
		return -EINVAL;
	*vec = quire_kmalloc(Q, (n ? n : 1) * sizeof(**vec), QUIRE_GFP_KERNEL);
	if (!*vec)
		return -ENOMEM;
	if (!copy_iovec_from_user(*vec, addr, n))
		return 0;
	quire_kfree(Q, *vec);
	return -EFAULT;
}

static int64_t process_vm(struct call *c, bool write)
{
	struct quire_iovec *local, *remote;
	struct process *p;
	struct quire_mm *other;
	bool may;
	int64_t done = get_iovec(c->arg[1], c->arg[2], &local);

	if (done)
		return done;
	done = get_iovec(c->arg[3], c->arg[4], &remote);
	if (!done) {
		p = process_find((int)c->arg[0]);
		other = p ? process_get_mm(p) : NULL;
		may = !current_process()->euid || (p && current_process()->euid == p->uid);
		done = (write ? quire_process_vm_writev : quire_process_vm_readv)(
			mm(), local, c->arg[2], may ? other : NULL, remote, c->arg[4], c->arg[5]);
		if (done == -ESRCH && other && !may)
			done = -EPERM;
		if (other)
			quire_mmput(other);
		if (p)
			process_put(p);
		quire_kfree(Q, remote);
	}
	quire_kfree(Q, local);
	return done;
}

SYSCALL(process_vm_readv, process_vm(c, false))
SYSCALL(process_vm_writev, process_vm(c, true))

/* A file of shared memory without a name in any directory: memfd_create(2). */
int64_t sys_memfd_create(struct call *c)
{
	char name[250], path[264];
	struct inode *inode;
	struct file *file;
	int64_t n = copy_string_from_user(name, c->arg[0], sizeof(name));
	int err;

	if (n < 0)
		return n == -ENAMETOOLONG ? -EINVAL : n;
	if (c->arg[1] & ~0x1full)
		return -EINVAL;
	if (c->arg[1] & 4) /* MFD_HUGETLB */
		return -ENOSYS;
	inode = inode_new(S_IFREG | 0777);
	if (!inode)
		return -ENOMEM;
	ksnprintf(path, sizeof(path), "/memfd:%s", name);
	err = file_open_inode(inode, O_RDWR, kstrdup(path), &file);
	inode_put(inode);
	if (err)
		return err;
	err = fd_install(file, c->arg[1] & 1, 0);
	if (err < 0)
		file_put(file);
	return err;
}
