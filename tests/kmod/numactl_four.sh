#!/bin/sh
# SPDX-License-Identifier: MIT
#
# numactl decides where a program's chunks come from on four nodes, one of which has no processor and one no memory (numactl_four.vm).

# shellcheck source=tests/tap.sh
. "$(dirname "$0")/../tap.sh"

# nodes_with WHAT: their numbers, one a line ("0-1,3" in the file).
nodes_with() {
	tr , '\n' <"/sys/devices/system/node/$1" | while IFS=- read -r first last; do seq "$first" "${last:-$first}"; done
}
# only_in A B: the lines of list A that list B lacks.
only_in() { echo "$1" | grep -v -x -F "$2"; }

with_memory=$(nodes_with has_memory) with_cpu=$(nodes_with has_cpu)
memoryless=$(only_in "$with_cpu" "$with_memory") cpuless=$(only_in "$with_memory" "$with_cpu")
complete=$(only_in "$with_memory" "$cpuless")
count_of() { echo "$1" | grep -c .; }
echo "# without memory: $memoryless, without a processor: $cpuless"
is "one node has no memory, one no processor, two have both" "1 1 2" \
	echo "$(count_of "$memoryless")" "$(count_of "$cpuless")" "$(count_of "$complete")"

for node in $with_memory; do
	is "--membind of node $node" "$node:8 " numactl --membind="$node" nodes 8
	is "--preferred of node $node" "$node:8 " numactl --preferred="$node" nodes 8
done
is "--interleave=all goes round the nodes with memory" "$(for node in $with_memory; do printf '%s:3 ' "$node"; done)" \
	numactl --interleave=all nodes 9
for node in $complete; do
	is "--localalloc on node $node" "$node:8 " numactl --cpunodebind="$node" --localalloc nodes 8
	is "--membind of the node without processors, on node $node" "$cpuless:8 " \
		numactl --cpunodebind="$node" --membind="$cpuless" nodes 8
done

# There numactl itself takes no node that it was not told to take. All nodes are equally near: the first one that has memory is.
on() {
	place=$1
	shift
	numactl --all --cpunodebind="$place" "$@"
}
near=$(echo "$with_memory" | head -n 1)
is "--localalloc on the node without memory" "$near:8 " on "$memoryless" --localalloc nodes 8
is "no policy on the node without memory" "$near:8 " on "$memoryless" nodes 8
is "--interleave=all on the node without memory" "$(for node in $with_memory; do printf '%s:3 ' "$node"; done)" \
	on "$memoryless" --interleave=all nodes 9
is "--membind on the node without memory" "$cpuless:8 " on "$memoryless" --membind="$cpuless" nodes 8
# The kernel takes no policy that names this node alone, and forgets it where it stands among others.
first_line() { "$@" 2>&1 | head -n 1; }
is "--preferred of the node without memory" "set_mempolicy: Invalid argument" \
	first_line numactl --all --preferred="$memoryless" nodes 8
is "--membind of the node without memory" "set_mempolicy: Invalid argument" \
	first_line numactl --all --membind="$memoryless" nodes 8
is "--preferred-many with the node without memory" "$cpuless:8 " numactl --all --preferred-many="$memoryless,$cpuless" nodes 8
is "--membind with the node without memory" "$cpuless:8 " numactl --all --membind="$memoryless,$cpuless" nodes 8

tap_end
