#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Take the maple tree out of Debian's kernel source into a build directory.

    unpack.py linux-source-6.1.tar.xz DIRECTORY STAMP

Two files are unpacked, unchanged: lib/maple_tree.c and include/linux/maple_tree.h. For every other header
that they include a line is written that leads to our shim.h. Nothing of it is part of this repository.
"""
import os
import subprocess
import sys

FILES = ['lib/maple_tree.c', 'include/linux/maple_tree.h']
OURS = [
    'linux/kernel.h', 'linux/rcupdate.h', 'linux/spinlock.h', 'linux/xarray.h', 'linux/types.h',
    'linux/export.h', 'linux/slab.h', 'linux/limits.h', 'asm/barrier.h', 'trace/events/maple_tree.h',
]


def main():
    archive, directory, stamp = sys.argv[1:]
    top = os.path.basename(archive).split('.tar')[0]
    os.makedirs(directory, exist_ok=True)
    # tar stops reading as soon as it has both.
    subprocess.run(['tar', '-xf', archive, '-C', directory, '--strip-components=1', '--occurrence=1'] +
                   [top + '/' + f for f in FILES], check=True)
    for name in OURS:
        path = os.path.join(directory, 'include', name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w') as f:
            f.write('#include "shim.h"\n')
    with open(stamp, 'w') as f:
        f.write('/* unpacked from %s */\n' % archive)


main()
