#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# places
#
# malloc() where there are only small pages, and where the reservation is refused: what a machine allows without being changed.
# tests/kmod/malloc_places.sh does the rest in a VM.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=tests/malloc/lib.sh
. tests/malloc/lib.sh

B=${B:-build}
fill=$B/tests/malloc/fill

# fills NAME PATTERN SOURCE COMMAND...: COMMAND prints three lines of PATTERN, and at exit that its heap was of SOURCE.
fills() {
	local name=$1 pattern=$2 expected_source=$3
	shift 3
	replaced "$@" >"$folder/out" 2>"$folder/err" </dev/null
	if [ "$(grep -c -x "$pattern" "$folder/out")" -eq 3 ] && was_used "$folder/err"; then
		ok "$name"
	else
		not_ok "$name" "$(cat "$folder/out" "$folder/err")"
	fi
}
# within MIB COMMAND...: of addresses.
within() (
	ulimit -v "$(($1 << 10))"
	shift
	exec "$@"
)

held='held 10. MiB, 0 KiB huge'
fills "pages of 4 KiB by the source" "$held" pages env ARENA_SOURCE=pages "$fill" 100 3
fills "pages of 4 KiB by prctl()" "$held" thp env ARENA_SOURCE=thp "$fill" --no-huge-pages 100 3
for program in api life; do
	run_ok "$program on pages of 4 KiB" env ARENA_SOURCE=pages LD_PRELOAD="$replacement" "$B/tests/malloc/$program"
done
# Less than the reservation of 1 TiB, which is refused then.
fills "700 GiB of addresses" 'held 10. MiB, .*' thp within 716800 env ARENA_SOURCE=thp "$fill" 100 3
fills "300 MiB of addresses" 'refused at 2[0-9]. MiB, .*' thp within 300 env ARENA_SOURCE=thp "$fill" 1000 3
run_ok "alignments up to 64 MiB in 2000 MiB of addresses" within 2000 env LD_PRELOAD="$replacement" "$B/tests/malloc/api" aligned_alloc
tap_end
