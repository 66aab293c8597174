// SPDX-License-Identifier: MIT
/*
 * Arenas: allocation by moving a pointer through runs of memory, and freeing of all at once.
 *
 * An arena starts without memory. Its first runs are ordinary pages, each four times the one before (4 KiB to 256 KiB: pages are only
 * paid for when touched, so that growing fast is cheap); what does not fit those comes in chunks of its source. A run of
 * chunks grows in place when its neighbors are free, which rotation makes likely, so that a large arena is few runs.
 *
 * Arenas made in one place of a program tend to grow alike. When a large one is freed, its place gets one credit, which lets the
 * next arena from there start with chunks at once: the small runs would be a hundred page faults in vain. One credit per large arena that
 * is gone keeps a change of habit from multiplying memory.
 *
 * While there is sampling the inline path meets the end of the run early, at the byte whose object is to be sampled: it pays nothing. An
 * arena draws the distance to that byte anew when one was reached, and goes on with it from run to run.
 *
 * Limits: runs that were kept by a reset are tried a few at a time, so an object that fits only a later one takes fresh memory.
 */
#include <errno.h>

#include "annotate.h"
#include "chunk.h"
#include "gc/arena.h"
#include "internal.h"
#include "meta.h"
#include "profile.h"
#include "small.h"

/* 1, 4, 16 and 64 pages; then chunks, so that an arena never holds more than a few times what it uses. */
#define SMALL_STAGES 4
#define SMALL_RUN_MAX_PAGES ((size_t)1 << (2 * (SMALL_STAGES - 1)))
/* Kept runs that one allocation looks at. */
#define KEPT_RUNS_TRIED 8
/* An arena of that much is large: half of it would have been on pages. */
#define LARGE_BYTES (CHUNK_BYTES / 4)
/* Requests beyond are nonsense, and their sums could overflow. */
#define REQUEST_MAX_BYTES ((size_t)1 << (ADDRESS_SHIFT - 1))

/* ---------------------------------------------------------------- credit of places */

/* Places share an entry when their hashes collide: they share their habits then. */
#define PLACES 256

static uint8_t credits[PLACES]; /* atomic; relaxed, because a lost credit only costs time */

static uint8_t *place_of(const char *where)
{
	return &credits[(((uintptr_t)where * 0x9e3779b97f4a7c15u) >> 32) % PLACES];
}

static bool credit_take(const char *where)
{
	uint8_t *credit = place_of(where);
	uint8_t left = atomic_load_relaxed(credit);

	return left && atomic_cas_relaxed(credit, &left, (uint8_t)(left - 1));
}

static void credit_give(const char *where)
{
	uint8_t *credit = place_of(where);
	uint8_t left = atomic_load_relaxed(credit);

	if (left < UINT8_MAX)
		atomic_cas_relaxed(credit, &left, (uint8_t)(left + 1));
}

/* ---------------------------------------------------------------- checks */

void arena_require_live(const struct arena *arena, const char *what, const char *where)
{
	uint32_t state;

	if (!meta_is_entry(arena))
		panic("%s%s%s: %p is no arena", what, where ? " at " : "", where ? where : "", (const void *)arena);
	state = atomic_load_relaxed(&arena->state);
	if (likely(state == META_LIVE))
		return;
	if (state == META_DEAD)
		panic("%s%s%s: arena \"%s\" (made at %s) was freed at %s already", what, where ? " at " : "",
		      where ? where : "", arena->name, arena->made_at ? arena->made_at : "?",
		      arena->freed_at ? arena->freed_at : "?");
	panic("%s%s%s: arena %p is damaged", what, where ? " at " : "", where ? where : "", (const void *)arena);
}

/* ---------------------------------------------------------------- runs */

static void count(struct arena *arena, bool is_small, size_t bytes)
{
	arena->held_bytes += bytes;
	if (is_small)
		arena->page_bytes += bytes;
	else
		arena->nr_chunks += bytes / CHUNK_BYTES;
	if (arena->held_bytes > arena->peak_bytes)
		arena->peak_bytes = arena->held_bytes;
}

