#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# breaks [--long] [STEP]
#
# Leaves one step of the collector's protocol out at a time (enum gc_step in libarena/gc/collected.h), and sees the stress of collected heaps (tests/stress/gc.c)
# notice, with each seed in less than ten seconds (judged with --long). Three of the twelve steps the stress does not come to: barriers on before stacks are scanned (4) and the
# handshake between (8), where what goes wrong takes a store that is stopped between two instructions for the time of two handshakes; and arenas left to the collector (10).
# Unit tests lead there step by step, and must notice.
# The same builds without anything left out, with the same delays, must find nothing.
#   STEP     only that one: a number, as in make BREAK=STEP; 0 is none
#   --long   20 seeds each, not 2
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh
export LC_ALL=C

B=${B:-build}
seconds=8 most_ms=60000
declare -A steps=(
	[1]="a store shades what was there" [2]="a store shades what comes while the stack is not scanned" [3]="objects are black while marking"
	[5]="barriers are flushed until that brings nothing" [6]="barriers of threads that answer for nothing are flushed" [7]="spans are sealed when marking ends"
	[9]="what is read of a weak reference is shaded" [11]="weak references to what is dead are cleared" [12]="who has answered is not answered for"
	# As the tests are called.
	[4]="no stack counts as scanned while a thread stores without a barrier"
	[8]="no stack counts as scanned while a store is under way that began when not all had a barrier"
	[10]="one that is freed before a cycle comes to it goes when it has"
)
declare -A units=([4]=gc_barrier [8]=gc_barrier [10]=gc_arena)
numbers=(1 2 3 4 5 6 7 8 9 10 11 12 0) seeds=2
while [ $# -gt 0 ]; do
	case $1 in
	--help | -h) sed -n '3,/^set/s/^# \{0,1\}//p' "$0" | sed '$d'; exit 0 ;;
	# Time is judged where nothing else runs.
	--long) seeds=20 most_ms=10000 ;;
	-*) echo "breaks: unknown option $1 (see --help)" >&2; exit 2 ;;
	*) numbers=("$1") ;;
	esac
	shift
done

# stress STEP SEED SECONDS [TEST]: prints what the stress says; fails when it does.
stress() {
	GC_STRESS_SECONDS=$3 timeout -k 5 $(($3 * 8 + 10)) "$B/tests/break/gc-$1" --seed "$2" "${4-stress/gc: four threads}"
}

# is_caught STATUS SAID MS: a failure counts when the stress said what it found, or died of it, in time. Hanging is none.
is_caught() {
	local status=$1
	[ "$status" != 0 ] && [ "$status" != 124 ] && [ "$status" != 137 ] && [ "$3" -lt $most_ms ] && grep -q '^not ok' "$2"
}

# break_step NUMBER: each seed, and how long the slowest took.
break_step() {
	local said missed='' slowest=0 seed begin status ms
	said=$(mktemp)
	for ((seed = 1; seed <= seeds; seed++)); do
		begin=${EPOCHREALTIME/./}
		stress "$1" "$seed" $seconds >"$said" 2>&1
		status=$? ms=$(((${EPOCHREALTIME/./} - begin) / 1000))
		is_caught "$status" "$said" $ms || missed+="seed $seed, $ms ms"$'\n'
		[ "$ms" -le "$slowest" ] || slowest=$ms
	done
	rm -f "$said"
	echo "# without step $1: the slowest of $seeds seeds took $slowest ms"
	empty_ok "without step $1 ($2) $seeds of $seeds seeds are caught" "$missed"
}

# unit_notices NUMBER
unit_notices() {
	run_fails "without step $1 unit/${units[$1]} says so (${steps[$1]})" "^not ok 1 - ${units[$1]}/${steps[$1]}" \
		timeout -k 5 60 "$B/tests/break/${units[$1]}-$1" "${steps[$1]}"
}

targets=()
for number in "${numbers[@]}"; do targets+=("$B/tests/break/${units[$number]-gc}-$number"); done
run_ok "builds without steps ${numbers[*]}" make -s -j2 "${targets[@]}"
for number in "${numbers[@]}"; do
	if [ "$number" = 0 ]; then
		run_ok "with all steps and the same delays nothing is found" stress 0 1 $((seeds > 2 ? 30 : 1)) stress/gc:
	elif [ -n "${units[$number]-}" ]; then
		unit_notices "$number"
	else
		break_step "$number" "${steps[$number]}"
	fi
done
tap_end
