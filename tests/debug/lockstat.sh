#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Runs in a test VM (make vm-lockstat): what taking and giving a chunk costs on one processor and on two, and, where the
# kernel counts lock acquisitions (tests/vm/run --kind debug), how often which lock of the module was taken and
# how often somebody had to wait for it. A report, not a test: it passes if it ran.
rounds=${ROUNDS:-2000}
turnover=/tests/turnover
[ ! -e /proc/lock_stat ] || echo 0 >/proc/lock_stat
for workers in 1 2; do
	[ ! -e /proc/sys/kernel/lock_stat ] || echo 1 >/proc/sys/kernel/lock_stat
	"$turnover" "$workers" "$rounds" | sed 's/^/# /'
	[ ! -e /proc/lock_stat ] && continue
	echo 0 >/proc/sys/kernel/lock_stat
	echo "# with $workers: class name, contentions, acquisitions"
	awk '/^ *[^ ]+.*:  *[0-9]/ {
		name = $0; sub(/: .*/, "", name); sub(/^ */, "", name)
		rest = $0; sub(/^[^:]*(::[^:]*)*: */, "", rest); n = split(rest, f, " +")
		if (n >= 8) print f[8], f[2], name
	}' /proc/lock_stat | sort -rn | head -n "${LOCKS:-25}" | awk '{
		printf "#   %s %s %s\n", substr($0, index($0, $3)), $2, $1 }'
	echo 0 >/proc/lock_stat
done
echo "1..1"
echo "ok 1 - the report ran"
