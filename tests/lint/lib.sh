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
	files | while read -r f; do
		case $f in *.sh) echo "$f"; continue ;; esac
		if head -n 1 "$f" | grep -q -a '^#!.*sh\b'; then echo "$f"; fi
	done
}

# flags CC: the compiler's flags as the Makefile has them, without those of the caller's setting.
flags() {
	env -u CFLAGS -u CPPFLAGS make -s --no-print-directory CC="$1" print-CPPFLAGS print-CFLAGS | tr '\n' ' '
}

compilers() {
	local cc
	for cc in gcc clang; do if command -v "$cc" >/dev/null; then echo "$cc"; fi; done
}
