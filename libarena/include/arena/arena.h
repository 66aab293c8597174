/* SPDX-License-Identifier: MIT */
/*
 * libarena: memory that is freed together.
 *
 * An arena hands out objects by moving a pointer and frees all of them at once. After
 * arena_free() every access to any of its objects faults, in production builds too, and the
 * report on standard error names the arena, where it was made and where it was freed.
 *
 * Words: a *chunk* is 2 MiB of aligned addresses; a *page* is 4 KiB; a *source* is where chunks
 * come from; to *revoke* is to make addresses fault. Small arenas live on ordinary pages; an arena
 * that outgrows them takes chunks from its source.
 *
 * Thread rules: an arena belongs to one thread at a time (the caller's lock or hand-over decides);
 * different arenas may be used by different threads at once. Functions that take no arena may be
 * called from any thread. None may be called from a signal handler.
 *
 * fork(): the child has copies of arenas on ordinary, transparent huge and hugetlb pages, and may go on with all arenas. Chunks
 * of `dev` stay the parent's: a touch in the child faults, what an arena takes from then on is the child's own. It is not
 * joined to the daemon. A child of _Fork(), vfork() or a bare clone() must call nothing here before it execs, because
 * handlers of fork() did not run.
 *
 * Errors: out of memory is NULL (or -ENOMEM where an int is returned), never a crash. Misuse, such as a second free
 * or a damaged arena, prints what is wrong and aborts. errno is left alone.
 *
 * Sources of the design: D. Hanson, "Fast allocation and deallocation of memory based on object lifetimes" (1990);
 * Go's arena experiment (proposal 51317).
 */
#ifndef ARENA_ARENA_H
#define ARENA_ARENA_H

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ARENA_VERSION_MAJOR 0
#define ARENA_VERSION_MINOR 1
#define ARENA_VERSION_STRING "0.1.0"

#define ARENA_API __attribute__((visibility("default")))
#define ARENA_STR_(x) #x
#define ARENA_STR(x) ARENA_STR_(x)
/* The place in the caller's source that reports name. */
#define ARENA_HERE __FILE__ ":" ARENA_STR(__LINE__)
#define ARENA_LIKELY(x) __builtin_expect(!!(x), 1)

/* Under ASan memory that nobody was given is poisoned; allocation makes an object accessible. */
#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN_ 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN_ 1
#endif
#endif
#ifdef ARENA_ASAN_
#include <sanitizer/asan_interface.h>
#define ARENA_UNPOISON_(at, bytes) __asan_unpoison_memory_region((const void *)(at), (bytes))
#else
#define ARENA_UNPOISON_(at, bytes) ((void)0)
#endif

/* What sizes are rounded up to, so that the next object needs no alignment step: it would be the longest part of the path. */
#define ARENA_WORD_BYTES ((size_t)8)
/* Alignment of objects whose caller asks for none: that of max_align_t. */
#define ARENA_ALIGN_BYTES ((size_t)16)

/** Version string of the library that is linked, not of this header. */
ARENA_API const char *arena_version(void);

/* ------------------------------------------------------------------ sources */

enum arena_source {
	ARENA_SOURCE_AUTO = 0,	/* the first of dev, thp, pages that works; see arena_source_of() */
	ARENA_SOURCE_DEV = 1,	/* /dev/arena: ready-zeroed physical chunks */
	ARENA_SOURCE_HUGETLB = 2, /* reserved huge pages; only when asked for */
	ARENA_SOURCE_THP = 3,	/* transparent huge pages by madvise */
	ARENA_SOURCE_PAGES = 4,	/* ordinary 4 KiB pages */
	ARENA_NR_SOURCES = 5
};

/** Name ("auto", "dev", "hugetlb", "thp", "pages") of a source; "?" for any other number. */
ARENA_API const char *arena_source_name(enum arena_source source);
/** The source of that name, or -EINVAL. */
ARENA_API int arena_source_parse(const char *name);
/**
 * 0 when chunks of this source can be had here and now, else -errno that says why not:
 * -ENOENT no module, -EACCES no right to it, -ENOMEM no huge pages reserved, -ENOTSUP not in this kernel.
 * AUTO is always 0. The environment variable ARENA_SOURCE names what AUTO means.
 */
