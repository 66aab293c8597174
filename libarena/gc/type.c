// SPDX-License-Identifier: MIT
/* Types and kinds: made under the heap's lock, never changed, gone with the heap. */
#include "gc/type.h"

#include <errno.h>
#include <string.h>

#define KINDS_BYTES align_up(GC_KINDS_MAX * sizeof(struct gc_kind), PAGE_BYTES)

/* A page has no more slots than a span's words have bits. */
#define SLOT_LEAST_BYTES (PAGE_BYTES / SPAN_MAX_SLOTS)

static size_t type_bytes(size_t nr_offsets)
{
	return align_up(sizeof(struct arena_gc_type) + nr_offsets * sizeof(uint32_t), PAGE_BYTES);
}

static bool is_layout(const struct arena_gc_layout *layout)
{
	if (!layout->bytes || layout->bytes > UINT32_MAX || (layout->scan && layout->nr_pointers) || layout->nr_pointers > layout->bytes / sizeof(void *))
		return false;
	for (size_t i = 0; i < layout->nr_pointers; i++)
		if (layout->pointers[i] % sizeof(void *) || layout->pointers[i] + sizeof(void *) > layout->bytes)
			return false;
	/* Else those of every second element of an array would not be aligned. */
	return !layout->nr_pointers || layout->bytes % sizeof(void *) == 0;
}

static enum gc_scan scan_of(const struct arena_gc_layout *layout)
{
	if (layout->scan)
		return GC_SCAN_FUNCTION;
	return layout->nr_pointers ? GC_SCAN_POINTERS : GC_SCAN_NONE;
}

static struct arena_gc_type *new_type(const struct arena_gc_layout *layout, enum gc_scan scan)
{
	struct arena_gc_type *type = is_layout(layout) ? os_table(type_bytes(layout->nr_pointers)) : NULL;

	if (!type)
		return NULL;
	type->name = layout->name;
	type->bytes = layout->bytes;
	type->scan = scan;
	type->is_loose = scan == GC_SCAN_ALL || scan == GC_SCAN_EPHEMERON;
	type->function = layout->scan;
	type->nr_offsets = (uint32_t)layout->nr_pointers;
	for (size_t i = 0; i < layout->nr_pointers; i++)
		type->offsets[i] = layout->pointers[i];
	return type;
}

struct arena_gc_type *gc_type_make(struct gc_types *types, const struct arena_gc_layout *layout, enum gc_scan scan)
{
	struct arena_gc_type *type = new_type(layout, scan);

	if (!type)
		return NULL;
	type->owner = types;
	type->single = gc_kind_get(types, type, gc_class_of(type->bytes));
	if (!type->single) {
		os_unreserve(type, type_bytes(type->nr_offsets));
		return NULL;
	}
	lock_acquire(types->lock);
	type->next = types->first;
	types->first = type;
	lock_release(types->lock);
	return type;
}

struct arena_gc_type *gc_type_create(struct gc_types *types, const struct arena_gc_layout *layout)
{
	return gc_type_make(types, layout, scan_of(layout));
}

int gc_types_init(struct gc_types *types, struct lock *lock)
{
	static const struct arena_gc_layout bytes = { .name = "bytes", .bytes = 1 }, words = { .name = "words", .bytes = sizeof(void *) };

	*types = (struct gc_types){ .lock = lock, .kinds = os_table(KINDS_BYTES), .nr_kinds = 1 };
	if (!types->kinds)
		return -ENOMEM;
	types->atomic = gc_type_make(types, &bytes, GC_SCAN_NONE);
	types->conservative = gc_type_make(types, &words, GC_SCAN_ALL);
	if (types->atomic && types->conservative)
		return 0;
	gc_types_fini(types);
	return -ENOMEM;
}

void gc_types_fini(struct gc_types *types)
{
	struct arena_gc_type *type, *next;

	for (type = types->first; type; type = next) {
		next = type->next;
		os_unreserve(type, type_bytes(type->nr_offsets));
	}
	if (types->kinds)
		os_unreserve(types->kinds, KINDS_BYTES);
}

