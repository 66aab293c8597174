#!/bin/sh
# SPDX-License-Identifier: MIT
# scene.sh control|arenad
#
# The scene under memory pressure, played in a test VM by busybox's shell. A service has had its rush hour;
# its memory idles in the module's pool and in its own cache. Then a hog needs more than is free. "control": nobody gives
# anything back (the module's own shrinker must be off); the hog must end in an OOM kill. "arenad": the
# daemon runs; the hog must get its memory, nobody may be killed, and the service must go on.
#
# Models: one service, one newcomer, no swap, pool and cache allowed to keep the whole of a peak. Not to be used for:
# how fast the daemon is (its own tests measure that), or what happens with swap and page cache.
# Prints TAP; leaves /out/NAME.csv (sample), /out/NAME.log (programs), /out/NAME.kernel (kernel log).
set -u

name=${1:-}
case $name in
control | arenad) ;;
*)
	echo "usage: scene.sh control|arenad" >&2
	exit 2
	;;
esac

demo=/tests/arena-demo
parameters=/sys/module/arena/parameters
state=/tmp/scene
log=/out/$name.log
mkdir -p $state /out
rm -f $state/*

count=0 failed=0
# result CONDITION-STATUS NAME
result() {
	count=$((count + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $count - $2"
	else
		failed=$((failed + 1))
		echo "not ok $count - $2"
	fi
}

# give_up REASON: what follows would mean nothing.
give_up() {
	result 1 "$1"
	sed 's/^/# /' "$log"
	echo "1..$count"
	exit 1
}

# The n-th number of a status file; see examples/status.c.
# shellcheck disable=SC2046 # words are what is wanted
field() { set -- "$2" $(cat "$state/$1" 2>/dev/null) 0 0 0 0 0; shift "$1"; echo "$1"; }

# wait_for SECONDS COMMAND...
wait_for() {
	tenths=$(($1 * 10))
	shift
	until "$@"; do
		tenths=$((tenths - 1))
		[ $tenths -gt 0 ] || return 1
		sleep 0.1
	done
}

oom_kills() { sed -n 's/^oom_kill //p' /proc/vmstat; }
serve_answers() { [ "$(field serve 2)" -eq 2 ]; }
serve_alive() { kill -0 "$serve" 2>/dev/null; }
answered_since() { [ "$(field serve 3)" -gt "$1" ]; }

# The scene's own shell must survive whoever is chosen. The service and the hog are as good as any process.
echo -1000 >/proc/self/oom_score_adj

# A peak below the cap of one user, a pool that may keep all of it, and a cache in the service that may keep
# all that it held on the embedded source.
embedded_percent=10
mem_total_kb=$(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)
user_chunks=$(cat $parameters/max_user_chunks)
peak_percent=$((user_chunks * 2048 * 90 / mem_total_kb))
echo "$user_chunks" >$parameters/pool_max_chunks
export ARENA_CACHED_CHUNKS=$((mem_total_kb * embedded_percent / 2048 / 100))

: >"$log"
if [ "$name" = arenad ]; then
	mkdir -p /run/arena
	/bin/arenad >>"$log" 2>&1 &
	arenad=$!
	wait_for 10 [ -S /run/arena/arenad.sock ] || give_up "arenad listens"
	join=--join
else
	join=
fi

$demo sample --output "/out/$name.csv" --serve-status $state/serve --hog-status $state/hog \
	>>"$log" 2>&1 &
sampler=$!
# shellcheck disable=SC2086 # one word or none
sh -c 'echo 0 >/proc/self/oom_score_adj; exec "$@"' sh $demo serve --peak-percent $peak_percent \
	--embedded-percent $embedded_percent $join \
	--status $state/serve >>"$log" 2>&1 &
serve=$!
wait_for 120 serve_answers || give_up "the service answers after its rush hour"
sleep 2
before=$(oom_kills)
cached=$(field serve 5)
[ "$cached" -gt 0 ]
result $? "$name: the service caches memory"
dmesg -c >/tmp/scene-before

# Two thirds: more than the pool alone can give without going below the daemon's lowest watermark, less than all.
sh -c 'echo 0 >/proc/self/oom_score_adj; exec "$@"' sh $demo hog --idle-percent 67 --serve-status $state/serve \
	--status $state/hog >>"$log" 2>&1
hog_status=$?
answered=$(field serve 3)
wait_for 20 answered_since "$answered"
goes_on=$?
cached_after=$(field serve 5)

if [ "$name" = control ]; then
	[ "$(oom_kills)" -gt "$before" ]
	result $? "control: the kernel killed a process, out of memory"
	[ $hog_status -ne 0 ]
	result $? "control: the hog did not get its memory"
	# Whom the kernel picks, and whether one victim is enough, is its choice.
	[ $goes_on -eq 0 ] || echo "# control: the service was killed too"
else
	result $goes_on "arenad: the service goes on afterwards"
	[ "$(oom_kills)" -eq "$before" ]
	result $? "arenad: nobody was killed"
	[ $hog_status -eq 0 ]
	result $? "arenad: the hog got its memory"
	/bin/arenactl status >/out/arenad.status 2>&1
	result $? "arenad: arenactl shows what it did"
	[ "$cached_after" -lt "$cached" ]
	result $? "arenad: the service gave memory of its cache back"
	kill -0 "$arenad" 2>/dev/null
	result $? "arenad: the daemon is alive"
fi

sleep 1
kill -TERM $sampler
wait $sampler
result $? "$name: every row was written"
kill -TERM "$serve" 2>/dev/null
wait "$serve"
serve_status=$?
# 137: killed, which only the control run allows.
[ $serve_status -eq 0 ] || { [ "$name" = control ] && [ $serve_status -eq 137 ]; }
result $? "$name: the service never gave another answer, nor failed"
[ "$name" = control ] || kill -TERM "$arenad"

# An OOM kill prints a stack, which is what the control run is for; everything else in the log still counts.
dmesg -c >"/out/$name.kernel"
sed 's/^\[[^]]*\] //' "/out/$name.kernel" /tmp/scene-before |
	sed '/invoked oom-killer/,/Out of memory: Killed/d' | while read -r line; do
	echo "$line" >/dev/kmsg
done
grep -h 'Out of memory: Killed' "/out/$name.kernel" | sed 's/^/# /'
sed 's/^/# /' "$log"
echo "1..$count"
[ $failed -eq 0 ]
