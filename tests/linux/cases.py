#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The written rounds of tests/linux/cases: on Linux, in Quire, and as C programs.

usage: cases.py QUIRE FOLDER [--programs] [--differences FOLDER]

Every case must begin with a comment, give the same on both sides and do what it says. With --programs each is
also printed as a C program, compiled as a stranger would do it, and run: it must print what Linux said to the judge.
The differences are cases of which docs/conformance.md says that Quire answers otherwise: Linux, as a C program, must do what
the case says, and Quire must not.
"""
import fcntl
import glob
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

QUIRE, FOLDER = sys.argv[1:3]
SKIPPED = 77


def run(command, **kwargs):
    return subprocess.run(command, text=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, **kwargs)


def compile_and_run(name, text):
    """(what is wrong, None), or (None, the finished process)."""
    with tempfile.TemporaryDirectory() as tmp:
        # Nobody in particular starts it.
        os.chmod(tmp, 0o755)
        source, binary = os.path.join(tmp, "program.c"), os.path.join(tmp, "program")
        with open(source, "w", encoding="utf-8") as f:
            f.write(text)
        done = run(["gcc", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror", "-O1", "-static", "-no-pie",
                    source, "-o", binary])
        if done.returncode:
            return f"{name}: the program does not compile\n{done.stderr[-3000:]}", None
        return None, run([binary])


def program(path):
    """What is wrong with the C program of a case; None: nothing."""
    name = os.path.basename(path)
    printed = run([QUIRE, "fuzz", "--case", "--print-c", path])
    if printed.returncode:
        return f"{name}: --print-c: status {printed.returncode}\n{printed.stdout[-2000:]}{printed.stderr}"
    wrong, done = compile_and_run(name, printed.stdout)
    if wrong:
        return wrong
    said = re.findall(r"^\t/\* -> (.*) \*/$", printed.stdout, re.M)
    says = [line for line in done.stdout.splitlines() if not re.match(r"p\d maps ", line)]
    if done.returncode or said != says or not said:
        different = [f"  judge: {a}\n  program: {b}" for a, b in zip(said, says) if a != b][:3]
        return "\n".join([f"{name}: the program ends with {done.returncode}, prints {len(says)} answers for {len(said)}"]
                         + different + [done.stderr[-500:]])
    return None


def difference(path):
    """What is wrong with a difference; None: it still is one."""
    name = os.path.basename(path)
    printed = run([QUIRE, "fuzz", "--case", "--print-c", path])
    if printed.returncode != 1:
        return f"{name}: no difference any more, or cannot be played: status {printed.returncode}\n{printed.stderr}"
    wrong, done = compile_and_run(name, printed.stdout)
    if wrong:
        return wrong
    # Errors and signals are written alike in both; addresses are not.
    expected = re.findall(r"^\t/\* p\d \w+\(.*\)(?: = (\w+))?.*? \*/$", printed.stdout, re.M)
    for said, line in zip(expected, done.stdout.splitlines()):
        if re.match(r"[A-Z]", said) and not re.search(rf"[=:] {said}\b", line):
            return f"{name}: Linux does not do what the case says: {line} instead of {said}"
    if not expected or done.returncode:
        return f"{name}: the program ends with {done.returncode}"
    return minimized(path) if "differs" in printed.stderr else None


def minimized(path):
    """A round that differs is made small by itself: here two calls are left, and they still differ."""
    name = os.path.basename(path)
    done = run([QUIRE, "fuzz", "--case", "--minimize", path])
    text = re.search(r"^--- a difference\n(.*?)^--- ", done.stdout, re.M | re.S)
    steps = re.findall(r"^p\d \w+\(.*$", text[1], re.M) if text else []
    if done.returncode != 1 or len(steps) != 2 or "#define _GNU_SOURCE" not in done.stdout:
        return f"{name}: --minimize: status {done.returncode}\n{done.stdout[:2000]}{done.stderr}"
    with tempfile.NamedTemporaryFile("w", suffix=".case", encoding="utf-8") as f:
        f.write(re.sub(r"^(?!#|p\d |limits|no_random).*\n", "", text[1], flags=re.M))
        f.flush()
        again = run([QUIRE, "fuzz", "--case", f.name])
    return None if again.returncode == 1 else f"{name}: what --minimize leaves does not differ\n{again.stdout}{again.stderr}"


# More than the machine has, and than may be asked of the host.
TOO_MUCH = """p0 mmap(w, 2G, READ|WRITE, SHARED|FIXED|ANONYMOUS, -1, 0)
p0 remap_file_pages(w, 2G, NONE, 1, 0)
p0 madvise(w, 2G, POPULATE_READ)
p0 madvise(w, 2G, GUARD_INSTALL)
p0 mmap(w, 2G, READ, PRIVATE|FIXED|ANONYMOUS|POPULATE, -1, 0)
"""


def left_out():
    """What would fill the host's memory is not made on either side: what is wrong, or None."""
    for line in TOO_MUCH.splitlines()[1:]:
        with tempfile.NamedTemporaryFile("w", suffix=".case", encoding="utf-8") as f:
            f.write(TOO_MUCH.splitlines()[0] + "\n" + line + "\n")
            f.flush()
            done = run([QUIRE, "fuzz", "--case", f.name])
        if done.returncode != 1 or not re.search(r"^  1 p0 \w+: not made$", done.stderr, re.M):
            return f"{line} is made: status {done.returncode}\n{done.stderr}"
    return None


