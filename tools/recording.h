/* SPDX-License-Identifier: MIT */
/*
 * Reading a recording: the whole file is parsed and checked first, then its events are served. Used by replay.c and
 * spaces.c. Any bytes may be fed to the parser.
 */
#ifndef QUIRE_TOOL_RECORDING_H
#define QUIRE_TOOL_RECORDING_H

#include "world.h"

enum event_kind {
	EVENT_FILE,
	EVENT_FLAGS,
	EVENT_SIZE,
	EVENT_PATH,
	EVENT_SPACE,
	EVENT_TAIL,
	EVENT_AREA,
	EVENT_LAYOUT,
	EVENT_LIMITS,
	EVENT_OWN,
	EVENT_GROW,
	EVENT_IDENTIFY,
	EVENT_DROP,
	EVENT_CALL,
	EVENT_FORK,
	EVENT_MAPS,
	EVENT_END,
};

/* What a space event carries. */
struct event_space {
	int pid;
	char *program;
	struct quire_layout layout;
	struct quire_limits limits;
};

struct event {
	uint8_t kind;
	bool any;       /* CALL: the result is not to be compared */
	uint32_t line;
	uint32_t space; /* number; of files and paths: the file's */
	union {
		struct call call;
		struct world_file_desc *file;
		uint32_t flags;               /* FLAGS */
		uint64_t size;                /* SIZE */
		char *text;                   /* PATH, TAIL */
		struct event_space *setting;  /* SPACE, LAYOUT, LIMITS */
		struct world_area *area;
		struct {
			uint64_t addr, end;
		} range;                      /* OWN, GROW: addr alone; DROP */
		struct {
			uint64_t addr, inode;
			uint32_t dev_major, dev_minor;
		} identity;
		struct {
			uint32_t child;
			int pid;
		} fork;
		struct {
			uint64_t hash, len;
		} maps;
	};
};

struct recording {
	const char *name;
	struct world_system system;
	struct event *event;
	size_t nr;
	uint32_t nr_spaces;
	uint64_t nr_calls;
	char *bad;      /* why it can't be used: "line 12: ..."; NULL: it can */
	void **owned;   /* everything that the events point to */
	size_t nr_owned, cap_owned;
};

/* Parse len bytes. Never NULL; look at ->bad. name is for messages and is not copied. */
struct recording *recording_parse(const char *name, const char *bytes, size_t len);
/* The same of a file; a sentence is printed where it is bad: NULL. */
struct recording *recording_load(const char *name);
void recording_free(struct recording *r);

/*
 * Serve the events from *next on in w, and stop after one that was not as recorded, or at the end (*next == r->nr).
 * Where it stopped for a call, *ours is Quire's answer.
 */
enum serve_end {
	SERVE_DONE,
	SERVE_CALL_DIFFERS,
	SERVE_MAPS_DIFFER,
	SERVE_CANNOT,   /* an event that makes no sense there: the recording is damaged, or an earlier answer was another */
};
struct server {
	struct recording *recording;
	struct world *world;
	struct space **space;   /* by number; NULL: not there, or ended */
	size_t next;
	struct text text;
	bool check_maps;
};
void serve_start(struct server *sv, struct recording *r, struct world *w);
enum serve_end serve_run(struct server *sv, int64_t *ours);
void serve_stop(struct server *sv);

#endif
