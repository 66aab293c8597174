// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pools of idle chunks.
 *
 * Why pools: assembling and zeroing 2 MiB costs a hundred times the fault that maps it. So chunks
 * that come back are kept, zeroed by a thread when nobody else wants the CPU (clear.c), and handed
 * out ready. A pool is a loan from the system: all together are bounded (pool_max_chunks), time
 * drains them (group.c), and the shrinker (pressure.c) and ARENA_IOC_TRIM take them back.
 *
 * Single chunks go through a slot of the CPU (cpu_slot.c) and touch no shared lock. A dirty chunk
 * there gives way to a clean one of the pool: one lock costs far less than zeroing.
 */
#include <linux/gfp.h>
#include <linux/jiffies.h>
#include <linux/memcontrol.h>
#include <linux/moduleparam.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include "clear.h"
#include "cpu_slot.h"
#include "group.h"
#include "placer.h"
#include "poison.h"
#include "pool.h"
#include "pressure.h"
#include "trace.h"

/* Chunks freed at a time: 32 MiB, a few hundred microseconds between two looks at the lock. */
#define TRIM_BATCH 16UL
/* Chunks given under one lock acquisition: some ten microseconds. */
#define GIVE_BATCH 128

/** struct pool_counters - of one node, ever; atomic */
struct pool_counters {
	atomic_long_t taken;
	atomic_long_t returned;
};

static struct pool_counters *counters;	/* by node; fixed after init */
static struct kmem_cache *pool_cache;
static atomic_long_t nr_idle;		/* in the lists of all pools */
static DECLARE_WAIT_QUEUE_HEAD(thread_done);	/* a clearing thread is not busy any more */

#ifdef ARENA_KUNIT
atomic_long_t pool_locks;
#endif

static unsigned long pool_max_chunks;

static int pool_max_set(const char *text, const struct kernel_param *param)
{
	unsigned long value;
	int err = kstrtoul(text, 0, &value);

	if (err)
		return err;
	if (value > totalram_pages() / CHUNK_PAGES)
		return -EINVAL;
	WRITE_ONCE(pool_max_chunks, value);
	return 0;
}

static const struct kernel_param_ops pool_max_ops = { .set = pool_max_set, .get = param_get_ulong };

module_param_cb(pool_max_chunks, &pool_max_ops, &pool_max_chunks, 0644);
MODULE_PARM_DESC(pool_max_chunks,
		 "Most idle chunks kept, all nodes together (default: 1/16 of memory)");

static void pool_lock(struct pool *pool) __acquires(&pool->lock)
{
	pool_lock_note();
	spin_lock(&pool->lock);
}

/* One with a memory error is never used again: its last reference is not dropped. */
static void chunk_to_system(struct folio *chunk)
{
	atomic_long_inc(&counters[folio_nid(chunk)].returned);
	chunk_set_uncleared(chunk, false);
	if (chunk_is_poisoned(chunk))
		chunk_retire(chunk);
	else
		folio_put(chunk);
}

unsigned long pool_return(struct list_head *chunks)
{
	struct folio *chunk, *next;
	unsigned long nr = 0;

	list_for_each_entry_safe(chunk, next, chunks, lru) {
		list_del(&chunk->lru);
		chunk_to_system(chunk);
		nr++;
	}
	return nr;
}

/* The shrinker finds it by the cgroup it is charged to, which is why that is the group's. */
static struct pool *pool_create(struct pool_group *group, int nid, gfp_t gfp)
{
	struct mem_cgroup *old = set_active_memcg(group->memcg);
	struct pool *pool = kmem_cache_alloc_node(pool_cache, gfp | __GFP_ZERO, nid);

	set_active_memcg(old);
	if (!pool)
		return NULL;
	pool->group = group;
	pool->nid = nid;
	spin_lock_init(&pool->lock);
	raw_spin_lock_init(&pool->hand_lock);
	idle_init(&pool->idle);
	INIT_LIST_HEAD(&pool->queue);
	INIT_LIST_HEAD(&pool->shrink);
	pool->used_jiffies = jiffies;
	pressure_add_pool(pool);
	return pool;
}

