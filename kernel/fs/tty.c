/* SPDX-License-Identifier: MIT */
/*
 * The console as a terminal: lines that are edited and echoed, signals from the keyboard, raw bytes for programs that
 * edit themselves. termios(3), ioctl_tty(2).
 */
#include "fs/tty.h"

#include "core/console.h"
#include "fs/fs.h"
#include "process/process.h"

#define TCGETS 0x5401
#define TCSETS 0x5402
#define TCSETSW 0x5403
#define TCSETSF 0x5404
#define TIOCSCTTY 0x540e
#define TIOCGPGRP 0x540f
#define TIOCSPGRP 0x5410
#define TIOCGWINSZ 0x5413
#define TIOCSWINSZ 0x5414
#define TIOCGSID 0x5429
#define FIONREAD 0x541b

enum { VINTR, VQUIT, VERASE, VKILL, VEOF, VTIME, VMIN, VSUSP = 10 };
#define ICRNL 0x100u
#define OPOST 1u
#define ONLCR 4u
#define ISIG 1u
#define ICANON 2u
#define ECHO 8u
#define ECHOE 0x10u
#define ECHOK 0x20u
#define ECHOCTL 0x200u
#define ECHOKE 0x800u
#define IEXTEN 0x8000u

struct termios {
	uint32_t iflag, oflag, cflag, lflag;
	uint8_t line, cc[19];
};

static struct termios termios = {
	.iflag = ICRNL | 0x400,
	.oflag = OPOST | ONLCR,
	.cflag = 0xbf | 0x1000,
	.lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN,
	.cc = {3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22},
};
static uint16_t window[4] = {25, 80, 0, 0};
static int foreground; /* process group; 0: none */

/* Bytes that came in. In canonical mode those up to committed may be read: whole lines. */
static struct quire_spinlock lock; /* irq */
static char ring[4096];
static uint32_t in, committed, out;

const void *const tty_key = ring;

/* ---- In: from interrupts --------------------------------------------------------------------------- */

static void echo(const char *text, size_t n)
{
	if (termios.lflag & ECHO)
		console_write(text, n);
}

static bool make_signal(char c)
{
	int signo = c == (char)termios.cc[VINTR]   ? SIGINT
		    : c == (char)termios.cc[VQUIT] ? SIGQUIT
		    : c == (char)termios.cc[VSUSP] ? SIGTSTP
						   : 0;
	char shown[3] = {'^', (char)(c + '@'), '\n'};

	if (!(termios.lflag & ISIG) || !signo || !c)
		return false;
	echo(shown, 3);
	in = committed;
	if (foreground)
		signal_kill_group(foreground, signo);
	return true;
}

static void put(char c)
{
	if (in - out < sizeof(ring))
		ring[in++ % sizeof(ring)] = c;
}

static void edit(char c)
{
	if (c == (char)termios.cc[VERASE] || c == '\b') {
		if (in != committed) {
			in--;
			echo("\b \b", 3);
		}
	} else if (c == (char)termios.cc[VKILL]) {
		for (; in != committed; in--)
			echo("\b \b", 3);
	} else if (c == (char)termios.cc[VEOF]) {
		put('\0'); /* the end of a line that is not in it */
		committed = in;
	} else {
		put(c);
		echo(&c, 1);
		if (c == '\n')
			committed = in;
	}
}

void tty_input(char c)
{
	unsigned long flags = quire_spin_lock_irq(Q, &lock);

	if (c == '\r' && (termios.iflag & ICRNL))
		c = '\n';
	if (!make_signal(c)) {
		if (termios.lflag & ICANON) {
			edit(c);
		} else {
			put(c);
			committed = in;
			echo(&c, 1);
		}
	}
	quire_spin_unlock_irq(Q, &lock, flags);
	wake(tty_key, WAKE_ALL);
}

/* ---- Reading and writing --------------------------------------------------------------------------------- */

static bool has_input(void *arg)
{
	return quire_load(&committed) != quire_load(&out);
}

static int64_t tty_read(struct file *file, struct uio *uio, uint64_t *pos)
{
	char buf[256];
	size_t n = 0, want = (size_t)min_u64(uio->left, sizeof(buf));
	uint64_t deadline = NO_DEADLINE;
	unsigned long flags;
	int err;

	if (!want)
		return 0;
	if (!(termios.lflag & ICANON) && !termios.cc[VMIN])
		deadline = clock_ns() + termios.cc[VTIME] * (NS_PER_SECOND / 10);
	if (!has_input(NULL)) {
		if (file->flags & O_NONBLOCK)
			return -EAGAIN;
		err = wait_for(tty_key, has_input, NULL, deadline);
		if (err)
			return err == -ETIMEDOUT ? 0 : err;
	}
	flags = quire_spin_lock_irq(Q, &lock);
	while (n < want && out != committed) {
		char c = ring[out++ % sizeof(ring)];

		if ((termios.lflag & ICANON) && !c)
			break;
		buf[n++] = c;
		if ((termios.lflag & ICANON) && c == '\n')
			break;
	}
	quire_spin_unlock_irq(Q, &lock, flags);
	return uio_put(uio, buf, n) == n ? (int64_t)n : -EFAULT;
}

static int64_t tty_write(struct file *file, struct uio *uio, uint64_t *pos)
{
	char buf[256];
	uint64_t done = 0;

	while (uio->left) {
		size_t part = (size_t)min_u64(uio->left, sizeof(buf)), n = uio_get(uio, buf, part);

		console_write(buf, n);
		done += n;
		if (n < part)
			return done ? (int64_t)done : -EFAULT;
	}
	return (int64_t)done;
}

static unsigned tty_poll(struct file *file)
{
	return POLLOUT | (has_input(NULL) ? POLLIN : 0);
}

static int64_t tty_ioctl(struct file *file, unsigned command, uint64_t arg)
{
	struct process *p = current_process();
	unsigned long flags;
	struct termios new;
	int value;

	switch (command) {
	case TCGETS:
		return copy_to_user(arg, &termios, sizeof(termios));
	case TCSETS:
	case TCSETSW:
	case TCSETSF:
		if (copy_from_user(&new, arg, sizeof(new)))
			return -EFAULT;
		flags = quire_spin_lock_irq(Q, &lock);
		termios = new;
		if (command == TCSETSF)
			in = out = committed;
		if (!(new.lflag &ICANON))
			committed = in;
		quire_spin_unlock_irq(Q, &lock, flags);
		return 0;
	case TIOCGWINSZ:
		return copy_to_user(arg, window, sizeof(window));
	case TIOCSWINSZ:
		return copy_from_user(window, arg, sizeof(window));
	case TIOCSCTTY:
		foreground = p->pgid;
		return 0;
	case TIOCGPGRP:
		value = foreground ? foreground : p->pgid;
		return put_user(value, arg);
	case TIOCSPGRP:
		if (get_user(value, arg))
			return -EFAULT;
		if (value <= 0)
			return -EINVAL;
		foreground = value;
		return 0;
	case TIOCGSID:
		return put_user(p->sid, arg);
	case FIONREAD:
		value = (int)(committed - out);
		return put_user(value, arg);
	default:
		return -ENOTTY;
	}
}

const struct file_ops tty_ops = {
	.read = tty_read,
	.write = tty_write,
	.ioctl = tty_ioctl,
	.poll = tty_poll,
};
