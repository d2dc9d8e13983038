/* SPDX-License-Identifier: MIT */
/*
 * quire fuzz: hands out rounds to processes that play them, adds up what they did, and tells of the first difference. Called by
 * main.c. The tool's own process plays nothing.
 */
#include "fuzz.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../util.h"
#include "case.h"
#include "csource.h"
#include "generate.h"
#include "minimize.h"
#include "play.h"

#define MAX_JOBS 64
#define MAX_MINIMIZE_PLAYS 4000
#define SKIPPED 77 /* what test programs say when they could not run */

/* Written by all jobs; atomic. */
struct shared {
	uint64_t next_round;
	uint64_t rounds, steps, samples, differences;
	uint64_t left_out[PLAY_NR_RULES];
	uint32_t stop;
	uint32_t failed;   /* a round could not be played, or a machine was not clean at the end */
	uint32_t reporting;
	uint32_t adding; /* somebody adds to the tally */
	struct tally tally;
	char cannot[200];  /* the host forbids something */
};

static uint64_t add(uint64_t *counter, uint64_t n)
{
	return __atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

/* ---- One difference ---------------------------------------------------------------------- */

static bool differs(const struct round *round, void *arg)
{
	return player_play(arg, round)->verdict == PLAY_DIFFERENT;
}

static void print_round(const struct round *round, const struct play_result *result)
{
	char line[512];

	snprintf(line, sizeof(line), "Round %llu, profile %s, step %u of %u.", (unsigned long long)round->seed, round->profile,
		 result->step, round->nr_steps);
	fuzz_case_write(stdout, round, line);
	fputs(result->what.p ? result->what.p : "", stdout);
}

/* Steps that were not made say nothing. */
static void drop_unmade(struct round *round, const struct play_result *result)
{
	unsigned i, nr = 0;

	for (i = 0; i < round->nr_steps && i <= result->step; i++)
		if (result->ours[i].made)
			round->steps[nr++] = round->steps[i];
	if (result->step == round->nr_steps || nr)
		round->nr_steps = nr;
}

void fuzz_report(struct player *p, struct round *round, const char *first, const struct fuzz_options *o)
{
	static struct step steps[STEP_MAX];
	const struct play_result *result = player_play(p, round);
	struct round small = *round;

	printf("--- a difference\n%s", result->verdict == PLAY_DIFFERENT ? "" : first);
	if (result->verdict != PLAY_DIFFERENT) {
		printf("Round %llu, profile %s: not a second time\n", (unsigned long long)round->seed, round->profile);
		return;
	}
	memcpy(steps, round->steps, round->nr_steps * sizeof(steps[0]));
	small.steps = steps;
	drop_unmade(&small, result);
	if (player_play(p, &small)->verdict != PLAY_DIFFERENT) {
		memcpy(steps, round->steps, round->nr_steps * sizeof(steps[0]));
		small.nr_steps = round->nr_steps;
	}
	if (o->minimize)
		fuzz_minimize(&small, differs, p, MAX_MINIMIZE_PLAYS);
	result = player_play(p, &small);
	print_round(&small, result);
	if (o->minimize) {
		printf("--- the same as a program of system calls, Linux's side alone\n");
		fuzz_csource(stdout, &small, result->theirs, NULL);
	}
	printf("---\n");
	fflush(stdout);
}

/* ---- A job ------------------------------------------------------------------------------- */

/* Only what was the same on both sides has been shown to be so. */
static void count_steps(struct tally *tally, const struct round *round, const struct play_result *result)
{
	unsigned i;

	tally->rounds++;
	for (i = 0; i < round->nr_steps && i < result->step; i++)
		fuzz_tally_step(tally, &round->steps[i], &result->arg[6 * i], &result->ours[i]);
}

static void add_tally(struct shared *s, const struct tally *tally)
{
	while (__atomic_exchange_n(&s->adding, 1, __ATOMIC_ACQUIRE))
		usleep(1000);
	fuzz_tally_add(&s->tally, tally);
	__atomic_store_n(&s->adding, 0, __ATOMIC_RELEASE);
}

bool fuzz_save_tally(const struct fuzz_options *o, const struct tally *tally)
{
	FILE *to;
	bool good;

	if (!o->tally)
		return true;
	to = fopen(o->tally, "w");
	good = to != NULL;
	if (good) {
		fuzz_tally_write(to, tally);
		good = !ferror(to);
		good &= fclose(to) == 0;
	}
	if (!good)
		tool_warn("%s: %s", o->tally, strerror(errno));
	return good;
}

static void play_rounds(struct player *p, struct shared *s, const struct fuzz_options *o, double deadline)
{
	static struct step steps[STEP_MAX];
	static struct tally tally;
	struct round round = { .steps = steps };
	unsigned i;

	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		const struct play_result *result;

		if ((o->steps && __atomic_load_n(&s->steps, __ATOMIC_RELAXED) >= o->steps) ||
		    (o->seconds > 0 && tool_now() >= deadline))
			break;
		generate_round(&round, add(&s->next_round, 1), o->profile, o->processes);
		result = player_play(p, &round);
		/* Not even one: it is the host's doing. */
		if (result->verdict == PLAY_FAILED && !__atomic_load_n(&s->rounds, __ATOMIC_RELAXED)) {
			snprintf(s->cannot, sizeof(s->cannot), "%.*s", (int)strcspn(result->what.p, "\n"), result->what.p);
			__atomic_store_n(&s->stop, 1, __ATOMIC_RELAXED);
			break;
		}
		if (result->verdict == PLAY_FAILED) {
			tool_warn("round %llu: %s", (unsigned long long)round.seed, result->what.p);
			__atomic_store_n(&s->failed, 1, __ATOMIC_RELAXED);
			__atomic_store_n(&s->stop, 1, __ATOMIC_RELAXED);
			break;
		}
		add(&s->rounds, 1);
		add(&s->steps, result->nr_compared);
		add(&s->samples, result->nr_samples);
		if (o->tally)
			count_steps(&tally, &round, result);
		if (result->verdict == PLAY_DIFFERENT) {
			add(&s->differences, 1);
			if (!__atomic_exchange_n(&s->reporting, 1, __ATOMIC_RELAXED)) {
				char *first = tool_strdup(result->what.p);

				fuzz_report(p, &round, first, o);
				free(first);
			}
			__atomic_store_n(&s->stop, 1, __ATOMIC_RELAXED);
		}
	}
	add_tally(s, &tally);
	for (i = 0; i < PLAY_NR_RULES; i++)
		add(&s->left_out[i], player_left_out(p)[i]);
}

