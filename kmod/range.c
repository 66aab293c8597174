// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ranges of slots in a red-black tree. Every change is range_set(): split at both ends, drop
 * what lies between, insert, merge. Nodes come from spares taken beforehand, so that a change
 * that has begun cannot fail.
 */
#include <linux/atomic.h>
#include <linux/minmax.h>
#include <linux/slab.h>

#include "range.h"

static struct kmem_cache *range_cache;

int range_cache_init(void)
{
	range_cache = KMEM_CACHE(slot_range, SLAB_ACCOUNT);
	return range_cache ? 0 : -ENOMEM;
}

void range_cache_exit(void)
{
	kmem_cache_destroy(range_cache);
}

void range_map_init(struct range_map *map, atomic_long_t *kept_total)
{
	map->tree = RB_ROOT;
	INIT_LIST_HEAD(&map->kept);
	map->nr_slots = 0;
	map->nr_kept = 0;
	map->kept_total = kept_total;
}

int range_spares_get(struct range_spares *spares)
{
	for (spares->nr = 0; spares->nr < RANGE_SPARES; spares->nr++) {
		spares->range[spares->nr] = kmem_cache_alloc(range_cache, GFP_KERNEL);
		if (!spares->range[spares->nr]) {
			range_spares_put(spares);
			return -ENOMEM;
		}
	}
	return 0;
}

void range_spares_put(struct range_spares *spares)
{
	while (spares->nr)
		kmem_cache_free(range_cache, spares->range[--spares->nr]);
}

static struct slot_range *range_of(struct rb_node *node)
{
	return rb_entry_safe(node, struct slot_range, node);
}

struct slot_range *range_after(struct range_map *map, unsigned long slot)
{
	struct rb_node *node = map->tree.rb_node;
	struct slot_range *found = NULL;

	while (node) {
		struct slot_range *range = range_of(node);

		if (range->end > slot) {
			found = range;
			node = node->rb_left;
		} else {
			node = node->rb_right;
		}
	}
	return found;
}

static void range_link(struct range_map *map, struct slot_range *range)
{
	struct rb_node **link = &map->tree.rb_node, *parent = NULL;

	while (*link) {
		parent = *link;
		link = range->first < range_of(parent)->first ? &parent->rb_left
							      : &parent->rb_right;
	}
	rb_link_node(&range->node, parent, link);
	rb_insert_color(&range->node, &map->tree);
}

/* @nr slots of @kind come (or go, when negative). */
static void range_account(struct range_map *map, enum range_kind kind, long nr)
{
	WRITE_ONCE(map->nr_slots, map->nr_slots + nr);
	if (kind == RANGE_KEPT) {
		WRITE_ONCE(map->nr_kept, map->nr_kept + nr);
		atomic_long_add(nr, map->kept_total);
	}
}

static void range_insert(struct range_map *map, struct slot_range *range,
			 struct list_head *kept_before)
{
	range_link(map, range);
	range_account(map, range->kind, range->end - range->first);
	if (range->kind == RANGE_KEPT)
		list_add_tail(&range->kept, kept_before);
}

static void range_remove(struct range_map *map, struct slot_range *range)
{
	rb_erase(&range->node, &map->tree);
	range_account(map, range->kind, (long)range->first - (long)range->end);
	if (range->kind == RANGE_KEPT)
		list_del(&range->kept);
	kmem_cache_free(range_cache, range);
}

/*
 * Cut the range that contains @slot in two at @slot, if there is one. The halves have the same age.
 */
static void range_split(struct range_map *map, unsigned long slot, struct range_spares *spares)
{
	struct slot_range *left = range_after(map, slot), *right;

	if (!left || left->first >= slot)
		return;
	right = spares->range[--spares->nr];
	right->first = slot;
	right->end = left->end;
	right->kind = left->kind;
	/* The left half shrinks first, so that the counts stay right when the other is inserted. */
	range_account(map, left->kind, (long)slot - (long)left->end);
	left->end = slot;
	range_insert(map, right, left->kind == RANGE_KEPT ? left->kept.next : NULL);
}

static bool range_can_merge(struct slot_range *left, struct slot_range *right)
{
	return left && right && left->kind == RANGE_HELD && right->kind == RANGE_HELD &&
	       left->end == right->first;
}

static void range_merge(struct range_map *map, struct slot_range *left, struct slot_range *right)
{
	unsigned long end = right->end;

	if (!range_can_merge(left, right))
		return;
	range_remove(map, right);
	range_account(map, left->kind, end - left->end);
	left->end = end;
}

void range_set(struct range_map *map, unsigned long first, unsigned long end, enum range_kind kind,
	       struct range_spares *spares)
{
	struct slot_range *range, *next;

	range_split(map, first, spares);
	range_split(map, end, spares);
	for (range = range_after(map, first); range && range->first < end; range = next) {
		next = range_of(rb_next(&range->node));
		range_remove(map, range);
	}
	if (kind == RANGE_NONE)
		return;
	range = spares->range[--spares->nr];
	range->first = first;
	range->end = end;
	range->kind = kind;
	range_insert(map, range, &map->kept);
	range_merge(map, range, range_of(rb_next(&range->node)));
	range_merge(map, range_of(rb_prev(&range->node)), range);
}

struct range_count range_count(struct range_map *map, unsigned long first, unsigned long end)
{
	struct range_count count = { .none = end - first };
	struct slot_range *range;

	for (range = range_after(map, first); range && range->first < end;
	     range = range_of(rb_next(&range->node))) {
		unsigned long nr = min(range->end, end) - max(range->first, first);

		count.none -= nr;
		*(range->kind == RANGE_KEPT ? &count.kept : &count.held) += nr;
	}
	return count;
}

unsigned long range_next_gap(struct range_map *map, unsigned long *first, unsigned long end)
{
	struct slot_range *range = range_after(map, *first);

	while (range && range->first <= *first && *first < end) {
		*first = min(range->end, end);
		range = range_of(rb_next(&range->node));
	}
	return range ? clamp(range->first, *first, end) : end;
}

unsigned long range_next_reserved(struct range_map *map, unsigned long *first, unsigned long end)
{
	struct slot_range *range = range_after(map, *first);

	if (!range || range->first >= end)
		return *first = end;
	*first = max(range->first, *first);
	return min(range->end, end);
}

void range_map_fini(struct range_map *map)
{
	struct rb_node *node;

	while ((node = rb_first(&map->tree)))
		range_remove(map, range_of(node));
}
