// SPDX-License-Identifier: MIT
/*
 * A slot, or the pages of a large object, when heaps are looked after:
 *
 *	object			as many bytes as were asked for
 *	red zone		to the tail; VERIFY: filled, and looked at when the object is freed
 *	tail, 16 bytes		the size, and a seal over size, address and state
 *
 * A freed object keeps its slot until REST others were freed, so that late accesses meet no other object. Tools forbid access to all that
 * is not a live object (ASan: poisoned; Memcheck: no access). VERIFY is for where there are no tools: freed memory is filled,
 * and looked at when its rest ends and again when the slot is handed out; new memory is filled with something else, so that programs that
 * count on zeros fail early; and the heap is validated every VALIDATE_EVERY calls of a thread.
 *
 * Limits: large objects do not rest. What is written into a span that was given up wholly, as the pages of a sampled object always are, is
 * noticed only while it was at rest.
 */
#include "checked.h"

#include <string.h>

#include "guard.h"
#include "heap.h"
#include "walk.h"

/* 1 MiB at the usual sizes of objects, 32 MiB at most. */
#define REST 1024u
#define VALIDATE_EVERY 1024u

/* Bytes that are no likely values, pointers or text. */
#define FILL_FRESH 0xcb
#define FILL_FREED 0xdb
#define FILL_ZONE 0xfb

#define SEAL_LIVE UINT64_C(0x3a11fe0b1ec7a11e)
#define SEAL_FREED UINT64_C(0xdead0b1ec7dead01)

struct tail {
	uint64_t bytes;
	uint64_t seal;
};
_Static_assert(sizeof(struct tail) == CHECKED_TAIL_BYTES, "what tests ask for leaves room for it");

bool checked_has_memcheck;

static void *resting[REST];	/* atomic; the swap in rest() gives an object to one thread */
static uint32_t next_rest;	/* atomic, relaxed: only spreads */

void checked_start(void)
{
	checked_has_memcheck = annotate_has_memcheck();
}

/* Tools would see the looks at what they forbid. */
static bool fills(void)
{
	return CHECKED_VERIFY && !ANNOTATE_ASAN && !checked_has_memcheck;
}

/* ---------------------------------------------------------------- tails */

static uintptr_t tail_at(const void *object, size_t slot_bytes)
{
	return (uintptr_t)object + slot_bytes - sizeof(struct tail);
}