static void job(struct shared *s, const struct fuzz_options *o, double deadline)
{
	const char *why;
	struct player *p;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	p = player_create(&why);
	if (!p) {
		snprintf(s->cannot, sizeof(s->cannot), "%s: %s", why, strerror(errno));
		_exit(0);
	}
	play_rounds(p, s, o, deadline);
	if (!player_destroy(p))
		__atomic_store_n(&s->failed, 1, __ATOMIC_RELAXED);
	fflush(stdout);
	_exit(0);
}

/* ---- The whole --------------------------------------------------------------------------- */

static int summary(const struct shared *s, const struct fuzz_options *o, uint64_t seed, double seconds)
{
	unsigned i;

	for (i = 0; i < PLAY_NR_RULES; i++)
		if (s->left_out[i])
			printf("left out: %llu %s\n", (unsigned long long)s->left_out[i], play_rule_text((enum play_rule)i));
	printf("fuzz: seed %llu%s%s, %llu steps compared in %llu rounds, %llu samples, %.0f steps a second, %llu differences\n",
	       (unsigned long long)seed, o->profile ? ", profile " : "", o->profile ? o->profile : "",
	       (unsigned long long)s->steps, (unsigned long long)s->rounds, (unsigned long long)s->samples,
	       seconds > 0 ? (double)s->steps / seconds : 0, (unsigned long long)s->differences);
	if (s->differences)
		return TOOL_DIFFERENT;
	return s->failed ? TOOL_NOT_RUN : TOOL_SAME;
}

static unsigned count_jobs(const struct fuzz_options *o)
{
	long n = o->jobs ? (long)o->jobs : sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : n > MAX_JOBS ? MAX_JOBS : (unsigned)n;
}

int fuzz_run(const struct fuzz_options *o)
{
	struct shared *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned jobs = count_jobs(o), i;
	uint64_t seed = o->seed;
	struct progress progress;
	double start = tool_now();
	int status, result;
	pid_t pid;

	if (s == MAP_FAILED) {
		tool_warn("no memory");
		return TOOL_NOT_RUN;
	}
	/* A number that a person can type. */
	if (!o->seed_given && getrandom(&seed, sizeof(seed), 0) == sizeof(seed))
		seed = seed % 1000000000 * 1000000;
	s->next_round = seed;
	fflush(stdout);
	for (i = 0; i < jobs; i++) {
		pid = fork();
		if (pid == 0)
			job(s, o, start + o->seconds);
		if (pid < 0)
			break;
	}
	progress_start(&progress, o->quiet);
	for (i = 0; i < jobs;) {
		pid = waitpid(-1, &status, progress.on ? WNOHANG : 0);
		if (pid == 0) {
			if (progress_due(&progress))
				progress_show(&progress, "%llu steps in %llu rounds", (unsigned long long)s->steps,
					      (unsigned long long)s->rounds);
			usleep(100000);
			continue;
		}
		if (pid < 0 && errno != EINTR)
			break;
		i += pid > 0;
		if (pid > 0 && status) {
			tool_warn("a job ended with status %#x", status);
			s->failed = 1;
			s->stop = 1;
		}
	}
	progress_clear(&progress);
	if (s->cannot[0] && !s->rounds) {
		printf("fuzz: skipped: no round can be played here: %s\n", s->cannot);
		result = SKIPPED;
	} else {
		result = summary(s, o, seed, tool_now() - start);
		if (!fuzz_save_tally(o, &s->tally) && result == TOOL_SAME)
			result = TOOL_NOT_RUN;
	}
	munmap(s, sizeof(*s));
	return result;
}

void fuzz_list_profiles(FILE *to)
{
	const char *name, *about;
	unsigned i;

	for (i = 0; (name = generate_profile_name(i, &about)); i++)
		fprintf(to, "  %-10s %s\n", name, about);
}

bool fuzz_has_profile(const char *name)
{
	return generate_profile(name) != NULL;
}
