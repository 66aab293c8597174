// SPDX-License-Identifier: MIT
/*
 * The layout of the module's interface, frozen: every field's offset and size, every number.
 * Compiled only, for 64 and for 32 bits; a program built years ago must still be understood.
 * Fields are added at the end of a struct, and then here; what stands here does not change.
 */
#include <stddef.h>
#include "kmod/uapi/arena.h"

#define FIELD(type, name, offset, bytes) \
	_Static_assert(offsetof(struct type, name) == (offset), #type "." #name " has moved"); \
	_Static_assert(sizeof(((struct type *)0)->name) == (bytes), #type "." #name " has changed size")
#define BYTES(type, bytes) \
	_Static_assert(sizeof(struct type) == (bytes), #type " has changed size")
#define NUMBER(name, value) _Static_assert((name) == (value), #name " has changed")

FIELD(arena_info, size, 0, 4);
FIELD(arena_info, flags, 4, 4);
FIELD(arena_info, api_version, 8, 4);
FIELD(arena_info, chunk_shift, 12, 4);
FIELD(arena_info, features, 16, 8);
FIELD(arena_info, max_space_chunks, 24, 8);
FIELD(arena_info, max_user_chunks, 32, 8);
FIELD(arena_info, max_total_chunks, 40, 8);
BYTES(arena_info, 48);

FIELD(arena_create, size, 0, 4);
FIELD(arena_create, flags, 4, 4);
FIELD(arena_create, nr_slots, 8, 8);
FIELD(arena_create, max_chunks, 16, 8);
FIELD(arena_create, node_mask, 24, 8);
BYTES(arena_create, 32);

FIELD(arena_reserve, size, 0, 4);
FIELD(arena_reserve, flags, 4, 4);
FIELD(arena_reserve, offset_bytes, 8, 8);
FIELD(arena_reserve, length_bytes, 16, 8);
FIELD(arena_reserve, fresh_chunks, 24, 8);
FIELD(arena_reserve, kept_chunks, 32, 8);
BYTES(arena_reserve, 40);

FIELD(arena_reclaim, size, 0, 4);
FIELD(arena_reclaim, how, 4, 4);
FIELD(arena_reclaim, offset_bytes, 8, 8);
FIELD(arena_reclaim, length_bytes, 16, 8);
FIELD(arena_reclaim, nr_chunks, 24, 8);
FIELD(arena_reclaim, nr_quarantined, 32, 8);
BYTES(arena_reclaim, 40);

FIELD(arena_stat, size, 0, 4);
FIELD(arena_stat, flags, 4, 4);
FIELD(arena_stat, taken_chunks, 8, 8);
FIELD(arena_stat, returned_chunks, 16, 8);
FIELD(arena_stat, handed_chunks, 24, 8);
FIELD(arena_stat, kept_chunks, 32, 8);
FIELD(arena_stat, clean_chunks, 40, 8);
FIELD(arena_stat, dirty_chunks, 48, 8);
FIELD(arena_stat, quarantined_chunks, 56, 8);
FIELD(arena_stat, discarded_chunks, 64, 8);
FIELD(arena_stat, cleared_chunks, 72, 8);
FIELD(arena_stat, clearing_ns, 80, 8);
FIELD(arena_stat, cleared_at_touch_chunks, 88, 8);
FIELD(arena_stat, fault_count, 96, 8);
FIELD(arena_stat, nr_spaces, 104, 8);
BYTES(arena_stat, 112);

FIELD(arena_space_stat, size, 0, 4);
FIELD(arena_space_stat, flags, 4, 4);
FIELD(arena_space_stat, after_id, 8, 8);
FIELD(arena_space_stat, id, 16, 8);
FIELD(arena_space_stat, uid, 24, 4);
FIELD(arena_space_stat, pid, 28, 4);
FIELD(arena_space_stat, nr_slots, 32, 8);
FIELD(arena_space_stat, reserved_chunks, 40, 8);
FIELD(arena_space_stat, live_chunks, 48, 8);
FIELD(arena_space_stat, kept_chunks, 56, 8);
FIELD(arena_space_stat, quarantined_chunks, 64, 8);
FIELD(arena_space_stat, comm, 72, 16);
BYTES(arena_space_stat, 88);

FIELD(arena_trim, size, 0, 4);
FIELD(arena_trim, flags, 4, 4);
FIELD(arena_trim, max_chunks, 8, 8);
FIELD(arena_trim, pool_chunks, 16, 8);
FIELD(arena_trim, discarded_chunks, 24, 8);
BYTES(arena_trim, 32);

FIELD(arena_populate, size, 0, 4);
FIELD(arena_populate, flags, 4, 4);
FIELD(arena_populate, address, 8, 8);
FIELD(arena_populate, length_bytes, 16, 8);
FIELD(arena_populate, nr_chunks, 24, 8);
BYTES(arena_populate, 32);
FIELD(arena_notice, size, 0, 4);
FIELD(arena_notice, flags, 4, 4);
FIELD(arena_notice, eventfd, 8, 4);
FIELD(arena_notice, level, 12, 4);
FIELD(arena_notice, wanted_bytes, 16, 8);
FIELD(arena_notice, grace_ns, 24, 8);
BYTES(arena_notice, 32);

FIELD(arena_uring, address, 0, 8);
FIELD(arena_uring, nr_calls, 8, 4);
FIELD(arena_uring, flags, 12, 4);
BYTES(arena_uring, 16);

FIELD(arena_uring_call, op, 0, 4);
FIELD(arena_uring_call, result, 4, 4);
FIELD(arena_uring_call, address, 8, 8);
BYTES(arena_uring_call, 16);

NUMBER(ARENA_API_VERSION, 1);
NUMBER(ARENA_CHUNK_SHIFT, 21);
NUMBER(ARENA_CHUNK_BYTES, 0x200000U);
NUMBER(ARENA_MIN_STRUCT_BYTES, 0x10U);
NUMBER(ARENA_FEATURE_KEEP, 1);
NUMBER(ARENA_FEATURE_PMD, 2);
NUMBER(ARENA_FEATURE_QUARANTINE, 4);
NUMBER(ARENA_FEATURE_FORK_COW, 8);
NUMBER(ARENA_FEATURE_MEMCG, 0x10U);
NUMBER(ARENA_FEATURE_FORK_SHARE, 0x20U);
NUMBER(ARENA_FEATURE_POPULATE, 0x40U);
NUMBER(ARENA_FEATURE_URING, 0x80U);
NUMBER(ARENA_FEATURE_NOTICE, 0x100U);
NUMBER(ARENA_FEATURE_CONTIG, 0x200U);
NUMBER(ARENA_RESERVE_CONTIG, 4);
NUMBER(ARENA_FEATURE_NUMA, 0x400U);
NUMBER(ARENA_CREATE_EXEC, 1);
NUMBER(ARENA_CREATE_ON_TOUCH, 2);
NUMBER(ARENA_CREATE_FORK_SHARE, 4);
NUMBER(ARENA_CREATE_FORK_COW, 8);
NUMBER(ARENA_RESERVE_NO_CLEAR, 1);
NUMBER(ARENA_RESERVE_AHEAD, 2);
NUMBER(ARENA_RECLAIM_KEEP, 1);
NUMBER(ARENA_RECLAIM_ZAP, 2);
NUMBER(ARENA_TRIM_KEPT, 1);
NUMBER(ARENA_NOTICE_EVENTFD, 1);
NUMBER(ARENA_NOTICE_NONE, 0);
NUMBER(ARENA_NOTICE_MODERATE, 1);
NUMBER(ARENA_NOTICE_CRITICAL, 2);
NUMBER(ARENA_IOC_MAGIC, 0xb7U);
NUMBER(ARENA_IOC_INFO, 0xc030b700U);
NUMBER(ARENA_IOC_CREATE, 0xc020b701U);
NUMBER(ARENA_IOC_RESERVE, 0xc028b702U);
NUMBER(ARENA_IOC_RECLAIM, 0xc028b703U);
NUMBER(ARENA_IOC_STAT, 0xc070b704U);
NUMBER(ARENA_IOC_SPACE, 0xc058b705U);
NUMBER(ARENA_IOC_TRIM, 0xc020b706U);
NUMBER(ARENA_IOC_POPULATE, 0xc020b707U);
NUMBER(ARENA_URING_BATCH, 0xc010b740U);
NUMBER(ARENA_URING_MAX_CALLS, 1024);
NUMBER(ARENA_IOC_NOTICE, 0xc020b708U);
