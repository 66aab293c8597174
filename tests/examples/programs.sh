#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# programs
#
# The short examples do what they say, and the scene's helpers read and show what they should.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

B=${B:-build}
folder=$(mktemp -d)
trap 'rm -rf "$folder"; kill $(jobs -p) 2>/dev/null' EXIT

if [ "$(seq 100000 | "$B/examples/hello" | md5sum)" = "$(seq 100000 | tac | md5sum)" ]; then
	ok "hello prints its lines in reverse"
else
	not_ok "hello prints its lines in reverse"
fi

# Enough lines for some cycles.
for nr in 0 9 11 200000; do
	if [ "$(seq $nr | "$B/examples/last" | md5sum)" = "$(seq $nr | tail | md5sum)" ]; then
		ok "last prints the last ten of $nr lines"
	else
		not_ok "last prints the last ten of $nr lines"
	fi
done

# The same source, built with arenas and with malloc.
for way in arena malloc; do
	if [ ! -x "$B/examples/switch-$way" ]; then
		not_ok "switch-$way is built"
		continue
	fi
	output=$("$B/examples/switch-$way" 3 5 2)
	if [ "$output" = "$("$B/examples/switch-arena" 3 5 2)" ] && [ -n "$output" ]; then
		ok "switch-$way gives the same result"
	else
		not_ok "switch-$way gives the same result" "$output"
	fi
done
if nm "$B/examples/switch-malloc" | grep -q ' [TtU] arena_new_at'; then
	not_ok "switch-malloc contains no arena" "$(nm "$B/examples/switch-malloc" | grep arena)"
else
	ok "switch-malloc contains no arena"
fi

# 100,000 structs: what the slice that grows costs more than the arena's does not depend on the machine.
"$B/examples/structs" 5 >"$folder/structs"
result $? "structs in a slice and in an arena are the same" "$folder/structs"
# shellcheck disable=SC2016 # awk's own variables
is "a slice that grows takes 12.8 MB in 30 arrays, an arena 4.8 MB at once and no cycle" "collector 12.82 30.0
arena 4.80 1.0 0.00" awk 'NR == 2 { print $1, $3, $4 } NR == 3 { print $1, $3, $4, $5 }' "$folder/structs"
# shellcheck disable=SC2016
run_ok "and the collector runs for it at least once a pass" awk 'NR == 2 && $5 >= 1 { seen = 1 } END { exit !seen }' "$folder/structs"
# cached ARGUMENT...: values were found by weak references, and values died.
# shellcheck disable=SC2016
cached() {
	"$B/examples/cache" "$@" | tee "$folder/cache" | awk 'NR == 1 && $3 > 0 && $6 > 0 { seen = 1 } END { exit !seen }' && [ "${PIPESTATUS[0]}" = 0 ] ||
		{ cat "$folder/cache"; return 1; }
}
ARENA_GCVERIFY=1 run_ok "threads share a cache of weak references, each cycle verified" cached 3 60000
run_ok "and keep it below a limit" cached 3 30000 16
run_ok "also where it is too small for what they keep at first" cached 4 30000 6
examples/ingest.sh 300 >"$folder/ingest"
result $? "profiles of real programs become the same trees on the collected heap and in arenas" "$folder/ingest"
# shellcheck disable=SC2016
run_ok "with cycles on the one and none for the other" awk 'NR == 2 { nr = $5 } NR == 3 && nr > 0 && $5 == 0 { seen = 1 } END { print; exit !seen }' "$folder/ingest"
echo nonsense >"$folder/nonsense"
run_fails "what is no profile is refused" "not a profile" "$B/examples/ingest" "$folder/nonsense"

# A service on the embedded source, watched by sample.
"$B/arena-demo" sample --output "$folder/s.csv" --serve-status "$folder/serve" --hog-status "$folder/hog" \
	--interval-ms 20 2>/dev/null &
sampler=$!
run_ok "serve answers on the embedded source" "$B/arena-demo" serve --source thp --peak-percent 0 \
	--seconds 1 --status "$folder/serve"
kill -TERM $sampler
wait $sampler
columns=$(awk -F, '{ print NF }' "$folder/s.csv" | sort -u)
if [ "$columns" = 15 ]; then ok "sample writes 15 columns in each row"; else not_ok "sample writes 15 columns in each row" "$columns"; fi
if awk -F, 'NR > 1 && $7 > 0 && $11 > 0 { seen = 1 } END { exit !seen }' "$folder/s.csv"; then
	ok "sample saw the service's memory and its answers"
else
	not_ok "sample saw the service's memory and its answers" "$(tail -n 3 "$folder/s.csv")"
fi
[ -e /dev/arena ] || run_fails "hog needs the module to size itself" "cannot open /dev/arena" \
	"$B/arena-demo" hog --idle-percent 50 --status "$folder/hog"
run_fails "serve --join fails without a daemon" "cannot register with arenad" env ARENA_SOCKET="$folder/none" \
	"$B/arena-demo" serve --source thp --peak-percent 0 --seconds 1 --join --status "$folder/serve"

# scene-table: time counts from the hog's start, bytes become MiB, OOM kills count from the first row.
{
	head -n 1 "$folder/s.csv"
	echo "1.0,104857600,0,52428800,0,0,1048576,3145728,0,0,5,10.0,1.00,0.50,7"
	echo "2.5,104857600,0,52428800,0,0,1048576,3145728,2097152,4194304,6,10.0,1.00,0.50,7"
	echo "3.0,104857600,0,0,0,0,1048576,3145728,2097152,4194304,7,10.0,1.00,0.50,8"
} >"$folder/t.csv"
expected='-1.500,100.0,50.0,0.0,1.0,3.0,0.0,0.0,1.00,0.50,5,10.0,0
0.000,100.0,50.0,0.0,1.0,3.0,2.0,4.0,1.00,0.50,6,10.0,0
0.500,100.0,0.0,0.0,1.0,3.0,2.0,4.0,1.00,0.50,7,10.0,1'
actual=$(examples/scene-table plot "$folder/t.csv" | tail -n +2)
if [ "$actual" = "$expected" ]; then ok "scene-table converts"; else not_ok "scene-table converts" "$actual"; fi
run_fails "scene-table wants a hog" "never started" examples/scene-table plot "$folder/s.csv"

tap_end
