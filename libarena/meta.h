/* SPDX-License-Identifier: MIT */
/*
 * What the library knows of each arena, kept apart from its memory: so that a report can name an arena after it was
 * freed, and a second free is noticed. Entries of freed arenas are kept until META_KEPT others were freed.
 */
#ifndef LIBARENA_META_H
#define LIBARENA_META_H

#include "arena/arena.h"
#include "gc/annex.h"
#include "list.h"
#include "lock.h"

/* Freed arenas whose names are remembered: 8 MiB of memory at most, beyond 10,000 with room to spare. */
#define META_KEPT 32768

/* Words that are not likely to be in memory by accident. */
enum meta_state {
	META_UNUSED = 0,
	META_LIVE = 0x11a7e4a1,
	META_DEAD = 0x0dead4a1,
};

/* Neighboring units of one arena. Written by the arena's owner. */
struct run {
	struct run *next;
	uintptr_t base;
	uintptr_t limit;
	bool is_small;		/* pages of the small window, else chunks */
};

/*
 * held_bytes = page_bytes + nr_chunks chunks = the sum over runs. Fields without a remark belong to the
 * thread that owns the arena.
 */
struct arena {
	struct arena_bump bump;	/* both 0 while there is no current run */
	uint32_t state;		/* atomic: enum meta_state */
	uint32_t id;		/* fixed */
	struct run *runs;	/* in order of use */
	struct run *current;	/* bump points into it; NULL = none used since the last reset */
	uintptr_t sample_at;	/* an object that ends beyond is sampled; 0 = not known, or no sampling */
	uint32_t samples;	/* of its objects: a list of profile.c */
	uint64_t used_bytes;	/* in runs before the current one */
	uint64_t held_bytes;
	uint64_t peak_bytes;
	uint64_t page_bytes;
	uint64_t limit_bytes;	/* fixed; UINT64_MAX = no limit */
	uint64_t nr_chunks;
	uint64_t nr_resets;
	const char *made_at;	/* fixed */
	const char *freed_at;	/* fixed once META_DEAD */
	uint8_t source;		/* fixed: enum arena_source */
	uint8_t nr_stages;	/* small runs so far */
	bool starts_big;	/* its place of birth made large arenas before */
	bool is_shade;		/* stands for what arena_reset_release() gave back of a living arena */
	char name[32];		/* fixed */
	uintptr_t freed_limit;	/* where bump.at was when it was freed */
	struct gc_annex annex;	/* what a collector scans it as */
	struct link link;	/* in the queue of the dead; guarded by the lock of meta.c */
	long nr_pending;	/* units not revoked yet, and 1 while being freed; guarded as link */
};

/** Make the tables ready: 0 or -ENOMEM. Idempotent. */
int meta_start(void);
/** A new entry, META_LIVE, with its id and zeros; NULL when there is no room. */
struct arena *meta_create(void);
/** META_LIVE -> META_DEAD, once: false when somebody else was first. */
bool meta_kill(struct arena *arena, const char *where);
/** After meta_kill() and the release of all runs. */
void meta_bury(struct arena *arena);
/** The entry of an owner, or NULL. Async-signal-safe. */
struct arena *meta_lookup(uint32_t id);
/** Whether this points to an entry, of whatever state. */
bool meta_is_entry(const struct arena *arena);

struct run *meta_run_create(void);
void meta_run_destroy(struct run *run);

void meta_memory(struct arena_memory *memory);

/* fork(): see chunk.h. */
void meta_fork_prepare(void);
void meta_fork_done(void);

#endif /* LIBARENA_META_H */
