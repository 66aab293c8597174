#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# profile
#
# Profiles of a program whose allocations are known (sites.c): what protoc decodes is near the truth for each of its functions, and
# its addresses are those of these functions. At exit, on a signal, and as a text of leaks. The samples' seed is a constant.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=tests/malloc/lib.sh
. tests/malloc/lib.sh

B=${B:-build}
sites=$PWD/$B/tests/malloc/sites

# profiled NAME=VALUE... COMMAND...: with the replacement, sampling often.
settings=(env LD_PRELOAD="$replacement" ARENA_PROFILE_BYTES=32768 ARENA_PROFILE_SEED=5)
profiled() { "${settings[@]}" "$@"; }

decoded() { zcat "$1" | protoc -Ilibarena --decode=arena.pprof.Profile profile.proto; }

# flat FILE: a line "FUNCTION FOUR VALUES" for each sample, then "FUNCTION < CALLER < ..." with what addr2line calls the addresses in sites.
flat() {
	decoded "$1" | sites=$sites perl -e '
		my (@stack, %location, %mapping, @samples, @texts);
		while (<STDIN>) {
			if (/^(\w+) \{/) { $in = $1; $now = {}; $depth = 1; next }
			if (/^\}/) { push @samples, $now if $in eq "sample"; $location{$now->{id}} = $now if $in eq "location";
				$mapping{$now->{id}} = $now if $in eq "mapping"; $in = ""; next }
			if (/^string_table: "(.*)"/) { push @texts, $1; next }
			if (/^  (\w+): (\S+)/) { push @{$now->{"all_$1"}}, $2; $now->{$1} = $2 }
		}
		sub name {
			my $at = $location{$_[0]};
			my $map = $mapping{$at->{mapping_id} // 0} or return "unmapped";
			return "other" if $texts[$map->{filename}] ne $ENV{sites};
			my $offset = sprintf "%x", $at->{address} - $map->{memory_start} + ($map->{file_offset} // 0);
			return $known{$offset} //= (split /\n/, `addr2line -f -e $ENV{sites} $offset`)[0];
		}
		for (@samples) { my @names = map { name($_) } @{$_->{all_location_id}};
			print join(" ", $names[0], @{$_->{all_value}}), "  ", join(" < ", @names), "\n" }'
}

# compare: what the program printed, against lines as those of flat: a line for each number that is 12 % off or more.
compare() {
	awk -v truth="$folder/truth" '
		{ for (i = 2; i <= 5; i++) sum[$1, i] += $i }
		END {
			while ((getline line < truth) > 0) {
				n = split(line, t, " ")
				for (i = 2; i <= n; i++) {
					if (t[i] == "-") continue
					seen++
					if (sum[t[1], i] < t[i] * 0.88 || sum[t[1], i] > t[i] * 1.12)
						print t[1] ", value " i - 1 ": " sum[t[1], i] " instead of " t[i]
				}
			}
			if (seen < 18) print "only " seen + 0 " numbers"
		}'
}

far() { flat "$1" | compare; }

# top FILE: the same lines from what go's pprof prints, which finds the functions' names by itself: one for each function and value.
top() {
	local nr=0 index
	for index in alloc_objects alloc_space inuse_objects inuse_space; do
		HOME=$folder go tool pprof -top -nodefraction=0 -unit=bytes -sample_index=$index "$1" 2>"$folder/err" | awk -v nr=$nr '
			is_on { value[nr] = $1; sub(/B$/, "", value[nr]); print $6, value[0] + 0, value[1] + 0, value[2] + 0, value[3] + 0 }
			$1 == "flat" && $4 == "cum" { is_on = 1 }'
		nr=$((nr + 1))
	done
}

# ---------------------------------------------------------------- at exit

run_ok "the program runs" profiled ARENA_PROFILE="$folder/exit" "$sites" leave
"$sites" leave >"$folder/truth"
exit_file=$(echo "$folder"/exit.*.pb.gz)
empty_ok "estimates of its functions are near the truth" "$(far "$exit_file")"
empty_ok "stacks lead from the function to main" "$(for name in churn keep zeroed grow; do
	flat "$exit_file" | grep -q "^$name .*  $name < main" || echo "$name: $(flat "$exit_file" | head -n 8)"; done)"
empty_ok "types, units and period are pprof's" "$(decoded "$exit_file" | grep -e string_table | sed -n '2,8s/.*: //p' | tr '\n' ' ' |
	grep -v '"alloc_objects" "count" "alloc_space" "bytes" "inuse_objects" "inuse_space" "space"'
	decoded "$exit_file" | grep -q '^period: 32768$' || echo "no period")"
