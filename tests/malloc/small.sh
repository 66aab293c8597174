#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# small
#
# What a program that allocates next to nothing pays for the malloc replacement in memory: resident pages of the library's own mappings, which depend on how
# what runs lies in it. At fixed addresses, because the kernel maps pages around each that is touched up to round ones.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=tests/malloc/lib.sh
. tests/malloc/lib.sh

# resident FILE: KiB of a list of mappings that are the library's: those of its file, and the one behind them, of its variables.
resident() {
	awk '
	/^[0-9a-f]+-[0-9a-f]+ / {
		is_named = /libarena-malloc[.]so$/
		is_ours = is_named || (was_named && NF == 5)
		was_named = is_named
	}
	is_ours && /^Rss:/ { kib += $2 }
	END { print kib + 0 }' "$1"
}

# resident_ok NAME MOST: what /proc/self/smaps said, in the folder.
resident_ok() {
	local kib

	kib=$(resident "$folder/smaps")
	if [ "$kib" -gt 0 ] && [ "$kib" -le "$2" ]; then
		echo "# $kib KiB of the library are resident, at most $2"
		ok "$1"
	else
		not_ok "$1" "$kib KiB of the library are resident, at most $2: $(tail -n 5 "$folder/err")"
	fi
}

# Once before, so that the file is read.
setarch -R env LD_PRELOAD="$replacement" cat /proc/self/smaps >/dev/null 2>&1
setarch -R env LD_PRELOAD="$replacement" cat /proc/self/smaps >"$folder/smaps" 2>"$folder/err"
resident_ok "the library's own pages" 192
setarch -R env LD_PRELOAD="$replacement" perl -e 'if (!fork) { open(my $maps, "<", "/proc/self/smaps"); print while <$maps>; exit 0 } wait' \
	>"$folder/smaps" 2>"$folder/err"
resident_ok "the library's own pages in a child of fork" 208
tap_end
