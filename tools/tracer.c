/* SPDX-License-Identifier: MIT */
/*
 * Stops and threads: the loop that waits for the followed threads, knows what each stop means, and
 * resumes them. What a call means is follow.c's business.
 *
 * A thread stops by the seccomp filter at the entry of a call of the table, and is then resumed up to that
 * call's exit. Linux may run two calls on one space at once, and merges areas in the order in which it ran
 * them, which nobody shows. So of the threads that share a space at most one is inside a call: the others are
 * held at their entry until it has answered (their turn; calls that only make a thread need none). A fork, a
 * vfork and an exec are over at their event stop: a vfork's parent would otherwise keep the turn while its child runs.
 *
 * A thread's life: first stop -> [entry -> (held) -> event or exit]* -> exit event -> gone.
 *
 * Source: ptrace(2).
 */
#include "shadow.h"

#include <errno.h>
#include <linux/audit.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launch.h"
#include "record.h"

#define OPTIONS                                                                                                \
	(PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |              \
	 PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT | PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)

#define HASH_SIZE 4096
#define TICK_US 250000
#define BIRTH_SECONDS 1.0
#define TURN_SECONDS 2.0 /* a call that takes longer lets others pass: it may wait for one of them */
#define SETTLE_SECONDS 0.0003 /* how long a thread that was just let go is waited for */

struct tracer {
	struct shadow *s;
	struct task *hash[HASH_SIZE];
	unsigned nr_tasks;
	struct launch launch;
	bool ran;          /* CMD was reached: its exec was seen */
	bool root_over;
	int root_status;
};

static volatile sig_atomic_t pass_on; /* a signal that ends us is CMD's to take */

/* ---- Threads ----------------------------------------------------------------------------- */

static struct task **slot_of(struct tracer *tr, pid_t tid)
{
	struct task **slot = &tr->hash[(unsigned)tid % HASH_SIZE];

	while (*slot && (*slot)->tid != tid)
		slot = &(*slot)->hash_next;
	return slot;
}

static struct task *find_task(struct tracer *tr, pid_t tid)
{
	return *slot_of(tr, tid);
}

static struct task *new_task(struct tracer *tr, pid_t tid)
{
	struct task **slot = slot_of(tr, tid), *t = tool_alloc(sizeof(*t));

	t->tid = t->tgid = tid;
	t->call.id = CALL_NR;
	faults_open(&t->faults, tid);
	*slot = t;
	tr->nr_tasks++;
	return t;
}

static void remove_task(struct tracer *tr, struct task *t)
{
	struct task **slot = slot_of(tr, t->tid);

	*slot = t->hash_next;
	faults_close(&t->faults);
	tr->nr_tasks--;
	free(t);
}

/* The space that a thread runs in, from its birth or exec on, and until its end begins. live is the caller's. */
static void join(struct task *t, struct space *space)
{
	t->space = space;
	t->next_in_space = shadow_of(space)->tasks;
	shadow_of(space)->tasks = t;
}

static void part(struct task *t)
{
	struct task **link;

	owners_part(t);
	for (link = &shadow_of(t->space)->tasks; *link != t; link = &(*link)->next_in_space)
		;
	*link = t->next_in_space;
	t->space = NULL;
}

/* Errors mean that the thread was killed meanwhile; its end is reported by the next wait. */
static void resume(struct task *t, int request, int sig)
{
	t->resumed = tool_now();
	ptrace((enum __ptrace_request)request, t->tid, 0, (void *)(intptr_t)sig);
}

/* ---- Turns ------------------------------------------------------------------------------- */

/* Is t's process the only one in its space? */
static bool is_alone(struct tracer *tr, struct task *t)
{
	struct task *other;
	uint32_t own = 0;
	unsigned i;

	for (i = 0; i < HASH_SIZE; i++) {
		for (other = tr->hash[i]; other; other = other->hash_next)
			own += other->space == t->space && other->tgid == t->tgid;
	}
	return own == shadow_of(t->space)->live;
}

