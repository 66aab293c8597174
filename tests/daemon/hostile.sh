#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# hostile
#
# Peers that mean harm: none stops the daemon from serving tools and members, on either event loop.
set -u
# shellcheck source=tests/daemon/lib.sh
. "$(dirname "$0")/lib.sh"

ulimit -n 4096

# attack MODE WANT: what becomes of the peer, and that the daemon still answers.
attack() {
	local said
	said=$("$helper/hostile" "$socket" "$1" 2>&1)
	if [ "$said" = "$2" ] && is_up; then ok "$loop: $1 is $2"; else not_ok "$loop: $1 is $2" "$said"; fi
}

# crowd MODE: a thousand connections at a time.
crowd() {
	coproc CROWD { exec "$helper/hostile" "$socket" "$1" 1000; }
	local pid=$CROWD_PID
	read -r -t 60 said <&"${CROWD[0]}"
	run_ok "$loop: $1 of 1,000 is let in" test "$said" = crowded
	run_ok "$loop: $1: a tool is served" wait_for 5 is_up
	eval "exec ${CROWD[1]}>&-"
	wait "$pid" 2>/dev/null
}

nr_descriptors() { find "/proc/$daemon_pid/fd" -type l | wc -l; }

for uring in 1 0; do
	loop=$([ $uring = 1 ] && echo "default loop" || echo epoll)
	# With a time-out that is longer than the attack, the message itself must be the reason.
	start_daemon --io-uring=$uring --tick-ms=100 --client-timeout-ms=60000
	for mode in garbage huge half empty longer version daemon-words unjoined flood; do attack $mode "cut off"; done
	attack liar "served"
	stop_daemon
	start_daemon --io-uring=$uring --tick-ms=100 --client-timeout-ms=500 --max-clients=40 --verbose=1
	before=$(nr_descriptors)
	for mode in deaf silent; do attack $mode "cut off"; done
	crowd crowd
	crowd joined-crowd
	run_ok "$loop: a member still finds room" wait_for 10 sh -c \
		"echo | ARENA_SOURCE=thp '$helper/member' '$socket' 1 | grep -q 'joined 0'"
	few() { [ "$(nr_descriptors)" -le $((before + 1)) ]; }
	run_ok "$loop: no descriptor is left behind" wait_for 10 few
	run_ok "$loop: it counted whom it cut off" is_above nr_refused 1000
	stop_daemon
done

# What a process calls itself reaches neither the terminal nor the JSON raw.
start_daemon --tick-ms=100
"$helper/hostile" "$socket" liar >/dev/null &
wait_for 5 sh -c "'$B/arenactl' status --socket='$socket' | grep -q 'evil??'"
text=$("$B/arenactl" status --socket="$socket")
json=$(status)
wait $!
run_ok "a name with escapes is made harmless" sh -c '! printf %s "$1" | grep -q "$(printf "\033")"' sh "$text"
run_ok "and quoted in JSON" sh -c 'printf %s "$1" | grep -q -F "$2"' sh "$json" '"name":"evil??[31m\"name\\"'
stop_daemon
tap_end
