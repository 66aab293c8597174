#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# socket
#
# The socket's file and its descriptors: nothing that is no socket is removed, modes are right at once, and a daemon that
# runs out of descriptors does not spin.
set -u
# shellcheck source=tests/daemon/lib.sh
. "$(dirname "$0")/lib.sh"

echo precious >"$folder/file"
run_fails "a file in the socket's place is refused" "not a socket\|non-socket" timeout 5 "$B/arenad" --socket="$folder/file"
run_ok "and still there" grep -q precious "$folder/file"
ln -s "$folder/file" "$folder/link"
run_fails "a symbolic link is refused" "not a socket\|non-socket" timeout 5 "$B/arenad" --socket="$folder/link"
run_ok "and still there too" test -L "$folder/link"

umask 0077
start_daemon
run_ok "mode 666 without a group, whatever the umask" test "$(stat -c %a "$socket")" = 666
stop_daemon
start_daemon --group="$(id -g)"
run_ok "mode 660 with one" test "$(stat -c %a:%g "$socket")" = "660:$(id -g)"
stop_daemon

ulimit -Sn 256
start_daemon --max-clients=1000
run_ok "there are descriptors for all clients" test "$(awk '/^Max open files/ { print $4 }' "/proc/$daemon_pid/limits")" -ge 1032
stop_daemon

# CPU time in clock ticks, of which there are a hundred in a second.
cpu_ticks() { awk '{ print $14 + $15 }' "/proc/$daemon_pid/stat"; }

for uring in 1 0; do
	loop=$([ $uring = 1 ] && echo "default loop" || echo epoll)
	# Both limits: the daemon may raise the first to the second, but root could raise the second as well.
	"$B/arenad" --socket="$socket" --io-uring=$uring --tick-ms=100 --client-timeout-ms=60000 2>>"$folder/log" &
	daemon_pid=$!
	wait_for 10 is_up
	prlimit --pid="$daemon_pid" --nofile=20:20
	coproc CROWD { exec "$helper/hostile" "$socket" joined-crowd 60; }
	crowd_pid=$CROWD_PID
	read -r -t 60 _ <&"${CROWD[0]}"
	before=$(cpu_ticks)
	sleep 2
	used=$(($(cpu_ticks) - before))
	run_ok "$loop: without descriptors it sleeps ($used ticks in 2 s)" test "$used" -lt 60
	eval "exec ${CROWD[1]}>&-"
	wait "$crowd_pid" 2>/dev/null
	run_ok "$loop: and serves again when there are some" wait_for 10 is_up
	stop_daemon
done
tap_end