ARENA_API int arena_source_check(enum arena_source source);

/* ------------------------------------------------------------------ arenas */

/*
 * The first two words of every arena, so that allocation is inline. Invariant: at <= limit, both are multiples of
 * ARENA_WORD_BYTES, and [at, limit) is free memory of the arena; both are 0, which leaves no room, while the arena has
 * no memory or is freed. Written by the owning thread alone. Not for callers.
 */
struct arena_bump {
	uintptr_t at;
	uintptr_t limit;
};

struct arena;	/* begins with a struct arena_bump */

struct arena_options {
	enum arena_source source;	/* default AUTO */
	const char *name;		/* for reports and statistics; copied, at most 31 bytes; default NULL */
	size_t limit_bytes;		/* most memory the arena may hold; 0 = no limit */
	size_t reserve_bytes;		/* have that much ready at once, in chunks; 0 = start small on pages */
};

/**
 * Make an arena. @options may be NULL (all defaults). O(1). Returns NULL when out of memory, or when
 * the source asked for is not to be had (never another one instead). Free it with arena_free().
 */
#define arena_new(...) arena_new_at(__VA_ARGS__, ARENA_HERE) /* so that a struct with commas in it can be written here */
ARENA_API struct arena *arena_new_at(const struct arena_options *options, const char *where);

/**
 * Free an arena and every object in it, and revoke their addresses: every later access faults and is
 * reported. NULL is allowed. Constant in objects, linear in chunks. The second free of an arena aborts.
 * The addresses rest in a FIFO before they are used again; its length is in struct arena_memory. The memory of a few chunks
 * per source moves to fresh addresses for the next arenas (ARENA_CACHED_CHUNKS in the environment,
 * arena_trim()); all other goes back to the system.
 *
 * Input and output into an arena must be complete before it is freed (vmsplice(), io_uring with registered buffers, O_DIRECT,
 * zero-copy send): what the kernel still refers to may be in another arena by then.
 * An arena that a collected heap scans is freed by a thread attached to that (arena/gc.h).
 */
#define arena_free(arena) arena_free_at((arena), ARENA_HERE)
ARENA_API void arena_free_at(struct arena *arena, const char *where);

/** Forget every object but keep the memory for the next ones. O(1). Addresses stay valid: faults not promised. */
ARENA_API void arena_reset(struct arena *arena);
/** Forget every object, give the memory back and revoke the addresses; the arena stays usable. Linear in chunks. */
#define arena_reset_release(arena) arena_reset_release_at((arena), ARENA_HERE)
ARENA_API void arena_reset_release_at(struct arena *arena, const char *where);

/** What arena_alloc_aligned() does when the current run is used up. Not for callers. */
ARENA_API void *arena_alloc_slow(struct arena *arena, size_t bytes, size_t align_bytes);

/**
 * @bytes of memory, not initialized, aligned to @align_bytes (a power of two, up to 2 MiB) and to ARENA_WORD_BYTES. Valid
 * until the arena is freed or reset. 0 bytes give a valid address. NULL when out of memory or over the arena's limit. O(1).
 */
static inline void *arena_alloc_aligned(struct arena *arena, size_t bytes, size_t align_bytes)
{
	struct arena_bump *bump = (struct arena_bump *)(void *)arena;
	uintptr_t at = bump->at;
	/* Alignments are known when compiling, as a rule; these tests go away then. */
	bool fits = !(align_bytes & (align_bytes - 1));

	if (align_bytes - 1 >= ARENA_WORD_BYTES) {
		at = (at + (align_bytes - 1)) & ~(uintptr_t)(align_bytes - 1);
		fits = fits && at >= bump->at && at <= bump->limit;
	}
	/* bytes - 1: with room for a whole word more the sum below cannot overflow; 0 bytes take the slow path. */
	if (ARENA_LIKELY(fits && bytes - 1 < bump->limit - at)) {
		bump->at = at + ((bytes + (ARENA_WORD_BYTES - 1)) & ~(size_t)(ARENA_WORD_BYTES - 1));
		ARENA_UNPOISON_(at, bytes);
		return (void *)at;
	}
	return arena_alloc_slow(arena, bytes, align_bytes);
}

