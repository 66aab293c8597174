// SPDX-License-Identifier: MIT
/* The public functions of collected heaps: check arguments, allocate from what is at hand, and call the files below. */
#include <errno.h>

#include "gc/alloc.h"
#include "gc/assist.h"
#include "gc/barrier.h"
#include "gc/cleanup.h"
#include "gc/coroutine.h"
#include "gc/cycle.h"
#include "gc/delay.h"
#include "gc/dump.h"
#include "gc/ephemeron.h"
#include "gc/fork.h"
#include "gc/leaks.h"
#include "gc/limit.h"
#include "gc/note.h"
#include "gc/roots.h"
#include "gc/sample.h"
#include "gc/threads.h"
#include "gc/timeline.h"
#include "gc/weak.h"
#include "gc/why.h"
#include "opt.h"

#define GC_BYTES align_up(sizeof(struct arena_gc), PAGE_BYTES)

static struct gc_mutator *require(struct arena_gc *gc, const char *what)
{
	struct gc_mutator *mutator = gc_mutator_of(gc);

	if (unlikely(!mutator))
		panic("%s: the calling thread is not attached to this heap (arena_gc_attach())", what);
	return mutator;
}

/* ---------------------------------------------------------------- heaps */

static bool start(struct arena_gc *gc, const struct arena_gc_options *options)
{
	uint32_t nr_cpus = (uint32_t)opt_get(OPT_GC_CPUS);

	gc->lock = (struct lock)LOCK_INIT(LOCK_GC);
	gc->threads_lock = (struct lock)LOCK_INIT(LOCK_GC_THREADS);
	gc->stacks_lock = (struct lock)LOCK_INIT(LOCK_GC_STACKS);
	gc->whole_lock = (struct lock)LOCK_INIT(LOCK_GC_WHOLE);
	gc_drive_init(&gc->drive, nr_cpus ? nr_cpus : os_nr_cpus());
	gc->is_traced = opt_get(OPT_GC_TRACE);
	gc->is_searched = opt_get(OPT_GC_LEAKS);
	gc->is_verified = opt_get(OPT_GC_VERIFY);
	gc->stops_world = options->stops_world;
	gc->birth_ns = os_clock_ns();
	gc_queue_init(&gc->queue);
	gc_roots_init(&gc->roots);
	gc_annexes_init(&gc->annexes);
	gc_rings_init(&gc->rings);
	gc_timeline_start(gc);
	if (gc_space_init(&gc->space, options->source, &gc->lock)) {
		gc_rings_fini(&gc->rings);
		return false;
	}
	if (!gc_types_init(&gc->types, &gc->lock)) {
		gc_limit_init(gc, options->percent);
		gc_note_numbers(gc, 0);
		if (!gc_weak_init(gc) && !gc_ephemerons_init(gc) && !gc_cleanups_init(gc, options->cleanups_by_program) &&
		    !gc_cycle_start(gc))
			return true;
		gc_ephemerons_fini(gc);
		gc_types_fini(&gc->types);
	}
	gc_space_fini(&gc->space);
	gc_rings_fini(&gc->rings);
	return false;
}

struct arena_gc *arena_gc_create(const struct arena_gc_options *options)
{
	static const struct arena_gc_options defaults;
	struct arena_gc *gc;

	if (!options)
		options = &defaults;
	gc = options->source < ARENA_NR_SOURCES ? os_table(GC_BYTES) : NULL;
	if (gc && !start(gc, options)) {
		os_unreserve(gc, GC_BYTES);
		return NULL;
	}
	if (gc)
		gc_fork_watch(gc);
	return gc;
}

void arena_gc_destroy(struct arena_gc *gc)
{
	if (!gc)
		return;
	gc_cleanups_end(gc);
	if (gc_mutator_of(gc))
		gc_detach(gc_mutator_of(gc));
	if (gc->is_searched)
		gc_leaks_report(gc);
	gc_cycle_stop(gc);
	if (gc->mutators)
		panic("arena_gc_destroy(): thread %u is still attached", gc->mutators->thread_id);
	gc_fork_forget(gc);
	gc_annexes_fini(&gc->annexes);
	gc_coroutines_fini(gc);
	gc_timeline_write(gc);
	gc_rings_fini(&gc->rings);
	gc_queue_fini(&gc->queue);
	gc_roots_fini(&gc->roots);
	gc_ephemerons_fini(gc);
	gc_samples_fini(gc);
	gc_types_fini(&gc->types);
	gc_space_fini(&gc->space);
	os_unreserve(gc, GC_BYTES);
}

/* ---------------------------------------------------------------- threads */

int arena_gc_attach(struct arena_gc *gc)
{
	if (gc_mutator_of(gc))
		panic("arena_gc_attach(): the calling thread is attached already");
	return gc_attach(gc);
}

void arena_gc_detach(struct arena_gc *gc)
{
	gc_detach(require(gc, "arena_gc_detach()"));
}

void arena_gc_answer_(void)
{
	gc_poll();
}

