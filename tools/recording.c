/* SPDX-License-Identifier: MIT */
/*
 * Reading and serving a recording; see recording.h, and docs/recording.md for the format. Parsing
 * looks at nothing but bytes: it fails with the number of the line, never otherwise.
 */
#include "recording.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "record.h"

#define MOST_FILES 1000000u
#define MOST_BYTES (SIZE_MAX / 4)

/* ---- Words ------------------------------------------------------------------------------- */

/* A line that is being read: what is left of it. */
struct cursor {
	const char *p, *end;
};

static bool word(struct cursor *c, const char **start, size_t *len)
{
	while (c->p < c->end && *c->p == ' ')
		c->p++;
	*start = c->p;
	while (c->p < c->end && *c->p != ' ')
		c->p++;
	*len = (size_t)(c->p - *start);
	return *len > 0;
}

static bool is_word(const char *start, size_t len, const char *what)
{
	return strlen(what) == len && memcmp(start, what, len) == 0;
}

static bool to_hex(const char *s, size_t len, uint64_t *v)
{
	size_t i;

	if (len == 0 || len > 16)
		return false;
	*v = 0;
	for (i = 0; i < len; i++) {
		char ch = s[i];

		if (ch >= '0' && ch <= '9')
			*v = *v << 4 | (uint64_t)(ch - '0');
		else if (ch >= 'a' && ch <= 'f')
			*v = *v << 4 | (uint64_t)(ch - 'a' + 10);
		else
			return false;
	}
	return true;
}

static bool hex(struct cursor *c, uint64_t *v)
{
	const char *s;
	size_t len;

	return word(c, &s, &len) && to_hex(s, len, v);
}

static bool hex32(struct cursor *c, uint32_t *v)
{
	uint64_t wide;

	if (!hex(c, &wide) || wide > UINT32_MAX)
		return false;
	*v = (uint32_t)wide;
	return true;
}

static bool decimal(struct cursor *c, int *v)
{
	const char *s;
	size_t len, i = 0;
	int64_t sum = 0;

	if (!word(c, &s, &len) || len > 11)
		return false;
	if (s[0] == '-')
		i = 1;
	if (i == len)
		return false;
	for (; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		sum = sum * 10 + (s[i] - '0');
	}
	if (s[0] == '-')
		sum = -sum;
	if (sum > INT32_MAX || sum < INT32_MIN)
		return false;
	*v = (int)sum;
	return true;
}

/* "fe:0" */
static bool device(struct cursor *c, uint32_t *major, uint32_t *minor)
{
	const char *s, *colon;
	uint64_t a, b;
	size_t len;

	if (!word(c, &s, &len))
		return false;
	colon = memchr(s, ':', len);
	if (!colon || !to_hex(s, (size_t)(colon - s), &a) || !to_hex(colon + 1, (size_t)(s + len - colon - 1), &b) ||
	    a > UINT32_MAX || b > UINT32_MAX)
		return false;
	*major = (uint32_t)a;
	*minor = (uint32_t)b;
	return true;
}

static bool at_end(const struct cursor *c)
{
	return c->p == c->end;
}

/* All that is left, without the one blank in front. */
static char *rest(struct cursor *c)
{
	const char *s = c->p < c->end && *c->p == ' ' ? c->p + 1 : c->p;

	c->p = c->end;
	return tool_strndup(s, (size_t)(c->end - s));
}

/* ---- Keys -------------------------------------------------------------------------------- */

struct key {
	const char *name;
	size_t offset;
	uint8_t bytes; /* 8: uint64_t; 1: bool */
};

#define KEY(type, field) { #field, offsetof(struct type, field), sizeof(((struct type *)0)->field) }

