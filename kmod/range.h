/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which slots of a space are reserved, and which of those are kept, as a tree of disjoint ranges.
 * Setting a range costs the logarithm of the number of ranges, whatever its length: that is
 * what makes KEEP and its re-reserve constant in chunks.
 */
#ifndef ARENA_RANGE_H
#define ARENA_RANGE_H

#include <linux/atomic.h>
#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/types.h>

enum range_kind {
	RANGE_NONE,	/* not reserved; never stored */
	RANGE_HELD,	/* reserved */
	RANGE_KEPT,	/* reserved, contents discardable */
};

/**
 * struct slot_range - slots [first, end) of one kind
 * @node: in range_map.tree, ordered by @first
 * @kept: in range_map.kept when @kind is RANGE_KEPT
 */
struct slot_range {
	struct rb_node node;
	struct list_head kept;
	unsigned long first;
	unsigned long end;
	enum range_kind kind;
};

/**
 * struct range_map - disjoint ranges; HELD neighbors are merged, KEPT ones keep their own age
 * @tree: all ranges
 * @kept: kept ranges, oldest first
 * @nr_slots: slots in all ranges
 * @nr_kept: slots in kept ranges; <= @nr_slots
 * @kept_total: sum of @nr_kept over the maps of one group; atomic
 *
 * Guarded by the lock of the view that contains it.
 */
struct range_map {
	struct rb_root tree;
	struct list_head kept;
	unsigned long nr_slots;
	unsigned long nr_kept;
	atomic_long_t *kept_total;
};

/* Two splits and one insertion: what range_set() may need. */
#define RANGE_SPARES 3

/** struct range_spares - nodes allocated before the point of no return */
struct range_spares {
	struct slot_range *range[RANGE_SPARES];
	int nr;
};

/** struct range_count - slots of a stretch by kind */
struct range_count {
	unsigned long none;
	unsigned long held;
	unsigned long kept;
};

int range_cache_init(void);
void range_cache_exit(void);

void range_map_init(struct range_map *map, atomic_long_t *kept_total);
void range_map_fini(struct range_map *map);

/** 0 or -ENOMEM; give what is left back with range_spares_put(). */
int range_spares_get(struct range_spares *spares);
void range_spares_put(struct range_spares *spares);

/** Make [@first, @end) of @kind; cannot fail with full @spares. */
void range_set(struct range_map *map, unsigned long first, unsigned long end, enum range_kind kind,
	       struct range_spares *spares);
/** The first range that ends after @slot, or NULL. */
struct slot_range *range_after(struct range_map *map, unsigned long slot);
struct range_count range_count(struct range_map *map, unsigned long first, unsigned long end);

/**
 * Next stretch of [*@first, @end) without a reservation: its start in *@first, its end returned;
 * @end == *@first when none.
 */
unsigned long range_next_gap(struct range_map *map, unsigned long *first, unsigned long end);

/** The same for the next stretch that is reserved (within one range). */
unsigned long range_next_reserved(struct range_map *map, unsigned long *first, unsigned long end);

#endif /* ARENA_RANGE_H */
