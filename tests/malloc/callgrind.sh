# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# For tests that count user instructions of malloc(), which are the same on every machine, however busy, as long as the compiler is the same. Source
# it after tests/tap.sh, from the project's folder.

B=${B:-build}
preload='' # the file whose malloc() programs have
nr=16384 # pairs
pairs=$B/tests/malloc/pairs
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# self_cost OBJECT FILE: the instructions that ran in the file of that name (with a regular expression), of what callgrind wrote.
self_cost() {
	awk -v object="$1" '
	/^c?ob=/ { id = $1; sub(/^c?ob=/, "", id); if (NF > 1) path[id] = $0 }
	/^ob=/ { inside = path[id] ~ (object "$") }
	/^calls=/ { is_call = 1; next }
	/^[0-9+*-]/ { if (!is_call && inside) sum += $2; is_call = 0 }
	END { print sum + 0 }' "$2"
}

# count WAY PAIRS OBJECT
count() {
	LD_PRELOAD=$preload valgrind --tool=callgrind --callgrind-out-file="$folder/out" "$pairs" "$1" "$2" >"$folder/log" 2>&1 || return 1
	self_cost "$3" "$folder/out"
}

# cost WAY OBJECT: of so many pairs. Twice as many, less as many: neither start nor end count.
cost() {
	local once twice
	once=$(count "$1" "$nr" "$2") && twice=$(count "$1" $((2 * nr)) "$2") && echo $((twice - once))
}
