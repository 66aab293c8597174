#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# parse
#
# arena-demo parse: every mode gives one digest, which depends on the whole input; the sources asked for are
# those used; figures have the keys that all benchmarks share; wrong input and wrong use are refused.
# Models a few requests. Not to be used for speed: the counts are as small as they can be.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

B=${B:-build}
demo=$B/arena-demo
iso=/usr/share/iso-codes/json/iso_639-3.json
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
few=(--rounds 1 --requests 1)
embedded=malloc,pages-cold,pages-warm,thp-cold,thp-warm

digest_of() { "$demo" parse "${few[@]}" "$@" 2>&1 | sed -n 's/.*digest \([0-9a-f]*\)$/\1/p'; }

run_ok "all embedded modes give the same result" "$demo" parse "${few[@]}" --modes "$embedded"

whole=$(digest_of --modes malloc)
if [[ $whole =~ ^[0-9a-f]{16}$ ]]; then ok "the digest is printed"; else not_ok "the digest is printed" "$whole"; fi
alone=$(digest_of --modes pages-warm)
if [ "$alone" = "$whole" ]; then ok "another mode alone gives it too"; else not_ok "another mode alone gives it too" "$alone, not $whole"; fi

# One letter of the last name; then two neighbors swapped, with every value the same.
tac "$iso" | sed '0,/"name"/s/"name": "./"name": "~/' | tac >"$folder/letter.json"
swap_neighbors() { awk '/"alpha_3": "aaa"/ { sub("aaa", "aab"); print; next } /"alpha_3": "aab"/ { sub("aab", "aaa") } { print }' "$iso"; }
swap_neighbors >"$folder/swapped.json"
for change in letter swapped; do
	changed=$(digest_of --modes malloc --iso-codes "$folder/$change.json")
	if [ -n "$changed" ] && [ "$changed" != "$whole" ]; then
		ok "the digest changes with the input: $change"
	else
		not_ok "the digest changes with the input: $change" "$changed, was $whole"
	fi
done
protoc -I /usr/include --descriptor_set_out="$folder/other.pb" google/protobuf/any.proto
changed=$(digest_of --modes malloc --descriptors "$folder/other.pb")
if [ -n "$changed" ] && [ "$changed" != "$whole" ]; then
	ok "the digest changes with the input: descriptors"
else
	not_ok "the digest changes with the input: descriptors" "$changed, was $whole"
fi

# Keys and order of one line, for every metric.
"$demo" parse "${few[@]}" --modes malloc,thp-cold --json --save "$folder/saved" >"$folder/json"
number='-?[0-9]+(\.[0-9]+)?'
pattern='^\{"bench":"demo","case":"[a-z/-]+","source":"[a-z]+","metric":"[a-z_]+","unit":"[a-z]+",'
pattern+="\"median\":$number,\"low\":$number,\"high\":$number,\"n\":[0-9]+,\"kernel\":\"[^\"]+\"\}\$"
empty_ok "every line of --json has the keys of all benchmarks" "$(grep -vE "$pattern" "$folder/json")"
for metric in time faults first_time first_faults peak_rss idle_rss left_rss trimmed_rss; do
	lines=$(grep -c "\"metric\":\"$metric\"" "$folder/json")
	if [ "$lines" -eq 2 ]; then ok "--json has $metric for each mode"; else not_ok "--json has $metric for each mode" "$lines lines"; fi
done
run_ok "--save writes what --json prints" cmp "$folder/json" "$folder/saved"

# What the table claims, with and without the library's cache of chunks. value CASE METRIC: bytes or a count.
value() { sed -n "s/.*\"case\":\"parse\/$1\".*\"metric\":\"$2\".*\"median\":\([0-9]*\).*/\1/p" "$folder/json"; }
# holds NAME A B: passes when A < B.
holds() { if [ "$2" -lt "$3" ]; then ok "$1"; else not_ok "$1" "$2 is not less than $3"; fi; }
"$demo" parse --rounds 3 --requests 5 --modes malloc,pages-cold,pages-warm --json >"$folder/json"
holds "a warm arena takes no page faults to speak of" \
	$(($(value arena-warm faults) * 10)) "$(value arena-warm first_faults)"
holds "trimmed, a cold arena's memory is back" \
	$(($(value arena-cold trimmed_rss) + 4 * 1024 * 1024)) "$(value arena-cold peak_rss)"
holds "trimmed, a warm arena's memory is back" \
	$(($(value arena-warm trimmed_rss) + 4 * 1024 * 1024)) "$(value arena-warm peak_rss)"
ARENA_CACHED_CHUNKS=0 "$demo" parse --rounds 3 --requests 5 --modes pages-cold --json >"$folder/json"
holds "without the cache, memory is back as soon as the arena is freed" \
	$(($(value arena-cold left_rss) + 4 * 1024 * 1024)) "$(value arena-cold peak_rss)"
holds "without the cache, every cold arena faults its memory in" \
	1000 "$(value arena-cold faults)"

run_fails "missing JSON input is an error" "/nowhere.json: No such file" "$demo" parse --iso-codes /nowhere.json
run_fails "missing descriptors are an error" "/nowhere.pb: No such file" "$demo" parse --descriptors /nowhere.pb
head -c 1000 "$iso" >"$folder/cut.json"
run_fails "malformed JSON is an error" "JSON input is malformed" "$demo" parse "${few[@]}" --modes malloc --iso-codes "$folder/cut.json"
head -c 1000 "$B/arena-demo.pb" >"$folder/cut.pb"
run_fails "malformed descriptors are an error" "descriptor set is malformed" "$demo" parse "${few[@]}" --modes malloc --descriptors "$folder/cut.pb"
run_fails "an unknown mode is refused" "is no mode" "$demo" parse --modes nonsense
run_fails "an unknown source is refused" "is no mode" "$demo" parse --modes moon-cold
run_fails "an unknown option is refused" "unrecognized option" "$demo" parse --nonsense
run_fails "no command is refused" "no command" "$demo"
if [ -e /dev/arena ]; then
	skip "a source that is not here is a failure" "the module is loaded"
else
	run_fails "a source that is not here is a failure" "no arena on source dev" "$demo" parse "${few[@]}" --modes dev-cold
fi
"$demo" parse --modes nonsense >/dev/null 2>&1
status=$?
if [ $status -eq 2 ]; then ok "wrong use exits with 2"; else not_ok "wrong use exits with 2" "$status"; fi
run_ok "--help" "$demo" --help
run_ok "--version" "$demo" parse --version

tap_end
