/* SPDX-License-Identifier: MIT */
/* Names of calls, flags, errors, files and signals. See names.h. Used by what reads or writes rounds; plays nothing. */
#include "names.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include <quire/mm.h>

#define SYS_MSEAL 462

/* clang-format off */
const struct fuzz_call fuzz_calls[] = {
	{ "mmap", SYS_mmap, { OPERAND_ADDRESS, OPERAND_SIZE, OPERAND_PROT, OPERAND_MAP, OPERAND_FILE, OPERAND_SIZE } },
	{ "munmap", SYS_munmap, { OPERAND_ADDRESS, OPERAND_SIZE } },
	{ "mprotect", SYS_mprotect, { OPERAND_ADDRESS, OPERAND_SIZE, OPERAND_PROT } },
	{ "mremap", SYS_mremap, { OPERAND_ADDRESS, OPERAND_SIZE, OPERAND_SIZE, OPERAND_MREMAP, OPERAND_ADDRESS } },
	{ "brk", SYS_brk, { OPERAND_ADDRESS } },
	{ "madvise", SYS_madvise, { OPERAND_ADDRESS, OPERAND_SIZE, OPERAND_ADVICE } },
	{ "mlock", SYS_mlock, { OPERAND_ADDRESS, OPERAND_SIZE } },
	{ "mlock2", SYS_mlock2, { OPERAND_ADDRESS, OPERAND_SIZE, OPERAND_MLOCK2 } },
	{ "munlock", SYS_munlock, { OPERAND_ADDRESS, OPERAND_SIZE } },
	{ "mlockall", SYS_mlockall, { OPERAND_MLOCKALL } },
	{ "munlockall", SYS_munlockall, { OPERAND_END } },
	{ "msync", SYS_msync, { OPERAND_ADDRESS, OPERAND_SIZE, OPERAND_MSYNC } },
	{ "mincore", SYS_mincore, { OPERAND_ADDRESS, OPERAND_SIZE, OPERAND_ADDRESS } },
	{ "mseal", SYS_MSEAL, { OPERAND_ADDRESS, OPERAND_SIZE, OPERAND_SEAL } },
	{ "remap_file_pages", SYS_remap_file_pages, { OPERAND_ADDRESS, OPERAND_SIZE, OPERAND_PROT, OPERAND_NUMBER, OPERAND_MAP } },
	{ "ftruncate", SYS_ftruncate, { OPERAND_FILE, OPERAND_SIZE } },
	{ "fallocate", SYS_fallocate, { OPERAND_FILE, OPERAND_FALLOCATE, OPERAND_SIZE, OPERAND_SIZE } },
	{ "shmat", SYS_shmat, { OPERAND_NUMBER, OPERAND_ADDRESS, OPERAND_SHMAT } },
	{ "shmdt", SYS_shmdt, { OPERAND_ADDRESS } },
	{ "process_vm_readv", SYS_process_vm_readv,
	  { OPERAND_PROCESS, OPERAND_ADDRESS, OPERAND_SIZE, OPERAND_ADDRESS, OPERAND_SIZE, OPERAND_SEAL } },
	{ "process_vm_writev", SYS_process_vm_writev,
	  { OPERAND_PROCESS, OPERAND_ADDRESS, OPERAND_SIZE, OPERAND_ADDRESS, OPERAND_SIZE, OPERAND_SEAL } },
};
const unsigned fuzz_nr_calls = sizeof(fuzz_calls) / sizeof(fuzz_calls[0]);
_Static_assert(sizeof(fuzz_calls) / sizeof(fuzz_calls[0]) <= FUZZ_MAX_CALLS, "room for the counts of every call");

static const struct fuzz_call kinds[FUZZ_NR_KINDS] = {
	[STEP_LOAD] = { "load", -1, { OPERAND_ADDRESS, OPERAND_SIZE } },
	[STEP_STORE] = { "store", -1, { OPERAND_ADDRESS, OPERAND_NUMBER } },
	[STEP_STORE_WORD] = { "store_word", -1, { OPERAND_ADDRESS, OPERAND_NUMBER, OPERAND_NUMBER } },
	[STEP_STORE_RUN] = { "store_run", -1, { OPERAND_ADDRESS, OPERAND_SIZE, OPERAND_NUMBER } },
	[STEP_EXECUTE] = { "execute", -1, { OPERAND_ADDRESS } },
	[STEP_FORK] = { "fork", -1, { OPERAND_PROCESS } },
	[STEP_EXIT] = { "exit", -1, { OPERAND_END } },
	[STEP_THREAD] = { "thread", -1, { OPERAND_PROCESS } },
	[STEP_WRITE] = { "write", -1, { OPERAND_FILE, OPERAND_SIZE, OPERAND_SIZE, OPERAND_NUMBER } },
};

