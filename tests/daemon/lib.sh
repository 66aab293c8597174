# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# For the daemon's shell tests: start and stop arenad in a folder of its own, look into its status.

cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

B=${B:-build}
# shellcheck disable=SC2034 # used by those who source this
helper=$B/tests/daemon/helper
folder=$(mktemp -d)
socket=$folder/arenad.sock
daemon_pid=
# shellcheck disable=SC2064 # the folder of now
trap "kill \$(jobs -p) 2>/dev/null; rm -rf '$folder'" EXIT

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for() {
	local tries=$(($1 * 20))
	shift
	until "$@" >/dev/null 2>&1; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || return 1
		sleep 0.05
	done
}

is_up() { "$B/arenactl" status --json --socket="$socket" | grep -q '"daemon":{'; }

# start_daemon OPTION...: returns when it answers.
start_daemon() {
	"$B/arenad" --socket="$socket" "$@" 2>>"$folder/log" &
	daemon_pid=$!
	wait_for 10 is_up || { sed 's/^/# /' "$folder/log"; return 1; }
}

# stop_daemon: its exit status is returned.
stop_daemon() {
	kill -TERM "$daemon_pid" 2>/dev/null
	wait "$daemon_pid"
}

status() { "$B/arenactl" status --json --socket="$socket"; }

# field KEY: the first number or word behind "KEY": in the status.
field() { status | grep -o "\"$1\":[^,}]*" | head -n 1 | cut -d: -f2 | tr -d '"'; }

# is_above KEY NUMBER
is_above() {
	local value
	value=$(field "$1")
	[ -n "$value" ] && [ "$value" -gt "$2" ]
}