void *arena_gc_blocking(void *(*function)(void *context), void *context)
{
	return gc_blocking(function, context);
}

__attribute__((noinline)) static void shade_slow(const void *old_value, const void *new_value)
{
	for (struct gc_mutator *mutator = gc_own; mutator; mutator = mutator->next_own) {
		gc_shade_old(mutator, (uintptr_t)old_value);
		gc_shade_new(mutator, (uintptr_t)new_value);
	}
	if (arena_gc_local_.barrier == GC_BARRIER_OLD && !gc_own->next_own)
		gc_barrier_open(gc_own);
}

void arena_gc_shade_(const void *old_value, const void *new_value)
{
	struct arena_gc_local *local = &arena_gc_local_;

	/* Where it notes by itself nothing is wanted of the new value. */
	if (likely(local->next != local->limit)) {
		if (old_value)
			*local->next++ = (uintptr_t)old_value;
	} else {
		shade_slow(old_value, new_value);
	}
	gc_delay();	/* the store itself is still to come */
}

/* ---------------------------------------------------------------- objects */

struct arena_gc_type *arena_gc_type_create(struct arena_gc *gc, const struct arena_gc_layout *layout)
{
	return gc_type_create(&gc->types, layout);
}

/* Between two answers. */
static void *allocate(struct gc_mutator *mutator, uint32_t kind, size_t bytes)
{
	struct gc_bin *bin = &mutator->bins[kind];

	if (bytes > CLASS_MAX_BYTES)
		return gc_alloc_large(mutator, kind, bytes);
	return bin->free || gc_bin_refill(mutator, kind) ? gc_sample_take(mutator, bin) : NULL;
}

__attribute__((noinline)) static void *alloc_slow(struct arena_gc *gc, struct arena_gc_type *type, size_t bytes, const char *what)
{
	struct gc_mutator *mutator = require(gc, what);
	struct gc_refusal refusal = { 0 };
	uint64_t begin_ns = os_clock_ns();
	uint32_t kind;
	void *object;

	if (type->owner != &gc->types)
		panic("%s: the type is of another heap", what);
	kind = gc_kind_get(&gc->types, type, gc_class_of(bytes));
	if (!kind)
		return NULL;
	if (unlikely(atomic_load_relaxed(&arena_gc_local_.attention)))
		gc_answer();
	gc_assist(mutator);
	object = allocate(mutator, kind, bytes);
	while (unlikely(!object) && gc_limit_help(mutator, &refusal))
		object = allocate(mutator, kind, bytes);
	gc_limit_end(mutator, &refusal);
	gc_note(mutator, GC_EVENT_ALLOC, begin_ns);
	return object;
}

void *arena_gc_alloc(struct arena_gc *gc, struct arena_gc_type *type)
{
	struct gc_mutator *mutator = gc_mutator_of(gc);
	void *object = likely(mutator) ? gc_bin_take(&mutator->bins[type->single]) : NULL;

	return likely(object) ? object : alloc_slow(gc, type, type->bytes, "arena_gc_alloc()");
}

static void *alloc_bytes(struct arena_gc *gc, struct arena_gc_type *type, size_t bytes, const char *what)
{
	struct gc_mutator *mutator = gc_mutator_of(gc);
	uint32_t kind = bytes <= CLASS_MAX_BYTES ? atomic_load_acquire(&type->kinds[class_of(bytes)]) : 0;
	void *object = likely(mutator && kind) ? gc_bin_take(&mutator->bins[kind]) : NULL;

	return likely(object) ? object : alloc_slow(gc, type, bytes, what);
}

void *arena_gc_alloc_array(struct arena_gc *gc, struct arena_gc_type *type, size_t count)
{
	size_t bytes;

	return __builtin_mul_overflow(type->bytes, count, &bytes) ? NULL : alloc_bytes(gc, type, bytes, "arena_gc_alloc_array()");
}

void *arena_gc_alloc_atomic(struct arena_gc *gc, size_t bytes)
{
	return alloc_bytes(gc, gc->types.atomic, bytes, "arena_gc_alloc_atomic()");
}

void *arena_gc_alloc_conservative(struct arena_gc *gc, size_t bytes)
{
	return alloc_bytes(gc, gc->types.conservative, bytes, "arena_gc_alloc_conservative()");
}

static bool find_object(const struct arena_gc *gc, const void *pointer, struct gc_ref *ref)
{
	return gc_find(&gc->space, (uintptr_t)pointer, ref) && gc_is_object(ref);
}

void *arena_gc_alloc_uncollectable(struct arena_gc *gc, struct arena_gc_type *type)
{
	void *object = arena_gc_alloc(gc, type);
	struct gc_ref ref;

	if (!object || !find_object(gc, object, &ref))
		return NULL;
	/* Before it answers again: so roots are read after it, or the object is black. */
	atomic_add_relaxed(&gc->nr_pinned, 1u);
	atomic_or_relaxed(&ref.span->pinned[ref.slot / 64], gc_bit(ref.slot));
	atomic_store_relaxed(&ref.span->has_pinned, true);
	return object;
}

