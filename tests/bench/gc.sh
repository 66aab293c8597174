#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# arena-bench gc: each program comes to the same with each runtime, rows are what the documentation says, and what is not there is named. Sizes are
# tiny: this says nothing about speed.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
# shellcheck source=tests/tap.sh
. tests/tap.sh

bench=${B:-build}/arena-bench
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset ARENA_SOURCE ARENA_GCTRACE ARENA_GCVERIFY

runtimes=(arena malloc)
for runtime in boehm go; do
	if [ -x "$bench-gc-$runtime" ]; then
		runtimes+=("$runtime")
	else
		skip "$runtime: the same checksums" "it was not there when this was built"
	fi
done

# checksums PROGRAM SIZE: of each runtime.
checksums() {
	local runtime
	for runtime in "${runtimes[@]}"; do "$bench-gc-$runtime" "$1" "$2" | sed -n "s/^checksum=\([0-9a-f]*\) .*/\1 $runtime/p"; done
}

# same PROGRAM SIZE: all say the same, and something.
same() {
	local sums
	sums=$(checksums "$1" "$2")
	if [ "$(wc -l <<<"$sums")" = ${#runtimes[@]} ] && [ "$(cut -d ' ' -f 1 <<<"$sums" | sort -u | wc -l)" = 1 ]; then
		ok "$1 comes to the same with ${runtimes[*]}"
	else
		not_ok "$1 comes to the same with ${runtimes[*]}" "$sums"
	fi
}
same trees 40
same trees2 40
same gcbench 8
same gcbench4 8
same splay 500
same lru 100000
same intern 150000
same large 8
same large4 8

run_ok "a run as JSON" bash -c '"$0" gc --quick --json >"$1"' "$bench" "$folder/all"
rows=$(sed -n 's/.*"case": "\([^"]*\)", "source": "\([a-z]*\)", "metric": "\([a-z0-9_]*\)".*/\1 \2 \3/p' "$folder/all")
missing=
ours=$("$bench-gc-arena" gcbench 8 | sed -n 's/.* source=\([a-z]*\) .*/\1/p')
for row in "trees/arena auto cpu" "trees/arena auto own_max" "trees/arena auto wall_p99_99" "trees/malloc malloc wall_max" \
	"trees/arena auto utilization_10ms" "trees2/arena auto utilization_10ms" "trees/arena auto cpu_vs_malloc" "idle/malloc malloc wall_max" "trees/arena auto wall_max" "trees2/arena auto cycle_workers" \
	"trees2/arena auto sweep_workers" "limited/arena auto collector" "large4/arena auto handshake_p99" \
	"trees/arena auto peak_rss_vs_malloc" "limited/arena auto over_limit" "stores/arena auto barrier_off" "stores/arena auto barrier_on" "large4/arena auto cycles"; do
	grep -q -F -x "${row/ auto / $ours }" <<<"$rows" || missing+="$row"$'\n'
done
# Those of bars, as the program itself knows them.
missing+=$("$bench" table --check "$folder/all" | grep "not measured" | if [ -x "$bench-gc-boehm" ]; then cat; else grep -v "cpu_vs_boehm"; fi)
empty_ok "the rows that bars are held against, and others" "$missing"
empty_ok "rows have the version of their runtime" "$(grep -v '"case": "[^/]*/[a-z]*".*"version": "[^"]' "$folder/all"
	sed -n 's/.*"case": "[^"]*\/\([a-z]*\)".*"version": "\([^"]*\)".*/\1/p' "$folder/all" | sort -u | diff - <(printf '%s\n' "${runtimes[@]}" | sort))"
empty_ok "--quick is not held against bars" "$(grep '"bar"' "$folder/all")"

# A source is what the library says; one that is not to be had is a failure.
complaints=
for source in pages thp hugetlb dev; do
	if ARENA_SOURCE=pages "$bench" gc --quick --program gcbench --source $source --json >"$folder/$source" 2>"$folder/error"; then
		[ "$(grep -o '"case": "gcbench/arena", "source": "[a-z]*"' "$folder/$source" | sort -u)" = "\"case\": \"gcbench/arena\", \"source\": \"$source\"" ] ||
			complaints+="$source: other rows"$'\n'
	else
		case $source in pages | thp) complaints+="$source: $(<"$folder/error")" ;; esac
		grep -q "$source" "$folder/error" || complaints+="$source: failed with $(<"$folder/error")"$'\n'
	fi
done
empty_ok "rows say the source that was asked for, where it is to be had" "$complaints"
is "several sources are rows of one run" "pages thp" bash -c '"$0" gc --quick --program gcbench --source thp,pages --json 2>/dev/null | sed -n "s|.*gcbench/arena\", \"source\": \"\([a-z]*\).*cpu_vs_malloc.*|\1|p" | sort | paste -sd " "' "$bench"
is "without --source rows say what the library took" pages bash -c 'ARENA_SOURCE=pages "$0" gc --quick --program gcbench --json 2>/dev/null | sed -n "s|.*gcbench/arena\", \"source\": \"\([a-z]*\).*|\1|p" | sort -u' "$bench"
run_fails "a program without our collector has no source" "runs on malloc alone" "$bench" gc --quick --program idle --source pages

# cpus PROGRAM: how many its run had.
cpus() { sed -n "s|.*\"$1/arena\".*\"metric\": \"cpus\".*\"median\": \([0-9]*\).*|\1|p" "$folder/all"; }
nr=$(nproc)
is "two CPUs and no more for programs that leave none idle" "$nr $((nr < 2 ? nr : 2)) $((nr < 2 ? nr : 2))" echo "$(cpus trees) $(cpus trees2) $(cpus large4)"
one() { ARENA_BENCH_GC_TRACE=1 taskset -c "$(taskset -cp $$ | sed 's/.*: \([0-9]*\).*/\1/')" "$bench-gc-arena" trees 100 | grep -o 'cpus:n=1 '; }
is "CPUs are those that the process may run on" "cpus:n=1 " one

# Which run tells what.
only() { tr ' ' '\n' | sed -n 's/^\(own_max\|cycle_workers\|sweep_workers\|collector\):.*/\1/p' | paste -s; }
is "the collector's shares are of a run in which no thread times itself" $'cycle_workers\tsweep_workers\tcollector' \
	only < <(ARENA_BENCH_GC_TRACE=1 "$bench-gc-arena" trees 100)
is "a thread's own times are of a run in which the collector prints nothing" own_max only < <(ARENA_BENCH_GC_SELF=1 "$bench-gc-arena" trees 100)

# points SVG TITLE: how many each of its lines has, in the order of the picture's panels.
# shellcheck disable=SC2016 # perl's own variables
points() { perl -0ne 'BEGIN { $title = shift } print scalar(() = $1 =~ /[ML] ?[\d.]+,[\d.]+/g), "\n" while m|<title>\Q$title\E</title>.*?<path [^>]*d=.([^>]*)|sg' "$2" "$1"; }
run_ok "a picture of the timed runs of a table" "$bench" gc --quick --program trees2 --reps 2 --svg "$folder/gc.svg"
complaints=
for runtime in "${runtimes[@]}"; do
	# Two panels, in each two points for the legend. A curve has the windows of two runs; who has hardly any pauses has few points in the other.
	mapfile -t nr < <(points "$folder/gc.svg" "$runtime")
	[ ${#nr[@]} = 2 ] && [ "${nr[0]}" = 44 ] && { [ "$runtime" = malloc ] || [ "${nr[1]}" -ge 4 ]; } || complaints+="$runtime: ${nr[*]} points"$'\n'
done
empty_ok "both curves of each runtime are in it" "$complaints"
run_ok "one with two sources of ours" "$bench" gc --quick --program limited --source thp,pages --svg "$folder/gc.svg"
is "has a line for each" "arena-pages arena-thp" bash -c 'grep -o ">arena-[a-z]*<" "$0" | tr -d "<>" | sort -u | paste -sd " "' "$folder/gc.svg"
run_fails "nothing to draw" "nothing to draw" "$bench" gc --quick --program splay --svg "$folder/gc.svg"
run_fails "nowhere to draw" "cannot write" "$bench" gc --quick --program idle --svg "$folder/none/gc.svg"
run_fails "a picture of another benchmark" "svg is of gc" "$bench" pages --quick --svg "$folder/gc.svg"

# The picture of simulations is what they come to now; other versions of gnuplot write other files.
run_ok "a picture of what the pacer does" env B="${B:-build}" tests/plot/plot-gc-pace "$folder/pace.svg"
if [ "$(grep -o 'GNUPLOT [0-9.]* patchlevel [0-9]*' "$folder/pace.svg")" = "$(grep -o 'GNUPLOT [0-9.]* patchlevel [0-9]*' doc/gc_pace.svg)" ]; then
	run_ok "doc/gc_pace.svg is this picture" cmp "$folder/pace.svg" doc/gc_pace.svg
else
	skip "doc/gc_pace.svg is this picture" "it was drawn by another gnuplot"
fi
for load in steady growing shrinking bursts faster jitter tiny limit above; do "${B:-build}/tests/plot/gc_pace" $load | awk -v load=$load '{ if ($2 > most) most = $2 } END { if (NR != 200 || !most) print load }'; done >"$folder/loads"
empty_ok "each load has its table" "$(<"$folder/loads")"

# Without the optional drivers, and without one that must be there.
mkdir "$folder/some"
cp "$bench" "$bench-gc-arena" "$bench-gc-malloc" "$folder/some"
run_ok "a runtime that is not there is named and left out" bash -c \
	'out=$("$0" gc --quick --program gcbench 2>&1) && grep -q "skipped: boehm: .*libgc-dev" <<<"$out" && ! grep -q gcbench/boehm <<<"$out"' \
	"$folder/some/arena-bench"
# shellcheck disable=SC2016 # expanded by the fake driver
printf '#!/bin/sh\n[ "$1" = version ] && echo 1 || echo checksum=1 cpu:ms=1\n' >"$folder/some/arena-bench-gc-boehm"
chmod +x "$folder/some/arena-bench-gc-boehm"
run_fails "a runtime that comes to something else is a failure" "checksum is" "$folder/some/arena-bench" gc --quick --program gcbench
rm "$folder/some/arena-bench-gc-boehm"
# shellcheck disable=SC2016 # expanded by the fake driver
printf '#!/bin/sh\n[ "$1" = version ] && echo 1 || echo checksum=1 source=pages cpu:ms=1\n' >"$folder/some/arena-bench-gc-arena"
run_fails "memory of another source is a failure" "memory is of pages, not of thp" "$folder/some/arena-bench" gc --quick --program gcbench --source thp
rm "$folder/some/arena-bench-gc-malloc"
run_fails "malloc must be there" "arena-bench-gc-malloc does not run" "$folder/some/arena-bench" gc --quick --program gcbench
run_fails "unknown program" "no such program" "$bench" gc --program nonsense
tap_end
