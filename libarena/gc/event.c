// SPDX-License-Identifier: MIT
/* Rings of events. */
#include "gc/event.h"

#define RING_BYTES align_up(sizeof(struct gc_ring), PAGE_BYTES)
/* A handshake, its phase, its cycle. */
#define INNER_PLACES 3u

void gc_rings_init(struct gc_rings *rings)
{
	*rings = (struct gc_rings){ .lock = LOCK_INIT(LOCK_GC_EVENT) };
}

void gc_rings_fini(struct gc_rings *rings)
{
	struct gc_ring *ring, *next;

	for (ring = rings->first; ring; ring = next) {
		next = ring->next;
		os_unreserve(ring, RING_BYTES);
	}
	gc_rings_init(rings);
}

static struct gc_ring *take_free_locked(struct gc_rings *rings)
{
	struct gc_ring *ring = rings->free;

	if (ring)
		rings->free = ring->next_free;
	return ring;
}

static struct gc_ring *make_locked(struct gc_rings *rings)
{
	struct gc_ring *ring = os_table(RING_BYTES);

	if (!ring)
		return NULL;
	ring->next = rings->first;
	rings->first = ring;
	return ring;
}

struct gc_ring *gc_ring_get(struct gc_rings *rings)
{
	struct gc_ring *ring;

	lock_acquire(&rings->lock);
	ring = take_free_locked(rings);
	if (!ring)
		ring = make_locked(rings);
	lock_release(&rings->lock);
	return ring;
}

void gc_ring_put(struct gc_rings *rings, struct gc_ring *ring)
{
	if (!ring)
		return;
	lock_acquire(&rings->lock);
	ring->next_free = rings->free;
	rings->free = ring;
	lock_release(&rings->lock);
}

struct gc_ring *gc_rings_first(struct gc_rings *rings)
{
	struct gc_ring *first;

	lock_acquire(&rings->lock);
	first = rings->first;
	lock_release(&rings->lock);
	return first;
}

/* What lies within another, which comes later, leaves places for that. */
static uint32_t places(const struct gc_event *event)
{
	bool is_outermost = event->kind == GC_EVENT_CYCLE || event->kind == GC_EVENT_ALLOC || event->kind == GC_EVENT_POLL;

	return is_outermost ? 1 : INNER_PLACES;
}

void gc_ring_add(struct gc_ring *ring, const struct gc_event *event)
{
	uint32_t head = atomic_load_relaxed(&ring->head);

	/* The acquire pairs with gc_ring_take(): a place is written to after it was read. */
	if (head - atomic_load_acquire(&ring->tail) + places(event) > GC_RING_EVENTS) {
		atomic_add_relaxed(&ring->lost, 1u);
		return;
	}
	ring->events[head % GC_RING_EVENTS] = *event;
	/* The release pairs with gc_ring_take(). */
	atomic_store_release(&ring->head, head + 1);
}

bool gc_ring_take(struct gc_ring *ring, struct gc_event *event)
{
	uint32_t tail = atomic_load_relaxed(&ring->tail);

	/* Pairs with gc_ring_add(). */
	if (tail == atomic_load_acquire(&ring->head))
		return false;
	*event = ring->events[tail % GC_RING_EVENTS];
	/* The release pairs with gc_ring_add(). */
	atomic_store_release(&ring->tail, tail + 1);
	return true;
}