static uint64_t seal(const void *object, uint64_t bytes, uint64_t state)
{
	return (bytes + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ (uintptr_t)object ^ state;
}

static ANNOTATE_UNSEEN struct tail read_tail(const void *object, size_t slot_bytes)
{
	uintptr_t at = tail_at(object, slot_bytes);
	struct tail tail;

	annotate_open(at, at + sizeof(tail));
	tail.bytes = ((const volatile struct tail *)at)->bytes;
	tail.seal = ((const volatile struct tail *)at)->seal;
	annotate_shut(at, at + sizeof(tail));
	return tail;
}

static ANNOTATE_UNSEEN void write_tail(const void *object, size_t slot_bytes, uint64_t bytes, uint64_t state)
{
	uintptr_t at = tail_at(object, slot_bytes);

	annotate_open(at, at + sizeof(struct tail));
	((volatile struct tail *)at)->bytes = bytes;
	((volatile struct tail *)at)->seal = seal(object, bytes, state);
	annotate_shut(at, at + sizeof(struct tail));
}

static bool is_sealed(const void *object, struct tail tail, uint64_t state)
{
	return tail.seal == seal(object, tail.bytes, state);
}

/* ---------------------------------------------------------------- fillings */

static void fill(uintptr_t base, uintptr_t limit, int value)
{
	memset((void *)base, value, limit - base);
}

/* The first byte that is not @value, or @limit. */
static uintptr_t find_other(uintptr_t base, uintptr_t limit, unsigned char value)
{
	while (base < limit && *(const unsigned char *)base == value)
		base++;
	return base;
}

static __attribute__((noreturn)) void damaged(const void *object, size_t bytes, uintptr_t at, const char *what)
{
	panic("%s: object %p of %zu bytes, byte %zu", what, object, bytes, at - (uintptr_t)object);
}

static void check_zone(const void *object, size_t slot_bytes, size_t bytes)
{
	uintptr_t limit = tail_at(object, slot_bytes), at = find_other((uintptr_t)object + bytes, limit, FILL_ZONE);

	if (at < limit)
		damaged(object, bytes, at, "overflow, found when the object was freed");
}

static void check_freed(const void *object, size_t slot_bytes, size_t bytes)
{
	uintptr_t limit = tail_at(object, slot_bytes), at = find_other((uintptr_t)object, limit, FILL_FREED);

	if (at < limit)
		damaged(object, bytes, at, "write after free");
}

void checked_new_span(uintptr_t base, unsigned int class)
{
	size_t bytes = size_classes[class].bytes;

	for (unsigned int slot = 0; fills() && slot < class_slots(class); slot++)
		*(struct tail *)tail_at((const void *)(base + slot * bytes), bytes) = (struct tail){ 0 };
}

/* Whether it has pages to itself: those were anybody's before. */
static bool has_pages(const void *object)
{
	uint32_t page;

	return span_state(heap_find_span(object, &page, "malloc()")) == SPAN_LARGE;
}

/* A slot that was an object before, and has been a free one of the same span since, holds what it was filled with. */
static void check_reused(const void *object, size_t slot_bytes)
{
	struct tail tail = read_tail(object, slot_bytes);

	if (is_sealed(object, tail, SEAL_FREED))
		check_freed(object, slot_bytes, tail.bytes);
}

/* ---------------------------------------------------------------- slots */

static void *take_slot(struct heap *heap, size_t bytes, size_t align_bytes)
{
	struct cache *cache = heap_cache_get(heap);
	unsigned int class = CLASS_NONE;
	bool is_zero;

	if (bytes <= CLASS_MAX_BYTES && align_bytes <= PAGE_BYTES)
		class = heap_aligned_class(class_of(bytes), align_bytes);
	if (class == CLASS_NONE || !cache)
		return heap_alloc_large(heap, bytes, align_bytes, &is_zero);
	return cache_alloc(cache, class, heap);
}

static void maybe_validate(struct heap *heap)
{
	const struct cache *cache;
	static __thread uint32_t nr_calls __attribute__((tls_model("initial-exec")));

	if (!CHECKED_VERIFY || ++nr_calls % VALIDATE_EVERY)
		return;
	lock_acquire(&heap->lock);
	palloc_validate(&heap->pages);
	lock_release(&heap->lock);
	/* Those of other threads are at work. */
	cache = heap_own_cache(heap->id);
	if (cache && cache != &cache_none)
		cache_validate(cache);
}

void *checked_alloc(struct heap *heap, size_t bytes, size_t align_bytes)
{
	size_t slot_bytes;
	void *object;

	maybe_validate(heap);
	if (bytes > SIZE_MAX - sizeof(struct tail))
		return NULL;
	object = take_slot(heap, bytes + sizeof(struct tail), align_bytes);
	/* A guarded one is looked after by inaccessible pages. */
	if (!object || guard_owns(object))
		return object;
	slot_bytes = heap_slot_bytes(object, "malloc()");
	if (fills()) {
		if (!has_pages(object))
			check_reused(object, slot_bytes);
		fill((uintptr_t)object, (uintptr_t)object + bytes, FILL_FRESH);
		fill((uintptr_t)object + bytes, tail_at(object, slot_bytes), FILL_ZONE);
	}
	write_tail(object, slot_bytes, bytes, SEAL_LIVE);
	annotate_born((uintptr_t)object, bytes, slot_bytes);
	return object;
}

/* Its rest is over. */
static void drop(void *object)
{
	if (fills())
		check_reused(object, heap_slot_bytes(object, "free()"));
	cache_free_any(object);
}

static void rest(void *object)
{
	/* The release and acquire hand over what is known of the object. */
	void *before = __atomic_exchange_n(&resting[atomic_add_relaxed(&next_rest, 1u) % REST], object, __ATOMIC_ACQ_REL);

	if (before)
		drop(before);
}

size_t checked_bytes(const void *object, const char *what)
{
	size_t slot_bytes = heap_slot_bytes(object, what);
	struct tail tail = read_tail(object, slot_bytes);

	if (is_sealed(object, tail, SEAL_FREED))
		heap_misuse(what, object, "it is free already");
	if (!is_sealed(object, tail, SEAL_LIVE))
		heap_misuse(what, object, "overflow: the record behind the object was overwritten");
	return tail.bytes;
}

void checked_free(void *object)
{
	size_t bytes = checked_bytes(object, "free()"), slot_bytes = heap_slot_bytes(object, "free()");

	maybe_validate(heap_of(object));
	if (fills()) {
		check_zone(object, slot_bytes, bytes);
		fill((uintptr_t)object, tail_at(object, slot_bytes), FILL_FREED);
	}
	write_tail(object, slot_bytes, bytes, SEAL_FREED);
	annotate_dead((uintptr_t)object, slot_bytes);
	if (slot_bytes > CLASS_MAX_BYTES)
		cache_free_any(object);
	else
		rest(object);
}

/* Always to another place, so that who keeps the old address is found. */
void *checked_realloc(struct heap *heap, void *object, size_t bytes)
{
	size_t old_bytes = checked_bytes(object, "realloc()");
	void *fresh = checked_alloc(heap, bytes, 1);

	if (!fresh)
		return NULL;
	memcpy(fresh, object, size_min(old_bytes, bytes));
	checked_free(object);
	return fresh;
}

bool checked_is_live(const void *object, size_t slot_bytes, size_t *bytes)
{
	struct tail tail = read_tail(object, slot_bytes);

	*bytes = tail.bytes;
	return is_sealed(object, tail, SEAL_LIVE);
}

/* ---------------------------------------------------------------- ends */

/* Take each object of the heap out of its rest. */
static void end_rest(const struct heap *heap, void (*end)(void *object))
{
	for (size_t i = 0; i < REST; i++) {
		void *object = atomic_load_acquire(&resting[i]); /* pairs with rest() */

		if (object && heap_of(object) == heap && atomic_cas_acquire(&resting[i], &object, NULL))
			end(object);
	}
}

void checked_flush(struct heap *heap)
{
	end_rest(heap, drop);
}

static void do_nothing(void *object)
{
	(void)object;
}

static bool bury(void *unused, void *object, size_t bytes)
{
	(void)unused;
	annotate_dead((uintptr_t)object, bytes);
	return true;
}

void checked_forget(struct heap *heap)
{
	end_rest(heap, do_nothing);
	heap_walk(heap, bury, NULL);
}
