// SPDX-License-Identifier: MIT
/*
 * Options from the environment.
 *
 * One table says name, unit, default, bounds and why. A value that is not a number is reported and the default taken, and one
 * out of bounds is reported and cut: a library must not end a process for a typing mistake in its environment. Programs that run with raised rights
 * (set-user-id) ignore the environment.
 */
#include "opt.h"

#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "geometry.h"
#include "panic.h"
#include "sample.h"

#if defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* Thread sanitizer leaves a program 1.5 TiB of addresses for everything. */
#define WINDOW_CHUNKS_DEFAULT (SANITIZED ? (1u << 14) : (1u << 19))

/* All addresses of a process, so that sums of addresses do not overflow. */
#define WINDOW_CHUNKS_MAX ((uint64_t)1 << (ADDRESS_SHIFT - CHUNK_SHIFT))
/* A page of the window of small arenas has a number of 32 bits. */
#define SMALL_CHUNKS_MAX (((uint64_t)1 << 31) / PAGES_PER_CHUNK)

static const struct {
	const char *name;
	const char *unit;
	uint64_t initial;
	uint64_t least;
	uint64_t most;
	const char *why;
} options[NR_OPTS] = {
	[OPT_GUARD] = { "ARENA_GUARD", "bool", 1, 0, 1,
		"0 revokes as on kernels without guard pages, so that this way is tested everywhere" },
	[OPT_NO_RECYCLE] = { "ARENA_NO_RECYCLE", "bool", 0, 0, 1,
		"1 never uses an address twice: for the hunt for a use after free that comes very late" },
	[OPT_FAULT_HANDLER] = { "ARENA_FAULT_HANDLER", "form", 1, 0, 2,
		"0 leaves SIGSEGV and SIGBUS alone; 1 is for programs that have arenas, profiles or guarded objects, 2 for all under the "
		"malloc replacement: their signals are theirs" },
	[OPT_DAEMON] = { "ARENA_DAEMON", "bool", 0, 0, 1,
		"1 joins arenad with the first arena" },
	[OPT_WINDOW_CHUNKS] = { "ARENA_WINDOW_CHUNKS", "chunks", WINDOW_CHUNKS_DEFAULT, 8, WINDOW_CHUNKS_MAX,
		"addresses per source: 1 TiB of 128 TiB, so that reuse is rare and other users keep room" },
	[OPT_SMALL_CHUNKS] = { "ARENA_SMALL_CHUNKS", "chunks", WINDOW_CHUNKS_DEFAULT / 16, 1, SMALL_CHUNKS_MAX,
		"addresses for small arenas: 64 GiB, 16 million one-page arenas at a time" },
	[OPT_REST_CHUNKS] = { "ARENA_REST_CHUNKS", "chunks", 0, 0, WINDOW_CHUNKS_MAX,
		"how many others are freed before an address is used again, at most a quarter of the addresses; "
		"0 = that quarter, and 2 GiB of small arenas" },
	[OPT_CACHED_CHUNKS] = { "ARENA_CACHED_CHUNKS", "chunks", 16, 0, WINDOW_CHUNKS_MAX,
		"memory of freed arenas kept for the next ones, at other addresses: 32 MiB at most" },
	[OPT_MAP_LIMIT] = { "ARENA_MAP_LIMIT", "mappings", 0, 0, INT32_MAX,
		"most mappings the library makes; 0 = half of vm.max_map_count" },
	[OPT_MALLOC_STATS] = { "ARENA_MALLOC_STATS", "form", 0, 0, 2,
		"1 makes the malloc replacement print at exit, in each process, what it holds; 2 as JSON" },
	[OPT_SHARED_STATS] = { "ARENA_SHARED_STATS", "bool", 0, 0, 1,
		"1 shows the numbers of heaps to other processes (arena/shared.h)" },
	[OPT_MEMORY_LIMIT] = { "ARENA_MEMORY_LIMIT", "bytes", 0, 0, UINT64_MAX,
		"most memory that all heaps of the process may hold, in whole chunks of 2 MiB; 0 = no limit" },
	[OPT_MALLOC_LEAKS] = { "ARENA_MALLOC_LEAKS", "bool", 0, 0, 1,
		"1 makes the malloc replacement print at exit, in each process, whose memory is still in use" },
	[OPT_PROFILE_BYTES] = { "ARENA_PROFILE_BYTES", "bytes", SAMPLE_MEAN_BYTES, 1, TiB,
		"mean distance of samples: 2,000 for each GiB that is allocated cost nothing to speak of; 1 = every object" },
	[OPT_PROFILE_SEED] = { "ARENA_PROFILE_SEED", "units", 0, 0, UINT64_MAX / 16,
		"of the choice of samples, so that a run can be repeated; 0 = another one in each process" },
	[OPT_PROFILE_SIGNAL] = { "ARENA_PROFILE_SIGNAL", "units", 0, 0, 64,
		"number of the signal on which the malloc replacement writes a profile; 0 = none" },
	[OPT_PROFILE_UNWIND] = { "ARENA_PROFILE_UNWIND", "bool", 0, 0, 1,
		"1 walks stacks by libgcc's tables, for programs without frame pointers; slower, and may wait for the dynamic linker" },
	[OPT_GUARDED_OBJECTS] = { "ARENA_GUARDED_OBJECTS", "objects", 0, 0, 16384,
		"places for sampled objects that lie alone between inaccessible pages; 0 = none" },
	[OPT_GC_TRACE] = { "ARENA_GCTRACE", "bool", 0, 0, 1,
		"1 prints a line for each cycle of a collected heap, and names threads that do not answer" },
	[OPT_GC_VERIFY] = { "ARENA_GCVERIFY", "bool", 0, 0, 1,
		"1 stops all threads at the end of each cycle and marks once more, to find what was lost" },
	[OPT_GC_LEAKS] = { "ARENA_GCLEAKS", "bool", 0, 0, 1,
		"1 reports what a collected heap still holds by hand when it is destroyed: uncollectable objects, handles" },
	[OPT_GC_CPUS] = { "ARENA_GC_CPUS", "CPUs", 0, 0, 1024,
		"CPUs that the collector has a share of; 0 = those that the process may run on. For containers that have a part of their time only" },
	[OPT_GC_PERCENT] = { "ARENA_GC_PERCENT", "percent", 100, 1, UINT32_MAX,
		"of what lives, how much may be allocated until a cycle has ended, where the program does not say; also off" },
	[OPT_GC_SHARE] = { "ARENA_GC_SHARE", "percent", 25, 1, 50,
		"of all CPUs, what the collector's threads have while a cycle runs" },
	[OPT_GC_LIMIT] = { "ARENA_GC_LIMIT", "bytes", 0, 0, UINT64_MAX,
		"most memory of a collected heap as far as what lives fits; 0 = no limit" },
};

