// SPDX-License-Identifier: GPL-2.0-only
/*
 * Zeroing, and the clearing threads: one per node that has memory at load, for all groups in turn.
 * Besides zeroing what is dirty a thread gets chunks that somebody wants soon (pool_ahead()) and
 * returns what is beyond the bound of all pools: both would cost whoever gives and takes too much.
 * The pools of a node that gets memory later are served by the first thread.
 *
 * Limits: the CPU time is nobody's but the module's. SCHED_IDLE while it zeroes or waits for work,
 * nice 19 otherwise, a rate and a share of CPU keep it out of the way. Where the page allocator
 * zeroes what it gives (CONFIG_INIT_ON_ALLOC_DEFAULT_ON), chunks got ahead are zeroed at nice 19.
 */
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include <uapi/linux/sched/types.h>

#include "clear.h"
#include "group.h"
#include "pool.h"
#include "trace.h"

/**
 * struct clearer - a thread and its queue
 * @lock: guards @queue, and pool.queue and pool.is_queued of the pools it serves; the latter is
 * also read without it
 * @queue: pools with something to do; each has a reference to its group while it is queued or
 * served
 * @wait: the thread waits here while @queue is empty
 * @task: fixed after init
 * @cleared: chunks, ever
 */
struct clearer {
	spinlock_t lock;
	struct list_head queue;
	wait_queue_head_t wait;
	struct task_struct *task;
	atomic_long_t cleared;
};

static struct clearer **clearers; /* by node; fixed after init */
static struct clearer *first_clearer; /* of nodes that get memory later; fixed after init */
static atomic_long_t cleared_at_touch;

/*
 * Slow enough to leave memory bandwidth to others on small machines, fast enough for 1 GiB a
 * second.
 */
static unsigned int clear_max_chunks_per_s = 1024;

/* Far beyond any memory's bandwidth: 2 TiB a second. */
#define CLEAR_MAX_RATE 1000000

static int clear_max_set(const char *text, const struct kernel_param *param)
{
	return param_set_uint_minmax(text, param, 0, CLEAR_MAX_RATE);
}

static const struct kernel_param_ops clear_max_ops = {
	.set = clear_max_set,
	.get = param_get_uint,
};

module_param_cb(clear_max_chunks_per_s, &clear_max_ops, &clear_max_chunks_per_s, 0644);
MODULE_PARM_DESC(clear_max_chunks_per_s,
		 "Most chunks one clearing thread zeroes in a second (0 to 1000000; 0 = no limit; "
		 "default: 1024)");

/* Of one CPU, for each thread. All of it, because it is what hardly anybody else wants. */
static unsigned int clear_max_percent = 100;

static int clear_percent_set(const char *text, const struct kernel_param *param)
{
	return param_set_uint_minmax(text, param, 1, 100);
}

static const struct kernel_param_ops clear_percent_ops = {
	.set = clear_percent_set,
	.get = param_get_uint,
};

module_param_cb(clear_max_percent, &clear_percent_ops, &clear_max_percent, 0644);
MODULE_PARM_DESC(clear_max_percent,
		 "Most CPU time of one clearing thread, in percent (1 to 100; default: 100)");

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

/*
 * Who zeroes, or waits for work, is in no read-side section of RCU and holds no lock but one under
 * which it is not preempted. The page allocator and memory cgroups, where a thread spends the rest,
 * are: an idle one that is preempted there holds up each grace period of the kernel until it runs
 * again, which took 21 s where CPUs were busy. What it zeroes can be taken away:
 * pool.in_hand.
 */
static void clearer_idle(bool idle)
{
	const struct sched_attr attr = {
		.size = sizeof(attr),
		.sched_policy = idle ? SCHED_IDLE : SCHED_NORMAL,
		.sched_nice = MAX_NICE,
	};

	sched_setattr_nocheck(current, &attr);
}

/* Zeroed with the lock held: microseconds, for which who takes the chunk away waits. */
#define CLEAR_BATCH_PAGES 4

static void pages_clear_uncached(struct folio *chunk, unsigned long first)
{
	unsigned long i;

	for (i = first; i < first + CLEAR_BATCH_PAGES; i++)
		page_clear_uncached(folio_address(chunk) + i * PAGE_SIZE);
	/* Nothing of it may arrive later, when somebody else writes there. */
	clear_uncached_finish();
}

/*
 * Zero some pages of @chunk; false when somebody has taken it away. A raw lock, because an idle
 * thread is not preempted under it.
 */
