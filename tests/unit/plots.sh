#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# plots
#
# The programs behind `make pace-plot` and `make gc-pace-plot` print a table of each load, as long as the plot is wide, and the plots can be drawn.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

B=${B:-build}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# table_ok LINES COLUMNS CONDITION PROGRAM LOAD: so many lines of so many numbers, the first of which is a time that grows; CONDITION, of awk, holds in each line.
table_ok() {
	empty_ok "$4 $5: a table that holds" "$("$B/tests/plot/$4" "$5" | awk -v lines="$1" -v columns="$2" '
		NF != columns || /[^-0-9. ]/ { print "line " NR ": " $0; next }
		NR > 1 && $1 <= before { print "the time does not grow in line " NR }
		!('"$3"') { print "line " NR " cannot be: " $0 }
		{ before = $1; if ($2 > most) most = $2 }
		END { if (NR != lines || most <= 0) print NR " lines, at most " most + 0 }')"
}

# What is held is what is in use and more; of the collector, the goal is beyond the heap's beginning and a share is one.
for load in steady:150 spike:150 sawtooth:200 day:216; do table_ok "${load#*:}" 3 '$3 >= $2' pace "${load%:*}"; done
for load in steady growing bursts faster limit above; do table_ok 200 5 '$2 >= 0 && $3 > 0 && $4 >= 0 && $5 >= 0 && $5 <= 100' gc_pace $load; done
for program in pace gc_pace; do run_fails "$program: an unknown load" usage "$B/tests/plot/$program" nonsense; done

# drawn SCRIPT TITLE...: a picture with a panel of each title.
drawn() {
	local script=$1 title
	shift
	B=$B "tests/plot/$script" "$folder/$script.svg" >"$folder/log" 2>&1 || cat "$folder/log"
	for title in "$@"; do grep -q ">$title" "$folder/$script.svg" || echo "no panel of $title"; done
}
if command -v gnuplot >/dev/null; then
	empty_ok "plot-pace draws them" "$(drawn plot-pace steady spike sawtooth day)"
	empty_ok "plot-gc-pace draws them" "$(drawn plot-gc-pace steady "collector, % of CPU")"
else
	skip "plot-pace draws them" "gnuplot is not installed"
	skip "plot-gc-pace draws them" "gnuplot is not installed"
fi
tap_end
