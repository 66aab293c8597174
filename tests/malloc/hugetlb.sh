#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# hugetlb
#
# malloc() where the system has reserved huge pages: on them when it is asked for, with ENOMEM when none is left, and never otherwise. Reserves some for as long
# as it runs.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=tests/malloc/lib.sh
. tests/malloc/lib.sh

B=${B:-build}
fill=$B/tests/malloc/fill
reserved=/proc/sys/vm/nr_hugepages
nr=64
names=('hugetlb: memory until no page is left, then ENOMEM, three times' 'hugetlb: the pages of a program that runs are in use'
	'hugetlb: all of them are free again behind it' 'auto: reserved pages are left alone')

pages() { awk -v key="HugePages_$1:" '$1 == key { print $2 }' /proc/meminfo; }

# What a program that holds 60 MiB and more sees of the free pages that nobody has been promised.
# shellcheck disable=SC2016 # perl expands it
seen() {
	env "$@" LD_PRELOAD="$replacement" perl -e '
		my $held = "x" x (60 << 20);
		open(my $file, "<", "/proc/meminfo");
		my %nr = map { /^HugePages_(Free|Rsvd): *(\d+)/ ? ($1, $2) : () } <$file>;
		print $nr{Free} - $nr{Rsvd}, "\n"'
}

before=$(cat $reserved 2>/dev/null)
restore() { [ -z "$before" ] || echo "$before" 2>/dev/null >$reserved; }
trap 'restore; rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM
{ echo $((before + nr)) >$reserved; } 2>/dev/null
free=$(pages Free)
if [ "${free:-0}" -lt $nr ]; then
	for name in "${names[@]}"; do skip "$name" "no huge pages can be reserved here"; done
	tap_end
	exit
fi

# Two pages may be too few for one more object of up to a MiB, tables and all.
expected_source=hugetlb
replaced env ARENA_SOURCE=hugetlb "$fill" 1000 3 >"$folder/out" 2>"$folder/err" </dev/null
empty_ok "${names[0]}" "$(awk -v most=$((2 * free)) '$1 $2 == "refusedat" && $3 > most - 16 && $3 <= most { nr++ } END { if (nr != 3) print nr + 0 " refusals" }' "$folder/out"
	was_used "$folder/err" || cat "$folder/out" "$folder/err")"
left=$(seen ARENA_SOURCE=hugetlb)
empty_ok "${names[1]}" "$([ "${left:-$free}" -le $((free - 30)) ] || echo "$left of $free are free")"
is "${names[2]}" "$free" pages Free
is "${names[3]}" "$free" seen -u ARENA_SOURCE
tap_end
