#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Boot the reference kernel in QEMU, run programs under it, and compare what they print with what they print here.

usage: run.py KERNEL PROGRAMS_DIR SOURCE_ROOT CPUS MACHINE [NAME...]

With names, run these of tests/kernel/programs instead, built with gcc, for 32 bits on 32-bit machines.

An initramfs is made of all programs and one process 1 (init.c), which runs them one by one and says on the serial console
what each printed, how it ended, and which counts of memory did not return to what they were. Programs that are not of the
list GUEST_ONLY must print the same under the host's Linux. On 32-bit machines run those that are built for 32 bits; what the same
programs print here, built for 64, is what they must print.

Prints in cmocka's format, so that tests/run.py counts one by one. 77: there is no QEMU.
"""
import difflib
import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile

KERNEL, PROGRAMS, ROOT = (os.path.abspath(path) for path in sys.argv[1:4])
CPUS = int(sys.argv[4])
MACHINE = sys.argv[5]
NAMES = sys.argv[6:]
SUFFIX = "" if MACHINE == "x86_64" else "-32"
sys.path.insert(0, os.path.join(ROOT, "kernel"))

import initramfs  # noqa: E402
import qemu  # noqa: E402

BUSYBOX = initramfs.BUSYBOX
# pae has more than its kernel has addresses for.
MEMORY = "1024" if MACHINE == "pae" else "512" if NAMES else "256"
# One processor is an old one, with tables of four levels; more are new ones, with five, SMEP, SMAP and UMIP.
# Without AVX: there are bytes that QEMU 7.2 takes for such an instruction, and dies of.
PROCESSOR = "qemu64" if CPUS == 1 else "max,avx=off,avx2=off"
# Some get their archive gzip'd.
GZIP = not NAMES and (MACHINE == "i386" or CPUS > 1)
TIMEOUT = 240

# What only makes sense under this kernel, one with high memory, or one that may run out of memory, with what it must print.
GUEST_ONLY = {
    "broken_elf": "the kernel lives\n",
    "high_memory": "high memory has it: 1\nlow memory has no more than 1 MiB of it: 1\n",
    "hostile": "the kernel lives\n",
    "memory_runs_out": "takes all: killed by 9\n" * 2 + "takes all, shared: killed by 9\n"
                       "a file ends with errno 28 after more than 80 MiB\nfiles: exit 0\n",
}

# What a program of tests/kernel/programs ends with where a kernel is too old for the call that it is about.
NOT_HERE = 77


def read(path):
    with open(path, "rb") as f:
        return f.read()


def scripts():
    directory = os.path.join(ROOT, "tests", "kernel", "scripts")
    return [] if SUFFIX or NAMES else sorted(os.path.join(directory, name) for name in os.listdir(directory))


# Where the programs are that this kernel runs, and those that are run here; those of NAMES say the same, built for 32 bits or 64.
HERE = os.path.join(PROGRAMS, "programs", "gcc") if NAMES else PROGRAMS
DIRECTORY = os.path.join(PROGRAMS, "programs", "m32") if NAMES and SUFFIX else HERE


def start(options, image):
    return qemu.run(KERNEL, image, options, MEMORY, CPUS, PROCESSOR, TIMEOUT)


def boot(programs, work):
    files = [("init", read(os.path.join(PROGRAMS, "init" + SUFFIX)), True)]
    links, commands = [], []
    place = "programs/" if NAMES else "bin/"
    for name in programs:
        files.append((place + name, read(os.path.join(DIRECTORY, name if NAMES else name + SUFFIX)), True))
        commands.append("/" + place + name)
    if not SUFFIX:
        shell, links = initramfs.busybox()
        files += shell
    for script in scripts():
        files.append(("bin/" + os.path.basename(script), read(script), True))
        commands.append("/bin/" + os.path.basename(script))
    files.append(("tests", "\n".join(commands).encode() + b"\n", False))
    image = os.path.join(work, "initramfs")
    with open(image, "wb") as f:
        archive = initramfs.archive(files, [l for l in links if l[0] not in {n for n, *_ in files}])
        f.write(gzip.compress(archive, 1) if GZIP else archive)
    return start("selftest", image)


def overflow(image):
    """A kernel's stack that runs over is told of, in no other way."""
    text, status = start("selftest=overflow", image)
    if status == 255 and re.search(r"^kernel panic on CPU \d+: .*double fault", text, re.M) and \
            re.search(r"^  [0-9a-f]+ overflow\S*\+", text, re.M):
        return []
    return [f"QEMU ended with {status}; the console's end:\n" + text[-2000:]]


