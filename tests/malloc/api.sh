#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# api
#
# The programs of this folder that print TAP themselves, run with the malloc replacement.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

B=${B:-build}
for program in api life new misuse limit; do
	[ "$program" != limit ] || export ARENA_MEMORY_LIMIT=64M
	run_ok "$program" env LD_PRELOAD="$PWD/$B/libarena-malloc.so" "$B/tests/malloc/$program"
done
tap_end
