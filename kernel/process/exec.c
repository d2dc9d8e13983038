/* SPDX-License-Identifier: MIT */
/*
 * execve(2): a new space with the program and its first stack in it, made beside the old one, which it replaces when
 * nothing can fail any more.
 */
#include "core/user.h"
#include "fs/fs.h"
#include "port/port.h"
#include "process/process.h"

#define MAX_STRING (128u << 10)
#define MAX_STRINGS (2u << 20) /* bytes of all arguments, or of all of the environment */
#define MAX_SCRIPT_DEPTH 4

/* ---- Strings from user memory, one behind the other -------------------------------------------- */

struct strings {
	char *buf;
	size_t used, size;
	size_t count;
};

static int make_room(struct strings *s, size_t n)
{
	size_t size = s->size ? s->size : 4096;
	char *buf;

	while (size < s->used + n)
		size *= 2;
	if (size == s->size)
		return 0;
	buf = quire_vmalloc(Q, size);
	if (!buf)
		return -ENOMEM;
	if (s->buf)
		memcpy(buf, s->buf, s->used);
	quire_vfree(Q, s->buf);
	s->buf = buf;
	s->size = size;
	return 0;
}

static int add_string(struct strings *s, const char *string)
{
	size_t n = strlen(string) + 1;
	int err = make_room(s, n);

	if (err)
		return err;
	memcpy(s->buf + s->used, string, n);
	s->used += n;
	s->count++;
	return 0;
}

static int add_user_string(struct strings *s, uint64_t at)
{
	size_t room = 256;

	for (;;) {
		int64_t n;
		int err = make_room(s, room);

		if (err)
			return err;
		n = copy_string_from_user(s->buf + s->used, at, room);
		if (n >= 0) {
			s->used += (size_t)n + 1;
			s->count++;
			return s->used > MAX_STRINGS ? -E2BIG : 0;
		}
		if (n != -ENAMETOOLONG)
			return (int)n;
		room *= 2;
		if (room > MAX_STRING)
			return -E2BIG;
	}
}

static int collect(struct strings *s, uint64_t array, bool kernel)
{
	for (; array; array += sizeof(long)) {
		unsigned long at;
		int err;

		if (kernel)
			at = *(const unsigned long *)(uintptr_t)array;
		else if (get_user(at, array))
			return -EFAULT;
		if (!at)
			break;
		err = kernel ? add_string(s, (const char *)at) : add_user_string(s, at);
		if (err)
			return err;
		if (signal_pending(current()) && current()->killed)
			return -EINTR;
	}
	return 0;
}

/* ---- The first stack ------------------------------------------------------------------------------ */

#define AT_NULL 0
#define AT_PHDR 3
#define AT_PHENT 4
#define AT_PHNUM 5
#define AT_PAGESZ 6
#define AT_BASE 7
#define AT_FLAGS 8
#define AT_ENTRY 9
#define AT_UID 11
#define AT_EUID 12
#define AT_GID 13
#define AT_EGID 14
#define AT_PLATFORM 15
#define AT_HWCAP 16
#define AT_CLKTCK 17
#define AT_SECURE 23
#define AT_RANDOM 25
#define AT_EXECFN 31
#define AT_MINSIGSTKSZ 51

/* Linux makes a stack this much larger at once than what lies on it. */
#define STACK_EXTRA (UINT64_C(128) << 10)

struct stack {
	struct quire_mm *mm;
	uint64_t sp;
	int error;
};

static uint64_t push(struct stack *s, const void *data, size_t n)
{
	s->sp -= n;
	if (!s->error && n &&
	    quire_access_process_vm(s->mm, s->sp, (void *)(uintptr_t)data, n, QUIRE_ACCESS_WRITE) !=
		    n)
		s->error = -ENOMEM;
	return s->sp;
}

/* Write count addresses of strings that begin at strings; then NULL. Returns the address behind. */
static uint64_t write_pointers(struct stack *s, uint64_t at, uint64_t strings,
			       const struct strings *list)
{
	const char *p = list->buf;
	unsigned long value;
	size_t i;

	for (i = 0; i <= list->count && !s->error; i++) {
		value = i < list->count ? (unsigned long)(strings + (uint64_t)(p - list->buf)) : 0;
		if (quire_access_process_vm(s->mm, at, &value, sizeof(value), QUIRE_ACCESS_WRITE) !=
		    sizeof(value))
			s->error = -ENOMEM;
		at += sizeof(value);
		if (i < list->count)
			p += strlen(p) + 1;
	}
	return at;
}

