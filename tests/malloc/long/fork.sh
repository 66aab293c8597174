#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# fork
#
# 10,000 children of a program with threads that allocate, with the malloc replacement; a hang is a failure.
set -u
cd "$(dirname "$0")/../../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

B=${B:-build}
run_ok "10,000 children" timeout -k 5 580 env FORKS=10000 LD_PRELOAD="$PWD/$B/libarena-malloc.so" "$B/tests/malloc/fork" fork/children
tap_end
