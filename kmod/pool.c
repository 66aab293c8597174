// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pool of idle chunks.
 *
 * Why a pool: assembling and zeroing 2 MiB costs a hundred times the fault that maps it. So chunks
 * that come back are kept, zeroed by one thread per node when nobody else wants the CPU, and handed
 * out ready. The pool is a loan from the system: it is bounded (pool_max_chunks), and the shrinker
 * (pressure.c) and ARENA_IOC_TRIM take it back.
 *
 * Limits: one lock per node; chunks are not charged to memory cgroups.
 */
#include <linux/gfp.h>
#include <linux/kthread.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include <uapi/linux/sched/types.h>

#include "pool.h"
#include "trace.h"

/**
 * struct pool - idle chunks of one node
 * @lock: guards the lists and their counts
 * @clean: zeroed chunks
 * @dirty: chunks that wait for the clearing thread
 * @nr_clean: length of @clean
 * @nr_dirty: length of @dirty, plus the one that is being cleared
 * @wait: the clearing thread waits here for something to do
 * @clearer: the clearing thread, which also returns the surplus; fixed after init
 * @taken: from the system, ever
 * @returned: to the system, ever
 * @cleared: by the clearing thread, ever
 */
struct pool {
	spinlock_t lock;
	struct list_head clean;
	struct list_head dirty;
	unsigned long nr_clean;
	unsigned long nr_dirty;
	wait_queue_head_t wait;
	struct task_struct *clearer;
	atomic_long_t taken;
	atomic_long_t returned;
	atomic_long_t cleared;
};

/* Chunks freed at a time: 32 MiB, a few hundred microseconds between two looks at the lock. */
#define TRIM_BATCH 16UL

static struct pool *pools[MAX_NUMNODES]; /* fixed after init */
static atomic_long_t cleared_at_touch;

static unsigned long pool_max_chunks;
module_param(pool_max_chunks, ulong, 0644);
MODULE_PARM_DESC(pool_max_chunks,
		 "Most idle chunks kept, all nodes together (default: 1/16 of memory)");

/*
 * Slow enough to leave memory bandwidth to others on small machines, fast enough for 1 GiB a
 * second.
 */
static unsigned int clear_max_chunks_per_s = 1024;
module_param(clear_max_chunks_per_s, uint, 0644);
MODULE_PARM_DESC(clear_max_chunks_per_s,
		 "Most chunks one clearing thread zeroes in a second; 0 = no limit");

#ifdef CONFIG_X86_64
/*
 * Past the cache: the chunk will be used later, by somebody else, and must not evict what is hot
 * now.
 */
static void page_clear_uncached(void *page)
{
	unsigned long *word = page, *end = page + PAGE_SIZE;

	for (; word < end; word += 8)
		asm volatile("movnti %1, (%0)\n\tmovnti %1, 8(%0)\n\t"
			     "movnti %1, 16(%0)\n\tmovnti %1, 24(%0)\n\t"
			     "movnti %1, 32(%0)\n\tmovnti %1, 40(%0)\n\t"
			     "movnti %1, 48(%0)\n\tmovnti %1, 56(%0)"
			     : : "r" (word), "r" (0UL) : "memory");
}

static void clear_uncached_finish(void)
{
	asm volatile("sfence" : : : "memory");
}
#else
static void page_clear_uncached(void *page)
{
	clear_page(page);
}

static void clear_uncached_finish(void)
{
}
#endif

static void chunk_clear_uncached(struct folio *chunk)
{
	unsigned long i;

	for (i = 0; i < CHUNK_PAGES; i++) {
		page_clear_uncached(folio_address(chunk) + i * PAGE_SIZE);
		cond_resched();
	}
	clear_uncached_finish();
	chunk_set_uncleared(chunk, false);
}

void chunk_clear_now(struct folio *chunk)
{
	unsigned long i;

	for (i = 0; i < CHUNK_PAGES; i++)
		clear_page(folio_address(chunk) + i * PAGE_SIZE);
	chunk_set_uncleared(chunk, false);
	atomic_long_inc(&cleared_at_touch);
}

