#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Let the reference kernel be judged as Linux is: random rounds of calls and accesses, played under it in QEMU.

usage: fuzz.py KERNEL PROGRAMS_DIR SOURCE_ROOT STEPS

`quire fuzz` runs there, as one static program. What it takes for the running Linux is the kernel, with a real MMU under it
and four processors; what it compares with is Quire's simulated machine, of which tests/linux/fuzz.py shows that it does what
Linux does. First the cases of tests/linux/cases; then STEPS compared steps, half of them over a fixed seed. In a soak
(QUIRE_SOAK_MINUTES) boot after boot with fresh seeds, for that long. A difference is printed as a case, made small, and as a C
program to be run under both.

77: there is no QEMU.
"""
import os
import random
import re
import shutil
import sys
import tempfile
import time

KERNEL, PROGRAMS, ROOT = (os.path.abspath(path) for path in sys.argv[1:4])
STEPS = int(sys.argv[4])
sys.path.insert(0, os.path.join(ROOT, "kernel"))

import initramfs  # noqa: E402
import qemu  # noqa: E402

CPUS = 4
TIMEOUT = 280
BOOT_STEPS = 50000  # in a soak
FIXED_SEED = 1

# The judge knows no spaces of more than 47 bits: so tables of four levels.
PROCESSOR = "max,la57=off"
# No more areas than a round has time for here, as some want to come near to their limit. One job: the overcommit that a round
# has is all players', and there is no flock() to take turns by.
SCRIPT = """#!/bin/sh
echo 1000 >/proc/sys/vm/max_map_count
exec /bin/quire-static fuzz --quiet --minimize --jobs 1 $@
"""

CASES = os.path.join(ROOT, "tests", "linux", "cases")
# These are about disk files, of which the kernel has none, and about slips of Linux.
NOT_HERE = {"fallocate-bad-arguments", "fallocate-hole", "fallocate-size", "msync-zeroes-tail", "mremap-dontunmap-locked",
            "mremap-dontunmap-lost-count"}


def read(path):
    with open(path, "rb") as f:
        return f.read()


def play(arguments, steps, work):
    """One boot: what is wrong, or None; compared steps."""
    shell, links = initramfs.busybox()
    files = [("init", read(os.path.join(PROGRAMS, "init")), True), ("bin/judge", SCRIPT.encode(), True),
             ("bin/quire-static", read(os.path.join(PROGRAMS, "quire-static")), True),
             ("tests", f"/bin/judge {arguments}\n".encode(), False)]
    files += [("cases/" + name, read(os.path.join(CASES, name)), False) for name in sorted(os.listdir(CASES))
              if name.removesuffix(".case") not in NOT_HERE]
    image = os.path.join(work, "initramfs")
    with open(image, "wb") as f:
        f.write(initramfs.archive(files + shell, links, ["var/tmp"]))
    text, status = qemu.run(KERNEL, image, "", "1024", CPUS, PROCESSOR, TIMEOUT)
    compared = re.search(r"(\d+) steps compared", text)
    compared = int(compared.group(1)) if compared else 0
    left = re.findall(r"^@left judge .*", text, re.M)
    good = status == 33 and "\n@end judge 0\n" in text and compared >= steps and not left
    return None if good else f"{arguments}: QEMU ended with {status}:\n{text[-12000:]}", compared


def rounds(seed, steps):
    return f"--seed {seed} --steps {steps}", steps


def fresh(steps):
    return rounds(random.randrange(10**15), steps)


def main():
    for needed in "qemu-system-x86_64", initramfs.BUSYBOX:
        if not shutil.which(needed):
            print(f"kernel-fuzz: skipped: {needed} is not installed")
            return 77
    minutes = os.environ.get("QUIRE_SOAK_MINUTES")
    end = time.monotonic() + float(minutes or 0) * 60
    total = 0
    with tempfile.TemporaryDirectory(prefix="quire-kernel-") as work:
        boots = [] if minutes else [("--case /cases/*", 1), rounds(FIXED_SEED, STEPS // 2), fresh(STEPS - STEPS // 2)]
        while boots or time.monotonic() < end:
            wrong, compared = play(*(boots.pop(0) if boots else fresh(BOOT_STEPS)), work)
            total += compared
            if wrong:
                print(f"{wrong}\nkernel-fuzz: {total} steps compared, and something is wrong")
                return 1
    print(f"kernel-fuzz: {total} steps compared under the kernel, 0 differences")
    return 0


if __name__ == "__main__":
    sys.exit(main())
