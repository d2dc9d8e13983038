#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The quire command, from outside: what it prints, how it exits, and that real programs do not differ.

Usage: run.py QUIRE PROGRAMS_DIR SOURCE_ROOT [TEST...]

Prints in cmocka's format, so that tests/run.py counts one by one.
"""
import errno
import glob
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET

QUIRE, PROGRAMS, ROOT = (os.path.abspath(path) for path in sys.argv[1:4])
WORK = tempfile.mkdtemp(prefix="quire-tool-")
TESTS = []


class Skip(Exception):
    pass


def test(fn):
    TESTS.append(fn)
    return fn


def run(*command, **kwargs):
    kwargs.setdefault("timeout", 300)
    kwargs.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run(list(map(str, command)), text=True, capture_output=True, cwd=WORK, errors="replace",
                          **kwargs)


def same(what, got, expected):
    assert got == expected, f"{what}: got {got!r}, expected {expected!r}"


def program(name):
    path = os.path.join(PROGRAMS, name)
    if not os.path.exists(path):
        raise Skip(f"{name} could not be built here")
    return path


def program_of_32_bits(name, *args):
    """The program's path; skips where the kernel does not run its kind (some virtual machines)."""
    path = program(name)
    try:
        subprocess.run([path, *args], stdin=subprocess.DEVNULL, capture_output=True)
    except OSError as why:
        if why.errno == errno.ENOEXEC:
            raise Skip("this kernel does not run programs of 32 bits")
        raise
    return path


def summary(done):
    """(differences, spaces) of the last line of a report."""
    found = re.search(r"(\d+) calls in (\d+) spaces, (\d+) maps compared, (\d+) differences?\n?$", done.stderr)
    assert found, f"no summary at the end of: {done.stderr[-2000:]}"
    return int(found.group(4)), int(found.group(2))


def no_difference(*command, status="the command exited with status 0", options=(), **kwargs):
    """The command runs under quire shadow as it would alone, and nothing differs. Answers what it printed."""
    done = run(QUIRE, "shadow", *options, "--", *command, **kwargs)
    assert done.returncode == 0, f"exit status {done.returncode}: {done.stderr[-4000:]}"
    same("differences", summary(done)[0], 0)
    assert status in done.stderr, f"'{status}' is not in: {done.stderr[-600:]}"
    return done


def record(name, *command):
    path = os.path.join(WORK, name + ".rec")
    done = run(QUIRE, "record", "-o", path, "--", *command)
    same("exit status of record", done.returncode, 0)
    return path


def need(tool):
    if not shutil.which(tool):
        raise Skip(f"{tool} is not here")


# ---- Real programs ----------------------------------------------------------------------------


@test
def a_program_that_does_nothing():
    no_difference("/bin/true")


@test
def a_pipeline_of_ten():
    done = no_difference("sh", "-c", "cat /etc/passwd | sort | uniq | grep o | sed s/o/0/ | tr a-z A-Z | head -5 | "
                         "tail -3 | cat | wc -l")
    same("output", done.stdout.strip(), "3")
    assert summary(done)[1] >= 20, "a fork and an exec for each of ten processes"


@test
def a_compiler_with_all_its_processes():
    source = os.path.join(ROOT, "src", "base", "text.c")
    done = no_difference("gcc", "-O2", "-std=gnu17", "-I", ROOT + "/include", "-I", ROOT + "/src", "-c", source, "-o",
                         "text.o")
    for name in ("gcc", "cc1", "as"):
        assert re.search(rf"^ *\d+  \S*{name}\S* ", done.stderr, re.M), f"{name} is not in the table: {done.stderr}"


@test
def python_with_modules_and_threads():
    no_difference(sys.executable, "-c", """
import json, re, threading, subprocess, decimal, hashlib, email, logging, argparse, tempfile, zlib, ctypes, unittest
def work():
    for i in range(20): bytearray(300000 + i)
threads = [threading.Thread(target=work) for _ in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
subprocess.check_call(["true"])
""")