def on_host(command, work):
    """The same here, with busybox's commands and no others."""
    commands = os.path.join(work, "bin")
    if not os.path.isdir(commands):
        os.mkdir(commands)
        for applet in subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True).stdout.split():
            os.symlink(BUSYBOX, os.path.join(commands, applet))
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
                          cwd="/tmp" if NAMES else "/", env={"PATH": commands, "HOME": "/", "TERM": "linux"})
    return done.stdout.decode(errors="replace"), done.returncode


def section(text, name):
    """(what it printed, wait status, what it left) of one program; None: it never began."""
    found = re.search(rf"^@begin {re.escape(name)}\n(.*?)(?:\n@end {re.escape(name)} (-?\d+)\n|\Z)", text, re.S | re.M)
    if not found:
        return None
    left = re.findall(rf"^@left {re.escape(name)} (.*)$", text, re.M)
    return found[1], None if found[2] is None else int(found[2]), left


def status_of(wait_status):
    return -(wait_status & 0x7f) if wait_status & 0x7f else wait_status >> 8


class Results:
    def __init__(self):
        self.passed, self.failed = 0, 0

    def add(self, name, problems):
        if problems:
            self.failed += 1
            print(f"[  FAILED  ] {name}")
            for problem in problems:
                print("    " + problem.replace("\n", "\n    "))
        else:
            self.passed += 1
            print(f"[       OK ] {name}")


def judge(text, name, command, work):
    got = section(text, name)
    if got is None:
        return ["did not run"]
    output, status, left = got
    problems = [f"left behind: {what}" for what in left]
    if status is None:
        return problems + ["did not end:\n" + output[-3000:]]
    if name in GUEST_ONLY:
        expected, code = GUEST_ONLY[name], 0
        output = re.sub(r"^(quire: warning|out of memory): .*\n", "", output, flags=re.M)
    else:
        expected, code = on_host(command, work)
        if SUFFIX:
            expected = re.sub(r"^64 bits: .*\n", "", expected, flags=re.M)
        if MACHINE == "i386":  # what can be read there can be executed
            expected = expected.replace("without leave: signal 11 code 2 at 0\n", "and must not: 7\n")
    if NAMES and code == NOT_HERE:  # nobody here to compare with
        if status_of(status) not in (0, NOT_HERE):
            problems.append(f"ended with {status_of(status)}, where here it is too old")
        return problems + ([] if output else ["said nothing"])
    if status_of(status) != code:
        problems.append(f"ended with {status_of(status)}, here with {code}")
    if output.rstrip("\n") != expected.rstrip("\n"):
        problems.append("\n".join(difflib.unified_diff(expected.splitlines(), output.splitlines(), "Linux", "Quire",
                                                       lineterm="", n=2)))
    return problems


def programs_of_names():
    directory = os.path.join(ROOT, "tests", "kernel", "programs")
    subprocess.run([sys.executable, os.path.join(directory, "run.py"), "--build", directory,
                    os.path.join(PROGRAMS, "programs")] + NAMES, check=True, stdout=subprocess.DEVNULL)


def main():
    for needed in "qemu-system-x86_64", BUSYBOX:
        if not shutil.which(needed):
            print(f"[  SKIPPED ] 1 test: {needed} is not installed")
            return 77
    if NAMES:
        programs_of_names()
    built = {name for name in os.listdir(PROGRAMS)
             if os.access(os.path.join(PROGRAMS, name), os.X_OK) and os.path.isfile(os.path.join(PROGRAMS, name))}
    programs = sorted(NAMES if NAMES else
                      {name for name in built - {"init", "quire-static"} if not name.endswith("-32") and name + SUFFIX in built})
    if not NAMES:  # pae has much memory to run out of, the others have no high memory
        programs.remove("memory_runs_out" if MACHINE == "pae" else "high_memory")
    results = Results()
    with tempfile.TemporaryDirectory(prefix="quire-kernel-") as work:
        text, status = boot(programs, work)
        if not NAMES:
            results.add("a stack that runs over", overflow(os.path.join(work, "initramfs")))
        for name in programs:
            results.add(name, judge(text, name, [os.path.join(HERE, name)], work))
        for script in scripts():
            name = os.path.basename(script)
            results.add(name, judge(text, name, ["/bin/busybox", "sh", script], work))
    results.add("the kernel's self-tests", [] if "selftest: all passed" in text
                else ["\n".join(line for line in text.splitlines() if line.startswith(("selftest", "kernel panic")))])
    problems = []
    if "@done" not in text or status != 33:
        problems.append(f"QEMU ended with {status}; the console's end:\n" + text[-4000:])
    results.add("the machine is switched off", problems)
    print(f"[  PASSED  ] {results.passed} test(s).")
    if results.failed:
        print(f"[  FAILED  ] {results.failed} test(s).")
    return 1 if results.failed else 0


if __name__ == "__main__":
    sys.exit(main())
