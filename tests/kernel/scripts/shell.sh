#!/bin/sh
# SPDX-License-Identifier: MIT
# An ordinary shell script: pipes, loops, files, processes, here-documents, text tools.
d=/tmp/shell-$$
mkdir -p $d/a/b && cd $d || exit 1
seq 1 20000 > numbers
sort -rn numbers | head -n 3
sort -n numbers | tail -n 1
wc -l < numbers
awk '{ s += $1 } END { print "sum", s }' numbers
md5sum < numbers
gzip -k numbers && gunzip -c numbers.gz | cmp - numbers && echo same
tar cf all.tar numbers a && mkdir out && tar xf all.tar -C out && cmp numbers out/numbers && ls -1 out
i=0
while [ $i -lt 20 ]; do
	(echo $i > f$i) &
	i=$((i + 1))
done
wait
cat f? f?? | sort -n | tr '\n' ' '
echo
for f in f1?; do mv $f a/b/; done
ls a/b | wc -l
find . -name 'f*' | wc -l
grep -c 7 numbers
sed -n '5,7p' numbers
cat <<END | tr a-z A-Z
here is a document
END
x=$(echo $(echo nested))
echo "$x" | od -c | head -n 1
false || echo 'or else'
(exit 7); echo $?
sh -c 'kill -9 $$'; echo $?
trap 'echo trapped' USR1; kill -USR1 $$; 
set -- one two three; shift; echo $# $1
test -d a && test ! -e nothing && echo tests
ln -s numbers link && readlink link
chmod 400 numbers && ls -l numbers | cut -c1-10
cd / && rm -r $d && ls -d $d 2>/dev/null || echo gone
