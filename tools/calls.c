/* SPDX-License-Identifier: MIT */
/*
 * The table of calls, and printing them. See calls.h. Used by every part of the tool; knows
 * nothing of processes, spaces or files.
 */
#include "calls.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <quire/mm.h>

/* clang-format off */
const struct call_def call_defs[CALL_NR] = {
	/*                         name                nr64 nr32  arguments */
	[CALL_MMAP]            = { "mmap",               9,  -1, { ARG_ADDR, ARG_SIZE, ARG_PROT, ARG_MAP, ARG_FD, ARG_ADDR }, true },
	[CALL_MUNMAP]          = { "munmap",            11,  91, { ARG_ADDR, ARG_SIZE }, false },
	[CALL_MPROTECT]        = { "mprotect",          10, 125, { ARG_ADDR, ARG_SIZE, ARG_PROT }, false },
	[CALL_MREMAP]          = { "mremap",            25, 163, { ARG_ADDR, ARG_SIZE, ARG_SIZE, ARG_MREMAP, ARG_ADDR }, true },
	[CALL_BRK]             = { "brk",               12,  45, { ARG_ADDR }, true },
	[CALL_MADVISE]         = { "madvise",           28, 219, { ARG_ADDR, ARG_SIZE, ARG_ADVICE }, false },
	[CALL_MLOCK]           = { "mlock",            149, 150, { ARG_ADDR, ARG_SIZE }, false },
	[CALL_MLOCK2]          = { "mlock2",           325, 376, { ARG_ADDR, ARG_SIZE, ARG_FLAGS }, false },
	[CALL_MUNLOCK]         = { "munlock",          150, 151, { ARG_ADDR, ARG_SIZE }, false },
	[CALL_MLOCKALL]        = { "mlockall",         151, 152, { ARG_FLAGS }, false },
	[CALL_MUNLOCKALL]      = { "munlockall",       152, 153, { ARG_END }, false },
	[CALL_MSYNC]           = { "msync",             26, 144, { ARG_ADDR, ARG_SIZE, ARG_FLAGS }, false },
	[CALL_MINCORE]         = { "mincore",           27, 218, { ARG_ADDR, ARG_SIZE, ARG_ADDR }, false },
	[CALL_MSEAL]           = { "mseal",            462, 462, { ARG_ADDR, ARG_SIZE, ARG_FLAGS }, false },
	[CALL_REMAP_FILE_PAGES] = { "remap_file_pages", 216, 257, { ARG_ADDR, ARG_SIZE, ARG_PROT, ARG_SIZE, ARG_MAP }, false },
	/* In place of the segment's number stand the file and, as last argument, the segment's size. */
	[CALL_SHMAT]           = { "shmat",             30, 397, { ARG_FD, ARG_ADDR, ARG_FLAGS, ARG_SIZE }, true },
	[CALL_SHMDT]           = { "shmdt",             67, 398, { ARG_ADDR }, false },

	[CALL_FORK]            = { "fork",              57,   2, { ARG_END }, false },
	[CALL_VFORK]           = { "vfork",             58, 190, { ARG_END }, false },
	[CALL_CLONE]           = { "clone",             56, 120, { ARG_FLAGS }, false },
	[CALL_CLONE3]          = { "clone3",           435, 435, { ARG_ADDR, ARG_SIZE }, false },
	[CALL_EXECVE]          = { "execve",            59,  11, { ARG_ADDR, ARG_ADDR, ARG_ADDR }, false },
	[CALL_EXECVEAT]        = { "execveat",         322, 358, { ARG_INT, ARG_ADDR, ARG_ADDR, ARG_ADDR, ARG_FLAGS }, false },
	[CALL_PERSONALITY]     = { "personality",      135, 136, { ARG_FLAGS }, false },
	[CALL_PRCTL]           = { "prctl",            157, 172, { ARG_INT, ARG_ADDR, ARG_ADDR, ARG_ADDR, ARG_ADDR }, false },

	[CALL_PTRACE]          = { "ptrace",           101,  26, { ARG_INT, ARG_INT, ARG_ADDR, ARG_ADDR }, false },

	[CALL_ARCH_PRCTL]      = { "arch_prctl",       158, 384, { ARG_FLAGS, ARG_ADDR }, false },
	[CALL_IO_SETUP]        = { "io_setup",         206, 245, { ARG_INT, ARG_ADDR }, false },
	[CALL_IO_DESTROY]      = { "io_destroy",       207, 246, { ARG_ADDR }, false },
	[CALL_MBIND]           = { "mbind",            237, 274, { ARG_ADDR, ARG_SIZE, ARG_INT, ARG_ADDR, ARG_INT, ARG_FLAGS }, false },
	[CALL_SET_MEMPOLICY_HOME_NODE] = { "set_mempolicy_home_node", 450, 450, { ARG_ADDR, ARG_SIZE, ARG_INT, ARG_FLAGS }, false },
	[CALL_PKEY_MPROTECT]   = { "pkey_mprotect",    329, 380, { ARG_ADDR, ARG_SIZE, ARG_PROT, ARG_INT }, false },
	[CALL_MAP_SHADOW_STACK] = { "map_shadow_stack", 453, -1, { ARG_ADDR, ARG_SIZE, ARG_FLAGS }, true },
	[CALL_PROCESS_MADVISE] = { "process_madvise",  440, 440, { ARG_INT, ARG_ADDR, ARG_INT, ARG_ADVICE, ARG_FLAGS }, false },
	[CALL_USERFAULTFD]     = { "ioctl(UFFDIO_REGISTER)", 16, 54, { ARG_INT, ARG_FLAGS, ARG_ADDR }, false },
	[CALL_USELIB]          = { "uselib",           134,  86, { ARG_ADDR }, false },

	[CALL_OLD_MMAP]        = { "old_mmap",          -1,  90, { ARG_ADDR }, true },
	[CALL_MMAP2]           = { "mmap2",             -1, 192, { ARG_ADDR, ARG_SIZE, ARG_PROT, ARG_MAP, ARG_INT, ARG_SIZE }, true },
	[CALL_IPC]             = { "ipc",               -1, 117, { ARG_INT, ARG_INT, ARG_INT, ARG_ADDR, ARG_ADDR, ARG_INT }, false },
};
/* clang-format on */

