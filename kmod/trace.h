/* SPDX-License-Identifier: GPL-2.0-only */
/* Tracepoints, for perf, ftrace and bpftrace: events/arena/. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM arena

#if !defined(ARENA_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define ARENA_TRACE_H

#include <linux/tracepoint.h>

DECLARE_EVENT_CLASS(arena_slots,
	TP_PROTO(u64 space_id, unsigned long first_slot, unsigned long nr_slots, unsigned long nr_chunks),
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
	TP_printk("space=%llu first_slot=%lu nr_slots=%lu nr_chunks=%lu", __entry->space_id, __entry->first_slot,
		  __entry->nr_slots, __entry->nr_chunks)
);

/* nr_chunks: new ones */
DEFINE_EVENT(arena_slots, arena_reserve,
	TP_PROTO(u64 space_id, unsigned long first_slot, unsigned long nr_slots, unsigned long nr_chunks),
	TP_ARGS(space_id, first_slot, nr_slots, nr_chunks));
/* nr_chunks: taken out, quarantined ones included */
DEFINE_EVENT(arena_slots, arena_zap,
	TP_PROTO(u64 space_id, unsigned long first_slot, unsigned long nr_slots, unsigned long nr_chunks),
	TP_ARGS(space_id, first_slot, nr_slots, nr_chunks));
/* nr_chunks: all */
DEFINE_EVENT(arena_slots, arena_keep,
	TP_PROTO(u64 space_id, unsigned long first_slot, unsigned long nr_slots, unsigned long nr_chunks),
	TP_ARGS(space_id, first_slot, nr_slots, nr_chunks));

TRACE_EVENT(arena_fault,
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
	TP_printk("space=%llu slot=%lu", __entry->space_id, __entry->slot)
);

TRACE_EVENT(arena_quarantine,
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
	TP_printk("space=%llu nr_chunks=%lu", __entry->space_id, __entry->nr_chunks)
);

DECLARE_EVENT_CLASS(arena_pool,
	TP_PROTO(int nid, unsigned long nr_chunks),
	TP_ARGS(nid, nr_chunks),
	TP_STRUCT__entry(
		__field(int, nid)
		__field(unsigned long, nr_chunks)
	),
	TP_fast_assign(
		__entry->nid = nid;
		__entry->nr_chunks = nr_chunks;
	),
	TP_printk("node=%d nr_chunks=%lu", __entry->nid, __entry->nr_chunks)
);

/* nid: the caller's */
DEFINE_EVENT(arena_pool, arena_chunk_take, TP_PROTO(int nid, unsigned long nr_chunks), TP_ARGS(nid, nr_chunks));
/* nid: the caller's; each chunk goes to the pool of its own node */
DEFINE_EVENT(arena_pool, arena_chunk_give, TP_PROTO(int nid, unsigned long nr_chunks), TP_ARGS(nid, nr_chunks));
DEFINE_EVENT(arena_pool, arena_clear, TP_PROTO(int nid, unsigned long nr_chunks), TP_ARGS(nid, nr_chunks));
/* idle chunks to the system; nid -1: all nodes */
DEFINE_EVENT(arena_pool, arena_trim, TP_PROTO(int nid, unsigned long nr_chunks), TP_ARGS(nid, nr_chunks));
/* the shrinker asks; nr_chunks: wanted */
DEFINE_EVENT(arena_pool, arena_pressure, TP_PROTO(int nid, unsigned long nr_chunks), TP_ARGS(nid, nr_chunks));

#endif /* ARENA_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
