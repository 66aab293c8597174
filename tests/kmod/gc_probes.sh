#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The collector's probes fire, with the arguments that doc/gc.md names. perf and bpftrace have the kernel set a breakpoint (uprobe) where a note in the
# program says that a probe is, and so does this, in tracefs and without either. Needs a VM (gc_probes.vm), because only root may.

tracing=/sys/kernel/tracing
program=/bin/gc-programs

# shellcheck source=tests/tap.sh
. "$(dirname "$0")/../tap.sh"

# "NAME ADDRESS ARGUMENT..." for each note.
notes() {
	readelf -n $program | awk '
	$1 == "Provider:" { ours = $2 == "arena" }
	$1 == "Name:" { name = $2 }
	$1 == "Location:" { address = $2; sub(",", "", address) }
	$1 == "Arguments:" && ours { $1 = ""; print name, address $0 }'
}

# Registers and types as uprobes name them: 4@416(%rax) is +416(%ax):u32.
in_words_of_uprobes() {
	sed -e 's/%[re]\([a-ds][xip]\|[bd][pi]\)/%\1/g' -e 's/%\(r[0-9]*\)d/%\1/g' -e 's/@(/@0(/g' -e 's/@\([0-9]\)/@+\1/g' \
		-e 's/ 4@\([^ ]*\)/ \1:u32/g' -e 's/ 8@\([^ ]*\)/ \1:u64/g' -e 's/ -4@\([^ ]*\)/ \1:s32/g' -e 's/ -8@\([^ ]*\)/ \1:s64/g'
}

# How far the code is from its place in the file.
moved() { echo $(($(readelf -lW $program | awk '$1 == "LOAD" && /R E/ { print $3 " - " $2 }'))); }

uprobes() {
	moved=$(moved)
	notes | in_words_of_uprobes | while read -r name address arguments; do
		number=0 line="p:arena_gc/$name $program:$((address - moved))"
		for argument in $arguments; do
			number=$((number + 1)) line="$line a$number=$argument"
		done
		echo "$line"
	done
}

# fired NAME: "a1 a2 ..." of each time.
fired() { sed -n "s/.* $1: ([^)]*)//; t found; d; :found; s/ a[0-9]=/ /g; s/^ //p" $tracing/trace; }
count() { wc -l | tr -d ' '; }
cycles_of_trace() { grep -c '^arena: gc ' /tmp/out; }
handshakes_with() { fired gc_handshake | awk "$1" | count; }

if [ -z "$(notes)" ]; then
	skip "probes fire" "built without <sys/sdt.h>"
	tap_end
	exit
fi
uprobes >$tracing/uprobe_events
result $? "the kernel knows a place and arguments of each"
echo 1 >$tracing/events/arena_gc/enable
ARENA_GCTRACE=1 $program pages >/tmp/out 2>&1
result $? "a program runs with all of them set" /tmp/out
echo 0 >$tracing/events/arena_gc/enable

is "a cycle's begin for each that the program tells of" "$(cycles_of_trace)" eval "fired gc_cycle_begin | count"
is "and an end with the same numbers" "$(fired gc_cycle_begin | sort)" eval "fired gc_cycle_end | sort"
check "each has handshakes" [ "$(fired gc_handshake | count)" -ge $((3 * $(cycles_of_trace))) ]
is "they take some time, and less than a minute" 0 handshakes_with '!($3 > 0 && $3 < 60e9)'
check "threads assist" [ "$(fired gc_assist | count)" -gt 0 ]
is "that takes some time, and less than a second" 0 eval "fired gc_assist | awk '!(\$2 > 0 && \$2 < 1e9)' | count"
tap_end
