#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The daemon with the module, the module's own shrinker switched off (arenad.vm): status, trim, the answer to a PSI trigger
# measured from outside, and a hog that only survives because memory comes back. Runs in the VM's busybox shell.

# shellcheck source=tests/tap.sh
. "$(dirname "$0")/../tap.sh"

socket=/tmp/arenad.sock
status() { arenactl status --json --socket=$socket; }
field() { status | sed -n "s/.*\"$1\":\"\{0,1\}\([^,}\"]*\).*/\1/p"; }
pool() { s=$(status); c=$(echo "$s" | sed 's/.*"clean_chunks":\([0-9]*\).*/\1/'); d=$(echo "$s" | sed 's/.*"dirty_chunks":\([0-9]*\).*/\1/'); echo $((c + d)); }
available_mib() { awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo; }
wait_for() { # SECONDS COMMAND...
	tries=$(($1 * 10)); shift
	until "$@" >/dev/null 2>&1; do tries=$((tries - 1)); [ $tries -gt 0 ] || return 1; sleep 0.1; done
}
is_up() { status | grep -q '"daemon":{'; }
start() { arenad --socket=$socket "$@" 2>>/tmp/arenad.log & daemon=$!; wait_for 20 is_up; }
stop() { kill $daemon; wait $daemon; }
# fill MIB: a process of the library takes that much from the module and frees it: the pool is full then.
fill() { echo | ARENA_SOURCE=dev ARENA_CACHED_CHUNKS=0 member /tmp/none "$1" >/tmp/member.out; grep -q "filled $1" /tmp/member.out; }
killed() { dmesg | grep -c 'Out of memory\|oom-kill'; }
is_filled() { [ "$(pool)" -ge "$1" ]; }
is_empty() { [ "$(pool)" -eq 0 ]; }
is_seen() { [ "$(status | grep -o '"comm":"member"' | wc -l)" -eq 1 ]; }

# A pool as large as it gets on a machine whose programs give back more than the default keeps.
echo 400 >/sys/module/arena/parameters/pool_max_chunks

# 1. Status and trim.
check "arenad starts and answers" start --decay-s=0
check "its loop is io_uring" [ "$(field loop)" = io_uring ]
check "its pressure trigger is armed" [ "$(field psi)" = armed ]
check "it found the module" [ "$(field from)" = device ]
check "a program fills the pool with 100 MiB" fill 100
check "the status shows the pool" is_filled 45
(sleep 5; echo) | ARENA_SOURCE=dev ARENA_CACHED_CHUNKS=8 member $socket 20 >/dev/null &
check "a space of a member is seen" wait_for 5 is_seen
check "the member is registered" wait_for 5 sh -c "arenactl status --socket=$socket | grep -q '^processes *1 registered'"
wait $!
check "arenactl trim" arenactl trim --socket=$socket
check "nothing is left in the pool" is_empty
check "the decision is written down" sh -c "arenactl status --socket=$socket | grep -q 'command .*gave pool [1-9]'"
check "tester may see the status" su tester -s /bin/sh -c "arenactl status --socket=$socket >/dev/null"
check "tester may not trim" sh -c "! su tester -s /bin/sh -c 'arenactl trim --socket=$socket' 2>/dev/null"
stop
check "arenad starts as another user" start --user=tester --group=arena --decay-s=0
check "it is that user and group" grep -q '^Uid:.1000.1000.1000.1000$' /proc/$daemon/status
check "it kept CAP_SYS_RESOURCE alone" grep -q '^CapPrm:.0000000001000000$' /proc/$daemon/status
check "it is killed last" grep -q '^-900$' /proc/$daemon/oom_score_adj
fill 100
check "it trims the module" sh -c "arenactl trim --socket=$socket | grep -q 'gave back [1-9]'"
check "its own user may trim" sh -c "su tester -s /bin/sh -c 'arenactl trim --socket=$socket' | grep -q 'gave back'"
stop
check "trim without the daemon goes to the module" sh -c "arenactl trim --socket=$socket | grep -q 'no daemon'"

# 2. A trigger alone, without watermarks: a throttled cgroup stalls while there is memory enough.
check "arenad starts without watermarks" start --min-percent=0 --low-percent=0 --high-percent=0 --decay-s=0
fill 200
check "the pool holds 200 MiB" is_filled 90
psiwatch 60 >/tmp/psiwatch.out &
watch=$!
wait_for 5 grep -q armed /tmp/psiwatch.out
group=/sys/fs/cgroup/arenad-test
mkdir $group
echo 16M >$group/memory.high
sh -c "echo \$\$ >$group/cgroup.procs; exec dd if=/dev/zero of=/dev/shm/slow bs=1M count=80 2>/dev/null" &
hog=$!
wait $watch
result $? "90 % of the pool is back within 1 s of the trigger"
sed 's/^/# /' /tmp/psiwatch.out
echo max >$group/memory.high
wait $hog
check "the rule was psi" sh -c "arenactl status --socket=$socket | grep -q 'emergency psi '"
rm -f /dev/shm/slow
rmdir $group
stop

# 3. A hog that needs half of the pool. It would be killed if the pool stayed.
check "arenad starts with its defaults" start
fill 600
check "the pool holds 500 MiB" is_filled 250
size=$(($(available_mib) + 300))
echo "# available $(available_mib) MiB, pool $(pool) chunks, the hog takes $size MiB"
# One read() into anonymous memory of that size.
dd if=/dev/zero of=/dev/null bs=${size}M count=1 2>/dev/null
result $? "the hog gets its memory"
check "nobody was killed" [ "$(killed)" -eq 0 ]
check "the daemon lives" is_up
arenactl status --socket=$socket | sed -n '/^decisions/,$s/^/# /p'
stop
result $? "arenad ends well"
[ $tap_failures = 0 ] || sed 's/^/# /' /tmp/arenad.log
tap_end
