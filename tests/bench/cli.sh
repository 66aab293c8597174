#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# arena-bench as a user meets it: its options, its JSON, its refusals. Counts are tiny: this says
# nothing about speed.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
# shellcheck source=tests/tap.sh
. tests/tap.sh

bench=${B:-build}/arena-bench
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset ARENA_BENCH_UNIT ARENA_SOURCE

keys='[{]"bench": "[a-z]+", "case": "[^"]+", "source": "[a-z]+", "metric": "[a-z0-9_]+", "unit": "[A-Za-z/]+", '
keys+='"median": [-0-9.e+]+, "low": [-0-9.e+]+, "high": [-0-9.e+]+, "n": [0-9]+, "kernel": "[^"]+"'
keys+='(, "version": "[^"]+")?(, "bar": [-0-9.e+]+, "met": (true|false))?[}]'

# json_ok NAME FILE: every line has exactly the documented keys, in order, and there are some.
json_ok() {
	local bad
	bad=$(grep -E -v -x -e "$keys" "$2" || true)
	[ -s "$2" ] || bad='no lines at all'
	empty_ok "$1" "$bad"
}

# rows_ok NAME FILE ROW...: each "case source metric" is there.
rows_ok() {
	local name=$1 file=$2 missing='' row
	shift 2
	for row in "$@"; do
		read -r kind source metric <<<"$row"
		grep -q -F "\"case\": \"$kind\", \"source\": \"$source\", \"metric\": \"$metric\"" "$file" ||
			missing+="no row $row"$'\n'
	done
	empty_ok "$name" "$missing"
}

# measure FILE ARGUMENTS...: one run as JSON; its failure is the test's.
measure() {
	local file=$1
	shift
	# shellcheck disable=SC2016 # expanded by the bash that runs it
	run_ok "arena-bench $*" bash -c '"$0" "${@:2}" --json >"$1"' "$bench" "$file" "$@"
}

run_ok "--help" "$bench" --help
run_ok "--version" "$bench" --version
empty_ok "--list names every benchmark" "$(diff <("$bench" --list) - <<-'END'
	fault
	reclaim chunks
	reclaim objects
	fork
	arena append
	arena nodes
	arena request
	malloc
	gc
	pages
	start
	idle
END
)"
run_fails "nothing to do" "nothing to do" "$bench"
run_fails "unknown benchmark" "no such benchmark" "$bench" nonsense
run_fails "events of no file" "one file is needed" "$bench" events
run_fails "a mix of two files" "one file is needed" "$bench" mix a b
run_fails "a trace that is not there" "none: No such file" "$bench" events "$folder/none"
run_fails "unknown part" "no such benchmark" "$bench" arena nonsense
run_fails "unknown source" "bad value" "$bench" fault --source floppy
run_fails "auto is no source to measure" "bad value" "$bench" fault --source auto
run_fails "unknown program" "no such program" "$bench" malloc --program nonsense
run_fails "zero repetitions" "bad value" "$bench" fault --reps 0
run_fails "a number with a tail" "bad value" "$bench" fault --chunks 3x
run_fails "unknown unit" "no such unit" "$bench" fault --unit furlongs
if grep -q QEMU /proc/cpuinfo; then
	skip "instructions are refused where the clock does not count them" "an emulated machine"
else
	run_fails "instructions are refused where the clock does not count them" "does not count" \
		"$bench" fault --unit instructions
fi

measure "$folder/fault" fault --source pages,thp --chunks 2 --reps 7
json_ok "fault: keys" "$folder/fault"
rows_ok "fault: rows" "$folder/fault" "chunks=2 pages first_touch" "chunks=2 pages give_back" \
	"chunks=2 thp first_touch" "chunks=2 thp give_back"
if [ ! -e /dev/arena ]; then
	run_fails "fault: a source asked for by name must be there" "dev: /dev/arena" "$bench" fault --source dev
	run_fails "reclaim: likewise" "dev: /dev/arena" "$bench" reclaim --source dev
	run_fails "arena: likewise" "dev" "$bench" arena nodes --source dev --reps 1
fi

measure "$folder/reclaim" reclaim objects --source thp --reps 2
json_ok "reclaim: keys" "$folder/reclaim"
rows_ok "reclaim: rows" "$folder/reclaim" "objects=1000 thp keep" "objects=1000000 thp zap"

measure "$folder/arena" arena --source thp --objects 20000 --requests 2000 --reps 6
json_ok "arena: keys" "$folder/arena"
rows_ok "arena: rows" "$folder/arena" "append/glibc malloc time" "append/mimalloc malloc bytes" \
	"append/warm thp time" "append/cold thp faults" "nodes/glibc-inorder malloc time" \
	"nodes/glibc-shuffled malloc time" "nodes/mimalloc-inorder malloc allocations" \
	"nodes/mimalloc-shuffled malloc faults" "nodes/warm thp time" "nodes/cold thp time" \
	"request/1/glibc malloc time" "request/1/mimalloc malloc time" "request/2/glibc malloc time" \
	"request/2/mimalloc malloc time"
