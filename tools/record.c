/* SPDX-License-Identifier: MIT */
/*
 * Writing a recording; see record.h, and docs/recording.md for the format. Numbers are hexadecimal without a prefix, but
 * for process numbers and errnos, which are decimal. The last line counts the lines and sums the bytes up, so that a
 * recording which was cut or changed is known to be.
 */
#include "record.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER_BYTES (1u << 20)

struct recorder {
	FILE *file;
	uint64_t lines;
	uint64_t hash;
	int error;
};

struct recorder *recorder_open(const char *path)
{
	struct recorder *r = tool_alloc(sizeof(*r));

	r->file = fopen(path, "we");
	if (!r->file) {
		free(r);
		return NULL;
	}
	setvbuf(r->file, NULL, _IOFBF, BUFFER_BYTES);
	r->hash = tool_hash("", 0);
	return r;
}

static void write_line(struct recorder *r, const char *line, size_t len)
{
	if (fwrite(line, 1, len, r->file) != len && !r->error)
		r->error = errno ? errno : EIO;
	r->hash = tool_hash_more(r->hash, line, len);
	r->lines++;
}

/* One line; a newline inside a path would end it, so those are written as maps writes them. */
static void __attribute__((format(printf, 2, 3))) put(struct recorder *r, const char *fmt, ...)
{
	struct text t = { 0 };
	char buf[512];
	va_list ap;
	int n, i;

	if (!r)
		return;
	va_start(ap, fmt);
	n = vsnprintf(buf, sizeof(buf) - 1, fmt, ap);
	va_end(ap);
	if (n > 0 && n < (int)sizeof(buf) - 1 && !memchr(buf, '\n', (size_t)n)) {
		buf[n] = '\n';
		write_line(r, buf, (size_t)n + 1);
		return;
	}
	char *big = tool_alloc((size_t)n + 1);

	va_start(ap, fmt);
	vsnprintf(big, (size_t)n + 1, fmt, ap);
	va_end(ap);
	for (i = 0; i < n; i++) {
		if (big[i] == '\n')
			text_add(&t, "\\012", 4);
		else
			text_add(&t, &big[i], 1);
	}
	text_add(&t, "\n", 1);
	write_line(r, t.p, t.len);
	text_free(&t);
	free(big);
}

int recorder_close(struct recorder *r)
{
	int error;

	if (!r)
		return 0;
	fprintf(r->file, "done %" PRIx64 " %016" PRIx64 "\n", r->lines, r->hash);
	if (fclose(r->file) && !r->error)
		r->error = errno;
	error = r->error;
	free(r);
	return error;
}

/* ---- Events ------------------------------------------------------------------------------ */

void record_system(struct recorder *r, const struct world_system *s)
{
	put(r, "quire-recording %d", RECORDING_VERSION);
	put(r,
	    "system max_map_count=%" PRIx64 " overcommit_memory=%" PRIx64 " overcommit_ratio=%" PRIx64
	    " overcommit_kbytes=%" PRIx64 " admin_reserve_kbytes=%" PRIx64 " user_reserve_kbytes=%" PRIx64
	    " mmap_min_addr=%" PRIx64 " dac_mmap_min_addr=%" PRIx64 " stack_guard_gap=%" PRIx64 " total_pages=%" PRIx64 " anon_align=%" PRIx64
	    " thp=%" PRIx64 " ksm=%" PRIx64 " forbid_zeropage=%" PRIx64,
	    s->max_map_count, s->overcommit_memory, s->overcommit_ratio, s->overcommit_kbytes,
	    s->admin_reserve_kbytes, s->user_reserve_kbytes, s->mmap_min_addr, s->dac_mmap_min_addr, s->stack_guard_gap, s->total_pages,
	    s->anon_align, s->thp, s->ksm, s->forbid_zeropage);
}

void record_file(struct recorder *r, const struct world_file *f)
{
	put(r, "file %x %x:%x %" PRIx64 " %x %" PRIx64 " %" PRIx64 " %" PRIx64 " %s", f->id, f->file.dev_major,
	    f->file.dev_minor, f->file.inode, f->flags, f->vm_flags, f->file.map_align, f->size, f->path);
}

void record_flags(struct recorder *r, const struct world_file *f)
{
	put(r, "flags %x %x", f->id, f->flags);
}

void record_size(struct recorder *r, const struct world_file *f)
{
	put(r, "size %x %" PRIx64, f->id, f->size);
}

void record_path(struct recorder *r, const struct world_file *f)
{
	put(r, "path %x %s", f->id, f->path);
}