static const struct key system_keys[] = {
	KEY(world_system, max_map_count),	KEY(world_system, overcommit_memory),
	KEY(world_system, overcommit_ratio),	KEY(world_system, overcommit_kbytes),
	KEY(world_system, admin_reserve_kbytes), KEY(world_system, user_reserve_kbytes),
	KEY(world_system, mmap_min_addr),	KEY(world_system, dac_mmap_min_addr),
	KEY(world_system, stack_guard_gap),
	KEY(world_system, total_pages),		KEY(world_system, anon_align),
	KEY(world_system, thp),			KEY(world_system, ksm),
	KEY(world_system, forbid_zeropage),
};

static const struct key layout_keys[] = {
	KEY(quire_layout, task_size),	 KEY(quire_layout, compat),	KEY(quire_layout, mmap_base),
	KEY(quire_layout, mmap_legacy_base), KEY(quire_layout, topdown), KEY(quire_layout, start_code),
	KEY(quire_layout, end_code),	 KEY(quire_layout, start_data), KEY(quire_layout, end_data),
	KEY(quire_layout, start_brk),	 KEY(quire_layout, brk),	KEY(quire_layout, start_stack),
	KEY(quire_layout, arg_start),	 KEY(quire_layout, arg_end),	KEY(quire_layout, env_start),
	KEY(quire_layout, env_end),	 KEY(quire_layout, vdso),
};

#define LIMIT_KEY(name, field) { name, offsetof(struct quire_limits, field), sizeof(((struct quire_limits *)0)->field) }

static const struct key limit_keys[] = {
	LIMIT_KEY("as", as),
	LIMIT_KEY("data", data),
	LIMIT_KEY("stack", stack),
	LIMIT_KEY("memlock", memlock),
	LIMIT_KEY("ipc_lock", cap_ipc_lock),
	LIMIT_KEY("sys_admin", cap_sys_admin),
	LIMIT_KEY("sys_nice", cap_sys_nice),
	LIMIT_KEY("sys_rawio", cap_sys_rawio),
	LIMIT_KEY("read_implies_exec", read_implies_exec),
};

static bool set_key(const char *s, size_t len, const struct key *keys, size_t nr, void *base)
{
	const char *eq = memchr(s, '=', len);
	uint64_t v;
	size_t i;

	if (!eq || !to_hex(eq + 1, (size_t)(s + len - eq - 1), &v))
		return false;
	for (i = 0; i < nr; i++) {
		if (!is_word(s, (size_t)(eq - s), keys[i].name))
			continue;
		if (keys[i].bytes == 1)
			*((bool *)base + keys[i].offset) = v != 0;
		else
			memcpy((char *)base + keys[i].offset, &v, sizeof(v));
		return true;
	}
	return false;
}

/* ---- Lines ------------------------------------------------------------------------------- */

struct parser {
	struct recording *r;
	struct cursor line;
	uint32_t line_number;
	size_t cap;
	bool *file_seen;        /* by number */
	uint32_t cap_files;
	const char *why;        /* set by whoever answers false */
};

static void *own(struct recording *r, void *p)
{
	if (r->nr_owned == r->cap_owned) {
		r->cap_owned = r->cap_owned ? r->cap_owned * 2 : 256;
		r->owned = tool_realloc(r->owned, r->cap_owned * sizeof(*r->owned));
	}
	return r->owned[r->nr_owned++] = p;
}

static struct event *add_event(struct parser *p, enum event_kind kind)
{
	struct recording *r = p->r;
	struct event *e;

	if (r->nr == p->cap) {
		p->cap = p->cap ? p->cap * 2 : 1024;
		r->event = tool_realloc(r->event, p->cap * sizeof(*r->event));
	}
	e = &r->event[r->nr++];
	memset(e, 0, sizeof(*e));
	e->kind = (uint8_t)kind;
	e->line = p->line_number;
	return e;
}

static bool because(struct parser *p, const char *why)
{
	p->why = why;
	return false;
}

static bool known_space(struct parser *p, struct event *e)
{
	if (!hex32(&p->line, &e->space))
		return because(p, "a space's number was expected");
	if (e->space == 0 || e->space > p->r->nr_spaces)
		return because(p, "a space that was not made before");
	return true;
}

