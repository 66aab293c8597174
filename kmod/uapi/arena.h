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
 * never fails; touching any other slot is SIGBUS, so giving a range back revokes it.
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
#define ARENA_FEATURE_FORK_COW	(1ULL << 3)	/* not yet offered */
#define ARENA_FEATURE_MEMCG	(1ULL << 4)	/* chunks are charged to memory cgroups */

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
 * Only on a descriptor of /dev/arena that is open for writing. Errors: EMFILE, ENOMEM.
 */
#define ARENA_CREATE_EXEC	(1U << 0)	/* PROT_EXEC mappings are allowed */
#define ARENA_CREATE_ON_TOUCH	(1U << 1)	/* touching takes a chunk, or is SIGBUS */
#define ARENA_CREATE_FLAGS	(ARENA_CREATE_EXEC | ARENA_CREATE_ON_TOUCH)

struct arena_create {
	__u32 size;
	__u32 flags;		/* in: ARENA_CREATE_* */
	__u64 nr_slots;		/* in: length of the space in chunks; 0 = max_space_chunks */
	__u64 max_chunks;	/* in: most chunks held at a time; 0 = nr_slots */
};

/*
 * ARENA_IOC_RESERVE: make every slot of the range hold a chunk. Slots that do already are left
 * alone; kept ones become plain reserved again, in constant time. All or nothing.
 * Errors: ENOMEM (a cap, or no memory), EINTR (a fatal signal), EINVAL, EBADF.
 */
#define ARENA_RESERVE_NO_CLEAR	(1U << 0)	/* new chunks may be cleared at touch instead */
#define ARENA_RESERVE_FLAGS	ARENA_RESERVE_NO_CLEAR

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
 *  KEEP  constant time. Every slot must be reserved (else ENXIO). Contents become discardable: until
 *        the range is reserved again an access may see the old bytes or be SIGBUS.
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

#define ARENA_IOC_MAGIC		0xb7
#define ARENA_IOC_INFO		_IOWR(ARENA_IOC_MAGIC, 0x00, struct arena_info)
#define ARENA_IOC_CREATE	_IOWR(ARENA_IOC_MAGIC, 0x01, struct arena_create)
#define ARENA_IOC_RESERVE	_IOWR(ARENA_IOC_MAGIC, 0x02, struct arena_reserve)
#define ARENA_IOC_RECLAIM	_IOWR(ARENA_IOC_MAGIC, 0x03, struct arena_reclaim)
#define ARENA_IOC_STAT		_IOWR(ARENA_IOC_MAGIC, 0x04, struct arena_stat)
#define ARENA_IOC_SPACE		_IOWR(ARENA_IOC_MAGIC, 0x05, struct arena_space_stat)
#define ARENA_IOC_TRIM		_IOWR(ARENA_IOC_MAGIC, 0x06, struct arena_trim)

#endif /* _UAPI_ARENA_H */
