#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Programs that know nothing of the project on chunks of the device: python3, sqlite3, and redis-server with children that save, by
# libarena-malloc.so in LD_PRELOAD. They print the same as without, and the mappings say that it was the device that they had.
#
# On another machine: PROGRAMS_SOURCE=thp PROGRAMS_LIBRARY=build/libarena-malloc.so tests/kmod/malloc_programs.sh

source=${PROGRAMS_SOURCE:-dev}
library=${PROGRAMS_LIBRARY:-/lib/libarena-malloc.so}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
[ ! -d /python ] || export PYTHONHOME=/python

# shellcheck source=tests/tap.sh
. "$(dirname "$0")/../tap.sh"
replaced() { env LD_PRELOAD="$library" ARENA_SOURCE="$source" ARENA_MALLOC_STATS=1 "$@"; }
# was_used FILE: the line that is printed at exit is of a heap with more than the first chunk, which is of ordinary pages on every source.
was_used() {
	held=$(sed -n "s/^arena: \([0-9]*\) bytes held, .*, source $source\$/\1/p" "$1" | tail -n 1)
	[ "${held:-0}" -gt 2097152 ]
}
# same NAME COMMAND...
same() {
	name=$1
	shift
	"$@" >"$folder/out" 2>"$folder/err" </dev/null
	result $? "$name" "$folder/err"
	replaced "$@" >"$folder/replaced.out" 2>"$folder/replaced.err" </dev/null
	result $? "$name, replaced" "$folder/replaced.err"
	cmp "$folder/out" "$folder/replaced.out" >"$folder/cmp" 2>&1
	result $? "$name: the same output" "$folder/cmp"
	was_used "$folder/replaced.err"
	result $? "$name: from $source" "$folder/replaced.err"
}

# ---------------------------------------------------------------- sqlite3

cat >"$folder/tables.sql" <<'END'
create table a(id integer primary key, name text, size integer);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)
	insert into a select i, 'name ' || (i * 7919 % 20011), i * i % 1009 from n;
create table b as select id * 3 % 4000 as a_id, name || ' of b' as text from a;
create index b_a on b(a_id);
select size, count(*), sum(length(text)), min(text), max(name) from a join b on a_id = id group by size order by 2, 1 limit 300;
delete from b where a_id % 3;
select count(*), group_concat(text, ',') from (select text from b order by text);
pragma integrity_check;
END
same "sqlite3 loads and joins" sqlite3 -cmd "pragma cache_size = 2000" :memory: ".read $folder/tables.sql"

# ---------------------------------------------------------------- python3

same "python3 builds, writes and reads objects" python3 -c '
import json, os
table = {str(i): [i, {"x": i * 7, "text": "t" * (i % 300)}] for i in range(8000)}
text = json.dumps(table, sort_keys=True)
child = os.fork()
if not child:
	table.clear()
	os._exit(len(json.loads(text)) != 8000)
print(os.waitpid(child, 0)[1], len(text), json.loads(text) == table)'
if python3 -c 'import test.test_json, test.test_dict' 2>"$folder/err"; then
	# Programs that the tests start must not print a line at exit, for the tests look at what they print.
	replaced python3 -c '
import atexit, os, unittest
del os.environ["ARENA_MALLOC_STATS"]
atexit.register(os.putenv, "ARENA_MALLOC_STATS", "1")
unittest.main(module=None, argv=["unittest", "-q", "test.test_json", "test.test_dict"])' >"$folder/out" 2>&1
	result $? "python3 passes its own tests of json and dict" "$folder/out"
	was_used "$folder/out"
	result $? "from $source" "$folder/out"
else
	skip "python3 passes its own tests of json and dict" "python3 without its tests"
fi

# ---------------------------------------------------------------- redis

socket=$folder/socket
ask() { redis-cli -s "$socket" "$@" 2>/dev/null | tr -d '\r'; }
wait_for() { # SECONDS COMMAND...
	tries=$(($1 * 10 * ${VM_SLOWNESS:-1}))
	shift
	until "$@"; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || return 1
		sleep 0.1
	done
}
is_up() { [ "$(ask ping)" = PONG ]; }
is_saved() { ask info persistence | grep -q '^rdb_bgsave_in_progress:0'; }
load() { redis-benchmark -s "$socket" -t set,lpush,sadd,hset -n "$1" -r "$1" -d 300 -c 10 -q >/dev/null 2>&1; }
# serve COMMAND...: the server itself becomes the child, so that its number is known.
serve() { exec "$@" redis-server --port 0 --unixsocket "$socket" --dir "$folder" --save '' --enable-debug-command local --appendonly no; }

(serve env LD_PRELOAD="$library" ARENA_SOURCE="$source" ARENA_MALLOC_STATS=1 >"$folder/log" 2>"$folder/err") &
server=$!
wait_for 30 is_up
result $? "redis-server starts" "$folder/log"
load 3000
result $? "it bears load" "$folder/log"
if [ "$source" = dev ]; then
	grep -q ' /arena (deleted)$' "/proc/$server/maps"
	result $? "its memory is the device's" "/proc/$server/maps"
fi
load 5000 &
loader=$!
for _ in 1 2 3; do
	ask bgsave >/dev/null
	wait_for 60 is_saved
done
wait $loader
ask info persistence >"$folder/info"
grep -q '^rdb_last_bgsave_status:ok' "$folder/info"
result $? "children save while the parent writes" "$folder/info"
# Nothing changes any more: what the child saves is what the server has.
digest=$(ask debug digest)
ask bgsave >/dev/null
wait_for 60 is_saved
result $? "a child saves" "$folder/log"
ask shutdown nosave >/dev/null
wait $server
result $? "the server ends" "$folder/log"
was_used "$folder/err"
result $? "from $source" "$folder/err"

(serve env >"$folder/log" 2>&1) &
server=$!
wait_for 30 is_up
again=$(ask debug digest)
[ ${#digest} -eq 40 ] && [ "$again" = "$digest" ]
result $? "a server without the replacement reads the same data" "$folder/log"
ask shutdown nosave >/dev/null
wait $server

tap_end