static bool new_space(struct parser *p, uint32_t *number)
{
	if (!hex32(&p->line, number) || *number != p->r->nr_spaces + 1)
		return because(p, "spaces must be numbered one after the other");
	p->r->nr_spaces++;
	return true;
}

static bool known_file(struct parser *p, uint32_t id)
{
	if (id && (id >= p->cap_files || !p->file_seen[id]))
		return because(p, "a file that was not named before");
	return true;
}

static bool parse_system(struct parser *p)
{
	const char *s;
	size_t len;

	while (word(&p->line, &s, &len)) {
		if (!set_key(s, len, system_keys, QUIRE_ARRAY_SIZE(system_keys), &p->r->system))
			return because(p, "unknown setting of the system");
	}
	return true;
}

static bool parse_file(struct parser *p)
{
	struct world_file_desc *desc = own(p->r, tool_alloc(sizeof(*desc)));
	struct event *e = add_event(p, EVENT_FILE);
	struct cursor *c = &p->line;
	uint32_t cap;

	e->file = desc;
	if (!hex32(c, &desc->id) || !device(c, &desc->dev_major, &desc->dev_minor) || !hex(c, &desc->inode) ||
	    !hex32(c, &desc->flags) || !hex(c, &desc->vm_flags) || !hex(c, &desc->map_align) || !hex(c, &desc->size))
		return because(p, "a file needs number, device, inode, flags, area flags, alignment, size and path");
	if (desc->id == 0 || desc->id > MOST_FILES)
		return because(p, "a file's number is out of range");
	if (desc->id < p->cap_files && p->file_seen[desc->id])
		return because(p, "a file's number was used before");
	if (desc->map_align & (desc->map_align - 1) || (desc->map_align && desc->map_align < QUIRE_PAGE_SIZE) ||
	    desc->map_align > UINT64_C(1) << 40)
		return because(p, "a file's alignment is no power of two, or out of range");
	if (desc->size > INT64_MAX)
		return because(p, "a file's size is out of range");
	desc->path = own(p->r, rest(c));
	e->space = desc->id;
	if (desc->id >= p->cap_files) {
		cap = desc->id * 2 + 64;
		p->file_seen = tool_realloc(p->file_seen, cap);
		memset(p->file_seen + p->cap_files, 0, cap - p->cap_files);
		p->cap_files = cap;
	}
	p->file_seen[desc->id] = true;
	return true;
}

static bool parse_path(struct parser *p)
{
	struct event *e = add_event(p, EVENT_PATH);

	if (!hex32(&p->line, &e->space) || e->space == 0)
		return because(p, "a file's number was expected");
	e->text = own(p->r, rest(&p->line));
	return known_file(p, e->space);
}

static bool parse_flags(struct parser *p)
{
	struct event *e = add_event(p, EVENT_FLAGS);

	if (!hex32(&p->line, &e->space) || e->space == 0 || !hex32(&p->line, &e->flags))
		return because(p, "a file's number and flags were expected");
	return known_file(p, e->space);
}

static bool parse_size(struct parser *p)
{
	struct event *e = add_event(p, EVENT_SIZE);

	if (!hex32(&p->line, &e->space) || e->space == 0 || !hex(&p->line, &e->size) || e->size > INT64_MAX)
		return because(p, "a file's number and size were expected");
	return known_file(p, e->space);
}