# Small arenas may get a cached chunk or pages, and the rows say which.
empty_ok "arena: rows of request name the source that was used" "$(for row in 1/warm 1/cold 2/warm 2/cold; do
	grep -q -E "\"case\": \"request/$row\", \"source\": \"(thp|pages)\", \"metric\": \"time\"" \
		"$folder/arena" || echo "no row request/$row"
done)"
empty_ok "arena: rows of peers have versions, of glibc's and of mimalloc's own kind" "$(
	for row in append/glibc:2 append/mimalloc:[12] nodes/glibc-inorder:2 nodes/mimalloc-shuffled:[12]; do
		grep -q "\"case\": \"${row%:*}\".*\"version\": \"${row#*:}[.0-9]*\"" "$folder/arena" || echo "no version of $row"
	done; grep '"case": "[a-z]*/\(warm\|cold\)".*"version"' "$folder/arena")"
measure "$folder/pages" arena nodes --source pages --objects 20000 --reps 1
rows_ok "arena: other sources" "$folder/pages" "nodes/warm pages time" "nodes/cold pages time"

measure "$folder/malloc" malloc --quick --reps 1
json_ok "malloc: keys" "$folder/malloc"
programs=$(grep -v '^#' bench/programs.txt | cut -f 1)
for allocator in glibc mimalloc jemalloc gperftools; do
	mapfile -t rows < <(for program in $programs; do
		printf '%s\n' "$program/$allocator malloc "{elapsed,cpu,peak_rss}
	done)
	rows_ok "malloc: every program with $allocator" "$folder/malloc" "${rows[@]}"
done
empty_ok "malloc: every program with ours, and its ratios" "$(for program in $programs; do
	for metric in elapsed cpu peak_rss vs_mimalloc vs_glibc peak_rss_vs_glibc peak_rss_vs_best; do
		grep -q -E "\"case\": \"$program/arena\", \"source\": \"(dev|thp|pages)\", \"metric\": \"$metric\"" \
			"$folder/malloc" || echo "no row $program $metric"
	done
done)"
rows_ok "malloc: metrics of programs" "$folder/malloc" "frag/glibc malloc rss_after_2s" "churn/glibc malloc rss_end" \
	"chase/glibc malloc step" "kib1-threads/glibc malloc threads_64" "kib1-threads/glibc malloc scaling" \
	"geometric-mean/all malloc vs_mimalloc" "geometric-mean/all malloc vs_mimalloc_but_best" \
	"geometric-mean/small malloc peak_rss_vs_glibc"
# Versions: those of the head, which a table has, are those of the rows.
run_ok "malloc: a table" bash -c '"$0" malloc --quick --reps 1 --program batch64 >"$1"' "$bench" "$folder/table"
empty_ok "malloc: a table begins with who measured, the machine and each allocator's version" "$(
	"$bench" --version | sed 's/^/# /' | diff - <(head -n 1 "$folder/table")
	for line in 'kernel: .* CPUs' 'memory: .* kB' 'arena: [0-9.]+ \(/.*libarena-malloc.so\)' 'glibc: 2\.[0-9]+ \(/.*libc.so.6\)' \
		'mimalloc: libmimalloc.* \(/.*libmimalloc.so.*\)' 'jemalloc: libjemalloc.* \(/.*libjemalloc.so.*\)' \
		'gperftools: libtcmalloc.* \(/.*libtcmalloc.*\)'; do
		grep -q -x -E "# $line" "$folder/table" || echo "no line of $line"
	done)"
empty_ok "malloc: each row of an allocator has its version, and no other row has one" "$(
	grep -v '"case": "geometric-mean/' "$folder/malloc" | sed 's/.*"case": "[^/]*\/\([^"]*\)".*"version": "\([^"]*\)".*/\1: \2/' | sort -u |
		diff - <(sed -n 's/^# \([a-z]*: .*\) (\/.*)$/\1/p' "$folder/table" | sort)
	grep '"case": "geometric-mean/.*"version"' "$folder/malloc")"
run_ok "malloc: CPU over mimalloc's" grep -q '"case": "calloc64m/arena".*"cpu_vs_mimalloc"' "$folder/malloc"
empty_ok "malloc: --quick is not held against bars" "$(grep '"bar"' "$folder/malloc")"
measure "$folder/pages" pages --quick --reps 1
json_ok "pages: keys" "$folder/pages"
rows_ok "pages: rows" "$folder/pages" "pair malloc pair" "pair malloc pair_instructions" "run malloc run_of_64" \
	"run malloc run_of_64_back" "run malloc run_of_64_instructions" "threads malloc threads_1" "threads malloc threads_64"
