/* SPDX-License-Identifier: MIT */
/*
 * Atomics with their order in the name. Rules of the project: a release names the acquire that it
 * pairs with, in both places; relaxed needs a reason; data that a lock guards is not atomic.
 */
#ifndef LIBARENA_ATOMIC_H
#define LIBARENA_ATOMIC_H

#define atomic_load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define atomic_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define atomic_store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define atomic_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
/* These give the value from before. */
#define atomic_add_relaxed(p, v) __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define atomic_swap_acquire(p, v) __atomic_exchange_n((p), (v), __ATOMIC_ACQUIRE)
#define atomic_swap_release(p, v) __atomic_exchange_n((p), (v), __ATOMIC_RELEASE)
/* For two sides that each write one word and then read the other's: at least one of them sees what the other wrote. */
#define atomic_and_seq_cst(p, v) __atomic_fetch_and((p), (v), __ATOMIC_SEQ_CST)
#define atomic_or_seq_cst(p, v) __atomic_fetch_or((p), (v), __ATOMIC_SEQ_CST)
#define atomic_swap_seq_cst(p, v) __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
#define atomic_load_seq_cst(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define atomic_store_seq_cst(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define atomic_add_seq_cst(p, v) __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST)
#define atomic_or_relaxed(p, v) __atomic_fetch_or((p), (v), __ATOMIC_RELAXED)
#define atomic_and_relaxed(p, v) __atomic_fetch_and((p), (v), __ATOMIC_RELAXED)
/* True when *p was *expected and is now v; otherwise *expected is what *p is. */
#define atomic_cas_acquire(p, expected, v) \
	__atomic_compare_exchange_n((p), (expected), (v), false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)
#define atomic_cas_seq_cst(p, expected, v) \
	__atomic_compare_exchange_n((p), (expected), (v), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)
#define atomic_cas_release(p, expected, v) \
	__atomic_compare_exchange_n((p), (expected), (v), false, __ATOMIC_RELEASE, __ATOMIC_RELAXED)
#define atomic_cas_relaxed(p, expected, v) \
	__atomic_compare_exchange_n((p), (expected), (v), false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)

/* Between two looks at a word that another CPU is about to write. */
static inline void cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory"); /* yield is nothing on most */
#endif
}

/*
 * Relaxed, for a fast path that uses the value only after it has found out that nobody else writes it. Compilers make one instruction more of an atomic
 * load than of a plain one, so it is atomic only where somebody looks for races.
 */
#if defined(__SANITIZE_THREAD__)
#define ATOMIC_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ATOMIC_SANITIZED 1
#endif
#endif
#ifdef ATOMIC_SANITIZED
#define load_racing(p) atomic_load_relaxed(p)
#else
#define load_racing(p) (*(p))
#endif

#endif /* LIBARENA_ATOMIC_H */
