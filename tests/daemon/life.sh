#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# life
#
# arenad from start to end, on both event loops, and what arenactl says when parts are missing.
set -u
# shellcheck source=tests/daemon/lib.sh
. "$(dirname "$0")/lib.sh"

for program in arenad arenactl; do
	run_ok "$program --help" "$B/$program" --help
	run_ok "$program --version" "$B/$program" --version
done
run_fails "an unknown option is refused" "no such option" "$B/arenad" --colour=red
run_fails "a value out of range is refused" "out of range" "$B/arenad" --tick-ms=1
run_fails "a flag without a value is refused" "needs a value" "$B/arenad" --socket
run_fails "a config file that is not there is refused" "No such file" "$B/arenad" --config="$folder/none"
echo 'low_percent = many' >"$folder/conf"
run_fails "a bad line is named" "conf:1: not a number" "$B/arenad" --config="$folder/conf"
echo 'low_percent = 90' >"$folder/conf"
run_fails "watermarks that do not rise are refused" "must rise" "$B/arenad" --config="$folder/conf"
run_fails "a socket in no folder is refused" "cannot listen" "$B/arenad" --socket="$folder/a/b/c"
run_fails "an unknown user is refused" "cannot become user" "$B/arenad" --socket="$folder/x" --user=nobody-of-that-name
run_fails "an unknown group is refused" "no group" "$B/arenad" --socket="$folder/x" --group=no-such-group

for uring in 1 0; do
	name=$([ $uring = 1 ] && echo "default loop" || echo epoll)
	if start_daemon --io-uring=$uring; then ok "$name: starts"; else not_ok "$name: starts"; fi
	[ $uring = 1 ] || run_ok "$name: is used" test "$(field loop)" = epoll
	run_ok "$name: text status" sh -c "'$B/arenactl' status --socket='$socket' | grep -q '^daemon *arenad .*pid $daemon_pid'"
	run_ok "$name: is calm" test "$(field level)" = calm
	run_fails "$name: a second one is refused" "another daemon" "$B/arenad" --socket="$socket"
	sleep 1.5
	run_ok "$name: uses less than 1 % of a CPU" sh -c "[ $(field cpu_ns) -lt \$(( $(field up_ns) / 100 + 20000000 )) ]"
	if stop_daemon && [ ! -e "$socket" ]; then ok "$name: ends well, without its socket"; else
		not_ok "$name: ends well, without its socket"; fi
done

start_daemon && kill -KILL "$daemon_pid" && wait "$daemon_pid" 2>/dev/null
run_ok "a killed one leaves its socket" test -S "$socket"
if start_daemon; then ok "the next one takes it over"; else not_ok "the next one takes it over"; fi
run_ok "a command without anything to give is no failure" "$B/arenactl" trim --socket="$socket"
run_ok "and is written down with its rule" sh -c "'$B/arenactl' status --socket='$socket' | grep -q ' command '"
# Another user, who may only walk through folders that are closed to him: a root file system can be.
as_nobody() {
	setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=+dac_read_search \
		--ambient-caps=+dac_read_search "$@"
}
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
	chmod 755 "$folder"
	run_ok "anybody may see the status" as_nobody "$B/arenactl" status --socket="$socket"
	run_fails "but not trim" "only root" as_nobody "$B/arenactl" trim --socket="$socket"
fi
stop_daemon

run_ok "status without a daemon" "$B/arenactl" status --socket="$socket"
run_ok "says so" sh -c "'$B/arenactl' status --socket='$socket' | grep -q '^daemon *none at .*not there'"
run_ok "status without a device says so" sh -c \
	"'$B/arenactl' status --socket='$socket' --device='$folder/none' | grep -q '^module .*not loaded'"
run_ok "JSON without either has nulls and reasons" sh -c \
	"'$B/arenactl' status --json --socket='$socket' --device='$folder/none' |
	 grep -q '\"daemon\":null,\"daemon_error\":\"ENOENT\".*\"module\":null,\"module_error\":\"ENOENT\"'"
run_fails "trim without either says so" "neither the daemon" "$B/arenactl" trim --socket="$socket" --device="$folder/none"
run_fails "an unknown command is refused" "no such command" "$B/arenactl" dance
run_fails "bad bytes are refused" "no number of bytes" "$B/arenactl" trim --bytes=1X
run_fails "bytes with a sign behind a space are refused" "no number of bytes" "$B/arenactl" trim "--bytes= -5"

# A service manager's socket hears READY=1. Perl is in every Debian; without it this is not checked.
if command -v perl >/dev/null; then
	perl -MSocket -e 'socket(S, AF_UNIX, SOCK_DGRAM, 0) && bind(S, pack_sockaddr_un($ARGV[0])) or die;
		alarm 10; recv(S, $m, 100, 0); print $m' "$folder/notify" >"$folder/notified" &
	listener=$!
	wait_for 5 test -S "$folder/notify"
	NOTIFY_SOCKET=$folder/notify start_daemon
	wait $listener
	run_ok "the service manager is told" grep -q READY=1 "$folder/notified"
	stop_daemon
fi
tap_end