static bool parse_space(struct parser *p)
{
	struct event_space *set = own(p->r, tool_alloc(sizeof(*set)));
	struct event *e = add_event(p, EVENT_SPACE);
	const char *s;
	size_t len;

	e->setting = set;
	if (!new_space(p, &e->space))
		return false;
	if (!decimal(&p->line, &set->pid))
		return because(p, "a process's number was expected");
	for (;;) {
		if (!word(&p->line, &s, &len))
			return because(p, "a space needs a program");
		if (is_word(s, len, "program"))
			break;
		if (!set_key(s, len, layout_keys, QUIRE_ARRAY_SIZE(layout_keys), &set->layout) &&
		    !set_key(s, len, limit_keys, QUIRE_ARRAY_SIZE(limit_keys), &set->limits))
			return because(p, "unknown setting of a space");
	}
	set->program = own(p->r, rest(&p->line));
	if (set->layout.task_size & (QUIRE_PAGE_SIZE - 1) || set->layout.task_size == 0 ||
	    set->layout.task_size > UINT64_C(0x7ffffffff000))
		return because(p, "a space's size is out of range");
	set->layout.map_32bit_start = 0x40000000;
	return true;
}

static bool parse_setting(struct parser *p, enum event_kind kind)
{
	struct event_space *set = own(p->r, tool_alloc(sizeof(*set)));
	struct event *e = add_event(p, kind);
	const char *s;
	size_t len;
	bool ok;

	e->setting = set;
	if (!known_space(p, e))
		return false;
	while (word(&p->line, &s, &len)) {
		ok = kind == EVENT_LAYOUT
			     ? set_key(s, len, layout_keys, QUIRE_ARRAY_SIZE(layout_keys), &set->layout)
			     : set_key(s, len, limit_keys, QUIRE_ARRAY_SIZE(limit_keys), &set->limits);
		if (!ok)
			return because(p, "unknown setting of a space");
	}
	return true;
}

static bool parse_tail(struct parser *p)
{
	struct event *e = add_event(p, EVENT_TAIL);
	struct text t = { 0 };
	char *line;

	if (!known_space(p, e))
		return false;
	line = rest(&p->line);
	text_printf(&t, "%s\n", line);
	free(line);
	e->text = own(p->r, t.p);
	return true;
}

static bool parse_area(struct parser *p)
{
	struct world_area *a = own(p->r, tool_alloc(sizeof(*a)));
	struct event *e = add_event(p, EVENT_AREA);
	struct cursor *c = &p->line;

	e->area = a;
	if (!known_space(p, e))
		return false;
	if (!hex(c, &a->start) || !hex(c, &a->end) || !hex(c, &a->flags) || !hex(c, &a->pgoff) || !hex32(c, &a->file))
		return because(p, "an area needs start, end, flags, offset and file");
	a->name = own(p->r, rest(c));
	return known_file(p, a->file);
}

static bool parse_range(struct parser *p, enum event_kind kind)
{
	struct event *e = add_event(p, kind);

	if (!known_space(p, e))
		return false;
	if (!hex(&p->line, &e->range.addr) || (kind == EVENT_DROP && !hex(&p->line, &e->range.end)))
		return because(p, "an address was expected");
	if (kind == EVENT_DROP && e->range.end <= e->range.addr)
		return because(p, "an empty range");
	return true;
}

static bool parse_identify(struct parser *p)
{
	struct event *e = add_event(p, EVENT_IDENTIFY);

	if (!known_space(p, e))
		return false;
	if (!hex(&p->line, &e->identity.addr) ||
	    !device(&p->line, &e->identity.dev_major, &e->identity.dev_minor) ||
	    !hex(&p->line, &e->identity.inode))
		return because(p, "an address, a device and an inode were expected");
	return true;
}