/* A thread that was killed while it was held has moved on by itself; to resume it would hide its end from us. */
static bool has_news(const struct task *t)
{
	siginfo_t si = { 0 };

	return waitid(P_PID, (id_t)t->tid, &si, WEXITED | WSTOPPED | WNOHANG | WNOWAIT | __WALL) || si.si_pid != 0;
}

/*
 * Threads that were let go a moment ago will most often ask for their next turn in another moment. What they
 * write until then is better done between two calls than during one, where nobody can tell which was first.
 * Whoever computes or sleeps meanwhile is not waited for.
 */
static void settle(struct task *t)
{
	struct task *other;
	bool waiting;

	do {
		double now = tool_now();

		waiting = false;
		for (other = shadow_of(t->space)->tasks; other && !waiting; other = other->next_in_space)
			waiting = other != t && !other->held && !other->in_call &&
				  now - other->resumed < SETTLE_SECONDS && !has_news(other);
	} while (waiting);
}

static void enter(struct tracer *tr, struct task *t)
{
	struct shadow_space *sh = shadow_of(t->space);

	settle(t);
	t->alone = (t->call.id == CALL_EXECVE || t->call.id == CALL_EXECVEAT) && is_alone(tr, t);
	sh->inside = t;
	sh->inside_since = tool_now();
	sh->look = t->tid;
	t->in_call = true;
	follow_entry(tr->s, t);
	resume(t, PTRACE_SYSCALL, 0);
}

static void hold(struct task *t)
{
	struct shadow_space *sh = shadow_of(t->space);

	t->held = true;
	t->next_held = NULL;
	*sh->last_held = t;
	sh->last_held = &t->next_held;
}

static void unhold(struct task *t)
{
	struct shadow_space *sh = shadow_of(t->space);
	struct task **link;

	for (link = &sh->first_held; *link && *link != t; link = &(*link)->next_held)
		;
	if (*link) {
		*link = t->next_held;
		if (sh->last_held == &t->next_held)
			sh->last_held = link;
	}
	t->held = false;
}

static void next_turn(struct tracer *tr, struct space *space)
{
	struct shadow_space *sh = shadow_of(space);
	struct task *t;

	while (!sh->inside && (t = sh->first_held)) {
		unhold(t);
		if (!has_news(t))
			enter(tr, t);
	}
}

/* t's call is over, whatever came of it. */
static void leave(struct tracer *tr, struct task *t)
{
	struct space *space = t->space;

	t->in_call = false;
	if (shadow_of(space)->inside == t) {
		shadow_of(space)->inside = NULL;
		next_turn(tr, space);
	}
}

/* A call that lasts may be waiting for another thread of its own space (a fault served by user code): let that one in. */
static void watch_turns(struct tracer *tr)
{
	struct space *space;

	for (space = tr->s->world->spaces; space; space = space->next) {
		struct shadow_space *sh = space->host;

		if (sh && sh->inside && sh->first_held && tool_now() - sh->inside_since > TURN_SECONDS) {
			note(tr->s, "calls that lasted, so that others of the same space overtook them");
			sh->inside = NULL;
			next_turn(tr, space);
		}
	}
}

/* ---- Calls ------------------------------------------------------------------------------- */

#define CLONE_UNTRACED_FLAG 0x800000u

/* A child that nobody traces would not be followed, and the filter would fail its calls: it is traced all the same. */
static void stay_traced(struct task *t)
{
	uint64_t flags = t->clone_flags & ~(uint64_t)CLONE_UNTRACED_FLAG;
	struct iovec local = { &flags, sizeof(flags) }, remote = { (void *)(uintptr_t)t->raw[0], sizeof(flags) };
	size_t where = t->abi == ABI_64 ? offsetof(struct user_regs_struct, rdi) : offsetof(struct user_regs_struct, rbx);

	if (flags == t->clone_flags)
		return;
	t->clone_flags = flags;
	if (t->call.id == CALL_CLONE)
		ptrace(PTRACE_POKEUSER, t->tid, (void *)where, (void *)(uintptr_t)flags);
	else
		process_vm_writev(t->tid, &local, 1, &remote, 1, 0);
}

