// SPDX-License-Identifier: MIT
/* JSON of heaps: put together without allocation, because the malloc replacement prints it at exit. */
#include "heap_json.h"

#include <errno.h>
#include <stdlib.h>

#include "publish.h"

static void put_heap(struct text *text, struct heap *heap)
{
	struct arena_heap_stats stats;
	uint64_t limit;

	lock_acquire(&heap->lock);
	heap_count(heap, &stats);
	limit = heap->pages.limit.hard_chunks;
	lock_release(&heap->lock);
	text_put(text, "{\"heap\":%u,\"source\":\"%s\",\"limit_chunks\":%lu,\"handed_chunks\":%lu,\"mapped_chunks\":%lu,", heap->id,
		 arena_source_name(heap->pages.source), limit == UINT64_MAX ? 0 : limit, stats.handed_chunks, stats.mapped_chunks);
	text_put(text, "\"idle_chunks\":%lu,\"returned_chunks\":%lu,\"used_bytes\":%lu}", stats.idle_chunks, stats.returned_chunks,
		 stats.used_bytes);
}

void heap_put_json(struct text *text)
{
	const char *between = "";

	text_put(text, "{\"heaps\":[");
	for (size_t i = 0; i < HEAPS_MAX; i++) {
		struct heap *heap = heap_hold(i);

		if (!heap)
			continue;
		text_put(text, "%s", between);
		put_heap(text, heap);
		heap_unhold();
		between = ",";
	}
	text_put(text, "]}");
}

char *arena_heap_json(void)
{
	int saved = errno;
	char *buffer = malloc(HEAP_JSON_BYTES);
	struct text text;

	errno = saved;
	if (!buffer)
		return NULL;
	text_init(&text, buffer, HEAP_JSON_BYTES);
	heap_put_json(&text);
	return buffer;
}
