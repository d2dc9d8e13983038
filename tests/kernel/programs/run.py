#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Build the programs with two C libraries, run them here, and compare what they say.

usage: run.py [--build] [--all] SOURCE_DIR OUT_DIR NAME...

--build: build, do not run. --all: the names are all there are, and a program that is not among them is a failure.

Each NAME.c becomes OUT_DIR/gcc/NAME (gcc -static), OUT_DIR/musl/NAME where there is musl-gcc, and OUT_DIR/m32/NAME
where gcc -m32 links. All of them must end with status 0 and print the same, twice. Status 77: this kernel is too
old for the call that the program is about; all must agree on that, too. What was compiled from the same text with the
same flags is not compiled again.
"""
import concurrent.futures
import hashlib
import os
import shutil
import subprocess
import sys

FLAGS = ["-std=gnu17", "-O1", "-static", "-pthread", "-Wall", "-Wextra", "-Wshadow", "-Wstrict-prototypes",
         "-Wmissing-prototypes", "-Wno-unused-parameter", "-Werror"]
TIMEOUT_S = 60
NOT_HERE = 77


def linker_works(command, out):
    """Whether that compiler makes a program, and whether the program runs here."""
    if not shutil.which(command[0]):
        return False, False
    probe = os.path.join(out, "probe")
    done = subprocess.run(command + ["-static", "-x", "c", "-", "-o", probe], text=True, capture_output=True,
                          input="#include <stdio.h>\nint main(void) { return puts(\"\") < 0; }\n")
    if done.returncode:
        return False, False
    try:
        return True, subprocess.run([probe], capture_output=True, timeout=TIMEOUT_S).returncode == 0
    except OSError:
        return True, False


def build(command, source, out, name):
    """None, or why it does not build."""
    path = os.path.join(source, name + ".c")
    flags = command + FLAGS
    key = hashlib.sha256(repr(flags).encode())
    for part in path, os.path.join(source, "say.h"):
        with open(part, "rb") as f:
            key.update(f.read())
    program, stamp = os.path.join(out, name), os.path.join(out, name + ".key")
    if os.path.exists(program) and os.path.exists(stamp):
        with open(stamp, encoding="ascii") as f:
            if f.read() == key.hexdigest():
                return None
    done = subprocess.run(flags + [path, "-o", program], text=True, capture_output=True)
    if done.returncode:
        return f"{' '.join(command)}: {name} does not build\n{done.stderr[-3000:]}"
    with open(stamp, "w", encoding="ascii") as f:
        f.write(key.hexdigest())
    return None


def play(program):
    """(status, what it said)."""
    try:
        done = subprocess.run([program], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=TIMEOUT_S, cwd="/tmp", env={"PATH": "/bin"})
    except subprocess.TimeoutExpired as late:
        return f"did not end in {TIMEOUT_S} s", late.stdout or b""
    return done.returncode, done.stdout


def try_one(name, source, compilers, only_build):
    """(failure or None, not here)."""
    for _, command, out, _ in compilers:
        failure = build(command, source, out, name)
        if failure:
            return failure, False
    if only_build:
        return None, False
    first = None
    for label, _, out, runs in compilers * 2:
        if not runs:
            continue
        status, said = play(os.path.join(out, name))
        if status not in (0, NOT_HERE):
            return f"{name} ({label}): status {status}\n{said.decode(errors='replace')[-6000:]}", False
        if not said:
            return f"{name} ({label}) says nothing", False
        if first is None:
            first = status, said
        elif first != (status, said):
            return (f"{name} ({label}) says something else\n{said.decode(errors='replace')}--- instead of ---\n"
                    f"{first[1].decode(errors='replace')}"), False
    return None, first[0] == NOT_HERE


def main():
    source, out, *names = [arg for arg in sys.argv[1:] if not arg.startswith("--")]
    source, out, compilers = os.path.abspath(source), os.path.abspath(out), []
    for label, command in ("gcc", ["gcc"]), ("musl", ["musl-gcc"]), ("m32", ["gcc", "-m32"]):
        directory = os.path.join(out, label)
        os.makedirs(directory, exist_ok=True)
        links, runs = linker_works(command, directory)
        if links:
            compilers.append((label, command, directory, runs))
        print(f"{' '.join(command)}: " + ("built and run" if runs else "built, cannot run here" if links else "not here"))
    listed = {name[:-2] for name in os.listdir(source) if name.endswith(".c")}
    failures = [f"{name}.c is not in the list" for name in sorted(listed - set(names))] if "--all" in sys.argv else []
    if not any(label == "gcc" for label, *_ in compilers):
        failures.append("gcc -static makes no program")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = {name: pool.submit(try_one, name, source, compilers, "--build" in sys.argv) for name in names}
        absent = []
        for name, job in jobs.items():
            failure, is_absent = job.result()
            if failure:
                failures.append(failure)
            if is_absent:
                absent.append(name)
    for failure in failures:
        print("NOT OK: " + failure)
    if absent:
        print(f"this kernel is too old for: {', '.join(absent)}")
    print(f"{len(names)} programs, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