/* Of an element at the slot's @base-th word. */
static uint64_t element_words(const struct arena_gc_type *type, uint32_t base)
{
	uint64_t words = 0;

	for (uint32_t i = 0; i < type->nr_offsets; i++)
		words |= (uint64_t)1 << (base + type->offsets[i] / sizeof(void *));
	return words;
}

static uint64_t slot_words(const struct arena_gc_type *type, uint32_t nr_words)
{
	uint32_t element = (uint32_t)(type->bytes / sizeof(void *));
	uint64_t words = 0;

	if (type->scan == GC_SCAN_ALL)
		return bits_below(nr_words);
	if (type->scan != GC_SCAN_POINTERS || type->bytes % sizeof(void *))
		return 0;
	for (uint32_t base = 0; base + element <= nr_words; base += element)
		words |= element_words(type, base);
	return words;
}

static uint64_t words_of(const struct gc_kind *kind)
{
	uint32_t nr_words = kind->slot_bytes / (uint32_t)sizeof(void *);

	return nr_words && nr_words <= 64 ? slot_words(kind->type, nr_words) : 0;
}

/* Of small ones. An element whose size is no multiple of 16 needs no address that is one. An array of no element may have a class shorter than one. */
static uint32_t slot_bytes_of(const struct arena_gc_type *type, unsigned int class)
{
	uint32_t class_bytes = size_classes[class].bytes, bytes = (uint32_t)align_up(type->bytes, sizeof(void *));

	return bytes <= class_bytes && 2 * type->bytes > class_bytes && bytes >= SLOT_LEAST_BYTES ? bytes : class_bytes;
}

static void shape_slots(struct gc_kind *kind)
{
	if (kind->class == CLASS_NONE) {
		kind->nr_slots = 1;
		return;
	}
	kind->slot_bytes = slot_bytes_of(kind->type, kind->class);
	kind->nr_slots = (uint16_t)(size_classes[kind->class].pages * PAGE_BYTES / kind->slot_bytes);
}

static uint32_t make_kind_locked(struct gc_types *types, struct arena_gc_type *type, unsigned int class)
{
	uint32_t nr = types->nr_kinds;

	if (nr == GC_KINDS_MAX)
		return 0;
	types->kinds[nr] = (struct gc_kind){
		.lock = LOCK_INIT(LOCK_GC_KIND),
		.gen = types->gen,
		.type = type,
		.class = class,
		.scan = type->scan,
	};
	shape_slots(&types->kinds[nr]);
	types->kinds[nr].words = words_of(&types->kinds[nr]);
	/* The releases pair with gc_kinds(), and with the acquire in gc_kind_get(). */
	atomic_store_release(&types->nr_kinds, nr + 1);
	atomic_store_release(&type->kinds[class], (uint16_t)nr);
	return nr;
}

uint32_t gc_kind_get(struct gc_types *types, struct arena_gc_type *type, unsigned int class)
{
	uint32_t kind = atomic_load_acquire(&type->kinds[class]);

	if (likely(kind))
		return kind;
	lock_acquire(types->lock);
	kind = type->kinds[class];
	if (!kind)
		kind = make_kind_locked(types, type, class);
	lock_release(types->lock);
	return kind;
}

/* Who takes a span of a kind meanwhile finds it before the flip, and its span will be handed in when barriers go off, or after. */
static void flip(struct gc_space *space, struct gc_kind *kind, uint32_t gen)
{
	lock_acquire(&kind->lock);
	gc_list_splice(space, &kind->unswept, &kind->partial);
	gc_list_splice(space, &kind->unswept, &kind->full);
	kind->gen = gen;
	lock_release(&kind->lock);
}

void gc_kinds_flip(struct gc_space *space, struct gc_types *types)
{
	uint32_t gen, nr;

	/* A kind that is made later has the new number already. */
	lock_acquire(types->lock);
	gen = ++types->gen;
	nr = types->nr_kinds;
	lock_release(types->lock);
	for (uint32_t i = 1; i < nr; i++)
		flip(space, &types->kinds[i], gen);
}

void gc_kinds_finish_flip(struct gc_space *space, struct gc_types *types)
{
	for (uint32_t i = 1; i < gc_kinds(types); i++)
		if (types->kinds[i].gen != types->gen)
			flip(space, &types->kinds[i], types->gen);
}
