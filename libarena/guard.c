// SPDX-License-Identifier: MIT
/*
 * Pages of guarded objects. Place i is page 2 i + 1 of a range of its own, apart from the heaps' region: its protections would cut huge pages
 * to pieces there, and free() takes a slow path for what is not in the region anyway.
 *
 * An object lies at the end of its page or at the beginning, in turn: overflow is more frequent than underflow, but both happen. What
 * is left of the page is filled and looked at when the object is freed, for what is less than the alignment.
 *
 * What is known of a freed object is kept until its place is used again: the places that were freed first come first.
 *
 * invariant: each place is UNUSED, LIVE or FREED; those FREED, in order, are a list from first_freed.
 */
#include "guard.h"

#include <errno.h>
#include <string.h>

#include "lock.h"
#include "profile.h"

#define ALIGN_BYTES ((size_t)16)
#define FILL_BYTE 0xb5
#define PLACE_NONE UINT32_MAX
/* Longer ones are cut: this runs on the stack of a signal. */
#define NAME_BYTES 512

enum place_state { PLACE_UNUSED, PLACE_LIVE, PLACE_FREED };

/* Guarded by the lock; the handler of faults reads them without. */
struct place {
	uintptr_t object;
	size_t bytes;
	void *owner;
	uint32_t sample;
	uint32_t allocated, freed; /* sites; SITE_NONE = not known */
	uint32_t next;		/* FREED: the one that was freed next */
	uint32_t state;		/* enum place_state */
};

uintptr_t guard_base;
size_t guard_bytes;

static struct lock lock = LOCK_INIT(LOCK_GUARD);
static struct place *places;	/* fixed before guard_bytes is set, as the next and guard_base */
static uint32_t nr_places;
static uint32_t nr_used;	/* places that were used once; guarded by lock, as all below */
static uint32_t first_freed = PLACE_NONE, last_freed = PLACE_NONE;
static bool at_beginning;

/* ---------------------------------------------------------------- places */

int guard_start(uint32_t nr)
{
	size_t bytes = (2 * (size_t)nr + 1) * PAGE_BYTES, table_bytes = align_up(nr * sizeof(*places), PAGE_BYTES);
	void *table, *base;

	if (guard_bytes)
		return 0;
	table = os_table(table_bytes);
	base = table ? os_reserve(bytes, PAGE_BYTES) : NULL;
	if (!base) {
		if (table)
			os_unreserve(table, table_bytes);
		return -ENOMEM;
	}
	places = table;
	nr_places = nr;
	/* Relaxed: guard_owns() reads it before it knows that there is one. */
	atomic_store_relaxed(&guard_base, (uintptr_t)base);
	atomic_store_release(&guard_bytes, bytes); /* pairs with guard_owns() and guard_alloc() */
	return 0;
}

static uintptr_t page_of(const struct place *place)
{
	return guard_base + (2 * (size_t)(place - places) + 1) * PAGE_BYTES;
}

/* The place whose page, or one of whose inaccessible neighbors, an address is in: of a page between two the one that is nearer. */
static struct place *place_near(uintptr_t address)
{
	size_t half = (address - guard_base) / (PAGE_BYTES / 2), nr = half < 2 ? 0 : (half - 1) / 4;

	return &places[size_min(nr, nr_places - 1)];
}

/* With the lock held. */
static struct place *take_place(void)
{
	struct place *place;

	if (nr_used < nr_places)
		return &places[nr_used++];
	if (first_freed == PLACE_NONE)
		return NULL;
	place = &places[first_freed];
	first_freed = place->next;
	if (first_freed == PLACE_NONE)
		last_freed = PLACE_NONE;
	return place;
}

/* With the lock held. */
static void put_place(struct place *place)
{
	uint32_t i = (uint32_t)(place - places);

	place->next = PLACE_NONE;
	if (last_freed == PLACE_NONE)
		first_freed = i;
	else
		places[last_freed].next = i;
	last_freed = i;
}

/* ---------------------------------------------------------------- reports */

static void report_stack(const char *what, uint32_t site)
{
	unsigned int nr;
	const uintptr_t *addresses = profile_addresses(site, &nr);

	if (nr)
		report("%s by", what);
	for (unsigned int i = 0; i < nr; i++) {
		char name[NAME_BYTES];
		struct text text;

		text_init(&text, name, sizeof(name));
		stack_put_name(&text, addresses[i]);
		report("  %s", name);
	}
}

static void report_stacks(const struct place *place)
{
	if (place->state == PLACE_UNUSED)
		return;
	report_stack("allocated", place->allocated);
	if (place->state == PLACE_FREED)
		report_stack("freed", place->freed);
}

void guard_report_stacks(uintptr_t address)
{
	if (guard_owns((void *)address))
		report_stacks(place_near(address));
}

