# SPDX-License-Identifier: MIT
# shellcheck shell=dash
#
# TAP for shell tests: source it, call ok, not_ok or skip once per check, end with `tap_end`. Test VMs have it too, and
# no shell but busybox's: in them as here it is ../tap.sh of a test.

tap_count=0
tap_failures=0

# Everything that explains a failure goes behind "# ", so that it cannot be taken for a result.
tap_comment() { sed 's/^/# /'; }

ok() { tap_count=$((tap_count + 1)); echo "ok $tap_count - $1"; }

# not_ok NAME [TEXT]: TEXT says what is wrong.
not_ok() {
	tap_count=$((tap_count + 1))
	tap_failures=$((tap_failures + 1))
	echo "not ok $tap_count - $1"
	[ -z "${2:-}" ] || printf '%s\n' "$2" | tap_comment
}

# skip NAME WHY
skip() { tap_count=$((tap_count + 1)); echo "ok $tap_count - $1 # SKIP $2"; }

# empty_ok NAME TEXT: passes when TEXT, the list of complaints, is empty.
empty_ok() { if [ -z "$2" ]; then ok "$1"; else not_ok "$1" "$2"; fi; }

# result STATUS NAME [FILE]: of a command that ran before; the end of FILE explains a failure.
result() { if [ "$1" -eq 0 ]; then ok "$2"; else not_ok "$2" "$([ -z "${3:-}" ] || tail -n 15 "$3")"; fi; }

# check NAME COMMAND...: passes when the command does, which may set variables and be a function.
check() {
	local name=$1
	shift
	if "$@"; then ok "$name"; else not_ok "$name"; fi
}

# is NAME EXPECTED COMMAND...: passes when the command prints just that.
is() {
	local name=$1 expected=$2 output
	shift 2
	output=$("$@" 2>&1)
	if [ "$output" = "$expected" ]; then ok "$name"; else not_ok "$name" "expected '$expected', got '$output'"; fi
}

# run_ok NAME COMMAND...: passes when the command does; its output explains a failure.
run_ok() {
	local name=$1 output
	shift
	if output=$("$@" 2>&1 </dev/null); then ok "$name"; else not_ok "$name" "$output"; fi
}

# run_fails NAME PATTERN COMMAND...: passes when the command fails and its output has PATTERN.
run_fails() {
	local name=$1 pattern=$2 output
	shift 2
	if output=$("$@" 2>&1 </dev/null); then
		not_ok "$name" "succeeded, but should fail: $*"
	elif ! grep -q -e "$pattern" <<-END
		$output
		END
	then
		not_ok "$name" "failed without saying '$pattern': $output"
	else
		ok "$name"
	fi
}

tap_end() {
	echo "1..$tap_count"
	[ "$tap_failures" -eq 0 ] && [ "$tap_count" -gt 0 ]
}
