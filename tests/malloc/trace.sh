#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# trace
#
# libarena-trace.so writes down what a program asks of malloc(), on glibc's and on the replacement, whatever becomes of the program:
# threads, fork, exec, SIGKILL; and a real program prints the same with it. What is in the files is told by arena-bench.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

B=${B:-build}
tracer=$PWD/$B/libarena-trace.so
replacement=$PWD/$B/libarena-malloc.so
program=$PWD/$B/tests/malloc/traced
bench=$B/arena-bench
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# traced LIBRARIES COMMAND...: into new files $folder/t.PROCESS.NUMBER.
traced() {
	rm -f "$folder"/t.*
	ARENA_TRACE=$folder/t LD_PRELOAD=$1 "${@:2}"
}

# events FILE...
events() { for file; do "$bench" events "$file" || echo "no events in $file"; done; }

# wrong: complaints about the files: an object that ends must have been made before, and must not have ended yet; tickets rise.
wrong() {
	local file
	for file in "$folder"/t.*; do
		"$bench" events "$file" | awk -v file="${file##*/}" '
		$1 <= last { print file ": ticket " $1 " after " last }
		{ last = $1 }
		/ of [0-9]+ inherited/ { next }
		/ (free|realloc) of / { if (!($6 in alive)) print file ": " $0; delete alive[$6] }
		!/ free / { alive[$1] = 1 }' | head -n 5
	done
}

# wanted PATTERN NUMBER FILE...: complains when not so many lines of events have the pattern.
wanted() {
	local pattern=$1 number=$2 found
	shift 2
	found=$(events "$@" | grep -c -E -e "$pattern")
	[ "$found" -eq "$number" ] || echo "$found times '$pattern', not $number"
}

calls_wanted() {
	wanted ' malloc 10001 bytes' 1 "$@"
	wanted ' calloc 10100 bytes' 1 "$@"
	wanted ' realloc of [0-9]+ 10002 bytes' 1 "$@"
	wanted ' realloc of [0-9]+ 20006 bytes' 1 "$@"
	wanted ' aligned 10004 bytes at multiples of 64$' 1 "$@"
	wanted ' aligned 10005 bytes at multiples of 4096$' 1 "$@"
	wanted ' aligned 10006 bytes at multiples of 128$' 1 "$@"
	wanted ' bytes.* at multiples of|10100 bytes' 4 "$@"
}

# freed SIZES NUMBER FILE...: complains when not so many objects of these sizes were freed.
freed() {
	local sizes=$1 number=$2 found=0 file
	shift 2
	for file; do
		found=$((found + $("$bench" events "$file" | awk -v sizes="$sizes" '
			$0 ~ "(malloc|calloc|aligned) (" sizes ") bytes" { is[$1] = 1 }
			$4 == "free" && $6 in is { nr++ } END { print nr + 0 }')))
	done
	[ "$found" -eq "$number" ] || echo "$found of size $sizes freed, not $number"
}

for libraries in "$tracer" "$tracer $replacement"; do
	on=$([ "$libraries" = "$tracer" ] && echo glibc || echo the replacement)

	run_ok "every function, on $on" traced "$libraries" "$program" calls
	empty_ok "its events" "$(calls_wanted "$folder"/t.*; freed '10100|10004|10005|10006' 4 "$folder"/t.*; wrong)"

	run_ok "threads free each other's objects and end, on $on" traced "$libraries" "$program" threads
	empty_ok "their events, in one order" "$(wanted ' malloc 2000[1-4] bytes' 20000 "$folder"/t.*
		freed 20010 200 "$folder"/t.*; wrong)"
	empty_ok "each has a number" "$(events "$folder"/t.* | awk '$4 == "malloc" && $5 ~ /^200/ { nr += !seen[$3]++ }
		END { if (nr != 204) print nr " threads" }')"

	run_ok "children of fork and vfork, and what they exec, on $on" traced "$libraries" "$program" children
	empty_ok "each has a file" "$(set -- "$folder"/t.*; [ $# -eq 5 ] || echo "$@"; wrong)"
	empty_ok "with its own events" "$(wanted ' malloc 30001 bytes' 1 "$folder"/t.*; wanted ' of [0-9]+ inherited' 1 "$folder"/t.*
		wanted ' malloc 3000[23] bytes' 2 "$folder"/t.*; freed '30001|30002|30003' 3 "$folder"/t.*
		wanted ' malloc 10001 bytes' 2 "$folder"/t.*)"

	traced "$libraries" "$program" killed >/dev/null 2>&1
	empty_ok "a program that is killed leaves all of its events, on $on" "$(freed 40001 1 "$folder"/t.*; wrong)"

	run_ok "a program closes what it does not know and changes its folder, on $on" traced "$libraries" "$program" closed
	empty_ok "it is traced all the same" "$(freed 50001 50000 "$folder"/t.*; wrong)"
done

list() { git -C . ls-files -s | sort -k4 | xz -T2 | sha256sum; }
empty_ok "real programs print the same" "$(diff <(list) <(traced "$tracer" list 2>&1))"
run_ok "children of threads that allocate are traced" traced "$tracer $replacement" timeout -k 5 100 "$B/tests/malloc/fork" fork/vfork
empty_ok "their events" "$(wrong)"

(ARENA_TRACE=$folder/none/t LD_PRELOAD=$tracer "$program" calls) >"$folder/out" 2>&1
status=$?
empty_ok "a folder that is not there is named, and the program goes on" "$([ $status -eq 0 ] || echo "status $status"
	grep -q "arena: trace: cannot write .*/none/t" "$folder/out" || cat "$folder/out")"
run_ok "without ARENA_TRACE nothing is written" env LD_PRELOAD="$tracer" "$program" calls

traced "$tracer" "$program" calls
empty_ok "a mix has every object once" "$("$bench" mix "$folder"/t.* | awk 'NR == 1 { objects = $2; next }
	{ for (i = 5; i <= NF; i++) if (split($i, pair, ":") == 2) nr += pair[2] }
	END { if (!objects || nr != objects) print nr + 0 " of " objects + 0 }')"
empty_ok "with its sizes" "$("$bench" mix "$folder"/t.* | grep -q '^calloc 10100 10100 0 ' || "$bench" mix "$folder"/t.*)"
empty_ok "and what became of them" "$("$bench" mix "$folder"/t.* | grep -q '^malloc 10001 20006 2 ' || "$bench" mix "$folder"/t.*)"

printf 'no trace' >"$folder/short"
run_fails "a file that is too short" "short: too short for a trace" "$bench" events "$folder/short"
head -c 100000 /dev/zero >"$folder/zeros"
run_fails "a file that is none" "zeros: not a trace" "$bench" mix "$folder/zeros"
for file in "$folder"/t.*; do
	printf '\377\377\377\377' | dd of="$file" bs=1 seek=$((4096 + 12)) conv=notrunc status=none
	run_fails "a damaged block" "damaged" "$bench" events "$file"
done
tap_end
