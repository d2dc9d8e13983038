/* SPDX-License-Identifier: MIT */
/*
 * The quire command: reads the command line and calls the sub-command. Exit statuses are in util.h; a
 * wrong command line is 2.
 */
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <quire/quire.h>

#include "commands.h"
#include "fuzz/fuzz.h"
#include "fuzz/step.h"
#include "record.h"
#include "shadow.h"

#define VERSION                                                                                                \
	QUIRE_STR(QUIRE_VERSION_MAJOR) "." QUIRE_STR(QUIRE_VERSION_MINOR) "." QUIRE_STR(QUIRE_VERSION_PATCH)

enum key {
	KEY_MAPS = 256, KEY_FLAGS, KEY_RECORD, KEY_SVG, KEY_NO_TIME, KEY_SEED, KEY_STEPS, KEY_SECONDS, KEY_PROCESSES, KEY_PROFILE,
	KEY_MINIMIZE, KEY_CASE, KEY_TALLY, KEY_PRINT_C,
	KEY_MACHINE, KEY_RAM,
};

struct options {
	struct shadow_options shadow;
	struct fuzz_options fuzz;
	const char *output, *svg, *machine;
	uint64_t ram;
	bool quiet, no_time, cases;
	char **rest;
	size_t nr_rest;
};

static uint64_t number(const char *arg, uint64_t least, uint64_t most, const struct argp_state *state)
{
	unsigned long long n;
	char *end;

	errno = 0;
	n = strtoull(arg, &end, 0);
	if (errno || end == arg || *end || *arg == '-' || n < least || n > most)
		argp_error(state, "'%s' is no number from %llu to %llu", arg, (unsigned long long)least,
			   (unsigned long long)most);
	return n;
}