@test
def perl():
    need("perl")
    no_difference("perl", "-e", "my %h = map { $_ => 'x' x $_ } 1..3000; system('true'); exit(keys(%h) != 3000)")


@test
def git_log():
    need("git")
    if not os.path.isdir(ROOT + "/.git"):
        raise Skip("this is no repository")
    no_difference("git", "-c", "safe.directory=*", "-C", ROOT, "log", "--stat", "-20")


@test
def node():
    need("node")
    no_difference("node", "-e", "let a = []; for (let i = 0; i < 200000; i++) a.push({ i }); console.log(a.length)")


# ---- Our own programs -------------------------------------------------------------------------


@test
def every_call():
    no_difference(program("calls"), options=["--maps=call", "--flags"])


@test
def every_call_32_bits():
    no_difference(program_of_32_bits("calls32"), options=["--maps=call", "--flags"])


@test
def every_call_in_the_old_layout():
    need("setarch")
    no_difference("setarch", "-L", program("calls"))


@test
def every_call_without_randomisation():
    need("setarch")
    no_difference("setarch", "-R", program("calls"))


@test
def every_call_under_limits():
    no_difference("sh", "-c", f"ulimit -s unlimited; ulimit -l 64; {program('calls')}")


@test
def sixty_four_threads_that_map_at_once():
    no_difference(program("mapper"))


@test
def what_linux_alone_can_answer():
    done = no_difference(program("special"), options=["--maps=call"])
    for line in ("io_setup areas taken over", "files renamed or removed while mapped: name taken over",
                 "mmap of what cannot be mapped"):
        assert re.search(rf"^ *\d+  {line}", done.stderr, re.M), f"no counted line '{line}': {done.stderr[-3000:]}"


@test
def sixty_thousand_areas():
    no_difference(program("many"), "70000")


@test
def order_of_first_writes():
    done = run(QUIRE, "shadow", "--maps=call", "--", program("owners"), "100")
    if "was not logged" in done.stderr:
        raise Skip("the kernel's page-fault event is not to be had")
    same("exit status", done.returncode, 0)


def birth(way, status="exited with status 0"):
    no_difference(program("births"), way, status=status)


for name, ending in (("vfork", 0), ("spawn", 0), ("exec-thread", 0), ("exit-group", 7), ("killed", 0), ("clone-vm", 0),
                     ("clone3", 0), ("signals", 0), ("fork-threads", 0), ("generations", 0), ("leader-leaves", 0)):
    def one(way=name, code=ending):
        birth(way, f"the command exited with status {code}")
    one.__name__ = "births_" + name.replace("-", "_")
    test(one)


@test
def births_crash():
    birth("crash", "the command was killed by signal 11")


@test
def births_32_bits():
    for way in ("vfork", "exec-thread", "killed", "fork-threads", "clone-vm"):
        no_difference(program_of_32_bits("births32", way), way)


# ---- What it says, and how it exits -----------------------------------------------------------


@test
def the_command_keeps_its_streams_and_its_status_is_shown():
    done = no_difference("sh", "-c", "read x; echo got $x; echo aside >&2; exit 5", input="word\n", stdin=None,
                         status="the command exited with status 5")
    same("output", done.stdout, "got word\n")
    assert done.stderr.startswith("aside\n"), done.stderr[:100]


@test
def a_command_that_is_not_there():
    done = run(QUIRE, "shadow", "--", "/nonexistent/program")
    same("exit status", done.returncode, 3)
    same("message", done.stderr, "quire: cannot run /nonexistent/program: No such file or directory\n")