static int make_stack(struct quire_mm *mm, const struct elf_image *image, const char *path,
		      const struct strings *args, const struct strings *env, uint64_t random,
		      uint64_t *sp)
{
	const struct process *p = current_process();
	struct quire_layout *l = &mm->layout;
	struct stack s = {.mm = mm};
	uint64_t top = l->task_size, size, path_at, random_at, platform_at, at;
	uint8_t chance[16];
	unsigned long auxv[2 * 20], argc = args->count;
	size_t n = 0, bytes, i;
	int err;

	/* As much as the layout leaves for it: 22 bits of pages on 64-bit machines, and 9 bits within a page. */
	if (random && l->task_size > UINT32_MAX)
		top = (UINT64_C(1) << 47) - QUIRE_PAGE_SIZE -
		      ((random >> 41 & 0x3fffff) << QUIRE_PAGE_SHIFT);
	else if (l->task_size > UINT32_MAX)
		top = (UINT64_C(1) << 47) - QUIRE_PAGE_SIZE;
	size = quire_page_up(args->used + env->used +
			     (args->count + env->count + 64) * sizeof(long) + strlen(path) + 1024);
	if (size > mm->limits.stack / 4 * 3)
		return -E2BIG;
	size += STACK_EXTRA;
	if (size > mm->limits.stack)
		size = quire_page_down(mm->limits.stack);
	err = quire_insert_vm_area(
		mm, &(struct quire_area_desc){
			    .start = top - size,
			    .end = top,
			    .pgoff = (top - size) >> QUIRE_PAGE_SHIFT,
			    .flags = QUIRE_VM_READ | QUIRE_VM_WRITE | QUIRE_VM_MAYREAD |
				     QUIRE_VM_MAYWRITE | QUIRE_VM_MAYEXEC | QUIRE_VM_GROWSDOWN |
				     QUIRE_VM_ACCOUNT | (image->exec_stack ? QUIRE_VM_EXEC : 0)});
	if (err)
		return err;

	s.sp = top - sizeof(long); /* a word of nothing */
	path_at = push(&s, path, strlen(path) + 1);
	l->env_end = path_at;
	l->env_start = l->arg_end = push(&s, env->buf, env->used);
	l->arg_start = push(&s, args->buf, args->used);
	random_bytes(chance, sizeof(chance));
	s.sp &= ~15ull;
	platform_at = push(&s, sizeof(long) == 8 ? "x86_64" : "i686", 7);
	random_at = push(&s, chance, sizeof(chance));

#define AUX(key, value)                                                                            \
	do {                                                                                       \
		auxv[n++] = (key);                                                                 \
		auxv[n++] = (unsigned long)(value);                                                \
	} while (0)
	AUX(AT_MINSIGSTKSZ, 2048);
	AUX(AT_HWCAP, features.leaf1[3]);
	AUX(AT_PAGESZ, QUIRE_PAGE_SIZE);
	AUX(AT_CLKTCK, 100);
	AUX(AT_PHDR, image->headers);
	AUX(AT_PHENT, sizeof(long) == 8 ? 56 : 32);
	AUX(AT_PHNUM, image->nr_headers);
	AUX(AT_BASE, image->interpreter_base);
	AUX(AT_FLAGS, 0);
	AUX(AT_ENTRY, image->program_entry);
	AUX(AT_UID, p->uid);
	AUX(AT_EUID, p->euid);
	AUX(AT_GID, p->gid);
	AUX(AT_EGID, p->egid);
	AUX(AT_SECURE, 0);
	AUX(AT_RANDOM, random_at);
	AUX(AT_EXECFN, path_at);
	AUX(AT_PLATFORM, platform_at);
	AUX(AT_NULL, 0);
#undef AUX
	for (i = 0; i < n && i < QUIRE_ARRAY_SIZE(l->auxv); i++)
		l->auxv[i] = auxv[i];
	bytes = (1 + args->count + 1 + env->count + 1 + n) * sizeof(long);
	s.sp = (s.sp - bytes) & ~15ull;
	*sp = l->start_stack = s.sp;
	if (s.error)
		return s.error;
	if (quire_access_process_vm(mm, s.sp, &argc, sizeof(argc), QUIRE_ACCESS_WRITE) !=
	    sizeof(argc))
		return -ENOMEM;
	at = write_pointers(&s, s.sp + sizeof(long), l->arg_start, args);
	at = write_pointers(&s, at, l->env_start, env);
	if (!s.error && quire_access_process_vm(mm, at, auxv, n * sizeof(long),
						QUIRE_ACCESS_WRITE) != n * sizeof(long))
		return -ENOMEM;
	return s.error;
}

/* ---- From the old to the new ------------------------------------------------------------------------ */

static bool is_alone(void *arg)
{
	const struct process *p = arg;

	return quire_load(&p->nr_threads) == 1;
}

