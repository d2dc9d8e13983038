#!/bin/sh
# SPDX-License-Identifier: MIT
# What `make run` shows: the machine's memory, and ordinary programs at work in it.
title() { echo; echo "== $1"; }

uname -srm
title 'The kernel address space'
cat /proc/quire/layout
title 'Memory'
free
cat /proc/buddyinfo
title 'A sort of 100,000 lines through pipes'
seq 1 100000 | awk '{ print ($1 * 7919) % 100003 }' > /tmp/numbers
ls -l /tmp/numbers
sort -n /tmp/numbers > /tmp/sorted
sort -n -c /tmp/sorted && echo sorted: $(head -n 1 /tmp/sorted) to $(tail -n 1 /tmp/sorted)
gzip -c /tmp/sorted | gunzip -c | cmp - /tmp/sorted && echo the same after gzip and gunzip
rm /tmp/numbers /tmp/sorted
title 'Fifty processes'
i=0
while [ $i -lt 50 ]; do
	(echo $i | cat > /tmp/p$i) &
	i=$((i + 1))
done
wait
cat /tmp/p* | awk '{ sum += $1 } END { print "they counted to", sum }'
rm /tmp/p*
title 'The memory of one of them'
cat /proc/self/maps
title 'Processors'
cat /proc/quire/cpus
title 'System calls that were asked for and are not there'
cat /proc/quire/missing
free