@test
def misuse():
    for wrong in ([], ["shadow"], ["shadow", "--maps=often", "true"], ["record", "true"], ["replay"], ["nonsense"],
                  ["maps", "a", "b"], ["--nonsense"], ["layout", "--nonsense"], ["shadow", "--nonsense", "true"]):
        done = run(QUIRE, *wrong)
        same(f"exit status of {wrong}", done.returncode, 2)
        assert done.stderr and not done.stdout, f"{wrong}: the message goes to standard error"


@test
def help_and_version():
    done = run(QUIRE, "--version")
    assert done.returncode == 0 and re.fullmatch(r"quire \d+\.\d+\.\d+\n", done.stdout), done
    for command in ([], ["shadow"], ["record"], ["replay"], ["maps"], ["smaps"], ["layout"]):
        done = run(QUIRE, *command, "--help")
        same(f"exit status of {command} --help", done.returncode, 0)
        assert "Usage: quire" in done.stdout, done.stdout


@test
def an_interrupt_is_the_commands_to_take():
    for sig in (signal.SIGINT, signal.SIGTERM):
        name = sig.name[3:]
        child = subprocess.Popen([QUIRE, "shadow", "--", "sh", "-c",
                                  f"trap 'exit 9' {name}; echo ready; while :; do sleep 0.05; done"],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                 start_new_session=True)
        same("first line", child.stdout.readline(), "ready\n")
        if sig == signal.SIGINT:
            os.killpg(child.pid, sig)  # as the terminal sends it
        else:
            child.send_signal(sig)
        _, err = child.communicate(timeout=60)
        assert "exited with status 9" in err, err[-500:]
        same("exit status", child.returncode, 0)


@test
def an_unwritable_recording():
    done = run(QUIRE, "record", "-o", "/nonexistent/file", "--", "true")
    same("exit status", done.returncode, 2)
    same("message", done.stderr, "quire: cannot write /nonexistent/file: No such file or directory\n")


# ---- Recordings -------------------------------------------------------------------------------


@test
def what_is_recorded_replays():
    for name in ("calls", "births", "mapper"):
        path = record(name, program(name), "generations")
        done = run(QUIRE, "replay", path)
        same("exit status", done.returncode, 0)
        assert re.search(r"\d+ calls in \d+ spaces, 0 differences, \d+ calls a second\n$", done.stdout), done.stdout


@test
def the_recordings_that_are_kept():
    paths = sorted(glob.glob(os.path.join(ROOT, "tests", "recordings", "*.rec")))
    assert len(paths) >= 6, f"{len(paths)} recordings"
    done = run(QUIRE, "replay", "--no-time", *paths)
    same("exit status", done.returncode, 0)
    same("lines", done.stdout.count(", 0 differences"), len(paths))


@test
def the_example_of_the_manual():
    with open(os.path.join(ROOT, "docs", "recording.md"), encoding="utf-8") as f:
        text = f.read()
    block = text[text.index("    quire-recording 1\n"):]
    lines = [line[4:] for line in block.splitlines() if line.startswith("    ")]
    path = os.path.join(WORK, "example.rec")
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(lines) + "\n")
    done = run(QUIRE, "replay", path)
    same("exit status", done.returncode, 0)
    assert "3 calls in 1 spaces, 0 differences" in done.stdout, done.stdout


def fnv(data):
    h = 0xcbf29ce484222325
    for byte in data:
        h = (h ^ byte) * 0x100000001b3 % 2**64
    return h


def rewrite(path, change):
    """A copy of a recording with its lines changed, its last line made to fit."""
    with open(path, encoding="utf-8") as f:
        lines = f.read().splitlines()[:-1]
    lines = change(lines)
    body = "".join(line + "\n" for line in lines)
    changed = path + ".changed"
    with open(changed, "w", encoding="utf-8") as f:
        f.write(body + f"done {len(lines):x} {fnv(body.encode()):016x}\n")
    return changed