void pool_destroy(struct pool *pool)
{
	/* No shrinker looks at it after this. */
	pressure_remove_pool(pool);
	pool_trim_one(pool, ULONG_MAX);
	kmem_cache_free(pool_cache, pool);
}

/* The group's pool of @nid, made if need be; NULL when out of memory. */
static struct pool *pool_make(struct pool_group *group, int nid, gfp_t gfp)
{
	struct pool *pool = READ_ONCE(group->pools[nid]), *fresh;

	if (pool)
		return pool;
	fresh = pool_create(group, nid, gfp & ~__GFP_THISNODE);
	if (!fresh)
		return NULL;
	/* Full order: who finds it finds it filled in. */
	pool = cmpxchg(&group->pools[nid], NULL, fresh);
	if (pool)
		pool_destroy(fresh);
	return pool ?: fresh;
}

/*
 * A new chunk of one of @nodes, near to @near, charged to @group. The page allocator has zeroed it
 * already where init_on_alloc is on (Debian's default). A charge of this order never calls the OOM
 * killer: it fails.
 */
static struct folio *chunk_from_system(struct pool_group *group, int near, nodemask_t *nodes,
				       gfp_t gfp)
{
	struct mem_cgroup *old = set_active_memcg(group->memcg);
	struct folio *chunk = __folio_alloc(gfp | __GFP_ACCOUNT | __GFP_COMP | __GFP_NOWARN,
					    CHUNK_ORDER, near, nodes);

	set_active_memcg(old);
	if (!chunk)
		return NULL;
	/* A chunk has a pool to go back to, or it is not taken. */
	if (!pool_make(group, folio_nid(chunk), gfp)) {
		folio_put(chunk);
		return NULL;
	}
	atomic_long_inc(&counters[folio_nid(chunk)].taken);
	chunk_set_uncleared(chunk, !want_init_on_alloc(gfp));
	return chunk;
}

/* @chunk is off its list; false, and retired, when a memory error hit it. */
static bool chunk_is_sound(struct folio *chunk)
{
	if (likely(!chunk_is_poisoned(chunk)))
		return true;
	chunk_to_system(chunk);
	return false;
}

/* @chunk is sound: who brings many asks before he takes the lock, because asking may be long. */
static void pool_push_locked(struct pool *pool, struct folio *chunk)
{
	idle_push(&pool->idle, chunk);
	atomic_long_inc(&nr_idle);
}

/* The next sound chunk that @pop gives. Inline, so that @pop is no indirect call. */
static __always_inline struct folio *pool_pop_locked(struct pool *pool,
						     struct folio *(*pop)(struct idle *idle))
{
	struct folio *chunk;

	while ((chunk = pop(&pool->idle))) {
		atomic_long_dec(&nr_idle);
		if (chunk_is_sound(chunk))
			break;
	}
	return chunk;
}

/*
 * What the clearing thread is just zeroing, as it is; NULL when there is none, and with @try when
 * it runs at this moment.
 */
static struct folio *pool_take_hand_locked(struct pool *pool, bool try)
{
	struct folio *chunk;

	if (!try)
		raw_spin_lock(&pool->hand_lock);
	else if (!raw_spin_trylock(&pool->hand_lock))
		return NULL;
	chunk = pool->in_hand;
	pool->in_hand = NULL;
	raw_spin_unlock(&pool->hand_lock);
	if (chunk)
		idle_clear_end(&pool->idle);
	return chunk;
}

static unsigned long pool_isolate_locked(struct pool *pool, unsigned long max,
					 struct list_head *chunks, bool try)
{
	struct folio *chunk;
	unsigned long nr = 0;

