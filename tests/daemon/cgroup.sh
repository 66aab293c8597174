#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# cgroup
#
# A cgroup that is made, or made again, after the daemon's start: its watermarks count. The folder is an ordinary one with the
# kernel's file names, so nothing but the reading of it is shown here.
set -u
# shellcheck source=tests/daemon/lib.sh
. "$(dirname "$0")/lib.sh"

cgroup=$folder/cgroup
# make_cgroup FREE_BYTES: of one GiB.
make_cgroup() {
	mkdir "$cgroup"
	echo $((1073741824 - $1)) >"$cgroup/memory.current"
	echo 1073741824 >"$cgroup/memory.max"
	: >"$cgroup/memory.pressure"
}
is_level() { [ "$(field level)" = "$1" ]; }

start_daemon --io-uring=0 --tick-ms=100 --hold-ms=0 --cgroup="$cgroup"
run_ok "without the folder the system counts" is_level calm
make_cgroup 4096
run_ok "a cgroup that is made later is seen to be full" wait_for 10 is_level emergency
rm -r "$cgroup"
make_cgroup 1000000000
run_ok "one that is made again is seen to be empty" wait_for 10 is_level calm
run_ok "a pressure file that cannot be watched is named" sh -c "grep -q 'no pressure trigger (Operation not permitted)' '$folder/log'"
stop_daemon
tap_end
