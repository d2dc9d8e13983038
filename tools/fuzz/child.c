/* SPDX-License-Identifier: MIT */
/*
 * The judged half: a program of its own, that makes a round's steps on the running Linux and notes what each gave
 * (channel.h). Without a C library, so that its space has few areas and nobody else calls the kernel; after start-up it touches
 * nothing but its own data, a page of its stack, the channel, and what steps say. It never waits but for its turn. Processes
 * and threads of a round are its copies and its threads: each runs through the steps, and makes those that are its own.
 */
#include <asm/unistd.h>
#include <linux/futex.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <linux/signal.h>
#include <stdbool.h>

#include "channel.h"

#define SA_RESTORER_FLAG 0x04000000
#define O_RDONLY_FLAGS 02000000 /* O_RDONLY | O_CLOEXEC */
#define PROT_RW 3
#define MAP_SHARED_FIXED 0x100001 /* MAP_SHARED | MAP_FIXED_NOREPLACE */
#define MAP_PRIVATE_ANONYMOUS 0x22
#define MAP_PRIVATE_PADS 0x104022 /* MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE */
#define PAGE STEP_PAGE

static struct channel *const channel = (struct channel *)CHANNEL_ADDRESS;

enum text { TEXT_MAPS, TEXT_SMAPS, TEXT_STATUS, NR_TEXTS };
static int text_fd[NR_TEXTS];
static const char *const text_path[NR_TEXTS] = { "/proc/self/maps", "/proc/self/smaps", "/proc/self/status" };

/* All of it is one player's at a time, whose turn it is; so threads can share it, but for their stacks. */
static char signal_stack[16384] __attribute__((aligned(4096)));
static char stacks[STEP_MAX_PROCESSES][8192] __attribute__((aligned(4096))); /* of all but process 0 */
static char buffer[CHANNEL_MAX_READ] __attribute__((aligned(4096)));
static char status_buffer[8192] __attribute__((aligned(4096)));
static struct span last_maps;
static void *back[5];
static volatile int signo, code;
static volatile uint64_t signal_address;
static volatile uint64_t stored; /* bytes of a run, so far */

void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);
void child_main(void) __attribute__((noreturn, used));
static void run(uint32_t me, uint32_t i) __attribute__((noreturn));

static long call6(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	register long r10 __asm__("r10") = (long)d;
	register long r8 __asm__("r8") = (long)e;
	register long r9 __asm__("r9") = (long)f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

static long call3(long nr, uint64_t a, uint64_t b, uint64_t c)
{
	return call6(nr, a, b, c, 0, 0, 0);
}

static void __attribute__((noreturn)) end(int status)
{
	for (;;)
		call3(__NR_exit_group, (uint64_t)status, 0, 0);
}

void *memcpy(void *to, const void *from, size_t n)
{
	void *ret = to;

	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
	return ret;
}

void *memset(void *to, int byte, size_t n)
{
	void *ret = to;

	__asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(byte) : "memory");
	return ret;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *x = a, *y = b;

	for (; n >= 8; n -= 8, x += 8, y += 8) {
		if (*(const uint64_t *)(const void *)x != *(const uint64_t *)(const void *)y)
			return 1;
	}
	for (; n; n--, x++, y++) {
		if (*x != *y)
			return 1;
	}
	return 0;
}

/* ---- The texts of /proc ------------------------------------------------------------------ */

static void open_texts(void)
{
	for (int i = 0; i < NR_TEXTS; i++) {
		if (text_fd[i])
			call3(__NR_close, (uint64_t)text_fd[i], 0, 0);
		text_fd[i] = (int)call3(__NR_open, (uint64_t)text_path[i], O_RDONLY_FLAGS, 0);
		if (text_fd[i] < 0)
			end(3);
	}
}

static uint64_t line_start(const char *line)
{
	uint64_t address = 0;

	for (; *line != '-'; line++)
		address = address * 16 + (uint64_t)(*line <= '9' ? *line - '0' : *line - 'a' + 10);
	return address;
}

/* Of the lines [from, end), as many as stand before the pads. */
static const char *before_pads(const char *from, const char *end)
{
	const char *line = from, *next;

	for (; line < end && line_start(line) < channel->pad_start; line = next) {
		for (next = line; next < end && *next != '\n';)
			next++;
		next += next < end;
	}
	return line;
}

