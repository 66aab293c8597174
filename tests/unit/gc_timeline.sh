#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# gc_timeline
#
# The timeline of a collected heap (ARENA_TRACE) is JSON whose spans lie within each other as they should, with all phases of each cycle in their
# order; also of a program that dies, and as a stream. Without ARENA_TRACE there is none. The numbers of a heap are JSON too.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

program=${B:-build}/tests/unit/helper/gc_timeline
check=tests/unit/helper/gc_timeline.py
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# numbers FILE: complaints about what arena_gc_json() has printed.
numbers() {
	python3 - "$1" <<-'END'
	import json, sys
	it = json.load(open(sys.argv[1]))
	for name in "runtime", "answer", "handshake":
	    times = it[name]
	    order = [times[key] for key in ("p50_ns", "p99_ns", "p999_ns", "p9999_ns", "max_ns")]
	    if not times["count"] or not order[0] or order != sorted(order):
	        print(name, times)
	if it["nr_cycles"] < 8 or it["answer"]["max_ns"] > it["runtime"]["max_ns"] or it["answer"]["count"] > it["handshake"]["count"]:
	    print(it)
	END
}

ARENA_TRACE=$folder/whole.json "$program" >"$folder/numbers"
result $? "a program with a timeline" "$folder/numbers"
empty_ok "it is JSON, and as it should be" "$("$check" "$folder/whole.json" 8 2>&1)"
empty_ok "the numbers of the heap are JSON, quantiles in their order" "$(numbers "$folder/numbers" 2>&1)"

(ARENA_TRACE=$folder/%p.json ARENA_GCVERIFY=1 "$program" die >"$folder/numbers"; true) 2>"$folder/error"
empty_ok "also of one that dies, all but its last cycle; %p is the number of the process" "$("$check" "$folder"/[0-9]*.json 7 2>&1)"

mkfifo "$folder/pipe"
cat "$folder/pipe" >"$folder/stream.json" &
ARENA_TRACE=$folder/pipe "$program" >"$folder/numbers"
wait
empty_ok "as a stream it has no end, which may be added" "$(echo ']' >>"$folder/stream.json"; "$check" "$folder/stream.json" 8 2>&1)"

ARENA_TRACE=$folder/none/x "$program" >"$folder/numbers" 2>"$folder/error"
result $? "a file that cannot be written is no error" "$folder/error"
empty_ok "but is told of once" "$(grep -c "cannot be written" "$folder/error" | grep -v '^1$')"
tap_end
