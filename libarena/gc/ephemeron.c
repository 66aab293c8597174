// SPDX-License-Identifier: MIT
/*
 * The fixpoint of ephemerons. Source: B. Hayes, "Ephemerons: a new finalization mechanism" (1997); that it takes linear time when those that wait are
 * found by their keys: A. Barros and R. Ierusalimschy, "Eliminating cycles in weak tables" (2008).
 *
 *	scans an ephemeron			marks an object
 *	key not marked: into the table		mark it
 *	its span has keys			its span has keys: take out who waits for it, and scan them again
 *
 * Two threads that do both at once may miss each other, and so may a mutator that marks what it has no memory to note. Therefore the
 * collector goes through all when nothing is left to mark, before a round is judged: that finds few, as a rule none.
 *
 * Scanned again, not marked at once: a chain of ephemerons, each of which has the next one's key for a value, would be as many calls deep.
 *
 * What is read of a key or a value is read as from a weak reference (gc/weak.c). A new value needs less than a store's barrier: it is shaded while the stack that it
 * comes from is not scanned.
 */
#include "gc/ephemeron.h"

#include <errno.h>
#include <string.h>

#include "gc/weak.h"

#define TABLE_LEAST (PAGE_BYTES / sizeof(struct arena_gc_ephemeron *))

static size_t table_bytes(size_t nr)
{
	return nr * sizeof(struct arena_gc_ephemeron *);
}

int gc_ephemerons_init(struct arena_gc *gc)
{
	static const struct arena_gc_layout layout = { .name = "ephemeron", .bytes = sizeof(struct arena_gc_ephemeron) };
	struct gc_ephemerons *all = &gc->ephemerons;

	*all = (struct gc_ephemerons){ .lock = LOCK_INIT(LOCK_GC_EPHEMERONS), .nr_parts = TABLE_LEAST, .next_nr_parts = TABLE_LEAST };
	all->type = gc_type_make(&gc->types, &layout, GC_SCAN_EPHEMERON);
	all->table = all->type ? os_table(table_bytes(all->nr_parts)) : NULL;
	return all->table ? 0 : -ENOMEM;
}

void gc_ephemerons_fini(struct arena_gc *gc)
{
	struct gc_ephemerons *all = &gc->ephemerons;

	if (all->table)
		os_unreserve(all->table, table_bytes(all->nr_parts));
	if (all->next_table)
		os_unreserve(all->next_table, table_bytes(all->next_nr_parts));
}

/* ---------------------------------------------------------------- making */

/* The cycle that runs goes on with the table that it has. */
static bool grow_locked(struct gc_ephemerons *all)
{
	struct arena_gc_ephemeron **table = os_table(table_bytes(2 * all->next_nr_parts));

	if (!table)
		return false;
	if (all->next_table)
		os_unreserve(all->next_table, table_bytes(all->next_nr_parts));
	all->next_table = table;
	all->next_nr_parts *= 2;
	return true;
}

/* Room in the table for one more, so that its parts stay short. */
static bool make_room(struct gc_ephemerons *all)
{
	bool done;

	lock_acquire(&all->lock);
	done = all->nr < all->next_nr_parts || grow_locked(all);
	all->nr += done;
	lock_release(&all->lock);
	return done;
}

struct arena_gc_ephemeron *arena_gc_ephemeron_create(struct arena_gc *gc, const void *key, const void *value)
{
	struct arena_gc_ephemeron *ephemeron = arena_gc_alloc(gc, gc->ephemerons.type);

	if (!ephemeron || !make_room(&gc->ephemerons))
		return NULL;
	arena_gc_store(&ephemeron->value, value);
	/* Before it has a key: what may wait is on the chain. */
	gc_chain_push(&gc->ephemerons.chain, &ephemeron->link);
	atomic_store_release(&ephemeron->key, key); /* pairs with gc_weak_read() */
	return ephemeron;
}

/*
 * What goes is not shaded: who has read it has shaded it, as what is read of weak references is. And it may be settled already that it is dead: then a mark,
 * which it would get at once when there is no memory for a note, would bring it back, but not what it leads to.
 */
void arena_gc_ephemeron_set(struct arena_gc_ephemeron *ephemeron, const void *value)
{
	if (unlikely(arena_gc_local_.barrier))
		arena_gc_shade_(NULL, value);
	atomic_store_release(&ephemeron->value, value); /* pairs with gc_weak_read() and gc_ephemeron_meet() */
}

/* ---------------------------------------------------------------- the table */

/* Objects differ in their bits above 4; neighbors should not meet. */
static struct arena_gc_ephemeron **part_of(const struct gc_ephemerons *all, uintptr_t key)
{
	return &all->table[((key >> 4) * 0x9e3779b97f4a7c15u >> 32) & (all->nr_parts - 1)];
}

/* The object that a key leads into; 0 when it leads into none. */
static uintptr_t key_of(const struct arena_gc *gc, const struct arena_gc_ephemeron *ephemeron)
{
	struct gc_ref ref;

	return gc_find(&gc->space, (uintptr_t)atomic_load_relaxed(&ephemeron->key), &ref) ? gc_object_base(&gc->space, &ref) : 0;
}

static void wait_for_key(struct arena_gc *gc, struct arena_gc_ephemeron *ephemeron)
{
	struct gc_ephemerons *all = &gc->ephemerons;
	struct arena_gc_ephemeron **part = part_of(all, key_of(gc, ephemeron));
	struct gc_ref ref;

	lock_acquire(&all->lock);
	if (!ephemeron->waiting) {
		ephemeron->waiting = *part ? *part : ephemeron;
		*part = ephemeron;
		all->nr_waits++;
	}
	lock_release(&all->lock);
	if (gc_find(&gc->space, (uintptr_t)atomic_load_relaxed(&ephemeron->key), &ref))
		atomic_store_relaxed(&ref.span->has_keys, true);
}