static bool parse_call(struct parser *p)
{
	struct event *e = add_event(p, EVENT_CALL);
	struct call *call = &e->call;
	struct cursor *c = &p->line;
	const char *s;
	uint64_t v;
	size_t len;
	unsigned i;
	int err;

	if (!known_space(p, e))
		return false;
	if (!word(c, &s, &len))
		return because(p, "a call's name was expected");
	call->id = call_by_name(s, len);
	if (call->id >= CALL_NR_SERVED)
		return because(p, "an unknown call");
	for (i = 0; i < call_nr_args(call->id); i++) {
		if (!hex(c, &call->arg[i]))
			return because(p, "a call's argument is missing or no number");
		if (call_defs[call->id].arg[i] == ARG_FD) {
			if (call->arg[i] > MOST_FILES || !known_file(p, (uint32_t)call->arg[i]))
				return because(p, "a file that was not named before");
			call->file = (uint32_t)call->arg[i];
			call->arg[i] = 0;
		}
	}
	if (!word(c, &s, &len) || !is_word(s, len, "="))
		return because(p, "a call has no result");
	while (c->p < c->end && *c->p == ' ')
		c->p++;
	if (c->p < c->end && *c->p == '-') {
		if (!decimal(c, &err) || err >= 0 || err <= -4096)
			return because(p, "a call's errno is out of range");
		call->result = err;
	} else {
		if (!hex(c, &v) || v > INT64_MAX)
			return because(p, "a call's result is no number");
		call->result = (int64_t)v;
	}
	e->any = word(c, &s, &len);
	if (e->any && !is_word(s, len, "any"))
		return because(p, "there is more than belongs on this line");
	p->r->nr_calls++;
	return true;
}

static bool parse_fork(struct parser *p)
{
	struct event *e = add_event(p, EVENT_FORK);

	if (!known_space(p, e) || !new_space(p, &e->fork.child))
		return false;
	if (!decimal(&p->line, &e->fork.pid))
		return because(p, "a process's number was expected");
	return true;
}

static bool parse_maps(struct parser *p)
{
	struct event *e = add_event(p, EVENT_MAPS);

	if (!known_space(p, e))
		return false;
	if (!hex(&p->line, &e->maps.hash) || !hex(&p->line, &e->maps.len))
		return because(p, "a sum and a length were expected");
	return true;
}

static bool parse_line(struct parser *p)
{
	const char *s;
	size_t len;

	if (!word(&p->line, &s, &len))
		return because(p, "an empty line");
	if (is_word(s, len, "call"))
		return parse_call(p);
	if (is_word(s, len, "own"))
		return parse_range(p, EVENT_OWN);
	if (is_word(s, len, "grow"))
		return parse_range(p, EVENT_GROW);
	if (is_word(s, len, "drop"))
		return parse_range(p, EVENT_DROP);
	if (is_word(s, len, "area"))
		return parse_area(p);
	if (is_word(s, len, "file"))
		return parse_file(p);
	if (is_word(s, len, "path"))
		return parse_path(p);
	if (is_word(s, len, "flags"))
		return parse_flags(p);
	if (is_word(s, len, "size"))
		return parse_size(p);
	if (is_word(s, len, "space"))
		return parse_space(p);
	if (is_word(s, len, "tail"))
		return parse_tail(p);
	if (is_word(s, len, "layout"))
		return parse_setting(p, EVENT_LAYOUT);
	if (is_word(s, len, "limits"))
		return parse_setting(p, EVENT_LIMITS);
	if (is_word(s, len, "identify"))
		return parse_identify(p);
	if (is_word(s, len, "fork"))
		return parse_fork(p);
	if (is_word(s, len, "maps"))
		return parse_maps(p);
	if (is_word(s, len, "end")) {
		struct event *e = add_event(p, EVENT_END);

		return known_space(p, e);
	}
	if (is_word(s, len, "system"))
		return parse_system(p);
	return because(p, "an unknown kind of line");
}

/* ---- The file ---------------------------------------------------------------------------- */

static struct recording *bad(struct parser *p, uint32_t line, const char *why)
{
	struct text t = { 0 };

	text_printf(&t, "line %u: %s", line, why);
	p->r->bad = t.p;
	return p->r;
}

static struct recording *parse(struct parser *p, const char *bytes, size_t len)
{
	const char *pos = bytes, *end = bytes + len, *eol;
	char version[32];
	uint64_t hash, lines, sum;
	const char *s;
	size_t word_len;

