#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The written rounds of tests/linux/cases: on Linux, in Quire, and as C programs.

usage: cases.py QUIRE FOLDER [--programs]

Every case must begin with a comment, give the same on both sides and do what it says. With --programs each is
also printed as a C program, compiled as a stranger would do it, and run: it must print what Linux said to the judge.
"""
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


def program(path):
    """What is wrong with the C program of a case; None: nothing."""
    name = os.path.basename(path)
    printed = run([QUIRE, "fuzz", "--case", "--print-c", path])
    if printed.returncode:
        return f"{name}: --print-c: status {printed.returncode}\n{printed.stdout[-2000:]}{printed.stderr}"
    with tempfile.TemporaryDirectory() as tmp:
        # Nobody in particular starts it.
        os.chmod(tmp, 0o755)
        source, binary = os.path.join(tmp, "program.c"), os.path.join(tmp, "program")
        with open(source, "w", encoding="utf-8") as f:
            f.write(printed.stdout)
        done = run(["gcc", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror", "-O1", "-static", "-no-pie",
                    source, "-o", binary])
        if done.returncode:
            return f"{name}: the program does not compile\n{done.stderr[-3000:]}"
        done = run([binary])
    said = re.findall(r"^\t/\* -> (.*) \*/$", printed.stdout, re.M)
    says = [line for line in done.stdout.splitlines() if not re.match(r"p\d maps ", line)]
    if done.returncode or said != says or not said:
        different = [f"  judge: {a}\n  program: {b}" for a, b in zip(said, says) if a != b][:3]
        return "\n".join([f"{name}: the program ends with {done.returncode}, prints {len(says)} answers for {len(said)}"]
                         + different + [done.stderr[-500:]])
    return None


def main():
    paths = sorted(glob.glob(os.path.join(FOLDER, "*.case")))
    failures = []
    if len(paths) < 40:
        failures.append(f"only {len(paths)} cases in {FOLDER}")
    for path in paths:
        with open(path, encoding="utf-8") as f:
            if not re.match(r"# \S", f.readline()):
                failures.append(f"{path}: the first line does not say what the case shows")
    done = run([QUIRE, "fuzz", "--case"] + paths)
    print(done.stdout + done.stderr, end="")
    if done.returncode == SKIPPED:
        return SKIPPED
    if done.returncode or not done.stdout.endswith(" 0 failed\n"):
        failures.append(f"quire fuzz --case: status {done.returncode}")
    if "--programs" in sys.argv[3:]:
        with ThreadPoolExecutor(2) as pool:
            wrong = [w for w in pool.map(program, paths) if w]
        print(f"programs: {len(paths)} compiled and run, {len(wrong)} failed")
        failures += wrong
    print("\n".join(failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
