#!/bin/sh
# SPDX-License-Identifier: MIT
# parse.sh ROUNDS REQUESTS UNIT: arena-demo parse in a test VM, /dev/arena included, as TAP. Leaves the table in
# /out/parse.txt and the figures in /out/parse.jsonl. The modes are named, so a missing source is a failure.
set -u

modes=malloc,pages-cold,pages-warm,thp-cold,thp-warm,dev-cold,dev-warm
if /tests/arena-demo parse --modes $modes --rounds "$1" --requests "$2" --unit "$3" --save /out/parse.jsonl \
	>/out/parse.txt 2>&1; then
	echo "ok 1 - malloc, embedded sources and /dev/arena give the same result"
	status=0
else
	echo "not ok 1 - malloc, embedded sources and /dev/arena give the same result"
	sed 's/^/# /' /out/parse.txt
	status=1
fi
echo "1..1"
exit $status
