#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# gc_layout.sh
#
# ARENA_GC_LAYOUT() takes pointers of a struct, in C and in C++, and nothing else: what is no pointer, an array as a whole, or no member does not
# compile.
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

program() {
	cat <<-END
	#include "arena/gc.h"
	struct it { struct it *next; void *any; const char *text; int (*function)(void); void *array[3]; long number; int half[2]; char odd[3]; };
	ARENA_GC_LAYOUT(layout, struct it, $1);
	unsigned long f(void);
	unsigned long f(void) { return layout.nr_pointers + layout.pointers[0] + arena_gc_local_.barrier; }
	END
}
compile() { program "$2" | "$1" "${@:3}" -Wall -Wextra -Werror -Ilibarena/include -c -o /dev/null -; }

languages=("gcc -x c -std=gnu11" "gcc -x c -std=c11" "g++ -x c++ -std=c++17")
if command -v clang >/dev/null; then languages+=("clang -x c -std=c11"); fi
if command -v clang++ >/dev/null; then languages+=("clang++ -x c++ -std=c++17"); fi
for language in "${languages[@]}"; do
	read -r compiler flags <<<"$language"
	# shellcheck disable=SC2086 # flags are words
	{
		run_ok "$language: pointers" compile "$compiler" "next, any, text, function, array[0], array[1], array[2]" $flags
		run_ok "$language: one" compile "$compiler" "any" $flags
		for bad in number half array odd none "next, half[0]"; do
			run_fails "$language: $bad" error compile "$compiler" "$bad" $flags
		done
	}
done
tap_end
