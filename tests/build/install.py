#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The four ways to take the library into use, each tried with a small hosted program.

usage: install.py SOURCE_ROOT BUILD_ROOT

1. meson install, then pkg-config and the static library;
2. the same with the shared library;
3. as a Meson subproject;
4. as a plain list of C files, freestanding and with -nostdlib.
"""
import glob
import os
import subprocess
import sys
import tempfile

SOURCE, BUILD = sys.argv[1:3]
HOST = os.path.join(SOURCE, "tests", "build", "host.c")
WARNINGS = ["-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror"]


def sh(command, **kwargs):
    done = subprocess.run(command, text=True, capture_output=True, **kwargs)
    if done.returncode:
        print("$", " ".join(command))
        print(done.stdout[-4000:] + done.stderr[-4000:])
        raise SystemExit(f"failed: {command[0]}")
    return done.stdout


def says(program, env=None):
    out = sh([program], env=env)
    assert out == "42 4096\n", out
    print("ok:", program)


def main():
    with tempfile.TemporaryDirectory() as tmp:
        stage = os.path.join(tmp, "stage")
        sh(["meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", stage])
        pc = glob.glob(stage + "/**/quire.pc", recursive=True)
        assert len(pc) == 1, pc
        env = dict(os.environ, PKG_CONFIG_SYSROOT_DIR=stage, PKG_CONFIG_PATH=os.path.dirname(pc[0]))
        flags = sh(["pkg-config", "--cflags", "quire"], env=env).split()
        libs = sh(["pkg-config", "--libs", "quire"], env=env).split()
        folder = os.path.dirname(glob.glob(stage + "/**/libquire.a", recursive=True)[0])

        static = os.path.join(tmp, "static")
        sh(["gcc", *WARNINGS, HOST, *flags, "-o", static, os.path.join(folder, "libquire.a")])
        says(static)

        shared = os.path.join(tmp, "shared")
        # -rdynamic: the library finds the port's functions in the program.
        sh(["gcc", *WARNINGS, "-rdynamic", HOST, *flags, "-o", shared, *libs])
        says(shared, dict(os.environ, LD_LIBRARY_PATH=folder))

        user = os.path.join(tmp, "user")
        os.makedirs(os.path.join(user, "subprojects"))
        os.symlink(SOURCE, os.path.join(user, "subprojects", "quire"))
        os.symlink(HOST, os.path.join(user, "host.c"))
        with open(os.path.join(user, "meson.build"), "w", encoding="utf-8") as f:
            f.write("project('user', 'c', default_options: ['c_std=gnu17'])\n"
                    "quire = subproject('quire').get_variable('quire_dep')\n"
                    "executable('user', 'host.c', dependencies: quire)\n")
        sh(["meson", "setup", os.path.join(user, "b"), user])
        sh(["ninja", "-C", os.path.join(user, "b")])
        says(os.path.join(user, "b", "user"))

        objects = []
        for source in sorted(glob.glob(os.path.join(SOURCE, "src", "*", "*.c"))):
            objects.append(os.path.join(tmp, f"{len(objects)}.o"))
            sh(["gcc", "-std=gnu17", "-O1", "-ffreestanding", "-nostdlib", *WARNINGS,
                "-I", os.path.join(SOURCE, "include"), "-I", os.path.join(SOURCE, "src"),
                "-c", source, "-o", objects[-1]])
        plain = os.path.join(tmp, "plain")
        sh(["gcc", *WARNINGS, "-I", os.path.join(SOURCE, "include"), HOST, *objects, "-o", plain])
        says(plain)
    return 0


if __name__ == "__main__":
    sys.exit(main())
