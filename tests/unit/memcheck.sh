#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# memcheck
#
# Memcheck sees in the objects of a heap what it sees in those of malloc(): what was never written, what was freed, what lies before and behind,
# what nobody knows any more; and nothing in a program that is right.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

damage=${B:-build}/tests/unit/helper/damage

# under KIND: its report; exits with 9 when Memcheck has something to say.
under() { valgrind -q --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite "$damage" "$1" 2>&1; }

# found NAME KIND PATTERN...: the report has all of them.
found() {
	local name=$1 kind=$2 report pattern missing=
	shift 2
	report=$(under "$kind")
	if [ $? != 9 ]; then
		not_ok "$name" "no error: $report"
		return
	fi
	for pattern; do
		grep -q -e "$pattern" <<<"$report" || missing+="no '$pattern' in:"$'\n'
	done
	empty_ok "$name" "${missing:+$missing$report}"
}

run_ok "a program that is right" under clean
found "what was never written" uninitialized "depends on uninitialised value"
found "a read of a freed object" read_freed "Invalid read of size 1" "50 bytes inside a block of size 100 free'd" "by 0x.*: read_freed"
found "a write to one" write_freed "Invalid write of size 1" "50 bytes inside a block of size 100 free'd"
found "a write behind an object" overflow "Invalid write of size 1" "0 bytes after a block of size 100 alloc'd"
found "a write before one" underflow "Invalid write of size 1"
found "an object that nobody knows any more" leak "100 bytes in 1 blocks are definitely lost"
found "an object in the place of one of a destroyed heap" destroyed "depends on uninitialised value"
tap_end
