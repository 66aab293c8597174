#!/bin/sh
# SPDX-License-Identifier: MIT
#
# numactl decides where a program's chunks come from, on two nodes with memory and processors each (numactl.vm). tests/kmod/numa.c
# asks the same of the system calls, on other machines.

# shellcheck source=tests/tap.sh
. "$(dirname "$0")/../tap.sh"

is "--membind=0" "0:8 " numactl --membind=0 nodes 8
is "--membind=1" "1:8 " numactl --membind=1 nodes 8
is "--membind=0 on a processor of node 1" "0:8 " numactl --cpunodebind=1 --membind=0 nodes 8
is "--interleave=all" "0:4 1:4 " numactl --interleave=all nodes 8
is "--interleave=1" "1:8 " numactl --interleave=1 nodes 8
is "--preferred=1" "1:8 " numactl --preferred=1 nodes 8
is "--localalloc on node 0" "0:8 " numactl --cpunodebind=0 --localalloc nodes 8
is "--localalloc on node 1" "1:8 " numactl --cpunodebind=1 --localalloc nodes 8
is "no policy, on node 1" "1:8 " numactl --cpunodebind=1 nodes 8
# Of the library: a unit test that has nothing to ask on a machine with one node.
is "a heap on node 1, on a processor of node 0" 1 numactl --cpunodebind=0 sh -c 'hooks "second node" | grep -c "^ok 1 - .* is there$"'

# More than a node has. The caps are out of the way, so that it is the node that says no.
ram=$(awk '/^MemTotal/ { print int($2 / 2048) }' /proc/meminfo)
echo "$((ram - 8))" >/sys/module/arena/parameters/max_total_chunks
echo "$((ram - 8))" >/sys/module/arena/parameters/max_user_chunks
most=$(awk '/MemTotal/ { print int($4 / 2048) + 1 }' /sys/devices/system/node/node1/meminfo)
is "a node that is full refuses --membind" "errno 12" numactl --membind=1 nodes "$most"
is "and has lost nothing" "1:8 " numactl --membind=1 nodes 8
got=$(numactl --preferred=1 nodes "$most")
case $got in
"0:"*" 1:"*) ok "--preferred=1 takes the rest elsewhere: $got" ;;
*) not_ok "--preferred=1 takes the rest elsewhere" "$got" ;;
esac

# A cpuset binds who has no policy, and those who have one.
mkdir /sys/fs/cgroup/one
echo 1 >/sys/fs/cgroup/one/cpuset.mems
inside() { sh -c 'echo 0 >/sys/fs/cgroup/one/cgroup.procs; exec "$@"' sh "$@"; }
is "a cpuset of node 1, on a processor of node 0" "1:8 " inside taskset 1 nodes 8
is "a cpuset of node 1, interleaving over what it leaves" "1:8 " inside numactl --interleave=all nodes 8
rmdir /sys/fs/cgroup/one

tap_end
