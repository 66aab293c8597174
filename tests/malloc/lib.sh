# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# For tests of real programs under the malloc replacement: source it after tests/tap.sh, from the project's folder.

replacement=$PWD/${B:-build}/libarena-malloc.so
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# replaced COMMAND...: with the replacement, which says at exit that it was used. COMMAND may be a function: then what it starts is meant.
replaced() (
	export LD_PRELOAD=$replacement ARENA_MALLOC_STATS=1
	"$@"
)

# What auto takes here.
expected_source=${ARENA_SOURCE:-$([ -c /dev/arena ] && echo dev || echo thp)}

# was_used FILE: what was printed to standard error has the line of a heap that holds memory, from the source that was to be had. Its numbers
# agree with each other.
was_used() {
	awk -v source="$expected_source" '
	/^arena: [0-9]+ bytes held, [0-9]+ in use, [0-9]+ idle, at most [0-9]+, source/ && $NF == source {
		held = $2 + 0; used = $5 + 0; idle = $8 + 0; most = $12 + 0
		if (used > 0 && used + idle <= held && held <= most) good = 1; else bad = 1
	}
	END { exit !(good && !bad) }' "$1"
}

# python3 in the path may be a script that starts the real one. Rather one that imports no more at its start than Python does by itself: a .pth file
# may have it import threading, and test_threading fails then, whatever malloc() is.
find_python() {
	local python any=
	for python in python3 /usr/bin/python3; do
		python=$("$python" -c 'import sys, test.test_json; print(sys.executable)' 2>/dev/null) || continue
		"$python" -c 'import sys; sys.exit("threading" in sys.modules)' && echo "$python" && return
		any=${any:-$python}
	done
	[ -n "$any" ] && echo "$any"
}

# own_tests PYTHON SUITE...: python3's own tests, with the replacement. Programs that these start print no line at exit, because the tests
# look at what they print; python3 itself does.
own_tests() {
	local python=$1
	shift
	replaced env -C "$folder" "$python" -c '
import atexit, os, runpy, sys
del os.environ["ARENA_MALLOC_STATS"]
atexit.register(os.putenv, "ARENA_MALLOC_STATS", "1")
sys.argv = ["test", "-q"] + sys.argv[1:]
runpy.run_module("test", run_name="__main__")' "$@" >"$folder/out" 2>"$folder/err" || { cat "$folder/out" "$folder/err"; return 1; }
	was_used "$folder/err" || { cat "$folder/err"; return 1; }
}

# same NAME COMMAND...: passes when COMMAND prints the same, on both streams, and exits in the same way with the replacement.
same() {
	local name=$1 status replaced_status
	shift
	"$@" >"$folder/out" 2>"$folder/err" </dev/null
	status=$?
	replaced "$@" >"$folder/replaced.out" 2>"$folder/replaced.err" </dev/null
	replaced_status=$?
	grep -v '^arena: [0-9]* bytes held' "$folder/replaced.err" >"$folder/replaced.rest"
	if [ "$status" -ne 0 ]; then
		not_ok "$name" "fails without the replacement already: $(tail -n 5 "$folder/err")"
	elif [ "$replaced_status" -ne 0 ]; then
		not_ok "$name" "status $replaced_status: $(tail -n 5 "$folder/replaced.err")"
	elif ! was_used "$folder/replaced.err"; then
		not_ok "$name" "the heap was not used: $(tail -n 5 "$folder/replaced.err")"
	elif ! cmp -s "$folder/out" "$folder/replaced.out"; then
		not_ok "$name" "$(diff "$folder/out" "$folder/replaced.out" | head -n 10)"
	else
		empty_ok "$name" "$(diff "$folder/err" "$folder/replaced.rest" | head -n 10)"
	fi
}