	while (nr < max && (chunk = idle_pop_reclaim(&pool->idle))) {
		atomic_long_dec(&nr_idle);
		list_add(&chunk->lru, chunks);
		nr++;
	}
	/* Idle too, and counted so: the thread may get no CPU to finish it. */
	chunk = nr < max ? pool_take_hand_locked(pool, try) : NULL;
	if (chunk) {
		list_add(&chunk->lru, chunks);
		nr++;
	}
	/* Whoever takes chunks away does not want to see them made again. */
	if (nr)
		WRITE_ONCE(pool->nr_ahead, 0);
	return nr;
}

unsigned long pool_try_isolate(struct pool *pool, unsigned long max, struct list_head *chunks)
{
	unsigned long nr;

	if (!spin_trylock(&pool->lock))
		return 0;
	pool_lock_note();
	nr = pool_isolate_locked(pool, max, chunks, true);
	spin_unlock(&pool->lock);
	return nr;
}

static unsigned long pool_take_locked(struct pool *pool, struct list_head *chunks, unsigned long nr)
{
	struct folio *chunk;
	unsigned long got = 0;

	WRITE_ONCE(pool->used_jiffies, jiffies);
	while (got < nr && (chunk = pool_pop_locked(pool, idle_pop))) {
		list_add_tail(&chunk->lru, chunks);
		got++;
	}
	return got;
}

/* Up to @nr idle chunks of one pool, under one lock acquisition. */
static unsigned long pool_take_idle(struct pool *pool, struct list_head *chunks, unsigned long nr)
{
	unsigned long got;

	if (!pool || !pool_nr_idle(pool))
		return 0;
	pool_lock(pool);
	got = pool_take_locked(pool, chunks, nr);
	spin_unlock(&pool->lock);
	return got;
}

/* A clean chunk of the pool for @chunk, which is dirty; @chunk itself if there is none. */
static struct folio *pool_exchange(struct pool *pool, struct folio *chunk)
{
	struct folio *clean;

	pool_lock(pool);
	clean = pool_pop_locked(pool, idle_pop_clean);
	if (clean) {
		WRITE_ONCE(pool->used_jiffies, jiffies);
		pool_push_locked(pool, chunk);
	}
	spin_unlock(&pool->lock);
	if (!clean)
		return chunk;
	clear_queue(pool);
	return clean;
}

/* One chunk by way of the CPU's slot; returns whether there was one. */
static bool pool_take_slot(struct pool *pool, struct list_head *chunks)
{
	struct folio *chunk = pool ? cpu_slot_take(pool) : NULL;

	if (!chunk || !chunk_is_sound(chunk))
		return false;
	if (chunk_is_uncleared(chunk) && READ_ONCE(pool->idle.nr_clean))
		chunk = pool_exchange(pool, chunk);
	list_add_tail(&chunk->lru, chunks);
	return true;
}

static unsigned long pool_take_new(struct pool_group *group, struct list_head *chunks,
				   unsigned long nr, int near, nodemask_t *nodes, gfp_t gfp)
{
	struct folio *chunk;
	unsigned long got = 0;

	while (got < nr && !fatal_signal_pending(current)) {
		chunk = chunk_from_system(group, near, nodes, gfp);
		if (!chunk)
			break;
		list_add_tail(&chunk->lru, chunks);
		got++;
	}
	return got;
}

/* What node @nid has ready, then what it can make without much effort. */
static unsigned long pool_take_node(struct pool_group *group, int nid, struct list_head *chunks,
				    unsigned long nr, gfp_t gfp)
{
	unsigned long got = pool_take_idle(READ_ONCE(group->pools[nid]), chunks, nr);
	gfp_t light = (gfp & ~__GFP_RETRY_MAYFAIL) | __GFP_NORETRY | __GFP_THISNODE;

	return got < nr ? got + pool_take_new(group, chunks, nr - got, nid, NULL, light) : got;
}

