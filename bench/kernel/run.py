#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The kernel against Linux: what calls and faults cost (calls.c), in guest instructions.

usage: run.py MACHINE KERNEL PROGRAM DIRECTORY [--quire-only]

The same static program is the first process under KERNEL and under Debian's kernel, in the same QEMU: with -icount shift=0 a tick of
the time-stamp counter is one instruction of the guest. Each runs twice, and rows whose medians differ are named. Linux a third time
with mitigations=off.

Debian's kernel is fetched with apt-get into DIRECTORY, with lists of packages of its own there, so that nothing of the host's is
changed and nobody has to be root. docs/performance.md.
"""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "kernel"))

import initramfs  # noqa: E402

# Debian's name for a kernel of the same kind of tables, and its architecture.
PEER = {"x86_64": ("linux-image-amd64", "amd64"), "pae": ("linux-image-686-pae", "i386")}
LINUX = "console=ttyS0 quiet transparent_hugepage=never nokaslr norandmaps rdinit=/init"
QUIRE = "norandom"
TIMEOUT = 900


def peer(machine, directory):
    """Path of Debian's kernel, or None and a word why."""
    package, architecture = PEER[machine]
    directory = os.path.join(directory, "linux-" + architecture)
    if not glob.glob(os.path.join(directory, "boot", "vmlinuz-*")):
        options = ["-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User="]
        for what, where in ("Dir::State::Lists", "lists"), ("Dir::Cache", "cache"):
            os.makedirs(os.path.join(directory, where, "archives" if where == "cache" else "", "partial"), exist_ok=True)
            options += ["-o", f"{what}={os.path.join(directory, where)}"]
        options += ["-o", "APT::Architectures::=amd64", "-o", "APT::Architectures::=i386"]
        try:
            # It may fail for a source that has nothing to do with this; what is missing then shows below.
            subprocess.run(["apt-get"] + options + ["update"], capture_output=True)
            shown = subprocess.run(["apt-cache"] + options + ["show", "--no-all-versions", f"{package}:{architecture}"],
                                   capture_output=True, text=True, check=True).stdout
            image = re.search(r"^Depends: (linux-image-\S+)", shown, re.M)[1]
            subprocess.run(["apt-get"] + options + ["download", f"{image}:{architecture}"], cwd=directory, check=True,
                           capture_output=True)
            archive, = glob.glob(os.path.join(directory, image + "_*.deb"))
            subprocess.run(f"dpkg-deb --fsys-tarfile '{archive}' | tar -xf - -C '{directory}' ./boot", shell=True, check=True)
            os.unlink(archive)
        except (OSError, subprocess.CalledProcessError, TypeError, ValueError) as why:
            return None, f"cannot get {package}: {why}"
        for where in "lists", "cache":
            shutil.rmtree(os.path.join(directory, where))
    return glob.glob(os.path.join(directory, "boot", "vmlinuz-*"))[0], ""


def measure(kernel, program, append):
    """{row: median}, in the order in which they were printed."""
    with tempfile.NamedTemporaryFile(prefix="quire-bench-") as image:
        with open(program, "rb") as f:
            image.write(initramfs.archive([("init", f.read(), True)]))
        image.flush()
        done = subprocess.run(
            ["qemu-system-x86_64", "-M", "pc", "-cpu", "qemu64", "-icount", "shift=0,sleep=off", "-rtc", "base=2020-01-01,clock=vm",
             "-m", "1024", "-smp", "1", "-display", "none", "-no-reboot", "-nic", "none", "-monitor", "none", "-serial", "stdio",
             "-kernel", kernel, "-initrd", image.name, "-append", append],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT)
    text = done.stdout.decode(errors="replace").replace("\r", "")
    if "@done" not in text:
        sys.exit(f"{kernel} did not come to the end:\n{text[-2000:]}{done.stderr.decode(errors='replace')}")
    return {name: int(median) for name, median in re.findall(r"^@row (.*?)\t(\d+)\t", text, re.M)}


def twice(who, *how):
    first, second = measure(*how), measure(*how)
    differ = [name for name in first if first[name] != second[name]]
    print(f"{who}: two runs " + ("differ in: " + "; ".join(
        f"{name} ({first[name]:,}, {second[name]:,})" for name in differ) if differ else "are identical"))
    return first


def main():
    machine, kernel, program, directory = sys.argv[1:5]
    if not shutil.which("qemu-system-x86_64"):
        print("qemu-system-x86_64 is not installed")
        return 77
    linux, why = (None, "not asked for") if "--quire-only" in sys.argv else peer(machine, directory)
    quire = twice("Quire", kernel, program, QUIRE)
    peers = []
    if linux:
        peers = [twice(os.path.basename(linux), linux, program, LINUX), measure(linux, program, LINUX + " mitigations=off")]
    print(f"{machine}: guest instructions, medians; ratio: Quire's to the first column. The second is without mitigations.")
    print(f"{'':52} {'Linux':>11} {'off':>11} {'Quire':>11} {'ratio':>6}")
    for name, ticks in quire.items():
        columns = "".join(f" {p[name]:11,}" for p in peers) or f" {'':>11} {'':>11}"
        print(f"{name:52}{columns} {ticks:11,} " + (f"{ticks / peers[0][name]:6.2f}" if peers else ""))
    if not linux:
        print("Linux: " + why)
    return 0 if linux or "--quire-only" in sys.argv else 77


if __name__ == "__main__":
    sys.exit(main())
