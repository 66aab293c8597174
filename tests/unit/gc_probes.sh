#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# gc_probes
#
# The shared library has the collector's probes, with as many arguments as are documented, if it was built where <sys/sdt.h> is.
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

# found: "PROBE ARGUMENTS" of each, once.
found() {
	readelf -n "${B:-build}/libarena.so.0" | awk '
	$1 == "Provider:" { ours = $2 == "arena" }
	$1 == "Name:" { name = $2 }
	$1 == "Arguments:" && ours { print name, NF - 1 }' | sort -u
}

if echo '#include <sys/sdt.h>' | "${CC:-cc}" -E -o /dev/null - 2>/dev/null; then
	is "probes and how many arguments they have" "gc_assist 2
gc_cycle_begin 2
gc_cycle_end 2
gc_handshake 3" found
else
	is "no probes without the header" "" found
fi
tap_end