/* Whether a chunk that is charged to nobody could be had: then the limit is the group's own. */
static bool system_has_chunk(int near, nodemask_t *nodes)
{
	struct folio *chunk = __folio_alloc(GFP_NOWAIT | __GFP_NORETRY | __GFP_NOWARN | __GFP_COMP,
					    CHUNK_ORDER, near, nodes);

	if (chunk)
		folio_put(chunk);
	return chunk;
}

/* Up to @max idle chunks of all groups but @group on @nodes go to the system. */
static unsigned long pool_trim_others(struct pool_group *group, nodemask_t *nodes,
				      unsigned long max)
{
	struct pool_group *other = NULL;
	unsigned long nr = 0;
	int nid;

	while ((other = group_next(other)))
		for_each_node_mask(nid, *nodes)
			if (other != group && nr < max)
				nr += pool_trim(other, nid, max - nr);
	return nr;
}

/* Up to @max idle chunks of @group itself on all nodes but @nodes: they are charged as well. */
static unsigned long pool_trim_elsewhere(struct pool_group *group, nodemask_t *nodes,
					 unsigned long max)
{
	unsigned long nr = 0;
	int nid;

	for_each_node(nid)
		if (!node_isset(nid, *nodes) && nr < max)
			nr += pool_trim(group, nid, max - nr);
	return nr;
}

/*
 * Idle chunks, and the one that is just being zeroed: an idle thread may get no CPU to finish it.
 * Chunks pass from the lists to the thread's hand and back under the lock, so none is overlooked.
 */
static unsigned long pool_take_every(struct pool *pool, struct list_head *chunks, unsigned long nr)
{
	struct folio *chunk = NULL;
	unsigned long got;

	if (!pool)
		return 0;
	pool_lock(pool);
	got = pool_take_locked(pool, chunks, nr);
	if (got < nr)
		chunk = pool_take_hand_locked(pool, false);
	spin_unlock(&pool->lock);
	if (!chunk || !chunk_is_sound(chunk))
		return got;
	list_add_tail(&chunk->lru, chunks);
	return got + 1;
}

/*
 * Longer than the clearing thread takes to get a chunk or to return some, short enough when it gets
 * no CPU because others have more important work.
 */
#define BUSY_WAIT_JIFFIES HZ

/*
 * What the clearing thread gets, or returns, is on no list, but charged: without it a group at its
 * limit would not get back what it has given. All else has been looked at before. What the thread
 * returned to the system meanwhile is uncharged: the caller tries once more.
 */
static unsigned long pool_take_busy(struct pool *pool, struct list_head *chunks, unsigned long nr)
{
	if (!pool)
		return 0;
	/* Pairs with the one in pool_set_busy(): the lists were looked at before. */
	smp_mb();
	/* Pairs with the release in pool_set_idle(). */
	wait_event_killable_timeout(thread_done, !smp_load_acquire(&pool->is_busy),
				    BUSY_WAIT_JIFFIES);
	return pool_take_every(pool, chunks, nr);
}

/*
 * One look at the system says little: others take and give meanwhile, so it is tried again. Whom it
 * still refuses is at his own limit.
 */
static unsigned long pool_take_last(struct pool_group *group, struct list_head *chunks,
				    unsigned long nr, int near, nodemask_t *nodes, gfp_t gfp)
{
	bool is_limited = system_has_chunk(near, nodes);
	unsigned long got = 0;

	if (is_limited || pool_trim_others(group, nodes, nr))
		got = pool_take_new(group, chunks, nr, near, nodes, gfp);
	if (got < nr && is_limited && pool_trim_elsewhere(group, nodes, nr - got))
		got += pool_take_new(group, chunks, nr - got, near, nodes, gfp);
	return got;
}

