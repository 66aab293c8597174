#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# checks
#
# What it costs to look for misuse (a double free, a free of what is no object, of the middle of one) with each call: user instructions with
# the malloc replacement, over those with one that was built not to look. Of a pair of calls alone, and of whole programs of
# `arena-bench malloc` by one thread, in a short form, all that they do and the start of the process included: on what a program
# costs there is a budget of 3 %. Those that do nothing but call are beyond it, and must not get further.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=tests/malloc/callgrind.sh
. tests/malloc/callgrind.sh

looking=$PWD/$B/libarena-malloc.so
unchecked=$PWD/$B/tests/unchecked/libarena-malloc.so

# size_of PROGRAM: as short as --quick has them, but for those that would be little more than a start (and local frees NULL 10,000 times first, which
# costs more where nobody looks).
size_of() {
	case $1 in
	local | batch64 | pingpong64) echo 500000 ;;
	*) awk -v name="$1" '$1 == name { print $3 }' bench/programs.txt ;;
	esac
}

# cost_of_program NAME
cost_of_program() {
	LD_PRELOAD=$preload valgrind --tool=callgrind --callgrind-out-file=/dev/null "$B/arena-bench-malloc" "$1" "$(size_of "$1")" \
		>"$folder/log" 2>&1 || return 1
	grep -q "^library=$preload " "$folder/log" && sed -n 's/.*Collected : //p' "$folder/log"
}

# check NAME MOST COMMAND...: COMMAND prints a number of instructions, which looking makes larger by at most so many percent.
check() {
	local name=$1 most=$2 without with hundredths
	shift 2
	preload=$unchecked
	without=$("$@")
	preload=$looking
	with=$("$@")
	if [ "${without:-0}" -le 0 ] || [ -z "$with" ]; then
		not_ok "$name" "$(tail -n 5 "$folder/log")"
		return
	fi
	hundredths=$((10000 * (with - without) / without))
	echo "# $name: $without instructions, $with with looking: $(awk "BEGIN { printf \"%.2f\", $hundredths / 100 }") % more, at most $most"
	if [ "$with" -gt "$without" ] && [ "$hundredths" -le $((100 * most)) ]; then ok "$name"; else not_ok "$name"; fi
}

loops=(batch64 pingpong64)
programs=(local trace-python3 trace-gcc trace-sqlite3 trace-redis)
if ! command -v valgrind >/dev/null; then
	for name in 'batches of 64' ping-pong "${loops[@]}" "${programs[@]}"; do skip "$name" "valgrind is not installed"; done
else
	check 'batches of 64' 10 cost batch 'libarena-malloc[.]so'
	check ping-pong 10 cost ping-pong 'libarena-malloc[.]so'
	for name in "${loops[@]}"; do check "$name" 6 cost_of_program "$name"; done
	for name in "${programs[@]}"; do check "$name" 3 cost_of_program "$name"; done
fi
tap_end
