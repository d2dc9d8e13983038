/* SPDX-License-Identifier: MIT */
/* What execve hands on: arguments, environment, auxiliary vector, where they are, and how many fit. */
#include "say.h"
#include <elf.h>
#include <link.h>

extern char **environ;

/* This program by a name of more than a page's sixteenth. */
static const char *long_name(void)
{
	static char name[1000] = "/proc/self";
	size_t n = strlen("/proc/self");

	while (n < 900)
		n += (size_t)sprintf(name + n, "/.");
	sprintf(name + n, "/exe");
	return name;
}

static unsigned long auxiliary(unsigned long type, int *found)
{
	char **p = environ;
	ElfW(auxv_t) * a;

	while (*p)
		p++;
	for (a = (ElfW(auxv_t) *)(p + 1); a->a_type != AT_NULL; a++) {
		if (a->a_type == type) {
			*found = 1;
			return a->a_un.a_val;
		}
	}
	*found = 0;
	return 0;
}

static int second(int argc, char **argv)
{
	int found, i, ok = 1;
	unsigned long value;
	unsigned char *random;

	want("arguments", argc, 5);
	for (i = 0; i < argc && i < 4; i++)
		say("argument %d: \"%s\"", i, argv[i]);
	want("length of the last", (long)strlen(argv[4]), 100000);
	for (i = 0; i < 100000; i++)
		ok = ok && argv[4][i] == (char)('a' + i % 26);
	fact("all of it", ok);
	fact("a null pointer behind it", argv[argc] == NULL && environ == argv + argc + 1);
	for (i = 0; environ[i]; i++)
		say("environment %d: \"%s\"", i, environ[i]);
	fact("the texts are behind the vectors, in order",
	     argv[0] > (char *)environ && argv[1] == argv[0] + strlen(argv[0]) + 1 &&
		     environ[0] > argv[4]);

	want("AT_PAGESZ", auxiliary(AT_PAGESZ, &found), PAGE);
	want("AT_CLKTCK", auxiliary(AT_CLKTCK, &found), 100);
	fact("AT_PHENT", auxiliary(AT_PHENT, &found) == sizeof(ElfW(Phdr)));
	value = auxiliary(AT_PHDR, &found);
	fact("AT_PHDR is this program's",
	     found && value % PAGE == sizeof(ElfW(Ehdr)) &&
		     !memcmp((char *)value - sizeof(ElfW(Ehdr)), ELFMAG, 4));
	fact("AT_PHNUM too",
	     auxiliary(AT_PHNUM, &found) == ((ElfW(Ehdr) *)(value - sizeof(ElfW(Ehdr))))->e_phnum);
	fact("AT_ENTRY",
	     auxiliary(AT_ENTRY, &found) == ((ElfW(Ehdr) *)(value - sizeof(ElfW(Ehdr))))->e_entry);
	want("AT_BASE of a static program", auxiliary(AT_BASE, &found), 0);
	want("AT_SECURE", auxiliary(AT_SECURE, &found), 0);
	fact("AT_UID and the others", auxiliary(AT_UID, &found) == getuid() &&
					      auxiliary(AT_EUID, &found) == geteuid() &&
					      auxiliary(AT_GID, &found) == getgid() &&
					      auxiliary(AT_EGID, &found) == getegid());
	random = (unsigned char *)auxiliary(AT_RANDOM, &found);
	fact("AT_RANDOM: sixteen bytes, not all the same",
	     found && !all_are((char *)random, 16, random[0]));
	fact("AT_EXECFN is the name, all of it", !strcmp((char *)auxiliary(AT_EXECFN, &found), long_name()));
	auxiliary(AT_HWCAP, &found);
	fact("AT_HWCAP is there", found);
	fact("AT_PLATFORM is a text", strlen((char *)auxiliary(AT_PLATFORM, &found)) > 3 && found);
	fact("AT_SYSINFO_EHDR, if it is there, is an ELF file",
	     (value = auxiliary(AT_SYSINFO_EHDR, &found)) == 0 ||
		     !memcmp((char *)value, ELFMAG, 4));
	fact("argc is at a multiple of sixteen", (uintptr_t)(argv - 1) % 16 == 0);
	return finish();
}

int main(int argc, char **argv)
{
	static char longest[100001];
	char *args[] = {"exec args", "", "two words", "three", longest, NULL};
	char *env[] = {"A=1", "EMPTY=", "B=x=y", "no equals sign", NULL};
	int i;

	if (argc > 1)
		return second(argc, argv);
	for (i = 0; i < 100000; i++)
		longest[i] = (char)('a' + i % 26);
	execve(long_name(), args, env);
	must(!"execve");
	return 1;
}