bool guard_describe(uintptr_t address, struct text *text)
{
	const struct place *place;

	if (!guard_owns((void *)address))
		return false;
	place = place_near(address);
	if (place->state == PLACE_UNUSED)
		text_put(text, "a page that guards objects, near none");
	else if (address < place->object)
		text_put(text, "%zu bytes before a %s object of %zu bytes at %p", (size_t)(place->object - address),
			 place->state == PLACE_FREED ? "freed" : "guarded", place->bytes, (void *)place->object);
	else
		text_put(text, "%zu bytes %s a %s object of %zu bytes at %p",
			 address - place->object - (address < place->object + place->bytes ? 0 : place->bytes),
			 address < place->object + place->bytes ? "into" : "behind",
			 place->state == PLACE_FREED ? "freed" : "guarded", place->bytes, (void *)place->object);
	return true;
}

static __attribute__((noreturn, cold)) void misuse(const struct place *place, const char *what, const void *object, const char *why)
{
	report_stacks(place);
	panic("%s of %p: %s", what, object, why);
}

/* ---------------------------------------------------------------- objects */

static void fill(uintptr_t from, uintptr_t to)
{
	memset((void *)from, FILL_BYTE, to - from);
}

static bool is_filled(uintptr_t from, uintptr_t to)
{
	const unsigned char *at = (const unsigned char *)from;

	while (at < (const unsigned char *)to)
		if (*at++ != FILL_BYTE)
			return false;
	return true;
}

/* With the lock held: memory for an object in a place, or false. */
static bool lay_out(struct place *place, size_t bytes)
{
	uintptr_t page = page_of(place);

	if (os_open((void *)page, PAGE_BYTES, OS_PAGES_SMALL))
		return false;
	place->object = at_beginning ? page : page + PAGE_BYTES - align_up(bytes, ALIGN_BYTES);
	place->bytes = bytes;
	at_beginning = !at_beginning;
	fill(page, place->object);
	fill(place->object + bytes, page + PAGE_BYTES);
	return true;
}

void *guard_alloc(void *owner, size_t bytes, uint32_t sample)
{
	uint32_t site = sample ? profile_site_of(sample) : SITE_NONE;
	struct place *place;
	void *object = NULL;

	/* The acquire pairs with guard_start(). */
	if (!atomic_load_acquire(&guard_bytes) || !bytes || bytes > GUARD_MAX_BYTES)
		return NULL;
	lock_acquire(&lock);
	place = take_place();
	if (place && !lay_out(place, bytes)) {
		put_place(place);
		place = NULL;
	}
	if (place) {
		place->owner = owner;
		place->sample = sample;
		place->allocated = site;
		place->freed = SITE_NONE;
		place->state = PLACE_LIVE;
		object = (void *)place->object;
	}
	lock_release(&lock);
	return object;
}

/* With the lock held: the object faults from now on. */
static void retire(struct place *place, uint32_t site)
{
	/* Only a full address map refuses; then it faults when there is room again. */
	if (os_close((void *)page_of(place), PAGE_BYTES))
		os_drop((void *)page_of(place), PAGE_BYTES);
	place->state = PLACE_FREED;
	place->freed = site;
	put_place(place);
}

/* With the lock held: the place of an object that lives; panics when there is none. */
static struct place *living(const void *object, const char *what)
{
	struct place *place = place_near((uintptr_t)object);

	if (place->state == PLACE_FREED && place->object == (uintptr_t)object)
		misuse(place, what, object, "it is free already");
	if (place->state != PLACE_LIVE || place->object != (uintptr_t)object)
		misuse(place, what, object, "no object begins there");
	return place;
}

uint32_t guard_free(void *object)
{
	uint32_t site = profile_site(SITE_FREE), sample;
	struct place *place;
	uintptr_t page;

	lock_acquire(&lock);
	place = living(object, "free()");
	page = page_of(place);
	if (!is_filled(page, place->object))
		misuse(place, "free()", object, "somebody wrote before it");
	if (!is_filled(place->object + place->bytes, page + PAGE_BYTES))
		misuse(place, "free()", object, "somebody wrote behind it");
	sample = place->sample;
	retire(place, site);
	lock_release(&lock);
	return sample;
}

size_t guard_usable_bytes(const void *object, const char *what)
{
	size_t bytes;

	lock_acquire(&lock);
	bytes = living(object, what)->bytes;
	lock_release(&lock);
	return bytes;
}

void *guard_owner(const void *object)
{
	const struct place *place;

	if (!guard_owns(object))
		return NULL;
	place = place_near((uintptr_t)object);
	return place->state == PLACE_LIVE ? place->owner : NULL;
}

void guard_free_all(const void *owner, void (*forget)(uint32_t sample))
{
	lock_acquire(&lock);
	for (uint32_t i = 0; i < nr_used; i++) {
		struct place *place = &places[i];

		if (place->state != PLACE_LIVE || place->owner != owner)
			continue;
		forget(place->sample);
		retire(place, SITE_NONE);
	}
	lock_release(&lock);
}

void guard_fork_prepare(void)
{
	lock_acquire(&lock);
}

void guard_fork_done(void)
{
	lock_release(&lock);
}