static void release_memory(uintptr_t base, uintptr_t limit, bool is_small)
{
	annotate_revoked(base, limit);
	if (is_small)
		small_release(base, (limit - base) / PAGE_BYTES);
	else
		chunk_release(base, (limit - base) / CHUNK_BYTES);
}

/* Put fresh memory behind the current run; what was kept by a reset stays behind it. */
static bool add_run(struct arena *arena, uintptr_t base, size_t bytes, bool is_small)
{
	struct run **behind = arena->current ? &arena->current->next : &arena->runs;
	struct run *run = meta_run_create();

	if (!run) {
		release_memory(base, base + bytes, is_small);
		return false;
	}
	run->base = base;
	run->limit = base + bytes;
	run->is_small = is_small;
	run->next = *behind;
	*behind = run;
	annotate_idle(base, base + bytes);
	count(arena, is_small, bytes);
	return true;
}

static uint64_t room(const struct arena *arena)
{
	return arena->limit_bytes - arena->held_bytes;
}

static size_t small_pages_next(const struct arena *arena, size_t need_bytes)
{
	size_t pages = (size_t)1 << (2 * (arena->nr_stages < SMALL_STAGES ? arena->nr_stages : SMALL_STAGES - 1));

	while (pages * PAGE_BYTES < need_bytes && pages < SMALL_RUN_MAX_PAGES)
		pages *= 4;
	pages = size_max(pages, pages_from_bytes(need_bytes));
	/* Under a limit the last run is what is left. */
	if (pages * PAGE_BYTES > room(arena))
		pages = room(arena) / PAGE_BYTES;
	return pages * PAGE_BYTES < need_bytes ? 0 : pages;
}

static bool grow_small(struct arena *arena, size_t need_bytes)
{
	size_t pages = small_pages_next(arena, need_bytes);
	uintptr_t base = pages ? small_acquire(pages, arena->id) : 0;

	if (!base || !add_run(arena, base, pages * PAGE_BYTES, true))
		return false;
	arena->nr_stages = (uint8_t)size_min(arena->nr_stages + 1u, SMALL_STAGES);
	return true;
}

/* The inline path ends with the run, or before the next sample. */
static void set_limit(struct arena *arena)
{
	uintptr_t limit = arena->current->limit, at = arena->sample_at & ~(ARENA_WORD_BYTES - 1);

	arena->bump.limit = arena->sample_at ? size_min(limit, at) : limit;
}

/* More chunks at the end of the current run. */
static void extend(struct arena *arena, uintptr_t base, size_t bytes)
{
	arena->current->limit = base + bytes;
	set_limit(arena);
	annotate_idle(base, base + bytes);
	count(arena, false, bytes);
}

static bool grow_chunks(struct arena *arena, size_t need_bytes)
{
	struct run *current = arena->current;
	uintptr_t near = current && !current->is_small ? current->limit : 0;
	size_t nr = size_max(chunks_from_bytes(need_bytes), 1);
	uintptr_t base;

	if (nr * CHUNK_BYTES > room(arena))
		return false;
	base = chunk_acquire((enum arena_source)arena->source, nr, near, CHUNK_ANYWHERE, arena->id);
	if (!base)
		return false;
	if (base == near) {
		extend(arena, base, nr * CHUNK_BYTES);
		return true;
	}
	return add_run(arena, base, nr * CHUNK_BYTES, false);
}