/** arena_alloc_aligned() with ARENA_ALIGN_BYTES. */
static inline void *arena_alloc(struct arena *arena, size_t bytes)
{
	return arena_alloc_aligned(arena, bytes, ARENA_ALIGN_BYTES);
}

/** As arena_alloc(), zeroed, for @count objects of @bytes each; NULL also when the product overflows. */
ARENA_API void *arena_calloc(struct arena *arena, size_t count, size_t bytes);
/** Grow or shrink in place when @old is the arena's last object, else copy. @old may be NULL. NULL leaves @old valid. */
ARENA_API void *arena_realloc(struct arena *arena, void *old, size_t old_bytes, size_t new_bytes);

/** Copies of strings and bytes in the arena; NULL when out of memory. */
ARENA_API char *arena_strdup(struct arena *arena, const char *string);
ARENA_API char *arena_strndup(struct arena *arena, const char *string, size_t max_bytes);
ARENA_API void *arena_memdup(struct arena *arena, const void *data, size_t bytes);
/** printf() into a string in the arena; NULL when out of memory. */
ARENA_API char *arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Copy @bytes at @object out of any arena to the heap; free() it. NULL when out of memory. */
ARENA_API void *arena_clone(const void *object, size_t bytes);
ARENA_API char *arena_clone_string(const char *string);

/* Typed forms: one zeroed T; an array of n zeroed Ts; one uninitialized T; a heap copy of *p. */
#define arena_make(arena, T) ((T *)arena_zalloc_aligned((arena), sizeof(T), alignof(T)))
#define arena_make_array(arena, T, n) ((T *)arena_array_alloc((arena), (n), sizeof(T), alignof(T)))
#define arena_make_raw(arena, T) ((T *)arena_alloc_aligned((arena), sizeof(T), alignof(T)))
#define arena_clone_of(p) ((__typeof__(*(p)) *)arena_clone((p), sizeof(*(p))))

/** Zeroed and aligned; what arena_make() calls. */
static inline void *arena_zalloc_aligned(struct arena *arena, size_t bytes, size_t align_bytes)
{
	void *object = arena_alloc_aligned(arena, bytes, align_bytes);

	return object ? memset(object, 0, bytes) : NULL;
}
/** Zeroed array, the product checked; what arena_make_array() calls. */
ARENA_API void *arena_array_alloc(struct arena *arena, size_t count, size_t bytes, size_t align_bytes);

/*
 * Slices: arrays that grow in an arena, in place while they are its last object.
 *	ARENA_SLICE(int) numbers = {0};
 *	if (!arena_slice_push(arena, &numbers, 42)) ...out of memory, numbers unchanged...
 */
#define ARENA_SLICE(T) struct { T *data; size_t len, cap; }
/** Room for @want elements in all; false when out of memory. */
/* Through local copies: a slice whose address escapes is read from memory again at every push. */
#define arena_slice_reserve(arena, slice, want) (__extension__({ \
	void *arena_data_ = (slice)->data; \
	size_t arena_cap_ = (slice)->cap; \
	bool arena_grown_ = arena_slice_grow((arena), &arena_data_, &arena_cap_, (slice)->len, (want), \
					     sizeof(*(slice)->data), alignof(__typeof__(*(slice)->data))); \
	(slice)->data = (__typeof__((slice)->data))arena_data_; \
	(slice)->cap = arena_cap_; \
	arena_grown_; \
}))
/** Append one value (amortized O(1)), which may be computed from the slice's length before; false when out of memory. */
#define arena_slice_push(arena, slice, ...) \
	((ARENA_LIKELY((slice)->len < (slice)->cap) || arena_slice_reserve((arena), (slice), (slice)->len + 1)) && \
	 ((slice)->data[(slice)->len] = (__VA_ARGS__), (slice)->len += 1, true))
ARENA_API bool arena_slice_grow(struct arena *arena, void **data, size_t *cap, size_t len, size_t want,
				size_t bytes, size_t align_bytes);

/**
 * An arena that is freed at the end of the enclosing block:
 *	arena_scoped(scratch, NULL);
 *	if (!scratch) return -ENOMEM;
 */
