#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# python
#
# python3's own tests of what uses malloc() in earnest, threads and processes above all, with the malloc replacement.
set -u
cd "$(dirname "$0")/../../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=tests/malloc/lib.sh
. tests/malloc/lib.sh

suites=(test_json test_dict test_list test_gc test_threading test_subprocess)
if python=$(find_python); then
	for suite in "${suites[@]}"; do run_ok "python3 passes its own $suite" own_tests "$python" "$suite"; done
	# Each object is one of malloc() then, and not of Python's own allocator.
	export PYTHONMALLOC=malloc
	run_ok "test_json test_dict, all of it from malloc()" own_tests "$python" test_json test_dict
else
	skip "python3 passes its own ${suites[*]}" "python3 without its tests"
fi
tap_end
