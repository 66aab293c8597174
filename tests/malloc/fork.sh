#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# fork
#
# Children of a program with threads that allocate, with the malloc replacement; a hang is a failure. More of them are in long/.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

B=${B:-build}
for test in fork/children fork/vfork; do
	run_ok "$test" timeout -k 5 240 env LD_PRELOAD="$PWD/$B/libarena-malloc.so" "$B/tests/malloc/fork" "$test"
done
tap_end
