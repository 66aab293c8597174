#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# gc_exceptions
#
# C++ exceptions that leave frames with pointers into a collected heap: what only those frames led to dies, what others lead to, the exception's own among it, stays.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

B=${B:-build}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

program() {
	cat <<-'END'
	#include <cstdio>
	#include "arena/gc.h"

	struct node { struct node *next; long value; };
	ARENA_GC_LAYOUT(node_layout, struct node, next);

	static struct arena_gc *gc;
	static struct arena_gc_type *type;
	static long nr_unwound;

	static struct node *make(struct node *next, long value)
	{
		struct node *node = static_cast<struct node *>(arena_gc_alloc(gc, type));

		arena_gc_store(&node->next, next);
		node->value = value;
		return node;
	}

	/* Looks at its object when it goes: that is alive, though a cycle has ended in the frames below. */
	struct holder {
		struct node *node;
		~holder() { nr_unwound += node->value == 7; }
	};

	/* What is thrown is no memory that the collector knows: a handle is. */
	struct error { struct arena_gc_handle *handle; };

	__attribute__((noinline)) static void fall(unsigned int depth)
	{
		holder it = { make(nullptr, 7) };

		if (depth)
			fall(depth - 1);
		arena_gc_collect(gc);
		throw error{ arena_gc_handle_create(gc, make(nullptr, 8)) };
	}

	__attribute__((noinline)) static long caught(struct node *kept)
	{
		long value = 0;

		try {
			fall(50);
		} catch (const error &it) {
			arena_gc_collect(gc);
			value = static_cast<struct node *>(arena_gc_handle_get(it.handle))->value;
			arena_gc_handle_free(gc, it.handle);
		}
		return value + kept->value;
	}

	__attribute__((noinline)) static void wipe_stack()
	{
		volatile char area[65536];

		for (unsigned int i = 0; i < sizeof(area); i++)
			area[i] = 0;
	}

	int main()
	{
		struct arena_gc_options options = {};
		struct arena_gc_stats stats;
		struct node *kept;
		long sum = 0;

		options.percent = ARENA_GC_OFF;
		gc = arena_gc_create(&options);
		if (!gc || arena_gc_attach(gc))
			return 1;
		type = arena_gc_type_create(gc, &node_layout);
		kept = make(make(nullptr, 1), 2);
		for (int i = 0; i < 10; i++)
			sum += caught(kept);
		wipe_stack();
		arena_gc_collect(gc);
		arena_gc_stats(gc, &stats);
		/* A stale word may keep one of each turn. */
		std::printf("%ld %ld %ld %d\n", sum, nr_unwound, kept->next->value, stats.freed_objects >= 10 * 50);
		arena_gc_destroy(gc);
	}
	END
}
build() { program | g++ -x c++ -std=c++17 -O2 -Wall -Wextra -Werror -Ilibarena/include -o "$folder/program" - -x none "$B/libarena.so.0" -Wl,-rpath,"$PWD/$B"; }

run_ok "a program that throws builds" build
is "all frames are left with their objects alive, what is kept stays, the rest is freed" "100 510 1 1" env ARENA_GCVERIFY=1 "$folder/program"
tap_end
