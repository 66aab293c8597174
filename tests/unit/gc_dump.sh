#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# gc_dump
#
# A dump of a heap that is known says what is in it, what each type keeps alive, and by what way; half of one, or none, is refused.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

B=${B:-build}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
dump=$folder/dump

objects() { "$B/arenactl" objects "$@"; }
# row TYPE: retained bytes, bytes and objects of a type.
row() { objects "$dump" | awk -v type="$1" '{ name = $4; for (i = 5; i <= NF; i++) name = name " " $i } name == type && $3 !~ /^0x/ { print $1, $2, $3 }'; }
# address TYPE: of the object of it that retains most.
address() { objects "$dump" | awk -v type="$1" '{ name = $4; for (i = 5; i <= NF; i++) name = name " " $i } name == type && $3 ~ /^0x/ { print $3; exit }'; }
# path TYPE: without addresses.
path() { objects --why="$(address "$1")" "$dump" | sed 's/ at 0x[0-9a-f]*//'; }
# half: the first lines of the dump.
half() { head -n 20 "$dump" | objects -; }

"$B/tests/unit/helper/gc_dump" >"$dump"
result $? "a dump is written"
is "a slice of 16 bytes retains a megabyte" "1048592 16 1" row "struct slice"
is "the array itself" "1048576 1048576 1" row bytes
is "a list retains itself and what only it leads to, once" "1704 1600 100" row "struct node"
is "a leaf that many share is nobody's but the list's" "104 104 1" row 'struct "leaf"'
is "why the array is there" "range
-> struct slice, 16 bytes, retains 1048592
-> bytes, 1048576 bytes, retains 1048576" path bytes
is "why the leaf is there" "handle
-> struct node, 16 bytes, retains 1704
-> struct \"leaf\", 104 bytes, retains 104" path 'struct "leaf"'
run_ok "an address in the middle of an object" objects --why="$(printf '0x%x' $(($(address bytes) + 5000)))" "$dump"
run_fails "an address of none" "no root leads to such an object" objects --why=0x10 "$dump"
is "as JSON" "1050296 103" python3 -c '
import json, subprocess, sys
it = json.loads(subprocess.check_output([sys.argv[1], "objects", "--json", sys.argv[2]]))
print(it["reached_bytes"] + it["lost_bytes"], sum(type["objects"] for type in it["types"]))' "$B/arenactl" "$dump"
run_fails "half a dump" "not a whole dump" half
run_fails "no dump" "line 1: not a whole dump" objects tests/tap.sh
run_fails "no file" "No such file" objects "$folder/none"
run_fails "no name" "which dump" objects
run_fails "no address" "no address" objects --why=x "$dump"
tap_end
