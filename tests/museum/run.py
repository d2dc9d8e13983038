#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Run the exhibits of the museum, and show that each can fail.

Called by Meson with the exhibits' programs. Each must pass as it is. Then each patch that lies
beside it (NAME.patch, NAME.WHAT.patch) is applied to copies of the library's files, those files
are compiled as the build compiles them and linked in front of the library, and the program must
fail and say what the patch's header expects: a failure for another reason does not count. A patch
that does not apply is a failure. Files of the tree are never changed.

A patch is a unified diff of files of src/ below a header:

    Breaks: what is not done any more
    Expect: text that the program must print (several lines: any of them)
    Expect-asan: one more for builds with AddressSanitizer, which may see it first
"""
import argparse
import concurrent.futures
import glob
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time

TIMEOUT_S = 60
HUNK = re.compile(r"^@@ -(\d+)(?:,\d+)? \+\d+(?:,\d+)? @@")


class Broken(Exception):
    """Why a variant does not show what it should."""


# ---- Patches -------------------------------------------------------------------------------


def parse_patch(path):
    """(header fields as lists, {file: [(line number, old lines, new lines)]})."""
    fields, files = {}, {}
    hunks = None
    with open(path, encoding="utf-8") as patch:
        for line in patch.read().splitlines():
            if line.startswith("--- "):
                hunks = []
            elif line.startswith("+++ "):
                files[re.sub(r"^b/", "", line[4:].split("\t")[0])] = hunks
            elif HUNK.match(line):
                hunks.append((int(HUNK.match(line).group(1)), [], []))
            elif hunks is None:
                field = re.match(r"^([A-Z][\w-]+): (.*)", line)
                if field:
                    fields.setdefault(field.group(1), []).append(field.group(2))
            elif hunks:
                mark, text = line[:1] or " ", line[1:]
                if mark not in " +-":
                    raise Broken(f"a line that is no part of a diff: {line!r}")
                if mark != "+":
                    hunks[-1][1].append(text)
                if mark != "-":
                    hunks[-1][2].append(text)
    for field in ("Breaks", "Expect"):
        if field not in fields:
            raise Broken(f"the header has no '{field}:'")
    if not files or not all(files.values()):
        raise Broken("it changes nothing")
    return fields, files


def find(lines, old, near):
    """Where the old lines stand, the place next to near if there are several; None: nowhere."""
    places = [i for i in range(len(lines) - len(old) + 1) if lines[i:i + len(old)] == old]
    return min(places, key=lambda place: abs(place - near), default=None)


def apply_patch(source, name, hunks):
    """The text of a file with the hunks applied. Line numbers are hints, contexts are not."""
    with open(os.path.join(source, name), encoding="utf-8") as file:
        lines = file.read().splitlines()
    shift = 0
    for number, old, new in hunks:
        place = find(lines, old, number - 1 + shift)
        if place is None:
            raise Broken(f"the patch no longer applies to {name}, at line {number}")
        lines[place:place + len(old)] = new
        shift = place + len(new) - len(old) - (number - 1)
    return "\n".join(lines) + "\n"


# ---- Programs ------------------------------------------------------------------------------


class Museum:
    def __init__(self, args):
        self.source, self.build, self.wraps = args.source, args.build, args.wrap.split(",")
        self.commands = {}
        with open(os.path.join(self.build, "compile_commands.json"), encoding="utf-8") as commands:
            for entry in json.load(commands):
                path = os.path.realpath(os.path.join(entry["directory"], entry["file"]))
                if "libquire.a.p/" in entry.get("output", entry["command"]):
                    self.commands[path] = shlex.split(entry["command"])
        self.asan = any("address" in word for command in self.commands.values()
                        for word in command if word.startswith("-fsanitize="))

    def run(self, command, what):
        done = subprocess.run(command, cwd=self.build, text=True, errors="replace",
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=TIMEOUT_S, check=False)
        if what and done.returncode:
            raise Broken(f"{what}\n{done.stdout[-3000:]}")
        return done

    def compile(self, name, text, where):
        """Object of a file of the library with other text."""
        path = os.path.realpath(os.path.join(self.source, name))
        if path not in self.commands:
            raise Broken(f"{name} is not compiled into the library")
        copy = os.path.join(where, name.replace("/", "_"))
        with open(copy, "w", encoding="utf-8") as file:
            file.write(text)
        flags, words = [], iter(self.commands[path])
        for word in words:
            if word in ("-o", "-MF", "-MQ", "-c"):
                next(words)
            elif word != "-MD":
                flags.append(word)
        self.run(flags + ["-Wno-error", "-w", "-iquote", os.path.dirname(path), "-c", copy,
                          "-o", copy + ".o"], f"{name} does not compile with the patch")
        return copy + ".o", flags

    def link(self, program, objects, flags, where):
        out = os.path.join(where, os.path.basename(program))
        driver = [word for word in flags if not word.startswith(("-I", "-W", "-D", "-f", "-O"))
                  or word.startswith("-fsanitize")]
        libraries = ["tests/museum/libmuseum.a", "machine/libmachine.a", "libquire.a"]
        self.run([word for word in driver if not word.startswith("-std")] + ["-o", out] +
                 sorted(glob.glob(program + ".p/*.o")) + objects +
                 ["-Wl,--wrap=" + name for name in self.wraps] +
                 ["-Wl,--start-group"] + libraries + ["-lcmocka", "-Wl,--end-group", "-pthread"],
                 "does not link with the patch")
        return out

    def show(self, program):
        """The exhibit as it is."""
        try:
            done = self.run([program], None)
        except subprocess.TimeoutExpired:
            raise Broken("does not come to an end") from None
        if done.returncode:
            raise Broken(f"fails as it is\n{done.stdout[-3000:]}")

    def show_broken(self, program, patch):
        """The exhibit on a library that is broken."""
        fields, files = parse_patch(patch)
        where = os.path.join(self.build, "tests", "museum", "broken", os.path.basename(patch))
        shutil.rmtree(where, ignore_errors=True)
        os.makedirs(where)
        objects = []
        for name, hunks in files.items():
            built, flags = self.compile(name, apply_patch(self.source, name, hunks), where)
            objects.append(built)
        broken = self.link(program, objects, flags, where)
        try:
            done = self.run([broken], None)
        except subprocess.TimeoutExpired:
            raise Broken("hangs with the patch, and says nothing") from None
        expected = fields["Expect"] + (fields.get("Expect-asan", []) if self.asan else [])
        if not done.returncode:
            raise Broken("passes with the patch: it catches nothing")
        if not any(text in done.stdout for text in expected):
            raise Broken(f"fails with the patch, but does not say: {' / '.join(expected)}\n"
                         f"{done.stdout[-3000:]}")
        shutil.rmtree(where)


def untidy(here, names):
    """How many patches belong to no exhibit, or are not in the README."""
    with open(os.path.join(here, "README.md"), encoding="utf-8") as file:
        readme = file.read()
    failed = 0
    for path in sorted(glob.glob(os.path.join(here, "*.patch"))):
        name, what = os.path.basename(path).split(".", 1)
        if name not in names:
            print(f"{os.path.basename(path)}: belongs to no exhibit")
            failed += 1
        elif f"`{name}.c`" not in readme or f"`{what if what != 'patch' else '.patch'}`" not in readme:
            print(f"{os.path.basename(path)}: is not in README.md")
            failed += 1
    return failed


def soak(museum, names, minutes):
    """The exhibits as they are, again and again: rounds done, None if one failed."""
    end, rounds = time.monotonic() + minutes * 60, 0
    while time.monotonic() < end:
        for name, program in sorted(names.items()):
            try:
                museum.show(program)
            except Broken as error:
                print(f"{name}: in round {rounds}: {error}")
                return None
        rounds += 1
    return rounds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", required=True)
    parser.add_argument("--build", required=True)
    parser.add_argument("--wrap", required=True, help="functions that museum.c stands in front of")
    parser.add_argument("--only", default="", help="exhibits whose name contains this")
    parser.add_argument("program", nargs="+")
    args = parser.parse_args()

    museum = Museum(args)
    here = os.path.join(args.source, "tests", "museum")
    names = {os.path.basename(program)[len("museum-"):]: os.path.abspath(program)
             for program in args.program}
    jobs = []
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for name, program in sorted(names.items()):
            if args.only not in name:
                continue
            patches = sorted(glob.glob(os.path.join(here, name + ".patch")) +
                             glob.glob(os.path.join(here, name + ".*.patch")))
            jobs.append((name, pool.submit(museum.show, program)))
            jobs += [(os.path.basename(patch), pool.submit(museum.show_broken, program, patch))
                     for patch in patches]
            if not patches:
                print(f"{name}: has no patch that breaks it")
                return 1
        failed = 0
        for name, job in jobs:
            try:
                job.result()
            except (Broken, subprocess.TimeoutExpired) as error:
                print(f"{name}: {error}")
                failed += 1
    failed += untidy(here, names)
    rounds = soak(museum, names, float(os.environ.get("QUIRE_SOAK_MINUTES", 0))) if not failed else 0
    if rounds is None:
        failed += 1
    elif rounds:
        print(f"museum: {len(names)} exhibits, {len(jobs) - len(names)} broken variants caught, "
              f"{rounds} more rounds of each exhibit")
    # Counted by tests/run.py as cmocka's tests are.
    print(f"[  PASSED  ] {len(jobs) - failed} test(s).")
    if failed:
        print(f"[  FAILED  ] {failed} test(s).")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
