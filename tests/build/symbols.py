#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the library wants from its host is exactly its port.

usage: symbols.py PORT_H LIBRARY.a

1. The undefined symbols of the whole library are the port functions that port.h does not mark
   OPTIONAL, and memcpy, memset, memmove, memcmp; optional ones are defined weakly inside.
2. Each slice (some of the rooms, from the ground up) is closed: it needs port functions and the
   four mem functions, and nothing of a room above.
3. Everything global that the library defines is called quire_...
"""
import os
import re
import subprocess
import sys
import tempfile

MEM = {"memcpy", "memset", "memmove", "memcmp"}
# What compilers add by themselves in a position-independent or sanitized build.
COMPILER = re.compile(r"_GLOBAL_OFFSET_TABLE_$")

# Each slice and the port functions it must get along with.
PAGES = {"quire_port_phys_to_virt", "quire_port_cpu", "quire_port_irq_save", "quire_port_irq_restore",
         "quire_port_preempt_disable", "quire_port_preempt_enable", "quire_port_wait", "quire_port_wake"}
SLICES = [
    ("pages", ["base", "page", "slab"], PAGES),
    ("tables", ["base", "page", "slab", "pgtable"], PAGES | {"quire_port_tlb_flush"}),
]


def nm(path):
    """{name: type letter} of the global symbols of an object."""
    out = subprocess.run(["nm", "-g", path], check=True, capture_output=True, text=True).stdout
    symbols = {}
    for line in out.splitlines():
        fields = line.split()
        if len(fields) >= 2:
            symbols[fields[-1]] = fields[-2]
    return symbols


def link(members, out):
    subprocess.run(["ld", "-r", "-o", out] + members, check=True)
    symbols = nm(out)
    undefined = {n for n, t in symbols.items() if t == "U" and not COMPILER.match(n)}
    weak_undefined = {n for n, t in symbols.items() if t in "vw"}
    defined = {n for n, t in symbols.items() if t not in "Uvw"}
    return undefined, weak_undefined, defined


def main():
    port_h, archive = sys.argv[1:3]
    with open(port_h, encoding="utf-8") as f:
        text = f.read()
    declared, optional = set(), set()
    for comment, name in re.findall(r"(/\*(?:[^*]|\*(?!/))*\*/)?\s*\n[a-z][^;{}()]*?\b(quire_port_\w+)\(", text):
        declared.add(name)
        if "OPTIONAL" in comment:
            optional.add(name)
    # Functions that follow another without a comment of their own share that one's.
    declared |= set(re.findall(r"^\w[^;{}()]*\b(quire_port_\w+)\(", text, re.M))

    failures = []

    def check(ok, message):
        print(("ok: " if ok else "NOT OK: ") + message)
        if not ok:
            failures.append(message)

    with tempfile.TemporaryDirectory() as tmp:
        # A thin archive names its members where they lie; a fat one is unpacked.
        listing = subprocess.run(["ar", "t", archive], check=True, capture_output=True, text=True).stdout.split()
        members = [m if os.path.isabs(m) else os.path.join(os.path.dirname(archive), m) for m in listing]
        if not all(map(os.path.exists, members)):
            subprocess.run(["ar", "x", os.path.abspath(archive)], check=True, cwd=tmp)
            members = [os.path.join(tmp, m) for m in listing]

        undefined, weak, defined = link(members, os.path.join(tmp, "all.o"))
        check(undefined - MEM == declared - optional,
              f"undefined symbols are the {len(declared - optional)} required port functions and mem*"
              + "".join(f"; too many: {n}" for n in sorted(undefined - MEM - (declared - optional)))
              + "".join(f"; unused: {n}" for n in sorted(declared - optional - undefined)))
        check(MEM >= undefined & MEM and not weak, "no weak undefined symbol" + "".join(f" {n}" for n in weak))
        check(optional <= defined, f"the {len(optional)} optional port functions have a default"
              + "".join(f"; none: {n}" for n in sorted(optional - defined)))
        strangers = {n for n in defined if not n.startswith("quire_")}
        check(not strangers, "every global name begins with quire_" + "".join(f"; {n}" for n in sorted(strangers)))

        for name, rooms, port in SLICES:
            part = [m for m in members if any(f"src_{r}_" in os.path.basename(m) for r in rooms)]
            undefined, _, _ = link(part, os.path.join(tmp, name + ".o"))
            check(undefined - MEM <= port,
                  f"slice {name} ({', '.join(rooms)}) needs its own part of the port alone"
                  + "".join(f"; {n}" for n in sorted(undefined - MEM - port)))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
