/* SPDX-License-Identifier: MIT */
/* Users and groups: what nobody may become, the saved one, and what a child has. */
#include "say.h"

static const char *all(void)
{
	static char said[64];
	uid_t r, e, s;

	must(getresuid(&r, &e, &s) == 0);
	snprintf(said, sizeof(said), "%s %s %s", r == getuid() ? "same" : "other",
		 e == geteuid() ? "same" : "other", r == s ? "same" : "other");
	return said;
}

static void child(void *arg)
{
	uid_t *ids = arg;

	fact("a child is the same",
	     getuid() == ids[0] && getgid() == ids[1] && geteuid() == ids[0]);
}

int main(void)
{
	uint32_t header[2] = {0x20080522, 0}, caps[6];
	uid_t ids[2];

	drop_rights();
	ids[0] = getuid();
	ids[1] = getgid();
	fact("real and effective are one", geteuid() == getuid() && getegid() == getgid());
	want_text("getresuid", all(), "same same same");
	want("setuid to root", setuid(0), -EPERM);
	want("seteuid", seteuid(0), -EPERM);
	want("setresuid", setresuid(-1, 0, -1), -EPERM);
	want("setreuid", setreuid(0, -1), -EPERM);
	want("setgid", setgid(0), -EPERM);
	want("setresgid", setresgid(0, -1, -1), -EPERM);
	want("to ourselves", setuid(ids[0]) | setresuid(ids[0], -1, ids[0]) | setgid(ids[1]), 0);
	want("no change", setresuid(-1, -1, -1), 0);
	want_end("child", start(child, ids), "exit 0");
	want("a signal to somebody else's process", kill(1, 0), -EPERM);
	want("capabilities", syscall(SYS_capget, header, caps), 0);
	fact("nobody has any", !caps[0] && !caps[3]);
	header[0] = 5;
	want("of an unknown version", syscall(SYS_capget, header, caps), -EINVAL);
	fact("which it then says", header[0] == 0x20080522);
	fact("getgroups", getgroups(0, NULL) >= 0);
	return finish();
}
