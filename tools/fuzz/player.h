/* SPDX-License-Identifier: MIT */
/*
 * What the player's parts share: the machine's side (ours.c), the host's side (theirs.c), what compares them (play.c, texts.c).
 * Nobody else looks in here.
 */
#ifndef TOOLS_FUZZ_PLAYER_H
#define TOOLS_FUZZ_PLAYER_H

#include <machine.h>
#include <sys/types.h>

#include "../world.h"
#include "channel.h"
#include "play.h"

#define PLAYER_MAX_ADOPTED 16 /* files that the loader has mapped */

/* A file of the round on the machine; of those that only the loader has mapped nobody reads the bytes. */
struct our_file {
	struct quire_object own, *object; /* two opens of one file share an object */
	struct quire_file file;
	char path[128];
};

struct player {
	struct play_result result;
	uint64_t left_out[PLAY_NR_RULES];
	const struct round *round;
	struct world_system system;

	/* The host's side. */
	int image_fd, channel_fd;
	void *attached[STEP_NR_SEGMENTS]; /* keeps a segment alive that nobody else could find; NULL: the round has none */
	int fill_fd[STEP_NR_FILES]; /* to write through; -1: the same as an earlier one */
	char path[STEP_NR_FILES][128];
	struct channel *channel;
	pid_t first;                       /* process 0; 0: none */
	struct overcommit *overcommit;
	uint8_t overcommit_mode;           /* the round's, as far as the host lets it be set: as its overcommit */
	bool no_transfer;                  /* the host forbids process_vm_readv() */
	bool by_quire;                     /* the host's kernel is Quire's, without the slips of Linux that we follow otherwise */
	bool no_disk;                      /* all of the host's files are in memory */
	bool host_reclaims;                /* DAMON unmaps what was not used for a while, needed or not */
	const char *died;                  /* how one ended that should not have; NULL: none did */
	uint32_t died_at;                  /* the step that it had begun */
	char died_text[100];

	/* The machine's side. */
	struct machine *machine;
	struct quire *q;
	struct quire_mm *mm[STEP_MAX_PROCESSES]; /* NULL: not there; a thread's is that of its process */
	uint32_t owner[STEP_MAX_PROCESSES];      /* the process that it is a thread of; itself */
	uint32_t running;                        /* who made the last step; each has a CPU of its own, with that number */
	struct quire_layout layout;
	struct our_file file[STEP_NR_FILES];
	const struct quire_object *disk; /* of STEP_FILE_DISK; NULL: it is in memory like the others */
	struct our_file adopted[PLAYER_MAX_ADOPTED];
	unsigned nr_adopted;
	struct quire_object segment[STEP_NR_SEGMENTS];
	uint64_t slot[STEP_MAX_SLOTS + 1];
	uint64_t memlock;                        /* the limit, bytes */
	uint64_t leaked_lock[STEP_MAX_PROCESSES]; /* of a process: bytes that Linux counts as locked and are not; see ours.c */
	bool freed_lazily, droppable; /* there are pages that Linux may take away */
	bool lost_count; /* of what Linux counts as locked: the round ends */
	bool paged_out;
	unsigned allocated; /* how often fallocate() has taken memory for a file in memory; more than twice counts as twice */
	enum play_rule disk_rule; /* why it cannot be known which of a disk file's pages are there; PLAY_NR_RULES: it can */
	struct record *record;                   /* as the channel's, what our side gave */
	struct sample *sample;
	unsigned nr_samples;
	struct span last_maps[STEP_MAX_PROCESSES]; /* of a process */
	struct text texts;
	unsigned char vec[STEP_VEC_PAGES];
};

static inline uint64_t player_first_break(const struct player *p)
{
	return p->slot[STEP_BREAK];
}

/* ---- theirs.c ---------------------------------------------------------------------------- */

const char *theirs_create(struct player *p); /* NULL, or what the host forbids */
void theirs_destroy(struct player *p);
/* Fills the files and starts process 0, which waits. False: said in result.what. */
bool theirs_begin(struct player *p);
/* Lets it play what the channel holds, to the end. */
void theirs_run(struct player *p);
void theirs_end(struct player *p); /* whatever is left of it */

/* ---- overcommit.c ------------------------------------------------------------------------ */

struct overcommit *overcommit_create(void);
void overcommit_destroy(struct overcommit *o);
/* May a round have this mode here and now? Then no other player plays until the end; else it is played under the host's. */
bool overcommit_take(struct overcommit *o, uint8_t mode);
/*
 * Between these the host has this mode, which has been taken; or for STEP_OVERCOMMIT_HOSTS nobody changes what it has. False: it
 * could not be set, or put back; errno says why. End is called after every take that was granted, and every begin;
 * once more does nothing.
 */
bool overcommit_begin(struct overcommit *o, uint8_t mode);
bool overcommit_end(struct overcommit *o, uint8_t mode);

/* ---- ours.c ------------------------------------------------------------------------------ */

bool ours_create(struct player *p);
bool ours_destroy(struct player *p);
/* A space like that of process 0. */
bool ours_begin(struct player *p);
/* Plays the round, and decides with it what the channel's plan is. NULL, or what is wrong with the machine after *step. */
quire_broken_t ours_run(struct player *p, unsigned *step);
quire_broken_t ours_end(struct player *p);

/* ---- rules.c ----------------------------------------------------------------------------- */

#define RETURN_INSTRUCTION 0xc3
#define REPEAT_PREFIX 0xf3 /* before a return instruction, of which it is a part then */

/* Is the area there for the player's own program: the loader's, its stack, the channel? */
bool rules_is_adopted(const struct player *p, uint64_t start, const char *name);
/* May the bytes be compared? */
bool rules_may_touch(const struct player *p, struct quire_mm *mm, uint64_t addr, uint64_t len);
/* process_vm_readv, process_vm_writev */
bool rules_is_transfer(int nr);
/* Why the step is left out; PLAY_NR_RULES: it is made. */
enum play_rule rules_for(struct player *p, const struct step *s, const uint64_t *a);

/* ---- segments.c -------------------------------------------------------------------------- */

void segments_begin(struct player *p);
void segments_end(struct player *p);
bool segments_is(const struct quire_vma *vma);
int64_t segments_attach(struct player *p, struct quire_mm *mm, uint64_t number, uint64_t addr, uint64_t flags);
int64_t segments_detach(struct quire_mm *mm, uint64_t addr);

/* ---- texts.c ----------------------------------------------------------------------------- */

/* Inodes of shared anonymous memory: which number it is says nothing, which areas have the same one does. */
struct inode_pair {
	uint64_t theirs, ours;
};
struct inodes {
	struct inode_pair pair[CHANNEL_MAX_STEPS];
	unsigned nr;
};

/* Texts end with a NUL instead of their last line's end. Each says in *what where they differ. */
bool texts_same_maps(struct inodes *inodes, const char *theirs, size_t their_len, const char *ours, size_t our_len,
		     struct text *what);
bool texts_same_sample(struct player *p, uint32_t process, const struct sample *theirs, const struct sample *ours,
		       struct text *what);

#endif
