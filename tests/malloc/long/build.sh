#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# build
#
# make and the compilers build this project with the malloc replacement, all processes of it, and come to the same files.
set -u
cd "$(dirname "$0")/../../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=tests/malloc/lib.sh
. tests/malloc/lib.sh

# Nothing of the make that called us.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
out=$folder/build
# What is built, by content; every process says at its end what it held. Linkers end by _exit() and say nothing.
build() {
	rm -rf "$out"
	make -s -j2 B="$out" lib daemon examples >&2 && (cd "$out" && find . -type f ! -name '*.d' -exec sha256sum {} + | sort -k 2)
}
built=$(build 2>"$folder/err") || not_ok "make builds the project" "$(tail -n 5 "$folder/err")"
same_built=$(replaced build 2>"$folder/replaced.err")
if [ -n "$built" ] && [ "$built" = "$same_built" ]; then
	ok "make builds the same $(wc -l <<<"$built") files"
else
	not_ok "make builds the same files" "$(diff <(echo "$built") <(echo "$same_built") | head -n 10; grep -v '^arena:' "$folder/replaced.err" | tail -n 5)"
fi
processes=$(grep -c -E "^arena: [1-9][0-9]* bytes held, .*, source $expected_source\$" "$folder/replaced.err")
if [ "$processes" -gt 100 ]; then ok "the heap was used"; else not_ok "the heap was used" "by $processes processes"; fi
empty_ok "nothing else was printed" "$(grep -v -E '^arena: [0-9]+ bytes held' "$folder/replaced.err" | head -n 5)"
tap_end
