#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Boot the reference kernel with archives that are gzip'd, cut, wrong, or none at all: each ends with a line that says why.

usage: archives.py KERNEL INIT SOURCE_ROOT

INIT is process 1 of the tests (init.c), which says @done when it has run nothing. Prints in cmocka's format. 77: no QEMU.
"""
import gzip
import os
import re
import shutil
import stat
import struct
import sys
import tempfile

KERNEL, INIT, ROOT = (os.path.abspath(path) for path in sys.argv[1:4])
sys.path.insert(0, os.path.join(ROOT, "kernel"))

import initramfs  # noqa: E402
import qemu  # noqa: E402

QEMU = "qemu-system-x86_64"
GOOD, PANIC = 33, 255  # QEMU's status
MODE, FILESIZE, NAMESIZE = (6 + 8 * field for field in (1, 6, 11))  # where an entry has them


def boot(image, work):
    path = os.path.join(work, "initramfs")
    with open(path, "wb") as f:
        f.write(image)
    return qemu.run(KERNEL, path, "", "128", 1, "qemu64", 120)


def cases():
    """(name, archive, what the console must say, QEMU's status)."""
    with open(INIT, "rb") as f:
        files = [("init", f.read(), True), ("tests", b"", False)]
    whole = initramfs.archive(files + [("more", b"x" * 5000, False)])
    small = gzip.compress(whole)
    end = initramfs.entry(0, "TRAILER!!!", 0)
    before_end = whole.removesuffix(end)
    no_init = r"no init: error -2"
    yield "plain", whole, r"^@done$", GOOD
    yield "gzip'd", small, r"^@done$", GOOD
    yield "gzip'd, nothing pressed", gzip.compress(whole, 0), r"^@done$", GOOD
    yield "cut", whole[:-3000], r"^initramfs: error -22, what came before it is there\n(.*\n)*@done$", GOOD
    yield "gzip'd when it was cut", gzip.compress(whole[:-3000]), r"^initramfs: error -22, (.*\n)*@done$", GOOD
    yield ("gzip'd, then cut", small[:len(small) // 2],
           r"^initramfs: gzip, \d+ bytes of \d+: (no memory for what it says|.* too early|there is no such code|.* larger .*)\n"
           r"(.*\n)*.*" + no_init, PANIC)
    yield ("gzip'd, with another checksum", small[:-8] + bytes([small[-8] ^ 1]) + small[-7:],
           r"^initramfs: gzip, .*: its checksum is wrong\n(.*\n)*.*" + no_init, PANIC)
    yield ("gzip'd, and says that it has 4 GiB", small[:-4] + struct.pack("<I", 0xffffffff),
           r"^initramfs: gzip, .* of 4294967295: no memory for what it says\n(.*\n)*.*" + no_init, PANIC)
    yield ("gzip'd twice over", small + small, r"^initramfs: gzip, .*: more comes behind it\n(.*\n)*.*" + no_init, PANIC)
    # One entry that is not right, behind all that a first program needs.
    for name, at, text in [("magic of another kind", 0, b"070707"), ("what is no number", FILESIZE, b"0000000G"),
                           ("a length beyond the end", FILESIZE, b"00001000"),
                           ("a length that goes round", FILESIZE, b"FFFFFFFD"),
                           ("a name of no length", NAMESIZE, b"00000000"), ("a name without its end", NAMESIZE, b"00000004"),
                           ("a name beyond the end", NAMESIZE, b"FFFFFFF0"), ("a link to nothing", MODE, b"0000A1FF")]:
        bad = bytearray(initramfs.entry(99, "name", stat.S_IFREG | 0o644))
        bad[at:at + len(text)] = text
        yield (name, before_end + bytes(bad) + end,
               r"^initramfs: error -22, what came before it is there\n(.*\n)*@done$", GOOD)
    yield "none", b"This is no archive. " * 100, r"^initramfs: error -22, (.*\n)*.*" + no_init, PANIC


def main():
    if not shutil.which(QEMU):
        print(f"[  SKIPPED ] 1 test: {QEMU} is not installed")
        return 77
    failed = passed = 0
    with tempfile.TemporaryDirectory(prefix="quire-archives-") as work:
        for name, image, says, status in cases():
            text, ended = boot(image, work)
            if ended == status and re.search(says, text, re.M):
                passed += 1
                print(f"[       OK ] {name}")
            else:
                failed += 1
                print(f"[  FAILED  ] {name}\n    QEMU ended with {ended}; the console:\n{text[-3000:]}")
    print(f"[  PASSED  ] {passed} test(s).")
    if failed:
        print(f"[  FAILED  ] {failed} test(s).")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
