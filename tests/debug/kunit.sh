#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Runs in a test VM whose module was built with its own tests (tests/vm/module --kunit) and has run
# them when it was loaded: turns KUnit's results into TAP, one line for each test case. KUNIT_CASES says how many the
# source has: a suite that is not listed, or a case that got lost, is a failure.
cases=0 failed=0
for results in /sys/kernel/debug/kunit/arena-*/results; do
	[ -e "$results" ] || break
	suite=${results%/results}
	while read -r line; do
		case $line in
		"ok "*"${suite##*/}"* | "not ok "*"${suite##*/}"*) continue ;;
		"ok "*) verdict=ok ;;
		"not ok "*) verdict="not ok" failed=1 ;;
		*) echo "# $line"; continue ;;
		esac
		cases=$((cases + 1))
		echo "$verdict $cases - ${suite##*/}: $(echo "$line" | sed -E 's/^(not )?ok [0-9]+ (- )?//')"
	done <"$results"
done
ran=$cases verdict=ok
[ "$ran" -gt 0 ] && [ "$ran" -eq "${KUNIT_CASES:-0}" ] || verdict="not ok" failed=1
cases=$((cases + 1))
echo "$verdict $cases - $ran of ${KUNIT_CASES:-an unknown number of} test cases ran"
echo "1..$cases"
exit $failed