/* Grow by enough for one object. Chunks once small runs are used up; pages also where a limit leaves no room for a chunk. */
static bool grow(struct arena *arena, size_t bytes, size_t align_bytes)
{
	/* Runs of pages are aligned to pages only; chunks to any alignment there is. */
	size_t small_bytes = bytes + (align_bytes > PAGE_BYTES ? align_bytes - PAGE_BYTES : 0);

	if (!arena->runs && credit_take(arena->made_at))
		arena->starts_big = true;
	if (arena->nr_stages < SMALL_STAGES && !arena->starts_big && small_bytes <= SMALL_RUN_MAX_PAGES * PAGE_BYTES)
		return grow_small(arena, small_bytes);
	if (grow_chunks(arena, bytes))
		return true;
	return arena->limit_bytes != UINT64_MAX && room(arena) < CHUNK_BYTES && grow_small(arena, small_bytes);
}

/* ---------------------------------------------------------------- allocation */

static void use_run(struct arena *arena, struct run *run)
{
	gc_arena_lock(arena);
	if (arena->current)
		arena->used_bytes += arena->bump.at - arena->current->base;
	if (arena->sample_at)
		arena->sample_at = run->base + (arena->sample_at - arena->bump.at);
	arena->current = run;
	arena->bump.at = run->base;
	set_limit(arena);
	gc_arena_unlock(arena);
}

/* Draw how far it is from @begin to the next sample; without sampling there is none. */
static void draw_sample(struct arena *arena, uintptr_t begin)
{
	uint64_t mean_bytes = profile_mean();

	arena->sample_at = mean_bytes ? begin + sample_distance(profile_random(), mean_bytes) : 0;
	set_limit(arena);
}

/* What lies from @begin to bump.at was given out, beside the inline path. */
static void count_object(struct arena *arena, uintptr_t begin)
{
	uint64_t mean_bytes = profile_mean();

	if (likely(!mean_bytes && !arena->sample_at))
		return;
	if (!mean_bytes || !arena->sample_at)
		draw_sample(arena, begin);
	if (mean_bytes && arena->bump.at > arena->sample_at) {
		profile_add_to(&arena->samples, mean_bytes, arena->bump.at - begin);
		draw_sample(arena, arena->bump.at);
	}
}

static bool has_room(const struct run *run, size_t bytes, size_t align_bytes)
{
	uintptr_t at = align_up(run->base, align_bytes);

	return at <= run->limit && bytes <= run->limit - at;
}

/* A run behind the current one that has room, put next in line; NULL when the first few have not. */
static struct run *next_run(struct arena *arena, size_t bytes, size_t align_bytes)
{
	struct run **first = arena->current ? &arena->current->next : &arena->runs;
	struct run **link = first;

	for (int i = 0; *link && i < KEPT_RUNS_TRIED; i++, link = &(*link)->next) {
		struct run *run = *link;

		if (!has_room(run, bytes, align_bytes))
			continue;
		*link = run->next;
		run->next = *first;
		*first = run;
		return run;
	}
	return NULL;
}

/* The end of the current run, when the object fits there; without a current run nothing does, not even an object of no bytes. */
static void *bump(struct arena *arena, size_t bytes, size_t align_bytes)
{
	uintptr_t begin = arena->bump.at, at = align_up(begin, align_bytes);

	if (!arena->current || at < begin || at > arena->current->limit || bytes > arena->current->limit - at)
		return NULL;
	arena->bump.at = align_up(at + bytes, ARENA_WORD_BYTES);
	count_object(arena, begin);
	annotate_object(at, at + bytes);
	return (void *)at;
}

void *arena_alloc_slow(struct arena *arena, size_t bytes, size_t align_bytes)
{
	struct run *run;
	void *object;

	arena_require_live(arena, "arena_alloc()", NULL);
	if (!is_power_of_two(align_bytes) || align_bytes > CHUNK_BYTES)
		panic("alignment of %zu bytes asked of arena \"%s\" (made at %s): not a power of two up to 2 MiB",
		      align_bytes, arena->name, arena->made_at);
	if (bytes > REQUEST_MAX_BYTES)
		return NULL;
	/* Objects of no bytes come here though there is room. */
	object = bump(arena, bytes, align_bytes);
	if (object)
		return object;
	run = next_run(arena, bytes, align_bytes);
	if (!run) {
		if (!grow(arena, bytes, align_bytes))
			return NULL;
		/* The current run may have grown in place: then its rest is used. */
		object = bump(arena, bytes, align_bytes);
		if (object)
			return object;
		run = next_run(arena, bytes, align_bytes);
	}
	check(run);
	use_run(arena, run);
	return bump(arena, bytes, align_bytes);
}

