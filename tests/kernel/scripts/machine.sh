#!/bin/sh
# SPDX-License-Identifier: MIT
# Tools that read /proc: they must find their way through ours. What they say depends on the machine, so only that it makes sense is shown.
free | awk '/^Mem:/ { print "free:", ($2 > 50000 && $3 + $4 <= $2 + 1) }'
ps | grep -c 'ps$'
uptime | grep -c up
top -b -n 1 | grep -c '^ *PID'
cat /proc/$$/maps | grep -c stack
awk '/MemTotal/ { t = $2 } /MemFree/ { f = $2 } END { print (f < t) }' /proc/meminfo
df / > /dev/null && echo df
stat -c %F /proc/self/exe /proc/self /proc/self/maps