static error_t parse_fuzz(int key, char *arg, struct argp_state *state)
{
	struct options *all = state->input;
	struct fuzz_options *o = &all->fuzz;

	switch (key) {
	case KEY_CASE:
		all->cases = true;
		break;
	case KEY_TALLY:
		o->tally = arg;
		break;
	case KEY_PRINT_C:
		o->print_c = true;
		break;
	case KEY_SEED:
		o->seed = number(arg, 0, UINT64_MAX, state);
		o->seed_given = true;
		break;
	case KEY_STEPS:
		o->steps = number(arg, 1, UINT64_MAX, state);
		break;
	case KEY_SECONDS:
		o->seconds = (double)number(arg, 1, 1000000000, state);
		break;
	case KEY_PROCESSES:
		o->processes = (unsigned)number(arg, 1, STEP_MAX_PROCESSES, state);
		break;
	case KEY_PROFILE:
		o->profile = arg;
		if (!fuzz_has_profile(arg)) {
			fprintf(stderr, "%s: there is no profile '%s'; there are:\n", state->name, arg);
			fuzz_list_profiles(stderr);
			exit(TOOL_MISUSE);
		}
		break;
	case KEY_MINIMIZE:
		o->minimize = true;
		break;
	case 'j':
		o->jobs = (unsigned)number(arg, 1, 64, state);
		break;
	case 'q':
		o->quiet = true;
		break;
	case ARGP_KEY_ARGS:
		o->cases = state->argv + state->next;
		o->nr_cases = (size_t)(state->argc - state->next);
		break;
	case ARGP_KEY_END:
		if (all->cases && !o->nr_cases)
			argp_error(state, "--case needs files");
		if (!all->cases && o->nr_cases)
			argp_error(state, "'%s' is one argument too many", o->cases[0]);
		if (o->print_c && !all->cases)
			argp_error(state, "--print-c needs --case");
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case KEY_MAPS:
		if (strcmp(arg, "call") == 0)
			o->shadow.maps = SHADOW_MAPS_CALL;
		else if (strcmp(arg, "exec") == 0)
			o->shadow.maps = SHADOW_MAPS_EXEC;
		else if (strcmp(arg, "exit") == 0)
			o->shadow.maps = SHADOW_MAPS_EXIT;
		else
			argp_error(state, "--maps is call, exec or exit, not '%s'", arg);
		break;
	case KEY_FLAGS:
		o->shadow.flags = true;
		break;
	case KEY_RECORD:
	case 'o':
		o->output = arg;
		break;
	case KEY_SVG:
		o->svg = arg;
		break;
	case KEY_NO_TIME:
		o->no_time = true;
		break;
	case 'q':
		o->quiet = true;
		break;
	case ARGP_KEY_ARGS:
		o->rest = state->argv + state->next;
		o->nr_rest = (size_t)(state->argc - state->next);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

/* A number of bytes with K, M, G, T or P behind it, "GiB" and the like too. 0: it is none, or more than 64 bits. */
static uint64_t size_in_bytes(const char *arg)
{
	static const char units[] = "KMGTP";
	unsigned long long n;
	unsigned shift = 0;
	const char *unit;
	char *end;

	errno = 0;
	n = strtoull(arg, &end, 0);
	if (errno || end == arg || *arg == '-' || *arg == '+' || *arg == ' ')
		return 0;
	unit = *end ? strchr(units, *end) : NULL;
	if (unit) {
		shift = 10 * (unsigned)(unit - units + 1);
		end++;
		if (strcmp(end, "iB") == 0)
			end += 2;
	}
	return *end || n > UINT64_MAX >> shift ? 0 : n << shift;
}

static error_t parse_layout(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case KEY_MACHINE:
		o->machine = arg;
		if (!layout_has_machine(arg)) {
			fprintf(stderr, "quire: there is no machine '%s'; there are: ", arg);
			layout_list_machines(stderr);
			exit(TOOL_MISUSE);
		}
		break;
	case KEY_RAM:
		o->ram = size_in_bytes(arg);
		if (!o->ram) {
			tool_warn("'%s' is no size of RAM: a number of bytes, or of K, M, G, T, P", arg);
			exit(TOOL_MISUSE);
		}
		break;
	case KEY_SVG:
		o->svg = arg;
		break;
	case ARGP_KEY_ARG:
		tool_warn("'%s' is one argument too many", arg);
		exit(TOOL_MISUSE);
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

#define QUIET { "quiet", 'q', NULL, 0, "Show no progress", 0 }

static const struct argp_option shadow_options[] = {
	{ "maps", KEY_MAPS, "WHEN", 0,
	  "Compare the whole maps text at each exec, exit and after every call (call), at each exec and exit (exec), "
	  "or at exits alone (exit). Default: at each exec, exit and every 1000 calls of a space",
	  0 },
	{ "flags", KEY_FLAGS, NULL, 0, "Wherever maps are compared, compare VmFlags of smaps as well (slower)", 0 },
	{ "record", KEY_RECORD, "FILE", 0, "Also write a recording to FILE", 0 },
	QUIET,
	{ 0 },
};
static const struct argp_option record_options[] = {
	{ "output", 'o', "FILE", 0, "Write the recording to FILE", 0 },
	QUIET,
	{ 0 },
};
static const struct argp_option replay_options[] = {
	{ "no-time", KEY_NO_TIME, NULL, 0, "Compare only; do not measure calls a second", 0 },
	QUIET,
	{ 0 },
};
static const struct argp_option spaces_options[] = {
	{ "svg", KEY_SVG, "FILE", 0, "Draw the spaces into FILE instead, to scale, huge empty stretches folded", 0 },
	QUIET,
	{ 0 },
};

static const struct argp_option layout_options[] = {
	{ "machine", KEY_MACHINE, "NAME", 0,
	  "i386, pae, x86_64 (the default), x86_64-5level, aarch64, aarch64-16k, aarch64-64k, sv32, sv39, sv48 or sv57", 0 },
	{ "ram", KEY_RAM, "SIZE", 0, "Bytes, or with K, M, G, T, P behind the number; default: 8G, of i386 and sv32 2G", 0 },
	{ "svg", KEY_SVG, "FILE", 0, "Draw it into FILE as well, to scale where that can be seen", 0 },
	{ 0 },
};

static const struct argp_option fuzz_options[] = {
	{ "seed", KEY_SEED, "N", 0, "The first round's number; without it a fresh one, which the summary tells", 0 },
	{ "steps", KEY_STEPS, "N", 0, "Stop after so many compared steps", 0 },
	{ "seconds", KEY_SECONDS, "S", 0, "Stop after so long. Without --steps or --seconds: 10 seconds", 0 },
	{ "processes", KEY_PROCESSES, "P", 0, "At most so many processes in a round, 1 to 8", 0 },
	{ "profile", KEY_PROFILE, "NAME", 0, "Rounds of this kind alone; a wrong name lists them", 0 },
	{ "minimize", KEY_MINIMIZE, NULL, 0, "Make a round that differs small, and print it as a C program, too", 0 },
	{ "case", KEY_CASE, NULL, 0, "Play the rounds that FILEs hold, and none made at random", 0 },
	{ "print-c", KEY_PRINT_C, NULL, 0, "With --case: print each round as a C program that shows Linux's side alone", 0 },
	{ "tally", KEY_TALLY, "FILE", 0, "Count what was compared, by call, flag and result, and write that to FILE", 0 },
	{ "jobs", 'j', "J", 0, "Play so many rounds at once; default: one for each CPU", 0 },
	QUIET,
	{ 0 },
};

static const struct argp shadow_argp = {
	shadow_options, parse, "[--] CMD [ARG...]",
	"Run CMD, follow every call that it and all its processes make on their address spaces, serve each in Quire, and "
	"compare every result and the areas with Linux's."
	"\vThe report goes to standard error; CMD's input, output and signals are its own. Exit status: 0 CMD ran and "
	"nothing differed, 1 something differed, 2 misuse, 3 CMD could not be run or followed.",
	NULL, NULL, NULL,
};
static const struct argp record_argp = {
	record_options, parse, "-o FILE [--] CMD [ARG...]",
	"Run CMD and write its calls, and what Linux answered, to FILE.", NULL, NULL, NULL,
};
static const struct argp replay_argp = {
	replay_options, parse, "FILE...",
	"Serve the calls of recordings in Quire, compare every answer with Linux's, and print calls a second."
	"\vExit status: 0 nothing differed, 1 something differed, 2 a recording is truncated or damaged (one line names the "
	"line).",
	NULL, NULL, NULL,
};
static const struct argp maps_argp = {
	spaces_options, parse, "FILE",
	"Show the spaces at the end of a recording as /proc/PID/maps shows them.", NULL, NULL, NULL,
};
static const struct argp smaps_argp = {
	spaces_options, parse, "FILE",
	"Show the spaces at the end of a recording as /proc/PID/smaps shows them. Pages are not recorded, so that what counts "
	"them is 0.",
	NULL, NULL, NULL,
};

static const struct argp fuzz_argp = {
	fuzz_options, parse_fuzz, "\n--case FILE...",
	"Make calls and memory accesses at random, each on the running Linux and in Quire, and compare after every one: result, "
	"areas, bytes, signals; sizes at every 32nd."
	"\vA round is played in processes of its own. The first difference ends it, and is printed as a case of tests/linux/cases. "
	"Exit status: 0 nothing differed, 1 something differed, 2 misuse, 3 a round could not be played, 77 this host does not "
	"allow a call that is needed.",
	NULL, NULL, NULL,
};

static const struct argp layout_argp = {
	layout_options, parse_layout, NULL,
	"Show a machine's memory: where its RAM is, which zones there are, and where the kernel's addresses are."
	"\vExit status: 0, 2 there is no such machine, 3 it could not be written.",
	NULL, NULL, NULL,
};

enum command { SHADOW, RECORD, REPLAY, MAPS, SMAPS, FUZZ, LAYOUT };

static const struct {
	const char *name;
	const struct argp *argp;
} commands[] = {
	[SHADOW] = { "shadow", &shadow_argp }, [RECORD] = { "record", &record_argp }, [REPLAY] = { "replay", &replay_argp },
	[MAPS] = { "maps", &maps_argp },       [SMAPS] = { "smaps", &smaps_argp },
	[FUZZ] = { "fuzz", &fuzz_argp },       [LAYOUT] = { "layout", &layout_argp },
};

static int run(enum command command, struct options *o)
{
	switch (command) {
	case SHADOW:
	case RECORD:
		o->shadow.report = command == SHADOW;
		o->shadow.record = o->output;
		o->shadow.quiet = o->quiet;
		o->shadow.argv = o->rest;
		return shadow_run(&o->shadow);
	case REPLAY:
		return replay_run(o->rest, o->nr_rest, o->quiet, !o->no_time);
	case FUZZ:
		if (!o->fuzz.steps && o->fuzz.seconds <= 0)
			o->fuzz.seconds = 10;
		return o->cases ? fuzz_run_cases(&o->fuzz) : fuzz_run(&o->fuzz);
	case LAYOUT:
		return layout_run(o->machine, o->ram, o->svg);
	default:
		return spaces_run(o->rest[0], command == SMAPS, o->svg, o->quiet);
	}
}

static int run_command(enum command command, int argc, char **argv)
{
	struct options o = { 0 };
	char name[64];

	/* Messages name the sub-command. */
	snprintf(name, sizeof(name), "quire %s", commands[command].name);
	argv[0] = name;
	if (argp_parse(commands[command].argp, argc, argv, ARGP_IN_ORDER, NULL, &o))
		return TOOL_MISUSE;
	if (command < FUZZ && (o.nr_rest == 0 || (command >= MAPS && o.nr_rest > 1) || (command == RECORD && !o.output))) {
		argp_help(commands[command].argp, stderr, ARGP_HELP_STD_USAGE, name);
		return TOOL_MISUSE;
	}
	return run(command, &o);
}

/* ---- quire itself ------------------------------------------------------------------------ */

static error_t parse_main(int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case ARGP_KEY_ARG:
		*(char **)state->input = arg;
		state->next = state->argc;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp main_argp = {
	NULL, parse_main, "shadow [OPTION...] [--] CMD [ARG...]\nrecord -o FILE [--] CMD [ARG...]\nreplay FILE...\n"
			  "maps [--svg=FILE] FILE\nsmaps FILE\nfuzz [OPTION...] [--case FILE...]\n"
			  "layout [--machine=NAME] [--ram=SIZE] [--svg=FILE]",
	"Quire's address spaces beside Linux's: every answer compared."
	"\v'quire COMMAND --help' says more about a command.",
	NULL, NULL, NULL,
};

int main(int argc, char **argv)
{
	char *command = NULL;
	unsigned i;

	argp_program_version = "quire " VERSION;
	argp_err_exit_status = TOOL_MISUSE;
	/* Options before the sub-command are quire's; the sub-command reads the rest. */
	for (i = 1; i < (unsigned)argc && argv[i][0] == '-'; i++)
		;
	if (argp_parse(&main_argp, (int)i < argc ? (int)i + 1 : argc, argv, ARGP_IN_ORDER, NULL, &command))
		return TOOL_MISUSE;
	if (!command) {
		argp_help(&main_argp, stderr, ARGP_HELP_STD_USAGE, (char *)"quire");
		return TOOL_MISUSE;
	}
	argc -= (int)i;
	argv += i;
	for (i = 0; i < QUIRE_ARRAY_SIZE(commands); i++) {
		if (strcmp(commands[i].name, command) == 0)
			return run_command((enum command)i, argc, argv);
	}
	tool_warn("'%s' is no command; quire --help names them", command);
	return TOOL_MISUSE;
}