struct name {
	uint64_t value;
	const char *name;
};

static const struct name prot_names[] = {
	{ QUIRE_PROT_READ, "PROT_READ" },
	{ QUIRE_PROT_WRITE, "PROT_WRITE" },
	{ QUIRE_PROT_EXEC, "PROT_EXEC" },
	{ QUIRE_PROT_SEM, "PROT_SEM" },
	{ QUIRE_PROT_GROWSDOWN, "PROT_GROWSDOWN" },
	{ QUIRE_PROT_GROWSUP, "PROT_GROWSUP" },
};

static const struct name map_names[] = {
	{ QUIRE_MAP_FIXED, "MAP_FIXED" },
	{ QUIRE_MAP_ANONYMOUS, "MAP_ANONYMOUS" },
	{ QUIRE_MAP_32BIT, "MAP_32BIT" },
	{ QUIRE_MAP_ABOVE4G, "MAP_ABOVE4G" },
	{ QUIRE_MAP_GROWSDOWN, "MAP_GROWSDOWN" },
	{ QUIRE_MAP_DENYWRITE, "MAP_DENYWRITE" },
	{ QUIRE_MAP_EXECUTABLE, "MAP_EXECUTABLE" },
	{ QUIRE_MAP_LOCKED, "MAP_LOCKED" },
	{ QUIRE_MAP_NORESERVE, "MAP_NORESERVE" },
	{ QUIRE_MAP_POPULATE, "MAP_POPULATE" },
	{ QUIRE_MAP_NONBLOCK, "MAP_NONBLOCK" },
	{ QUIRE_MAP_STACK, "MAP_STACK" },
	{ QUIRE_MAP_HUGETLB, "MAP_HUGETLB" },
	{ QUIRE_MAP_SYNC, "MAP_SYNC" },
	{ QUIRE_MAP_FIXED_NOREPLACE, "MAP_FIXED_NOREPLACE" },
	{ QUIRE_MAP_UNINITIALIZED, "MAP_UNINITIALIZED" },
};

static const struct name mremap_names[] = {
	{ QUIRE_MREMAP_MAYMOVE, "MREMAP_MAYMOVE" },
	{ QUIRE_MREMAP_FIXED, "MREMAP_FIXED" },
	{ QUIRE_MREMAP_DONTUNMAP, "MREMAP_DONTUNMAP" },
};