static bool chunk_clear_batch(struct pool *pool, struct folio *chunk, unsigned long first)
{
	bool is_in_hand;

	raw_spin_lock(&pool->hand_lock);
	is_in_hand = pool->in_hand == chunk;
	if (is_in_hand)
		pages_clear_uncached(chunk, first);
	raw_spin_unlock(&pool->hand_lock);
	return is_in_hand;
}

static bool chunk_clear_uncached(struct pool *pool, struct folio *chunk)
{
	unsigned long i;

	for (i = 0; i < CHUNK_PAGES; i += CLEAR_BATCH_PAGES) {
		if (!chunk_clear_batch(pool, chunk, i))
			return false;
		cond_resched();
	}
	return true;
}

void chunk_clear_now(struct folio *chunk)
{
	unsigned long i;

	for (i = 0; i < CHUNK_PAGES; i++)
		clear_page(folio_address(chunk) + i * PAGE_SIZE);
	chunk_set_uncleared(chunk, false);
	atomic_long_inc(&cleared_at_touch);
}

u64 cleared_at_touch_chunks(void)
{
	return atomic_long_read(&cleared_at_touch);
}

static struct clearer *clearer_of(int nid)
{
	return clearers[nid] ?: first_clearer;
}

static void clearer_lock(struct clearer *clearer) __acquires(&clearer->lock)
{
	pool_lock_note();
	spin_lock(&clearer->lock);
}

/*
 * Usually it is queued already, and stays so: clearer_done() looks for work again after it has said
 * that it is not.
 */
void clear_queue(struct pool *pool)
{
	struct clearer *clearer = clearer_of(pool->nid);

	/* Pairs with the one in clearer_done(): the work is seen there, or the end of it here. */
	smp_mb();
	if (READ_ONCE(pool->is_queued))
		return;
	clearer_lock(clearer);
	if (!pool->is_queued) {
		WRITE_ONCE(pool->is_queued, true);
		group_get(pool->group);
		list_add_tail(&pool->queue, &clearer->queue);
	}
	spin_unlock(&clearer->lock);
	if (wq_has_sleeper(&clearer->wait))
		wake_up(&clearer->wait);
}

static struct pool *clearer_next(struct clearer *clearer)
{
	struct pool *pool;

	clearer_lock(clearer);
	pool = list_first_entry_or_null(&clearer->queue, struct pool, queue);
	if (pool)
		list_del_init(&pool->queue);
	spin_unlock(&clearer->lock);
	return pool;
}

/* To the end of the queue, or out of it: whoever brings work later queues it again. */
static void clearer_done(struct clearer *clearer, struct pool *pool)
{
	bool more;

	clearer_lock(clearer);
	WRITE_ONCE(pool->is_queued, false);
	/* Pairs with the one in clear_queue(). */
	smp_mb();
	more = pool_has_work(pool);
	if (more) {
		WRITE_ONCE(pool->is_queued, true);
		list_add_tail(&pool->queue, &clearer->queue);
	}
	spin_unlock(&clearer->lock);
	if (!more)
		group_put(pool->group);
}

/**
 * struct pace - what a thread has done and not yet paused for
 * @burst: chunks
 * @ran_ns: its CPU time when that was last asked
 * @owed_ns: idle time that its share of CPU makes it owe, less than a tick of it after a pause
 */
struct pace {
	unsigned long burst;
	u64 ran_ns;
	u64 owed_ns;
};

/*
 * A chunk was zeroed, by the page allocator perhaps. A tick is the shortest pause: so many chunks
 * at a time as the rate allows per tick, at least one, and then so many ticks as they are worth.
 */
static void clearer_pace(struct pace *pace)
{
	unsigned long rate = READ_ONCE(clear_max_chunks_per_s), pause;

	pace->burst++;
	if (rate && pace->burst + 1UL <= rate / HZ)
		return;
	/* Not for ever when the rate was high until now and is one. */
	pause = rate ? min_t(unsigned long, DIV_ROUND_UP(pace->burst * HZ, rate), HZ) : 0;
	if (pause)
		schedule_timeout_idle(pause);
	pace->burst = 0;
}

/*
 * Pause for as long as the others' share of what it ran. What the scheduler has not accounted for
 * yet is paid for at the next chunk.
 */
