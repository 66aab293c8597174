#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# heaps
#
# `arenactl heaps` reads the heaps of a running program that was not written for it, and only of one that was asked to show them; the
# malloc replacement prints the same as JSON at exit. Of a collected heap it also shows what its collector says.
set -u
# shellcheck source=tests/daemon/lib.sh
. "$(dirname "$0")/lib.sh"

# Which process, so that the number of the program itself is known: bash reads a line from a pipe and goes on.
coproc SHOWN { ARENA_SHARED_STATS=1 LD_PRELOAD=$PWD/$B/libarena-malloc.so exec bash -c 'echo ready; read -r _'; }
shown_pid=$SHOWN_PID
read -r -t 60 _ <&"${SHOWN[0]}"
LD_PRELOAD=$PWD/$B/libarena-malloc.so sleep 60 &
hidden_pid=$!
ARENA_SHARED_STATS=1 "$B/examples/cache" 1 1000000000 >/dev/null &
cache_pid=$!

heaps() { "$B/arenactl" heaps --json --pid="$1"; }
# balanced: of one heap on standard input, number 0, the books are.
balanced() {
	tr ',' '\n' | awk -F: '
	/"(heap|[a-z]+_chunks|used_bytes)":[0-9]/ { gsub(/[^a-z_]/, "", $(NF - 1)); value[$(NF - 1)] = $NF + 0; seen[$(NF - 1)]++ }
	END {
		good = seen["heap"] == 1 && value["heap"] == 0 && value["used_bytes"] > 0 && value["handed_chunks"] > 0 &&
			value["handed_chunks"] == value["mapped_chunks"] + value["idle_chunks"] + value["returned_chunks"]
		if (!good)
			for (key in value) print key, value[key], seen[key]
		exit !good
	}'
}
running() { heaps "$shown_pid" | balanced; }
ended() { ARENA_MALLOC_STATS=2 LD_PRELOAD=$PWD/$B/libarena-malloc.so /bin/ls 2>&1 >/dev/null | balanced; }
run_ok "the heap of a running program, balanced" running
run_ok "as a table" sh -c "'$B/arenactl' heaps --pid=$shown_pid | grep -q '^ *$shown_pid  *0 '"
run_ok "found among all processes" sh -c "'$B/arenactl' heaps --json | grep -q '\"pid\":$shown_pid,'"
run_fails "a program that was not asked shows nothing" "no process shows its heaps" heaps "$hidden_pid"
run_fails "no such process" "no process shows its heaps" heaps 2147483647
run_fails "no number" "no number of a process" "$B/arenactl" heaps --pid=x
# collects: its heap has finished a cycle, and says what was alive then and where the next one ends. Until a minute has passed.
collects() {
	for _ in {1..600}; do
		heaps "$cache_pid" | grep -Eq '"nr_cycles":[1-9][0-9]*,"live_bytes":[1-9][0-9]*,"goal_bytes":[1-9]' && return
		sleep 0.1
	done
	heaps "$cache_pid"
	return 1
}
run_ok "what lives in a collected heap, and where it goes" collects
run_ok "the same in the table" sh -c "'$B/arenactl' heaps --pid=$cache_pid | grep -Eq '( +[1-9][0-9]*){3}$'"
run_ok "nothing of that for others" sh -c "'$B/arenactl' heaps --pid=$shown_pid | grep -Eq '( +-){3}$'"
echo >&"${SHOWN[1]}"
kill "$hidden_pid" "$cache_pid"
run_ok "the malloc replacement prints it at exit" ended
tap_end