static const struct name advice_names[] = {
	{ QUIRE_MADV_NORMAL, "MADV_NORMAL" },
	{ QUIRE_MADV_RANDOM, "MADV_RANDOM" },
	{ QUIRE_MADV_SEQUENTIAL, "MADV_SEQUENTIAL" },
	{ QUIRE_MADV_WILLNEED, "MADV_WILLNEED" },
	{ QUIRE_MADV_DONTNEED, "MADV_DONTNEED" },
	{ QUIRE_MADV_FREE, "MADV_FREE" },
	{ QUIRE_MADV_REMOVE, "MADV_REMOVE" },
	{ QUIRE_MADV_DONTFORK, "MADV_DONTFORK" },
	{ QUIRE_MADV_DOFORK, "MADV_DOFORK" },
	{ QUIRE_MADV_MERGEABLE, "MADV_MERGEABLE" },
	{ QUIRE_MADV_UNMERGEABLE, "MADV_UNMERGEABLE" },
	{ QUIRE_MADV_HUGEPAGE, "MADV_HUGEPAGE" },
	{ QUIRE_MADV_NOHUGEPAGE, "MADV_NOHUGEPAGE" },
	{ QUIRE_MADV_DONTDUMP, "MADV_DONTDUMP" },
	{ QUIRE_MADV_DODUMP, "MADV_DODUMP" },
	{ QUIRE_MADV_WIPEONFORK, "MADV_WIPEONFORK" },
	{ QUIRE_MADV_KEEPONFORK, "MADV_KEEPONFORK" },
	{ QUIRE_MADV_COLD, "MADV_COLD" },
	{ QUIRE_MADV_PAGEOUT, "MADV_PAGEOUT" },
	{ QUIRE_MADV_POPULATE_READ, "MADV_POPULATE_READ" },
	{ QUIRE_MADV_POPULATE_WRITE, "MADV_POPULATE_WRITE" },
	{ QUIRE_MADV_DONTNEED_LOCKED, "MADV_DONTNEED_LOCKED" },
	{ QUIRE_MADV_COLLAPSE, "MADV_COLLAPSE" },
	{ QUIRE_MADV_GUARD_INSTALL, "MADV_GUARD_INSTALL" },
	{ QUIRE_MADV_GUARD_REMOVE, "MADV_GUARD_REMOVE" },
};

static const struct name errno_names[] = {
	{ QUIRE_EPERM, "EPERM" },     { QUIRE_ENOENT, "ENOENT" },
	{ QUIRE_ESRCH, "ESRCH" },     { QUIRE_EINTR, "EINTR" },
	{ QUIRE_EIO, "EIO" },         { QUIRE_E2BIG, "E2BIG" },
	{ QUIRE_EBADF, "EBADF" },     { QUIRE_EAGAIN, "EAGAIN" },
	{ QUIRE_ENOMEM, "ENOMEM" },   { QUIRE_EACCES, "EACCES" },
	{ QUIRE_EFAULT, "EFAULT" },   { QUIRE_EBUSY, "EBUSY" },
	{ QUIRE_EEXIST, "EEXIST" },   { QUIRE_ENODEV, "ENODEV" },
	{ QUIRE_EINVAL, "EINVAL" },   { QUIRE_ETXTBSY, "ETXTBSY" },
	{ QUIRE_EFBIG, "EFBIG" },     { QUIRE_ENOSPC, "ENOSPC" },
	{ QUIRE_ERANGE, "ERANGE" },   { QUIRE_ENOSYS, "ENOSYS" },
	{ QUIRE_EOVERFLOW, "EOVERFLOW" }, { QUIRE_EOPNOTSUPP, "EOPNOTSUPP" },
	{ QUIRE_EHWPOISON, "EHWPOISON" }, { 43, "EIDRM" },
};

/* Text that grows in a buffer of fixed size; what does not fit is cut. */
struct out {
	char *buf;
	size_t size, len;
};

static void __attribute__((format(printf, 2, 3))) out_add(struct out *o, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (o->len >= o->size)
		return;
	va_start(ap, fmt);
	n = vsnprintf(o->buf + o->len, o->size - o->len, fmt, ap);
	va_end(ap);
	if (n > 0)
		o->len += (size_t)n;
	if (o->len >= o->size)
		o->len = o->size - 1;
}

