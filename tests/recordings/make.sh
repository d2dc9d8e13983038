#!/bin/sh
# SPDX-License-Identifier: MIT
# Make the recordings of this folder anew: make.sh QUIRE PROGRAMS_DIR. To be done where the tool finds no difference, and then
# looked at: what is recorded is what Linux answered here, and later replays are judged by it.
set -e
quire=$(realpath "$1")
programs=$(realpath "$2")
here=$(realpath "$(dirname "$0")")
work=/tmp/quire-demo
rm -rf $work
mkdir $work
cd $work
export LC_ALL=C HOME=$work PATH=/usr/bin:/bin

record() {
	name=$1
	shift
	"$quire" shadow --record="$here/$name.rec" -- "$@" >$name.out 2>$name.err || {
		cat $name.err
		exit 1
	}
	tail -n 1 $name.err
}

cp "$programs"/calls "$programs"/calls32 "$programs"/mapper "$programs"/births .
cat >hello.c <<'EOF'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static int compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }
int main(int argc, char **argv)
{
	qsort(argv + 1, argc - 1, sizeof(*argv), compare);
	for (int i = 1; i < argc; i++)
		printf("%d %s\n", i, argv[i]);
	return 0;
}
EOF
cat >modules.py <<'EOF'
import argparse, collections, decimal, email, hashlib, json, logging, re, subprocess, tempfile, threading, zlib
def work():
    for i in range(10):
        bytearray(300000 + i)
threads = [threading.Thread(target=work) for _ in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
subprocess.check_call(["true"])
EOF
git init -q repository
for i in 1 2 3 4 5; do
	seq $((i * 100)) >repository/file
	git -C repository add file
	git -C repository -c user.name=a -c user.email=a@b commit -qm "Number $i"
done
git -C repository gc -q

record gcc gcc -O2 -o hello hello.c
record python python3 modules.py
record perl perl -e 'my %h = map { $_ => "x" x $_ } 1..2000; system("true"); print scalar(keys %h)'
record git-log git -C repository log --stat -p
record pipeline sh -c 'cat /etc/passwd | sort | uniq | grep o | sed s/o/0/ | tr a-z A-Z | head -5 | tail -3 | cat | wc -l'
record node node -e 'let a = []; for (let i = 0; i < 100000; i++) a.push({ i })'
record mapper ./mapper 12
record calls ./calls
record calls32 ./calls32
record generations ./births generations
cd "$here"
rm -rf $work
ls -l ./*.rec
