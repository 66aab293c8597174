// SPDX-License-Identifier: MIT
/*
 * Tables of roots. Ranges are few and looked for one by one; handles lie in blocks of a page, which are never given back.
 *
 * The collector reads ranges under the lock, so that none goes meanwhile, but lets go of it often: who adds or removes something waits for PIECE_BYTES at most. What
 * comes while it reads need not be read: all have their barriers by then. Who brings it shades what is in it, and who takes something away what was.
 */
#include "gc/roots.h"

#include <errno.h>
#include <string.h>

#include "gc/barrier.h"

/* Some 50 us at most: 6 ns a word. */
#define PIECE_BYTES (64 * KiB)

/* As many words of a page as are left. */
#define USED_WORDS 8
#define HANDLES_PER_BLOCK (PAGE_BYTES / sizeof(struct arena_gc_handle) - 1 - USED_WORDS)

struct gc_handles {
	struct gc_handles *next;
	uint64_t used[USED_WORDS]; /* by handle. Atomic; written under the lock of roots */
	struct arena_gc_handle handles[HANDLES_PER_BLOCK];
};
_Static_assert(sizeof(struct gc_handles) == PAGE_BYTES, "a block of handles is a page");

void gc_roots_init(struct gc_roots *roots)
{
	*roots = (struct gc_roots){ .lock = LOCK_INIT(LOCK_GC) };
}

static size_t ranges_bytes(size_t nr)
{
	return align_up(nr * sizeof(struct gc_range), PAGE_BYTES);
}

void gc_roots_fini(struct gc_roots *roots)
{
	struct gc_handles *block, *next;

	for (block = roots->handles; block; block = next) {
		next = block->next;
		os_unreserve(block, sizeof(*block));
	}
	if (roots->ranges)
		os_unreserve(roots->ranges, ranges_bytes(roots->max_ranges));
}

/* ---------------------------------------------------------------- ranges */

/* The program stores to its roots while they are read; those who use no barrier for that are found by verification, not here. */
__attribute__((noinline, no_sanitize("address"), no_sanitize("thread"))) uintptr_t gc_root_word(uintptr_t address)
{
#ifdef ATOMIC_SANITIZED
	/* clang looks at atomic loads even here. */
	return *(const volatile uintptr_t *)address;
#else
	return atomic_load_acquire((const volatile uintptr_t *)address);
#endif
}

static bool make_room(struct gc_roots *roots)
{
	size_t max = roots->max_ranges ? 2 * roots->max_ranges : PAGE_BYTES / sizeof(struct gc_range);
	struct gc_range *ranges;

	if (roots->nr_ranges < roots->max_ranges)
		return true;
	ranges = os_table(ranges_bytes(max));
	if (!ranges)
		return false;
	if (roots->ranges) {
		memcpy(ranges, roots->ranges, roots->nr_ranges * sizeof(*ranges));
		os_unreserve(roots->ranges, ranges_bytes(roots->max_ranges));
	}
	roots->ranges = ranges;
	roots->max_ranges = max;
	return true;
}

int gc_roots_add(struct gc_mutator *mutator, uintptr_t base, size_t bytes)
{
	struct gc_roots *roots = &mutator->gc->roots;
	bool done;

	if (!base || base % sizeof(uintptr_t) || bytes % sizeof(uintptr_t) || !bytes || base + bytes < base)
		return -EINVAL;
	lock_acquire(&roots->lock);
	done = make_room(roots);
	if (done)
		roots->ranges[roots->nr_ranges++] = (struct gc_range){ base, base + bytes };
	lock_release(&roots->lock);
	for (uintptr_t at = base; done && mutator->barrier && at < base + bytes; at += sizeof(uintptr_t))
		gc_shade(mutator, gc_root_word(at));
	return done ? 0 : -ENOMEM;
}

/* Those behind it move up, also in what is being read. */
static void forget_locked(struct gc_roots *roots, size_t i)
{
	memmove(&roots->ranges[i], &roots->ranges[i + 1], (--roots->nr_ranges - i) * sizeof(*roots->ranges));
	if (i == roots->at)
		roots->at_bytes = 0;
	roots->at -= i < roots->at;
	roots->nr_to_read -= i < roots->nr_to_read;
}

/* The last piece of a range, of which perhaps a part has been read. */
static struct gc_range take_piece_locked(struct gc_roots *roots, size_t i)
{
	struct gc_range *range = &roots->ranges[i], piece = *range;
	size_t bytes = range->limit - range->base;

	if (bytes <= PIECE_BYTES) {
		forget_locked(roots, i);
		return piece;
	}
	piece.base = range->limit -= PIECE_BYTES;
	if (i == roots->at)
		roots->at_bytes = size_min(roots->at_bytes, bytes - PIECE_BYTES);
	return piece;
}

static struct gc_range take_piece(struct gc_roots *roots, uintptr_t base)
{
	struct gc_range piece = { 0 };

	lock_acquire(&roots->lock);
	for (size_t i = 0; i < roots->nr_ranges && !piece.base; i++)
		if (roots->ranges[i].base == base)
			piece = take_piece_locked(roots, i);
	lock_release(&roots->lock);
	return piece;
}

/*
 * From its end, in pieces of which each is as a range of its own: between two of them the mutator answers. What was in one is shaded behind its removal,
 * and before that: as good as before it. While roots are read before any stack counts as scanned, as gc/cycle.c does, nothing would be lost without:
 * what a range holds when it goes has been read, or is in a stack that will be. Kept, so that no proof depends on that order.
 */
