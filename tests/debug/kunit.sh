#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Runs in a test VM whose module was built with its own tests (tests/vm/module --kunit) and has run
# them when it was loaded: turns KUnit's results into TAP, one line for each test case.
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
if [ $cases -eq 0 ]; then
	cases=1 failed=1
	echo "not ok 1 - the module ran its own tests"
fi
echo "1..$cases"
exit $failed