def overcommit():
    """The host's settings; and may they be set?"""
    names = ["/proc/sys/vm/overcommit_" + name for name in ("memory", "ratio", "kbytes")]
    with open(names[0], encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        before = [open(name, encoding="ascii").read() for name in names]
        try:
            with open(names[0], "w", encoding="ascii") as f:
                f.write(before[0])
        except OSError:
            return before, False
    return before, before[0].strip() != "2"


def main():
    settings, may_set = overcommit()
    paths = sorted(glob.glob(os.path.join(FOLDER, "*.case")))
    failures = []
    if len(paths) < 40:
        failures.append(f"only {len(paths)} cases in {FOLDER}")
    for path in paths:
        with open(path, encoding="utf-8") as f:
            if not re.match(r"# \S", f.readline()):
                failures.append(f"{path}: the first line does not say what the case shows")
    host_wide = [p for p in paths if re.search("^overcommit ", open(p, encoding="utf-8").read(), re.M)]
    if not may_set:
        paths = [p for p in paths if p not in host_wide]
        print(f"cases: {len(host_wide)} left out: the host's overcommit cannot be set")
    done = run([QUIRE, "fuzz", "--case"] + paths)
    print(done.stdout + done.stderr, end="")
    if done.returncode == SKIPPED:
        return SKIPPED
    if done.returncode or not done.stdout.endswith(" 0 failed\n"):
        failures.append(f"quire fuzz --case: status {done.returncode}")
    failures += filter(None, [left_out()])
    if overcommit()[0] != settings:
        failures.append(f"the host's overcommit is not what it was: {settings}")
    if "--programs" in sys.argv[3:]:
        # Not a program's to set.
        paths = [p for p in paths if p not in host_wide]
        with ThreadPoolExecutor(2) as pool:
            wrong = [w for w in pool.map(program, paths) if w]
        print(f"programs: {len(paths)} compiled and run, {len(wrong)} failed")
        failures += wrong
    if "--differences" in sys.argv[3:]:
        paths = sorted(glob.glob(os.path.join(sys.argv[sys.argv.index("--differences") + 1], "*.case")))
        wrong = [w for w in map(difference, paths) if w]
        print(f"differences: {len(paths)} looked at, {len(wrong)} failed")
        failures += wrong
    print("\n".join(failures[:10]))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
