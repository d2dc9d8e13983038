#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Code and tables in the documents are true.

usage: docs.py SOURCE_ROOT BUILD_ROOT

1. Every ```c block of README.md and docs/*.md whose first line is `/* example: NAME */` compiles without a
   warning, and prints what the ```text block after it shows.
2. docs/porting.md has a heading for every port function, and no other.
3. Every file that docs/linux-map.md, conformance.md and design.md name exists. What linux-map.md names is
   there: a quire_ or QUIRE_ name in a header, a field in its struct, a test in its file.
"""
import glob
import os
import re
import subprocess
import sys
import tempfile

SOURCE, BUILD = sys.argv[1:3]
failures = []


def read(path):
    with open(os.path.join(SOURCE, path), encoding="utf-8") as f:
        return f.read()


def check(ok, message):
    print(("ok: " if ok else "NOT OK: ") + message)
    if not ok:
        failures.append(message)


def examples():
    found = 0
    documents = ["README.md"] + sorted(os.path.relpath(p, SOURCE) for p in glob.glob(SOURCE + "/docs/*.md"))
    with tempfile.TemporaryDirectory() as tmp:
        for document in documents:
            for name, body, expected in re.findall(
                    r"```c\n(?:/\* example: (\S+) \*/\n)(.*?)```\n(?:\s*(?:[^\n`]+\n)*\s*```text\n(.*?)```)?",
                    read(document), re.S):
                found += 1
                source = os.path.join(tmp, name + ".c")
                with open(source, "w", encoding="utf-8") as f:
                    f.write(body)
                program = os.path.join(tmp, name)
                done = subprocess.run(
                    ["gcc", "-std=gnu17", "-Wall", "-Wextra", "-Werror", "-DQUIRE_DEBUG=0",
                     "-I", os.path.join(SOURCE, "include"), "-I", os.path.join(SOURCE, "machine"), source,
                     "-o", program, "-Wl,--start-group", os.path.join(BUILD, "machine", "libmachine.a"),
                     os.path.join(BUILD, "libquire.a"), "-Wl,--end-group", "-pthread"], text=True, capture_output=True)
                check(done.returncode == 0, f"{document}: {name} compiles\n{done.stderr[-3000:]}".rstrip())
                if done.returncode:
                    continue
                done = subprocess.run([program], text=True, capture_output=True, timeout=60)
                check(done.returncode == 0 and done.stdout == expected,
                      f"{document}: {name} prints what the document shows"
                      + ("" if done.stdout == expected else f"\n{done.stdout}\n--- instead of ---\n{expected}"))
    check(found > 0, f"{found} examples found")


def declared():
    text = "".join(read(os.path.relpath(p, SOURCE)) for p in glob.glob(SOURCE + "/include/quire/*.h"))
    return text, set(re.findall(r"\bquire_\w+", text)) | set(re.findall(r"\bQUIRE_\w+", text))


def has_field(headers, struct, field):
    body = re.search(rf"^struct {struct} \{{(.*?)^\}}", headers, re.M | re.S)
    return bool(body and re.search(rf"\b{field}\b", body[1]))


def has_test(name, test):
    for path in glob.glob(SOURCE + "/tests/*/" + name):
        if re.search(rf"\b{test}\(", read(os.path.relpath(path, SOURCE))):
            return True
    return False


def main():
    examples()
    headers, names = declared()
    port = set(re.findall(r"\b(quire_port_\w+)\(", read("include/quire/port.h")))
    headed = set(re.findall(r"^###+ .*?\b(quire_port_\w+)", read("docs/porting.md"), re.M))
    check(port == headed, "docs/porting.md has every port function"
          + "".join(f"; {n}" for n in sorted(port ^ headed)))
    mapped = read("docs/linux-map.md")
    for document in ("docs/linux-map.md", "docs/conformance.md", "docs/design.md"):
        for path in sorted(set(re.findall(r"`((?:src|tests|include|machine|tools|bench)/[\w./-]+)`", read(document)))):
            if not os.path.exists(os.path.join(SOURCE, path)):
                check(False, f"{document}: {path} does not exist")
    unknown = [n for n in re.findall(r"`(quire_\w+)[`(]|`(?:struct |enum )(quire_\w+)`|`(QUIRE_\w+)`", mapped)]
    unknown = sorted(n for n in {"".join(groups) for groups in unknown} if n not in names)
    unknown += sorted(f"{s}.{f}" for s, f in set(re.findall(r"`(quire_\w+)\.(\w+)`", mapped))
                      if not has_field(headers, s, f))
    check(not unknown, "docs/linux-map.md names what the headers declare" + "".join(f"; {n}" for n in unknown))
    missing = sorted(f"{f}: {t}" for f, t in set(re.findall(r"`(\w+\.c): (\w+)`", mapped)) if not has_test(f, t))
    check(not missing, "docs/linux-map.md names tests that are there" + "".join(f"; {m}" for m in missing))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