/* The other threads end; this one is the process from here on. -EAGAIN: it is to end itself. */
static int become_only_thread(void)
{
	struct thread *t = current();
	struct process *p = t->process;
	struct quire_list *pos, *tmp;
	unsigned long flags = quire_spin_lock_irq(Q, &process_lock);
	struct waiter w;

	if (p->group_exit || t->killed) {
		quire_spin_unlock_irq(Q, &process_lock, flags);
		return -EAGAIN;
	}
	quire_list_for_each (pos, tmp, &p->threads) {
		struct thread *other = quire_list_entry(pos, struct thread, link);

		if (other == t)
			continue;
		other->killed = true;
		unpark(other);
	}
	quire_spin_unlock_irq(Q, &process_lock, flags);
	for (;;) {
		wait_begin(&w, &p->threads);
		if (is_alone(p))
			break;
		park(NO_DEADLINE);
		wait_end(&w);
	}
	wait_end(&w);
	t->tid = p->pid;
	return 0;
}

/* Handlers are in the old program; what was ignored stays so. */
static int reset_signals(struct process *p)
{
	struct sighand *own = NULL, *old = p->sighand;
	unsigned long flags;
	unsigned i;

	if (quire_load(&old->refs) > 1) {
		own = sighand_new(old);
		if (!own)
			return -ENOMEM;
	}
	flags = quire_spin_lock_irq(Q, &process_lock);
	if (own)
		p->sighand = own;
	for (i = 0; i < NR_SIGNALS; i++) {
		struct sigaction *a = &p->sighand->action[i];

		*a = (struct sigaction){.handler = a->handler == SIG_IGN ? SIG_IGN : SIG_DFL};
	}
	quire_spin_unlock_irq(Q, &process_lock, flags);
	if (own)
		sighand_put(old);
	return 0;
}

static void set_name(struct process *p, const char *path)
{
	const char *name = path, *slash;

	while ((slash = strchr(name, '/')) != NULL)
		name = slash + 1;
	memset(p->comm, 0, sizeof(p->comm));
	memcpy(p->comm, name, strnlen(name, sizeof(p->comm) - 1));
}

static void replace_space(struct quire_mm *mm)
{
	struct thread *t = current();
	struct process *p = t->process;
	struct quire_mm *old = t->mm;
	unsigned long flags;

	if (old)
		process_release_mm(t);
	flags = quire_spin_lock_irq(Q, &process_lock);
	p->mm = mm;
	quire_spin_unlock_irq(Q, &process_lock, flags);
	enter_space(mm);
	if (old)
		quire_mmput(old);
	if (p->vfork_parent) {
		struct process *parent = p->vfork_parent;

		quire_store_release(&p->vfork_parent, (struct process *)NULL);
		wake(p, WAKE_ALL);
		process_put(parent);
	}
}

static void begin_program(struct regs *regs, const struct elf_image *image, uint64_t sp)
{
	struct thread *t = current();

	memset(regs, 0, sizeof(*regs));
	regs->ip = image->entry;
	regs->sp = sp;
	regs->cs = USER_CS;
	regs->ss = USER_DS;
	regs->flags = FLAGS_IF | 2;
	irq_disable();
	memset(t->fpu, 0, sizeof(t->fpu));
	*(uint16_t *)(void *)&t->fpu[0] = 0x37f;
	*(uint32_t *)(void *)&t->fpu[24] = 0x1f80;
	t->fs_base = t->gs_base = 0;
	memset(t->tls, 0, sizeof(t->tls));
	thread_load_context(t);
	irq_enable();
	t->altstack_size = 0;
	t->clear_child_tid = 0;
	t->robust_list = 0;
	t->rseq = 0;
	t->rseq_event = false;
}

/* "#! interpreter argument": the script's name becomes an argument of the interpreter. */
static int read_script(const char *head, size_t n, char *interpreter, char *argument, size_t size)
{
	size_t i = 2, k;

	argument[0] = '\0';
	while (i < n && (head[i] == ' ' || head[i] == '\t'))
		i++;
	for (k = 0; i < n && k < size - 1 && head[i] != ' ' && head[i] != '\t' && head[i] != '\n';
	     i++)
		interpreter[k++] = head[i];
	interpreter[k] = '\0';
	while (i < n && (head[i] == ' ' || head[i] == '\t'))
		i++;
	for (k = 0; i < n && k < size - 1 && head[i] != '\n'; i++)
		argument[k++] = head[i];
	while (k && (argument[k - 1] == ' ' || argument[k - 1] == '\t'))
		k--;
	argument[k] = '\0';
	return interpreter[0] ? 0 : -ENOEXEC;
}

