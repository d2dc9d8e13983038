#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The table of docs/conformance.md: what has been compared with Linux, and how often.

usage: conformance.py add [--fresh] TALLY...     add what `quire fuzz --tally` wrote to the counts (--fresh: begin anew),
                                                 and write the table
       conformance.py write                      write the table
       conformance.py check QUIRE                is the table what the counts say, and are all calls, flags and rules in the
                                                 document?

The counts are in tests/linux/conformance.counts, lines as `quire fuzz --tally` writes them. Which errors a call may give is
what its manual page says; a pair of flag and error that nobody has seen is "untested".
"""
import glob
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COUNTS = os.path.join(ROOT, "tests", "linux", "conformance.counts")
DOCUMENT = os.path.join(ROOT, "docs", "conformance.md")
BEGIN, END = "<!-- table: begin (conformance.py) -->", "<!-- table: end -->"
HEADER = "quire tally 1"


def rows(pattern):
    """The rows of a call that an error can come under, by their names."""
    return re.compile(pattern + r"\Z").match


ALL = rows(".*")
NONE = rows("(?!)")

# Rows that cannot be had without another error first.
FILES = rows(r"(?!MAP_ANONYMOUS|MAP_DROPPABLE|file none|other MAP_|MAP_HUGETLB).*")

TRANSFER = ({"EFAULT": rows("all|0"), "EINVAL": ALL, "ESRCH": rows("all|0")}, {
    "EPERM": "the judged processes are one user's", "ENOMEM": "Linux cannot be made to run out at a given place",
})

# name: (errors of the manual page, under which rows; errors of the manual page that cannot be had here, and why)
CALLS = {
    "mmap": ({
        # By the descriptor's mode; a file open for both refuses nothing.
        "EACCES": rows(r"(?!MAP_ANONYMOUS|MAP_DROPPABLE|MAP_UNINITIALIZED|MAP_HUGETLB|other|file (tmpfs|again|disk|memfd|none)\Z).*"),
        "EAGAIN": rows(r"(?!MAP_DROPPABLE|MAP_HUGETLB|MAP_UNINITIALIZED|other MAP_|file (none|write_only)).*"),
        "EBADF": rows(r"(?!MAP_ANONYMOUS|file (?!none)).*"),
        "EEXIST": rows(r"(?!MAP_HUGETLB|other MAP_|MAP_UNINITIALIZED|file (none)).*"),
        "EINVAL": ALL,
        "ENOMEM": ALL,
        "EOVERFLOW": rows(r"(?!MAP_ANONYMOUS|MAP_DROPPABLE|file none|MAP_HUGETLB|MAP_UNINITIALIZED|other MAP_).*"),
        "EPERM": rows(r"(?!other MAP_|MAP_UNINITIALIZED|file (none)).*"),
        "EOPNOTSUPP": rows(r"all|MAP_SHARED_VALIDATE|MAP_SYNC|other MAP_|PROT_.*|file (?!none).*"),
    }, {
        "ENFILE": "no limit on open files is reached",
        "ENODEV": "all files of the judge can be mapped; `map.c: files_say_what_they_allow`",
        "ETXTBSY": "Linux ignores MAP_DENYWRITE",
    }),
    "munmap": ({"EINVAL": ALL, "ENOMEM": ALL, "EPERM": ALL}, {}),
    "mprotect": ({
        "EACCES": rows(r"all|PROT_.*WRITE.*|PROT_SEM|PROT_GROWSDOWN"),
        "EINVAL": ALL,
        "ENOMEM": rows(r"(?!PROT_GROWSUP|other).*"),
        "EPERM": rows(r"(?!PROT_GROWSUP|other).*"),
    }, {"EFAULT": "of Linux before 2.4.19"}),
    "mremap": ({
        "EAGAIN": rows(r"all|MREMAP_.*|0|length (grows|old is 0)"),
        "EFAULT": rows(r"(?!other).*"),
        "EINVAL": ALL,
        "ENOMEM": rows(r"(?!other).*"),
        "EPERM": rows(r"(?!other).*"),
    }, {}),
    "brk": ({"ENOMEM": ALL}, {}),
    "madvise": ({
        "EACCES": rows(r"all|MADV_REMOVE"),
        "EFAULT": rows(r"all|MADV_POPULATE_(READ|WRITE)"),
        "EINVAL": ALL,
        "ENOMEM": rows(r"(?!other|MADV_HWPOISON|MADV_SOFT_OFFLINE).*"),
        "EPERM": rows(r"all|MADV_(DONTNEED|FREE|REMOVE|DONTFORK|WIPEONFORK|DONTNEED_LOCKED|GUARD_INSTALL)"),
        "EAGAIN": rows(r"all"),
        "EBUSY": rows(r"all|MADV_COLLAPSE"),
    }, {
        "EBADF": "Linux 6.18 does not give it: WILLNEED of memory that is no file's is for swap",
        "EIO": "Linux 6.18 does not look at RLIMIT_RSS",
        "EHWPOISON": "no page is poisoned",
    }),
    "mlock": ({"EAGAIN": ALL, "EINVAL": ALL, "ENOMEM": ALL, "EPERM": ALL}, {}),
    "mlock2": ({
        "EAGAIN": rows(r"all|0"), "EINVAL": ALL, "ENOMEM": rows("(?!other).*"), "EPERM": rows("(?!other).*"),
    }, {}),
    "munlock": ({"EINVAL": ALL, "ENOMEM": ALL}, {"EAGAIN": "nothing is brought in"}),
    "mlockall": ({
        "EINVAL": rows(r"all|MCL_ONFAULT|0|other.*"), "ENOMEM": rows(r"all|MCL_.*"), "EPERM": rows(r"all|MCL_.*"),
    }, {}),
    "munlockall": ({}, {}),
    "msync": ({"EBUSY": rows(r"all|MS_.*"), "EINVAL": ALL, "ENOMEM": rows("(?!other).*")}, {}),
    "mincore": ({"EINVAL": ALL, "ENOMEM": ALL}, {"EFAULT": "the host hands over the answer", "EAGAIN": "the same"}),
    "mseal": ({"EINVAL": ALL, "ENOMEM": rows("(?!other).*")}, {"EPERM": "for 32-bit kernels"}),
    "remap_file_pages": ({"EINVAL": ALL}, {}),
    "ftruncate": ({
        "EBADF": rows("all|file none"), "EINVAL": rows("(?!file none).*"), "EFBIG": rows("all|file disk"),
    }, {
        "EPERM": "no file is sealed", "EINTR": "nothing interrupts it", "EIO": "the disk works", "ETXTBSY": "no file is executed",
    }),
    "fallocate": ({
        "EBADF": rows(r"(?!file (?!none|read_only|disk_read_only)|other).*"),
        "EINVAL": rows(r"(?!file none).*"),
        "EFBIG": rows(r"(?!file (none|.*read_only)|other).*"),
        "EOPNOTSUPP": rows(r"(?!file none|0\Z).*"),
    }, {
        "EINTR": "nothing interrupts it", "EIO": "the disk works", "ENODEV": "all are files", "ENOSPC": "there is room",
        "ENOSYS": "the kernel has it", "EPERM": "no file is sealed", "ESPIPE": "all are files", "ETXTBSY": "none is a swap file",
    }),
    "shmat": ({"EACCES": ALL, "EINVAL": ALL, "ENOMEM": ALL}, {"EIDRM": "no segment is removed while it is attached"}),
    "shmdt": ({"EINVAL": ALL}, {}),
    "process_vm_readv": TRANSFER,
    "process_vm_writev": TRANSFER,
    "fork": ({"ENOMEM": ALL}, {"EAGAIN": "processes enough are allowed"}),
    "thread": ({}, {"EAGAIN": "threads enough are allowed"}),
    "exit": ({}, {}),
    "write": ({"EBADF": ALL, "EINVAL": ALL, "EFBIG": ALL}, {"ENOSPC": "the disk has room", "EIO": "the disk works"}),
}

# By where they begin.
ACCESS_NAMES = ("load", "store", "store_word", "store_run", "execute")
# One of several bytes may begin well and end elsewhere; the part that begins is the first to fail.
SEVERAL_BYTES = {
    "success": rows(r"(?!no area|beyond|guard).*"),
    "SEGV_MAPERR": rows(r"(?!beyond).*"),
    "SEGV_ACCERR": rows(r"(?!no area|guard).*"),
    "BUS_ADRERR": rows(r"(?!no area|guard).*"),
}
# An access of one byte meets what is there, and nothing else.
ONE_BYTE = {
    "success": rows(r"(?!no area|beyond|guard).*"),
    "SEGV_MAPERR": rows(r"no area|below.*|guard"),
    "SEGV_ACCERR": rows(r"(?!no area|below|guard).*"),
    "BUS_ADRERR": rows(r"beyond.*"),
}
# A page that a stack has just grown by holds no instruction that comes back.
EXECUTIONS = {
    "success": rows(r"(?!no area|below|beyond|guard).*"),
    "SEGV_MAPERR": rows(r"(?!beyond).*"),
    "SEGV_ACCERR": rows(r"(?!no area|guard).*"),
    "BUS_ADRERR": rows(r"(?!no area|below|guard).*"),
}

NOT_JUDGED = {}


def read_tally(path, counts):
    with open(path, encoding="utf-8") as f:
        lines = f.read().splitlines()
    if not lines or lines[0] != HEADER:
        sys.exit(f"{path}: this is no tally")
    for number, line in enumerate(lines[1:], 2):
        fields = line.split("\t")
        if len(fields) != 4 or not fields[3].isdigit():
            sys.exit(f"{path}:{number}: not a count")
        key = tuple(fields[:3])
        counts[key] = counts.get(key, 0) + int(fields[3])
    return counts


def write_counts(counts):
    with open(COUNTS, "w", encoding="utf-8") as f:
        f.write(HEADER + "\n")
        f.write(f"rounds\t\t\t{counts.get(('rounds', '', ''), 0)}\n")
        for call, table in groups(counts).items():
            for row, results in table.items():
                for result in ["success"] + sorted(set(results) - {"success"}):
                    f.write(f"{call}\t{row}\t{result}\t{results[result]}\n")


def groups(counts):
    """call: {row: {result: count}}, in the order of the tally."""
    calls = {}
    for (call, row, result), count in counts.items():
        if call != "rounds":
            calls.setdefault(call, {}).setdefault(row, {})[result] = count
    return calls


def cell(count, possible):
    return f"{count:,}" if count else ("untested" if possible else "")


def print_table(out, first, columns, lines):
    out.append("| " + " | ".join([first] + columns) + " |")
    out.append("| --- |" + " ---: |" * len(columns))
    for name, cells in lines:
        out.append(f"| {name} | " + " | ".join(cells) + " |")
    out.append("")


def call_table(out, call, table):
    documented, excused = CALLS[call]
    seen = {result for results in table.values() for result, n in results.items() if n}
    columns = ["success"] + sorted((set(documented) | seen) - {"success"})
    lines = []
    for row, results in table.items():
        name = row.replace("|", "\\|")
        cells = [cell(results.get("success", 0), success_possible(call, row))]
        for column in columns[1:]:
            cells.append(cell(results.get(column, 0), documented.get(column, NONE)(row)))
        lines.append((name, cells))
    out.append(f"### {call}")
    out.append("")
    print_table(out, call, columns, lines)
    if excused:
        out.append("Not to be had here: " + "; ".join(f"{error} ({why})" for error, why in sorted(excused.items())) + ".")
        out.append("")


def success_possible(call, row):
    if call in ("mlock2", "msync", "mremap", "mseal", "mprotect", "process_vm_readv", "process_vm_writev"):
        return not row.startswith("other") and row != "PROT_GROWSUP"
    if call == "mlockall":
        return row != "0" and not row.startswith("other")
    if call == "madvise":
        return row not in ("other MADV_", "MADV_HWPOISON", "MADV_SOFT_OFFLINE")
    if call == "mmap":
        return row not in ("file none", "file write_only", "MAP_HUGETLB", "MAP_SYNC")
    if call == "fallocate":
        return not re.match(r"other|file (none|read_only|disk_read_only)|FALLOC_FL_(UNSHARE|COLLAPSE|INSERT)", row)
    if call == "ftruncate":
        return row not in ("file none", "file read_only", "file disk_read_only")
    if call == "remap_file_pages":
        return row in ("all", "PROT_NONE", "MAP_NONBLOCK", "other MAP_")
    return True


def access_table(out, access, table):
    possible = {"store": ONE_BYTE, "execute": EXECUTIONS}.get(access, SEVERAL_BYTES)
    seen = {result for results in table.values() for result, n in results.items() if n}
    columns = ["success", "SEGV_MAPERR", "SEGV_ACCERR", "BUS_ADRERR"] + (["other"] if "other" in seen else [])
    lines = [(row, [cell(results.get(c, 0), possible.get(c, NONE)(row)) for c in columns]) for row, results in table.items()]
    out.append(f"### {access}")
    out.append("")
    print_table(out, f"{access}, where it begins", columns, lines)


def table_text(counts):
    calls = groups(counts)
    steps = sum(n for (call, row, _), n in counts.items()
                if call != "rounds" and (row == "all" or call in ACCESS_NAMES))
    out = [BEGIN, "",
           f"{steps:,} steps of {counts.get(('rounds', '', ''), 0):,} rounds, in all of which Linux and Quire gave the same.", ""]
    body = []
    for call in list(calls):
        (access_table if call in ACCESS_NAMES else call_table)(body, call, calls[call])
    cells = [c.strip() for line in body if line.startswith("| ") for c in line.strip("| ").split(" | ")[1:]]
    untested = cells.count("untested")
    tested = sum(bool(re.fullmatch(r"[\d,]+", c)) for c in cells)
    out.append(f"{tested} cells have a count, {untested} are untested.")
    out.append("")
    out += body
    if NOT_JUDGED:
        out += ["### Calls that no round makes", ""]
    for call, why in NOT_JUDGED.items():
        out.append(f"- {call}: untested here; {why}.")
    out += ["", END]
    return "\n".join(out)


def read_document():
    with open(DOCUMENT, encoding="utf-8") as f:
        text = f.read()
    before, rest = text.split(BEGIN, 1)
    table, after = rest.split(END, 1)
    return before, BEGIN + table + END, after


def write_table(counts):
    before, _, after = read_document()
    with open(DOCUMENT, "w", encoding="utf-8") as f:
        f.write(before + table_text(counts) + after)


# ---- Is everything there? -------------------------------------------------------------------

PREFIXES = "PROT|MAP|MREMAP|MADV|MLOCK|MCL|MS"
# In the kernel's headers, but no flag of x86-64's calls.
NO_FLAGS = re.compile(r"MAP_(TYPE|FILE|HUGE_.*|DROPPABLE_.*)|PROT_(BTI|MTE|SAO|ADI|COHERENT)|.*_(MASK|SHIFT)|MAP_ANON\Z")


def header_flags():
    """(flag, header) of ours and of the kernel's."""
    for path in sorted(glob.glob(os.path.join(ROOT, "include", "quire", "*.h"))):
        with open(path, encoding="utf-8") as f:
            for name in re.findall(rf"^#define QUIRE_((?:{PREFIXES})_\w+)", f.read(), re.M):
                yield name, os.path.relpath(path, ROOT)
    for path in ("asm-generic/mman-common.h", "asm-generic/mman.h", "linux/mman.h", "asm/mman.h",
                 "x86_64-linux-gnu/asm/mman.h"):
        path = os.path.join("/usr/include", path)
        if os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                for name in re.findall(rf"^#\s*define ((?:{PREFIXES})_\w+)", f.read(), re.M):
                    yield name, path