int gc_roots_remove(struct gc_mutator *mutator, uintptr_t base)
{
	for (;;) {
		struct gc_range piece = take_piece(&mutator->gc->roots, base);

		if (!piece.base)
			return -ENOENT;
		for (uintptr_t at = piece.base; mutator->barrier && at < piece.limit; at += sizeof(uintptr_t))
			gc_shade_old(mutator, gc_root_word(at));
		if (piece.base == base)
			return 0;
		arena_gc_poll();
	}
}

/* ---------------------------------------------------------------- handles */

static struct arena_gc_handle *next_free(const struct arena_gc_handle *handle)
{
	return (struct arena_gc_handle *)~(uintptr_t)handle->object;
}

/* The word that has the handle's bit. */
static uint64_t *used_word(const struct arena_gc_handle *handle, uint64_t *bit)
{
	struct gc_handles *block = (struct gc_handles *)((uintptr_t)handle & ~(PAGE_BYTES - 1));
	size_t i = (size_t)(handle - block->handles);

	*bit = (uint64_t)1 << i % 64;
	return &block->used[i / 64];
}

/* What the program keeps in a handle may be any word, and look like anything. */
bool gc_handle_is_free(const struct arena_gc_handle *handle)
{
	uint64_t bit, *used = used_word(handle, &bit);

	return !(atomic_load_relaxed(used) & bit);
}

static void set_used_locked(const struct arena_gc_handle *handle, bool is_used)
{
	uint64_t bit, *used = used_word(handle, &bit);

	atomic_store_relaxed(used, is_used ? *used | bit : *used & ~bit);
}

static void put_locked(struct gc_roots *roots, struct arena_gc_handle *handle)
{
	set_used_locked(handle, false);
	atomic_store_relaxed(&handle->object, (const void *)~(uintptr_t)roots->free_handles);
	roots->free_handles = handle;
}

static void add_block_locked(struct gc_roots *roots)
{
	struct gc_handles *block = os_table(sizeof(*block));

	if (!block)
		return;
	for (size_t i = 0; i < HANDLES_PER_BLOCK; i++)
		put_locked(roots, &block->handles[i]);
	block->next = roots->handles;
	roots->handles = block;
}

struct arena_gc_handle *gc_handle_get(struct gc_roots *roots)
{
	struct arena_gc_handle *handle;

	lock_acquire(&roots->lock);
	if (!roots->free_handles)
		add_block_locked(roots);
	handle = roots->free_handles;
	if (handle) {
		roots->free_handles = next_free(handle);
		atomic_store_relaxed(&handle->object, NULL);
		set_used_locked(handle, true);
	}
	lock_release(&roots->lock);
	return handle;
}

void gc_handle_put(struct gc_roots *roots, struct arena_gc_handle *handle)
{
	lock_acquire(&roots->lock);
	put_locked(roots, handle);
	lock_release(&roots->lock);
}

/* ---------------------------------------------------------------- reading */

/* As much of the range that is being read as @most; bytes. */
static uint64_t read_range_locked(struct gc_roots *roots, uint64_t most, gc_visit_fn *visit, void *context)
{
	uintptr_t base = roots->ranges[roots->at].base + roots->at_bytes, limit = roots->ranges[roots->at].limit;
	bool is_last = limit - base <= most;

	if (!is_last)
		limit = base + most;
	for (uintptr_t at = base; at < limit; at += sizeof(uintptr_t)) {
		uintptr_t word = gc_root_word(at);

		if (word)
			visit(context, word);
	}
	roots->at += is_last;
	roots->at_bytes = is_last ? 0 : roots->at_bytes + most;
	return limit - base;
}

static uint64_t read_piece(struct gc_roots *roots, gc_visit_fn *visit, void *context)
{
	uint64_t bytes = 0;

	lock_acquire(&roots->lock);
	while (roots->at < roots->nr_to_read && bytes < PIECE_BYTES)
		bytes += read_range_locked(roots, PIECE_BYTES - bytes, visit, context);
	lock_pass(&roots->lock);
	return bytes;
}

/* What there is now is to be read; the blocks of handles. */
static const struct gc_handles *begin(struct gc_roots *roots)
{
	const struct gc_handles *handles;

	lock_acquire(&roots->lock);
	roots->at = roots->at_bytes = 0;
	roots->nr_to_read = roots->nr_ranges;
	handles = roots->handles;
	lock_release(&roots->lock);
	return handles;
}

uint64_t gc_roots_each(struct gc_roots *roots, gc_visit_fn *visit, void *context)
{
	const struct gc_handles *block = begin(roots);
	uint64_t bytes = 0, piece;

	while ((piece = read_piece(roots, visit, context)))
		bytes += piece;
	for (; block; block = block->next)
		for (size_t i = 0; i < HANDLES_PER_BLOCK; i++)
			visit(context, (uintptr_t)atomic_load_acquire(&block->handles[i].object));
	return bytes;
}

void gc_roots_show(struct gc_roots *roots, void (*visit)(void *context, enum arena_gc_root kind, uintptr_t location, uintptr_t word), void *context)
{
	lock_acquire(&roots->lock);
	for (size_t i = 0; i < roots->nr_ranges; i++)
		for (uintptr_t at = roots->ranges[i].base; at < roots->ranges[i].limit; at += sizeof(uintptr_t))
			visit(context, ARENA_GC_ROOT_RANGE, at, gc_root_word(at));
	for (struct gc_handles *block = roots->handles; block; block = block->next)
		for (size_t i = 0; i < HANDLES_PER_BLOCK; i++)
			visit(context, ARENA_GC_ROOT_HANDLE, (uintptr_t)&block->handles[i], (uintptr_t)atomic_load_acquire(&block->handles[i].object));
	lock_release(&roots->lock);
}