#define arena_scoped(name, ...) \
	__attribute__((cleanup(arena_scope_end_))) struct arena *name = arena_new(__VA_ARGS__)
static inline void arena_scope_end_(struct arena **arena)
{
	arena_free_at(*arena, "the end of its block");
}

/* ------------------------------------------------------------------ statistics */

/* One arena, in bytes. held = used + free at the end of runs + lost to alignment and run ends. */
struct arena_stats {
	char name[32];
	const char *made_at;	/* where arena_new() was called */
	enum arena_source source; /* where its chunks come from; never AUTO */
	uint64_t used_bytes;	/* handed to the caller since the last reset, rounded up and aligned */
	uint64_t held_bytes;	/* memory the arena holds */
	uint64_t peak_bytes;	/* most it ever held */
	uint64_t page_bytes;	/* of held_bytes: on ordinary pages (small arenas start there) */
	uint64_t nr_chunks;	/* chunks it holds */
	uint64_t nr_resets;
};
ARENA_API void arena_stats(const struct arena *arena, struct arena_stats *stats);
/** The source of the arena's chunks; never AUTO. */
ARENA_API enum arena_source arena_source_of(const struct arena *arena);

/*
 * The whole process. For chunks of each source, counted since start, exact to the chunk:
 * handed = mapped + cached + returned. Small runs of pages are counted apart, in bytes.
 */
struct arena_memory_source {
	uint64_t handed_chunks;	 /* taken from the source since start */
	uint64_t mapped_chunks;	 /* in arenas now */
	uint64_t cached_chunks;	 /* idle in the library, memory still there, moved to addresses nobody had */
	uint64_t returned_chunks; /* given back to the system since start */
	uint64_t revoked_chunks; /* addresses of freed arenas that fault now; their memory is returned or moved on */
};
struct arena_memory {
	struct arena_memory_source source[ARENA_NR_SOURCES];
	uint64_t small_bytes;		/* ordinary pages in small arenas now */
	uint64_t nr_arenas;		/* alive */
	uint64_t revoked_arenas;	/* freed (or released by a reset) since start, and revoked */
	uint64_t deferred_arenas;	/* freed, revocation waits for room in the address map (with guard pages: only of hugetlb, or locked) */
	uint64_t fifo_chunks;		/* revoked chunk addresses that rest now, of all sources */
	uint64_t fifo_max_chunks;	/* at least so many others are freed before an address is used again */
	uint64_t fifo_small_bytes;	/* the same for the addresses of small arenas */
	uint64_t fifo_max_small_bytes;
	bool guard_pages;		/* MADV_GUARD_INSTALL is there */
};
ARENA_API void arena_memory(struct arena_memory *memory);
/** The same as one JSON object in a string; free() it. NULL when out of memory. */
ARENA_API char *arena_memory_json(void);

/** Give cached memory, idle chunks of heaps included, back to the system, at most @max_bytes (rounded up to chunks); returns bytes given back. */
ARENA_API size_t arena_trim(size_t max_bytes);

/* ------------------------------------------------------------------ faults and pressure */

/**
 * The report of use after free is made by a handler of SIGSEGV and SIGBUS, installed with the first arena; faults that are not
 * ours go on to the handler that was there before. ARENA_FAULT_HANDLER=0 in the environment, or false
 * here before the first arena, leaves signals alone: the access still faults, without the report.
 */
ARENA_API void arena_fault_handler_enable(bool enable);
/** What is known of an address: 0 and a sentence in @text (always ended), or -ENOENT when it is none of ours. */
ARENA_API int arena_describe(const void *address, char *text, size_t text_bytes);

/**
 * Register with arenad, at @socket_path (NULL: the default, /run/arena/arenad.sock or $ARENA_SOCKET). From then on a small thread
 * answers its questions and gives cached chunks back when it asks. 0, or -errno: -ENOENT and -ECONNREFUSED
 * mean that no daemon listens, which is no harm. Idempotent. $ARENA_DAEMON=1 does it with the first arena.
 */
ARENA_API int arena_daemon_join(const char *socket_path);
/** Stop that thread and close the connection. */
ARENA_API void arena_daemon_leave(void);

#ifdef __cplusplus
}
#endif
#endif /* ARENA_ARENA_H */