	snprintf(version, sizeof(version), "quire-recording %d", RECORDING_VERSION);
	hash = tool_hash("", 0);
	for (;;) {
		p->line_number++;
		if (pos == end)
			return bad(p, p->line_number, "the recording ends here, without its last line");
		eol = memchr(pos, '\n', (size_t)(end - pos));
		if (!eol)
			return bad(p, p->line_number, "the recording ends in the middle of this line");
		if (memchr(pos, '\0', (size_t)(eol - pos)))
			return bad(p, p->line_number, "a zero byte");
		p->line = (struct cursor){ pos, eol };
		if (p->line_number == 1) {
			if (!is_word(pos, (size_t)(eol - pos), version))
				return bad(p, 1, "this is no recording, or one of another version");
		} else if (eol - pos > 5 && memcmp(pos, "done ", 5) == 0) {
			word(&p->line, &s, &word_len);
			if (!hex(&p->line, &lines) || !hex(&p->line, &sum) || !at_end(&p->line))
				return bad(p, p->line_number, "the last line is damaged");
			if (lines != p->line_number - 1 || sum != hash)
				return bad(p, p->line_number, "lines before this one were changed or are missing");
			if (eol + 1 != end)
				return bad(p, p->line_number + 1, "there is more behind the last line");
			return p->r;
		} else {
			if (!parse_line(p))
				return bad(p, p->line_number, p->why);
			if (!at_end(&p->line))
				return bad(p, p->line_number, "there is more than belongs on this line");
		}
		hash = tool_hash_more(hash, pos, (size_t)(eol + 1 - pos));
		pos = eol + 1;
		if (p->line_number == UINT32_MAX - 1)
			return bad(p, p->line_number, "too many lines");
	}
}

struct recording *recording_parse(const char *name, const char *bytes, size_t len)
{
	struct parser p = { .r = tool_alloc(sizeof(*p.r)) };
	struct recording *r = p.r;

	r->name = name;
	r->system = (struct world_system){
		.max_map_count = 65530,
		.overcommit_ratio = 50,
		.mmap_min_addr = 65536,
		.dac_mmap_min_addr = 65536,
		.stack_guard_gap = 256 * QUIRE_PAGE_SIZE,
	};
	parse(&p, bytes, len);
	free(p.file_seen);
	return r;
}

static bool read_all(const char *name, struct text *t)
{
	char buf[65536];
	ssize_t n;
	int fd = strcmp(name, "-") == 0 ? dup(STDIN_FILENO) : open(name, O_RDONLY | O_CLOEXEC), err;

	if (fd < 0)
		return false;
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		text_add(t, buf, (size_t)n);
	err = errno;
	close(fd);
	errno = err;
	return n == 0;
}

struct recording *recording_load(const char *name)
{
	struct text t = { 0 };
	struct recording *r;

	if (!read_all(name, &t)) {
		tool_warn("%s: %s", name, strerror(errno));
		text_free(&t);
		return NULL;
	}
	r = recording_parse(name, t.p ? t.p : "", t.len);
	text_free(&t);
	if (!r->bad)
		return r;
	tool_warn("%s: %s", name, r->bad);
	recording_free(r);
	return NULL;
}

void recording_free(struct recording *r)
{
	size_t i;

	for (i = 0; i < r->nr_owned; i++)
		free(r->owned[i]);
	free(r->owned);
	free(r->event);
	free(r->bad);
	free(r);
}

/* ---- Serving ----------------------------------------------------------------------------- */

void serve_start(struct server *sv, struct recording *r, struct world *w)
{
	*sv = (struct server){ .recording = r, .world = w, .check_maps = true };
	sv->space = tool_alloc((r->nr_spaces + 1) * sizeof(*sv->space));
}

void serve_stop(struct server *sv)
{
	free(sv->space);
	text_free(&sv->text);
}

static enum serve_end serve_new(struct server *sv, const struct event *e)
{
	const struct event_space *set = e->setting;

	return world_space_new(sv->world, e->space, set->pid, set->program, "", &set->layout, &set->limits, NULL, 0,
			       &sv->space[e->space])
		       ? SERVE_CANNOT
		       : SERVE_DONE;
}