/* The last places to look in before -ENOMEM. */
static unsigned long pool_take_hard(struct pool_group *group, struct list_head *chunks,
				    unsigned long nr, int near, nodemask_t *nodes, gfp_t gfp)
{
	unsigned long got = 0;
	int nid;

	cpu_slot_flush(group);
	for_each_node_mask(nid, *nodes)
		if (got < nr)
			got += pool_take_every(READ_ONCE(group->pools[nid]), chunks, nr - got);
	for_each_node_mask(nid, *nodes)
		if (got < nr && gfpflags_allow_blocking(gfp))
			got += pool_take_busy(READ_ONCE(group->pools[nid]), chunks, nr - got);
	if (got < nr && !fatal_signal_pending(current))
		got += pool_take_last(group, chunks, nr - got, near, nodes, gfp);
	return got;
}

int pool_take(struct pool_group *group, const struct placement *place, struct list_head *chunks,
	      unsigned long nr, gfp_t gfp)
{
	int nid = place_next(place, 0, placer_distance);
	nodemask_t nodes = NODE_MASK_NONE;
	unsigned long got = 0;
	u64 tried = 0;

	if (nr == 1 && nid >= 0)
		got = pool_take_slot(READ_ONCE(group->pools[nid]), chunks);
	while (got < nr && (nid = place_next(place, tried, placer_distance)) >= 0) {
		got += pool_take_node(group, nid, chunks, nr - got, gfp);
		tried |= 1ULL << nid;
	}
	nodes_addr(nodes)[0] = place->first | place->rest;
	if (got < nr && !nodes_empty(nodes))
		got += pool_take_new(group, chunks, nr - got, place->near, &nodes, gfp);
	if (got < nr && !nodes_empty(nodes))
		got += pool_take_hard(group, chunks, nr - got, place->near, &nodes, gfp);
	if (got == nr) {
		trace_chunk_take(place->near, nr);
		return 0;
	}
	pool_give(group, chunks);
	return fatal_signal_pending(current) ? -EINTR : -ENOMEM;
}

/* How many chunks this pool holds beyond the bound, which is for all pools together. */
static unsigned long pool_surplus(struct pool *pool)
{
	return idle_surplus(atomic_long_read(&nr_idle), READ_ONCE(pool_max_chunks),
			    pool_nr_idle(pool));
}

bool pool_has_work(struct pool *pool)
{
	return !list_empty(&pool->idle.dirty) || READ_ONCE(pool->nr_ahead) || pool_surplus(pool);
}

/*
 * The thread zeroes what is dirty, and returns the surplus: freeing costs far more than this. Time
 * drains what stays.
 */
static void pool_pushed(struct pool *pool)
{
	WRITE_ONCE(pool->used_jiffies, jiffies);
	if (pool_has_work(pool))
		clear_queue(pool);
	group_watch_idle();
}

void pool_push(struct pool *pool, struct folio *chunk)
{
	if (!chunk_is_sound(chunk))
		return;
	pool_lock(pool);
	pool_push_locked(pool, chunk);
	spin_unlock(&pool->lock);
	pool_pushed(pool);
}

/* Move the leading chunks on @nid, not too many, from @chunks to @sound. Returns how many. */
static unsigned long pool_split_node(struct list_head *chunks, int nid, struct list_head *sound)
{
	struct folio *chunk;
	unsigned long nr = 0;

	while (nr < GIVE_BATCH && (chunk = list_first_entry_or_null(chunks, struct folio, lru)) &&
	       folio_nid(chunk) == nid) {
		list_del(&chunk->lru);
		/* Looks at every page on some kernels: too long for under a lock. */
		if (chunk_is_sound(chunk))
			list_add_tail(&chunk->lru, sound);
		nr++;
	}
	return nr;
}

/*
 * The leading chunks of @chunks that belong to one node, not too many, under one lock acquisition.
 * Returns how many.
 */
static unsigned long pool_give_node(struct pool_group *group, struct list_head *chunks)
{
	struct folio *chunk = list_first_entry(chunks, struct folio, lru), *next;
	struct pool *pool = group->pools[folio_nid(chunk)];
	LIST_HEAD(sound);
	unsigned long nr = pool_split_node(chunks, pool->nid, &sound);

	pool_lock(pool);
	list_for_each_entry_safe(chunk, next, &sound, lru)
		pool_push_locked(pool, chunk);
	spin_unlock(&pool->lock);
	pool_pushed(pool);
	return nr;
}