@test
def an_answer_that_is_not_ours_is_a_difference():
    path = record("lastmaps", program("lastmaps"))

    def other_answer(lines):
        at = max(i for i, line in enumerate(lines) if " mmap " in line)
        return lines[:at] + [re.sub("= .*", "= 7f0000000000", lines[at])] + lines[at + 1:]

    def other_maps(lines):
        at = max(i for i, line in enumerate(lines) if line.startswith("maps "))
        return lines[:at] + [re.sub("maps 1 .", "maps 1 0", lines[at])] + lines[at + 1:]

    done = run(QUIRE, "replay", rewrite(path, other_answer))
    same("exit status", done.returncode, 1)
    assert "Linux answered  0x7f0000000000" in done.stderr and "1 difference," not in done.stdout, done.stderr
    assert "1 difference\n" in done.stdout, done.stdout
    with open(path, encoding="utf-8") as f:
        if f"maps 1 0" not in f.read():
            done = run(QUIRE, "replay", rewrite(path, other_maps))
            same("exit status", done.returncode, 1)
            assert "maps differ" in done.stderr, done.stderr


@test
def a_truncated_recording_names_its_line():
    path = record("truncated", program("lastmaps"))
    with open(path, "rb") as f:
        data = f.read()
    rng = random.Random(1)
    for cut in [0, 1, len(data) - 1] + [rng.randrange(len(data)) for _ in range(60)]:
        with open(path, "wb") as f:
            f.write(data[:cut])
        done = run(QUIRE, "replay", path)
        same(f"exit status, cut at {cut}", done.returncode, 2)
        line = data[:cut].count(b"\n") + 1
        assert re.fullmatch(rf"quire: {re.escape(path)}: line {line}: [^\n]*\n", done.stderr), done.stderr
        same("output", done.stdout, "")


@test
def a_damaged_recording_is_refused():
    path = record("damaged", program("births"), "generations")
    with open(path, "rb") as f:
        data = f.read()
    rng = random.Random(2)
    for _ in range(100):
        damaged = bytearray(data)
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(damaged))
            damaged[at] ^= 1 << rng.randrange(8)
        if bytes(damaged) == data:
            continue
        with open(path, "wb") as f:
            f.write(damaged)
        done = run(QUIRE, "replay", path)
        same("exit status", done.returncode, 2)
        assert re.fullmatch(rf"quire: {re.escape(path)}: line \d+: [^\n]*\n", done.stderr), done.stderr


@test
def nonsense_with_a_right_sum_does_no_harm():
    """Words moved, numbers changed: the sum fits, so what remains is the parser's and the library's to survive."""
    path = record("nonsense", program("births"), "generations")
    rng = random.Random(3)

    def shake(lines):
        lines = list(lines)
        for _ in range(rng.randrange(1, 6)):
            at = rng.randrange(len(lines))
            words = lines[at].split(" ")
            kind = rng.randrange(6)
            if kind == 0:
                del lines[at]
            elif kind == 1:
                lines.insert(at, lines[rng.randrange(len(lines))])
            elif kind == 2:
                words[rng.randrange(len(words))] = rng.choice(["0", "ffffffffffffffff", "-1", "1", "fff", "=", "",
                                                               "7ffffffff000", "123456789abcdef01"])
                lines[at] = " ".join(words)
            elif kind == 3 and len(words) > 1:
                del words[rng.randrange(len(words))]
                lines[at] = " ".join(words)
            else:
                other = rng.randrange(len(lines))
                lines[at], lines[other] = lines[other], lines[at]
        return lines

    for _ in range(150):
        done = run(QUIRE, "replay", "--no-time", rewrite(path, shake))
        assert done.returncode in (0, 1, 2), f"exit status {done.returncode}: {done.stderr[-3000:]}"
        assert "library reports" not in done.stderr, done.stderr[-3000:]


# ---- Texts and pictures -----------------------------------------------------------------------


def without_headers(text):
    return "".join(line + "\n" for line in text.splitlines() if line and not line.startswith("#"))