static uint32_t read_text(enum text which, char *to, uint32_t room)
{
	uint32_t used = 0;
	long n;

	call3(__NR_lseek, (uint64_t)text_fd[which], 0, 0);
	while ((n = call3(__NR_read, (uint64_t)text_fd[which], (uint64_t)(to + used), room - used)) > 0) {
		const char *end_at = to + used + n;

		if (which == TEXT_MAPS && channel->nr_pads)
			end_at = before_pads(to + used, end_at);
		if (end_at < to + used + n)
			return (uint32_t)(end_at - to);
		used += (uint32_t)n;
	}
	return used;
}

static void text_full(void)
{
	channel->state = CHANNEL_TEXT_FULL;
	end(4);
}

static struct span keep_text(const char *text, uint32_t len)
{
	struct span span = { channel->text_used, len };

	if (CHANNEL_TEXT_BYTES - channel->text_used < len)
		text_full();
	memcpy(channel->text + span.at, text, len);
	channel->text_used += len;
	return span;
}

/* Kept only if it is another one than the last. */
static struct span keep_maps(void)
{
	uint32_t len = read_text(TEXT_MAPS, buffer, sizeof(buffer));

	if (len == sizeof(buffer) || CHANNEL_TEXT_BYTES - channel->text_used < len)
		text_full();
	if (len != last_maps.len || memcmp(channel->text + last_maps.at, buffer, len)) {
		last_maps = (struct span){ channel->text_used, len };
		memcpy(channel->text + last_maps.at, buffer, len);
		channel->text_used += len;
	}
	return last_maps;
}

static void take_sample(struct record *r)
{
	struct sample *s = &channel->samples[channel->nr_samples];
	uint32_t smaps, status;
	unsigned char vec;

	/* Both into memory that is there already: neither is to show what writing the other down has touched. */
	smaps = read_text(TEXT_SMAPS, buffer, sizeof(buffer));
	status = read_text(TEXT_STATUS, status_buffer, sizeof(status_buffer));
	if (smaps == sizeof(buffer) || status == sizeof(status_buffer))
		text_full();

	if (channel->nr_samples == CHANNEL_MAX_SAMPLES)
		text_full();
	r->sample = channel->nr_samples++;
	s->smaps = keep_text(buffer, smaps);
	s->status = keep_text(status_buffer, status);
	for (unsigned i = 0; i < STEP_VEC_PAGES; i++) {
		if (call3(__NR_mincore, STEP_WINDOW + i * PAGE, PAGE, (uint64_t)&vec))
			vec = 0xff;
		s->core[i] = vec;
	}
}

/* ---- Steps ------------------------------------------------------------------------------- */

static void on_signal(int number, siginfo_t *info, void *context)
{
	(void)context;
	signo = number;
	code = info->si_code;
	signal_address = (uint64_t)info->si_addr;
	__builtin_longjmp(back, 1);
}

static __attribute__((naked, used)) void restore(void)
{
	__asm__ volatile("mov $15, %eax\n\tsyscall");
}

/* ours.c's look() does the same. */
static uint64_t look(uint64_t addr, uint64_t len)
{
	uint64_t sum = 0, end_at = addr + len;

	for (; addr < end_at && addr % 8; addr++)
		sum = sum * LOOK_FACTOR + *(volatile unsigned char *)addr;
	for (; end_at - addr >= 8; addr += 8)
		sum = sum * LOOK_FACTOR + *(volatile uint64_t *)addr;
	for (; addr < end_at; addr++)
		sum = sum * LOOK_FACTOR + *(volatile unsigned char *)addr;
	return sum;
}

