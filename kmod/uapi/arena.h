/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note OR MIT */
/*
 * User interface of /dev/arena: everything user space can ask, on one screen each.
 *
 * A space is an array of slots, each of which may hold one chunk: 2 MiB of physically
 * contiguous memory. Opening /dev/arena gives a space of its own to that open file;
 * ARENA_IOC_CREATE gives a space with chosen properties as a new file descriptor. Either kind
 * is mapped with mmap(MAP_SHARED); file offset N * ARENA_CHUNK_BYTES is slot N.
 *
 * A slot must be reserved before it is touched, by mmap() without MAP_NORESERVE and PROT_NONE or by
 * ARENA_IOC_RESERVE; both answer ENOMEM when that is not possible. Touching a reserved slot
 * never fails, but for ARENA_CREATE_FORK_COW (see there) and memory errors; touching any other slot
 * is SIGBUS, so giving a range back revokes it.
 *
 * Rules for every call:
 *  - `size` is sizeof of the struct the caller was compiled with. Smaller structs are read as if
 *    filled with zeros, larger ones must have zeros beyond what the kernel knows (else E2BIG).
 *  - Unknown flags and padding that is not zero are EINVAL. Output fields are zero on entry.
 *  - Offsets and lengths are in bytes and multiples of ARENA_CHUNK_BYTES, else EINVAL.
 *  - Calls that change a space need a descriptor open for writing, else EBADF.
 *  - An error leaves the space as it was.
 */
#ifndef _UAPI_ARENA_H
#define _UAPI_ARENA_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define ARENA_API_VERSION	1
#define ARENA_CHUNK_SHIFT	21
#define ARENA_CHUNK_BYTES	(1ULL << ARENA_CHUNK_SHIFT)

/* Smallest `size` ever accepted: the size field and what follows it up to 16 bytes. */
#define ARENA_MIN_STRUCT_BYTES	16

/*
 * ARENA_IOC_INFO: what this module is and what holds on this machine. On any descriptor.
 */
#define ARENA_FEATURE_KEEP	(1ULL << 0)	/* ARENA_RECLAIM_KEEP is offered */
#define ARENA_FEATURE_PMD	(1ULL << 1)	/* a PMD mapping was seen to appear at load */
#define ARENA_FEATURE_QUARANTINE (1ULL << 2)	/* chunks with foreign references are held back */
#define ARENA_FEATURE_FORK_COW	(1ULL << 3)	/* ARENA_CREATE_FORK_COW is offered */
#define ARENA_FEATURE_MEMCG	(1ULL << 4)	/* chunks are charged to memory cgroups */
#define ARENA_FEATURE_FORK_SHARE (1ULL << 5)	/* ARENA_CREATE_FORK_SHARE is offered */
#define ARENA_FEATURE_POPULATE	(1ULL << 6)	/* ARENA_IOC_POPULATE is offered */
#define ARENA_FEATURE_URING	(1ULL << 7)	/* io_uring commands are offered */
#define ARENA_FEATURE_NOTICE	(1ULL << 8)	/* owners are told before kept chunks are taken */
#define ARENA_FEATURE_CONTIG	(1ULL << 9)	/* ARENA_RESERVE_CONTIG is offered */
#define ARENA_FEATURE_NUMA	(1ULL << 10)	/* chunks come from where memory policies say */

struct arena_info {
	__u32 size;
	__u32 flags;		/* in: must be 0 */
	__u32 api_version;	/* out: ARENA_API_VERSION of the module */
	__u32 chunk_shift;	/* out: log2 of the chunk size */
	__u64 features;		/* out: ARENA_FEATURE_* */
	__u64 max_space_chunks;	/* out: slots a space may have */
	__u64 max_user_chunks;	/* out: chunks one user may hold */
	__u64 max_total_chunks;	/* out: chunks all users may hold */
};

/*
 * ARENA_IOC_CREATE: a new space; the ioctl returns its descriptor (O_RDWR, close on exec).
 * Only on a descriptor of /dev/arena that is open for writing. Errors: EMFILE, ENOMEM, EINVAL (also
 * for a node_mask with a node that does not exist, or without memory in any of its nodes).
 */