/* A single chunk of this node into the CPU's slot; false when there is no place. */
static bool pool_give_slot(struct pool_group *group, struct list_head *chunks)
{
	struct folio *chunk = list_first_entry(chunks, struct folio, lru);
	int nid = folio_nid(chunk);

	if (!list_is_singular(chunks) || nid != numa_mem_id() || !READ_ONCE(pool_max_chunks))
		return false;
	/* Off the list first: in the slot it is anybody's. */
	list_del_init(&chunk->lru);
	if (cpu_slot_give(group->pools[nid], chunk)) {
		group_watch_idle();
		return true;
	}
	list_add(&chunk->lru, chunks);
	return false;
}

void pool_give(struct pool_group *group, struct list_head *chunks)
{
	unsigned long nr = 0;

	if (!list_empty(chunks) && pool_give_slot(group, chunks))
		nr = 1;
	while (!list_empty(chunks))
		nr += pool_give_node(group, chunks);
	trace_chunk_give(numa_mem_id(), nr);
}

void pool_ahead(struct pool_group *group, int nid, unsigned long nr)
{
	struct pool *pool = pool_make(group, nid, GFP_KERNEL);

	if (!pool)
		return;
	pool_lock(pool);
	nr = min(nr, READ_ONCE(pool_max_chunks));
	WRITE_ONCE(pool->nr_ahead, max(pool->nr_ahead, nr));
	spin_unlock(&pool->lock);
	pool_pushed(pool);
}

/* Before chunks leave a list, and before a new one is charged. */
static void pool_set_busy(struct pool *pool)
{
	/* Pairs with the one in pool_take_busy(): whoever misses them sees this. */
	smp_store_mb(pool->is_busy, true);
}

static void pool_set_idle(struct pool *pool)
{
	/* Pairs with the acquire in pool_take_busy(). */
	smp_store_release(&pool->is_busy, false);
	if (wq_has_sleeper(&thread_done))
		wake_up_all(&thread_done);
}

/*
 * The thread waits for nobody: a group at its limit, or a node without memory, gets no more. What
 * there is beyond the bound of all pools would only go back, and so would what the parent of a
 * removed cgroup were to pay for.
 */
bool pool_get_ahead(struct pool *pool)
{
	struct folio *chunk = NULL;

	if (!READ_ONCE(pool->nr_ahead))
		return false;
	pool_set_busy(pool);
	if (READ_ONCE(pool->nr_ahead) > pool_nr_idle(pool) &&
	    atomic_long_read(&nr_idle) < READ_ONCE(pool_max_chunks) &&
	    mem_cgroup_online(pool->group->memcg))
		chunk = chunk_from_system(pool->group, pool->nid, NULL,
					  GFP_NOWAIT | __GFP_NORETRY | __GFP_THISNODE);
	pool_lock(pool);
	if (chunk)
		pool_push_locked(pool, chunk);
	/* Said at once: whoever takes them now does not ask for as many again. */
	if (!chunk || pool_nr_idle(pool) >= pool->nr_ahead)
		WRITE_ONCE(pool->nr_ahead, 0);
	spin_unlock(&pool->lock);
	pool_set_idle(pool);
	return chunk;
}

/* Freed outside the lock: freeing takes the zone lock, which is not ours to wait for. */
static unsigned long pool_trim_batch(struct pool *pool, unsigned long max)
{
	LIST_HEAD(chunks);

	pool_lock(pool);
	pool_isolate_locked(pool, max, &chunks, false);
	spin_unlock(&pool->lock);
	return pool_return(&chunks);
}

unsigned long pool_trim_one(struct pool *pool, unsigned long max)
{
	unsigned long nr = 0, got = 1;

	while (nr < max && got) {
		got = pool_trim_batch(pool, min(max - nr, TRIM_BATCH));
		nr += got;
		cond_resched();
	}
	return nr;
}

