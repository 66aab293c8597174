/* SPDX-License-Identifier: MIT */
/*
 * Collected heaps of libarena: objects that are freed when nothing leads to them any more.
 *
 * The collector runs beside the program: it never stops all threads. A thread that uses a collected heap attaches to it, and from
 * then on does what the collector asks of it, each time a small thing, when it allocates or polls: a thread that does neither for
 * long delays the cycle, and nobody else. In exchange each store of a pointer to where the collector looks goes through
 * arena_gc_store() or one of its kin. That costs a test of a word of the thread while no cycle is running.
 *
 *	where pointers to objects are		how the collector finds them
 *	objects					by their type: all pointers in it, and nothing else
 *	stacks and registers of attached threads	conservatively: what looks like the address of an object keeps it
 *	globals, other memory			arena_gc_add_roots(); thread-local variables count as such
 *	handles					arena_gc_handle_create()
 *	arenas					arena_gc_scan_arena()
 *	anything else (malloc(), files)		not at all: what only they lead to is freed
 *
 * A pointer may lead anywhere into an object. One past its end leads to the next one. A heap does not look into other heaps.
 *
 * Objects never move. They are zeroed, aligned to 16 bytes if their size is a multiple of that and else as pointers are, and cost no header.
 *
 * Thread rules: any attached thread may do anything with any object at any time, as far as the program's own rules allow. A
 * function says when its caller need not be attached. Not from signal handlers. In the child of a fork() heaps go on, with the thread
 * that forked, as memory does: what other threads were writing at that moment may be there in pieces.
 *
 * Errors: out of memory is NULL (or -ENOMEM); misuse prints what is wrong and aborts. errno is left alone.
 *
 * What C does not let a collector do: it cannot prove that every store goes through the barrier (ARENA_GCVERIFY=1 looks for what
 * was lost); it cannot bound the time that a thread takes which never polls; stacks are read conservatively, so that a stale word
 * may keep an object for some time, and a deep stack takes time to be copied.
 *
 * Sources of the design: E. Dijkstra et al., "On-the-fly garbage collection: an exercise in cooperation" (1978); T. Yuasa,
 * "Real-time garbage collection on general-purpose machines" (1990); D. Doligez and G. Gonthier, "Portable, unobtrusive garbage
 * collection for multiprocessor systems" (1994); Go's hybrid barrier (proposal 17503). ARENA_GCTRACE=1 prints a line for each
 * cycle, in Go's order.
 */
#ifndef ARENA_GC_H
#define ARENA_GC_H

#include <arena/arena.h>
#include <pthread.h>