build_id=$(readelf -n "$sites" | sed -n 's/.*Build ID: //p')
empty_ok "the program's build id is in it" "$(decoded "$exit_file" | grep -q "\"$build_id\"" || echo "no $build_id")"
if command -v go >/dev/null; then
	empty_ok "go tool pprof names the functions, with values near the truth" "$(top "$exit_file" | compare; cat "$folder/err")"
else
	skip "go tool pprof names the functions, with values near the truth" "go is not installed"
fi
rm -f "$folder"/exit.*

run_ok "each process writes a file of its own" profiled ARENA_PROFILE="$folder/many" bash -c "/bin/true; $sites >/dev/null & $sites >/dev/null; wait"
empty_ok "four files of four processes" "$(n=$(find "$folder" -name 'many.*.pb.gz' | wc -l); [ "$n" = 4 ] || echo "$n files")"

profiled ARENA_PROFILE="$folder/missing/x" "$sites" >"$folder/out" 2>"$folder/err"
empty_ok "a file that cannot be written is told, and the program ends as it would" "$(cmp "$folder/out" "$folder/truth" 2>&1
	grep -q '^arena: the profile .*/missing/x.* cannot be written: error 2$' "$folder/err" || cat "$folder/err")"

# Each allocation is a sample: that of pthread_getattr_np(), which holds a lock of its thread, among them.
run_ok "a thread that asks where its stack is can be sampled meanwhile" timeout 60 "${settings[@]}" \
	ARENA_PROFILE="$folder/ask" ARENA_PROFILE_BYTES=1 "$sites" ask
empty_ok "and where it is is known afterwards" "$(n=$(flat "$folder"/ask.*.pb.gz | grep -c '^churn 1 112 0 0  churn < ask_bounds < ')
	[ "$n" = 2 ] || flat "$folder"/ask.*.pb.gz)"

# ---------------------------------------------------------------- stacks by tables

profiled ARENA_PROFILE="$folder/tables" ARENA_PROFILE_UNWIND=1 "$sites" leave >/dev/null 2>"$folder/err"
empty_ok "the same by libgcc's tables" "$(cat "$folder/err"; far "$folder"/tables.*.pb.gz
	flat "$folder"/tables.*.pb.gz | grep -q '  keep < main' || flat "$folder"/tables.*.pb.gz | head -n 8)"

# ---------------------------------------------------------------- on a signal

mkfifo "$folder/fifo"
# Not by the function: this has the program's own number.
"${settings[@]}" ARENA_PROFILE="$folder/signal" ARENA_PROFILE_SIGNAL=12 "$sites" wait >/dev/null 2>"$folder/err" <"$folder/fifo" &
pid=$!
exec 9>"$folder/fifo"
# wait_for FILE: until it is whole; nobody waits for more than a minute.
wait_for() { for _ in $(seq 600); do if gzip -t "$1" 2>/dev/null; then return 0; fi; sleep 0.1; done; return 1; }
run_ok "a signal makes a profile" wait_for "$folder/signal.$pid.1.pb.gz"
empty_ok "it is that of the moment" "$(far "$folder/signal.$pid.1.pb.gz")"
kill -USR2 $pid
run_ok "another signal makes another" wait_for "$folder/signal.$pid.2.pb.gz"
exec 9>&-
wait $pid
empty_ok "the program ends as it would" "$(status=$?; [ $status = 0 ] || echo "status $status"; cat "$folder/err")"
empty_ok "what was freed is not in use in its last profile" "$(flat "$folder/signal.$pid.pb.gz" | awk '$1 == "keep" && $4 > 0')"

# Signals arrive at any instruction of malloc(), each asks for a profile, and most find one being written.
run_ok "a storm of signals does not disturb threads that allocate" timeout 120 "${settings[@]}" ARENA_PROFILE="$folder/storm" \
	ARENA_PROFILE_SIGNAL=14 "$sites" storm
# The last one may have met the end of the process.
mapfile -t files < <(find "$folder" -name 'storm.*.*.pb.gz' | sort -V | head -n -1)
echo "# ${#files[@]} profiles"
empty_ok "the profiles that it asked for are whole" "$(gzip -t "${files[@]}" 2>&1 </dev/null
	[ ${#files[@]} -gt 0 ] && decoded "${files[-1]}" | grep -q '^sample' || echo "nothing in the last of ${#files[@]}")"
empty_ok "that of its end counts all that they allocated" "$(flat "$(find "$folder" -regex '.*/storm\.[0-9]*\.pb\.gz')" |
	awk '$1 == "from_thread" { sum += $2 } END { if (sum < 4e6 * 0.88 || sum > 4e6 * 1.12) print sum + 0 " instead of 4000000" }')"

# ---------------------------------------------------------------- leaks

profiled ARENA_MALLOC_LEAKS=1 "$sites" leave 2>"$folder/leaks" >/dev/null
empty_ok "the report of leaks has both places that hold memory, and the number of bytes" "$(
	awk '/^arena: about .* of the heap from$/ { if ($3 > 39e6 && $3 < 50e6) k++; if ($3 == 16777216) g++ }
		END { if (k != 1 || g != 1) print k + 0, g + 0 }' "$folder/leaks"
	grep -q "^	$sites+0x" "$folder/leaks" || head "$folder/leaks")"
