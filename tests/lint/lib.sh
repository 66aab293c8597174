# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What the lints have in common. Each lint is a script that prints TAP, one result per subject.

cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh
export LC_ALL=C

# files PATTERN...: the files of the project, tracked or about to be, that match a git pathspec.
# shellcheck disable=SC2120 # sourced: the callers pass arguments
files() {
	if git rev-parse --git-dir >/dev/null 2>&1; then
		git ls-files -co --exclude-standard -- "$@" | sort -u | while read -r f; do
			if [ -f "$f" ]; then echo "$f"; fi
		done
	else
		find . -path './build*' -prune -o -type f -print | sed 's,^\./,,' | sort | matching "$@"
	fi
}

# matching PATTERN...: of the names on standard input those that a pathspec would choose.
matching() {
	local name pattern
	while read -r name; do
		[ $# -gt 0 ] || echo "$name"
		for pattern in "$@"; do
			# shellcheck disable=SC2053 # a pattern
			if [[ $name == $pattern || $name == "$pattern"/* ]]; then echo "$name"; break; fi
		done
	done
}

# shell_scripts: every file that a shell reads.
shell_scripts() {
	files | xargs awk 'FILENAME ~ /[.]sh$/ || /^#!.*sh([^[:alnum:]_]|$)/ { print FILENAME } { nextfile }'
}

# includes PATTERN...: "FILE NAME" for each include of the files that match.
includes() {
	files "$@" | xargs -r awk 'match($0, /^[ \t]*#[ \t]*include[ \t]*["<][^">]+[">]/) {
		name = substr($0, 1, RLENGTH - 1)
		sub(/^[^"<]*["<]/, "", name)
		print FILENAME, name
	}'
}

# on_all_cpus FUNCTION: FUNCTION is called for each line of standard input and gives one result; each processor takes its share of them.
on_all_cpus() {
	local subjects nr folder part i line pids=()
	mapfile -t subjects
	nr=$(nproc)
	folder=$(mktemp -d)
	for ((part = 0; part < nr; part++)); do
		for ((i = part; i < ${#subjects[@]}; i += nr)); do "$1" "${subjects[i]}"; done >"$folder/$part" &
		pids+=($!)
	done
	wait "${pids[@]}"
	# Each has counted its own.
	while IFS= read -r line; do
		case $line in
		ok\ *) ok "${line#ok * - }" ;;
		not\ ok\ *) not_ok "${line#not ok * - }" ;;
		*) printf '%s\n' "$line" ;;
		esac
	done < <(cat "$folder"/*)
	rm -rf "$folder"
	[ "$tap_count" -ge "${#subjects[@]}" ] || not_ok "each of ${#subjects[@]} gives a result"
}

# flags CC: the compiler's flags as the Makefile has them, without those of the caller's setting.
flags() {
	env -u CFLAGS -u CPPFLAGS make -s --no-print-directory CC="$1" print-CPPFLAGS print-CFLAGS | tr '\n' ' '
}

compilers() {
	local cc
	for cc in gcc clang; do if command -v "$cc" >/dev/null; then echo "$cc"; fi; done
}
