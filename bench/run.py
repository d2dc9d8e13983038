#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Build everything for speed and run the benchmarks one after another. Called by `make bench`.

Each benchmark prints its own figures, as ratios to a peer in the same run where it has one. Nothing
is asserted about them; the exit status says whether all of them ran.
"""
import argparse
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(ROOT, "build-bench")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="*", help="benchmarks to run; default: all")
    args = parser.parse_args()

    if not os.path.exists(os.path.join(BUILD, "build.ninja")):
        subprocess.run(["meson", "setup", BUILD, "--buildtype=release", "-Dchecks=disabled", "-Dtests=false"],
                       cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", BUILD, "--quiet"], cwd=ROOT, check=True)
    return subprocess.run(["meson", "test", "-C", BUILD, "--benchmark", "--no-rebuild", "--verbose",
                           "--num-processes", "1"] + args.name, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
