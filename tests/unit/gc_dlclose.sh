#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# gc_dlclose
#
# A module whose global is a root of a collected heap, loaded and unloaded again and again: what it led to is freed when the module has removed its root; if it has not, the
# next cycle faults.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

B=${B:-build}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
ulimit -c 0

module() {
	cat <<-'END'
	#include "arena/gc.h"

	static void *list;

	void begin(struct arena_gc *gc);
	void add(struct arena_gc *gc, struct arena_gc_type *type);
	void end(struct arena_gc *gc);

	void begin(struct arena_gc *gc)
	{
		if (arena_gc_add_roots(gc, &list, sizeof(list)))
			__builtin_trap();
	}

	void add(struct arena_gc *gc, struct arena_gc_type *type)
	{
		void **node = arena_gc_alloc(gc, type);

		arena_gc_store(node, list);
		arena_gc_store(&list, node);
	}

	void end(struct arena_gc *gc)
	{
		if (arena_gc_remove_roots(gc, &list))
			__builtin_trap();
	}
	END
}

# It prints how many objects were freed while the module was there, and when it was not.
program() {
	cat <<-'END'
	#include <dlfcn.h>
	#include <stdio.h>
	#include <string.h>
	#include "arena/gc.h"

	enum { ROUNDS = 20, NODES = 1000 };
	static struct arena_gc *gc;
	static struct arena_gc_type *type;

	typedef void call_fn(struct arena_gc *gc);
	typedef void add_fn(struct arena_gc *gc, struct arena_gc_type *type);

	static unsigned long freed(void)
	{
		struct arena_gc_stats stats;

		arena_gc_collect(gc);
		arena_gc_stats(gc, &stats);
		return stats.freed_objects;
	}

	static __attribute__((noinline)) void fill(void *module)
	{
		add_fn *add = (add_fn *)dlsym(module, "add");

		((call_fn *)dlsym(module, "begin"))(gc);
		for (int i = 0; i < NODES; i++)
			add(gc, type);
	}

	static __attribute__((noinline)) void wipe_stack(void)
	{
		char area[16384];

		memset(area, 0, sizeof(area));
		__asm__ volatile("" : : "r"(area) : "memory");
	}

	int main(int argc, char **argv)
	{
		const struct arena_gc_layout layout = { .name = "node", .bytes = 16, .pointers = (const uint32_t[]){ 0 }, .nr_pointers = 1 };
		unsigned long held = 0;

		gc = arena_gc_create(&(struct arena_gc_options){ .percent = ARENA_GC_OFF });
		if (!gc || arena_gc_attach(gc))
			return 1;
		type = arena_gc_type_create(gc, &layout);
		for (int round = 0; round < ROUNDS; round++) {
			void *module = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
			unsigned long before;

			if (!module)
				return 1;
			before = freed();
			fill(module);
			wipe_stack();
			held += freed() - before == 0;
			if (argc < 3)
				((call_fn *)dlsym(module, "end"))(gc);
			if (dlclose(module) || dlopen(argv[1], RTLD_NOW | RTLD_NOLOAD))
				return 1;
			wipe_stack();
			freed();
		}
		/* A stale word may keep one list. */
		printf("%lu %d\n", held, freed() >= (ROUNDS - 1) * NODES);
		arena_gc_destroy(gc);
		return 0;
	}
	END
}
build() {
	module | gcc -x c -O2 -Wall -Wextra -Werror -Ilibarena/include -fPIC -shared -o "$folder/module.so" - -x none "$B/libarena.so.0" -Wl,-rpath,"$PWD/$B" &&
		program | gcc -x c -O2 -Wall -Wextra -Werror -Ilibarena/include -o "$folder/program" - -x none "$B/libarena.so.0" -Wl,-rpath,"$PWD/$B" -ldl
}
# signal COMMAND...: that it died of.
signal() { "$@" >/dev/null 2>&1; echo $(($? - 128)); }

run_ok "a program with a module builds" build
is "what its global leads to is alive as long as it is there, and freed afterwards" "20 1" env ARENA_GCVERIFY=1 "$folder/program" "$folder/module.so"
is "a root that was not removed is a fault" "11" signal "$folder/program" "$folder/module.so" keep
tap_end