static void out_bits(struct out *o, uint64_t value, const struct name *names, size_t nr, bool any)
{
	const char *sep = any ? "|" : "";
	bool first = !any;
	size_t i;

	for (i = 0; i < nr; i++) {
		if (!(value & names[i].value))
			continue;
		out_add(o, "%s%s", first ? "" : "|", names[i].name);
		value &= ~names[i].value;
		first = false;
		sep = "|";
	}
	if (value)
		out_add(o, "%s0x%" PRIx64, sep, value);
}

static void out_arg(struct out *o, enum call_arg kind, uint64_t v)
{
	static const char *const types[] = { "0", "MAP_SHARED", "MAP_PRIVATE", "MAP_SHARED_VALIDATE" };
	size_t i;

	switch (kind) {
	case ARG_PROT:
		if (v == 0)
			out_add(o, "PROT_NONE");
		else
			out_bits(o, v, prot_names, QUIRE_ARRAY_SIZE(prot_names), false);
		break;
	case ARG_MAP:
		if ((v & QUIRE_MAP_TYPE) <= 3)
			out_add(o, "%s", types[v & 3]);
		else
			out_add(o, "0x%x", (unsigned)(v & QUIRE_MAP_TYPE));
		out_bits(o, v & ~(uint64_t)QUIRE_MAP_TYPE, map_names, QUIRE_ARRAY_SIZE(map_names), true);
		break;
	case ARG_MREMAP:
		if (v == 0)
			out_add(o, "0");
		else
			out_bits(o, v, mremap_names, QUIRE_ARRAY_SIZE(mremap_names), false);
		break;
	case ARG_ADVICE:
		for (i = 0; i < QUIRE_ARRAY_SIZE(advice_names); i++) {
			if (advice_names[i].value == v) {
				out_add(o, "%s", advice_names[i].name);
				return;
			}
		}
		out_add(o, "%d", (int)v);
		break;
	case ARG_FD:
		if (v)
			out_add(o, "file %" PRIu64, v);
		else
			out_add(o, "-");
		break;
	case ARG_INT:
		out_add(o, "%" PRId64, (int64_t)v);
		break;
	default:
		out_add(o, "0x%" PRIx64, v);
	}
}

unsigned call_nr_args(enum call_id id)
{
	unsigned n = 0;

	while (n < CALL_MAX_ARGS && call_defs[id].arg[n] != ARG_END)
		n++;
	return n;
}

enum call_id call_by_name(const char *name, size_t len)
{
	unsigned i;

	for (i = 0; i < CALL_NR; i++) {
		if (strlen(call_defs[i].name) == len && memcmp(call_defs[i].name, name, len) == 0)
			break;
	}
	return (enum call_id)i;
}

void call_print(const struct call *call, char *buf, size_t size)
{
	const struct call_def *def = &call_defs[call->id];
	struct out o = { buf, size, 0 };
	unsigned i;

	out_add(&o, "%s(", def->name);
	for (i = 0; i < call_nr_args(call->id); i++) {
		if (i)
			out_add(&o, ", ");
		out_arg(&o, (enum call_arg)def->arg[i], def->arg[i] == ARG_FD ? call->file : call->arg[i]);
	}
	out_add(&o, ")");
}

const char *call_errno_name(int err)
{
	size_t i;

	for (i = 0; i < QUIRE_ARRAY_SIZE(errno_names); i++) {
		if (errno_names[i].value == (uint64_t)err)
			return errno_names[i].name;
	}
	return NULL;
}

void call_print_result(enum call_id id, int64_t result, char *buf, size_t size)
{
	struct out o = { buf, size, 0 };
	const char *name;

	if (result < 0 && result > -4096) {
		name = call_errno_name((int)-result);
		if (name)
			out_add(&o, "%s (%s)", name, strerror((int)-result));
		else
			out_add(&o, "errno %d (%s)", (int)-result, strerror((int)-result));
	} else if (call_defs[id].answers_address) {
		out_add(&o, "0x%" PRIx64, (uint64_t)result);
	} else {
		out_add(&o, "%" PRId64, result);
	}
}