#define ARENA_CREATE_EXEC	(1U << 0)	/* PROT_EXEC mappings are allowed */
#define ARENA_CREATE_ON_TOUCH	(1U << 1)	/* touching takes a chunk, or is SIGBUS */
/*
 * What a child of fork() inherits of mappings. Without a flag nothing. Both: EINVAL.
 *  SHARE  the same memory.
 *  COW    a copy, made chunk by chunk when either side writes. Slots, reservations and these calls
 *         are private to each process: calls of one that never mapped the space are ENXIO, and its
 *         first mapping finds it empty. When a process has no mapping left its slots are emptied.
 *         A write may be SIGBUS when memory for the copy is missing, or, in a child, SIGBUS from
 *         then on: the older process takes the chunk. max_chunks bounds all processes together, a
 *         chunk that is shared counted once; it may be greater than nr_slots, and 0 is no bound.
 */
#define ARENA_CREATE_FORK_SHARE	(1U << 2)
#define ARENA_CREATE_FORK_COW	(1U << 3)
#define ARENA_CREATE_FLAGS	(ARENA_CREATE_EXEC | ARENA_CREATE_ON_TOUCH | \
				 ARENA_CREATE_FORK_SHARE | ARENA_CREATE_FORK_COW)

struct arena_create {
	__u32 size;
	__u32 flags;		/* in: ARENA_CREATE_* */
	__u64 nr_slots;		/* in: length of the space in chunks; 0 = max_space_chunks */
	__u64 max_chunks;	/* in: most chunks held at a time; 0 = nr_slots (COW: any) */
	__u64 node_mask;	/* in: bit N = chunks may come from node N; 0 = from all */
};

/*
 * ARENA_IOC_RESERVE: make every slot of the range hold a chunk. Slots that do already are left
 * alone; kept ones become plain reserved again, in constant time. All or nothing.
 * Errors: ENOMEM (a cap, or no memory), EINTR (a fatal signal), EINVAL, EBADF.
 *
 * AHEAD is for who will reserve the range soon: as many idle chunks as it lacks are made ready in
 * the background on the nodes where RESERVE would look first, charged to the same cgroup, as far as
 * it and the system have them to spare. Once idle chunks are taken back the rest is forgotten.
 * Nothing is promised, nothing reported. EINVAL with any other flag.
 *
 * CONTIG wants the chunks to lie side by side in physical memory, by rising address: a range of at
 * most 1 GiB (else EINVAL), no slot of which is reserved yet (else EBUSY). Best effort: ENOSPC when
 * no such run is found among the chunks that can be had. All come from one node.
 */
#define ARENA_RESERVE_NO_CLEAR	(1U << 0)	/* new chunks may be cleared at touch instead */
#define ARENA_RESERVE_AHEAD	(1U << 1)	/* reserve nothing; have chunks made ready for it */
#define ARENA_RESERVE_CONTIG	(1U << 2)	/* one physically contiguous run */
#define ARENA_RESERVE_FLAGS	(ARENA_RESERVE_NO_CLEAR | ARENA_RESERVE_AHEAD | \
				 ARENA_RESERVE_CONTIG)

struct arena_reserve {
	__u32 size;
	__u32 flags;		/* in: ARENA_RESERVE_* */
	__u64 offset_bytes;	/* in */
	__u64 length_bytes;	/* in: > 0 */
	__u64 fresh_chunks;	/* out: new, read as zeros; after KEEP: discarded ones */
	__u64 kept_chunks;	/* out: kept before, contents unchanged */
};

/*
 * ARENA_IOC_RECLAIM: give a range back, in one of two ways.
 *  KEEP  constant time. Every slot must be reserved (else ENXIO). Contents become discardable:
 *        until the range is reserved again an access may see the old bytes or be SIGBUS.
 *        The chunks stay charged, and are what the system takes back first under pressure.
 *  ZAP   unmaps everywhere, empties the slots and gives the chunks to the pool; every later access
 *        is SIGBUS. Linear in mapped chunks, not in objects. Empty slots in the range are skipped.
 *        fallocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE) is a ZAP, and so is the end of the
 *        last descriptor and mapping.
 */
#define ARENA_RECLAIM_KEEP	1U
#define ARENA_RECLAIM_ZAP	2U

