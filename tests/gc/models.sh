#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# models [--long] [--list] [MODEL]
#
# Checks the models of the collector's protocol (tests/gc/*.pml, doc/gc-models.md) with Spin: the protocol holds, and each of its variants that
# leaves something out is caught. A search counts only when it ended: no depth or memory limit reached, no state left out (COLLAPSE
# compresses states without loss), every statement of the model reached. Seconds are CPU seconds.
#   MODEL       only that model: barrier, termination, sweep, weak, reads, ephemeron, cleanup, coroutine, stopped, removal, threads
#   --long      larger bounds, store buffers, and by bitstate what is too large for a full search (reported as incomplete)
#   --list      print the runs and do nothing
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh
export LC_ALL=C

long='' list='' only=''
while [ $# -gt 0 ]; do
	case $1 in
	--help | -h) sed -n '3,/^set/s/^# \{0,1\}//p' "$0"; exit 0 ;;
	--long) long=1 ;;
	--list) list=1 ;;
	-*) echo "models: unknown option $1 (see --help)" >&2; exit 2 ;;
	*) only=$1 ;;
	esac
	shift
done

# A run: when; what is expected; the model; at most CPU seconds and MiB; flags. What is expected is "holds", "incomplete" (no error found
# by bitstate), or the assertion that fails: lost (a live object is not marked), swept (a live object is freed), stale (a mark is left),
# late (something is marked when marking is over), typed (a mark on what is no object), white (who is black gets what is not, or the other way round), null (a
# weak reference answers NULL, then an object), gone (it answers what was freed), twice (a cleanup is called and cancelled, or called twice), alive (it is called and its
# object is alive).
runs() {
	cat <<-'END'
	quick holds      barrier     60 1000 -DN=2
	quick lost       barrier     60 1000 -DN=3 -DDELETION_ONLY
	quick lost       barrier     60 1000 -DN=3 -DMERGED_HANDSHAKES
	quick lost       barrier     60 1000 -DN=3 -DPLAIN_GLOBAL
	quick lost       barrier     60 1000 -DN=3 -DROOTS_EARLY
	quick lost       barrier     60 1000 -DN=3 -DNO_BLACK
	quick holds      barrier     60 1000 -DN=2 -DSIFTS
	quick lost       barrier     60 1000 -DN=3 -DSIFTS -DSIFT_ALL
	quick holds      termination 60 1000 -DN=2
	quick holds      termination 60 1000 -DN=2 -DSIFTS
	quick lost       termination 60 1000 -DN=2 -DEDGE_GONE -DNO_TERMINATION_ROUND
	quick lost       termination 60 1000 -DN=2 -DEDGE_GONE -DSAFE_NOT_FLUSHED
	quick lost       termination 60 1000 -DN=2 -DEDGE_GONE -DOVERFLOW_UNSEEN
	quick lost       termination 60 1000 -DN=2 -DBUSY_UNSEEN
	quick lost       termination 60 1000 -DN=2 -DASSIST_UNSEEN -DLOST_ONLY
	quick lost       termination 60 1000 -DN=2 -DIDLE_EARLY
	quick lost       termination 60 1000 -DN=2 -DTAKE_FIRST -DLOST_ONLY
	quick lost       termination 60 1000 -DN=2 -DEDGE_GONE -DCOUNT_LATE
	quick late       termination 60 1000 -DN=2 -DEDGE_GONE -DNEVER_CLOSED
	quick holds      sweep       60 1000 -DN=2
	quick stale      sweep       60 1000 -DN=3 -DUNSEALED
	quick stale      sweep       60 1000 -DN=3 -DSEAL_AS_SWEPT
	quick stale      sweep       60 1000 -DN=3 -DBLACKEN_ANY
	quick stale      sweep       60 1000 -DN=3 -DMARK_ANY
	quick stale      sweep       60 1000 -DN=3 -DLATE_DRAIN
	quick stale      sweep       60 1000 -DN=3 -DNEXT_TOO_EARLY
	quick white      sweep       60 1000 -DN=3 -DNO_WHITEN
	quick typed      sweep       60 1000 -DN=3 -DBIT_FIRST
	quick holds      weak        60 1000 -DN=3
	quick lost       weak        60 1000 -DN=3 -DNO_COUNT
	quick lost       weak        60 1000 -DN=3 -DCOUNT_LATE
	quick lost       weak        60 1000 -DN=3 -DREADER_ADDS_LATE
	quick lost       weak        60 1000 -DN=3 -DOPEN_UNSHADED
	quick lost       weak        60 1000 -DN=3 -DCLEAR_AFTER_OFF
	quick holds      reads       60 1000 -DN=2
	quick gone       reads       60 1000 -DN=3 -DNO_SECOND_LOOK
	quick gone       reads       60 1000 -DN=3 -DLOOKS_FIRST
	quick null       reads       60 1000 -DN=3 -DCLEAR_AFTER_FLIP
	quick holds      ephemeron   60 1000 -DN=2
	quick holds      ephemeron   60 1000 -DN=2 -DMEMORY
	quick lost       ephemeron   60 1000 -DN=1 -DNO_SETTLE
	quick lost       ephemeron   60 1000 -DN=1 -DVALUE_UNSHADED
	quick lost       ephemeron   60 1000 -DN=1 -DSET_SHADES
	quick lost       ephemeron   60 1000 -DN=1 -DNO_COUNT
	quick lost       ephemeron   60 1000 -DN=1 -DCLEAR_AFTER_OFF
	quick holds      cleanup     60 1000 -DN=2
	quick lost       cleanup     60 1000 -DN=3 -DQUEUE_UNSHOWN
	quick lost       cleanup     60 1000 -DN=3 -DCHAIN_UNSHOWN
	quick twice      cleanup     60 1000 -DN=3 -DEND_PLAIN
	quick twice      cleanup     60 1000 -DN=3 -DFIND_PLAIN
	quick alive      cleanup     60 1000 -DN=3 -DFIND_EARLY
	quick holds      coroutine   60 1000 -DN=2
	quick lost       coroutine   60 1000 -DN=3 -DENTER_UNREAD
	quick lost       coroutine   60 1000 -DN=3 -DSCANNED_STAYS
	quick lost       coroutine   60 1000 -DN=3 -DLEFT_SCANNED
	quick lost       coroutine   60 1000 -DN=3 -DREAD_EARLY
	quick lost       coroutine   60 1000 -DN=3 -DNOT_READ
	quick holds      stopped     60 1000 -DN=2
	quick lost       stopped     60 1000 -DN=3 -DMARK_EARLY
	quick lost       stopped     60 1000 -DN=3 -DNOT_HELD
	quick lost       stopped     60 1000 -DN=3 -DATTACH_STOPPED
	quick swept      stopped     60 1000 -DN=3 -DRESUME_UNSEALED
	quick holds      removal     60 1000 -DN=2
	quick lost       removal     60 1000 -DN=3 -DFREE_UNSHADED
	quick lost       removal     60 1000 -DN=3 -DROOT_UNSHADED
	quick lost       removal     60 1000 -DN=3 -DREVOKE_UNSCANNED
	quick holds      threads     60 1000 -DN=2
	quick lost       threads     60 1000 -DN=3 -DPHASE_UNLOCKED
	quick lost       threads     60 1000 -DN=3 -DEXIT_DROPS
	quick lost       threads     60 1000 -DN=4 -DN1=0 -DLEAVE_PLAIN
	quick lost       threads     60 1000 -DN=3 -DRAW_ARGUMENT
	quick lost       threads     60 1000 -DN=3 -DATTACH_WHITE
	quick lost       threads     60 1000 -DN=3 -DSAFE_NOT_FLUSHED
	quick lost       threads     60 1000 -DN=4 -DN1=0 -DANSWERED_TWICE
	quick holds      barrier     60 1000 -DN=1 -DTSO
	quick holds      barrier     60 1000 -DN=2 -DTOGETHER
	long  lost       barrier     60 1000 -DN=3 -DBLACK_TOO_EARLY
	long  holds      barrier     300 3000 -DN=4
	long  holds      barrier     300 3000 -DN=3 -DTOGETHER
	long  holds      barrier     300 3000 -DN=3 -DSIFTS
	long  holds      barrier     600 6000 -DN=2 -DSIFTS -DTSO
	long  holds      termination 600 6000 -DN=4
	long  holds      termination 600 6000 -DN=4 -DSIFTS
	long  holds      termination 600 6000 -DN=3 -DEDGE_GONE
	long  holds      sweep       600 6000 -DN=4
	long  holds      sweep       600 6000 -DN=3 -DCYCLES=2
	long  holds      weak        300 3000 -DN=4
	long  holds      reads       300 3000 -DN=4
	long  holds      ephemeron   600 6000 -DN=4
	long  holds      cleanup     600 6000 -DN=4
	long  holds      coroutine   600 6000 -DN=4
	long  holds      stopped     300 3000 -DN=4
	long  holds      removal     600 6000 -DN=4
	long  holds      threads     600 6000 -DN=4
	long  holds      barrier     600 6000 -DN=3 -DTSO
	long  holds      termination 600 6000 -DN=2 -DTSO
	long  holds      sweep       600 6000 -DN=2 -DTSO
	long  holds      weak        600 6000 -DN=3 -DTSO
	long  holds      reads       600 6000 -DN=3 -DTSO
	long  holds      coroutine   600 6000 -DN=2 -DTSO
	long  holds      removal     600 6000 -DN=3 -DTSO
	long  holds      threads     600 6000 -DN=3 -DTSO
	long  incomplete barrier     600 3000 -DN=5
	long  incomplete barrier     600 3000 -DN=4 -DTSO
	long  incomplete threads     600 3000 -DN=5
	END
}

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# build MODEL OPTIMIZATION PAN_FLAGS MODEL_FLAGS...: the checker of a model. Spin writes into the current folder.
build() {
	local model=$PWD/tests/gc/$1.pml optimize=$2 pan_flags=$3
	shift 3
	# shellcheck disable=SC2086 # flags
	(
		cd "$folder" && rm -f pan* ./*.trail && spin -a "$@" "$model" >spin.out 2>&1 &&
			gcc -w "$optimize" -DSAFETY $pan_flags -o pan pan.c >>spin.out 2>&1
	)
}

# search SECONDS OPTION...: runs the checker; what it says is in $folder/out, its CPU seconds in $folder/seconds.
search() {
	local seconds=$1
	shift
	local TIMEFORMAT=%U
	# Not exec: bash would print no time.
	{ time (cd "$folder" && ulimit -t "$seconds" && ./pan "$@" >out 2>&1); } 2>"$folder/seconds"
}

# unreached: statements that the search never came to. That a process which runs for ever does not end is no surprise.
unreached() { sed -n '/^unreached in/,$p' "$folder/out" | grep -E '^[[:blank:]].*, state [0-9]+, ' | grep -v '"-end-"$'; }

# complaints: why the last search proves nothing; empty when it does.
complaints() {
	grep -q '^Full statespace search for:' "$folder/out" || echo "not a full search"
	grep -q ', errors: 0$' "$folder/out" || echo "it did not end without errors"
	grep -E 'max search depth too small|Search not completed|out of memory|[Bb]it.?state|Hash-Compact|aborting|violated' "$folder/out"
	grep -q '^unreached in' "$folder/out" || echo "it does not say what was reached"
	unreached | sed 's/^[[:blank:]]*/not reached: /'
}

# figures: what the search took.
figures() {
	awk -v seconds="$(tail -n 1 "$folder/seconds")" '
	/states, stored/ { states = $1 }
	/total actual memory usage/ { mib = $1 }
	/depth reached/ { sub(/,$/, "", $6); depth = $6 }
	/hash factor/ { factor = ", " $0; sub(/\(.*/, "", factor) }
	END { printf "%d states, depth %d, %.1f s, %.0f MiB%s", states, depth, seconds, mib, factor }' "$folder/out"
}

# The assertion that fails, as the checker prints it.
assertion() {
	case $1 in
	lost) echo '((set& ~(marked))==0)' ;;
	swept) echo '!(((set>>' ;;
	stale) echo '((marked& ~(early))==0)' ;;
	late) echo '!((clean&&' ;;
	typed) echo 'field[word]==1' ;;
	white) echo '(is_black[m]||' ;;
	null) echo 'null_seen' ;;
	gone) echo '!(((free>>t)&1))' ;;
	twice) echo '(ended<=1)' ;;
	alive) echo '!(((set>>1)&1))' ;;
	esac
}