static enum serve_end serve_fork(struct server *sv, const struct event *e, struct space *parent)
{
	int err;

	sv->space[e->fork.child] = world_fork(parent, e->fork.child, e->fork.pid, &err);
	return sv->space[e->fork.child] ? SERVE_DONE : SERVE_CANNOT;
}

static enum serve_end serve_maps(struct server *sv, const struct event *e, struct space *space)
{
	if (!sv->check_maps)
		return SERVE_DONE;
	world_maps(space, &sv->text);
	space->nr_compared++;
	return sv->text.len == e->maps.len && tool_hash(sv->text.p, sv->text.len) == e->maps.hash ? SERVE_DONE
												   : SERVE_MAPS_DIFFER;
}

/* Everything but calls. */
static enum serve_end serve_event(struct server *sv, const struct event *e)
{
	struct space *space;
	struct quire_layout layout;

	switch ((enum event_kind)e->kind) {
	case EVENT_FILE:
		world_file_new(sv->world, e->file);
		return SERVE_DONE;
	case EVENT_FLAGS:
		world_file_add_flags(world_file_get(sv->world, e->space), e->flags);
		return SERVE_DONE;
	case EVENT_SIZE:
		world_file_set_size(world_file_get(sv->world, e->space), e->size);
		return SERVE_DONE;
	case EVENT_PATH:
		world_file_set_path(world_file_get(sv->world, e->space), e->text);
		return SERVE_DONE;
	case EVENT_SPACE:
		return serve_new(sv, e);
	default:
		break;
	}
	space = sv->space[e->space];
	if (!space)
		return SERVE_CANNOT;
	switch ((enum event_kind)e->kind) {
	case EVENT_TAIL:
		free(space->tail);
		space->tail = tool_strdup(e->text);
		return SERVE_DONE;
	case EVENT_AREA:
		return world_insert(space, e->area) ? SERVE_CANNOT : SERVE_DONE;
	case EVENT_LAYOUT:
		layout = e->setting->layout;
		layout.task_size = space->mm->layout.task_size;
		layout.compat = space->mm->layout.compat;
		layout.map_32bit_start = space->mm->layout.map_32bit_start;
		world_layout(space, &layout);
		return SERVE_DONE;
	case EVENT_LIMITS:
		world_limits(space, &e->setting->limits);
		return SERVE_DONE;
	case EVENT_OWN:
		return world_own(space, e->range.addr) ? SERVE_CANNOT : SERVE_DONE;
	case EVENT_GROW:
		return world_grow(space, e->range.addr) ? SERVE_CANNOT : SERVE_DONE;
	case EVENT_DROP:
		return world_drop(space, e->range.addr, e->range.end) ? SERVE_CANNOT : SERVE_DONE;
	case EVENT_IDENTIFY:
		return world_identify(space, e->identity.addr, e->identity.dev_major, e->identity.dev_minor,
				      e->identity.inode)
			       ? SERVE_DONE
			       : SERVE_CANNOT;
	case EVENT_FORK:
		return serve_fork(sv, e, space);
	case EVENT_MAPS:
		return serve_maps(sv, e, space);
	case EVENT_END:
		sv->space[e->space] = NULL;
		world_space_end(space);
		return SERVE_DONE;
	default:
		return SERVE_CANNOT;
	}
}

enum serve_end serve_run(struct server *sv, int64_t *ours)
{
	struct recording *r = sv->recording;

	while (sv->next < r->nr) {
		const struct event *e = &r->event[sv->next++];
		enum serve_end end;

		if (e->kind == EVENT_CALL) {
			if (!sv->space[e->space])
				return SERVE_CANNOT;
			*ours = world_call(sv->space[e->space], &e->call);
			if (*ours != e->call.result && !e->any)
				return SERVE_CALL_DIFFERS;
			continue;
		}
		end = serve_event(sv, e);
		if (end != SERVE_DONE)
			return end;
	}
	return SERVE_DONE;
}