/* An edge goes, as by a store. */
void arena_gc_make_collectable(struct arena_gc *gc, void *object)
{
	struct gc_mutator *mutator = require(gc, "arena_gc_make_collectable()");
	struct gc_ref ref;

	if (!find_object(gc, object, &ref) ||
	    !(atomic_and_relaxed(&ref.span->pinned[ref.slot / 64], ~gc_bit(ref.slot)) & gc_bit(ref.slot)))
		panic("arena_gc_make_collectable(): %p is no object that is uncollectable", object);
	atomic_add_relaxed(&gc->nr_pinned, (uint64_t)-1);
	gc_shade_old(mutator, (uintptr_t)object);
}

size_t arena_gc_usable_bytes(struct arena_gc *gc, const void *pointer)
{
	struct gc_ref ref;

	return find_object(gc, pointer, &ref) ? gc_object_bytes(ref.span) : 0;
}

/* ---------------------------------------------------------------- roots */

int arena_gc_add_roots(struct arena_gc *gc, void *base, size_t bytes)
{
	return gc_roots_add(require(gc, "arena_gc_add_roots()"), (uintptr_t)base, bytes);
}

int arena_gc_remove_roots(struct arena_gc *gc, void *base)
{
	return gc_roots_remove(require(gc, "arena_gc_remove_roots()"), (uintptr_t)base);
}

struct arena_gc_handle *arena_gc_handle_create(struct arena_gc *gc, const void *object)
{
	struct arena_gc_handle *handle;

	require(gc, "arena_gc_handle_create()");
	handle = gc_handle_get(&gc->roots);
	if (handle)
		arena_gc_store(&handle->object, object);
	return handle;
}

static void require_handle(const struct arena_gc_handle *handle, const char *what)
{
	if (unlikely(gc_handle_is_free(handle)))
		panic("%s: the handle was freed", what);
}

void *arena_gc_handle_get(const struct arena_gc_handle *handle)
{
	require_handle(handle, "arena_gc_handle_get()");
	return arena_gc_load(&handle->object);
}

void arena_gc_handle_set(struct arena_gc_handle *handle, const void *object)
{
	require_handle(handle, "arena_gc_handle_set()");
	arena_gc_store(&handle->object, object);
}

void arena_gc_handle_free(struct arena_gc *gc, struct arena_gc_handle *handle)
{
	if (!handle)
		return;
	require(gc, "arena_gc_handle_free()");
	require_handle(handle, "arena_gc_handle_free()");
	arena_gc_store(&handle->object, NULL);
	gc_handle_put(&gc->roots, handle);
}

/* ---------------------------------------------------------------- cycles */

void arena_gc_collect(struct arena_gc *gc)
{
	gc_cycle_wait(gc);
}

void arena_gc_latency(struct arena_gc *gc, struct arena_gc_latency *latency)
{
	gc_times_read(&gc->times, latency);
}

void arena_gc_stats(struct arena_gc *gc, struct arena_gc_stats *stats)
{
	struct gc_sums sums = gc_drive_sums(&gc->drive);

	*stats = (struct arena_gc_stats){
		.nr_cycles = atomic_load_acquire(&gc->done),
		.live_bytes = atomic_load_relaxed(&gc->live_bytes),
		.allocated_bytes = atomic_load_relaxed(&gc->allocated_bytes),
		.freed_objects = atomic_load_relaxed(&gc->freed_objects),
		.freed_bytes = atomic_load_relaxed(&gc->freed_bytes),
		.handshake_max_ns = atomic_load_relaxed(&gc->handshake_max_ns),
		.runtime_max_ns = atomic_load_relaxed(&gc->runtime_max_ns),
		.stopped_ns = atomic_load_relaxed(&gc->stopped_ns),
		.stopped_max_ns = atomic_load_relaxed(&gc->stopped_max_ns),
		.goal_bytes = atomic_load_relaxed(&gc->drive.goal_bytes),
		.collector_ns = sums.worker_ns,
		.assist_ns = sums.assist_ns,
		.assist_slices = sums.nr_slices,
		.assist_max_work = atomic_load_relaxed(&gc->drive.slice_most_work),
	};
	lock_acquire(&gc->space.heap->lock);
	stats->held_bytes = palloc_held(&gc->space.heap->pages) * CHUNK_BYTES;
	lock_release(&gc->space.heap->lock);
}

/* ---------------------------------------------------------------- looking */

int arena_gc_why(struct arena_gc *gc, const void *object, struct arena_gc_step *steps, size_t max)
{
	return gc_why(gc, object, steps, max);
}

int arena_gc_leaks(struct arena_gc *gc, struct arena_gc_step *leaks, size_t max)
{
	return gc_leaks(gc, leaks, max);
}

int arena_gc_dump(struct arena_gc *gc, int fd)
{
	return gc_dump(gc, fd);
}
