#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Write an initramfs, a cpio archive of the "newc" kind, from files of the host.

usage: initramfs.py OUTPUT NAME=FILE... NAME->TARGET...

NAME=FILE puts the host's FILE at NAME, executable if it is so here; NAME->TARGET makes a symbolic link; NAME/ a directory.
An OUTPUT whose name ends with .gz is gzip'd.
"""
import gzip
import os
import stat
import subprocess
import sys

BUSYBOX = "/bin/busybox"


def entry(ino, name, mode, data=b"", nlink=1):
    head = "070701" + "".join(f"{v:08X}" for v in (
        ino, mode, 0, 0, nlink, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0))
    body = head.encode() + name.encode() + b"\0"
    body += b"\0" * (-len(body) % 4) + data
    return body + b"\0" * (-len(body) % 4)


def archive(files=(), links=(), directories=()):
    """files: (name, bytes, executable); links: (name, target). The archive as bytes."""
    out, made, ino = [], set(), 1

    def parents(name):
        nonlocal ino
        parts = name.strip("/").split("/")[:-1]
        for i in range(len(parts)):
            directory = "/".join(parts[:i + 1])
            if directory not in made:
                made.add(directory)
                ino += 1
                out.append(entry(ino, directory, stat.S_IFDIR | 0o755, nlink=2))

    for name in directories:
        parents(name.strip("/") + "/x")
    for name, data, executable in files:
        parents(name)
        ino += 1
        out.append(entry(ino, name.strip("/"), stat.S_IFREG | (0o755 if executable else 0o644), data))
    for name, target in links:
        parents(name)
        ino += 1
        out.append(entry(ino, name.strip("/"), stat.S_IFLNK | 0o777, target.encode()))
    out.append(entry(0, "TRAILER!!!", 0))
    return b"".join(out)


def busybox(path=BUSYBOX):
    """(files, links) of a busybox with the commands of Debian's, and all links to it."""
    applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split()
    with open(path, "rb") as f:
        program = f.read()
    return ([("bin/busybox", program, True)],
            [("bin/" + applet, "busybox") for applet in applets if applet != "busybox"] + [("etc/mtab", "/proc/self/mounts")])


def main():
    files, links, directories = [], [], []
    for arg in sys.argv[2:]:
        if "->" in arg:
            links.append(tuple(arg.split("->", 1)))
        elif arg.endswith("/"):
            directories.append(arg)
        else:
            name, path = arg.split("=", 1)
            with open(path, "rb") as f:
                files.append((name, f.read(), os.access(path, os.X_OK)))
    with open(sys.argv[1], "wb") as f:
        whole = archive(files, links, directories)
        f.write(gzip.compress(whole) if sys.argv[1].endswith(".gz") else whole)


if __name__ == "__main__":
    main()