profiled ARENA_MALLOC_LEAKS=1 ARENA_PROFILE_BYTES=1 "$sites" 2>"$folder/leaks" >/dev/null
empty_ok "with every object sampled nothing of the program is left" "$(grep -F "$sites+" "$folder/leaks"
	grep -q '^arena: in use: about ' "$folder/leaks" || cat "$folder/leaks")"

# ---------------------------------------------------------------- guarded objects

# Every object is, and either end of a page must find what is done.
guard() { env LD_PRELOAD="$replacement" ARENA_PROFILE_BYTES=1 ARENA_GUARDED_OBJECTS=4096 "$sites" "$1" 2>&1; }
said=$(guard late)
empty_ok "a use after free faults, and the report names who allocated and freed the object" "$(
	[[ $said == *"5 bytes into a freed object of 112 bytes"*"allocated by"*"$sites+0x"*"freed by"*"$sites+0x"* ]] || echo "it said '$said'")"
# faults NAME WHERE REPORT: it does not come to what is behind the write.
faults() {
	said=$(guard "$2")
	empty_ok "$1" "$([[ $said == *"$3"*"allocated by"*"$sites+0x"* && $said != written* ]] || echo "it said '$said'")"
}
faults "so does a write behind an object at the end of its page" behind-page "15 bytes behind a guarded object of 112 bytes"
faults "and one before an object at the beginning of its page" before-page "1 bytes before a guarded object of 112 bytes"
# is_found NAME WHERE REPORT: the write goes well, the free does not.
is_found() {
	said=$(guard "$2")
	empty_ok "$1" "$([[ $said == "written"*"allocated by"*"$sites+0x"*"free() of 0x"*"$3" ]] || echo "it said '$said'")"
}
is_found "a write behind an object within its page is found by free()" behind-object "somebody wrote behind it"
is_found "and so is one before it" before-object "somebody wrote before it"
run_out() { env LD_PRELOAD="$replacement" "$@" "$sites" far 2>&1; }
said=$(run_out ARENA_FAULT_HANDLER=2)
unasked=$(run_out ARENA_MALLOC_STATS=0)
empty_ok "a program that runs out of the heap is told so where it asks for that, and not otherwise" "$(
	[[ $said == *"access at 0x"*" bytes behind memory of heaps: an overflow"* ]] || echo "it said '$said'"; echo "$unasked" | grep arena:)"
same "python3 works with guarded objects" env ARENA_GUARDED_OBJECTS=500 ARENA_PROFILE_BYTES=4096 python3 -c \
	"import json; print(len(json.dumps(json.loads(json.dumps([{str(i): [i] * 5} for i in range(20000)])))))"

# ---------------------------------------------------------------- off

# mean NAME=VALUE...: the mean number of bytes between samples, 0 when there are none, as a program finds it in the library.
mean() {
	offset=0x$(nm "$replacement" | sed -n 's/ . profile_mean_word$//p') env LD_PRELOAD="$replacement" "$@" perl -e '
		open my $maps, "<", "/proc/self/maps";
		my ($base) = map { /^([0-9a-f]+)-.* 00000000 .*libarena-malloc\.so$/ ? hex $1 : () } <$maps>;
		open my $memory, "<:raw", "/proc/self/mem";
		sysseek $memory, $base + hex $ENV{offset}, 0;
		sysread $memory, my $word, 8;
		print unpack("Q", $word), "\n"'
}
# An empty folder is what is written in, and nothing is guarded: what is read after its free is nobody's.
mkdir "$folder/nothing"
empty_ok "nothing is guarded or written unless asked for" "$(cd "$folder/nothing" &&
	env LD_PRELOAD="$replacement" ARENA_PROFILE_BYTES=1 "$sites" late 2>&1 >/dev/null || echo "status $?"
	cd "$folder/nothing" && LD_PRELOAD=$replacement ARENA_PROFILE_BYTES=1000 "$sites" 2>&1 >/dev/null; find "$folder/nothing" -type f)"
is "nothing is sampled unless asked for" 0 mean ARENA_PROFILE_BYTES=1000
is "and where it is asked for it is" 1000 mean ARENA_PROFILE_BYTES=1000 ARENA_PROFILE="$folder/asked"
tap_end
