// SPDX-License-Identifier: MIT
/*
 * One request of the demonstration's service, done with malloc or with an arena.
 *
 * With an arena the parsers' free does nothing and nobody walks the result at the end: it is dropped
 * with its arena, in one call. What the parsers free while they work (grown strings and tables) stays
 * in the arena until then, which is the price and shows in the peak.
 *
 * mimalloc is loaded by name and called by its own functions: linking it would replace the C library's malloc in every
 * mode.
 */
#include "request.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "demo.h"

static void *in_arena_alloc(void *arena, size_t bytes)
{
	return arena_alloc(arena, bytes);
}

static void in_arena_free(void *arena, void *object)
{
	(void)arena;
	(void)object;
}

/* Fixed after mimalloc_load(). */
static struct {
	void *(*alloc)(size_t bytes);
	void (*free)(void *object);
	void (*collect)(bool force);
} mimalloc;

/* POSIX lets dlsym() return functions as data pointers; the union says so without a cast. */
static bool mimalloc_load(void)
{
	union {
		void *data;
		void *(*alloc)(size_t bytes);
		void (*free)(void *object);
		void (*collect)(bool force);
	} symbol;
	void *library = dlopen("libmimalloc.so.2", RTLD_NOW | RTLD_LOCAL);

	if (!library)
		return false;
	symbol.data = dlsym(library, "mi_malloc");
	mimalloc.alloc = symbol.alloc;
	symbol.data = dlsym(library, "mi_free");
	mimalloc.free = symbol.free;
	symbol.data = dlsym(library, "mi_collect");
	mimalloc.collect = symbol.collect;
	return mimalloc.alloc && mimalloc.free && mimalloc.collect;
}

static void *in_mimalloc_alloc(void *unused, size_t bytes)
{
	(void)unused;
	return mimalloc.alloc(bytes);
}

static void in_mimalloc_free(void *unused, void *object)
{
	(void)unused;
	mimalloc.free(object);
}

int mode_check(const struct mode *mode)
{
	if (mode->is_mimalloc)
		return mimalloc_load() ? 0 : ENOENT;
	return mode->kind == MODE_MALLOC ? 0 : -arena_source_check(mode->source);
}

bool mode_parse(const char *name, struct mode *mode)
{
	const char *dash = strrchr(name, '-');
	char source[32];
	int number;

	*mode = (struct mode){ .kind = MODE_MALLOC, .is_mimalloc = !strcmp(name, "mimalloc") };
	if (mode->is_mimalloc || !strcmp(name, "malloc"))
		return true;
	if (!dash || (size_t)(dash - name) >= sizeof(source))
		return false;
	memcpy(source, name, (size_t)(dash - name));
	source[dash - name] = 0;
	number = arena_source_parse(source);
	if (number <= ARENA_SOURCE_AUTO)
		return false;
	mode->source = (enum arena_source)number;
	mode->kind = strcmp(dash, "-warm") ? MODE_COLD : MODE_WARM;
	return mode->kind == MODE_WARM || !strcmp(dash, "-cold");
}

const char *mode_case(const struct mode *mode)
{
	static const char *const names[] = { "malloc", "arena-cold", "arena-warm" };

	return names[mode->kind];
}

const char *mode_source(const struct mode *mode)
{
	if (mode->kind == MODE_MALLOC)
		return mode->is_mimalloc ? "mimalloc" : "glibc";
	return arena_source_name(mode->source);
}

struct arena *request_arena_new(const struct mode *mode)
{
	struct arena_options options = { .source = mode->source, .name = "request" };
	struct arena *arena = arena_new(&options);

	if (!arena) {
		int error = -arena_source_check(mode->source);

		demo_die("no arena on source %s: %s", arena_source_name(mode->source),
			 strerror(error ? error : ENOMEM));
	}
	return arena;
}

void request_start(struct request *request, const struct mode *mode, struct arena *warm,
		   const struct workload *load)
{
	memset(request, 0, sizeof(*request));
	if (mode->is_mimalloc) {
		if (!mimalloc.alloc && !mimalloc_load())
			demo_die("cannot load mimalloc: %s", dlerror());
		request->allocator = (struct workload_allocator){
			in_mimalloc_alloc, in_mimalloc_free, NULL,
		};
	}
	if (mode->kind != MODE_MALLOC) {
		request->arena = warm ? warm : request_arena_new(mode);
		request->allocator = (struct workload_allocator){
			in_arena_alloc, in_arena_free, request->arena,
		};
	}
	workload_use(&request->allocator);
	workload_parse(load, &request->parsed);
}

void request_finish(struct request *request, const struct mode *mode)
{
	switch (mode->kind) {
	case MODE_MALLOC:
		workload_drop(&request->parsed);
		break;
	case MODE_COLD:
		arena_free(request->arena);
		break;
	case MODE_WARM:
		arena_reset(request->arena);
		break;
	}
	request->arena = NULL;
}

void mode_trim(const struct mode *mode)
{
	if (mode->is_mimalloc)
		mimalloc.collect(true);
	else if (mode->kind == MODE_MALLOC)
		malloc_trim(0);
	else
		arena_trim(SIZE_MAX);
}

static bool source_was_used(const struct arena_memory *memory, int source)
{
	return memory->source[source].handed_chunks > 0;
}

void request_check_source(const struct arena *arena, const struct mode *mode)
{
	struct arena_memory memory;

	if (arena_source_of(arena) != mode->source)
		demo_die("asked for source %s, got %s", arena_source_name(mode->source),
			 arena_source_name(arena_source_of(arena)));
	arena_memory(&memory);
	if (!source_was_used(&memory, (int)mode->source))
		demo_die("asked for source %s, but the statistics say that it was not used",
			 arena_source_name(mode->source));
}

void request_check_only_source(const struct arena *arena, const struct mode *mode)
{
	struct arena_memory memory;
	int i;

	request_check_source(arena, mode);
	arena_memory(&memory);
	for (i = 0; i < ARENA_NR_SOURCES; i++)
		if (i != (int)mode->source && source_was_used(&memory, i))
			demo_die("asked for source %s, but the statistics say that %s was used too",
				 arena_source_name(mode->source), arena_source_name((enum arena_source)i));
}
