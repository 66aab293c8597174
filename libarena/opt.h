/* SPDX-License-Identifier: MIT */
/* Options from the environment: one table; whoever needs a value reads it when starting. */
#ifndef LIBARENA_OPT_H
#define LIBARENA_OPT_H

#include "base.h"

enum opt {
	OPT_GUARD,
	OPT_NO_RECYCLE,
	OPT_FAULT_HANDLER,
	OPT_DAEMON,
	OPT_WINDOW_CHUNKS,
	OPT_SMALL_CHUNKS,
	OPT_REST_CHUNKS,
	OPT_CACHED_CHUNKS,
	OPT_MAP_LIMIT,
	OPT_MALLOC_STATS,
	OPT_SHARED_STATS,
	OPT_MEMORY_LIMIT,
	OPT_MALLOC_LEAKS,
	OPT_PROFILE_BYTES,
	OPT_PROFILE_SEED,
	OPT_PROFILE_SIGNAL,
	OPT_PROFILE_UNWIND,
	OPT_GUARDED_OBJECTS,
	OPT_GC_TRACE,
	OPT_GC_VERIFY,
	OPT_GC_LEAKS,
	OPT_GC_CPUS,
	OPT_GC_PERCENT,
	OPT_GC_SHARE,
	OPT_GC_LIMIT,
	NR_OPTS
};

/** The value of a numeric option, within its bounds: from the environment, else its default. */
uint64_t opt_get(enum opt opt);
/** $ARENA_GC_PERCENT, which may be "off": UINT32_MAX. */
uint32_t opt_gc_percent(void);
/** The text of $ARENA_SOURCE, or NULL. */
const char *opt_source(void);
/** The texts of $MEMORY_PRESSURE_WATCH and $MEMORY_PRESSURE_WRITE, or NULL; see pressure.h. */
const char *opt_pressure_watch(void);
const char *opt_pressure_write(void);
/** The text of $ARENA_PROFILE, or NULL. */
const char *opt_profile(void);
/** The text of $ARENA_TRACE, or NULL. */
const char *opt_gc_timeline(void);
/** Read another environment, before the C library knows its own; NULL: the C library's. */
void opt_set_environment(char **environment);

#endif /* LIBARENA_OPT_H */
