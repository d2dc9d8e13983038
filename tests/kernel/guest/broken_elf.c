/* SPDX-License-Identifier: MIT */
/*
 * Only under the kernel: this program's own file, with numbers of its headers changed at random and its end cut, executed
 * again and again. It may be refused, die or run; the kernel goes on. An argument is the number of files; another the seed.
 */
#include "show.h"

#include <elf.h>
#include <link.h>
#include <sys/resource.h>
#include <sys/time.h>

#define FILES 200
#define HEADERS 1024 /* bytes: all that the loader looks at */

static uint64_t state;
static unsigned char whole[4 << 20], headers[HEADERS];
static size_t length;

static uint64_t chance(uint64_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state * 0x9e3779b97f4a7c15ull >> 32) % below;
}

static uint64_t number(uint64_t was)
{
	static const uint64_t odd[] = {
		0,
		1,
		2,
		3,
		4095,
		4096,
		65535,
		0x7fffffff,
		0x80000000,
		0xbffff000,
		0xc0000000,
		0xfffff000,
		0xffffffff,
		0x100000000,
		0x7fffffffe000,
		-1ull,
		0x7fffffff0000,
		0x7ffffffff000,
		0x800000000000,
		0xffff800000000000,
		-4096ull,
		1ull << 56,
		1ull << 63,
		0x7fffffffffffffff,
	};

	switch (chance(4)) {
	case 0:
		return was + chance(3) * PAGE - PAGE;
	case 1:
		return was ^ 1ull << chance(64);
	default:
		return odd[chance(sizeof(odd) / sizeof(*odd))];
	}
}

#define CHANGE(field) (field) = (__typeof__(field))number(field)

static void change(void)
{
	ElfW(Ehdr) *header = (void *)headers;
	ElfW(Phdr) *segment = (void *)(headers + sizeof(*header));
	const unsigned count = ((ElfW(Ehdr) *)(void *)whole)->e_phnum;

	segment += chance(count);
	switch (chance(16)) {
	case 0:
		CHANGE(header->e_type);
		break;
	case 1:
		CHANGE(header->e_entry);
		break;
	case 2:
		CHANGE(header->e_phoff);
		break;
	case 3:
		CHANGE(header->e_phnum);
		break;
	case 4:
		CHANGE(header->e_phentsize);
		break;
	case 5:
		header->e_type = ET_DYN;
		break;
	case 6:
		segment->p_type = chance(2) ? PT_INTERP : PT_LOAD;
		break;
	case 7:
		CHANGE(segment->p_flags);
		break;
	case 8:
		CHANGE(segment->p_offset);
		break;
	case 9 ... 10:
		CHANGE(segment->p_vaddr);
		break;
	case 11:
		CHANGE(segment->p_filesz);
		break;
	case 12:
		CHANGE(segment->p_memsz);
		break;
	case 13:
		/* An interpreter: whatever lies there, or this file, whose interpreter is nobody's business. */
		segment->p_type = PT_INTERP;
		segment->p_offset = HEADERS - 16;
		segment->p_filesz = 2 + chance(15);
		memcpy(headers + HEADERS - 16, "/tmp/broken_elf", 16);
		break;
	case 14:
		*segment = ((ElfW(Phdr) *)(void *)(headers + sizeof(*header)))[chance(count)];
		break;
	default:
		headers[chance(sizeof(*header) + count * sizeof(*segment))] ^=
			(unsigned char)(1 << chance(8));
	}
}

static void make_file(int fd)
{
	unsigned changes = 1 + (unsigned)chance(3);
	size_t kept = chance(8) ? length : chance(length);

	memcpy(headers, whole, HEADERS);
	while (changes--)
		change();
	if (kept < length)
		CHECK(ftruncate(fd, (off_t)kept) == 0);
	else
		CHECK(pwrite(fd, headers, HEADERS, 0) == HEADERS);
}

int main(int argc, char **argv)
{
	unsigned files = argc > 1 ? (unsigned)atoi(argv[1]) : FILES, i, ran = 0, refused = 0,
		 died = 0;
	int from = open("/proc/self/exe", O_RDONLY), fd, status;

	if (argc > 1 && !strcmp(argv[1], "changed"))
		return 7;
	state = (argc > 2 ? (uint64_t)atoi(argv[2]) : 1) * 0x2545f4914f6cdd1dull | 1;
	length = (size_t)read(from, whole, sizeof(whole));
	CHECK(length > HEADERS && length < sizeof(whole));
	close(from);
	for (i = 0; i < files; i++) {
		/* Circles end by themselves. */
		const struct itimerval soon = {.it_value.tv_usec = 200000};
		const struct rlimit none = {0, 0};
		pid_t pid;

		fd = open("/tmp/broken_elf", O_RDWR | O_CREAT | O_CLOEXEC, 0700);
		CHECK(fd >= 0 && pwrite(fd, whole, length, 0) == (ssize_t)length);
		make_file(fd);
		close(fd);
		pid = fork();
		if (!pid) {
			char *words[] = {"/tmp/broken_elf", "changed", NULL}, *nothing[] = {NULL};

			setrlimit(RLIMIT_CORE, &none);
			setitimer(ITIMER_REAL, &soon, NULL);
			for (fd = 0; fd < 3; fd++)
				close(fd);
			execve("/tmp/broken_elf", words, nothing);
			_exit(8);
		}
		CHECK(waitpid(pid, &status, 0) == pid);
		ran += WIFEXITED(status) && WEXITSTATUS(status) == 7;
		refused += WIFEXITED(status) && WEXITSTATUS(status) == 8;
		died += WIFSIGNALED(status);
	}
	unlink("/tmp/broken_elf");
	if (argc > 1)
		printf("%u refused, %u died, %u ran\n", refused, died, ran);
	/* If nothing happens to any, nothing is tried. */
	CHECK(refused > files / 10 && died > files / 50 && ran > files / 50);
	printf("the kernel lives\n");
	return 0;
}