static void clearer_share(struct pace *pace)
{
	unsigned int percent = READ_ONCE(clear_max_percent);
	u64 ran_ns = READ_ONCE(current->se.sum_exec_runtime);
	unsigned long pause;

	pace->owed_ns += div_u64((ran_ns - pace->ran_ns) * (100 - percent), percent);
	pace->ran_ns = ran_ns;
	pause = nsecs_to_jiffies(pace->owed_ns);
	if (!pause)
		return;
	pace->owed_ns -= jiffies_to_nsecs(pause);
	schedule_timeout_idle(pause);
}

/* Zero one chunk, unless somebody takes it away meanwhile; false when none is left. */
static bool clearer_step(struct clearer *clearer, struct pool *pool)
{
	struct folio *chunk = pool_clear_begin(pool);
	bool is_clear;

	if (!chunk)
		return false;
	clearer_idle(true);
	is_clear = chunk_clear_uncached(pool, chunk);
	clearer_idle(false);
	if (is_clear) {
		atomic_long_inc(&clearer->cleared);
		trace_clear(pool->nid, 1);
	}
	pool_clear_end(pool);
	return true;
}

/* Until there is something to do. Idle, so that who brings work is not preempted for it. */
static void clearer_await(struct clearer *clearer)
{
	if (!list_empty(&clearer->queue))
		return;
	clearer_idle(true);
	wait_event_idle(clearer->wait, !list_empty(&clearer->queue) || kthread_should_stop());
	clearer_idle(false);
}

static int clearer_main(void *data)
{
	struct clearer *clearer = data;
	struct pace pace = {};
	struct pool *pool;

	while (!kthread_should_stop()) {
		clearer_await(clearer);
		pool = clearer_next(clearer);
		if (!pool)
			continue;
		/* What is too much goes first: it need not be zeroed. */
		pool_return_surplus(pool);
		if (pool_get_ahead(pool))
			clearer_pace(&pace);
		if (clearer_step(clearer, pool))
			clearer_pace(&pace);
		clearer_share(&pace);
		clearer_done(clearer, pool);
		cond_resched();
	}
	return 0;
}

static int clearer_start(struct clearer *clearer, int nid)
{
	struct task_struct *task =
		kthread_create_on_node(clearer_main, clearer, nid, "arena_clear/%d", nid);

	if (IS_ERR(task))
		return PTR_ERR(task);
	if (!cpumask_empty(cpumask_of_node(nid)))
		set_cpus_allowed_ptr(task, cpumask_of_node(nid));
	set_user_nice(task, MAX_NICE);
	clearer->task = task;
	get_task_struct(task);
	wake_up_process(task);
	return 0;
}

static int clear_init_node(int nid)
{
	struct clearer *clearer = kzalloc_node(sizeof(*clearer), GFP_KERNEL, nid);

	if (!clearer)
		return -ENOMEM;
	spin_lock_init(&clearer->lock);
	INIT_LIST_HEAD(&clearer->queue);
	init_waitqueue_head(&clearer->wait);
	clearers[nid] = clearer;
	/* A node below this one may get memory later: it has no thread then. */
	first_clearer = first_clearer ?: clearer;
	return clearer_start(clearer, nid);
}

int clear_init(void)
{
	int nid, err = 0;

	clearers = kcalloc(nr_node_ids, sizeof(*clearers), GFP_KERNEL);
	if (!clearers)
		return -ENOMEM;
	for_each_node_state(nid, N_MEMORY)
		err = err ?: clear_init_node(nid);
	if (err)
		clear_exit();
	return err;
}

/* What is queued loses its reference; nothing is queued any more, no space is left. */
static void clearer_stop(struct clearer *clearer)
{
	struct pool *pool;

	if (clearer->task) {
		kthread_stop(clearer->task);
		put_task_struct(clearer->task);
	}
	while ((pool = clearer_next(clearer))) {
		pool->is_queued = false;
		group_put(pool->group);
	}
}

void clear_exit(void)
{
	int nid;

	for_each_node(nid)
		if (clearers[nid])
			clearer_stop(clearers[nid]);
	for_each_node(nid)
		kfree(clearers[nid]);
	kfree(clearers);
}

struct clear_stats clear_stats(int nid)
{
	struct clear_stats stats = {};
	int n;

	for_each_node(n) {
		if (!clearers[n] || (nid != NUMA_NO_NODE && nid != n))
			continue;
		stats.cleared_chunks += atomic_long_read(&clearers[n]->cleared);
		/*
		 * Clearing is nearly all that this thread does, so its run time is the cost of
		 * it.
		 */
		stats.clearing_ns += READ_ONCE(clearers[n]->task->se.sum_exec_runtime);
	}
	return stats;
}