#define NAME(prefix, name) { #name, QUIRE_##prefix##name }
static const struct fuzz_name prot_names[] = {
	NAME(PROT_, NONE), NAME(PROT_, READ), NAME(PROT_, WRITE), NAME(PROT_, EXEC), NAME(PROT_, SEM),
	NAME(PROT_, GROWSDOWN), NAME(PROT_, GROWSUP),
};

static const struct fuzz_name map_names[] = {
	NAME(MAP_, SHARED), NAME(MAP_, PRIVATE), NAME(MAP_, SHARED_VALIDATE), NAME(MAP_, DROPPABLE),
	NAME(MAP_, FIXED), NAME(MAP_, FIXED_NOREPLACE), NAME(MAP_, ANONYMOUS), NAME(MAP_, 32BIT), NAME(MAP_, ABOVE4G),
	NAME(MAP_, GROWSDOWN), NAME(MAP_, DENYWRITE), NAME(MAP_, EXECUTABLE), NAME(MAP_, LOCKED), NAME(MAP_, NORESERVE),
	NAME(MAP_, POPULATE), NAME(MAP_, NONBLOCK), NAME(MAP_, STACK), NAME(MAP_, HUGETLB), NAME(MAP_, SYNC),
	NAME(MAP_, UNINITIALIZED),
};

static const struct fuzz_name mremap_names[] = { NAME(MREMAP_, MAYMOVE), NAME(MREMAP_, FIXED), NAME(MREMAP_, DONTUNMAP) };

static const struct fuzz_name advice_names[] = {
	NAME(MADV_, NORMAL), NAME(MADV_, RANDOM), NAME(MADV_, SEQUENTIAL), NAME(MADV_, WILLNEED), NAME(MADV_, DONTNEED),
	NAME(MADV_, FREE), NAME(MADV_, REMOVE), NAME(MADV_, DONTFORK), NAME(MADV_, DOFORK), NAME(MADV_, MERGEABLE),
	NAME(MADV_, UNMERGEABLE), NAME(MADV_, HUGEPAGE), NAME(MADV_, NOHUGEPAGE), NAME(MADV_, DONTDUMP), NAME(MADV_, DODUMP),
	NAME(MADV_, WIPEONFORK), NAME(MADV_, KEEPONFORK), NAME(MADV_, COLD), NAME(MADV_, PAGEOUT), NAME(MADV_, POPULATE_READ),
	NAME(MADV_, POPULATE_WRITE), NAME(MADV_, DONTNEED_LOCKED), NAME(MADV_, COLLAPSE), { "HWPOISON", 100 },
	{ "SOFT_OFFLINE", 101 }, NAME(MADV_, GUARD_INSTALL), NAME(MADV_, GUARD_REMOVE),
};

static const struct fuzz_name mlock2_names[] = { NAME(MLOCK_, ONFAULT) };
static const struct fuzz_name mlockall_names[] = { NAME(MCL_, CURRENT), NAME(MCL_, FUTURE), NAME(MCL_, ONFAULT) };
static const struct fuzz_name msync_names[] = { NAME(MS_, ASYNC), NAME(MS_, INVALIDATE), NAME(MS_, SYNC) };
static const struct fuzz_name shmat_names[] = {
	{ "RDONLY", 010000 }, { "RND", 020000 }, { "REMAP", 040000 }, { "EXEC", 0100000 },
};

/* What no kernel knows is not named. */
static const struct fuzz_name fallocate_names[] = {
	{ "KEEP_SIZE", 0x1 }, { "PUNCH_HOLE", 0x2 }, { "COLLAPSE_RANGE", 0x8 }, { "ZERO_RANGE", 0x10 }, { "INSERT_RANGE", 0x20 },
	{ "UNSHARE_RANGE", 0x40 },
};

#define FLAGS(prefix, field, names) { prefix, field, names, sizeof(names) / sizeof(names[0]) }
const struct fuzz_flags fuzz_flags[OPERAND_NR] = {
	[OPERAND_PROT] = FLAGS("PROT_", 0, prot_names),
	[OPERAND_MAP] = FLAGS("MAP_", QUIRE_MAP_TYPE, map_names),
	[OPERAND_MREMAP] = FLAGS("MREMAP_", 0, mremap_names),
	[OPERAND_ADVICE] = FLAGS("MADV_", ~0ull, advice_names),
	[OPERAND_MLOCK2] = FLAGS("MLOCK_", 0, mlock2_names),
	[OPERAND_MLOCKALL] = FLAGS("MCL_", 0, mlockall_names),
	[OPERAND_MSYNC] = FLAGS("MS_", 0, msync_names),
	[OPERAND_SHMAT] = FLAGS("SHM_", 0, shmat_names),
	[OPERAND_FALLOCATE] = FLAGS("FALLOC_FL_", 0, fallocate_names),
	[OPERAND_SEAL] = { "", 0, NULL, 0 },
};

