/* SPDX-License-Identifier: MIT */
/* getrlimit, setrlimit, prlimit: the two limits, who may raise which, who inherits them. */
#include "say.h"
#include <sys/resource.h>

static void child(void *arg)
{
	struct rlimit limit;

	must(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	fact("a child has them", limit.rlim_cur == 50 && limit.rlim_max == 60);
}

static void file_size(void *arg)
{
	struct rlimit limit = {5000, 5000};
	int fd = file_of(0);
	char text[4096] = "";

	must(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	signal(SIGXFSZ, SIG_IGN);
	want("up to a file's size", write(fd, text, 4096), 4096);
	want("as far as it goes", write(fd, text, 4096), 904);
	want("not beyond", write(fd, text, 1), -EFBIG);
	want("nor by ftruncate", ftruncate(fd, 5001), -EFBIG);
	signal(SIGXFSZ, SIG_DFL);
	write(fd, text, 1);
}

int main(void)
{
	struct rlimit limit, now;

	drop_rights();
	must(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	fact("the soft limit is no higher than the hard one", limit.rlim_cur <= limit.rlim_max);
	limit = (struct rlimit){50, 60};
	want("lower", setrlimit(RLIMIT_NOFILE, &limit), 0);
	must(getrlimit(RLIMIT_NOFILE, &now) == 0);
	fact("they are so", now.rlim_cur == 50 && now.rlim_max == 60);
	limit.rlim_cur = 60;
	want("the soft one up to the hard one", setrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = 61;
	want("beyond it", setrlimit(RLIMIT_NOFILE, &limit), -EINVAL);
	limit = (struct rlimit){50, 61};
	want("the hard one higher", setrlimit(RLIMIT_NOFILE, &limit), -EPERM);
	limit.rlim_max = 60;
	want("prlimit: both at once", prlimit(0, RLIMIT_NOFILE, &limit, &now), 0);
	fact("the old ones", now.rlim_cur == 60 && now.rlim_max == 60);
	want_end("child", start(child, NULL), "exit 0");
	must(getrlimit(RLIMIT_STACK, &limit) == 0);
	fact("the stack has one", limit.rlim_cur >= 1 << 20);
	want("of a child that is not there", prlimit(0x3fffffff, RLIMIT_NOFILE, NULL, &now),
	     -ESRCH);
	want("no such limit", getrlimit(77, &limit), -EINVAL);
	want_end("a file's size", start(file_size, NULL), "SIGXFSZ");
	return finish();
}
