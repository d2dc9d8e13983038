/* SPDX-License-Identifier: MIT */
/*
 * /proc/PID/maps, and how proc walks a space: area by area, each looked up anew, so that no grace
 * period and no lock is held while the host's sink takes the text. An area that goes meanwhile was
 * either shown or not. Addresses only ever ascend: of an area that has come to reach below what was
 * shown already, only the rest is.
 *
 * Layout: proc_pid_maps(5).
 */
#include "proc/emit.h"

/* Column at which the name begins: 25 + 6 * 8 on every 64-bit Linux. */
#define NAME_COLUMN 73

static void emit_to_sink(void *ctx, const char *text, size_t len)
{
	struct emitter *e = ctx;

	if (!e->error)
		e->error = e->sink->emit(e->sink, text, len);
}

void quire_emitter_init(struct emitter *e, struct quire_sink *sink)
{
	quire_text_init(&e->text, emit_to_sink, e);
	e->sink = sink;
	e->error = 0;
}

int quire_emitter_finish(struct emitter *e)
{
	quire_text_flush(&e->text);
	return e->error;
}

void quire_emit_kb(struct emitter *e, const char *name, unsigned width, uint64_t bytes)
{
	quire_text_left(&e->text, name, width);
	quire_text_u64(&e->text, bytes >> 10, 8);
	quire_text_put(&e->text, " kB\n");
}

bool quire_area_view_get(struct area_view *view, struct quire_mm *mm, quire_uaddr_t addr)
{
	struct quire *q = mm->q;
	struct quire_vma *vma;

	quire_grace_enter(q);
	vma = quire_index_find(&mm->index, addr);
	if (vma) {
		/* anon and chain may be set by a fault meanwhile; nothing here reads them. */
		view->vma = (struct quire_vma){
			.start = vma->start,
			.end = vma->end,
			.flags = vma->flags,
			.mm = vma->mm,
			.pgoff = vma->pgoff,
			.object = vma->object,
			.file = vma->file,
			.ops = vma->ops,
			.private_data = vma->private_data,
			.id = vma->id,
		};
		if (vma->start < addr) {
			view->vma.start = addr;
			view->vma.pgoff = quire_linear_page_index(vma, addr);
		}
		/* The area keeps its file for as long as a reader may see it. */
		if (view->vma.file)
			quire_file_get(view->vma.file);
	}
	quire_grace_leave(q);
	return vma != NULL;
}

void quire_area_view_put(struct area_view *view)
{
	if (view->vma.file)
		quire_file_put(view->vma.mm->q, view->vma.file);
}

/* What stands behind the numbers, or NULL; *deleted: the file has no name any more. */
static const char *area_name(const struct quire_vma *vma, bool *deleted)
{
	const struct quire_layout *layout = &vma->mm->layout;

	*deleted = false;
	if (vma->file) {
		*deleted = (vma->file->flags & QUIRE_FILE_DELETED) != 0;
		return vma->file->path;
	}
	if (vma->ops && vma->ops->name)
		return vma->ops->name;
	if (vma->start < quire_load(&layout->brk) && vma->end > layout->start_brk)
		return "[heap]";
	if (vma->start <= layout->start_stack && vma->end >= layout->start_stack)
		return "[stack]";
	return NULL;
}

void quire_emit_area_line(struct emitter *e, const struct quire_vma *vma)
{
	struct quire_text *t = &e->text;
	const struct quire_file *file = vma->file;
	bool deleted;
	const char *name = area_name(vma, &deleted);

	quire_text_hex(t, vma->start, 8);
	quire_text_char(t, '-');
	quire_text_hex(t, vma->end, 8);
	quire_text_char(t, ' ');
	quire_text_char(t, vma->flags & QUIRE_VM_READ ? 'r' : '-');
	quire_text_char(t, vma->flags & QUIRE_VM_WRITE ? 'w' : '-');
	quire_text_char(t, vma->flags & QUIRE_VM_EXEC ? 'x' : '-');
	quire_text_char(t, vma->flags & QUIRE_VM_MAYSHARE ? 's' : 'p');
	quire_text_char(t, ' ');
	quire_text_hex(t, file ? vma->pgoff << QUIRE_PAGE_SHIFT : 0, 8);
	quire_text_char(t, ' ');
	quire_text_hex(t, file ? file->dev_major : 0, 2);
	quire_text_char(t, ':');
	quire_text_hex(t, file ? file->dev_minor : 0, 2);
	quire_text_char(t, ' ');
	quire_text_u64(t, file ? file->inode : 0, 1);
	quire_text_char(t, ' ');
	if (name) {
		/* One blank at least, also behind numbers that reach beyond that column. */
		quire_text_pad_to(t, NAME_COLUMN - 1);
		quire_text_char(t, ' ');
		/* As Linux escapes it: a newline in a path must not end the line. */
		for (; *name; name++) {
			if (*name == '\n')
				quire_text_put(t, "\\012");
			else
				quire_text_char(t, *name);
		}
		if (deleted)
			quire_text_put(t, " (deleted)");
	}
	quire_text_char(t, '\n');
}

int quire_proc_maps(struct quire_mm *mm, struct quire_sink *sink)
{
	struct emitter e;
	struct area_view view;
	quire_uaddr_t next = 0;

	quire_emitter_init(&e, sink);
	while (!e.error && quire_area_view_get(&view, mm, next)) {
		quire_emit_area_line(&e, &view.vma);
		next = view.vma.end;
		quire_area_view_put(&view);
	}
	return quire_emitter_finish(&e);
}