/*
 * A chunk with a memory error goes out of the books, but never back into use: its last reference is
 * not dropped.
 */
static void chunk_to_system(struct folio *chunk)
{
	atomic_long_inc(&pools[folio_nid(chunk)]->returned);
	chunk_set_uncleared(chunk, false);
	if (!folio_test_has_hwpoisoned(chunk))
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

/*
 * A new chunk. The page allocator has zeroed it already where init_on_alloc is on (Debian's
 * default).
 */
static struct folio *chunk_from_system(int nid, gfp_t gfp)
{
	struct folio *chunk = __folio_alloc_node(gfp | __GFP_COMP | __GFP_NOWARN, CHUNK_ORDER, nid);

	if (!chunk)
		return NULL;
	atomic_long_inc(&pools[folio_nid(chunk)]->taken);
	chunk_set_uncleared(chunk, !want_init_on_alloc(gfp));
	return chunk;
}

static void pool_push_locked(struct pool *pool, struct folio *chunk)
{
	if (chunk_is_uncleared(chunk)) {
		list_add(&chunk->lru, &pool->dirty);
		WRITE_ONCE(pool->nr_dirty, pool->nr_dirty + 1);
	} else {
		list_add(&chunk->lru, &pool->clean);
		WRITE_ONCE(pool->nr_clean, pool->nr_clean + 1);
	}
}

/*
 * The next sound chunk of @list; those that memory errors hit while they were idle are retired on
 * the way.
 */
static struct folio *pool_pop_locked(struct list_head *list, unsigned long *nr)
{
	struct folio *chunk;

	while ((chunk = list_first_entry_or_null(list, struct folio, lru))) {
		list_del(&chunk->lru);
		WRITE_ONCE(*nr, *nr - 1);
		if (!folio_test_has_hwpoisoned(chunk))
			break;
		chunk_to_system(chunk);
	}
	return chunk;
}

static struct folio *pool_pop_ready_locked(struct pool *pool)
{
	struct folio *chunk = pool_pop_locked(&pool->clean, &pool->nr_clean);

	return chunk ?: pool_pop_locked(&pool->dirty, &pool->nr_dirty);
}

static struct folio *pool_pop_idle_locked(struct pool *pool)
{
	struct folio *chunk = pool_pop_locked(&pool->dirty, &pool->nr_dirty);

	return chunk ?: pool_pop_locked(&pool->clean, &pool->nr_clean);
}

/* Up to @nr idle chunks of one node, under one lock acquisition. */
static unsigned long pool_take_idle(int nid, struct list_head *chunks, unsigned long nr)
{
	struct pool *pool = pools[nid];
	struct folio *chunk;
	unsigned long got = 0;

	spin_lock(&pool->lock);
	while (got < nr && (chunk = pool_pop_ready_locked(pool))) {
		list_add_tail(&chunk->lru, chunks);
		got++;
	}
	spin_unlock(&pool->lock);
	return got;
}

static unsigned long pool_take_new(struct list_head *chunks, unsigned long nr, gfp_t gfp)
{
	struct folio *chunk;
	unsigned long got = 0;

	while (got < nr && !fatal_signal_pending(current)) {
		chunk = chunk_from_system(numa_mem_id(), gfp);
		if (!chunk)
			break;
		list_add_tail(&chunk->lru, chunks);
		got++;
	}
	return got;
}

int pool_take(struct list_head *chunks, unsigned long nr, gfp_t gfp)
{
	unsigned long got = pool_take_idle(numa_mem_id(), chunks, nr);
	int nid;

	if (got < nr)
		got += pool_take_new(chunks, nr - got, gfp);
	for_each_node(nid)
		if (got < nr)
			got += pool_take_idle(nid, chunks, nr - got);
	if (got == nr) {
		trace_arena_chunk_take(numa_mem_id(), nr);
		return 0;
	}
	pool_give(chunks);
	return fatal_signal_pending(current) ? -EINTR : -ENOMEM;
}

unsigned long pool_idle_chunks(int nid)
{
	unsigned long nr = 0;
	int n;

	for_each_node(n)
		if (nid == NUMA_NO_NODE || nid == n)
			nr += READ_ONCE(pools[n]->nr_clean) + READ_ONCE(pools[n]->nr_dirty);
	return nr;
}

/*
 * The leading chunks of @chunks that belong to one node, under one lock acquisition. Returns how
 * many.
 */
static unsigned long pool_give_node(struct list_head *chunks)
{
	struct folio *chunk = list_first_entry(chunks, struct folio, lru);
	int nid = folio_nid(chunk);
	struct pool *pool = pools[nid];
	unsigned long nr = 0;

	spin_lock(&pool->lock);
	do {
		list_del(&chunk->lru);
		pool_push_locked(pool, chunk);
		nr++;
		chunk = list_first_entry_or_null(chunks, struct folio, lru);
	} while (chunk && folio_nid(chunk) == nid);
	spin_unlock(&pool->lock);
	/*
	 * The thread zeroes what is dirty, and returns the surplus: freeing costs far more than
	 * this.
	 */
	wake_up(&pool->wait);
	return nr;
}

void pool_give(struct list_head *chunks)
{
	unsigned long nr = 0;

	while (!list_empty(chunks))
		nr += pool_give_node(chunks);
	trace_arena_chunk_give(numa_mem_id(), nr);
}

/*
 * One batch of idle chunks, freed outside the lock: freeing takes the zone lock, which is not ours
 * to wait for.
 */
static unsigned long pool_trim_batch(struct pool *pool, unsigned long max, bool try)
{
	struct folio *chunk;
	LIST_HEAD(chunks);
	unsigned long nr = 0;

	if (!try)
		spin_lock(&pool->lock);
	else if (!spin_trylock(&pool->lock))
		return 0;
	while (nr < max && (chunk = pool_pop_idle_locked(pool))) {
		list_add(&chunk->lru, &chunks);
		nr++;
	}
	spin_unlock(&pool->lock);
	return pool_return(&chunks);
}

static unsigned long pool_trim_node(struct pool *pool, unsigned long max, bool try)
{
	unsigned long nr = 0, got = 1;

	while (nr < max && got) {
		got = pool_trim_batch(pool, min(max - nr, TRIM_BATCH), try);
		nr += got;
	}
	return nr;
}

unsigned long pool_trim(int nid, unsigned long max, bool try)
{
	unsigned long nr = 0;
	int n;

	for_each_node(n)
		if (nid == NUMA_NO_NODE || nid == n)
			nr += pool_trim_node(pools[n], max - nr, try);
	if (nr)
		trace_arena_trim(nid, nr);
	return nr;
}

void pool_stats(struct pool_stats *stats)
{
	int nid;

	memset(stats, 0, sizeof(*stats));
	for_each_node(nid) {
		struct pool *pool = pools[nid];

		stats->taken_chunks += atomic_long_read(&pool->taken);
		stats->returned_chunks += atomic_long_read(&pool->returned);
		stats->clean_chunks += READ_ONCE(pool->nr_clean);
		stats->dirty_chunks += READ_ONCE(pool->nr_dirty);
		stats->cleared_chunks += atomic_long_read(&pool->cleared);
		/* Clearing is all this thread does, so its run time is the cost of clearing. */
		stats->clearing_ns += READ_ONCE(pool->clearer->se.sum_exec_runtime);
	}
	stats->cleared_at_touch_chunks = atomic_long_read(&cleared_at_touch);
}

/* The dirty chunk stays in nr_dirty while it is cleared, so that no chunk is ever uncounted. */
static struct folio *pool_clear_begin(struct pool *pool)
{
	struct folio *chunk;

	spin_lock(&pool->lock);
	chunk = list_first_entry_or_null(&pool->dirty, struct folio, lru);
	if (chunk)
		list_del(&chunk->lru);
	spin_unlock(&pool->lock);
	return chunk;
}

static void pool_clear_end(struct pool *pool, struct folio *chunk)
{
	atomic_long_inc(&pool->cleared);
	trace_arena_clear(folio_nid(chunk), 1);
	spin_lock(&pool->lock);
	WRITE_ONCE(pool->nr_dirty, pool->nr_dirty - 1);
	pool_push_locked(pool, chunk);
	spin_unlock(&pool->lock);
}

/* How many chunks this node holds beyond its bound; the bound is for all nodes together. */
static unsigned long pool_surplus(struct pool *pool)
{
	unsigned long idle = pool_idle_chunks(NUMA_NO_NODE), most = READ_ONCE(pool_max_chunks);

	return idle > most ? min(idle - most, READ_ONCE(pool->nr_clean) + READ_ONCE(pool->nr_dirty))
			   : 0;
}

static bool clearer_has_work(struct pool *pool)
{
	return !list_empty(&pool->dirty) || pool_surplus(pool) || kthread_should_stop();
}

static void clearer_pause(void)
{
	unsigned int rate = READ_ONCE(clear_max_chunks_per_s);

	if (rate)
		schedule_timeout_idle(max(1UL, (unsigned long)HZ / rate));
}

/*
 * Zero one chunk, if one is left. A tick is the shortest pause: so many chunks at a time as the
 * rate allows per tick.
 */
static void clearer_step(struct pool *pool, unsigned int *burst)
{
	struct folio *chunk = pool_clear_begin(pool);

	if (!chunk)
		return;
	chunk_clear_uncached(chunk);
	pool_clear_end(pool, chunk);
	if (++*burst * HZ >= READ_ONCE(clear_max_chunks_per_s)) {
		clearer_pause();
		*burst = 0;
	}
}

static int clearer_main(void *data)
{
	struct pool *pool = data;
	unsigned int burst = 0;

	while (!kthread_should_stop()) {
		wait_event_idle(pool->wait, clearer_has_work(pool));
		/* What is too much goes first: it need not be zeroed. */
		pool_trim_batch(pool, min(pool_surplus(pool), TRIM_BATCH), false);
		clearer_step(pool, &burst);
		cond_resched();
	}
	return 0;
}

static int clearer_start(struct pool *pool, int nid, int home)
{
	static const struct sched_attr idle = { .size = sizeof(idle), .sched_policy = SCHED_IDLE };
	struct task_struct *task =
		kthread_create_on_node(clearer_main, pool, home, "arena_clear/%d", nid);

	if (IS_ERR(task))
		return PTR_ERR(task);
	if (home == nid && !cpumask_empty(cpumask_of_node(nid)))
		set_cpus_allowed_ptr(task, cpumask_of_node(nid));
	sched_setattr_nocheck(task, &idle);
	pool->clearer = task;
	get_task_struct(task);
	wake_up_process(task);
	return 0;
}

/* Every possible node has a pool; one without memory yet keeps it elsewhere. */
static int node_home(int nid)
{
	return node_online(nid) ? nid : NUMA_NO_NODE;
}

static int pool_init_node(int nid)
{
	struct pool *pool = kzalloc_node(sizeof(*pool), GFP_KERNEL, node_home(nid));

	if (!pool)
		return -ENOMEM;
	spin_lock_init(&pool->lock);
	INIT_LIST_HEAD(&pool->clean);
	INIT_LIST_HEAD(&pool->dirty);
	init_waitqueue_head(&pool->wait);
	pools[nid] = pool;
	return 0;
}

/* The threads look at the pools of all nodes, so they start when the last pool is there. */
int pool_init(void)
{
	int nid, err = 0;

	if (!pool_max_chunks)
		pool_max_chunks = totalram_pages() / CHUNK_PAGES / 16;
	for_each_node(nid)
		err = err ?: pool_init_node(nid);
	for_each_node(nid)
		err = err ?: clearer_start(pools[nid], nid, node_home(nid));
	if (err)
		pool_exit();
	return err;
}

static void clearer_stop(struct pool *pool)
{
	if (!pool || !pool->clearer)
		return;
	kthread_stop(pool->clearer);
	put_task_struct(pool->clearer);
}

/* For the same reason no pool goes before the last thread. */
void pool_exit(void)
{
	int nid;

	for_each_node(nid)
		clearer_stop(pools[nid]);
	for_each_node(nid) {
		if (!pools[nid])
			continue;
		pool_trim_node(pools[nid], ULONG_MAX, false);
		kfree(pools[nid]);
		pools[nid] = NULL;
	}
}