/* The shift of a suffix, 0 of none; -1 for anything else. */
static int suffix_shift(const char *text)
{
	static const char suffixes[] = "KMGT";
	const char *found = *text ? strchr(suffixes, *text) : NULL;

	if (!*text)
		return 0;
	return found && !text[1] ? 10 * (int)(found - suffixes + 1) : -1;
}

/* Parses decimal digits, and a suffix where bytes are counted; false for anything else, also for more than fits. */
static bool parse_number(const char *text, bool is_bytes, uint64_t *number)
{
	uint64_t value = 0;
	int shift;

	if (*text < '0' || *text > '9')
		return false;
	for (; *text >= '0' && *text <= '9'; text++) {
		if (value > UINT64_MAX / 10 - 1)
			return false;
		value = value * 10 + (uint64_t)(*text - '0');
	}
	shift = suffix_shift(text);
	if (shift < 0 || (shift && !is_bytes) || value > UINT64_MAX >> shift)
		return false;
	*number = value << shift;
	return true;
}

static uint64_t within_bounds(enum opt opt, uint64_t number)
{
	uint64_t bound = number < options[opt].least ? options[opt].least : options[opt].most;

	if (number >= options[opt].least && number <= options[opt].most)
		return number;
	report("%s=%lu is out of bounds; using %lu", options[opt].name, (unsigned long)number, (unsigned long)bound);
	return bound;
}

static char **other_environment; /* set while there is one thread */

void opt_set_environment(char **environment)
{
	other_environment = environment;
}

static const char *find(const char *name)
{
	size_t length = strlen(name);

	if (!other_environment)
		return secure_getenv(name);
	if (getauxval(AT_SECURE))
		return NULL;
	for (char **entry = other_environment; *entry; entry++)
		if (!strncmp(*entry, name, length) && (*entry)[length] == '=')
			return *entry + length + 1;
	return NULL;
}

uint64_t opt_get(enum opt opt)
{
	const char *text = find(options[opt].name);
	uint64_t number;

	if (!text)
		return options[opt].initial;
	if (parse_number(text, !strcmp(options[opt].unit, "bytes"), &number))
		return within_bounds(opt, number);
	report("%s=%s is not a number of %s; using %lu", options[opt].name, text, options[opt].unit,
	       (unsigned long)options[opt].initial);
	return options[opt].initial;
}

uint32_t opt_gc_percent(void)
{
	const char *text = find(options[OPT_GC_PERCENT].name);

	return text && !strcmp(text, "off") ? UINT32_MAX : (uint32_t)opt_get(OPT_GC_PERCENT);
}

const char *opt_source(void)
{
	return find("ARENA_SOURCE");
}

const char *opt_profile(void)
{
	return find("ARENA_PROFILE");
}

const char *opt_gc_timeline(void)
{
	return find("ARENA_TRACE");
}

const char *opt_pressure_watch(void)
{
	return find("MEMORY_PRESSURE_WATCH");
}

const char *opt_pressure_write(void)
{
	return find("MEMORY_PRESSURE_WRITE");
}
