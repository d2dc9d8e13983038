#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Play random rounds on Linux and in Quire for the suite: steps that are the same each time, and steps that nobody has seen.

usage: fuzz.py QUIRE STEPS

STEPS compared steps in all, half of them over a fixed seed. In a soak (QUIRE_SOAK_MINUTES) fresh ones alone, for
that long. A difference is made small and printed, and what has been compared until then stands in the last line. Exit
status as quire fuzz: 77 where the host forbids a call that is needed.
"""
import os
import re
import subprocess
import sys

FIXED_SEED = 1


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
    for arguments in runs:
        status, compared = play(quire, arguments)
        total += compared
        if status:
            return status
    print(f"fuzz: {total} steps compared, 0 differences")
    return 0


if __name__ == "__main__":
    sys.exit(main())
