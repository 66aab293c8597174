// SPDX-License-Identifier: MIT
/* Statistics: of one arena, of the process, and the latter as JSON. All numbers are gathered below; none is made here. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "chunk.h"
#include "internal.h"
#include "meta.h"
#include "panic.h"
#include "revoke.h"
#include "small.h"

/* Longest JSON text: six keys for each of five sources, ten more, and every number at its longest, with room to spare. */
#define JSON_BYTES (4 * KiB)

void arena_stats(const struct arena *arena, struct arena_stats *stats)
{
	arena_require_live(arena, "arena_stats()", NULL);
	memset(stats, 0, sizeof(*stats));
	memcpy(stats->name, arena->name, sizeof(stats->name));
	stats->made_at = arena->made_at;
	stats->source = (enum arena_source)arena->source;
	stats->used_bytes = arena->used_bytes + (arena->current ? arena->bump.at - arena->current->base : 0);
	stats->held_bytes = arena->held_bytes;
	stats->peak_bytes = arena->peak_bytes;
	stats->page_bytes = arena->page_bytes;
	stats->nr_chunks = arena->nr_chunks;
	stats->nr_resets = arena->nr_resets;
}

enum arena_source arena_source_of(const struct arena *arena)
{
	arena_require_live(arena, "arena_source_of()", NULL);
	return (enum arena_source)arena->source;
}

void arena_memory(struct arena_memory *memory)
{
	memset(memory, 0, sizeof(*memory));
	chunk_memory(memory);
	small_memory(memory);
	meta_memory(memory);
	memory->guard_pages = revoke_has_guard();
}

static void put_source(struct text *text, const struct arena_memory *memory, enum arena_source which)
{
	const struct arena_memory_source *source = &memory->source[which];

	text_put(text, "%s\"%s\":{\"handed_chunks\":%lu,\"mapped_chunks\":%lu,\"cached_chunks\":%lu,",
		 which > 1 ? "," : "", arena_source_name(which), source->handed_chunks, source->mapped_chunks,
		 source->cached_chunks);
	text_put(text, "\"returned_chunks\":%lu,\"revoked_chunks\":%lu}", source->returned_chunks,
		 source->revoked_chunks);
}

char *arena_memory_json(void)
{
	int saved = errno;
	char *buffer = malloc(JSON_BYTES);
	struct arena_memory memory;
	struct text text;

	errno = saved;
	if (!buffer)
		return NULL;
	arena_memory(&memory);
	text_init(&text, buffer, JSON_BYTES);
	text_put(&text, "{\"source\":{");
	for (int which = ARENA_SOURCE_AUTO + 1; which < ARENA_NR_SOURCES; which++)
		put_source(&text, &memory, (enum arena_source)which);
	text_put(&text, "},\"small_bytes\":%lu,\"nr_arenas\":%lu,\"revoked_arenas\":%lu,\"deferred_arenas\":%lu,",
		 memory.small_bytes, memory.nr_arenas, memory.revoked_arenas, memory.deferred_arenas);
	text_put(&text, "\"fifo_chunks\":%lu,\"fifo_max_chunks\":%lu,\"fifo_small_bytes\":%lu,", memory.fifo_chunks,
		 memory.fifo_max_chunks, memory.fifo_small_bytes);
	text_put(&text, "\"fifo_max_small_bytes\":%lu,\"guard_pages\":%s}", memory.fifo_max_small_bytes,
		 memory.guard_pages ? "true" : "false");
	return buffer;
}