static void on_entry(struct tracer *tr, struct task *t)
{
	struct __ptrace_syscall_info info;

	if (!t->space || ptrace(PTRACE_GET_SYSCALL_INFO, t->tid, sizeof(info), &info) <= 0 ||
	    info.op != PTRACE_SYSCALL_INFO_SECCOMP) {
		resume(t, PTRACE_CONT, 0);
		return;
	}
	t->abi = info.arch == AUDIT_ARCH_I386 ? ABI_32 : ABI_64;
	if (!follow_decode(tr->s, t, info.seccomp.nr, (const uint64_t *)info.seccomp.args)) {
		t->call.id = CALL_NR;
		resume(t, PTRACE_CONT, 0);
		return;
	}
	stay_traced(t);
	if (!follow_needs_turn(t)) {
		/* A thread's birth has its own event; nothing is to be seen at its exit. */
		t->in_call = t->call.id == CALL_PERSONALITY;
		resume(t, t->in_call ? PTRACE_SYSCALL : PTRACE_CONT, 0);
		return;
	}
	if (shadow_of(t->space)->inside)
		hold(t);
	else
		enter(tr, t);
}

static void on_answer(struct tracer *tr, struct task *t)
{
	struct __ptrace_syscall_info info;
	struct space *answered = NULL;

	if (t->space && t->in_call) {
		/* Killed just now, and on its way to its exit stop or there: that is still to be reported, and knows the result. */
		if (ptrace(PTRACE_GET_SYSCALL_INFO, t->tid, sizeof(info), &info) <= 0 || info.op == PTRACE_SYSCALL_INFO_NONE)
			return;
		answered = t->space;
		if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
			shadow_of(t->space)->look = t->tid;
			follow_exit(tr->s, t, info.exit.rval);
		}
	}
	t->in_call = false;
	resume(t, PTRACE_CONT, 0);
	/* It goes on before the next one's call begins: see settle(). */
	if (answered && shadow_of(answered)->inside == t) {
		shadow_of(answered)->inside = NULL;
		next_turn(tr, answered);
	}
}

/* ---- Births ------------------------------------------------------------------------------ */

#define CLONE_VM_FLAG 0x100u
#define CLONE_THREAD_FLAG 0x10000u

static void on_birth(struct tracer *tr, struct task *t)
{
	unsigned long msg;
	struct task *child;
	uint64_t flags = t->clone_flags;

	if (ptrace(PTRACE_GETEVENTMSG, t->tid, 0, &msg)) {
		resume(t, PTRACE_CONT, 0);
		return;
	}
	child = find_task(tr, (pid_t)msg);
	if (!child)
		child = new_task(tr, (pid_t)msg);
	child->personality = t->personality;
	child->tgid = flags & CLONE_THREAD_FLAG ? t->tgid : child->tid;
	if (t->space && flags & CLONE_VM_FLAG) {
		join(child, t->space);
		shadow_of(t->space)->live++;
		if (!(flags & CLONE_THREAD_FLAG))
			tr->s->nr_processes++;
	} else if (t->space) {
		shadow_of(t->space)->look = t->tid;
		if (!t->space->lost) {
			struct space *space = follow_fork(tr->s, t, child->tid);

			if (space)
				join(child, space);
		}
	}
	if (child->awaits_parent) {
		child->awaits_parent = false;
		resume(child, PTRACE_CONT, 0);
	}
	if (t->space && t->in_call)
		leave(tr, t);
	t->in_call = false;
	resume(t, PTRACE_CONT, 0);
}

/* ---- exec -------------------------------------------------------------------------------- */

