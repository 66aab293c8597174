#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What vm-bench runs inside the VM: the benchmarks of the kernel's side, each as JSON into /out.

# 128 chunks are touched in each run; the spare ones serve a second process that warms up.
HUGETLB_PAGES=160

count=0 failed=0
bench() {
	count=$((count + 1))
	if arena-bench "$@" --json >"/out/$1.jsonl" && [ -s "/out/$1.jsonl" ]; then
		echo "ok $count - arena-bench $*"
	else
		echo "not ok $count - arena-bench $*"
		failed=1
	fi
}

echo $HUGETLB_PAGES >/proc/sys/vm/nr_hugepages
bench fault
bench reclaim
bench fork
echo "1..$count"
exit $failed