static int64_t make_call(const struct step *s, const uint64_t *a)
{
	/* Any other number could be somebody's: one that is nobody's instead. */
	if (s->nr == __NR_shmat)
		return call3(__NR_shmat, a[0] < STEP_NR_SEGMENTS ? (uint64_t)channel->segment[a[0]] : (uint64_t)-1, a[1], a[2]);
	return call6(s->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static int64_t transfer(const struct step *s, const uint64_t *a, struct record *r)
{
	struct step_range remote[2], local = { (uint64_t)buffer, transfer_ranges(a, remote) };
	int32_t pid = a[0] < STEP_MAX_PROCESSES ? channel->pid[a[0]] : 0;
	int64_t result;

	for (uint64_t i = 0; i < local.len; i++)
		buffer[i] = (char)transfer_byte(s->nr == __NR_process_vm_writev, i);
	result = call6(s->nr, (uint64_t)pid, (uint64_t)&local, 1, (uint64_t)remote, 2, a[5]);
	r->read = look((uint64_t)buffer, local.len);
	return result;
}

static int64_t make_write(const uint64_t *a)
{
	uint64_t len = a[2] < sizeof(buffer) ? a[2] : sizeof(buffer), done = 0;

	memset(buffer, (int)a[3], len);
	/* A page at a time: a file system may make one large folio of more, whose pages are then mapped together. */
	do {
		uint64_t pos = a[1] + done, part = PAGE - pos % PAGE < len - done ? PAGE - pos % PAGE : len - done;
		long n = call6(__NR_pwrite64, STEP_FD + a[0], (uint64_t)buffer, part, pos, 0, 0);

		if (n < 0)
			return done ? (int64_t)done : n;
		done += (uint64_t)n;
	} while (done < len);
	return (int64_t)done;
}

static void store_word(uint64_t addr, uint64_t bytes, uint64_t value)
{
	if (bytes == 1)
		__asm__ volatile("movb %b1, (%0)" : : "r"(addr), "q"(value) : "memory");
	else if (bytes == 2)
		__asm__ volatile("movw %w1, (%0)" : : "r"(addr), "r"(value) : "memory");
	else if (bytes == 4)
		__asm__ volatile("movl %k1, (%0)" : : "r"(addr), "r"(value) : "memory");
	else
		__asm__ volatile("movq %1, (%0)" : : "r"(addr), "r"(value) : "memory");
}

static void store_run(uint64_t addr, uint64_t bytes, uint64_t byte)
{
	for (; stored < bytes; stored++)
		*(volatile unsigned char *)(addr + stored) = (unsigned char)byte;
}

static void make_access(const struct step *s, const uint64_t *a, struct record *r)
{
	signo = 0;
	code = 0;
	signal_address = 0;
	stored = 0;
	r->result = 0;
	if (!__builtin_setjmp(back)) {
		if (s->kind == STEP_LOAD)
			r->result = (int64_t)look(a[0], a[1]);
		else if (s->kind == STEP_STORE)
			*(volatile unsigned char *)a[0] = (unsigned char)a[1];
		else if (s->kind == STEP_STORE_WORD)
			store_word(a[0], step_access_bytes(s->kind, a), a[2]);
		else if (s->kind == STEP_STORE_RUN)
			store_run(a[0], step_access_bytes(s->kind, a), a[2]);
		else
			((void (*)(void))a[0])();
	}
	r->signo = signo;
	r->code = code;
	r->address = signal_address;
	r->read = stored;
}

static void pass_on(uint32_t next)
{
	__atomic_store_n(&channel->next, next, __ATOMIC_RELEASE);
	call6(__NR_futex, (uint64_t)&channel->next, FUTEX_WAKE, STEP_MAX_PROCESSES, 0, 0, 0);
}

static void wait_until(const uint32_t *word, uint32_t value)
{
	uint32_t now, spins = 0;

	while ((now = __atomic_load_n(word, __ATOMIC_ACQUIRE)) != value) {
		if (++spins > 100)
			call6(__NR_futex, (uint64_t)word, FUTEX_WAIT, now, 0, 0, 0);
	}
}

static void set_limits(void)
{
	static const int limits[] = CHANNEL_LIMITS;
	uint64_t now[2];

	for (unsigned i = 0; i < CHANNEL_NR_LIMITS; i++) {
		if (call6(__NR_prlimit64, 0, (uint64_t)limits[i], 0, (uint64_t)now, 0, 0))
			end(5);
		if (channel->limit[i] >= now[0])
			continue;
		now[0] = now[1] = channel->limit[i];
		if (call6(__NR_prlimit64, 0, (uint64_t)limits[i], (uint64_t)now, 0, 0, 0))
			end(5);
	}
}

/* Of two kinds in turn, so that none merges with its neighbours. */
static void make_pads(void)
{
	if (channel->nr_pads &&
	    call6(__NR_mmap, channel->pad_start, channel->nr_pads * PAGE, 0, MAP_PRIVATE_PADS, (uint64_t)-1, 0) != (long)channel->pad_start)
		end(6);
	for (uint64_t i = 1; i < channel->nr_pads; i += 2)
		if (call3(__NR_mprotect, channel->pad_start + i * PAGE, PAGE, 1))
			end(6);
}

static void settle(uint32_t me)
{
	call3(__NR_prctl, PR_SET_PDEATHSIG, 9, 0);
	call3(__NR_prctl, PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0);
	channel->pid[me] = (int32_t)call3(__NR_getpid, 0, 0, 0);
}

static void use_signal_stack(void)
{
	stack_t stack = { .ss_sp = signal_stack, .ss_size = sizeof(signal_stack) };

	call3(__NR_sigaltstack, (uint64_t)&stack, 0, 0);
}

/* Where a new process or thread begins, on a stack of its own: behind the step that made it. */
static void __attribute__((noreturn, used)) begin(uint64_t me, uint64_t step)
{
	struct record *r = &channel->record[step];

	if (channel->step[step].kind == STEP_FORK) {
		open_texts();
		settle((uint32_t)me);
		last_maps.len = 0;
		r->born = keep_maps();
	} else {
		use_signal_stack();
	}
	pass_on((uint32_t)step | CHANNEL_BORN);
	run((uint32_t)me, (uint32_t)step + 1);
}

/*
 * Processes are all children of the tool, which sees each of them end. What is new has a stack of its own, even in a
 * space of its own: there its parent's may become that of a thread.
 */
static int64_t make_player(uint64_t number, uint64_t step, uint64_t flags)
{
	register long r10 __asm__("r10") = 0;
	register long r8 __asm__("r8") = 0;
	register uint64_t r12 __asm__("r12") = number;
	register uint64_t r13 __asm__("r13") = step;
	long ret;

	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "mov %%r12, %%rdi\n\t"
			 "mov %%r13, %%rsi\n\t"
			 "call begin\n\t"
			 "hlt\n"
			 "1:"
			 : "=a"(ret)
			 : "a"(__NR_clone), "D"(flags), "S"(stacks[number] + sizeof(stacks[number])), "d"(0), "r"(r10),
			   "r"(r8), "r"(r12), "r"(r13)
			 : "rcx", "r11", "memory");
	if (ret < 0)
		return ret;
	wait_until(&channel->next, (uint32_t)step | CHANNEL_BORN);
	return 0;
}

/* The thread's stack is another one's as soon as the turn has been passed on: no word of it is touched from there. */
static void __attribute__((noreturn)) end_thread(uint32_t next)
{
	register long r10 __asm__("r10") = 0;

	__asm__ volatile("movl %k0, (%%rdi)\n\t"
			 "syscall\n\t"
			 "mov %1, %%eax\n\t"
			 "xor %%edi, %%edi\n\t"
			 "syscall\n\t"
			 "hlt"
			 :
			 : "r"((uint64_t)next), "i"(__NR_exit), "a"(__NR_futex), "D"(&channel->next), "S"(FUTEX_WAKE),
			   "d"(STEP_MAX_PROCESSES), "r"(r10)
			 : "rcx", "r11", "memory");
	__builtin_unreachable();
}

static uint32_t next_made(uint32_t i)
{
	while (i < channel->nr_steps && !(channel->plan[i] & PLAN_MADE))
		i++;
	return i;
}

static void make_step(uint32_t i)
{
	const struct step *s = &channel->step[i];
	struct record *r = &channel->record[i];
	uint64_t a[6];

	memcpy(a, s->arg, sizeof(a));
	if (s->slot_arg >= 0)
		a[s->slot_arg] += channel->slot[s->slot];
	r->signo = 0;
	r->code = 0;
	r->address = 0;
	r->read = 0;
	switch (s->kind) {
	case STEP_CALL:
		if (s->nr == __NR_process_vm_readv || s->nr == __NR_process_vm_writev)
			r->result = transfer(s, a, r);
		else
			r->result = make_call(s, a);
		if (s->nr == __NR_mincore)
			memcpy(r->vec, channel->vec, sizeof(r->vec));
		break;
	case STEP_WRITE:
		r->result = make_write(a);
		break;
	case STEP_FORK:
		r->result = make_player(a[0], i, CLONE_PARENT | 17 /* SIGCHLD */);
		break;
	case STEP_THREAD:
		r->result = make_player(a[0], i, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM);
		break;
	case STEP_EXIT:
		r->result = 0;
		if (channel->plan[i] & PLAN_THREAD)
			end_thread(next_made(i + 1));
		/* The tool passes on when all of it is gone. */
		end(0);
	default:
		make_access(s, a, r);
	}
	if (s->into_slot >= 0 && !(r->result < 0 && r->result >= -4095))
		channel->slot[s->into_slot] = (uint64_t)r->result;
}

/* From step i on. */
static void run(uint32_t me, uint32_t i)
{
	for (; i < channel->nr_steps; i++) {
		uint8_t plan = channel->plan[i];

		if (!(plan & PLAN_MADE) || channel->step[i].process != me)
			continue;
		wait_until(&channel->next, i);
		make_step(i);
		if (plan & PLAN_MAPS)
			channel->record[i].maps = keep_maps();
		if (plan & PLAN_SAMPLE)
			take_sample(&channel->record[i]);
		i = next_made(i + 1);
		if (i < channel->nr_steps && channel->step[i].process == me)
			__atomic_store_n(&channel->next, i, __ATOMIC_RELEASE);
		else
			pass_on(i);
		i--;
	}
	/* Who ended sooner would be missed by the others. */
	while (((i = __atomic_load_n(&channel->next, __ATOMIC_ACQUIRE)) & ~CHANNEL_BORN) < channel->nr_steps)
		call6(__NR_futex, (uint64_t)&channel->next, FUTEX_WAIT, i, 0, 0, 0);
	end(0);
}

void child_main(void)
{
	static const int signals[] = { 11, 7, 4, 5 }; /* SIGSEGV, SIGBUS, SIGILL, SIGTRAP */
	struct sigaction action = {
		.sa_handler = (__sighandler_t)(void (*)(void))on_signal,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTORER_FLAG,
		.sa_restorer = restore,
	};

	if (call6(__NR_mmap, CHANNEL_ADDRESS, sizeof(struct channel), PROT_RW, MAP_SHARED_FIXED, CHANNEL_FD, 0) !=
	    CHANNEL_ADDRESS)
		end(2);
	use_signal_stack();
	for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		call6(__NR_rt_sigaction, (uint64_t)signals[i], (uint64_t)&action, 0, 8, 0, 0);
	for (unsigned i = 0; i < sizeof(signal_stack); i += PAGE)
		((volatile char *)signal_stack)[i] = 0;
	for (unsigned i = 0; i < sizeof(stacks); i += PAGE)
		((volatile char *)stacks)[i] = 0;
	for (unsigned i = 0; i < sizeof(buffer); i += PAGE)
		((volatile char *)buffer)[i] = 0;
	for (unsigned i = 0; i < sizeof(status_buffer); i += PAGE)
		((volatile char *)status_buffer)[i] = 0;
	channel->first_map = (uint64_t)call6(__NR_mmap, 0, PAGE, 0, MAP_PRIVATE_ANONYMOUS, (uint64_t)-1, 0);
	call3(__NR_munmap, channel->first_map, PAGE, 0);
	open_texts();
	settle(0);
	channel->buffer = (uint64_t)buffer;
	__atomic_store_n(&channel->state, CHANNEL_READY, __ATOMIC_RELEASE);
	call6(__NR_futex, (uint64_t)&channel->state, FUTEX_WAKE, 1, 0, 0, 0);
	wait_until(&channel->state, CHANNEL_GO);
	make_pads();
	set_limits();
	run(0, 0);
}

__asm__(".globl _start\n"
	"_start:\n"
	"	xor %ebp, %ebp\n"
	"	and $-16, %rsp\n"
	"	call child_main\n"
	"	hlt\n");