void gc_ephemeron_meet(struct gc_marker *marker, struct arena_gc_ephemeron *ephemeron)
{
	const void *key = atomic_load_relaxed(&ephemeron->key);

	if (gc_is_white(marker->gc, key))
		wait_for_key(marker->gc, ephemeron);
	else if (key)
		gc_mark_address(marker, (uintptr_t)arena_gc_load(&ephemeron->value));
}

static struct arena_gc_ephemeron *next_in_part(const struct arena_gc_ephemeron *ephemeron)
{
	return ephemeron->waiting == ephemeron ? NULL : ephemeron->waiting;
}

/* Take all that wait for an object out of the table: their chain, in the way of its parts. */
static struct arena_gc_ephemeron *take_locked(const struct arena_gc *gc, uintptr_t object)
{
	struct arena_gc_ephemeron **part = part_of(&gc->ephemerons, object), *at = *part, *next, *taken = NULL, *left = NULL;

	for (; at; at = next) {
		struct arena_gc_ephemeron **to = key_of(gc, at) == object ? &taken : &left;

		next = next_in_part(at);
		at->waiting = *to ? *to : at;
		*to = at;
	}
	*part = left;
	return taken;
}

void gc_ephemerons_reach(struct gc_marker *marker, uintptr_t object)
{
	struct gc_ephemerons *all = &marker->gc->ephemerons;
	struct arena_gc_ephemeron *at, *next;

	lock_acquire(&all->lock);
	for (at = take_locked(marker->gc, object); at; at = next) {
		next = next_in_part(at);
		at->waiting = NULL;
		gc_mark_again(marker, (uintptr_t)at);
	}
	lock_release(&all->lock);
}

/* ---------------------------------------------------------------- the collector's side */

static struct arena_gc_ephemeron *ephemeron_of(struct link *link)
{
	return link_entry(link, struct arena_gc_ephemeron, link);
}

void gc_ephemerons_begin(struct arena_gc *gc)
{
	struct gc_ephemerons *all = &gc->ephemerons;

	lock_acquire(&all->lock);
	all->nr_waits = 0;
	if (all->next_table) {
		os_unreserve(all->table, table_bytes(all->nr_parts));
		all->table = all->next_table;
		all->next_table = NULL;
		all->nr_parts = all->next_nr_parts;
	}
	lock_release(&all->lock);
}

static bool is_missed(const struct arena_gc *gc, const struct arena_gc_ephemeron *ephemeron)
{
	return ephemeron->waiting && !gc_is_white(gc, atomic_load_relaxed(&ephemeron->key));
}

bool gc_ephemerons_missed(const struct arena_gc *gc)
{
	for (struct link *link = gc_chain_first(&gc->ephemerons.chain); link; link = link->next)
		if (is_missed(gc, ephemeron_of(link)))
			return true;
	return false;
}

void gc_ephemerons_settle(struct gc_marker *marker)
{
	for (struct link *link = gc_chain_first(&marker->gc->ephemerons.chain); link; link = link->next)
		if (is_missed(marker->gc, ephemeron_of(link)))
			gc_ephemerons_reach(marker, key_of(marker->gc, ephemeron_of(link)));
}

/* The span of a key that was waited for is as any other again, and its part of the table empty. */
static void clear_table(struct arena_gc *gc, struct arena_gc_ephemeron *ephemeron)
{
	struct gc_ref ref;

	if (!gc_find(&gc->space, (uintptr_t)atomic_load_relaxed(&ephemeron->key), &ref))
		return;
	if (atomic_load_relaxed(&ref.span->has_keys))
		atomic_store_relaxed(&ref.span->has_keys, false);
	if (ephemeron->waiting)
		*part_of(&gc->ephemerons, gc_object_base(&gc->space, &ref)) = NULL;
	ephemeron->waiting = NULL;
}

void gc_ephemerons_forget(struct arena_gc *gc)
{
	for (struct link *link = gc_chain_first(&gc->ephemerons.chain); link; link = link->next)
		clear_table(gc, ephemeron_of(link));
}

static bool clear(void *context, struct link *link)
{
	struct arena_gc *gc = context;
	struct arena_gc_ephemeron *ephemeron = ephemeron_of(link);

	if (gc_is_white(gc, ephemeron))
		return false;
	clear_table(gc, ephemeron);
	gc->ephemerons.nr_left++;
	if (gc_is_white(gc, atomic_load_relaxed(&ephemeron->key))) {
		atomic_store_relaxed(&ephemeron->key, NULL);
		atomic_store_relaxed(&ephemeron->value, NULL);
	}
	return true;
}

void gc_ephemerons_clear(struct arena_gc *gc)
{
	struct gc_ephemerons *all = &gc->ephemerons;
	size_t nr;

	lock_acquire(&all->lock);
	nr = all->nr;
	lock_release(&all->lock);
	all->nr_left = 0;
	gc_chain_sift(&all->chain, clear, gc);
	/* Those that are made meanwhile count on top of it; who has counted, and not pushed yet, may be forgotten: its part is longer by one. */
	lock_acquire(&all->lock);
	all->nr -= nr - size_min(all->nr_left, nr);
	lock_release(&all->lock);
}
