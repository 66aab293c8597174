#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Checks that the test VM is what the other tests take for granted, and that the module loads and
# unloads. Runs in the VM's busybox shell; the kernel log is read by the VM's init afterwards.

# shellcheck source=tests/tap.sh
. "$(dirname "$0")/../tap.sh"

memory_kib() { sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo; }
enough_memory() { [ "$(memory_kib)" -ge $((1024 * 1024)) ]; }
thp_on() { grep -q -e '\[always\]' -e '\[madvise\]' /sys/kernel/mm/transparent_hugepage/enabled; }
psi_on() { grep -q '^some' /proc/pressure/memory; }
memcg_on() { grep -qw memory /sys/fs/cgroup/cgroup.subtree_control; }
known_series() { uname -r | grep -q -E '^6\.(1|12)\.'; }
load() { insmod /lib/arena.ko; }
loaded() { grep -q '^arena ' /proc/modules; }
unload() { rmmod arena && ! loaded; }
has_device() { [ -c /dev/arena ]; }

echo "# $(uname -r), $(nproc) processors, $(memory_kib) KiB"
check "the kernel is of a known series" known_series
check "there is 1 GiB of memory or more" enough_memory
check "transparent huge pages are on" thp_on
check "pressure stall information is on" psi_on
check "the memory controller of cgroup v2 is on" memcg_on
if [ -e /lib/arena.ko ]; then
	check "the module is loaded" loaded
	check "the device is there" has_device
	check "the module unloads" unload
	check "the module loads again" load
	check "the module unloads again" unload
else
	skip "the module loads" "no module in this VM"
fi
tap_end
