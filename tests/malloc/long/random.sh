#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# random
#
# The random operations of tests/model/heap.c, three times 20 million for each source, each time from another seed. A failure prints its seed,
# which SEED=N repeats.
set -u
cd "$(dirname "$0")/../../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

for round in 1 2 3; do
	run_ok "millions of random operations on each source, round $round" \
		env MODEL_STEPS="${MODEL_STEPS:-20000000}" "${B:-build}/tests/model/heap"
done
tap_end