#define LAYOUT_FORMAT                                                                                          \
	"mmap_base=%" PRIx64 " mmap_legacy_base=%" PRIx64 " topdown=%x start_code=%" PRIx64 " end_code=%" PRIx64 \
	" start_data=%" PRIx64 " end_data=%" PRIx64 " start_brk=%" PRIx64 " brk=%" PRIx64 " start_stack=%" PRIx64 \
	" arg_start=%" PRIx64 " arg_end=%" PRIx64 " env_start=%" PRIx64 " env_end=%" PRIx64 " vdso=%" PRIx64
#define LAYOUT_VALUES(l)                                                                                       \
	(l)->mmap_base, (l)->mmap_legacy_base, (l)->topdown, (l)->start_code, (l)->end_code, (l)->start_data,   \
		(l)->end_data, (l)->start_brk, (l)->brk, (l)->start_stack, (l)->arg_start, (l)->arg_end,       \
		(l)->env_start, (l)->env_end, (l)->vdso

#define LIMITS_FORMAT                                                                                          \
	"as=%" PRIx64 " data=%" PRIx64 " stack=%" PRIx64 " memlock=%" PRIx64                                    \
	" ipc_lock=%x sys_admin=%x sys_nice=%x sys_rawio=%x read_implies_exec=%x"
#define LIMITS_VALUES(l)                                                                                       \
	(l)->as, (l)->data, (l)->stack, (l)->memlock, (l)->cap_ipc_lock, (l)->cap_sys_admin, (l)->cap_sys_nice, \
		(l)->cap_sys_rawio, (l)->read_implies_exec

void record_space(struct recorder *r, const struct space *space)
{
	const struct quire_layout *l = &space->mm->layout;
	size_t len = strlen(space->tail);

	put(r, "space %x %d task_size=%" PRIx64 " compat=%x " LAYOUT_FORMAT " " LIMITS_FORMAT " program %s", space->id,
	    space->pid, l->task_size, l->compat, LAYOUT_VALUES(l), LIMITS_VALUES(&space->mm->limits),
	    space->program);
	if (len)
		put(r, "tail %x %.*s", space->id, (int)(len - (space->tail[len - 1] == '\n')), space->tail);
}

void record_area(struct recorder *r, const struct space *space, const struct world_area *a)
{
	put(r, "area %x %" PRIx64 " %" PRIx64 " %" PRIx64 " %" PRIx64 " %x %s", space->id, a->start, a->end, a->flags,
	    a->pgoff, a->file, a->file ? "" : a->name);
}

void record_limits(struct recorder *r, const struct space *space)
{
	put(r, "limits %x " LIMITS_FORMAT, space->id, LIMITS_VALUES(&space->mm->limits));
}

void record_layout(struct recorder *r, const struct space *space)
{
	put(r, "layout %x " LAYOUT_FORMAT, space->id, LAYOUT_VALUES(&space->mm->layout));
}

void record_own(struct recorder *r, const struct space *space, uint64_t addr)
{
	put(r, "own %x %" PRIx64, space->id, addr);
}

void record_grow(struct recorder *r, const struct space *space, uint64_t addr)
{
	put(r, "grow %x %" PRIx64, space->id, addr);
}

void record_identify(struct recorder *r, const struct space *space, uint64_t addr, uint32_t dev_major,
		     uint32_t dev_minor, uint64_t inode)
{
	put(r, "identify %x %" PRIx64 " %x:%x %" PRIx64, space->id, addr, dev_major, dev_minor, inode);
}

void record_drop(struct recorder *r, const struct space *space, uint64_t start, uint64_t end)
{
	put(r, "drop %x %" PRIx64 " %" PRIx64, space->id, start, end);
}

void record_call(struct recorder *r, const struct space *space, const struct call *call, bool compared)
{
	const struct call_def *def = &call_defs[call->id];
	char args[6 * 18 + 1];
	size_t len = 0;
	unsigned i;

	if (!r)
		return;
	args[0] = '\0';
	for (i = 0; i < call_nr_args(call->id); i++)
		len += (size_t)snprintf(args + len, sizeof(args) - len, " %" PRIx64,
					def->arg[i] == ARG_FD ? (uint64_t)call->file : call->arg[i]);
	if (call->result < 0 && call->result > -4096)
		put(r, "call %x %s%s = %d%s", space->id, def->name, args, (int)call->result, compared ? "" : " any");
	else
		put(r, "call %x %s%s = %" PRIx64 "%s", space->id, def->name, args, (uint64_t)call->result,
		    compared ? "" : " any");
}

void record_fork(struct recorder *r, const struct space *parent, const struct space *child)
{
	put(r, "fork %x %x %d", parent->id, child->id, child->pid);
}

void record_end(struct recorder *r, const struct space *space)
{
	put(r, "end %x", space->id);
}

void record_maps(struct recorder *r, const struct space *space, const char *text, size_t len)
{
	if (r)
		put(r, "maps %x %016" PRIx64 " %zx", space->id, tool_hash(text, len), len);
}
