#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Build the configurations that matter and run the suite in each.

Called by `make test` and `make soak`. Every configuration is a Meson build directory of its own
below build-test/, so that a second run only rebuilds what changed.

`make test`: the last line is `N passed, N failed`, with `, N skipped` when something could not run
here: a cmocka test counts one by one, any other program as one.

`make soak MINUTES=60`: what can go on for as long as it is let, section by section; SECTIONS says what runs when, and for
which part of the time. A program is told its own part by QUIRE_SOAK_MINUTES; the last line that it prints of
the form `name: ...` becomes its section's line. These lines end the run.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# name, compiler, meson options, meson test arguments. Where these name suites of which only few programs are part, as
# under ThreadSanitizer, nothing else is built there; the other configurations build whatever there is.
FEW = {"pages-16k": "pages", "pages-64k": "pages", "threads": "threads", "kernel": "kernel-checks"}
# Lines are enough for a sanitizer's report (-g1), and take an eighth less time to compile than all there is to say.
CONFIGURATIONS = [
    ("debug", "gcc", ["--buildtype=debugoptimized", "-Dchecks=enabled",
                      "-Db_sanitize=address,undefined", "-Dbench=false", "-Dc_args=-g1"],
     ["--no-suite", "release", "--no-suite", "formats", "--no-suite", "museum",
      "--no-suite", "failure-levels"]),
    ("release", "gcc", ["--buildtype=release", "-Dchecks=disabled"], ["--no-suite", "debug", "--no-suite", "formats"]),
    ("clang", "clang-14", ["--buildtype=debugoptimized", "-Doptimization=1", "-Dchecks=enabled",
                           "-Dbench=false", "-Dkernel=disabled", "-Dc_args=-g1"],
     ["--suite", "unit", "--suite", "fuzzers", "--suite", "museum", "--suite", "formats"]),
    # AArch64's other granules.
    ("pages-16k", "gcc", ["--buildtype=debugoptimized", "-Doptimization=1", "-Dchecks=enabled", "-Dbench=false",
                          "-Dpage_shift=14", "-Dc_args=-g1"],
     ["--suite", "pages"]),
    ("pages-64k", "gcc", ["--buildtype=debugoptimized", "-Doptimization=1", "-Dchecks=enabled", "-Dbench=false",
                          "-Dpage_shift=16", "-Dc_args=-g1"],
     ["--suite", "pages"]),
    ("threads", "gcc", ["--buildtype=debugoptimized", "-Dchecks=enabled", "-Db_sanitize=thread",
                        "-Dbench=false", "-Dc_args=-g1"], ["--suite", "threads"]),
    ("kernel", "gcc", ["--buildtype=debugoptimized", "-Dchecks=enabled", "-Dbench=false", "-Dc_args=-g1"],
     ["--suite", "kernel-checks"]),
]

