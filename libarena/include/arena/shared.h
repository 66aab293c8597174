/* SPDX-License-Identifier: MIT */
/*
 * Statistics of a process's heaps in memory that other processes can read, without a word to that process.
 *
 * With ARENA_SHARED_STATS=1 in its environment a process keeps a memfd named ARENA_SHARED_NAME open: a link in /proc/PID/fd goes
 * to "/memfd:arena-heaps (deleted)". Whoever may read that process's descriptors (the same user, or root) opens it for reading and maps a
 * struct arena_shared; `arenactl heaps` does. It is as long as its `bytes` says and sealed: it neither shrinks nor grows, and nobody but the
 * process itself writes to it. It goes with the process. A child of fork() has one of its own.
 *
 * The numbers of one heap are written together, whenever its number of pages changes, and are read together by arena_shared_read(): then
 * handed = mapped + idle + returned holds. Numbers of different heaps may be of different moments.
 *
 * Versions: a later version only adds fields where words are unused now, and at ends; `version` says which are there, heaps_offset and
 * heap_bytes where the next heap is.
 */
#ifndef ARENA_SHARED_H
#define ARENA_SHARED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARENA_SHARED_NAME "arena-heaps"
#define ARENA_SHARED_MAGIC UINT64_C(0x61656e6172616548)
#define ARENA_SHARED_VERSION 1
#define ARENA_SHARED_HEAPS 64

/* One heap; all words are atomic. */
struct arena_shared_heap {
	uint64_t sequence;	/* odd while the rest is written */
	uint64_t is_live;	/* 0: no heap has this number now, and the rest means nothing */
	uint64_t source;	/* enum arena_source that its chunks come from; AUTO: the program's hooks */
	uint64_t limit_chunks;	/* may hold at most so many; 0 = no limit */
	uint64_t handed_chunks;	/* got from the system since the heap was made */
	uint64_t mapped_chunks;	/* with objects in them now */
	uint64_t idle_chunks;	/* without, memory still there */
	uint64_t returned_chunks; /* given back to the system since the heap was made */
	uint64_t used_bytes;	/* pages that are an object's, or at a thread's hand */
	uint64_t is_collected;	/* 1: its objects are those of a collected heap (arena/gc.h); else the next three mean nothing */
	uint64_t nr_cycles;	/* finished */
	uint64_t live_bytes;	/* that the last one has found alive */
	uint64_t goal_bytes;	/* of objects and garbage: where the next one is to end; UINT64_MAX: there is none */
	uint64_t unused[3];
};

/* The whole file. What is not a heap is fixed before anybody can see it. */
struct arena_shared {
	uint64_t magic;		/* ARENA_SHARED_MAGIC */
	uint32_t version;	/* ARENA_SHARED_VERSION, or a later one */
	uint32_t bytes;		/* of all of it */
	uint32_t pid;		/* of the process, as itself sees it */
	uint32_t nr_heaps;	/* at heaps_offset; number 0 is the one that malloc() is, where it is libarena-malloc.so */
	uint32_t heaps_offset;
	uint32_t heap_bytes;	/* from one heap to the next */
	uint64_t unused[12];
	struct arena_shared_heap heaps[ARENA_SHARED_HEAPS];
};

/**
 * Copy one heap's numbers as they were at one moment; false when it was written to all the time, which is worth another try. Any thread of
 * any process. O(1).
 */
static inline bool arena_shared_read(const struct arena_shared_heap *heap, struct arena_shared_heap *copy)
{
	const uint64_t *from = &heap->sequence;
	uint64_t *to = &copy->sequence;

	for (int tries = 0; tries < 10000; tries++) {
		/* Acquire, each: no word is read before an earlier one, or after the second look at the sequence. */
		for (size_t i = 0; i < sizeof(*heap) / sizeof(*from); i++)
			to[i] = __atomic_load_n(&from[i], __ATOMIC_ACQUIRE);
		if (!(copy->sequence & 1) && __atomic_load_n(&heap->sequence, __ATOMIC_RELAXED) == copy->sequence)
			return true;
	}
	return false;
}

#endif /* ARENA_SHARED_H */