const char *const fuzz_file_names[STEP_NR_FILES] = {
	[STEP_FILE_TMPFS] = "tmpfs", [STEP_FILE_AGAIN] = "again", [STEP_FILE_READ_ONLY] = "read_only", [STEP_FILE_DISK] = "disk",
	[STEP_FILE_DISK_READ_ONLY] = "disk_read_only", [STEP_FILE_WRITE_ONLY] = "write_only", [STEP_FILE_MEMFD] = "memfd",
};

#define ERRNO(name) { #name, name }
static const struct fuzz_name errno_names[] = {
	ERRNO(EPERM), ERRNO(ENOENT), ERRNO(ESRCH), ERRNO(EINTR), ERRNO(EIO), ERRNO(E2BIG), ERRNO(EBADF), ERRNO(EAGAIN),
	ERRNO(ENOMEM), ERRNO(EACCES), ERRNO(EFAULT), ERRNO(EBUSY), ERRNO(EEXIST), ERRNO(ENODEV), ERRNO(EINVAL), ERRNO(ETXTBSY),
	ERRNO(EFBIG), ERRNO(ENOSPC), ERRNO(ERANGE), ERRNO(ENOSYS), ERRNO(EIDRM), ERRNO(EOVERFLOW), ERRNO(EOPNOTSUPP),
	ERRNO(EHWPOISON),
};

static const struct { const char *name; int signo, code; } signals[] = {
	{ "SEGV_MAPERR", SIGSEGV, 1 }, { "SEGV_ACCERR", SIGSEGV, 2 }, { "SEGV_GENERAL", SIGSEGV, 0x80 }, { "BUS_ADRERR", SIGBUS, 2 },
};
/* clang-format on */

#define NR(array) (sizeof(array) / sizeof((array)[0]))

const struct fuzz_call *fuzz_call_by_nr(int nr)
{
	unsigned i;

	for (i = 0; i < fuzz_nr_calls; i++)
		if (fuzz_calls[i].nr == nr)
			return &fuzz_calls[i];
	return NULL;
}

unsigned fuzz_call_nr_operands(const struct fuzz_call *call)
{
	unsigned n = 0;

	while (n < 6 && call->operand[n] != OPERAND_END)
		n++;
	return n;
}

const struct fuzz_call *fuzz_kind_call(unsigned kind)
{
	return kind < FUZZ_NR_KINDS && kinds[kind].name ? &kinds[kind] : NULL;
}

const char *fuzz_errno_name(int number)
{
	size_t i;

	for (i = 0; i < NR(errno_names); i++)
		if (errno_names[i].value == (uint64_t)number)
			return errno_names[i].name;
	return NULL;
}

int fuzz_errno_number(const char *name)
{
	size_t i;

	for (i = 0; i < NR(errno_names); i++)
		if (strcmp(errno_names[i].name, name) == 0)
			return (int)errno_names[i].value;
	return 0;
}

const char *fuzz_signal_name(int signo, int code)
{
	size_t i;

	for (i = 0; i < NR(signals); i++)
		if (signals[i].signo == signo && signals[i].code == code)
			return signals[i].name;
	return NULL;
}

bool fuzz_signal_number(const char *name, int *signo, int *code)
{
	size_t i;

	for (i = 0; i < NR(signals); i++) {
		if (strcmp(signals[i].name, name))
			continue;
		*signo = signals[i].signo;
		*code = signals[i].code;
		return true;
	}
	return false;
}

void fuzz_flags_print(const struct fuzz_flags *flags, uint64_t value, bool prefix, char *buf,
		      size_t size)
{
	uint64_t field = value & flags->field, rest = value;
	bool found = false; /* the name for the field's value */
	size_t used = 0;
	unsigned i;

	buf[0] = 0;
	for (i = 0; i < flags->nr && used < size; i++) {
		const struct fuzz_name *n = &flags->names[i];

		if (n->value & ~flags->field ? !(n->value & rest & ~flags->field)
					     : found || n->value != field || (!field && rest))
			continue;
		found |= !(n->value & ~flags->field);
		rest &= ~n->value;
		used += (size_t)snprintf(buf + used, size - used, "%s%s%s", used ? "|" : "",
					 prefix ? flags->prefix : "", n->name);
	}
	if (used < size && (rest || !used))
		snprintf(buf + used, size - used, "%s%#" PRIx64, used ? "|" : "", rest);
}
