// SPDX-License-Identifier: GPL-2.0-only
/*
 * The per-CPU slots. Each has its own lock, which only whoever drains it takes from elsewhere. A
 * slot remembers the pool of its chunk; that pool exists while the chunk is in the slot, because a
 * group drains the slots before it ends.
 */
#include <linux/cpuhotplug.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/spinlock.h>

#include "cpu_slot.h"
#include "pool.h"

/**
 * struct cpu_slot - a place for one idle chunk
 * @lock: guards the rest
 * @pool: where @chunk belongs
 * @chunk: NULL when empty
 * @is_used: since the last look of cpu_slots_age()
 */
struct cpu_slot {
	spinlock_t lock;
	struct pool *pool;
	struct folio *chunk;
	bool is_used;
};

static DEFINE_PER_CPU_ALIGNED(struct cpu_slot, slots);
static int hotplug_state; /* fixed after init */

struct folio *cpu_slot_take(struct pool *pool)
{
	struct cpu_slot *slot = raw_cpu_ptr(&slots);
	struct folio *chunk = NULL;

	spin_lock(&slot->lock);
	if (slot->chunk && slot->pool == pool) {
		chunk = slot->chunk;
		WRITE_ONCE(slot->chunk, NULL);
		slot->is_used = true;
	}
	spin_unlock(&slot->lock);
	return chunk;
}

bool cpu_slot_give(struct pool *pool, struct folio *chunk)
{
	struct cpu_slot *slot = raw_cpu_ptr(&slots);
	bool is_free;

	spin_lock(&slot->lock);
	is_free = !slot->chunk;
	if (is_free) {
		WRITE_ONCE(slot->pool, pool);
		WRITE_ONCE(slot->chunk, chunk);
		slot->is_used = true;
	}
	spin_unlock(&slot->lock);
	return is_free;
}

static bool slot_matches(struct cpu_slot *slot, struct pool_group *group, int nid)
{
	if (!slot->chunk || (nid != NUMA_NO_NODE && folio_nid(slot->chunk) != nid))
		return false;
	return !group || slot->pool->group == group;
}

static struct folio *slot_empty_locked(struct cpu_slot *slot)
{
	struct folio *chunk = slot->chunk;

	WRITE_ONCE(slot->chunk, NULL);
	return chunk;
}

/* Whether a chunk of @group on @nid was there. */
static bool slot_drain(struct cpu_slot *slot, struct pool_group *group, int nid,
		       struct list_head *chunks, bool try)
{
	bool matches;

	if (!try)
		spin_lock(&slot->lock);
	else if (!spin_trylock(&slot->lock))
		return false;
	matches = slot_matches(slot, group, nid);
	if (matches)
		list_add(&slot_empty_locked(slot)->lru, chunks);
	spin_unlock(&slot->lock);
	return matches;
}

unsigned long cpu_slot_drain(struct pool_group *group, int nid, unsigned long max,
			     struct list_head *chunks, bool try)
{
	unsigned long nr = 0;
	int cpu;

	for_each_possible_cpu(cpu) {
		struct cpu_slot *slot = per_cpu_ptr(&slots, cpu);

		if (nr < max && READ_ONCE(slot->chunk))
			nr += slot_drain(slot, group, nid, chunks, try);
	}
	return nr;
}

static void slot_flush_locked(struct cpu_slot *slot)
{
	pool_push(slot->pool, slot_empty_locked(slot));
}

void cpu_slot_flush(struct pool_group *group)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct cpu_slot *slot = per_cpu_ptr(&slots, cpu);

		spin_lock(&slot->lock);
		if (slot_matches(slot, group, NUMA_NO_NODE))
			slot_flush_locked(slot);
		spin_unlock(&slot->lock);
	}
}

unsigned long cpu_slots_age(void)
{
	unsigned long nr = 0;
	int cpu;

	for_each_possible_cpu(cpu) {
		struct cpu_slot *slot = per_cpu_ptr(&slots, cpu);

		spin_lock(&slot->lock);
		if (slot->chunk && !slot->is_used)
			slot_flush_locked(slot);
		nr += !!slot->chunk;
		slot->is_used = false;
		spin_unlock(&slot->lock);
	}
	return nr;
}

unsigned long cpu_slot_nr(struct pool *pool)
{
	unsigned long nr = 0;
	int cpu;

	for_each_possible_cpu(cpu) {
		struct cpu_slot *slot = per_cpu_ptr(&slots, cpu);

		nr += READ_ONCE(slot->chunk) && READ_ONCE(slot->pool) == pool;
	}
	return nr;
}

struct cpu_slot_count cpu_slot_count(struct pool_group *group, int nid)
{
	struct cpu_slot_count count = {};
	int cpu;

	for_each_possible_cpu(cpu) {
		struct cpu_slot *slot = per_cpu_ptr(&slots, cpu);

		if (!READ_ONCE(slot->chunk))
			continue;
		spin_lock(&slot->lock);
		if (slot_matches(slot, group, nid))
			++*(chunk_is_uncleared(slot->chunk) ? &count.dirty : &count.clean);
		spin_unlock(&slot->lock);
	}
	return count;
}

/*
 * The CPU is gone, its chunk is not. It goes to the system: only who has a reference to the group
 * may push into its pools.
 */
static int cpu_slot_cpu_dead(unsigned int cpu)
{
	struct cpu_slot *slot = per_cpu_ptr(&slots, cpu);
	LIST_HEAD(chunks);

	spin_lock(&slot->lock);
	if (slot->chunk)
		list_add(&slot_empty_locked(slot)->lru, &chunks);
	spin_unlock(&slot->lock);
	pool_return(&chunks);
	return 0;
}

int cpu_slots_init(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		spin_lock_init(&per_cpu_ptr(&slots, cpu)->lock);
	hotplug_state = cpuhp_setup_state_nocalls(CPUHP_BP_PREPARE_DYN, "arena:dead", NULL,
						  cpu_slot_cpu_dead);
	return min(hotplug_state, 0);
}

void cpu_slots_exit(void)
{
	cpuhp_remove_state_nocalls(hotplug_state);
}
