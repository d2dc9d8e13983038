/* SPDX-License-Identifier: MIT */
/* process_vm_readv and process_vm_writev: another process's memory, as far as it goes. */
#include "say.h"
#include <sys/uio.h>

static char *p;
static int up[2], down[2];

static void child(void *arg)
{
	char byte;

	memset(p, 2, 4 * PAGE);
	munmap(p + 3 * PAGE, PAGE);
	must(write(up[1], "x", 1) == 1 && read(down[0], &byte, 1) == 1);
	fact("the child finds what was written", !memcmp(p + 10, "hello", 5) && p[PAGE] == 'w');
}

int main(void)
{
	char byte, text[3 * PAGE];
	struct iovec here[2], there[3];
	pid_t pid;
	ssize_t n;

	p = pages(4);
	memset(p, 1, 4 * PAGE);
	must(pipe(up) == 0 && pipe(down) == 0);
	pid = start(child, NULL);
	must(read(up[0], &byte, 1) == 1);

	here[0] = (struct iovec){text, 100};
	there[0] = (struct iovec){p + PAGE - 50, 100};
	n = process_vm_readv(pid, here, 1, there, 1, 0);
	if (n < 0 && (errno == EPERM || errno == ENOSYS)) {
		kill(pid, SIGKILL);
		not_here("process_vm_readv, or somebody forbids it");
	}
	want("read over a border", n, 100);
	fact("is the child's", all_are(text, 100, 2));
	fact("not ours", all_are(p, 4 * PAGE, 1));
	here[1] = (struct iovec){text + 200, 60};
	there[0].iov_len = 30;
	there[1] = (struct iovec){p, 0};
	there[2] = (struct iovec){p + 2 * PAGE, 130};
	want("several parts", process_vm_readv(pid, here, 2, there, 3, 0), 160);
	there[0] = (struct iovec){p + 2 * PAGE, 2 * PAGE};
	here[0] = (struct iovec){text, sizeof(text)};
	want("up to where nothing is", process_vm_readv(pid, here, 1, there, 1, 0), PAGE);
	there[0].iov_base = p + 3 * PAGE;
	want("from where nothing is", process_vm_readv(pid, here, 1, there, 1, 0), -EFAULT);
	there[0].iov_base = p;
	here[0].iov_base = nowhere();
	want("to where nothing is", process_vm_readv(pid, here, 1, there, 1, 0), -EFAULT);
	want("flags", process_vm_readv(pid, here, 1, there, 1, 1), -EINVAL);
	want("of nobody", process_vm_readv(0x3fffffff, here, 1, there, 1, 0), -ESRCH);
	want("of nothing", process_vm_readv(pid, here, 0, there, 0, 0), 0);
	there[1].iov_len = 0;
	want("nothing of nobody", process_vm_readv(0x3fffffff, here, 1, there + 1, 1, 0), 0);
	want("of nobody, with flags", process_vm_readv(0x3fffffff, here, 1, there, 1, 1), -EINVAL);

	here[0] = (struct iovec){"hello", 5};
	there[0] = (struct iovec){p + 10, 5};
	want("write", process_vm_writev(pid, here, 1, there, 1, 0), 5);
	here[0] = (struct iovec){"w", 1};
	there[0] = (struct iovec){p + PAGE, 1};
	want("write", process_vm_writev(pid, here, 1, there, 1, 0), 1);
	fact("ours is as it was", all_are(p, 4 * PAGE, 1));
	must(write(down[1], "x", 1) == 1);
	want_end("child", pid, "exit 0");
	want("to who has ended", process_vm_writev(pid, here, 1, there, 1, 0), -ESRCH);
	return finish();
}
