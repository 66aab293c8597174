/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints, for perf, ftrace and bpftrace: events/arena/. Nodes, slots and chunks are counted
 * from 0; whatever is a number of something says so in its name.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM arena

#if !defined(ARENA_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define ARENA_TRACE_H

#include <linux/tracepoint.h>

#ifndef ARENA_TRACE_ONCE
#define ARENA_TRACE_ONCE
/* How chunks were reclaimed: as in the uapi, and one that only the module does. */
enum trace_how {
	TRACE_KEEP = 1,
	TRACE_ZAP = 2,
	TRACE_DISCARD = 3,
};
#endif

/* nr_chunks: new ones */
TRACE_EVENT(reserve,
	TP_PROTO(u64 space_id, unsigned long first_slot, unsigned long nr_slots,
		 unsigned long nr_chunks),
	TP_ARGS(space_id, first_slot, nr_slots, nr_chunks),
	TP_STRUCT__entry(
		__field(u64, space_id)
		__field(unsigned long, first_slot)
		__field(unsigned long, nr_slots)
		__field(unsigned long, nr_chunks)
	),
	TP_fast_assign(
		__entry->space_id = space_id;
		__entry->first_slot = first_slot;
		__entry->nr_slots = nr_slots;
		__entry->nr_chunks = nr_chunks;
	),
	TP_printk("space_id=%llu first_slot=%lu nr_slots=%lu nr_chunks=%lu", __entry->space_id,
		  __entry->first_slot, __entry->nr_slots, __entry->nr_chunks)
);

/* nr_chunks: kept, or taken out of the space, quarantined ones included */
TRACE_EVENT(reclaim,
	TP_PROTO(u64 space_id, unsigned int how, unsigned long first_slot, unsigned long nr_slots,
		 unsigned long nr_chunks),
	TP_ARGS(space_id, how, first_slot, nr_slots, nr_chunks),
	TP_STRUCT__entry(
		__field(u64, space_id)
		__field(unsigned int, how)
		__field(unsigned long, first_slot)
		__field(unsigned long, nr_slots)
		__field(unsigned long, nr_chunks)
	),
	TP_fast_assign(
		__entry->space_id = space_id;
		__entry->how = how;
		__entry->first_slot = first_slot;
		__entry->nr_slots = nr_slots;
		__entry->nr_chunks = nr_chunks;
	),
	TP_printk("space_id=%llu how=%s first_slot=%lu nr_slots=%lu nr_chunks=%lu",
		  __entry->space_id,
		  __print_symbolic(__entry->how, { 1, "keep" }, { 2, "zap" }, { 3, "discard" }),
		  __entry->first_slot, __entry->nr_slots, __entry->nr_chunks)
);

TRACE_EVENT(fault,
	TP_PROTO(u64 space_id, unsigned long slot),
	TP_ARGS(space_id, slot),
	TP_STRUCT__entry(
		__field(u64, space_id)
		__field(unsigned long, slot)
	),
	TP_fast_assign(
		__entry->space_id = space_id;
		__entry->slot = slot;
	),
	TP_printk("space_id=%llu slot=%lu", __entry->space_id, __entry->slot)
);

TRACE_EVENT(quarantine,
	TP_PROTO(u64 space_id, unsigned long nr_chunks),
	TP_ARGS(space_id, nr_chunks),
	TP_STRUCT__entry(
		__field(u64, space_id)
		__field(unsigned long, nr_chunks)
	),
	TP_fast_assign(
		__entry->space_id = space_id;
		__entry->nr_chunks = nr_chunks;
	),
	TP_printk("space_id=%llu nr_chunks=%lu", __entry->space_id, __entry->nr_chunks)
);

/* owners are told that kept chunks are wanted; level 1: moderate, 2: critical */
TRACE_EVENT(notice,
	TP_PROTO(unsigned int level, u64 wanted_chunks, u64 grace_ns),
	TP_ARGS(level, wanted_chunks, grace_ns),
	TP_STRUCT__entry(
		__field(unsigned int, level)
		__field(u64, wanted_chunks)
		__field(u64, grace_ns)
	),
	TP_fast_assign(
		__entry->level = level;
		__entry->wanted_chunks = wanted_chunks;
		__entry->grace_ns = grace_ns;
	),
	TP_printk("level=%u wanted_chunks=%llu grace_ns=%llu", __entry->level,
		  __entry->wanted_chunks, __entry->grace_ns)
);

DECLARE_EVENT_CLASS(node_chunks,
	TP_PROTO(int node, unsigned long nr_chunks),
	TP_ARGS(node, nr_chunks),
	TP_STRUCT__entry(
		__field(int, node)
		__field(unsigned long, nr_chunks)
	),
	TP_fast_assign(
		__entry->node = node;
		__entry->nr_chunks = nr_chunks;
	),
	TP_printk("node=%d nr_chunks=%lu", __entry->node, __entry->nr_chunks)
);

/* node: the caller's */
DEFINE_EVENT(node_chunks, chunk_take,
	TP_PROTO(int node, unsigned long nr_chunks),
	TP_ARGS(node, nr_chunks)
);

/* node: the caller's; each chunk goes to the pool of its own node */
DEFINE_EVENT(node_chunks, chunk_give,
	TP_PROTO(int node, unsigned long nr_chunks),
	TP_ARGS(node, nr_chunks)
);

/* zeroed in the background */
DEFINE_EVENT(node_chunks, clear,
	TP_PROTO(int node, unsigned long nr_chunks),
	TP_ARGS(node, nr_chunks)
);

/* idle chunks to the system; node -1: all nodes */
DEFINE_EVENT(node_chunks, trim,
	TP_PROTO(int node, unsigned long nr_chunks),
	TP_ARGS(node, nr_chunks)
);

/* the system asks; nr_chunks: wanted */
DEFINE_EVENT(node_chunks, pressure,
	TP_PROTO(int node, unsigned long nr_chunks),
	TP_ARGS(node, nr_chunks)
);

#endif /* ARENA_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
