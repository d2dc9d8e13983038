#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Build the configurations that matter and run the suite in each.

Called by `make test` and `make soak`. Every configuration is a Meson build directory of its own
below build-test/, so that a second run only rebuilds what changed. The last line is
`N passed, N failed`, with `, N skipped` when something could not run here: a cmocka test counts one by
one, any other program as one.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# name, compiler, meson options, meson test arguments
CONFIGURATIONS = [
    ("debug", "gcc", ["--buildtype=debugoptimized", "-Dchecks=enabled",
                      "-Db_sanitize=address,undefined", "-Dbench=false"], ["--no-suite", "release"]),
    ("release", "gcc", ["--buildtype=release", "-Dchecks=disabled"], ["--no-suite", "debug"]),
    ("clang", "clang-14", ["--buildtype=debugoptimized", "-Dchecks=enabled", "-Dbench=false"],
     ["--suite", "unit"]),
    ("threads", "gcc", ["--buildtype=debugoptimized", "-Dchecks=enabled", "-Db_sanitize=thread",
                        "-Dbench=false"], ["--suite", "threads"]),
]

PASSED = re.compile(r"\[  PASSED  \] (\d+) test")
FAILED = re.compile(r"\[  FAILED  \] (\d+) test")
SKIPPED = re.compile(r"\[  SKIPPED \] (\d+) test")


def run(command, **kwargs):
    return subprocess.run(command, cwd=ROOT, text=True, stdin=subprocess.DEVNULL, **kwargs)


def build(name, compiler, options):
    """Configure and build; the output is shown only if it fails."""
    directory = os.path.join(ROOT, "build-test", name)
    if not os.path.exists(os.path.join(directory, "build.ninja")):
        os.makedirs(directory, exist_ok=True)
        env = dict(os.environ, CC=compiler)
        done = run(["meson", "setup", directory] + options, env=env, capture_output=True)
        if done.returncode:
            print(done.stdout + done.stderr)
            return None
    done = run(["ninja", "-C", directory], capture_output=True)
    if done.returncode:
        print(done.stdout[-8000:] + done.stderr[-4000:])
        return None
    return directory


def count(result):
    """(passed, failed, skipped) of one program, from its cmocka output if it has one."""
    text = result.get("stdout", "") + result.get("stderr", "")
    passed = sum(map(int, PASSED.findall(text)))
    failed = sum(map(int, FAILED.findall(text)))
    skipped = sum(map(int, SKIPPED.findall(text)))
    if result["result"] == "SKIP":
        return 0, 0, max(skipped, 1)
    if result["result"] in ("OK", "EXPECTEDFAIL"):
        return (max(passed, 1), 0, skipped) if not failed else (passed, failed, skipped)
    return passed, max(failed, 1), skipped


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--soak", action="store_true", help="the long campaign")
    parser.add_argument("--only", metavar="NAME", help="one configuration: debug, release, clang, threads")
    args = parser.parse_args()

    total = [0, 0, 0]
    for name, compiler, options, selection in CONFIGURATIONS:
        if args.only and name != args.only:
            continue
        began = time.monotonic()
        directory = build(name, compiler, options)
        if not directory:
            print(f"{name}: does not build")
            total[1] += 1
            continue
        built = time.monotonic()
        log = os.path.join(directory, "meson-logs", "testlog.json")
        if os.path.exists(log):
            os.remove(log)
        command = ["meson", "test", "-C", directory, "--no-rebuild", "--quiet"] + selection
        if args.soak:
            command += ["--setup", "soak"]
        done = run(command, capture_output=True)
        if not os.path.exists(log):
            print(done.stdout[-4000:] + done.stderr[-4000:])
            print(f"{name}: the tests did not run")
            total[1] += 1
            continue
        here = [0, 0, 0]
        with open(log, encoding="utf-8") as lines:
            for line in lines:
                result = json.loads(line)
                counts = count(result)
                here = [a + b for a, b in zip(here, counts)]
                if counts[1]:
                    print(f"--- {name}: {result['name']}: {result['result']}")
                    print((result.get("stdout", "") + result.get("stderr", ""))[-6000:])
                elif counts[2]:
                    print(f"{name}: {result['name']}: {counts[2]} skipped")
        if sum(here) == 0:
            print(f"{name}: no test ran")
            here[1] += 1
        total = [a + b for a, b in zip(total, here)]
        print(f"{name}: {here[0]} passed, {here[1]} failed, {here[2]} skipped "
              f"(build {built - began:.0f} s, tests {time.monotonic() - built:.0f} s)", flush=True)
    print(f"{total[0]} passed, {total[1]} failed" + (f", {total[2]} skipped" if total[2] else ""))
    return 1 if total[1] or not total[0] else 0


if __name__ == "__main__":
    sys.exit(main())
