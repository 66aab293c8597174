#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# gc_profile
#
# The profile of a collected heap, as go's pprof prints it: which function has allocated how much, and how much of that is in use. Where there is no go,
# protoc decodes it.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
file=$folder/profile

# top INDEX: "FUNCTION BYTES" for each function that has allocated by itself.
top() { HOME=$folder go tool pprof -top -nodefraction=0 -unit=bytes -sample_index="$1" "$file" 2>/dev/null | awk 'NR > 5 && $1 + 0 { print $6, $1 + 0 }'; }
# near FUNCTION BYTES: from what top prints, what is wrong.
near() { awk -v name="$1" -v truth="$2" '$1 == name { sum = $2 } END { if (sum < truth * 0.9 || sum > truth * 1.1) print name, sum + 0, "instead of", truth }'; }

"${B:-build}/tests/unit/helper/gc_profile" "$file"
result $? "a profile is written"
empty_ok "its samples are of a collected heap" "$(zcat "$file" | protoc -Ilibarena --decode=arena.pprof.Profile profile.proto | grep -c '^string_table: "gc"$' | grep -v '^1$')"
empty_ok "functions that the dynamic linker knows are named in it" "$(zcat "$file" | protoc -Ilibarena --decode=arena.pprof.Profile profile.proto >"$folder/text"
	for name in keeps_half keeps_nothing main; do grep -q "^string_table: \"$name\"$" "$folder/text" || echo "$name"; done)"
if command -v go >/dev/null; then
	top alloc_space >"$folder/allocated"
	top inuse_space >"$folder/used"
	empty_ok "both functions have allocated 64 MB" "$(near keeps_half 67108864 <"$folder/allocated"; near keeps_nothing 67108864 <"$folder/allocated")"
	empty_ok "half of one is in use" "$(near keeps_half 33554432 <"$folder/used")"
	empty_ok "nothing of the other" "$(awk '$1 == "keeps_nothing" && $2 > 1000000' "$folder/used")"
	empty_ok "and no function of the library is named" "$(awk '$1 !~ /^keeps_/' "$folder/allocated")"
else
	skip "go tool pprof names the functions, with values near the truth" "go is not installed"
fi
tap_end
