#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Runs in a test VM (make vm-lockstat): what taking and giving a chunk costs on one processor and on two, and, where the
# kernel counts lock acquisitions (tests/vm/run --kind debug), how often which lock of the module was taken and
# how often somebody had to wait for it. A report, not a test: it passes if it ran.
#
# MODULE_LOCKS are the names of the module's locks, as its source initializes them. The kernel may have a lock of the
# same name; then both are printed, and the one with a number behind its name is the later one, the module's.
rounds=${ROUNDS:-2000}
turnover=/tests/turnover
took_us=''
[ ! -e /proc/lock_stat ] || echo 0 >/proc/lock_stat
for workers in 1 2; do
	[ ! -e /proc/sys/kernel/lock_stat ] || echo 1 >/proc/sys/kernel/lock_stat
	said=$("$turnover" "$workers" "$rounds") || exit 1
	echo "# $said"
	took_us="$took_us $(echo "$said" | sed 's/.*: \([0-9]*\) us.*/\1/')"
	[ ! -e /proc/lock_stat ] && continue
	echo 0 >/proc/sys/kernel/lock_stat
	echo "# with $workers: lock, contentions, acquisitions"
	awk -v names="$MODULE_LOCKS" 'BEGIN { n = split(names, list, " "); for (i = 1; i <= n; i++) mine[list[i]] = 1 }
	/^ *[^ ]+.*:  *[0-9]/ {
		name = $0; sub(/: .*/, "", name); gsub(/ /, "", name); lock = name; sub(/[#\/-][0-9RW].*$/, "", lock)
		rest = $0; sub(/^[^:]*(::[^:]*)*: */, "", rest); n = split(rest, f, " +")
		if (n >= 8 && lock in mine) print f[8], f[2], name
	}' /proc/lock_stat | sort -rn | awk '{ print "#   " $3, $2, $1 }'
	echo 0 >/proc/lock_stat
done
echo "$took_us" | awk '{ printf "# two workers took %.2f times as long as one, for twice as many rounds\n", $2 / $1 }'
echo "1..1"
echo "ok 1 - the report ran"
