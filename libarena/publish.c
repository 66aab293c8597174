// SPDX-License-Identifier: MIT
/*
 * One sealed memfd a process, which its descriptor names to others and which goes with it: files in /dev/shm would stay behind where
 * programs are killed, and a shell that forks ten thousand times would leave as many.
 *
 * Writing costs some ten stores whenever pages or chunks change hands, under the heap's lock, which keeps writers of one heap apart; the
 * sequence number keeps readers from half of it. Who does not ask for it pays one test there.
 *
 * A child of fork() inherits the mapping, and would write over its parent's numbers: another file is put in its place before
 * anything in the child takes memory.
 */
#include "publish.h"

#include <unistd.h>

#include "arena/shared.h"
#include "opt.h"
#include "os.h"

_Static_assert(ARENA_SHARED_HEAPS == HEAPS_MAX, "each heap has its place");
_Static_assert(sizeof(struct arena_shared_heap) == 128 && sizeof(struct arena_shared) == 128 * 65, "version 1 is frozen");

#define FILE_BYTES align_up(sizeof(struct arena_shared), PAGE_BYTES)

/* Guarded by lock_setup. */
static struct arena_shared *file; /* NULL: not asked for, or not to be had */
static struct os_file file_id;
static bool was_tried;

void heap_count(const struct heap *heap, struct arena_heap_stats *stats)
{
	*stats = (struct arena_heap_stats){
		.handed_chunks = heap->pages.handed,
		.mapped_chunks = heap->pages.mapped,
		.idle_chunks = heap->pages.nr_idle,
		.returned_chunks = heap->pages.returned,
		.used_bytes = heap->pages.used_pages * PAGE_BYTES,
	};
}

/* Release, each: no word is seen before the odd number. Pairs with arena_shared_read(). */
static void put(uint64_t *word, uint64_t value)
{
	atomic_store_release(word, value);
}

static void write_heap(struct arena_shared_heap *to, const struct heap *heap, bool is_live)
{
	struct arena_heap_stats stats;
	uint64_t limit = heap->pages.limit.hard_chunks;

	heap_count(heap, &stats);
	put(&to->sequence, to->sequence + 1);
	put(&to->is_live, is_live);
	put(&to->source, (uint64_t)heap->pages.source);
	put(&to->limit_chunks, limit == UINT64_MAX ? 0 : limit);
	put(&to->handed_chunks, stats.handed_chunks);
	put(&to->mapped_chunks, stats.mapped_chunks);
	put(&to->idle_chunks, stats.idle_chunks);
	put(&to->returned_chunks, stats.returned_chunks);
	put(&to->used_bytes, stats.used_bytes);
	put(&to->is_collected, heap->collected.is_there);
	put(&to->nr_cycles, heap->collected.nr_cycles);
	put(&to->live_bytes, heap->collected.live_bytes);
	put(&to->goal_bytes, heap->collected.goal_bytes);
	put(&to->sequence, to->sequence + 1);
}

void publish_slow(struct heap *heap)
{
	write_heap(heap->shared, heap, true);
}

void publish_collected(struct heap *heap, const struct heap_collected *collected)
{
	lock_acquire(&heap->lock);
	heap->collected = *collected;
	publish(heap);
	lock_release(&heap->lock);
}

static void start_file(struct arena_shared *fresh)
{
	*fresh = (struct arena_shared){
		.magic = ARENA_SHARED_MAGIC,
		.version = ARENA_SHARED_VERSION,
		.bytes = (uint32_t)FILE_BYTES,
		.pid = (uint32_t)getpid(),
		.nr_heaps = ARENA_SHARED_HEAPS,
		.heaps_offset = offsetof(struct arena_shared, heaps),
		.heap_bytes = sizeof(struct arena_shared_heap),
	};
}

static void make_file(void)
{
	was_tried = true;
	if (!opt_get(OPT_SHARED_STATS))
		return;
	file = os_shared_create(ARENA_SHARED_NAME, NULL, FILE_BYTES, &file_id);
	if (file)
		start_file(file);
	else
		report("no memory for statistics that others can read");
}

void publish_start(struct heap *heap)
{
	if (!was_tried)
		make_file();
	heap->shared = file ? &file->heaps[heap->id] : NULL;
	publish(heap);
}

void publish_end(struct heap *heap)
{
	if (heap->shared)
		write_heap(heap->shared, heap, false);
	heap->shared = NULL;
	heap->collected = (struct heap_collected){ 0 };
}

void publish_fork_child(void)
{
	void *before = file;

	if (!file)
		return;
	os_shared_close(&file_id);
	file = os_shared_create(ARENA_SHARED_NAME, before, FILE_BYTES, &file_id);
	/* Never the parent's: what cannot be had as a file is written to where nobody reads. */
	if (!file && os_close(before, FILE_BYTES))
		panic("a child of fork() cannot leave its parent's statistics alone");
	if (file)
		start_file(file);
	for (size_t i = 0; i < HEAPS_MAX; i++)
		if (heap_at(i))
			publish_start(heap_at(i));
}
