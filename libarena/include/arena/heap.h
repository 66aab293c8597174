/* SPDX-License-Identifier: MIT */
/*
 * Heaps of libarena: objects with lives of their own, beside the arenas of arena/arena.h.
 *
 * A program may have several heaps, each apart from the others and from malloc(): what one part of it allocates can be counted, limited,
 * and thrown away at once. All that the allocator knows of an object is kept beside the memory, never in it. A double free, a
 * free of the middle of an object, and a free of what is no object are found when they happen; the program says so and aborts. Of two frees by different
 * threads the second may not be noticed while the first is on its way to the thread that allocated: then two later objects may be one.
 *
 * Memory that is not used goes back to the system by itself, also while the program sleeps: a thread of the library spends at
 * most 1 % of a CPU on that for each heap (5 % while nothing of it is in use), in processes of which a heap has grown to 16 MiB. The child of a
 * fork has no such thread before it allocates.
 *
 * Thread rules: any thread may allocate from and free into any heap at any time, except as arena_heap_destroy() says. Not
 * from signal handlers. fork(): the child has copies of all heaps, and may go on with them.
 *
 * Errors: out of memory is NULL, and errno is left alone.
 *
 * Memcheck and ASan (in builds of the library with it) see objects as they see those of malloc(): reads of what was never written, use after
 * free, access beyond the bytes asked for, leaks.
 *
 * Sources of the design: Go's page allocator (proposal 35112) and scavenger (proposal 30333); A. Hunter et al., "Beyond malloc efficiency
 * to fleet efficiency" (OSDI 2021) for filling chunks; T. Granlund and P. Montgomery, "Division by invariant
 * integers using multiplication" (1994), for telling objects from other addresses.
 */
#ifndef ARENA_HEAP_H
#define ARENA_HEAP_H

#include <arena/arena.h>