/* The last thread of a space goes. visible: it can still be looked at; else perhaps one that was kept can. */
static void end_space(struct tracer *tr, struct space *space, bool visible)
{
	struct shadow_space *sh = shadow_of(space);
	struct task *kept = sh->kept;

	if (kept && !visible) {
		sh->look = kept->tid;
		visible = true;
	}
	follow_end(tr->s, space, visible);
	if (kept) {
		kept->kept_in = NULL;
		resume(kept, PTRACE_CONT, 0);
	}
}

/* One thread fewer in a space; t can still be looked at. */
static void depart(struct tracer *tr, struct task *t, bool visible)
{
	struct space *space = t->space;

	if (!space)
		return;
	if (t->held)
		unhold(t);
	if (t->in_call) {
		/* Whether the call was carried out, nobody can say now. */
		if (t->call.id < CALL_NR_SERVED || t->call.id >= CALL_FIRST_TAKEN)
			shadow_of(space)->unsure = true;
		follow_abandon(tr->s, t);
		leave(tr, t);
	}
	part(t);
	if (--shadow_of(space)->live == 0)
		end_space(tr, space, visible);
}

/* The thread that called execve has become its process's leader; the old leader and all the others are gone. */
static void on_exec(struct tracer *tr, struct task *t)
{
	unsigned long former;
	struct task *caller, *other, *next;
	struct space *old, *space;
	unsigned i;

	if (ptrace(PTRACE_GETEVENTMSG, t->tid, 0, &former) == 0 && (pid_t)former != t->tid) {
		caller = find_task(tr, (pid_t)former);
		if (caller) {
			/* t, the old leader, is gone; the caller has taken its place, and its log of faults. */
			struct fault_log log = t->faults;

			depart(tr, t, false);
			t->faults = caller->faults;
			caller->faults = log;
			if (caller->space) {
				space = caller->space;
				if (shadow_of(space)->inside == caller)
					shadow_of(space)->inside = t;
				part(caller);
				join(t, space);
			}
			caller->in_call = false;
		}
	}
	for (i = 0; i < HASH_SIZE; i++) {
		for (other = tr->hash[i]; other; other = next) {
			next = other->hash_next;
			if (other->tgid == t->tgid && other != t) {
				depart(tr, other, false);
				remove_task(tr, other);
			}
		}
	}
	old = t->space;
	if (old) {
		struct shadow_space *sh = shadow_of(old);

		t->in_call = false;
		if (sh->inside == t)
			sh->inside = NULL;
		part(t);
		if (--sh->live == 0)
			end_space(tr, old, true); /* compared at execve's entry, if it could be */
		else
			next_turn(tr, old);
	}
	t->exiting = false;
	space = import_space(tr->s, t);
	if (space) {
		join(t, space);
		if (tr->s->options.maps != SHADOW_MAPS_EXIT)
			compare_maps(tr->s, space, "after exec");
	}
	tr->ran = true;
	resume(t, PTRACE_CONT, 0);
}

/* ---- Death ------------------------------------------------------------------------------- */

/*
 * When a whole process is killed, the end of a thread that we are just resuming can pass us by, and if
 * that was the last one, nobody is left to look at the space through. So the first thread that dies of
 * the killing is kept in its exit stop until the others are gone. Not where other processes share the space, which
 * would wait for this one, nor where an exec does the killing.
 */
static bool must_keep(struct tracer *tr, struct task *t)
{
	struct shadow_space *sh = shadow_of(t->space);

	if (sh->kept || sh->live < 2 || (sh->inside && (sh->inside->call.id == CALL_EXECVE ||
							   sh->inside->call.id == CALL_EXECVEAT)))
		return false;
	return is_alone(tr, t) && view_was_killed(t->tid);
}

/*
 * The thread is dying, its space still there. If it was inside a call, its result is in its register; the value
 * that Linux puts there before it begins means that the call never ran.
 */