#ifdef __cplusplus
#include <type_traits>
extern "C" {
#endif

struct arena_gc;
struct arena_gc_type;
struct arena_gc_handle;
struct arena_gc_stack;
struct arena_gc_visitor;

/* ---------------------------------------------------------------- heaps */

/* Cycles begin only when the program asks for one. */
#define ARENA_GC_OFF (~0u)

struct arena_gc_options {
	enum arena_source source;	/* as for heaps (arena/heap.h); default AUTO */
	unsigned int percent;		/* how much may be allocated until a cycle has ended, of what was live after the last one and of roots; 0 = 100 */
	bool cleanups_by_program;	/* no thread calls cleanups, only arena_gc_run_cleanups() */
	bool stops_world;		/* all attached threads wait while it marks; in exchange stores need no barrier, pointers may be stored plainly */
};

/**
 * Make a collected heap and its collector's thread. @options may be NULL (all defaults). NULL when out of memory, when there are 63
 * heaps already, or when the source is not to be had. Any thread. Destroy it with arena_gc_destroy().
 */
ARENA_API struct arena_gc *arena_gc_create(const struct arena_gc_options *options);
/**
 * Destroy a heap with all objects in it: their addresses fault from now on. NULL is allowed. No other thread may be attached; the
 * caller may, and is detached. Linear in chunks.
 */
ARENA_API void arena_gc_destroy(struct arena_gc *gc);

/* ---------------------------------------------------------------- threads */

/**
 * Attach the calling thread: 0 or -ENOMEM. Before it touches an object; what it is to begin with travels in a handle. Its stack
 * is looked at from now on. Calls do not nest. A thread that ends is detached.
 */
ARENA_API int arena_gc_attach(struct arena_gc *gc);
/** Detach it. It must not touch an object any more. */
ARENA_API void arena_gc_detach(struct arena_gc *gc);
/** Do what the collector asks for, if it does. In loops that run long without allocating. Any thread. */
static inline void arena_gc_poll(void);
/**
 * Call @function while the thread answers for nothing: for what may wait or run long without polling. @function must neither
 * touch objects nor call anything of this header. Returns what it returns. By callback, because the caller's frames must not
 * change meanwhile. Any thread.
 */
ARENA_API void *arena_gc_blocking(void *(*function)(void *context), void *context);
/**
 * As pthread_create(), with a thread that is attached when @function is called, and detached when it returns. @argument may be an
 * object, when the caller is attached; else the caller need not be. What @function returns is nobody's: an object travels back in a
 * handle. 0 or -errno; when the thread could not be attached there is none. Waits until it is, as arena_gc_blocking() does.
 */
ARENA_API int arena_gc_thread_create(struct arena_gc *gc, pthread_t *thread, const pthread_attr_t *attributes,
				     void *(*function)(void *argument), void *argument);

/*
 * Coroutines: stacks that threads leave and enter. A stack is known to one heap; a thread with several nests the calls.
 *
 * A pointer that goes from one stack to another by a register, or by memory that the collector does not know, is seen. But nobody writes to a
 * stack that is suspended.
 */
/** A stack with @bytes from @base on, which nothing has run on yet. NULL when out of memory. Any thread. */
ARENA_API struct arena_gc_stack *arena_gc_stack_create(struct arena_gc *gc, void *base, size_t bytes);
/** What it holds keeps nothing any more. NULL is allowed. No thread runs on it. Its memory is the caller's. */
ARENA_API void arena_gc_stack_destroy(struct arena_gc *gc, struct arena_gc_stack *stack);
/**
 * Leave the stack that the calling thread runs on for @to, or for the thread's own when @to is NULL, by calling @swap, which does no
 * more than that, by swapcontext() or the like. Comes back when the stack is switched to again, by any thread that is attached. A
 * stack that this cycle has not looked at is looked at before, which takes time in proportion to its depth.
 */
ARENA_API void arena_gc_stack_switch(struct arena_gc *gc, struct arena_gc_stack *to, void (*swap)(void *context), void *context);

/* ---------------------------------------------------------------- types */

/**
 * Tells the collector what an element of @bytes at @object holds: call arena_gc_visit() for each pointer to an object. Called by
 * the collector's threads while others change the element: read its words by arena_gc_load(). An element is all zeros before the
 * program has filled it in, and so are those behind the last one of an array. It must not allocate.
 */
typedef void arena_gc_scan_fn(const void *object, size_t bytes, struct arena_gc_visitor *visitor);
ARENA_API void arena_gc_visit(struct arena_gc_visitor *visitor, const void *pointer);

/* What a type is made of; ARENA_GC_LAYOUT() writes it. */
struct arena_gc_layout {
	const char *name;		/* or NULL */
	size_t bytes;			/* sizeof, at most 4 GiB */
	const uint32_t *pointers;	/* offsets of all pointers to objects: multiples of 8, each within the type */
	size_t nr_pointers;
	arena_gc_scan_fn *scan;		/* instead of pointers; NULL: none */
};

/**
 * A type of a heap: of its name and layout nothing is copied but the pointers. Types are never freed before their heap. NULL when
 * out of memory, when there are too many (4,096 pairs of a type and a size of objects), or when the layout is not one. The
 * caller need not be attached.
 */
ARENA_API struct arena_gc_type *arena_gc_type_create(struct arena_gc *gc, const struct arena_gc_layout *layout);

/*
 * ARENA_GC_LAYOUT(node_layout, struct node, left, right); defines node_layout of a type whose pointers to objects are the members
 * left and right, at most 16 of them. An array is named by its elements (child[0], child[1]). What is no pointer does not compile.
 */
#define ARENA_GC_LAYOUT(layout, type, ...) \
	static const uint32_t layout##_pointers_[] = { ARENA_GC_EACH_(type, __VA_ARGS__) }; \
	static const struct arena_gc_layout layout = { #type, sizeof(type), layout##_pointers_, \
						       sizeof(layout##_pointers_) / sizeof(layout##_pointers_[0]), NULL }

#ifdef __cplusplus
#define ARENA_GC_IS_POINTER_(type, member) std::is_pointer<std::remove_reference_t<decltype(((type *)0)->member)>>::value
#else
/* An array would become a pointer in the second. */
#define ARENA_GC_IS_POINTER_(type, member) \
	(__builtin_classify_type(((type *)0)->member) == 5 && \
	 __builtin_types_compatible_p(__typeof__(((type *)0)->member), __typeof__(1 ? ((type *)0)->member : ((type *)0)->member)))
#endif
#define ARENA_GC_OFFSET_(type, member) \
	(uint32_t)(offsetof(type, member) + 0 * sizeof(char[ARENA_GC_IS_POINTER_(type, member) && \
							    offsetof(type, member) % sizeof(void *) == 0 ? 1 : -1])),
#define ARENA_GC_EACH_(type, ...) \
	ARENA_GC_PICK_(__VA_ARGS__, 16_, 15_, 14_, 13_, 12_, 11_, 10_, 9_, 8_, 7_, 6_, 5_, 4_, 3_, 2_, 1_, )(type, __VA_ARGS__)
#define ARENA_GC_PICK_(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, nr, ...) ARENA_GC_EACH_##nr
#define ARENA_GC_EACH_1_(type, m) ARENA_GC_OFFSET_(type, m)
#define ARENA_GC_EACH_2_(type, m, ...) ARENA_GC_OFFSET_(type, m) ARENA_GC_EACH_1_(type, __VA_ARGS__)
#define ARENA_GC_EACH_3_(type, m, ...) ARENA_GC_OFFSET_(type, m) ARENA_GC_EACH_2_(type, __VA_ARGS__)
#define ARENA_GC_EACH_4_(type, m, ...) ARENA_GC_OFFSET_(type, m) ARENA_GC_EACH_3_(type, __VA_ARGS__)
#define ARENA_GC_EACH_5_(type, m, ...) ARENA_GC_OFFSET_(type, m) ARENA_GC_EACH_4_(type, __VA_ARGS__)
#define ARENA_GC_EACH_6_(type, m, ...) ARENA_GC_OFFSET_(type, m) ARENA_GC_EACH_5_(type, __VA_ARGS__)
#define ARENA_GC_EACH_7_(type, m, ...) ARENA_GC_OFFSET_(type, m) ARENA_GC_EACH_6_(type, __VA_ARGS__)
#define ARENA_GC_EACH_8_(type, m, ...) ARENA_GC_OFFSET_(type, m) ARENA_GC_EACH_7_(type, __VA_ARGS__)
#define ARENA_GC_EACH_9_(type, m, ...) ARENA_GC_OFFSET_(type, m) ARENA_GC_EACH_8_(type, __VA_ARGS__)
#define ARENA_GC_EACH_10_(type, m, ...) ARENA_GC_OFFSET_(type, m) ARENA_GC_EACH_9_(type, __VA_ARGS__)
#define ARENA_GC_EACH_11_(type, m, ...) ARENA_GC_OFFSET_(type, m) ARENA_GC_EACH_10_(type, __VA_ARGS__)
#define ARENA_GC_EACH_12_(type, m, ...) ARENA_GC_OFFSET_(type, m) ARENA_GC_EACH_11_(type, __VA_ARGS__)
#define ARENA_GC_EACH_13_(type, m, ...) ARENA_GC_OFFSET_(type, m) ARENA_GC_EACH_12_(type, __VA_ARGS__)
#define ARENA_GC_EACH_14_(type, m, ...) ARENA_GC_OFFSET_(type, m) ARENA_GC_EACH_13_(type, __VA_ARGS__)
#define ARENA_GC_EACH_15_(type, m, ...) ARENA_GC_OFFSET_(type, m) ARENA_GC_EACH_14_(type, __VA_ARGS__)
#define ARENA_GC_EACH_16_(type, m, ...) ARENA_GC_OFFSET_(type, m) ARENA_GC_EACH_15_(type, __VA_ARGS__)

/* ---------------------------------------------------------------- objects */

/**
 * An object of a type, zeroed; NULL when out of memory. O(1), without a lock as a rule. May do what arena_gc_poll() does, and while a cycle runs
 * mark for others: in slices of 30 us, one of them at a time as long as the heap is below its goal, and at most 13; or, where the heap is far beyond
 * and nothing is left that it could mark, wait for 4 of them at most. (For marking, objects of more than 64 KiB count as several.)
 */
ARENA_API void *arena_gc_alloc(struct arena_gc *gc, struct arena_gc_type *type);
/**
 * The same for @count neighboring ones in one object; NULL also when the product overflows, or when this would be one pair of a type and a size of objects
 * too many (arena_gc_type_create()), as in the two below.
 */
ARENA_API void *arena_gc_alloc_array(struct arena_gc *gc, struct arena_gc_type *type, size_t count);
/** @bytes in which the collector does not look: text, numbers. */
ARENA_API void *arena_gc_alloc_atomic(struct arena_gc *gc, size_t bytes);
/** @bytes each of whose words keeps an object if it looks like its address: where no type can be told. */
ARENA_API void *arena_gc_alloc_conservative(struct arena_gc *gc, size_t bytes);
/** As arena_gc_alloc(), of an object that stays, as if a root led to it, until arena_gc_make_collectable(). */
ARENA_API void *arena_gc_alloc_uncollectable(struct arena_gc *gc, struct arena_gc_type *type);
ARENA_API void arena_gc_make_collectable(struct arena_gc *gc, void *object);
/** Bytes that may be used of the object that @pointer leads into; 0 when it leads into none of this heap. */
ARENA_API size_t arena_gc_usable_bytes(struct arena_gc *gc, const void *pointer);

/* ---------------------------------------------------------------- stores */

/* Of the calling thread; not for callers. */
struct arena_gc_local {
	uint32_t barrier;	/* what a store does besides; 0 = nothing */
	uint32_t attention;	/* atomic: a collector asks for something */
	uintptr_t *next, *limit; /* where to note what a store meets; there is no room when they are equal */
};
extern ARENA_API __thread struct arena_gc_local arena_gc_local_ __attribute__((tls_model("initial-exec")));
ARENA_API void arena_gc_shade_(const void *old_value, const void *new_value);
ARENA_API void arena_gc_answer_(void);

/** *@location = @value, for a pointer in an object or a root. @location is the address of a pointer of any type. Others see with @value what was written before. */
static inline void arena_gc_store(void *location, const void *value)
{
	if (!ARENA_LIKELY(!arena_gc_local_.barrier))
		arena_gc_shade_(__atomic_load_n((const void **)location, __ATOMIC_RELAXED), value);
	__atomic_store_n((const void **)location, value, __ATOMIC_RELEASE);
}

/** A pointer that others may store at the same time; what it leads to is as its writer left it. */
static inline void *arena_gc_load(const void *location)
{
	return __atomic_load_n((void *const *)location, __ATOMIC_ACQUIRE);
}

/** *@location = @value in one step; returns what was there. */
static inline void *arena_gc_swap(void *location, const void *value)
{
	const void *old;

	if (!ARENA_LIKELY(!arena_gc_local_.barrier))
		arena_gc_shade_(NULL, value);
	old = __atomic_exchange_n((const void **)location, value, __ATOMIC_SEQ_CST);
	/* Behind the store is as good as before: the thread answers for nothing in between. */
	if (!ARENA_LIKELY(!arena_gc_local_.barrier))
		arena_gc_shade_(old, NULL);
	return (void *)(uintptr_t)old;
}

/** *@location = @value if it is @expected; whether it was. */
static inline bool arena_gc_cas(void *location, const void *expected, const void *value)
{
	if (!ARENA_LIKELY(!arena_gc_local_.barrier))
		arena_gc_shade_(expected, value);
	return __atomic_compare_exchange_n((const void **)location, &expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/*
 * Many stores at once: @count elements of @type (NULL: words of which each may be a pointer, as in conservative objects), in objects or roots. Each
 * pointer is stored whole, with its barrier. What takes long does what arena_gc_poll() does in between, but not within an element. The
 * caller is attached. Linear in bytes. A type's scan function is called for elements that are overwritten while a cycle runs.
 */
/** From @from to @to, which do not overlap. */
ARENA_API void arena_gc_copy(struct arena_gc *gc, const struct arena_gc_type *type, void *to, const void *from, size_t count);
/** The same for what may overlap. */
ARENA_API void arena_gc_move(struct arena_gc *gc, const struct arena_gc_type *type, void *to, const void *from, size_t count);
/** Fill with zeros. */
ARENA_API void arena_gc_clear(struct arena_gc *gc, const struct arena_gc_type *type, void *at, size_t count);

static inline void arena_gc_poll(void)
{
	if (!ARENA_LIKELY(!__atomic_load_n(&arena_gc_local_.attention, __ATOMIC_RELAXED)))
		arena_gc_answer_();
}

/** Keep an object until here, although it is not used any more: for who hands out what lies in it. */
static inline void arena_gc_keep_alive(const void *object)
{
	__asm__ volatile("" : : "r"(object) : "memory");
}

/* ---------------------------------------------------------------- roots */

/**
 * The words of [@base, @base + @bytes), aligned as pointers are, keep objects as those of a stack do. They are stored to by
 * arena_gc_store(). 0, or -ENOMEM, or -EINVAL for what is not aligned. Linear in bytes while a cycle marks. Ranges must not overlap.
 */
ARENA_API int arena_gc_add_roots(struct arena_gc *gc, void *base, size_t bytes);
/** No more. Before the memory goes. -ENOENT when it is none. Linear in bytes; does what arena_gc_poll() does, every 64 KiB. */
ARENA_API int arena_gc_remove_roots(struct arena_gc *gc, void *base);

/** What keeps an object from anywhere, also from memory that the collector does not know. NULL when out of memory. */
ARENA_API struct arena_gc_handle *arena_gc_handle_create(struct arena_gc *gc, const void *object);
ARENA_API void *arena_gc_handle_get(const struct arena_gc_handle *handle);
ARENA_API void arena_gc_handle_set(struct arena_gc_handle *handle, const void *object);
/** It keeps nothing any more, and is not to be used: that aborts, unless it was handed out again. NULL is allowed. */
ARENA_API void arena_gc_handle_free(struct arena_gc *gc, struct arena_gc_handle *handle);

/* ---------------------------------------------------------------- weak references */

/*
 * A weak reference leads to an object without keeping it: when nothing else does, a cycle frees the object, and from then on
 * the reference leads to nothing. It is an object of the heap itself, which is kept by what leads to it, and freed like any other:
 * an element of a cache holds one, memory that the collector does not know has a handle on one.
 *
 * As Go's weak.Pointer and Java's WeakReference: what was read is kept by who has read it; after the first NULL nobody gets
 * the object again; all references to an object, to any place in it, go at once, before its cleanups run, and with all that only it leads
 * to. Unlike Boehm's disappearing links they are read by a function, because the collector does not stop the threads to clear them.
 * Two references to one object are two. What is no object of the heap is led to for ever.
 */
struct arena_gc_weak;

/** A weak reference to an object, which may be NULL, and may be set later. NULL when out of memory. O(1), and for each cycle. */
ARENA_API struct arena_gc_weak *arena_gc_weak_create(struct arena_gc *gc, const void *object);
/** Make it lead elsewhere; NULL: to nothing. */
ARENA_API void arena_gc_weak_set(struct arena_gc_weak *weak, const void *object);
ARENA_API void *arena_gc_weak_read_(const void *location);
/** What it leads to, or NULL when that has died. O(1), lock-free. Does not answer the collector. */
static inline void *arena_gc_weak_get(const struct arena_gc_weak *weak)
{
	/* Its first word. While no cycle runs it is as any other. */
	if (ARENA_LIKELY(!arena_gc_local_.barrier))
		return arena_gc_load(weak);
	return arena_gc_weak_read_(weak);
}

/*
 * An ephemeron keeps a value as long as its key lives, and while it is kept itself; that the value leads to the key does not make
 * the key live. When the key has died the ephemeron has neither any more, for ever: so a table of them knows more about objects without
 * keeping them. An object of the heap itself, as weak references are; as B. Hayes's (1997), and what JavaScript's WeakMap is made of.
 * Any chain of them costs marking linear time (expected: keys are hashed).
 */
struct arena_gc_ephemeron;

/** An ephemeron; @key is what it stays. NULL when out of memory. */
ARENA_API struct arena_gc_ephemeron *arena_gc_ephemeron_create(struct arena_gc *gc, const void *key, const void *value);
/** Another value. Without effect when the key has died. */
ARENA_API void arena_gc_ephemeron_set(struct arena_gc_ephemeron *ephemeron, const void *value);
/** The key, or NULL when it has died. As arena_gc_weak_get(). */
static inline void *arena_gc_ephemeron_key(const struct arena_gc_ephemeron *ephemeron)
{
	if (ARENA_LIKELY(!arena_gc_local_.barrier))
		return arena_gc_load(ephemeron);
	return arena_gc_weak_read_(ephemeron);
}
/** The value, or NULL when the key has died: not while the caller has the key. */
static inline void *arena_gc_ephemeron_value(const struct arena_gc_ephemeron *ephemeron)
{
	const void *const *value = (const void *const *)(const void *)ephemeron + 1;

	if (!arena_gc_load(ephemeron))
		return NULL;
	return ARENA_LIKELY(!arena_gc_local_.barrier) ? arena_gc_load(value) : arena_gc_weak_read_(value);
}

/* ---------------------------------------------------------------- cleanups */

/*
 * A cleanup is a call that is made once, after an object has died: @function(@argument), for a file, memory of malloc(), or an arena that
 * belonged to the object. As Go's AddCleanup: the object itself is not passed, so that it is freed in the cycle that finds it dead, with
 * all that only it leads to, be that chains or cycles of objects that have cleanups too, and nothing dead comes back. An object may have
 * several; they are called in no order. Weak references to an object lead to nothing before its cleanups are called.
 *
 * The argument is kept until then if it leads to an object. It must not lead to the object of the cleanup, not even by
 * way of others: that one would never die.
 *
 * Cleanups are called one after the other by a thread that the heap starts for them, attached to it, with 256 KiB of stack and without
 * signals; or by whoever calls arena_gc_run_cleanups(), and by nobody else with the option cleanups_by_program. They may do anything but
 * destroy the heap. arena_gc_destroy() calls all that are left, as if all objects had died, in the thread that calls it: when it returns each
 * cleanup was called once or cancelled. (Not where the calling thread cannot be attached for want of memory, nor in the child of a fork that may start no
 * thread: then none is.) At the exit of the program none is called.
 */
struct arena_gc_cleanup;
typedef void arena_gc_cleanup_fn(void *argument);

/**
 * Add a cleanup to the object that @object leads into. NULL when out of memory, and while the heap is being destroyed. The result may be
 * forgotten; it is an object of the heap. O(1), and for each cycle.
 */
ARENA_API struct arena_gc_cleanup *arena_gc_add_cleanup(struct arena_gc *gc, const void *object, arena_gc_cleanup_fn *function, void *argument);
/** Do not call it: true, and it will never be called; or false when it was or is being called, or was cancelled before. Any attached thread. */
ARENA_API bool arena_gc_cancel_cleanup(struct arena_gc_cleanup *cleanup);
/** Call those whose objects were found dead and that nobody has called yet; how many. */
ARENA_API size_t arena_gc_run_cleanups(struct arena_gc *gc);

/* ---------------------------------------------------------------- arenas */

/**
 * Let an arena's objects hold pointers to objects: all aligned words in it keep what they look like the address of, from now on until it is freed or
 * the heap is destroyed. They are stored to by arena_gc_store(), also when they are filled in. 0, or -EBUSY when another heap does that.
 * Its owner frees and resets it while attached, and not within arena_gc_blocking().
 *
 * arena_free() costs what it always does: when a cycle runs that has not come to the arena yet, its memory goes, and its addresses fault, as soon as the
 * collector has looked at it. Until then arena_reset() and arena_reset_release() are linear in bytes, and the latter keeps the memory. O(1) here but
 * while a cycle begins; linear in bytes for each cycle.
 */
ARENA_API int arena_gc_scan_arena(struct arena_gc *gc, struct arena *arena);
/**
 * A copy of @count neighboring objects of a type, in an arena or anywhere, as one object of the heap; NULL when out of memory. Only what is there
 * is copied: its pointers lead where they led, so those into an arena are to be replaced, by clones of their own, before it goes.
 */
ARENA_API void *arena_gc_clone(struct arena_gc *gc, struct arena_gc_type *type, const void *objects, size_t count);
ARENA_API char *arena_gc_clone_string(struct arena_gc *gc, const char *string);

/* ---------------------------------------------------------------- cycles */

/**
 * Wait for a full cycle that begins now: what nothing led to when this was called is freed. The caller may be attached; other
 * threads are not held up.
 */
ARENA_API void arena_gc_collect(struct arena_gc *gc);

/*
 * Settings. All of them at any time, also while a cycle runs; the caller need not be attached. Where the program says nothing the environment may:
 * ARENA_GC_PERCENT (a number or off), ARENA_GC_SHARE, ARENA_GC_LIMIT, and ARENA_GC_CPUS for how many CPUs there are.
 */

/** How much may be allocated until a cycle has ended, of what lives and of roots: as in arena_gc_options. ARENA_GC_OFF: only a limit begins cycles. */
ARENA_API void arena_gc_set_percent(struct arena_gc *gc, unsigned int percent);
/** Percent of all CPUs that the collector's threads have while a cycle runs, 1 to 50; 0 = 25. What nobody else wants comes on top. */
ARENA_API void arena_gc_set_share(struct arena_gc *gc, unsigned int percent);
/** While it is disabled a cycle runs only when it is asked for, or an allocation would be refused otherwise. */
ARENA_API void arena_gc_set_enabled(struct arena_gc *gc, bool is_enabled);

enum arena_gc_policy {
	ARENA_GC_OVERSHOOT,	/* what lives and does not fit the limit gets its memory all the same */
	ARENA_GC_FAIL,		/* allocations are refused */
};
/**
 * Called when what lives does not fit the limit, once until it does again: by a thread that allocates, in arena_gc_alloc() and its kin. It may drop
 * what it can do without.
 */
typedef void arena_gc_limit_fn(struct arena_gc *gc, void *context);
struct arena_gc_limit {
	uint64_t bytes;			/* of memory, tables of the heap included, in whole chunks of 2 MiB; 0 = none */
	enum arena_gc_policy policy;
	arena_gc_limit_fn *function;	/* or NULL */
	void *context;
};
/**
 * Keep a heap below a limit: cycles begin early enough, and what would go beyond waits for one. What lives and does not fit is a matter of policy, after @function was
 * called. The collector never takes more than half of the CPU for it in the mean.
 */
ARENA_API void arena_gc_set_limit(struct arena_gc *gc, const struct arena_gc_limit *limit);
/**
 * What the process's memory cgroups (version 1 or 2, hybrid systems too) and those above them allow it, in bytes; 0 when that is not limited, or not known. Reads some
 * small files below /proc and where cgroups are mounted, and takes 15 KiB of stack.
 */
ARENA_API uint64_t arena_gc_cgroup_bytes(void);
/** Give idle memory back to the system now, behind arena_gc_collect() all that can be: how many bytes. Linear in chunks. */
ARENA_API size_t arena_gc_trim(struct arena_gc *gc);

struct arena_gc_stats {
	uint64_t nr_cycles;		/* finished */
	uint64_t live_bytes;		/* of objects that were found in the last cycle, or made in it */
	uint64_t allocated_bytes;	/* taken for new objects since it marked */
	uint64_t freed_objects;		/* since the heap was made */
	uint64_t freed_bytes;
	uint64_t held_bytes;		/* whole chunks with memory */
	uint64_t handshake_max_ns;	/* longest time that threads took to answer, in the last cycle */
	uint64_t runtime_max_ns;	/* longest time that a thread spent in the library at once, in the last cycle */
	uint64_t stopped_ns;		/* with stops_world: from the requests to stop until threads were let go, in all cycles */
	uint64_t stopped_max_ns;	/* and the longest */
	uint64_t goal_bytes;		/* of objects and garbage: where the next cycle is to end, or the one that runs; UINT64_MAX: there is none */
	uint64_t collector_ns;		/* CPU time of its threads, since the heap was made */
	uint64_t assist_ns;		/* the same of other threads that marked, in so many slices */
	uint64_t assist_slices;
	uint64_t assist_max_work;	/* bytes that were scanned in the longest of them */
};
/** The caller need not be attached. */
ARENA_API void arena_gc_stats(struct arena_gc *gc, struct arena_gc_stats *stats);

/* How long something has taken since the heap was made: at least 50, 99, 99.9 and 99.99 % of the times are not longer, to a sixteenth. */
struct arena_gc_times {
	uint64_t count;
	uint64_t p50_ns, p99_ns, p999_ns, p9999_ns;
	uint64_t max_ns;		/* exact */
};
struct arena_gc_latency {
	struct arena_gc_times runtime;	/* a thread was in the library, in one call that was not short: an allocation, a poll */
	struct arena_gc_times answer;	/* of that, to do one thing that the collector asked for: what others call a pause */
	struct arena_gc_times handshake; /* from the collector's request until one thread had answered; nobody waits for that but the cycle */
};
/** The caller need not be attached. O(1), some microseconds. */
ARENA_API void arena_gc_latency(struct arena_gc *gc, struct arena_gc_latency *latency);
/**
 * arena_gc_stats() and arena_gc_latency() as one JSON object, with their names; free() it. NULL when out of memory. The caller need not
 * be attached.
 */
ARENA_API char *arena_gc_json(struct arena_gc *gc);

/* ---------------------------------------------------------------- looking at the heap */

/*
 * These are for finding out why memory is in use, and stop all threads of the heap for as long as they take, which is in proportion to its objects.
 * They wait for a cycle. The caller may be attached.
 */

/* What keeps an object by itself. */
enum arena_gc_root {
	ARENA_GC_ROOT_NONE,		/* it is an object that does */
	ARENA_GC_ROOT_RANGE,		/* arena_gc_add_roots() */
	ARENA_GC_ROOT_HANDLE,
	ARENA_GC_ROOT_UNCOLLECTABLE,
	ARENA_GC_ROOT_STACK,		/* or a register, of a thread: perhaps a stale word */
	ARENA_GC_ROOT_ARENA,		/* arena_gc_scan_arena() */
	ARENA_GC_ROOT_CLEANUP,		/* that is yet to be called, with its argument */
};

/* A step of a path: an object, and the pointer that leads to it. */
struct arena_gc_step {
	enum arena_gc_root root;	/* of the first step: where the path begins */
	uint32_t thread_id;		/* whose stack that is (gettid(2)); else 0 */
	const void *location;		/* of the pointer: in the root, or in the object of the step before. NULL: not known, in an arena or where a type has a function */
	const void *object;		/* its beginning */
	const char *type;		/* its name, or "?" */
	size_t bytes;			/* that it takes */
	size_t offset_bytes;		/* how far into it the pointer leads */
};

/**
 * The shortest path from a root to the object that @object leads into, whose steps [0, @max) are filled in; how many there are,
 * which may be more. 0 when nothing leads to it: the next cycle frees it. -EINVAL when there is no object, or -ENOMEM. The caller's own stack, which
 * @object is on, counts only if there is no other path. 48 bytes for each object are needed meanwhile.
 */
ARENA_API int arena_gc_why(struct arena_gc *gc, const void *object, struct arena_gc_step *steps, size_t max);
/**
 * For programs that free some objects by hand, by arena_gc_make_collectable(): uncollectable objects that no range, stack or handle leads to,
 * directly or by others, of which [0, @max) are filled in; how many there are, which may be more, or -ENOMEM. With ARENA_GCLEAKS=1 arena_gc_destroy()
 * reports them, and handles that still hold an object.
 */
ARENA_API int arena_gc_leaks(struct arena_gc *gc, struct arena_gc_step *leaks, size_t max);
/**
 * Write all roots and objects, and what they lead to, as a text that `arenactl objects` reads; doc/gc.md describes it. 0 or -errno. About
 * 20 bytes for each object and 6 for each pointer. If @fd is a pipe its reader must not be a thread of this heap.
 */
ARENA_API int arena_gc_dump(struct arena_gc *gc, int fd);

#ifdef __cplusplus
}
#endif

#endif /* ARENA_GC_H */