def header_calls():
    """The system calls that mm.h declares."""
    with open(os.path.join(ROOT, "include", "quire", "mm.h"), encoding="utf-8") as f:
        section = re.search(r"/\* ---- System calls -+ \*/(.*?)/\* ---- ", f.read(), re.S)[1]
    return re.findall(r"^\w[\w ]*?\bquire_(\w+)\(", section, re.M)


def manual_errors(page):
    """The errors that a manual page names; empty where it is not installed."""
    import gzip
    for path in (f"/usr/share/man/man2/{page}.2.gz",):
        if os.path.exists(path):
            with gzip.open(path, "rt", encoding="utf-8", errors="replace") as f:
                text = f.read()
            section = re.search(r"^\.SH ERRORS(.*?)^\.SH ", text, re.M | re.S)
            if section:
                return set(re.findall(r"^\.B[R]? (E[A-Z0-9]+)", section[1], re.M))
    return set()


PAGES = {"mmap": "mmap", "mprotect": "mprotect", "mremap": "mremap", "madvise": "madvise", "mlock": "mlock", "msync": "msync",
         "mincore": "mincore", "remap_file_pages": "remap_file_pages"}


def check(quire):
    failures = []
    counts = read_tally(COUNTS, {})
    if read_document()[1] != table_text(counts):
        failures.append("docs/conformance.md: the table is not what tests/linux/conformance.counts says; conformance.py write")
    before = read_document()[0]
    with open(os.path.join(ROOT, "tools", "fuzz", "play.h"), encoding="utf-8") as f:
        for rule in re.findall(r'^\tX\(\w+, "([^"]*)"\)', f.read(), re.M):
            if f"| {rule} |" not in before:
                failures.append(f"docs/conformance.md does not say why the judge leaves out: {rule}")
    calls = groups(counts)
    for call in header_calls():
        if call not in calls and call not in NOT_JUDGED:
            failures.append(f"no row for {call}(), which include/quire/mm.h declares")
    named = {name for table in calls.values() for row in table
             for name in (re.findall(r"PROT_\w+", row) or [row])}
    rights = {"PROT_READ", "PROT_WRITE", "PROT_EXEC"}
    nr_flags = 0
    for name, path in header_flags():
        if NO_FLAGS.match(name):
            continue
        nr_flags += 1
        if name not in named | rights:
            failures.append(f"no row for {name} of {path}")
    for call in calls:
        if call not in CALLS and call not in ACCESS_NAMES:
            failures.append(f"nobody says which errors {call} may give")
    for call, page in PAGES.items():
        for error in manual_errors(page) - set(CALLS[call][0]) - set(CALLS[call][1]):
            failures.append(f"{page}(2) names {error}, the table of {call} does not")
    with tempfile.TemporaryDirectory() as tmp:
        tally = os.path.join(tmp, "tally")
        case = sorted(glob.glob(os.path.join(ROOT, "tests", "linux", "cases", "*.case")))[0]
        done = subprocess.run([quire, "fuzz", "--case", "--tally", tally, case], text=True, capture_output=True, timeout=60)
        if done.returncode == 0:
            rows_now = {key[:2] for key in read_tally(tally, {})}
            rows_then = {key[:2] for key in counts}
            for call, row in sorted(rows_now ^ rows_then):
                failures.append(f"{call}, {row}: " + ("not in the counts" if (call, row) in rows_now else "no longer counted"))
        elif done.returncode != 77:
            failures.append(f"quire fuzz --tally: {done.stdout}{done.stderr}")
    print(f"conformance: {len(calls)} calls, {nr_flags} flags of the headers, {len(failures)} missing or wrong")
    print("\n".join(failures))
    return 1 if failures else 0


def main():
    command, rest = sys.argv[1], sys.argv[2:]
    if command == "add":
        fresh = "--fresh" in rest
        counts = {} if fresh or not os.path.exists(COUNTS) else read_tally(COUNTS, {})
        for path in rest:
            if path != "--fresh":
                read_tally(path, counts)
        write_counts(counts)
        write_table(counts)
        return 0
    if command == "write":
        write_table(read_tally(COUNTS, {}))
        return 0
    if command == "check":
        return check(rest[0])
    sys.exit(__doc__)


if __name__ == "__main__":
    sys.exit(main())
