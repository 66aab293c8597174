#!/bin/sh
# SPDX-License-Identifier: MIT
#
# malloc() in places that are short of memory: overcommit off, a memory cgroup of 512 MiB, huge pages off. The machine is set up so for
# a while, so it is a VM (malloc_places.vm). tests/malloc/places.sh does what needs no such machine.
#
# "refused" here is NULL and ENOMEM, "fill" is tests/malloc/fill.c.

group=/sys/fs/cgroup/arena-places
huge_pages=/sys/kernel/mm/transparent_hugepage/enabled

# shellcheck source=tests/tap.sh
. "$(dirname "$0")/../tap.sh"
meminfo_mib() { awk -v key="$1:" '$1 == key { print int($2 / 1024) }' /proc/meminfo; }

replaced() (
	export LD_PRELOAD=/lib/libarena-malloc.so ARENA_SOURCE="$source" ARENA_MALLOC_STATS=1
	"$@"
)

# fills NAME PATTERN LEAST_MIB SOURCE COMMAND...: two rounds of "PATTERN N MiB", N at least LEAST_MIB, from SOURCE.
fills() {
	name=$1 pattern=$2 least_mib=$3 source=$4
	shift 4
	replaced "$@" >/tmp/fill.out 2>&1 </dev/null &&
		grep -q "bytes held, .*, source $source\$" /tmp/fill.out &&
		[ "$(sed -n "s/^$pattern \([0-9]*\) MiB.*/\1/p" /tmp/fill.out | awk -v least="$least_mib" '$1 >= least' | wc -l)" -eq 2 ]
	result $? "$name" /tmp/fill.out
}

# ---------------------------------------------------------------- overcommit off

# All together may be promised 600 MiB more than now, of which the kernel keeps some back. The reservation of 1 TiB is no promise, tables and what surrounds objects are a little.
before=$(cat /proc/sys/vm/overcommit_memory)
ratio=$(cat /proc/sys/vm/overcommit_ratio)
echo 2 >/proc/sys/vm/overcommit_memory
echo $((($(meminfo_mib Committed_AS) + 600) << 10)) >/proc/sys/vm/overcommit_kbytes
fills "overcommit off, thp: memory to the last" "refused at" 400 thp fill 100000 2
fills "overcommit off, dev" held 100 dev fill 100 2
arena-unit >/tmp/unit.out 2>&1
result $? "overcommit off: the unit tests of arenas" /tmp/unit.out
echo "$ratio" >/proc/sys/vm/overcommit_ratio
echo "$before" >/proc/sys/vm/overcommit_memory

# ---------------------------------------------------------------- a memory cgroup

mkdir $group
echo 512M >$group/memory.max
# inside COMMAND...: the shell that becomes it is the group's already.
# shellcheck disable=SC2317 # fills calls it
inside() { sh -c "echo 0 >$group/cgroup.procs; exec \"\$@\"" sh "$@"; }
for source in thp dev; do
	fills "a cgroup of 512 MiB, $source: filled to 400 MiB, emptied, filled" held 400 $source inside fill 400 2
done
# The group bounds what is not the heap's as well.
fills "a cgroup of 512 MiB and a limit of 480 MiB: refused, not killed" "refused at" 400 thp inside env ARENA_MEMORY_LIMIT=480M fill 100000 2
# Chunks of the device are charged when they are reserved, so the group itself refuses them. Room for three objects and for what is not chunks.
fills "a cgroup of 512 MiB, dev: refused by it, not killed" "refused at" 450 dev inside fill 100000 2 150
grep -q '^oom_kill 0$' $group/memory.events
result $? "nobody was killed there" $group/memory.events
[ "$(cat $group/memory.peak)" -gt $((400 << 20)) ]
result $? "it was that group's memory" $group/memory.peak
rmdir $group

# ---------------------------------------------------------------- huge pages off

before=$(sed 's/.*\[\(.*\)\].*/\1/' $huge_pages)
echo never >$huge_pages
for source in thp dev; do
	fills "huge pages off, $source" held 60 $source fill 60 2
done
arena-unit >/tmp/unit.out 2>&1
result $? "huge pages off: the unit tests of arenas" /tmp/unit.out
echo "$before" >$huge_pages

tap_end
