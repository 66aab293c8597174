/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Zeroing chunks: at once for whoever waits, or by a thread per node. The thread zeroes when nobody
 * wants the CPU (SCHED_IDLE), and gets chunks ahead at nice 19: there the page allocator zeroes
 * them, where it does so for everybody (CONFIG_INIT_ON_ALLOC_DEFAULT_ON, as Debian's kernels).
 */
#ifndef ARENA_CLEAR_H
#define ARENA_CLEAR_H

#include <linux/types.h>

struct folio;
struct pool;

int clear_init(void);
/** Stop the threads; what is dirty stays so. */
void clear_exit(void);

/** @pool has something to do for its node's thread. The caller has a reference to its group. */
void clear_queue(struct pool *pool);

/** Zero @chunk for somebody who waits for it. */
void chunk_clear_now(struct folio *chunk);

/** struct clear_stats - since load */
struct clear_stats {
	u64 cleared_chunks;
	u64 clearing_ns;
};

/** Of the thread of @nid; of all for NUMA_NO_NODE. */
struct clear_stats clear_stats(int nid);
u64 cleared_at_touch_chunks(void);

#endif /* ARENA_CLEAR_H */