# run_model EXPECTED MODEL SECONDS MIB FLAGS...
run_model() {
	local expected=$1 model=$2 seconds=$3 mib=$4 optimize=-O0 compress=-DCOLLAPSE name text why
	shift 4
	[ "$seconds" -le 60 ] || optimize=-O2
	name="$model $*"
	case $expected in
	holds) name+=" holds" ;;
	incomplete) compress=-DBITSTATE name+=" has no error that bitstate finds (incomplete)" ;;
	*) optimize=-O0 name+=" fails: $expected" ;;
	esac
	if ! build "$model" "$optimize" "$compress -DMEMLIM=$mib" "$@"; then
		not_ok "$name" "$(cat "$folder/spin.out")"
		return
	fi
	case $expected in
	holds)
		search "$seconds" -m10000 -w22
		why=$(complaints)
		;;
	incomplete)
		search "$seconds" -m10000 -w33 -k3 -Q$((seconds / 60 - 1))
		why=$(grep -E '^pan:.*(violated|invalid end)|max search depth too small' "$folder/out")
		grep -q ', errors: 0$' "$folder/out" || why+=" it did not end without errors"
		;;
	*)
		search "$seconds" -m10000 -w20
		text=$(grep 'assertion violated' "$folder/out")
		case $text in *"$(assertion "$expected")"*) why='' ;; *) why="not that assertion: $text $(head -n 3 "$folder/out")" ;; esac
		[ -f "$folder/$model.pml.trail" ] || why+=" no counterexample"
		;;
	esac
	if [ -z "$why" ]; then
		ok "$name"
		echo "# $(figures)"
	else
		not_ok "$name" "$why"
	fi
}

