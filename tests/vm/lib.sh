# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What the scripts of tests/vm have in common: where things are, and how they complain.
#
# Everything that is fetched or unpacked lives below ARENA_CACHE, everything that is built lives
# below B (the build folder); nothing else outside the source tree is written.

# Used by the scripts that source this file.
# shellcheck disable=SC2034
VM_SERIES_ALL="6.1 6.12"
vm_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top_dir=$(cd "$vm_dir/../.." && pwd)
ARENA_CACHE=${ARENA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/arena}
B=${B:-$top_dir/build}
case $ARENA_CACHE in /*) ;; *) ARENA_CACHE=$top_dir/$ARENA_CACHE ;; esac
case $B in /*) ;; *) B=$top_dir/$B ;; esac

say() { echo "${0##*/}: $*" >&2; }
die() { say "$@"; exit 1; }

# Prints the comment block at the top of the calling script, which is its manual.
usage() { sed -n '3,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0"; }

# One place says the version: the public header.
version() {
	sed -n "s/^#define ARENA_VERSION_STRING \"\(.*\)\"/arena tests\/vm\/${0##*/} \1/p" \
		"$top_dir/libarena/include/arena/arena.h"
}

# sidecar PROGRAM SUFFIX: prints the settings file PROGRAM.SUFFIX, if there is one, without its
# comments. The program may lie in the build folder, its settings lie beside its source.
sidecar() {
	local stem=${1##*/} file
	stem=${stem%.sh}
	for file in "${1%.sh}.$2" "$top_dir/tests/kmod/$stem.$2"; do
		[ ! -e "$file" ] || { sed '/^#/d' "$file"; return; }
	done
}

# need COMMAND PACKAGE: stops with a hint when a host program is missing.
need() {
	command -v "$1" >/dev/null || die "needs $1; install the package $2 (make deps does)"
}
