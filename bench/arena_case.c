// SPDX-License-Identifier: MIT
/*
 * The frame of every comparison of arenas with malloc.
 *
 * Each repetition of a row settles its allocator, runs the work once untimed and once timed. The untimed pass puts the
 * allocator and the caches into the state that this very work leaves behind, because rows take turns and would otherwise
 * start from each other's free lists; it also tallies bytes and allocations, which costs time.
 */
#include "bench/arena_case.h"

#include "bench/clock.h"
#include "bench/proc.h"

#include <errno.h>
#include <string.h>

void pass_resume(struct pass *pass)
{
	pass->resumed_faults = proc_minor_faults();
	pass->resumed_time = clock_now();
}

void pass_pause(struct pass *pass)
{
	pass->time += clock_now() - pass->resumed_time;
	pass->faults += proc_minor_faults() - pass->resumed_faults;
}

void pass_report(struct report *report, const char *name, const char *source, const struct pass *pass,
		 const struct pass *tally, size_t objects)
{
	report_add(report, "arena", name, source, "time", clock_unit(), (double)pass->time / (double)objects);
	report_add(report, "arena", name, source, "bytes", "bytes", (double)tally->bytes);
	report_add(report, "arena", name, source, "allocations", "count", (double)tally->allocations);
	report_add(report, "arena", name, source, "faults", "count", (double)pass->faults);
}

struct arena *arena_case_new(enum arena_source source)
{
	const struct arena_options options = { .source = source, .name = "bench" };

	return arena_new(&options);
}

int arena_case_open(struct arena_case *c, enum arena_source source)
{
	arena_memory(&c->before);
	c->source = source;
	c->arena = arena_case_new(source);
	if (!c->arena)
		return bench_fail("arena: cannot make an arena from %s", arena_source_name(source));
	return 0;
}

/* The mapping of @object must consist of what the source is made of. */
static bool is_backed(enum arena_source source, const void *object)
{
	const char *chunk = (const char *)((uintptr_t)object & ~(uintptr_t)(CHUNK_BYTES - 1));
	struct proc_usage usage;

	if (proc_usage(chunk, CHUNK_BYTES, &usage))
		return false;
	switch (source) {
	case ARENA_SOURCE_DEV:
		return usage.file_pmd_bytes >= CHUNK_BYTES;
	case ARENA_SOURCE_HUGETLB:
		return usage.hugetlb_bytes >= CHUNK_BYTES;
	case ARENA_SOURCE_THP:
		return usage.anon_huge_bytes >= CHUNK_BYTES;
	case ARENA_SOURCE_PAGES:
		return !usage.anon_huge_bytes && !usage.hugetlb_bytes && !usage.file_pmd_bytes;
	case ARENA_SOURCE_AUTO:
	case ARENA_NR_SOURCES:
		break;
	}
	return false;
}

int arena_case_check(const struct arena_case *c, const void *object)
{
	const char *name = arena_source_name(c->source);
	struct arena_memory now;
	struct arena_stats stats;

	arena_stats(c->arena, &stats);
	if (stats.source != c->source || arena_source_of(c->arena) != c->source)
		return bench_fail("arena: not really %s: the arena says %s", name, arena_source_name(stats.source));
	arena_memory(&now);
	for (int source = 0; source < ARENA_NR_SOURCES; source++)
		if ((enum arena_source)source != c->source &&
		    now.source[source].handed_chunks != c->before.source[source].handed_chunks)
			return bench_fail("arena: not really %s: chunks of %s were handed out", name,
					  arena_source_name((enum arena_source)source));
	if (now.source[c->source].mapped_chunks < stats.nr_chunks)
		return bench_fail("arena: not really %s: %llu of its chunks mapped, %llu in the arena", name,
				  (unsigned long long)now.source[c->source].mapped_chunks,
				  (unsigned long long)stats.nr_chunks);
	if (stats.nr_chunks && !is_backed(c->source, object))
		return bench_fail("arena: not really %s: /proc/self/smaps shows other memory", name);
	return 0;
}

int arena_case_check_revoked(const struct arena_case *c)
{
	struct arena_memory now;

	arena_memory(&now);
	if (now.revoked_arenas > c->before.revoked_arenas && now.deferred_arenas <= c->before.deferred_arenas)
		return 0;
	return bench_fail("arena: free did not revoke: %llu arenas revoked, %llu deferred",
			  (unsigned long long)(now.revoked_arenas - c->before.revoked_arenas),
			  (unsigned long long)now.deferred_arenas);
}

const char *arena_case_source_name(const struct arena *arena)
{
	struct arena_stats stats;

	arena_stats(arena, &stats);
	return arena_source_name(stats.nr_chunks ? stats.source : ARENA_SOURCE_PAGES);
}

int arena_case_sources(const struct options *options, enum arena_source fallback,
		       enum arena_source sources[ARENA_NR_SOURCES])
{
	unsigned int wanted = options->sources_asked ? options->sources : 1U << fallback;
	int nr = 0;

	for (int source = 1; source < ARENA_NR_SOURCES; source++) {
		int error;

		if (!(wanted & 1U << source))
			continue;
		error = arena_source_check((enum arena_source)source);
		if (error) {
			bench_fail("source %s: %s", arena_source_name((enum arena_source)source), strerror(-error));
			return -1;
		}
		sources[nr++] = (enum arena_source)source;
	}
	return nr;
}
