#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Run one fuzzer: its corpus, then inputs that nobody has seen.

    run.py NAME PROGRAM RUNS [KEEP]

The corpus is corpus/NAME/, a file an input, and corpus/NAME.hex, a line an input in hexadecimal. Then RUNS fresh ones, or as
many as QUIRE_SOAK_MINUTES has room for. An input that fails is kept in the folder KEEP and printed.
"""
import os
import random
import re
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
LONGEST = 60  # seconds for the fresh ones of a short run, on a machine that has other things to do


def unpack(name, folder):
    """The corpus as files; how many."""
    nr = 0
    given = os.path.join(HERE, "corpus", name)
    if os.path.isdir(given):
        for entry in sorted(os.listdir(given)):
            with open(os.path.join(given, entry), "rb") as seed, open(os.path.join(folder, entry), "wb") as copy:
                copy.write(seed.read())
            nr += 1
    if os.path.exists(given + ".hex"):
        with open(given + ".hex", encoding="ascii") as lines:
            for number, line in enumerate(lines, 1):
                line = line.split("#")[0].strip()
                if line:
                    with open(os.path.join(folder, f"line-{number}"), "wb") as copy:
                        copy.write(bytes.fromhex(line))
                    nr += 1
    return nr


def fuzz(program, keep, name, arguments):
    """Run it; its output. Ends the program where something was found."""
    command = [program, f"-artifact_prefix={keep}/fuzz-{name}-", "-rss_limit_mb=3000", "-timeout=60",
               "-print_final_stats=1"] + arguments
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", check=False)
    if done.returncode:
        print(done.stdout[-12000:])
        print(f"fuzzers: {name}: FOUND something: {' '.join(command)}")
        sys.exit(1)
    return done.stdout


def executed(output):
    found = re.search(r"stat::number_of_executed_units: (\d+)", output)
    return int(found.group(1)) if found else 0


def main():
    name, program, runs = sys.argv[1:4]
    keep = sys.argv[4] if len(sys.argv) > 4 else "."
    minutes = os.environ.get("QUIRE_SOAK_MINUTES")
    seed = random.SystemRandom().randrange(1, 1 << 31)
    with tempfile.TemporaryDirectory() as folder:
        corpus, fresh = os.path.join(folder, "corpus"), os.path.join(folder, "fresh")
        os.mkdir(corpus)
        os.mkdir(fresh)
        nr = unpack(name, corpus)
        fuzz(program, keep, name, ["-runs=0", corpus])
        print(f"fuzzers: {name}: seed {seed}", flush=True)
        began = time.monotonic()
        if minutes:
            arguments = [f"-max_total_time={max(1, int(float(minutes) * 60))}"]
        else:
            arguments = [f"-runs={runs}", f"-max_total_time={LONGEST}"]
        output = fuzz(program, keep, name, [f"-seed={seed}", "-max_len=1500", "-len_control=0"] + arguments + [fresh, corpus])
        print(f"fuzzers: {name}: {nr} of the corpus and {executed(output) - nr} fresh inputs in "
              f"{time.monotonic() - began:.0f} s, seed {seed}, nothing found")


if __name__ == "__main__":
    main()
