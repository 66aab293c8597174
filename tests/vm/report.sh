# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Turns what tests/vm/init sends into TAP, line by line, so that results stream while a VM runs.
#
# Every result of a test program becomes one numbered line "vm-SERIES: PROGRAM: NAME", and every
# program gets one more for its exit status, its plan and the kernel log. A program that dies half
# way, hangs, or leaves the kernel complaining cannot count as passed, whatever it printed.

report_count=0 report_failed=0

# How many test programs this VM began; the boot and the last look for leaks are none.
report_programs=0

# The test program that is running: its name, when it began, results, failures and skips seen, plan announced.
report_name='' report_start_us=0 report_seen=0 report_bad_seen=0 report_plan='' report_skip_all='' report_complaints=()

# report_result "ok"|"not ok" NAME: prints one numbered line.
report_result() {
	report_count=$((report_count + 1))
	[ "$1" = ok ] || report_failed=$((report_failed + 1))
	echo "$1 $report_count - $2"
}

report_finish() { echo "1..$report_count"; }

report_begin() {
	report_name=$1 report_start_us=${EPOCHREALTIME//[.,]/}
	[ "$1" = boot ] || [ "$1" = leaks ] || report_programs=$((report_programs + 1))
	report_seen=0 report_bad_seen=0 report_plan='' report_skip_all='' report_complaints=()
}

# report_test_line PREFIX LINE: a line that the test program printed.
report_test_line() {
	if [[ $2 =~ ^(ok|not\ ok)\ +[0-9]+\ *-?\ *(.*)$ ]]; then
		report_seen=$((report_seen + 1))
		[ "${BASH_REMATCH[1]}" = ok ] || [[ $2 == *"# TODO"* || $2 == *"# SKIP"* ]] ||
			report_bad_seen=$((report_bad_seen + 1))
		report_result "${BASH_REMATCH[1]}" "$1: $report_name: ${BASH_REMATCH[2]}"
	elif [[ $2 =~ ^1\.\.([0-9]+)\ *(#.*)?$ ]]; then
		report_plan=${BASH_REMATCH[1]}
		report_skip_all=${BASH_REMATCH[2]}
	elif [ -n "$2" ] && [[ $2 != TAP\ version* ]]; then
		echo "# ${2#\# }"
	fi
}

# Says what is wrong with a program that ended with status $1, or nothing.
report_verdict() {
	if [ ${#report_complaints[@]} -gt 0 ]; then
		echo "complaint: ${report_complaints[0]}"
	elif [ "$1" = timeout ]; then
		echo "ran into its time-out"
	elif [ "$1" -gt 128 ]; then
		echo "killed by signal $(($1 - 128))"
	elif [ -n "$report_plan" ] && [ "$report_plan" != "$report_seen" ]; then
		echo "planned $report_plan results but gave $report_seen"
	elif [ -z "$report_plan" ] && [ "$report_seen" -gt 0 ]; then
		echo "gave $report_seen results without a plan"
	elif [ "$report_plan" = 0 ] && [ -z "$report_skip_all" ]; then
		echo "planned no test"
	elif [ "$1" -ne 0 ] && [ "$1" -ne 4 ] && [ "$1" -ne 77 ] && [ "$report_bad_seen" -eq 0 ]; then
		echo "exit status $1 without a failed result"
	elif [ "$1" -eq 0 ] && [ "$report_bad_seen" -gt 0 ]; then
		echo "exit status 0 in spite of $report_bad_seen failed results"
	fi
}

# How long the program took, on the clock of this side.
report_time() { echo "# $report_name took $(((${EPOCHREALTIME//[.,]/} - report_start_us) / 1000)) ms"; }

# report_end PREFIX STATUS: 4 is the kernel selftests' status for "skipped", 77 everybody else's.
# A program whose own results failed has been counted already; its status line then is "not ok" too.
report_end() {
	local verdict
	verdict=$(report_verdict "$2")
	report_time
	if [ -n "$verdict" ]; then
		report_result "not ok" "$1: $report_name: $verdict"
	elif [ "$2" = 4 ] || [ "$2" = 77 ]; then
		report_skip_all=${report_skip_all#\# SKIP }
		report_result ok "$1: $report_name # SKIP ${report_skip_all:-exit status $2}"
	elif [ "$2" != 0 ]; then
		report_result "not ok" "$1: $report_name: exit status $2"
	else
		report_result ok "$1: $report_name: exits cleanly, kernel log clean"
	fi
	report_name=
}

# report_line PREFIX LINE: one line from the VM. Returns 1 after the last one.
report_line() {
	local line=${2%$'\r'}
	case $line in
	"@@vm begin "*) report_begin "${line#@@vm begin }" ;;
	"@@vm bad "*) report_complaints+=("${line#@@vm bad }"); echo "# ${line#@@vm }" ;;
	"@@vm log "*) echo "# ${line#@@vm }" ;;
	"@@vm end "*) line=${line#@@vm end }; report_end "$1" "${line%% *}" ;;
	"@@vm done") return 1 ;;
	*) [ -z "$report_name" ] || report_test_line "$1" "$line" ;;
	esac
}