# Not how fast this machine is: the bar of the pair is in instructions.
empty_ok "pages: a page from the cache and back takes at most 30 instructions" "$(
	sed -n 's/.*"pair_instructions".*"median": \([0-9]*\).*/\1/p' "$folder/pages" | awk '$1 > 30 || $1 < 5')"
measure "$folder/start" start --reps 1
json_ok "start: keys" "$folder/start"
rows_ok "start: rows" "$folder/start" "true/arena malloc elapsed" "true/arena malloc added_peak_rss" "true/glibc malloc peak_rss" \
	"true/mimalloc malloc added_elapsed"
empty_ok "start: the rows that have a bar say so" "$(grep '"bar"' "$folder/start" | sed 's/.*"metric": "\([a-z_]*\)".*"bar": \([0-9.]*\), "met".*/\1 \2/' |
	diff - <(printf '%s\n' "added_elapsed 0.5" "added_peak_rss 1024"))"
# Libraries of the right names that have no malloc(): the dynamic linker is content, the benchmark must not be.
mkdir "$folder/fake" "$folder/peers"
cp "$bench" "$bench-malloc" "$folder/fake"
cp "${B:-build}/libarena.so.0" "$folder/fake/libarena-malloc.so"
cp "${B:-build}/libarena.so.0" "$folder/peers/libjemalloc.so.2"
run_fails "malloc: our library must really be used" "does not run with .*fake/libarena-malloc.so" \
	"$folder/fake/arena-bench" malloc --quick --reps 1 --program batch64
run_ok "malloc: a peer that is not there is named and left out" bash -c \
	'out=$(LD_LIBRARY_PATH=$1 "$0" malloc --quick --reps 1 --program batch64 2>&1) &&
		grep -q "skipped: jemalloc: libjemalloc.so.2 is not there" <<<"$out" &&
		grep -q batch64/mimalloc <<<"$out" && ! grep -q batch64/jemalloc <<<"$out"' "$bench" "$folder/peers"

# Most of the others never give back while nobody calls them, which is found after ten seconds each.
for library in libmimalloc.so.2 libtcmalloc_minimal.so.4; do
	cp "$folder/peers/libjemalloc.so.2" "$folder/peers/$library"
done
LD_LIBRARY_PATH=$folder/peers measure "$folder/idle" idle --quick --reps 1
json_ok "idle: keys" "$folder/idle"
rows_ok "idle: rows" "$folder/idle" "idle/glibc malloc back_90" "idle/glibc malloc rss_after_2s"
empty_ok "idle: ours comes back" "$(sed -n '/idle\/arena/s/.*"back_90".*"median": \([0-9]*\).*/\1/p' "$folder/idle" |
	awk '{ nr++ } $1 >= 10000 { print "never" } END { if (nr != 1) print nr + 0 " rows" }')"

without_thp=${B:-build}/tests/bench/helper/without_thp
run_fails "fault: huge pages that do not come are noticed" "not really thp: AnonHugePages is 0 kB" \
	"$without_thp" "$bench" fault --source thp --chunks 2 --reps 1
run_fails "arena: huge pages that do not come are noticed" "not really thp: /proc" \
	"$without_thp" "$bench" arena nodes --source thp --reps 1

cat "$folder/arena" "$folder/fault" >"$folder/both"
run_ok "table takes results with versions" "$bench" table "$folder/malloc"
run_ok "table prints results of several benchmarks" "$bench" table "$folder/both"
run_fails "table --check fails when a bar was not measured" "not measured" "$bench" table --check "$folder/fault"
echo '{"bench": "fault"}' >"$folder/bad"
run_fails "table names a bad line" "bad:1: not a result line" "$bench" table "$folder/bad"
run_fails "table names a missing file" "missing: No such file" "$bench" table "$folder/missing"

