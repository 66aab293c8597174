#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# redis
#
# redis-server with the malloc replacement: under load it saves from a child (BGSAVE), and a server without the replacement
# reads the same data from the file.
set -u
cd "$(dirname "$0")/../../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=tests/malloc/lib.sh
. tests/malloc/lib.sh

socket=$folder/socket
# Debian's redis-tools have the server, too, which looks at its name.
program=$(command -v redis-server || command -v redis-check-rdb)
if [ -z "$program" ]; then
	skip "redis-server" "not installed"
	tap_end
	exit
fi

serve() {
	exec -a redis-server "$program" --port 0 --unixsocket "$socket" --dir "$folder" --save '' --enable-debug-command local --daemonize no --appendonly no
}
ask() { redis-cli -s "$socket" "$@"; }
wait_for() { timeout 60 bash -c "until $1; do sleep 0.1; done"; }
export socket
is_up="redis-cli -s \$socket ping 2>/dev/null | grep -q PONG"
is_saved="redis-cli -s \$socket info persistence | grep -q rdb_bgsave_in_progress:0"
load() { redis-benchmark -s "$socket" -t set,lpush,sadd,hset,zadd,lrange_100 -n 30000 -r 30000 -d "$1" -c 20 -q; }

replaced serve >"$folder/log" 2>"$folder/err" &
server=$!
run_ok "the server starts" wait_for "$is_up"
run_ok "it bears load" load 300
load 700 >/dev/null 2>&1 &
loader=$!
for _ in 1 2 3; do
	ask bgsave >/dev/null
	wait_for "$is_saved"
done
wait "$loader"
status=$(ask info persistence | tr -d '\r' | sed -n 's/^rdb_last_bgsave_status://p')
if [ "$status" = ok ]; then ok "children saved under load"; else not_ok "children saved under load" "$status"; fi
ask flushall async >/dev/null
load 100 >/dev/null
digest=$(ask debug digest)
ask bgsave >/dev/null
run_ok "a child saves" wait_for "$is_saved"
ask shutdown nosave
wait "$server"
status=$?
if [ $status -eq 0 ]; then ok "the server ends"; else not_ok "the server ends" "status $status"; fi
if was_used "$folder/err"; then ok "the heap was used"; else not_ok "the heap was used" "$(cat "$folder/err")"; fi

serve >"$folder/log" 2>&1 &
server=$!
wait_for "$is_up"
again=$(ask debug digest)
if [ "$again" = "$digest" ] && [ ${#digest} -eq 40 ]; then
	ok "another server reads the same data"
else
	not_ok "another server reads the same data" "$digest, then $again"
fi
ask shutdown nosave
wait "$server"
tap_end
