#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Run the scenarios, then compare what was made to fail with all that can fail, by the object code.

    run.py PROGRAM SOURCE_ROOT PAGE_SHIFT

Two things must be complete. Every call of an allocation function in the library has been failed.
And every call by which that can come back (of a function that calls an allocation function, or one
that does, and so on) has been on the stack of one that was failed: so each caller has been seen to
cope. What cannot or need not be is in EXCEPT, with the reason; an exception that is not needed
is an error too.
"""
import os
import re
import subprocess
import sys
import tempfile

ALLOCATORS = ("quire_page_alloc", "quire_page_alloc_policy", "quire_cache_alloc", "quire_kmalloc")

# (caller, callee): why the call need not come back without memory.
ENTRY_WAS_THERE = "an entry was there: its leaf goes only if another CPU empties it in between"
EXCEPT = {
    ("quire_zap_range", "zap_range"): "pages wait in the cursor; only those of a whole space in batches",
    ("quire_zap_object", "zap_range"): "the same",
    ("populate", "quire_populate"): "only where the host makes pages present: nothing is faulted in",
    ("grow_in_place", "quire_plan_merge_new"): "the area itself, taken already, takes in what follows",
    ("draw_emptied_source", "quire_plan_take"): "draw_move() has taken it already",
    ("quire_fault_present", "quire_fault_lock_leaf"): ENTRY_WAS_THERE,
    ("quire_fault_shared_write", "quire_fault_lock_leaf"): ENTRY_WAS_THERE,
    ("map_frame", "quire_fault_lock_leaf"): "fault_driver() has made the leaf; else as above",
    ("fault_driver", "map_page"): "the same",
    ("quire_kva_init", "make_roots_entries"): "kmaps are for 32 bits, where the root's entries are made with it",
    ("copy_page", "quire_store_bytes"): "bytes for the other process go where the call has just been",
    ("punch_hole", "quire_object_punch_hole"): "MADV_REMOVE has whole pages: none is read to keep a part of it",
}

NO_HIGH_MEMORY = "high memory is for 32 bits, which have pages of 4 KiB"
# Where pages are larger, with AArch64's formats of 16 and 64 KiB. None: what is said above is not needed there.
EXCEPT_LARGER_PAGES = {
    ("make_fixmap", "quire_kmalloc"): NO_HIGH_MEMORY,  # a call of its own, as the compiler makes it
    ("make_pkmap", "quire_kmalloc"): NO_HIGH_MEMORY,
    ("make_pkmap", "quire_pteslot_init"): NO_HIGH_MEMORY,
    ("quire_kva_init", "make_roots_entries"): None,
    ("make_roots_entries", "quire_tables_populate_level"): "the kernel's root is no space's",
    ("fill_root", "quire_table_new"): "PAE's root is filled from the beginning",
    ("alloc_at", "alloc_block"): "no block of pages is as large as a leaf",
}

HEADER = re.compile(r"^([0-9a-f]+) <(.+)>:$")
CODE = re.compile(r"^\s+([0-9a-f]+):\s+(\S+)\s*(.*)$")
TARGET = re.compile(r"([0-9a-f]+) <([^>+]+)>$")


class Call:
    def __init__(self, caller, callee, address):
        self.caller, self.callee, self.address = caller, callee, address
        self.returns_to = None
        self.place = "?"


def disassemble(program):
    """(names of functions by address, direct calls, other mentions of allocators)."""
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", "-j", ".text", program],
                          capture_output=True, text=True, check=True).stdout
    names, calls, odd = {}, [], []
    function, pending = None, []
    for line in text.splitlines():
        header = HEADER.match(line)
        if header:
            function = int(header.group(1), 16)
            names[function] = header.group(2)
            continue
        code = CODE.match(line)
        if not code:
            continue
        address = int(code.group(1), 16)
        for call in pending:
            call.returns_to = address
        pending = []
        target = TARGET.search(code.group(3))
        if not target:
            continue
        if code.group(2).startswith("call"):
            call = Call(function, int(target.group(1), 16), address)
            calls.append(call)
            pending.append(call)
        elif target.group(2).startswith("__wrap_"):
            odd.append((names[function], line.strip()))
    return names, calls, odd


def locate(program, calls, root):
    """Fill in file:line; the calls that lie in the library."""
    addresses = "\n".join(hex(c.address) for c in calls)
    lines = subprocess.run(["addr2line", "-e", program], input=addresses, capture_output=True, text=True,
                           check=True).stdout.splitlines()
    library = os.path.join(root, "src") + os.sep
    mine = []
    for call, line in zip(calls, lines):
        path, _, number = line.split(" ")[0].rpartition(":")
        path = os.path.normpath(path)
        if path.startswith(library):
            call.place = f"{os.path.relpath(path, root)}:{number}"
            mine.append(call)
    return mine


def can_fail(calls, allocators):
    """Functions that reach an allocator by direct calls that are no exceptions."""
    callers = {}
    for call in calls:
        callers.setdefault(call.callee, set()).add(call.caller)
    found, rest = set(), list(allocators)
    while rest:
        for caller in callers.get(rest.pop(), ()):
            if caller not in found:
                found.add(caller)
                rest.append(caller)
    return found


def seen_sites(path, start):
    seen = {}
    with open(path, encoding="ascii") as lines:
        for line in lines:
            at, reached, failed, came_back = line.split()
            seen[int(at, 16) + start] = (int(reached), int(failed), int(came_back))
    return seen


def symbol(program, name):
    text = subprocess.run(["nm", program], capture_output=True, text=True, check=True).stdout
    for line in text.splitlines():
        fields = line.split()
        if fields[-1] == name:
            return int(fields[0], 16)
    raise SystemExit(f"{name}: not in {program}")


def main():
    program, root = sys.argv[1], os.path.realpath(sys.argv[2])
    exceptions = EXCEPT | EXCEPT_LARGER_PAGES if int(sys.argv[3]) > 12 else EXCEPT
    exceptions = {pair for pair, why in exceptions.items() if why}
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "sites")
        scenarios = ""
        with subprocess.Popen([program, path], stdout=subprocess.PIPE, text=True) as run:
            for line in run.stdout:
                print(line, end="", flush=True)
                if line.startswith("failure: "):
                    scenarios = line.removeprefix("failure: ").strip()
        if run.returncode or not scenarios:
            return 1
        seen = seen_sites(path, symbol(program, "__executable_start"))
    names, calls, odd = disassemble(program)
    wraps = {at for at, name in names.items() if name in ("__wrap_" + a for a in ALLOCATORS)}
    mine = locate(program, calls, root)
    errors = [f"{name}: {text}: neither a call nor ours" for name, text in odd
              if not name.startswith("__wrap_")]

    def pair(c):
        return names[c.caller], names.get(c.callee, "").removeprefix("__wrap_")

    sites = [c for c in mine if c.callee in wraps]
    never = [c for c in sites if seen.get(c.returns_to, (0, 0, 0))[1] == 0 and pair(c) not in exceptions]
    for c in sites:
        reached, failed, _ = seen.get(c.returns_to, (0, 0, 0))
        print(f"{c.place:32} {names[c.caller]} asks {names[c.callee].removeprefix('__wrap_')}: "
              f"{failed} of {reached} failed")
    for c in never:
        errors.append(f"{c.place}: {names[c.caller]} was never failed")

    def came_back(c):
        return seen.get(c.returns_to, (0, 0, 0))[2]

    excepted = [c for c in mine if pair(c) in exceptions and not came_back(c)]
    without = {id(c) for c in excepted}
    failing = can_fail([c for c in mine if id(c) not in without], wraps)
    ways = [c for c in mine if c.callee in failing and id(c) not in without]
    # The compiler may have made several of one call.
    lines = {(c.place, c.caller, c.callee) for c in ways if came_back(c)}
    silent = [c for c in ways if (c.place, c.caller, c.callee) not in lines]
    for c in silent:
        errors.append(f"{c.place}: {names[c.caller]} never saw {names[c.callee]} without memory")
    used = {pair(c) for c in excepted if c.callee in failing | wraps}
    for caller, callee in exceptions - used:
        errors.append(f"{caller}, {callee}: excepted without need")
    for error in sorted(errors):
        print(error)
    print(f"failure: {scenarios}; {len(sites) - len(never)} of {len(sites)} sites failed; "
          f"{len(ways) - len(silent)} of {len(ways)} calls came back without memory, "
          f"{len(excepted)} excepted")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