static void on_dying(struct tracer *tr, struct task *t)
{
	struct user_regs_struct regs;
	struct space *space = t->space;

	if (space) {
		shadow_of(space)->look = t->tid;
		if (t->held)
			unhold(t);
		if (t->in_call) {
			if (ptrace(PTRACE_GETREGS, t->tid, 0, &regs) == 0 && (int64_t)regs.rax != -ENOSYS &&
			    t->call.id < CALL_NR_SERVED)
				follow_exit(tr->s, t, (int64_t)regs.rax);
			else
				follow_abandon(tr->s, t);
			leave(tr, t);
		}
		if (!t->exiting) {
			bool keep = must_keep(tr, t);

			t->exiting = true;
			part(t);
			if (--shadow_of(space)->live == 0) {
				end_space(tr, space, true);
			} else if (keep) {
				shadow_of(space)->kept = t;
				t->kept_in = space;
				return;
			}
		}
	}
	resume(t, PTRACE_CONT, 0);
}

/*
 * A dead first thread is not reported before all threads of its process are gone, so if its exit stop
 * passed us by, the kept one would wait for ever.
 */
static void watch_kept(struct tracer *tr)
{
	struct space *space;

	for (space = tr->s->world->spaces; space; space = space->next) {
		struct shadow_space *sh = space->host;
		struct task *leader;

		if (!sh || !sh->kept || sh->live != 1)
			continue;
		leader = find_task(tr, sh->kept->tgid);
		if (leader && leader->space == space && view_is_zombie(leader->tid)) {
			depart(tr, leader, false);
			leader->exiting = true;
		}
	}
}

/* A parent that was killed in its fork can't tell us of its child any more. */
static void watch_newborn(struct tracer *tr)
{
	struct task *t;
	unsigned i;

	for (i = 0; i < HASH_SIZE; i++) {
		for (t = tr->hash[i]; t; t = t->hash_next) {
			if (!t->awaits_parent || tool_now() - t->born < BIRTH_SECONDS)
				continue;
			t->awaits_parent = false;
			note(tr->s, "children of a parent that was killed in its fork: not followed before their exec");
			resume(t, PTRACE_CONT, 0);
		}
	}
}

static void on_gone(struct tracer *tr, pid_t tid, int status)
{
	struct task *t = find_task(tr, tid);

	if (tid == tr->launch.pid) {
		tr->root_over = true;
		tr->root_status = status;
	}
	if (!t)
		return;
	if (t->kept_in)
		shadow_of(t->kept_in)->kept = NULL;
	depart(tr, t, false);
	remove_task(tr, t);
}

/* ---- Stops ------------------------------------------------------------------------------- */

static void on_stop(struct tracer *tr, pid_t tid, int status)
{
	struct task *t = find_task(tr, tid);
	int sig = WSTOPSIG(status), event = status >> 16;

	if (!t) {
		/* Seen before its parent's event. */
		t = new_task(tr, tid);
		t->awaits_parent = true;
		t->born = tool_now();
		t->stopped_once = true;
		return;
	}
	switch (event) {
	case PTRACE_EVENT_SECCOMP:
		on_entry(tr, t);
		return;
	case PTRACE_EVENT_FORK:
	case PTRACE_EVENT_VFORK:
	case PTRACE_EVENT_CLONE:
		on_birth(tr, t);
		return;
	case PTRACE_EVENT_EXEC:
		on_exec(tr, t);
		return;
	case PTRACE_EVENT_EXIT:
		on_dying(tr, t);
		return;
	case PTRACE_EVENT_STOP:
		/* A stopped process stays stopped until it is continued; all else is the end of a thread's birth. */
		if (t->stopped_once && (sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU)) {
			resume(t, PTRACE_LISTEN, 0);
			return;
		}
		t->stopped_once = true;
		resume(t, PTRACE_CONT, 0);
		return;
	default:
		break;
	}
	if (sig == (SIGTRAP | 0x80))
		on_answer(tr, t);
	else
		resume(t, PTRACE_CONT, event ? 0 : sig);
}

/* ---- The loop ---------------------------------------------------------------------------- */

static void on_tick(int sig)
{
	(void)sig;
}

static void on_end(int sig)
{
	pass_on = sig;
}