static int put_in_front(struct strings *args, const char *interpreter, const char *argument,
			const char *script)
{
	struct strings new = {0};
	size_t first = args->count ? strlen(args->buf) + 1 : 0;
	int err = add_string(&new, interpreter);

	if (!err && argument[0])
		err = add_string(&new, argument);
	if (!err)
		err = add_string(&new, script);
	if (!err)
		err = make_room(&new, args->used - first + 1);
	if (err) {
		quire_vfree(Q, new.buf);
		return err;
	}
	memcpy(new.buf + new.used, args->buf + first, args->used - first);
	new.used += args->used - first;
	new.count += args->count - (first != 0);
	quire_vfree(Q, args->buf);
	*args = new;
	return 0;
}

/* Open the program, through scripts. */
static int open_program(const char *path, struct strings *args, struct file **file)
{
	char head[256], interpreter[128], argument[128], script[128];
	const char *name = path;
	unsigned depth;
	int err;

	for (depth = 0;; depth++) {
		int64_t n;

		err = file_open_exec(name, file);
		if (err)
			return err;
		n = file_read_kernel(*file, head, sizeof(head), 0);
		if (n < 2 || head[0] != '#' || head[1] != '!')
			return n < 0 ? (int)n : 0;
		file_put(*file);
		*file = NULL;
		if (depth == MAX_SCRIPT_DEPTH)
			return -ELOOP;
		err = read_script(head, (size_t)n, interpreter, argument, sizeof(interpreter));
		if (!err)
			err = put_in_front(args, interpreter, argument, name);
		if (err)
			return err;
		ksnprintf(script, sizeof(script), "%s", interpreter);
		name = script;
	}
}

int process_exec(struct regs *regs, const char *path, uint64_t argv, uint64_t envp, bool kernel)
{
	struct process *p = current_process();
	struct strings args = {0}, env = {0};
	struct elf_image image;
	struct quire_layout layout;
	struct quire_mm *mm = NULL;
	struct file *file = NULL, *old_exe;
	unsigned long flags;
	uint64_t random =
			 p->personality & 0x0040000 || boot_option("norandom") ? 0 : random64() | 1,
		 sp = 0;
	int err;

	err = collect(&args, argv, kernel);
	if (!err)
		err = collect(&env, envp, kernel);
	if (!err && !args.count)
		err = add_string(&args, "");
	if (!err)
		err = make_room(&env, 1);
	if (!err)
		err = open_program(path, &args, &file);
	if (!err) {
		quire_layout_init(&layout, Q->fmt, false, false, p->rlimit[RLIMIT_STACK].soft,
				  random);
		err = quire_mm_create(Q, &layout, &mm);
		if (err)
			mm = NULL;
	}
	if (!err) {
		process_apply_limits(p, mm);
		err = elf_load(file, mm, &image, random);
	}
	if (!err)
		err = make_stack(mm, &image, path, &args, &env, random, &sp);
	if (!err)
		err = become_only_thread();
	if (!err)
		err = reset_signals(p);
	quire_vfree(Q, args.buf);
	quire_vfree(Q, env.buf);
	if (err) {
		if (mm)
			quire_mmput(mm);
		if (file)
			file_put(file);
		return err;
	}
	/* Nothing fails from here on. */
	flags = quire_spin_lock_irq(Q, &process_lock);
	old_exe = p->exe;
	p->exe = file;
	quire_spin_unlock_irq(Q, &process_lock, flags);
	if (old_exe)
		file_put(old_exe);
	files_close_on_exec(p);
	posix_timers_drop(p);
	set_name(p, path);
	p->execed = true;
	p->membarrier = false;
	replace_space(mm);
	begin_program(regs, &image, sp);
	return 0;
}

/* ---- The first program -------------------------------------------------------------------------------- */

void process_init_ended(int code)
{
	if (code & 0x7f)
		printk("init is killed by signal %d\n", code & 0x7f);
	if (boot_option("debugexit"))
		debug_exit(code ? 1 : 0x10); /* QEMU's status: 3, or 33 for success */
	power_off();
}

void process_exec_init(void)
{
	static const char *const programs[] = {"/init", "/sbin/init", "/bin/init", "/bin/sh"};
	static const char *const env[] = {"HOME=/", "PATH=/bin:/sbin:/usr/bin:/usr/sbin",
					  "TERM=linux", NULL};
	const char *argv[2] = {NULL, NULL};
	char wanted[128];
	const char *option = boot_option("init");
	size_t i;
	int err = -ENOENT;

	if (option) {
		ksnprintf(wanted, sizeof(wanted), "%s", option);
		argv[0] = wanted;
		err = process_exec(thread_regs(current()), wanted, (uintptr_t)argv, (uintptr_t)env,
				   true);
	}
	for (i = 0; err && !option && i < QUIRE_ARRAY_SIZE(programs); i++) {
		argv[0] = programs[i];
		err = process_exec(thread_regs(current()), programs[i], (uintptr_t)argv,
				   (uintptr_t)env, true);
	}
	if (err)
		panic("no init: error %d", err);
	irq_disable();
}