# The judge is judged: a search that is cut short, or that does not come to an assertion, must not count.
try_complaints() {
	local name=$1 pattern=$2
	if complaints | grep -q -e "$pattern"; then ok "$name"; else not_ok "$name" "$(complaints; cat "$folder/out")"; fi
}
judge() {
	build barrier -O0 "-DCOLLAPSE" -DN=1
	search 60 -m30 -w18
	try_complaints "a search that is not deep enough proves nothing" "depth too small"
	build barrier -O0 "-DCOLLAPSE -DMEMLIM=9" -DN=2
	search 60 -m10000 -w18
	try_complaints "a search that runs out of memory proves nothing" "it did not end\|out of memory\|not completed"
	build barrier -O0 "-DCOLLAPSE" -DN=0
	search 60 -m10000 -w18
	try_complaints "what is not reached is noticed" "not reached: .*allocated"
	build barrier -O0 -DBITSTATE -DN=1
	search 60 -m10000 -w20
	try_complaints "bitstate proves nothing" "not a full search"
	empty_ok "what a model says that fails is run, and what is run is in the documentation" "$(unrun; undocumented)"
}

# Flags in the first comment of a model that no run of it has.
unrun() {
	local file model flag
	for file in tests/gc/*.pml; do
		model=$(basename "$file" .pml)
		[ "$model" != common ] || continue
		for flag in $(sed '/\*\/$/{x;s/^/x/;/xx/{x;q};x}' "$file" | grep -o -- '-D[A-Z_0-9]*' | sort -u); do
			runs | grep -q -- "^[a-z]* *[a-z]* *$model .* $flag\b" || echo "$model $flag is not run"
		done
	done
}

# Flags of runs that doc/gc-models.md does not have.
undocumented() {
	local flag
	for flag in $(runs | grep -o -- '-D[A-Z_]*[A-Z]\b' | grep -v -x -e -DN -e -DCYCLES | sort -u); do grep -q -E "(\`|-D)${flag#-D}\`" doc/gc-models.md || echo "$flag is not in doc/gc-models.md"; done
}

if [ -n "$list" ]; then
	runs | while read -r when line; do if [ "$when" = quick ] || [ -n "$long" ]; then echo "$line"; fi; done
	exit 0
fi
if ! command -v spin >/dev/null; then
	not_ok "spin is installed" "make deps installs it"
	tap_end
	exit
fi
[ -n "$only" ] || judge
while read -r when expected model seconds mib flags; do
	[ "$when" = quick ] || [ -n "$long" ] || continue
	[ -z "$only" ] || [ "$only" = "$model" ] || continue
	# shellcheck disable=SC2086 # flags
	run_model "$expected" "$model" "$seconds" "$mib" $flags
done < <(runs)
tap_end