static void watch_signals(void)
{
	struct itimerval tick = { { 0, TICK_US }, { 0, TICK_US } };
	struct sigaction sa = { .sa_handler = on_tick };

	sigaction(SIGALRM, &sa, NULL);
	sa.sa_handler = on_end;
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	/* The terminal sends these to CMD too, and CMD decides. */
	sa.sa_handler = SIG_IGN;
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGQUIT, &sa, NULL);
	setitimer(ITIMER_REAL, &tick, NULL);
}

static void housekeeping(struct tracer *tr)
{
	struct shadow *s = tr->s;

	if (pass_on) {
		kill(tr->launch.pid, pass_on);
		pass_on = 0;
	}
	watch_turns(tr);
	watch_kept(tr);
	watch_newborn(tr);
	if (progress_due(&s->progress))
		progress_show(&s->progress, "%llu calls, %u processes and threads now, %llu differences",
			      (unsigned long long)s->nr_calls, tr->nr_tasks, (unsigned long long)s->nr_differences);
}

static void loop(struct tracer *tr)
{
	int status;
	pid_t tid;

	for (;;) {
		tid = waitpid(-1, &status, __WALL);
		if (tid < 0 && errno == EINTR) {
			housekeeping(tr);
			continue;
		}
		if (tid < 0)
			return;
		if (WIFSTOPPED(status))
			on_stop(tr, tid, status);
		else
			on_gone(tr, tid, status);
		if (progress_due(&tr->s->progress))
			housekeeping(tr);
	}
}

/* Two descriptors a space and one a file add up; CMD keeps the limit that we came with. */
static void raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int verdict(struct tracer *tr)
{
	struct shadow *s = tr->s;
	int err = tr->ran ? 0 : launch_result(&tr->launch);

	if (err) {
		progress_clear(&s->progress);
		tool_warn("cannot run %s: %s", s->options.argv[0], strerror(err));
		return TOOL_NOT_RUN;
	}
	report_summary(s, tr->root_status, tr->root_over);
	if (s->nr_differences)
		return TOOL_DIFFERENT;
	if (tr->ran && !s->nr_not_followed)
		return TOOL_SAME;
	if (tr->ran)
		tool_warn("%llu of the command's processes could not be followed", (unsigned long long)s->nr_not_followed);
	else
		tool_warn("the command could not be followed");
	return TOOL_NOT_RUN;
}

static int run(struct tracer *tr, const struct world_system *system, struct recorder *recorder)
{
	struct shadow *s = tr->s;
	struct task *root;
	int result;

	if (launch_start(&tr->launch, s->options.argv, OPTIONS))
		return TOOL_NOT_RUN;
	s->world = world_create(system, recorder);
	raise_descriptors();
	watch_signals();
	progress_start(&s->progress, s->options.quiet);
	root = new_task(tr, tr->launch.pid);
	root->stopped_once = true;
	launch_go(&tr->launch);
	loop(tr);
	result = verdict(tr);
	if (world_destroy(s->world) && result == TOOL_SAME)
		result = TOOL_DIFFERENT;
	return result;
}

int shadow_run(const struct shadow_options *options)
{
	struct shadow *s = tool_alloc(sizeof(*s));
	struct tracer *tr = tool_alloc(sizeof(*tr));
	struct recorder *recorder = NULL;
	struct world_system system;
	int result, err;

	s->options = *options;
	s->notes_end = &s->notes;
	tr->s = s;
	if (options->record && !(recorder = recorder_open(options->record))) {
		tool_warn("cannot write %s: %s", options->record, strerror(errno));
		result = TOOL_MISUSE;
	} else {
		view_system(&system);
		result = run(tr, &system, recorder);
	}
	err = recorder_close(recorder);
	if (err) {
		tool_warn("cannot write %s: %s", options->record, strerror(err));
		result = TOOL_NOT_RUN;
	}
	notes_free(s);
	files_forget();
	free(s);
	free(tr);
	return result;
}
