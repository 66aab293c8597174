#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# instructions
#
# What a pair of malloc() and free() of 64 bytes costs, in user instructions that callgrind counts. Loops and the linker's stubs are the
# program's and do not count: of the malloc replacement only what runs in it does. And what pages cost, by the driver of
# `arena-bench pages`. While there is sampling the samples count, one in 512 KiB: there are more pairs, for some dozens of them. Threads that
# have ended are nothing to a pair, though each of the largest class looks for what they left.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=tests/malloc/callgrind.sh
. tests/malloc/callgrind.sh

# cost_of_pages PART FUNCTION: of as many rounds of the driver, in that function and below.
cost_of_pages() {
	valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect="$2" "$B/arena-bench-pages" "$1" $nr >"$folder/log" 2>&1 || return 1
	sed -n 's/.*Collected : //p' "$folder/log"
}

# check NAME MOST COST [COST_OF_LOOP]: of one of them, with a digit behind the point.
check() {
	local tenths=$((10 * (${3:-0} - ${4:-0}) / nr))
	if [ -z "$3" ]; then
		not_ok "$1" "$(tail -n 5 "$folder/log")"
	elif [ "$tenths" -gt 0 ] && [ "$tenths" -le $((10 * $2)) ]; then
		echo "# $((tenths / 10)).$((tenths % 10)) instructions each, at most $2"
		ok "$1"
	else
		not_ok "$1" "$((tenths / 10)).$((tenths % 10)) instructions each, at most $2"
	fi
}

names=('batches of 64' 'ping-pong' 'inline' 'a page from a cache and back' 'a run of 64 pages from a fragmented tree'
	'batches of 64 while there is sampling' 'batches of 32 KiB when 400 threads have ended')
if ! command -v valgrind >/dev/null; then
	for name in "${names[@]}"; do skip "$name" "valgrind is not installed"; done
else
	preload=$PWD/$B/libarena-malloc.so
	check "${names[0]}" 40 "$(cost batch 'libarena-malloc[.]so')"
	check "${names[6]}" 3000 "$(cost ended 'libarena-malloc[.]so')"
	check "${names[1]}" 40 "$(cost ping-pong 'libarena-malloc[.]so')"
	preload=
	check "${names[2]}" 28 "$(cost inline pairs)" "$(cost loop pairs)"
	check "${names[3]}" 30 "$(cost_of_pages pair pair_loop)"
	check "${names[4]}" 950 "$(cost_of_pages run take_run)"
	preload=$PWD/$B/libarena-malloc.so nr=$((16 * nr))
	export ARENA_PROFILE=$folder/profile ARENA_PROFILE_SEED=5
	check "${names[5]}" 46 "$(cost batch 'libarena-malloc[.]so')"
fi
tap_end