# result SOURCE METRIC CASE MEDIAN BENCH: one line, as if measured on a kernel "k".
result() {
	printf '{"bench": "%s", "case": "%s", "source": "%s", "metric": "%s", "unit": "instructions", ' "$5" "$3" "$1" "$2"
	printf '"median": %s, "low": %s, "high": %s, "n": 1, "kernel": "k"}\n' "$4" "$4" "$4"
}
good_results() {
	result dev first_touch chunks=128 4000 fault
	result dev populate chunks=128 3300 fault
	result thp first_touch chunks=128 560000 fault
	result hugetlb first_touch chunks=128 278000 fault
	for chunks in 1 4 16 64 256 1024; do
		result dev keep "chunks=$chunks" 1000 reclaim
		result dev rereserve "chunks=$chunks" 900 reclaim
	done
	for slope in populate:3210 keep:0.25 rereserve:0.125 zap:1234; do
		result dev "${slope%:*}_slope" slope "${slope#*:}" reclaim
	done
	result dev fork chunks=128 1300 fork
	result dev fork_slope slope 860 fork
}
good_results >"$folder/good"
run_ok "table --check passes when all bars are met" "$bench" table --check "$folder/good"
good_results | sed '/"dev", "metric": "first_touch"/s/4000/9400/g' >"$folder/slow"
run_fails "table --check notices a slow first touch" "hugetlb / dev.*MISSED" "$bench" table --check "$folder/slow"
good_results | sed '/"populate"/s/3300/3600/g' >"$folder/idle"
run_fails "table --check notices POPULATE that saves nothing" "populate / touch.*MISSED" "$bench" table --check "$folder/idle"
good_results | sed '/"chunks=1024".*"keep"/s/1000/1300/g' >"$folder/steep"
run_fails "table --check notices KEEP that is not flat" "keep over 6 sizes.*MISSED" \
	"$bench" table --check "$folder/steep"
for chunks in 1 4 16 64 256 1024; do
	good_results | grep -v "\"chunks=$chunks\".*\"rereserve\"" >"$folder/gap"
	run_fails "table --check asks for RESERVE of $chunks chunks" "rereserve of $chunks chunks: not measured" \
		"$bench" table --check "$folder/gap"
done
for slope in populate:POPULATE keep:KEEP rereserve:"RESERVE of what was kept" fork:"first fork after touching"; do
	good_results | grep -v "\"${slope%:*}_slope\"" >"$folder/flat"
	run_fails "table --check asks for the slope of ${slope#*:}" "${slope#*:}, each further chunk: not measured" \
		"$bench" table --check "$folder/flat"
done
good_results | sed 's/1234/5900/g' >"$folder/dear"
run_fails "table --check notices a ZAP that costs too much" "ZAP per chunk: 5900.*MISSED" \
	"$bench" table --check "$folder/dear"
good_results | sed '/"metric": "fork"/s/1300/1700/g' >"$folder/fork"
run_fails "table --check notices a fork that costs too much" "per chunk: 1700.*MISSED" \
	"$bench" table --check "$folder/fork"
# Bars of malloc, pages, start and idle (tests/bench/bars.c has each of them).
malloc_results() {
	result malloc peak_rss local/glibc 8 malloc
	result thp elapsed local/arena 80 malloc
	result thp vs_glibc local/arena 0.8 malloc
	result thp peak_rss_vs_glibc local/arena 1.2 malloc
	result thp peak_rss_vs_best local/arena 1.3 malloc
	for metric in live:346 thinned:300 refilled:500 after_2s:40; do
		result thp "rss_${metric%:*}" frag/arena "${metric#*:}" malloc
	done
	result malloc vs_mimalloc geometric-mean/all 0.8 malloc
	result malloc vs_mimalloc_but_best geometric-mean/all 0.9 malloc
	result malloc peak_rss_vs_glibc geometric-mean/small 1.1 malloc
	result thp vs_mimalloc remote/arena 0.6 malloc
	result thp cpu_vs_mimalloc calloc64m/arena 0.5 malloc
	result thp scaling kib1-threads/arena 1.0 malloc
	result malloc pair pair 10 pages
	result malloc pair_instructions pair 25 pages
	result malloc run_of_64 run 100 pages
	result malloc added_elapsed true/arena 0.2 start
	result malloc added_peak_rss true/arena 300 start
	result thp back_90 idle/arena 900 idle
}
malloc_results >"$folder/all"
run_ok "table --check passes when the bars of malloc are met" bash -c \
	'out=$("$0" table --check "$1") && grep -q "^16 of 16 bars met" <<<"$out"' "$bench" "$folder/all"
sed '/remote/s/0\.6/0.7/g' "$folder/all" >"$folder/remote"
run_fails "table --check notices a program that takes too long" "remote/arena thp vs_mimalloc .*bar <= 0.65.*MISSED" \
	"$bench" table --check "$folder/remote"
sed '/"scaling"/s/1\.0/0.5/g' "$folder/all" >"$folder/collapse"
run_fails "table --check notices threads that collapse" "scaling .*bar >= 0.9.*MISSED" "$bench" table --check "$folder/collapse"
grep -v calloc64m "$folder/all" >"$folder/part"
run_fails "table --check notices a program that is not there" "calloc64m/arena cpu_vs_mimalloc: not measured" \
	"$bench" table --check "$folder/part"
run_ok "table without --check prints bars and judges nobody" "$bench" table "$folder/remote"

sed 's/"kernel": "k"/"kernel": "6.1.0-9-cloud-amd64"/' "$folder/dear" >"$folder/older"
run_ok "table --check allows older kernels what they need" "$bench" table --check "$folder/older"
tap_end