struct arena_reclaim {
	__u32 size;
	__u32 how;		/* in: ARENA_RECLAIM_KEEP or _ZAP */
	__u64 offset_bytes;	/* in */
	__u64 length_bytes;	/* in: > 0 */
	__u64 nr_chunks;	/* out: chunks kept, or taken out of the space */
	__u64 nr_quarantined;	/* out: of those, held back: others still refer to them */
};

/*
 * ARENA_IOC_STAT: counters of the whole module, in chunks. On any descriptor.
 * taken_chunks = returned_chunks + handed_chunks + clean_chunks + dirty_chunks + quarantined_chunks
 * holds whenever nothing is in flight.
 */
struct arena_stat {
	__u32 size;
	__u32 flags;		/* in: must be 0 */
	__u64 taken_chunks;	/* taken from the page allocator since load */
	__u64 returned_chunks;	/* given back to it since load */
	__u64 handed_chunks;	/* in slots of spaces now, kept ones included */
	__u64 kept_chunks;	/* of those: kept */
	__u64 clean_chunks;	/* idle in the pool, zeroed */
	__u64 dirty_chunks;	/* idle in the pool, to be zeroed */
	__u64 quarantined_chunks; /* held back, see RECLAIM */
	__u64 discarded_chunks;	/* kept chunks taken by pressure since load */
	__u64 cleared_chunks;	/* zeroed by the clearing threads since load */
	__u64 clearing_ns;	/* CPU time they spent on it */
	__u64 cleared_at_touch_chunks; /* zeroed by whoever needed them, since load */
	__u64 fault_count;	/* faults answered with a chunk, since load */
	__u64 nr_spaces;	/* spaces that exist now */
};

/*
 * ARENA_IOC_SPACE: one space, for monitors. Gives the first space whose id is greater than
 * `after_id` and that the caller may see: his own, or all with CAP_SYS_RESOURCE. ENOENT at the end.
 */
struct arena_space_stat {
	__u32 size;
	__u32 flags;		/* in: must be 0 */
	__u64 after_id;		/* in */
	__u64 id;		/* out: never used twice while the module is loaded */
	__u32 uid;		/* out: user who created it, and is charged */
	__u32 pid;		/* out: process who created it, in the caller's namespace; or 0 */
	__u64 nr_slots;
	__u64 reserved_chunks;	/* all chunks in slots, kept ones included */
	__u64 live_chunks;	/* of those: touched since they were reserved */
	__u64 kept_chunks;	/* of those: kept */
	__u64 quarantined_chunks; /* out of the space, still charged to its user */
	char comm[16];		/* out: command name of the creator */
};

/*
 * ARENA_IOC_TRIM: give idle memory of the module back to the system, and report how much that was.
 * Clean and dirty pool chunks first, then (with ARENA_TRIM_KEPT) kept chunks, oldest first.
 * Needs CAP_SYS_RESOURCE, else EPERM.
 */
#define ARENA_TRIM_KEPT		(1U << 0)
#define ARENA_TRIM_FLAGS	ARENA_TRIM_KEPT

struct arena_trim {
	__u32 size;
	__u32 flags;		/* in: ARENA_TRIM_* */
	__u64 max_chunks;	/* in: stop after that many; ~0 = everything idle */
	__u64 pool_chunks;	/* out: given back from the pool */
	__u64 discarded_chunks;	/* out: kept chunks discarded and given back */
};

/*
 * ARENA_IOC_POPULATE: map a range of the caller's own addresses ahead of the touch, writable where
 * the mapping is; cheaper than touching each chunk. All of it must be mapped, readable or writable,
 * from the space of this descriptor, and every slot reserved (or the space ON_TOUCH), else EFAULT.
 * Other errors: ENOMEM (page tables), EINTR (a fatal signal), EHWPOISON, EINVAL. What came before
 * an error stays mapped.
 */
struct arena_populate {
	__u32 size;
	__u32 flags;		/* in: must be 0 */
	__u64 address;		/* in: a multiple of ARENA_CHUNK_BYTES */
	__u64 length_bytes;	/* in: > 0 */
	__u64 nr_chunks;	/* out: chunks that the range spans, all mapped now */
};