#ifdef __cplusplus
extern "C" {
#endif

struct arena_heap;

/*
 * A program's own memory for a heap. Both are called with a lock of the heap held: they must not call this library, nor malloc() where
 * that is libarena-malloc.so. Addresses are multiples of 2 MiB, sizes of whole chunks.
 */
struct arena_heap_hooks {
	/**
	 * Put readable and writable memory at [@address, @address + @bytes), where the heap has reserved addresses, by mmap() with MAP_FIXED or
	 * what does the same: of a file, a device, huge pages of any kind, with any policy. 0, or -errno: then the heap is out of memory.
	 */
	int (*take)(void *context, void *address, size_t bytes);
	/** The heap does without it. The memory is still there, and unmapped behind this call. One chunk at a time. May be NULL. */
	void (*give)(void *context, void *address, size_t bytes);
	void *context;
	bool is_zeroed;	/* take() gives memory that reads as zeros */
};

/* Why a program is asked for memory. */
enum arena_pressure {
	ARENA_PRESSURE_SOFT = 1,	/* a heap has grown, and more than 95 % of a limit are held */
	ARENA_PRESSURE_HARD = 2		/* an allocation is about to be refused */
};
/**
 * The program's own way of giving memory back: drop what can be made again, collect garbage, shrink. @want_bytes: how much is held beyond 95 %,
 * or was asked for. Returns whether it freed something, so that an allocation is worth another try; it is called again, at most 16 times, while it
 * says so. @context is what was registered with it.
 *
 * It is called by the thread that allocates, at the end of the allocation, with none of the library's locks held; by several threads at once when
 * several allocate. It may allocate, free, and call arena_heap_trim() and arena_heap_set_limit(), but not destroy the heap, and must return.
 * It is not called while it runs in the same thread: what is refused inside is NULL at once. malloc()'s user may hold locks of his own.
 */
typedef bool arena_pressure_fn(enum arena_pressure pressure, size_t want_bytes, void *context);

struct arena_heap_options {
	enum arena_source source;	/* default AUTO: DEV where it is to be had, else THP */
	size_t limit_bytes;		/* most memory the heap may hold, see arena_heap_set_limit(); 0 = no limit */
	arena_pressure_fn *on_pressure;	/* called near a limit of this heap or of the process, and before a refusal; default NULL */
	void *context;			/* its argument */
	const struct arena_heap_hooks *hooks; /* where chunks come from instead; copied. NULL: the source */
	/*
	 * Memory that all of the heap is to be in: as many whole chunks of it as fit beside their records (3.2 %, at the front), and not a byte
	 * more; at least 4 MiB and 128 KiB hold one. Readable, writable, and left alone by the program until the heap is destroyed; then it is
	 * the program's again, with whatever is in it. Its objects take a lock each, are not sampled (arena/profile.h), and are not seen by
	 * Memcheck and ASan. NULL: none.
	 */
	void *memory;
	size_t memory_bytes;
	bool is_on_node;		/* memory of one NUMA node, while that has some; not of DEV, whose chunks follow the task's policy */
	unsigned int node;		/* its number */
};

/**
 * Make a heap. @options may be NULL (all defaults). NULL when out of memory, when there are 63 heaps already, when the source is
 * not to be had for heaps, or when there is no such node. Destroy it with arena_heap_destroy().
 */
ARENA_API struct arena_heap *arena_heap_create(const struct arena_heap_options *options);
/**
 * Destroy a heap with all objects in it: their addresses fault from now on. NULL is allowed. No other thread may use it any more.
 * Linear in chunks, not in objects.
 */
ARENA_API void arena_heap_destroy(struct arena_heap *heap);

/**
 * @bytes of memory, not initialized, aligned to 16 bytes. 0 bytes give an object as well. NULL when out of memory or over the
 * heap's limit. O(1) up to 32 KiB, without a lock as a rule. Free it with arena_heap_free().
 */
ARENA_API void *arena_heap_alloc(struct arena_heap *heap, size_t bytes);
/** As arena_heap_alloc(), zeroed, for @count objects of @bytes each; NULL also when the product overflows. */
ARENA_API void *arena_heap_calloc(struct arena_heap *heap, size_t count, size_t bytes);
/** As arena_heap_alloc(), aligned to @align_bytes: a power of two up to 1 GiB, else NULL; as far as a heap in memory has such an address. */
ARENA_API void *arena_heap_alloc_aligned(struct arena_heap *heap, size_t bytes, size_t align_bytes);
/**
 * Resize @object, in place where possible, else to a copy in the same heap that @object belongs to; NULL as @object is
 * arena_heap_alloc(). When NULL is returned @object is still valid.
 */
ARENA_API void *arena_heap_realloc(struct arena_heap *heap, void *object, size_t bytes);
/** Free an object of any heap; NULL is allowed. O(1). Misuse aborts. */
ARENA_API void arena_heap_free(void *object);
/** Bytes that may be used of an object: as many as were asked for, or more. */
ARENA_API size_t arena_heap_usable_bytes(const void *object);
/** The heap that an object belongs to; NULL for any other address, objects of malloc() among them. */
ARENA_API struct arena_heap *arena_heap_of(const void *object);

/** Told of an object and how many of its bytes may be used; false ends the walk. */
typedef bool arena_heap_visit(void *context, void *object, size_t usable_bytes);
/**
 * Show the live objects of a heap to @visit, by address; false when @visit ended it. @visit may free the object that it is shown, and
 * objects it was shown before; whether it is shown what it allocates in this heap is left open. Complete and exact while no other thread
 * uses the heap; else objects may be missing or already free, so that what they hold must not be looked at. Guarded objects (arena/profile.h)
 * are not shown. Linear in chunks and objects.
 */
ARENA_API bool arena_heap_walk(struct arena_heap *heap, arena_heap_visit *visit, void *context);

/* Exact to the chunk, since the heap was made: handed = mapped + idle + returned. */
struct arena_heap_stats {
	uint64_t handed_chunks;		/* got from the system */
	uint64_t mapped_chunks;		/* with objects in them now */
	uint64_t idle_chunks;		/* without, memory still there */
	uint64_t returned_chunks;	/* given back to the system */
	uint64_t used_bytes;		/* pages that are an object's, or at a thread's hand */
};
ARENA_API void arena_heap_stats(struct arena_heap *heap, struct arena_heap_stats *stats);
/**
 * The same of all heaps of the process as one JSON object in a string; free() it. NULL when out of memory. With ARENA_SHARED_STATS=1
 * in the environment other processes can read the numbers at any time: arena/shared.h.
 */
ARENA_API char *arena_heap_json(void);
/**
 * Give idle chunks back to the system now, at most @max_bytes (rounded up to chunks), after what the calling thread has at hand;
 * returns bytes given back.
 */
ARENA_API size_t arena_heap_trim(struct arena_heap *heap, size_t max_bytes);

/**
 * The most memory that @heap may hold from now on, in whole chunks of 2 MiB, idle ones counted in; 0 = no limit. @heap NULL: all heaps of the process
 * together, malloc()'s among them; the environment variable ARENA_MEMORY_LIMIT sets that one at the start. Exact to the chunk; what the library
 * keeps beside the memory, about 3 % of it, is not counted.
 *
 * Beyond 95 % of it idle chunks go back at once, in the allocation that needs others and by the library's thread, and the program is told
 * (arena_pressure_fn). Beyond all of it allocations are refused, after idle chunks of all heaps, and the program's function, could not help. A heap
 * that holds more already is refused growth until it holds less. 0, or -ENOMEM with @heap NULL when there is no memory for heaps at all.
 */
ARENA_API int arena_heap_set_limit(struct arena_heap *heap, size_t limit_bytes);
/** Call @function with @context from now on; NULL for none. @heap NULL: for all heaps of the process, after that of the heap. */
ARENA_API void arena_heap_set_callback(struct arena_heap *heap, arena_pressure_fn *function, void *context);

#ifdef __cplusplus
}
#endif

#endif /* ARENA_HEAP_H */