# Sections of a soak, in the order of their stages; those of one stage run at the same time. Section, suite,
# a pattern for the tests' names, the configurations that it runs in: the first that has any such test.
STAGES = [
    (30, [("fuzz", "fuzz", "", ("release", "debug"))]),
    (15, [("model", "model", "", ("clang", "release", "debug")),
          ("explorer", "explorer", "", ("debug", "clang", "release"))]),
    (10, [("failure", "failure", "", ("debug", "clang")),
          ("levels", "failure-levels", "", ("debug",)),
          ("museum", "museum", "", ("clang", "debug", "release"))]),
    (20, [("threads", "threads", "^threads-", ("threads", "debug"))]),
    (15, [("kernel", "kernel-fuzz", "", ("release",))]),
    (25, [("fuzzers", "fuzzers", "", ("clang",))]),
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
    # What there is to build may have changed since meson last looked.
    done = run(["ninja", "-C", directory, "build.ninja"], capture_output=True)
    if not done.returncode:
        done = run(["ninja", "-C", directory] + (files_of(directory, FEW[name]) if name in FEW else []), capture_output=True)
    if done.returncode:
        print(done.stdout[-8000:] + done.stderr[-4000:])
        return None
    return directory


def introspect(directory, what):
    return json.loads(run(["meson", "introspect", what, directory], capture_output=True).stdout)


def suites_of(test):
    return [s.split(":")[-1] for s in test["suite"]]


def files_of(directory, suite):
    """What the tests of a suite run, relative to the directory."""
    needed = {name for test in introspect(directory, "--tests") if suite in suites_of(test) for name in test["depends"]}
    return sorted(os.path.relpath(name, directory) for target in introspect(directory, "--targets")
                  if target["id"] in needed for name in target["filename"])


def read_log(name):
    """What meson wrote down of the tests that it ran."""
    with open(name, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def output_of(result):
    return result.get("stdout", "") + result.get("stderr", "")


def count(result):
    """(passed, failed, skipped) of one program, from its cmocka output if it has one."""
    text = output_of(result)
    passed = sum(map(int, PASSED.findall(text)))
    failed = sum(map(int, FAILED.findall(text)))
    skipped = sum(map(int, SKIPPED.findall(text)))
    if result["result"] == "SKIP":
        return 0, 0, max(skipped, 1)
    if result["result"] in ("OK", "EXPECTEDFAIL"):
        return (max(passed, 1), 0, skipped) if not failed else (passed, failed, skipped)
    return passed, max(failed, 1), skipped


def test_all(only):
    """The suite in each configuration. True: nothing failed."""
    total = [0, 0, 0]
    for name, compiler, options, selection in CONFIGURATIONS:
        if only and name != only:
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
        done = run(["meson", "test", "-C", directory, "--no-rebuild", "--quiet"] + selection, capture_output=True)
        if not os.path.exists(log):
            print(done.stdout[-4000:] + done.stderr[-4000:])
            print(f"{name}: the tests did not run")
            total[1] += 1
            continue
        here = [0, 0, 0]
        for result in read_log(log):
            counts = count(result)
            here = [a + b for a, b in zip(here, counts)]
            if counts[1]:
                print(f"--- {name}: {result['name']}: {result['result']}")
                print(output_of(result)[-6000:])
            elif counts[2]:
                print(f"{name}: {result['name']}: {counts[2]} skipped")
        if sum(here) == 0:
            print(f"{name}: no test ran")
            here[1] += 1
        total = [a + b for a, b in zip(total, here)]
        print(f"{name}: {here[0]} passed, {here[1]} failed, {here[2]} skipped "
              f"(build {built - began:.0f} s, tests {time.monotonic() - built:.0f} s)", flush=True)
    print(f"{total[0]} passed, {total[1]} failed" + (f", {total[2]} skipped" if total[2] else ""))
    return not total[1] and total[0] > 0


# ---- Soak ------------------------------------------------------------------------------------


class Section:
    """A section at work: the programs of one suite, told for how long."""

    def __init__(self, name, suite, pattern, configurations, minutes):
        self.name = name
        self.directory, self.tests = None, []
        for configuration in configurations:
            directory = built_for(configuration)
            self.tests = tests_of(directory, suite, pattern, NOT_IN.get(configuration)) if directory else []
            if self.tests:
                self.directory = directory
                break
        self.process = None
        if not self.tests:
            return
        # As many at a time as there are processors; each gets its part of the section's time.
        jobs = min(len(self.tests), os.cpu_count() or 1)
        share = minutes * jobs / len(self.tests)
        print(f"{name}: {', '.join(self.tests)}: {share:.1f} minutes{' each' if len(self.tests) > 1 else ''}", flush=True)
        self.log = os.path.join(self.directory, "meson-logs", f"testlog-{name}")
        for end in ".json", ".txt", ".junit.xml":
            if os.path.exists(self.log + end):
                os.remove(self.log + end)
        self.process = subprocess.Popen(
            ["meson", "test", "-C", self.directory, "--no-rebuild", "--quiet", "--timeout-multiplier", "0",
             "--num-processes", str(jobs), "--logbase", os.path.basename(self.log)] + self.tests,
            cwd=ROOT, env=dict(os.environ, QUIRE_SOAK_MINUTES=f"{share:.2f}"), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def end(self):
        """Wait for it; its lines."""
        if not self.tests:
            return False, [f"{self.name}: not here"]
        said = self.process.communicate()[0]
        results = read_log(self.log + ".json") if os.path.exists(self.log + ".json") else []
        failed, lines = len(results) < len(self.tests), []
        if failed:
            print(said[-4000:])
            lines.append(f"{self.name}: FAILED: {len(self.tests) - len(results)} did not run")
        for result in results:
            passed, bad, skipped = count(result)
            what = summary(self.name, result)
            if bad:
                failed = True
                print(f"--- {self.name}: {result['name']}: {result['result']}")
                print(output_of(result)[-20000:])
                what = "FAILED: " + what
            elif skipped and not passed:
                what = "skipped: " + what
            lines.append(f"{self.name}: {what}")
        return failed, lines


def built_for(name, directories={}):
    """The build directory of that configuration, made when it is first asked for."""
    if name not in directories:
        for configuration, compiler, options, _ in CONFIGURATIONS:
            if configuration == name:
                directories[name] = build(configuration, compiler, options)
    return directories.get(name)


# As `make test` has it: a configuration, the suite that it leaves to another.
NOT_IN = {"debug": "release", "release": "debug"}


def tests_of(directory, suite, pattern, without):
    names = set()
    for test in introspect(directory, "--tests"):
        suites = suites_of(test)
        if suite in suites and without not in suites and re.search(pattern, test["name"]):
            names.add(test["name"])
    return sorted(names)


def summary(section, result):
    """The last line of the form `name: ...`, else the last line."""
    name = result["name"].split(" / ")[-1].split(":")[-1]
    lines = [line.strip() for line in result.get("stdout", "").splitlines() if line.strip()]
    said = [line for line in lines if line.startswith((section + ":", name + ":"))]
    last = said[-1] if said else lines[-1] if lines else "said nothing"
    return last[len(section) + 1:].strip() if last.startswith(section + ":") else last


def soak(minutes):
    """All sections. True: none failed."""
    whole = sum(weight for weight, _ in STAGES)
    ok, lines = True, []
    for weight, sections in STAGES:
        running = [Section(*section, minutes * weight / whole) for section in sections]
        for section in running:
            failed, said = section.end()
            ok = ok and not failed
            lines += said
            print("\n".join(said), flush=True)
    print(f"\nSoaked for {minutes:g} minutes" + ("" if ok else ", and something FAILED"))
    print("\n".join(lines))
    return ok


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--soak", action="store_true", help="the long campaign")
    parser.add_argument("--minutes", type=float, default=60, help="how long that is")
    parser.add_argument("--only", metavar="NAME", help="one configuration: "
                        + ", ".join(name for name, *_ in CONFIGURATIONS))
    args = parser.parse_args()
    return 0 if (soak(args.minutes) if args.soak else test_all(args.only)) else 1


if __name__ == "__main__":
    sys.exit(main())
