#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# ingest [REQUESTS]
#
# Runs real programs under libarena-malloc.so with its sampler on, and gives the profiles that they wrote to the program ingest, which parses them into trees,
# request by request, on the collected heap and in arenas.
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1-} in
--help | -h) sed -n '3,6p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;;
esac
B=${B:-build} requests=${1:-1000}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# record NAME COMMAND...: its profile, if it is installed.
record() {
	local name=$1
	shift
	command -v "$1" >/dev/null || return 0
	env LD_PRELOAD="$PWD/$B/libarena-malloc.so" ARENA_PROFILE="$folder/$name" ARENA_PROFILE_BYTES=128 ARENA_PROFILE_SEED=1 ARENA_PROFILE_UNWIND=1 \
		"$@" >/dev/null
}
record python3 python3 -c 'import json, re, decimal, argparse
words = [str(i) * 3 for i in range(20000)]
json.loads(json.dumps({word: re.sub("1", "one", word) for word in words}))'
# shellcheck disable=SC2016 # perl's own variables
record perl perl -e 'my %h; $h{$_ % 5000} .= "$_," for 1 .. 100000; my @l = map { [split /,/, $h{$_}] } sort keys %h;'
record sqlite3 sqlite3 :memory: 'create table t(a, b); with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)
insert into t select i, hex(i * 7) from n; create index x on t(b); select count(*) from t a join t b on a.b = b.b;'
"$B/examples/ingest" --requests "$requests" "$folder"/*.pb.gz