/*
 * ARENA_IOC_NOTICE: whether the system wants kept chunks of this space, and how to hear of it. When
 * it does, owners are told: poll() answers EPOLLPRI while some of what the space keeps is wanted,
 * and the eventfd, if there is one, is signaled. They may then ZAP, which lowers what is wanted, or
 * RESERVE again what they cannot miss. After the grace what is wanted still is taken, oldest first;
 * the RESERVE that follows says how much. Until no more was wanted for a while (parameter
 * notice_calm_ms) later demands have no grace of their own. Nor has anybody when a process is about
 * to be killed for memory; owners are told all the same, with the level CRITICAL.
 * Errors: EBADF (no such descriptor; ARENA_NOTICE_EVENTFD on one that may not write), EINVAL (not
 * an eventfd).
 */
#define ARENA_NOTICE_EVENTFD	(1U << 0)	/* `eventfd` replaces the one there was */
#define ARENA_NOTICE_FLAGS	ARENA_NOTICE_EVENTFD
#define ARENA_NOTICE_NONE	0U		/* level: nothing is wanted, or was lately */
#define ARENA_NOTICE_MODERATE	1U		/* the system reclaims memory */
#define ARENA_NOTICE_CRITICAL	2U		/* somebody is about to be killed for memory */

struct arena_notice {
	__u32 size;
	__u32 flags;		/* in: ARENA_NOTICE_EVENTFD, or 0 to ask only */
	__s32 eventfd;		/* in: with the flag: an eventfd, or -1 for none; else 0 */
	__u32 level;		/* out: ARENA_NOTICE_NONE, _MODERATE or _CRITICAL */
	__u64 wanted_bytes;	/* out: of all who share memory with this space */
	__u64 grace_ns;		/* out: what is left of the grace */
};

/*
 * RESERVE, RECLAIM and POPULATE as commands of io_uring (IORING_OP_URING_CMD) on either kind of
 * file. `cmd_op` is the number of the call, the entry's 16 bytes of payload are a struct
 * arena_uring with the address of the call's struct, and the result is that of the ioctl, as
 * -errno. With ARENA_URING_BATCH the address is that of an array of struct arena_uring_call: each
 * is run, in order and whatever became of those before, and the result is how many were, which are
 * all unless the array is not there (EFAULT), its results are not zero (EINVAL) or the process
 * dies. Everything that the addresses point to must stay until the completion. Other commands:
 * EOPNOTSUPP.
 */
#define ARENA_URING_MAX_CALLS	1024

struct arena_uring {
	__u64 address;		/* in */
	__u32 nr_calls;		/* in: 1 to ARENA_URING_MAX_CALLS in a batch, else 0 */
	__u32 flags;		/* in: must be 0 */
};

struct arena_uring_call {
	__u32 op;		/* in: ARENA_IOC_RESERVE, _RECLAIM or _POPULATE */
	__s32 result;		/* out: 0 or -errno */
	__u64 address;		/* in: of the call's struct */
};

#define ARENA_IOC_MAGIC		0xb7
#define ARENA_IOC_INFO		_IOWR(ARENA_IOC_MAGIC, 0x00, struct arena_info)
#define ARENA_IOC_CREATE	_IOWR(ARENA_IOC_MAGIC, 0x01, struct arena_create)
#define ARENA_IOC_RESERVE	_IOWR(ARENA_IOC_MAGIC, 0x02, struct arena_reserve)
#define ARENA_IOC_RECLAIM	_IOWR(ARENA_IOC_MAGIC, 0x03, struct arena_reclaim)
#define ARENA_IOC_STAT		_IOWR(ARENA_IOC_MAGIC, 0x04, struct arena_stat)
#define ARENA_IOC_SPACE		_IOWR(ARENA_IOC_MAGIC, 0x05, struct arena_space_stat)
#define ARENA_IOC_TRIM		_IOWR(ARENA_IOC_MAGIC, 0x06, struct arena_trim)
#define ARENA_IOC_POPULATE	_IOWR(ARENA_IOC_MAGIC, 0x07, struct arena_populate)
#define ARENA_IOC_NOTICE	_IOWR(ARENA_IOC_MAGIC, 0x08, struct arena_notice)
#define ARENA_URING_BATCH	_IOWR(ARENA_IOC_MAGIC, 0x40, struct arena_uring)

#endif /* _UAPI_ARENA_H */
