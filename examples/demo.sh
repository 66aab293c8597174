#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# demo.sh [--series 6.1|6.12] [--rounds N] [--requests N] [--memory MIB] [--no-vm]
#
# The demonstration from end to end: arena-demo parse on this machine without any module, then the same in a VM with the
# module loaded, then the scene under memory pressure with and without arenad. What it finds out lies in build/demo.
#   --series S     kernel series of the VM (default: 6.12, or 6.1 where that cannot be had)
#   --rounds N     processes for each mode on this machine (default 5)
#   --requests N   requests in each (default 10)
#   --memory MIB   memory of the VM (default 1024)
#   --no-vm        only the part on this machine
#   --help, --version
# Exit status: 0 everything shown, 1 something failed, 2 wrong command line.
set -euo pipefail
cd "$(dirname "$0")/.."

B=${B:-build}
out=$B/demo
series='' rounds=5 requests=10 memory_mib=1024 vm=yes

# The VM of the table counts instructions instead of time, which repeat almost exactly: few rounds will do.
VM_ROUNDS=3 VM_REQUESTS=3

while [ $# -gt 0 ]; do
	case $1 in
	--series) series=$2; shift ;;
	--rounds) rounds=$2; shift ;;
	--requests) requests=$2; shift ;;
	--memory) memory_mib=$2; shift ;;
	--no-vm) vm=no ;;
	--help | -h) sed -n '3,/^set/s/^# \{0,1\}//p' "$0"; exit 0 ;;
	--version) "$B/arena-demo" --version; exit 0 ;;
	*) echo "demo: unknown option $1 (see --help)" >&2; exit 2 ;;
	esac
	shift
done

title() { printf '\n=== %s\n\n' "$1"; }

# The newest series whose packages can be had; what cannot is said.
choose_series() {
	local candidate
	for candidate in ${series:-6.12 6.1}; do
		if tests/vm/fetch "$candidate" >/dev/null; then
			series=$candidate
			return 0
		fi
	done
	echo "demo: no kernel of series ${series:-6.12 or 6.1} can be had for the VM" >&2
	return 1
}

# in_vm FOLDER OPTION... -- TEST...: what the VM writes to /out appears in FOLDER.
in_vm() {
	local folder=$1
	shift
	tests/vm/run --series "$series" --memory "$memory_mib" --out "$folder" --test-timeout 300 \
		--file "$B/arena-demo:/tests/arena-demo" --file "$B/arena-demo.pb:/tests/arena-demo.pb" \
		--file /usr/share/iso-codes/json/iso_639-3.json:/usr/share/iso-codes/json/iso_639-3.json \
		--file "$B/arenad:/bin/arenad" --file "$B/arenactl:/bin/arenactl" "$@"
}

# draw FORMAT: from the tables that came out of the VM, on one scale for both runs.
draw() {
	local table=("$out/control.table.csv" "$out/arenad.table.csv")
	gnuplot -e "output='$out/pressure.$1'; format='$1'; control='${table[0]}'; arenad='${table[1]}'" \
		-e "oom_control=$(oom_time "${table[0]}"); oom_arenad=$(oom_time "${table[1]}")" \
		-e "$(scales "${table[@]}"); kernel='$(cat "$out/kernel")'" examples/scene.gp
}

oom_time() { awk -F, 'NR > 1 && $13 > 0 { print $1; found = 1; exit } END { if (!found) print -1 }' "$1"; }

# From shortly before the hog to the longer run's end; up to the largest amount of memory and requests in either.
scales() {
	awk -F, 'FNR > 1 { if ($1 > x) x = $1; for (i = 2; i <= 8; i++) if ($i > y) y = $i; if ($11 > z) z = $11 }
		END { printf "x_min=-4; x_max=%.1f; y_max=%.0f; z_max=%d", x, y * 1.05, z + 1 }' "$@"
}

on_this_machine() {
	title "On this machine, without any module: the embedded sources"
	"$B/arena-demo" parse --modes malloc,mimalloc,pages-cold,pages-warm,thp-cold,thp-warm \
		--rounds "$rounds" --requests "$requests" --save "$out/host.jsonl" | tee "$out/host.txt"
}

in_the_vm() {
	title "In a VM with the module loaded (series $series, $memory_mib MiB): /dev/arena too"
	in_vm "$out/vm" --icount -- "examples/parse.sh $VM_ROUNDS $VM_REQUESTS instructions"
	printf '\n'
	cat "$out/vm/parse.txt"
}

under_pressure() {
	local run
	title "Under memory pressure, in the VM: without and with arenad"
	in_vm "$out/vm" --module-args shrinker=0 -- "examples/scene.sh control" "examples/scene.sh arenad"
	sed -n 's/.*"kernel":"\([^"]*\)".*/\1/p' "$out/vm/parse.jsonl" | head -n 1 >"$out/kernel"
	for run in control arenad; do
		printf '\n%s\n' "$run:"
		grep -h '^hog:\|^serve:' "$out/vm/$run.log" || true
		grep -h 'Out of memory: Killed' "$out/vm/$run.kernel" || true
		examples/scene-table print "$out/vm/$run.csv"
		examples/scene-table plot "$out/vm/$run.csv" >"$out/$run.table.csv"
	done
	draw svg
	draw png
}

rm -rf "$out"
mkdir -p "$out/vm"
on_this_machine
if [ "$vm" = yes ]; then
	choose_series
	in_the_vm
	under_pressure
	title "Where it lies"
	echo "pictures: $out/pressure.svg $out/pressure.png"
	echo "data:     $out/host.jsonl $out/vm/parse.jsonl $out/vm/control.csv $out/vm/arenad.csv"
	echo "logs:     $out/vm/*.log $out/vm/*.kernel $out/vm/arenad.status"
fi
