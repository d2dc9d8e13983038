#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Play random rounds on Linux and in Quire for the suite: steps that are the same each time, and steps that nobody has seen.

usage: fuzz.py QUIRE STEPS

STEPS compared steps in all, half of them over a fixed seed. In a soak (QUIRE_SOAK_MINUTES) fresh ones alone, for
that long. A difference is made small and printed, and what has been compared until then stands in the last line. Exit
status as quire fuzz: 77 where the host forbids a call that is needed.
"""
import fcntl
import os
import re
import signal
import subprocess
import sys
import time

FIXED_SEED = 1
SETTINGS = ["/proc/sys/vm/overcommit_" + name for name in ("memory", "ratio", "kbytes")] + ["/proc/sys/vm/max_map_count"]


def read_settings():
    said = []
    for name in SETTINGS:
        with open(name, encoding="ascii") as f:
            said.append(f.read().strip())
    return said


def settings():
    """What rounds may have otherwise, of the host: as it is while none does."""
    with open(SETTINGS[0], encoding="ascii") as f:
        fcntl.flock(f, fcntl.LOCK_SH)
        return read_settings()


def killed(quire, before):
    """In the middle of rounds that change the host's settings all of the tool dies: they are what they were all the same."""
    tool = subprocess.Popen([quire, "fuzz", "--quiet", "--profile", "overcommit", "--jobs", "1", "--seconds", "10"],
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
    changed = False
    while not changed and tool.poll() is None:
        changed = read_settings() != before
        time.sleep(0.001)
    if not changed:
        print("fuzz: the host's overcommit cannot be set here")
        return True
    os.killpg(tool.pid, signal.SIGKILL)
    tool.wait()
    return settings() == before


def play(quire, arguments):
    """One run: its exit status, compared steps."""
    done = subprocess.run([quire, "fuzz", "--quiet", "--minimize"] + arguments, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE)
    print(done.stdout, end="", flush=True)
    compared = re.search(r"(\d+) steps compared", done.stdout)
    return done.returncode, int(compared.group(1)) if compared else 0


def main():
    quire, steps = sys.argv[1], int(sys.argv[2])
    minutes = os.environ.get("QUIRE_SOAK_MINUTES")
    if minutes:
        runs = [["--seconds", str(max(1, int(float(minutes) * 60)))]]
    else:
        runs = [["--seed", str(FIXED_SEED), "--steps", str(steps // 2)], ["--steps", str(steps - steps // 2)]]
    total = 0
    before = settings()
    for arguments in runs:
        status, compared = play(quire, arguments)
        total += compared
        if status:
            return status
    if not killed(quire, before) or settings() != before:
        print(f"fuzz: the host's settings were {before}, and are {settings()}")
        return 1
    print(f"fuzz: {total} steps compared, 0 differences")
    return 0


if __name__ == "__main__":
    sys.exit(main())