/* Room for @more_bytes behind the arena's last object, in place. */
static bool extend_for(struct arena *arena, size_t more_bytes)
{
	size_t left = arena->current->limit - arena->bump.at;
	size_t nr;

	if (more_bytes <= left)
		return true;
	if (arena->current->is_small || more_bytes > REQUEST_MAX_BYTES)
		return false;
	nr = chunks_from_bytes(more_bytes - left);
	if (nr * CHUNK_BYTES > room(arena) ||
	    !chunk_acquire((enum arena_source)arena->source, nr, arena->current->limit, CHUNK_EXACTLY, arena->id))
		return false;
	extend(arena, arena->current->limit, nr * CHUNK_BYTES);
	return true;
}

bool arena_resize_last(struct arena *arena, uintptr_t object, size_t old_bytes, size_t new_bytes)
{
	uintptr_t end = align_up(object + old_bytes, ARENA_WORD_BYTES);

	if (end != arena->bump.at || !arena->current || object < arena->current->base)
		return false;
	if (new_bytes > end - object && !extend_for(arena, new_bytes - (end - object)))
		return false;
	if (new_bytes < old_bytes)
		gc_arena_cut(arena, object + new_bytes, end);
	arena->bump.at = align_up(object + new_bytes, ARENA_WORD_BYTES);
	/* Growth counts as an object of its own; what is given up will be given out again. */
	if (arena->bump.at > end) {
		count_object(arena, end);
	} else if (arena->sample_at) {
		arena->sample_at -= end - arena->bump.at;
		set_limit(arena);
	}
	if (new_bytes > old_bytes)
		annotate_object(object, object + new_bytes);
	else
		annotate_idle(object + new_bytes, end);
	return true;
}

/* ---------------------------------------------------------------- life */

static void set_name(struct arena *arena, const char *name)
{
	size_t bytes = name ? strnlen(name, sizeof(arena->name) - 1) : 0;

	memcpy(arena->name, name ? name : "", bytes);
	arena->name[bytes] = 0;
}

/* Have chunks ready, faulted in. */
static bool reserve(struct arena *arena, size_t bytes)
{
	if (bytes > REQUEST_MAX_BYTES || !grow_chunks(arena, bytes))
		return false;
	return chunk_populate(arena->runs->base, (arena->runs->limit - arena->runs->base) / CHUNK_BYTES) == 0;
}

struct arena *arena_create(const struct arena_options *options, const char *where)
{
	int source = options->source ? chunk_source_start(options->source) : chunk_source_auto();
	struct arena *arena;

	if (source < 0 || meta_start() || small_start())
		return NULL;
	arena = meta_create();
	if (!arena)
		return NULL;
	arena->source = (uint8_t)(options->source ? (int)options->source : source);
	arena->made_at = where;
	arena->limit_bytes = options->limit_bytes ? options->limit_bytes : UINT64_MAX;
	set_name(arena, options->name);
	if (options->reserve_bytes && !reserve(arena, options->reserve_bytes)) {
		arena_destroy(arena, where);
		return NULL;
	}
	return arena;
}

static void release_runs(const struct arena *arena)
{
	for (const struct run *run = arena->runs; run; run = run->next)
		release_memory(run->base, run->limit, run->is_small);
}

void arena_drop(struct arena *arena)
{
	release_runs(arena);
	meta_bury(arena);
}