@test
def maps_is_what_the_program_saw():
    path = os.path.join(WORK, "maps.rec")
    done = no_difference(program("lastmaps"), "maps", options=[f"--record={path}"])
    shown = run(QUIRE, "maps", path)
    same("exit status", shown.returncode, 0)
    same("maps", without_headers(shown.stdout), done.stdout)


@test
def smaps_has_sizes_and_flags_right():
    path = os.path.join(WORK, "smaps.rec")
    done = no_difference(program("lastmaps"), "smaps", options=[f"--record={path}"])
    shown = run(QUIRE, "smaps", path)
    same("exit status", shown.returncode, 0)

    def chosen(text):
        # What counts pages is not recorded; [vsyscall] lies outside user space.
        text = text.split("ffffffffff600000-")[0]
        return [line.rstrip() for line in text.splitlines()
                if re.match(r"[0-9a-f]+-|Size:|KernelPageSize:|MMUPageSize:|VmFlags:", line)]
    same("smaps", chosen(without_headers(shown.stdout)), chosen(done.stdout))


@test
def the_picture_is_to_scale():
    path, svg = record("picture", program("lastmaps")), os.path.join(WORK, "picture.svg")
    same("exit status", run(QUIRE, "maps", f"--svg={svg}", path).returncode, 0)
    areas = without_headers(run(QUIRE, "maps", path).stdout).splitlines()
    areas = [line for line in areas if not line.startswith("ffffffffff600000")]
    heights = {}
    for rect in ET.parse(svg).getroot().iter("{http://www.w3.org/2000/svg}rect"):
        title = rect.find("{http://www.w3.org/2000/svg}title")
        if title is not None:
            heights[title.text.split(" ")[0]] = float(rect.get("height"))
    same("areas drawn", sorted(heights), sorted(line.split(" ")[0] for line in areas))
    scales = []
    for line in areas:
        start, end = (int(x, 16) for x in line.split(" ")[0].split("-"))
        if heights[line.split(" ")[0]] > 5:
            scales.append(heights[line.split(" ")[0]] / (end - start))
    assert len(scales) > 3
    # The largest may be folded, that is, drawn lower than to scale; no other may.
    scales.sort()
    assert scales[-1] / scales[1] < 1.01, scales


# ---- Layouts ----------------------------------------------------------------------------------

MACHINES = {  # its zones, and what Linux has as the start of its direct map
    "i386": (["HighMem", "Normal", "DMA"], 0xc0000000), "pae": (["HighMem", "Normal", "DMA"], 0xc0000000),
    "x86_64": (["Normal", "DMA32", "DMA"], 0xffff888000000000),
    "x86_64-5level": (["Normal", "DMA32", "DMA"], 0xff11000000000000),
    "aarch64": (["Normal", "DMA32"], 0xffff000000000000), "aarch64-16k": (["Normal", "DMA32"], 0xffff000000000000),
    "aarch64-64k": (["Normal", "DMA32"], 0xffff000000000000), "sv32": (["HighMem", "Normal"], 0xc0000000),
    "sv39": (["Normal", "DMA32"], 0xffffffd600000000), "sv48": (["Normal", "DMA32"], 0xffffaf8000000000),
    "sv57": (["Normal", "DMA32"], 0xff60000000000000),
}


def parts(text, heading):
    """{name: (start, end)} of the lines "    name : 0x... - 0x..." below the heading, in their order."""
    block = text.split(heading + "\n")[1].split("\n\n")[0]
    found = re.findall(r"^    (\w+) *: 0x([0-9a-f]+) - 0x([0-9a-f]+)", block, re.M)
    return {name: (int(start, 16), int(end, 16)) for name, start, end in found}