static unsigned long pool_trim_group(struct pool_group *group, int nid, unsigned long max)
{
	unsigned long nr = 0;
	int n;

	for_each_node(n) {
		struct pool *pool = READ_ONCE(group->pools[n]);

		if (pool && (nid == NUMA_NO_NODE || nid == n))
			nr += pool_trim_one(pool, max - nr);
	}
	return nr;
}

unsigned long pool_trim(struct pool_group *group, int nid, unsigned long max)
{
	struct pool_group *each = NULL;
	unsigned long nr = 0;
	LIST_HEAD(chunks);

	cpu_slot_drain(group, nid, max, &chunks, false);
	nr = pool_return(&chunks);
	if (group)
		nr += pool_trim_group(group, nid, max - nr);
	else
		while ((each = group_next(each)))
			nr += pool_trim_group(each, nid, max - nr);
	if (nr)
		trace_trim(nid, nr);
	return nr;
}

void pool_return_surplus(struct pool *pool)
{
	unsigned long nr = min(pool_surplus(pool), TRIM_BATCH);

	if (!nr)
		return;
	pool_set_busy(pool);
	pool_trim_batch(pool, nr);
	pool_set_idle(pool);
}

struct folio *pool_clear_begin(struct pool *pool)
{
	struct folio *chunk;

	pool_lock(pool);
	chunk = pool_pop_locked(pool, idle_pop_dirty);
	if (chunk)
		idle_clear_begin(&pool->idle);
	WARN_ON_ONCE(pool->in_hand);
	pool->in_hand = chunk;
	spin_unlock(&pool->lock);
	return chunk;
}

void pool_clear_end(struct pool *pool)
{
	struct folio *chunk;

	pool_lock(pool);
	chunk = pool_take_hand_locked(pool, false);
	if (chunk) {
		chunk_set_uncleared(chunk, false);
		if (chunk_is_sound(chunk))
			pool_push_locked(pool, chunk);
	}
	spin_unlock(&pool->lock);
}

static void pool_stats_group(struct pool_group *group, int nid, struct pool_stats *stats)
{
	struct pool *pool = READ_ONCE(group->pools[nid]);

	if (!pool)
		return;
	stats->clean_chunks += READ_ONCE(pool->idle.nr_clean);
	stats->dirty_chunks += READ_ONCE(pool->idle.nr_dirty);
}

static void pool_stats_node(int nid, struct pool_stats *stats)
{
	struct pool_group *group = NULL;

	stats->taken_chunks += atomic_long_read(&counters[nid].taken);
	stats->returned_chunks += atomic_long_read(&counters[nid].returned);
	while ((group = group_next(group)))
		pool_stats_group(group, nid, stats);
}

void pool_stats(int nid, struct pool_stats *stats)
{
	struct cpu_slot_count in_slots = cpu_slot_count(NULL, nid);
	int n;

	*stats = (struct pool_stats) {
		.clean_chunks = in_slots.clean,
		.dirty_chunks = in_slots.dirty,
	};
	for_each_node(n)
		if (nid == NUMA_NO_NODE || nid == n)
			pool_stats_node(n, stats);
}

int pool_init(void)
{
	int err = -ENOMEM;

	if (!pool_max_chunks)
		pool_max_chunks = totalram_pages() / CHUNK_PAGES / 16;
	counters = kcalloc(nr_node_ids, sizeof(*counters), GFP_KERNEL);
	if (!counters)
		return -ENOMEM;
	pool_cache = KMEM_CACHE(pool, SLAB_ACCOUNT);
	if (!pool_cache)
		goto free_counters;
	err = cpu_slots_init();
	if (err)
		goto destroy_cache;
	return 0;

destroy_cache:
	kmem_cache_destroy(pool_cache);
free_counters:
	kfree(counters);
	return err;
}

void pool_exit(void)
{
	cpu_slots_exit();
	kmem_cache_destroy(pool_cache);
	kfree(counters);
}
