/* SPDX-License-Identifier: MIT */
/*
 * Allocating and freeing small objects of a heap inside the program's own code, without a call: for loops where that is most of the work.
 *
 *	struct arena_heap_local *local = arena_heap_local(heap);	once a thread and heap
 *	object = arena_heap_alloc_inline(heap, local, 64);
 *	arena_heap_free_inline(local, object);
 *
 * These are the functions of arena/heap.h, with the same checks of what is freed: objects of either may be freed by the other. What is not
 * at hand goes on in the library. The layout of what is read here belongs to one version of the library: a program that was built with another
 * one does not link or start.
 *
 * Sources of the design: as arena/heap.h.
 */
#ifndef ARENA_HEAP_INLINE_H
#define ARENA_HEAP_INLINE_H

#include <arena/heap.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a thread has at hand of a heap. Only arena_heap_local() makes one; members are not for callers. */
struct arena_heap_local {
	struct {
		uint64_t *word;		/* free slots */
		uintptr_t base;		/* of the slot that bit 0 stands for */
		uint64_t bytes;		/* of a slot */
		uint64_t unused;
	} fronts[104];			/* for each step of 16 bytes, and further ones */
	unsigned char *spans;		/* records, one a page */
	uint64_t mask;			/* and which of them may be looked at */
};

/* The record of a page; not for callers. */
struct arena_heap_span_ {
	uint32_t owner;
	int16_t left;
	uint8_t class_, state;
	uint64_t free[4];
	uint64_t inverse, bias;
	uint32_t next, prev;
};

/* The lowest set bit of what is not 0; not for callers. Compilers widen what their own function gives once more. */
static inline uint64_t arena_heap_lowest_(uint64_t word)
{
#ifdef __x86_64__
	__asm__("rep bsfq %0, %0" : "+r"(word) : : "cc");
	return word;
#else
	return (uint64_t)__builtin_ctzll(word);
#endif
}

/* Whether bit @n of @words was set, which it is now; not for callers. Compilers make eight instructions of what is one here. */
static inline bool arena_heap_set_bit_(uint64_t *words, uint64_t n)
{
#ifdef __x86_64__
	bool was;

	__asm__("btsq %2, %1" : "=@ccc"(was), "+m"(*(uint64_t(*)[4])(void *)words) : "r"(n));
	return was;
#else
	uint64_t word = words[n / 64], bit = (uint64_t)1 << n % 64;

	__atomic_store_n(&words[n / 64], word | bit, __ATOMIC_RELAXED);
	return word & bit;
#endif
}

/* Not for callers: the number is that of the layout. */
ARENA_API struct arena_heap_local *arena_heap_local_1_(struct arena_heap *heap);
ARENA_API void arena_heap_event_(struct arena_heap_local *local, struct arena_heap_span_ *span);

/**
 * What the calling thread has at hand of @heap, for the functions below: never NULL, and nothing to be freed. Only for this thread, until it ends
 * or the heap is destroyed. Heaps without such (in memory of the program, out of memory, objects that are looked after) have one as well, with
 * which the functions below do what those of arena/heap.h do. Takes a lock the first time.
 */
static inline struct arena_heap_local *arena_heap_local(struct arena_heap *heap)
{
	return arena_heap_local_1_(heap);
}

/** arena_heap_alloc(@heap, @bytes), inline up to 1,024 bytes, and best with a constant. @local: arena_heap_local(@heap) of this thread. */
static inline void *arena_heap_alloc_inline(struct arena_heap *heap, struct arena_heap_local *local, size_t bytes)
{
	if (ARENA_LIKELY(bytes - 1 < 1024)) {
		uint64_t *at = local->fronts[(bytes - 1) / 16].word, word = *at;

		if (ARENA_LIKELY(word)) {
			__atomic_store_n(at, word & (word - 1), __ATOMIC_RELAXED);
			return (void *)(local->fronts[(bytes - 1) / 16].base + arena_heap_lowest_(word) * local->fronts[(bytes - 1) / 16].bytes);
		}
	}
	return arena_heap_alloc(heap, bytes);
}

/** arena_heap_free(@object), inline if it is a small object that this thread allocated. @local: arena_heap_local() of its heap, or of any heap. */
static inline void arena_heap_free_inline(struct arena_heap_local *local, void *object)
{
	uint64_t at = ((uintptr_t)object >> 6) & local->mask, slot;
	struct arena_heap_span_ *span = (struct arena_heap_span_ *)(void *)(local->spans + at);

	/* Which slot it is: rotated, because what is no multiple of a slot's size becomes large. */
	slot = ((uintptr_t)object * span->inverse) - span->bias;
	slot = slot >> 16 | slot << 48;
	if (ARENA_LIKELY(slot < 256) && ARENA_LIKELY(__atomic_load_n(&span->owner, __ATOMIC_RELAXED) == (uint32_t)(uintptr_t)local) &&
	    ARENA_LIKELY(!arena_heap_set_bit_(span->free, slot))) {
		if (!ARENA_LIKELY(--span->left))
			arena_heap_event_(local, span);
		return;
	}
	arena_heap_free(object);
}

#ifdef __cplusplus
}
#endif

#endif /* ARENA_HEAP_INLINE_H */
