#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# members
#
# Processes of the library and the daemon, end to end: register, be seen, be asked, give back; daemons that die and come
# again; members that fork, stop and go.
set -u
# shellcheck source=tests/daemon/lib.sh
. "$(dirname "$0")/lib.sh"

run_member() {
	coproc MEMBER { ARENA_SOURCE=${source:-thp} exec "$helper/member" "$socket" 40; }
	read -r -t 20 joined <&"${MEMBER[0]}"
	read -r -t 20 filled <&"${MEMBER[0]}"
	member_pid=$MEMBER_PID
}
tell() { echo "$1" >&"${MEMBER[1]}"; }
ask() { tell "$1"; read -r -t 20 reply <&"${MEMBER[0]}"; }
end_member() { eval "exec ${MEMBER[1]}>&-"; wait "$member_pid" 2>/dev/null; }
has_members() { status | grep -q "\"processes\":\[{" ; }
member_cached() { status | grep -o '"processes":\[{[^}]*' | grep -o '"cached_bytes":[0-9]*' | cut -d: -f2; }
caches() { [ "$(member_cached)" -gt 0 ]; }
has_no_members() { ! has_members; }

run_member
run_ok "joining without a daemon is -ENOENT" test "$joined" = "joined -2"
end_member

start_daemon --tick-ms=100 --client-timeout-ms=1000 --verbose=1
for source in thp pages; do
	run_member
	run_ok "$source: joins" test "$joined" = "joined 0"
	run_ok "$source: fills its arena" test "$filled" = "filled 40"
	ask cached
	cached=${reply#cached }
	run_ok "$source: the library caches chunks of a freed arena" test "$cached" -gt 0
	run_ok "$source: is seen with its pid" wait_for 10 sh -c "'$B/arenactl' status --json --socket='$socket' |
		grep -q '\"processes\":\[{\"pid\":$member_pid,'"
	run_ok "$source: its cached bytes are seen" wait_for 10 caches
	run_ok "$source: trim by 2 MiB" "$B/arenactl" trim --processes --bytes=2M --socket="$socket"
	shrunk() { ask cached; [ "${reply#cached }" -eq $((cached - 2097152)) ]; }
	run_ok "$source: one chunk less is cached" wait_for 10 shrunk
	run_ok "$source: trim of everything" "$B/arenactl" trim --socket="$socket"
	empty() { ask cached; [ "${reply#cached }" -eq 0 ]; }
	run_ok "$source: nothing is cached" wait_for 10 empty
	given() { [ "$(status | grep -o '"given_bytes":[0-9]*' | head -n 1 | cut -d: -f2)" -eq "$cached" ]; }
	run_ok "$source: what it gave is counted" wait_for 10 given
	ask fill
	run_ok "$source: it goes on working" test "$reply" = "filled 40"
	ask fork
	run_ok "$source: a forked child joins by itself" test "$reply" = "child joined"
	run_ok "$source: the parent is still a member" has_members
	tell leave
	run_ok "$source: leaves" wait_for 10 has_no_members
	ask join
	run_ok "$source: joins again" test "$reply" = "joined 0"
	end_member
	run_ok "$source: is gone at its end" wait_for 10 has_no_members
done

# A stopped member does not answer: it is cut off, and is back when it runs again.
source=thp
run_member
run_ok "stopped: is a member" wait_for 10 has_members
kill -STOP "$member_pid"
run_ok "stopped: is cut off" wait_for 20 has_no_members
run_ok "stopped: the daemon answers meanwhile" is_up
kill -CONT "$member_pid"
run_ok "stopped: comes back by itself" wait_for 20 has_members

# The daemon dies: nobody is harmed, and the member finds the next one.
kill -KILL "$daemon_pid"
wait "$daemon_pid" 2>/dev/null
ask fill
run_ok "killed daemon: the member goes on" test "$reply" = "filled 40"
start_daemon --tick-ms=100 --io-uring=0
run_ok "killed daemon: the member comes to the next one" wait_for 20 has_members
run_ok "epoll: trim" "$B/arenactl" trim --socket="$socket"
run_ok "epoll: nothing is cached" wait_for 10 empty
end_member
stop_daemon

# ARENA_DAEMON=1: patient with a daemon that starts later.
sleep 60 | ARENA_SOURCE=thp ARENA_DAEMON=1 "$helper/member" "$socket" 4 >/dev/null &
patient_pid=$!
sleep 0.3
start_daemon --tick-ms=100
run_ok "ARENA_DAEMON=1: joins a daemon that starts later" wait_for 30 has_members
kill "$patient_pid"
stop_daemon
tap_end