def drawn(svg):
    """[(start, end, words, x, y, height)] of all rectangles that stand for addresses."""
    result = []
    for rect in ET.parse(svg).getroot().iter("{http://www.w3.org/2000/svg}rect"):
        title = rect.find("{http://www.w3.org/2000/svg}title")
        found = title is not None and re.match(r"([0-9a-f]+)-([0-9a-f]+) (.*)", title.text)
        if found:
            result.append((int(found[1], 16), int(found[2], 16), found[3], float(rect.get("x")), float(rect.get("y")),
                           float(rect.get("height"))))
    return result


@test
def every_machine_has_a_layout_and_a_picture_of_it():
    for name, (zones, page_offset) in MACHINES.items():
        svg = os.path.join(WORK, name + ".svg")
        done = run(QUIRE, "layout", f"--machine={name}", f"--svg={svg}")
        same(f"{name}: exit status and messages", (done.returncode, done.stderr), (0, ""))
        assert done.stdout.startswith(name + ": "), done.stdout
        of_zones, of_kernel = parts(done.stdout, "zones:"), parts(done.stdout, "virtual kernel memory layout:")
        same(f"{name}: zones", list(of_zones), zones)
        same(f"{name}: direct map", of_kernel["lowmem"][0], page_offset)
        same(f"{name}: kmaps", "pkmap" in of_kernel, zones[0] == "HighMem")
        shown = drawn(svg)
        for part, (start, end) in of_kernel.items():
            assert any(d[:2] == (start, end) for d in shown), f"{name}: {part} is drawn"
        for zone, (start, end) in of_zones.items():
            inside = [d for d in shown if d[2].startswith(zone + ",")]
            assert inside and all(start <= d[0] < d[1] <= end for d in inside), f"{name}: {zone} is drawn"
        for x in {d[3] for d in shown}:  # two columns: no hole, no overlap, high addresses on top
            column = sorted(d for d in shown if d[3] == x)
            for below, above in zip(column, column[1:]):
                same(f"{name}: where {above} begins", above[0], below[1])
                assert abs(above[4] + above[5] - below[4]) < 0.1, f"{name}: {above} stands on {below}"


@test
def the_layout_is_linuxs():
    done = run(QUIRE, "layout", "--machine", "pae", "--ram", "8G")
    # By hand from the map: 0x38000 to 0xbffe0 and 5 GiB from 4 GiB on.
    assert re.search(rf"HighMem : 0x038000000 - 0x240000000 +{(0xbffe0 - 0x38000 + 0x140000) * 4} kB\n", done.stdout), done.stdout
    same("zones", parts(done.stdout, "zones:"), {"HighMem": (0x38000000, 0x240000000), "Normal": (0x1000000, 0x38000000),
                                                 "DMA": (0, 0x1000000)})
    assert "    lowmem  : 0xc0000000 - 0xf8000000   ( 896 MB)\n" in done.stdout, done.stdout
    assert re.search(r"    pkmap   : 0x[0-9a-f]{8} - 0x[0-9a-f]{8}   \(2048 kB\)\n", done.stdout), done.stdout
    done = run(QUIRE, "layout", "--machine", "i386", "--ram", "512MiB")
    assert "HighMem" not in done.stdout and "pkmap" not in done.stdout, done.stdout
    assert "    lowmem  : 0xc0000000 - 0xdffe0000   ( 511 MB)\n" in done.stdout, done.stdout
    done = run(QUIRE, "layout", "--machine", "i386", "--ram", "4G")
    assert "1 GiB more lie beyond what the processor reaches\n" in done.stdout, done.stdout
    assert re.search(r"    pkmap   : 0x[0-9a-f]{8} - 0x[0-9a-f]{8}   \(4096 kB\)\n", done.stdout), done.stdout
    done = run(QUIRE, "layout")
    assert "    vmalloc : 0xffffc90000000000 - 0xffffe90000000000 " in done.stdout, done.stdout
    # More RAM than this host has addresses for.
    same("4 PiB", run(QUIRE, "layout", "--machine=x86_64-5level", "--ram=4P").returncode, 0)