void arena_destroy(struct arena *arena, const char *where)
{
	if (arena->held_bytes >= LARGE_BYTES)
		credit_give(arena->made_at);
	gc_arena_lock(arena);
	arena->freed_limit = arena->bump.at;
	gc_arena_unlock(arena);
	if (!meta_kill(arena, where))
		arena_require_live(arena, "arena_free()", where);
	profile_remove_all(&arena->samples);
	if (gc_arena_remove(arena))
		arena_drop(arena);
}

static void rewind_runs(struct arena *arena)
{
	profile_remove_all(&arena->samples);
	gc_arena_lock(arena);
	arena->sample_at = 0;
	arena->current = NULL;
	arena->used_bytes = 0;
	arena->bump = (struct arena_bump){ 0 };
	gc_arena_unlock(arena);
	arena->nr_resets++;
}

void arena_rewind(struct arena *arena)
{
	struct run *first = arena->runs;

	gc_arena_forget(arena);
	if (ANNOTATE_ASAN || ANNOTATE_VALGRIND)
		for (struct run *run = first; run && arena->current; run = run->next) {
			annotate_idle(run->base, run->limit);
			if (run == arena->current)
				break;
		}
	rewind_runs(arena);
	if (first) {
		use_run(arena, first);
		draw_sample(arena, arena->bump.at);
	}
}

/* What is given back belongs, for reports, to an entry of its own, which is dead from the start. */
static struct arena *make_shade(struct arena *arena)
{
	struct arena *shade = meta_create();

	if (!shade)
		return NULL;
	shade->is_shade = true;
	shade->source = arena->source;
	shade->made_at = arena->made_at;
	memcpy(shade->name, arena->name, sizeof(shade->name));
	shade->runs = arena->runs;
	for (const struct run *run = shade->runs; run; run = run->next) {
		if (run->is_small)
			small_set_owner(run->base, (run->limit - run->base) / PAGE_BYTES, shade->id);
		else
			chunk_set_owner(run->base, (run->limit - run->base) / CHUNK_BYTES, shade->id);
	}
	return shade;
}

bool arena_give_back(struct arena *arena, const char *where)
{
	struct arena *shade;

	if (!arena->runs) {
		rewind_runs(arena);
		return true;
	}
	/* A collector that has yet to come to it must find its memory. */
	shade = gc_arena_is_awaited(arena) ? NULL : make_shade(arena);
	if (!shade)
		return false;
	meta_kill(shade, where);
	/* First it leads there no more: a fork may come, and the child's collector look at it. */
	rewind_runs(arena);
	arena->runs = NULL;
	release_runs(shade);
	meta_bury(shade);
	arena->held_bytes = arena->page_bytes = arena->nr_chunks = 0;
	arena->nr_stages = 0;
	return true;
}

/* ---------------------------------------------------------------- validation */

void arena_validate(const struct arena *arena)
{
	uint64_t page_bytes = 0, chunk_bytes = 0;
	bool has_current = !arena->current;

	arena_require_live(arena, "arena_validate()", NULL);
	for (const struct run *run = arena->runs; run; run = run->next) {
		check(run->base < run->limit);
		page_bytes += run->is_small ? run->limit - run->base : 0;
		chunk_bytes += run->is_small ? 0 : run->limit - run->base;
		has_current |= run == arena->current;
	}
	check(has_current);
	check(page_bytes == arena->page_bytes && chunk_bytes == arena->nr_chunks * CHUNK_BYTES);
	check(page_bytes + chunk_bytes == arena->held_bytes && arena->held_bytes <= arena->peak_bytes);
	check(arena->held_bytes <= arena->limit_bytes);
	if (!arena->current)
		return;
	check(arena->bump.limit == arena->current->limit || (arena->sample_at && arena->bump.limit < arena->current->limit));
	check(arena->current->base <= arena->bump.at && arena->bump.at <= arena->bump.limit);
	check(arena->bump.at % ARENA_WORD_BYTES == 0 && arena->bump.limit % ARENA_WORD_BYTES == 0);
}