@test
def what_can_be_seen_to_scale_is():
    svg = os.path.join(WORK, "scale.svg")
    same("exit status", run(QUIRE, "layout", "--machine=pae", f"--svg={svg}").returncode, 0)
    assert open(svg).read().count(">to scale<") == 2
    for x in {d[3] for d in drawn(svg)}:
        large = [d for d in drawn(svg) if d[3] == x and d[5] > 5]
        scales = sorted(d[5] / (d[1] - d[0]) for d in large)
        assert len(scales) >= 3 and scales[-1] / scales[0] < 1.01, large
    same("exit status", run(QUIRE, "layout", "--machine=x86_64", f"--svg={svg}").returncode, 0)
    text = open(svg).read()
    assert "vmalloc, 32 TiB (not to scale)" in text and "axis broken" in text


@test
def layouts_that_cannot_be():
    for wrong in (["--machine=vax"], ["--ram=lots"], ["--ram=-1"], ["--ram=0"], ["--ram="], ["--ram=1X"], ["--ram=1GB"],
                  ["--ram=99999999999999999999"], ["--ram=17179869184G"], ["--ram=8K"], ["--machine=pae", "--ram=65G"],
                  ["--machine=i386", "--ram=4097M"], ["--machine=sv39", "--ram=1T"], ["--ram=65T"], ["more"]):
        done = run(QUIRE, "layout", *wrong)
        same(f"{wrong}: exit status", done.returncode, 2)
        same(f"{wrong}: output", done.stdout, "")
        assert re.fullmatch(r"quire: .+\n", done.stderr), f"{wrong}: one line, not {done.stderr!r}"
    done = run(QUIRE, "layout", "--machine=pae", "--ram=65G")
    same("message", done.stderr, "quire: pae cannot have 65 GiB of RAM: 64 GiB at most\n")
    for path, why in (("/nonexistent/file", "No such file or directory"), ("/dev/full", "No space left on device")):
        done = run(QUIRE, "layout", f"--svg={path}")
        same("exit status", done.returncode, 3)
        same("message", done.stderr, f"quire: cannot write {path}: {why}\n")
    with open("/dev/full", "w") as full:
        done = subprocess.run([QUIRE, "layout"], stdout=full, stderr=subprocess.PIPE, text=True)
    same("a full disk", (done.returncode, done.stderr), (3, "quire: cannot write: No space left on device\n"))


# ---- All --------------------------------------------------------------------------------------


def main():
    chosen = [t for t in TESTS if not sys.argv[4:] or t.__name__ in sys.argv[4:]]
    passed, failed, skipped = 0, [], 0
    probe = run(QUIRE, "shadow", "--", "/bin/true")
    if probe.returncode == 3 and "cannot trace" in probe.stderr:
        print("processes can't be traced here:", probe.stderr.strip())
        return 77
    print(f"[==========] Running {len(chosen)} test(s).")
    for t in chosen:
        began = time.monotonic()
        print(f"[ RUN      ] {t.__name__}", flush=True)
        try:
            t()
            passed += 1
            print(f"[       OK ] {t.__name__} ({time.monotonic() - began:.1f} s)", flush=True)
        except Skip as why:
            skipped += 1
            print(f"             {why}\n[  SKIPPED ] {t.__name__}", flush=True)
        except (AssertionError, subprocess.TimeoutExpired) as why:
            failed.append(t.__name__)
            print(f"             {why}\n[  FAILED  ] {t.__name__}", flush=True)
    print(f"[==========] {len(chosen)} test(s) run.")
    print(f"[  PASSED  ] {passed} test(s).")
    if skipped:
        print(f"[  SKIPPED ] {skipped} test(s).")
    if failed:
        print(f"[  FAILED  ] {len(failed)} test(s), listed below:")
        for name in failed:
            print(f"[  FAILED  ] {name}")
    shutil.rmtree(WORK, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
