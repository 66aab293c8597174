/* SPDX-License-Identifier: MIT */
/*
 * The stressor's model of who may see which byte.
 *
 * Every word that is written says who wrote it, for which slot, and when: WORD(id, slot, gen). Ids
 * are given once per process and run. A space is either exact: one process writes to it (its own
 * copy-on-write view counts as that), so each word has one value; or loose: many do, so a word is
 * zero or carries the id of the space's domain. A word with any other id is a leak.
 *
 * A chunk is watched at NR_SAMPLES places, the same in all chunks of all processes, so that a byte
 * that survives its owner is seen by the next one.
 */
#ifndef ARENA_TESTS_KMOD_STRESSOR_MODEL_H
#define ARENA_TESTS_KMOD_STRESSOR_MODEL_H

#include "../common.h"
#include <stdatomic.h>

#define NR_SLOTS	8U
#define NR_SAMPLES	33U
#define SAMPLE_BYTES	(CHUNK_BYTES / (NR_SAMPLES - 1))
#define NR_LOGGED	64U
#define NR_PIPED	12U	/* pages in flight; a pipe takes 16 */
#define NR_CHILDREN	3U
#define COMMON_ID	1U
#define MAX_OPERATIONS	64U
/* Of an operation for which there was nothing to do: it does not count. */
#define NOT_DONE	(-1000)

#define WORD(id, slot, gen) ((uint64_t)(id) << 40 | (uint64_t)(slot) << 32 | (uint32_t)(gen))
#define WORD_ID(word)	((uint32_t)((word) >> 40))
#define WORD_SLOT(word)	((uint32_t)((word) >> 32 & 0xff))
#define WORD_GEN(word)	((uint32_t)(word))

enum kind { KIND_PRIVATE, KIND_ON_TOUCH, KIND_COMMON, KIND_SHARE, KIND_COW, NR_KINDS };
enum state { NOTHING, HELD, KEPT, LOST };

static const char *const kind_names[] = { "private", "on-touch", "common", "share", "cow" };
static const char *const state_names[] = { "nothing", "held", "kept", "lost" };

/** struct stage - one space as one process sees it; fd is -1 when it has none of that kind */
struct stage {
	enum kind kind;
	int fd;
	char *map;
	bool inherited;		/* a view that came by fork: what could not be copied is SIGBUS */
	uint32_t domain;	/* whose words a loose space may hold */
	enum state state[NR_SLOTS];
	uint64_t word[NR_SLOTS];
};

/** struct piped - what a page in the pipe showed when it went in, and may show when it comes out */
struct piped {
	struct stage *stage;
	bool exact;
	uint32_t domain;
	uint32_t slot;
	uint64_t word;
	uint32_t gen;
};

struct logged {
	const char *what;
	const struct stage *stage;
	unsigned int first, nr;
	int result;
};

/* What happens to processes from outside (world.h). */
enum event { EVENT_KILL, EVENT_MOVE, EVENT_LIMIT, EVENT_HOG, EVENT_HOTPLUG, EVENT_TUNE, EVENT_DEMAND, NR_EVENTS };

/** struct shared - what all processes of the stressor have in common; all fields are atomic */
struct shared {
	_Atomic uint32_t next_id;
	_Atomic uint32_t failed;
	_Atomic uint64_t nr_operations, nr_forks, nr_kills, nr_lost, nr_refused, nr_no_memory, nr_piped;
	_Atomic uint64_t nr_commands, nr_runs, nr_notices, nr_registered;
	_Atomic uint64_t nr_done[MAX_OPERATIONS];	/* by operation */
	_Atomic uint64_t nr_events[NR_EVENTS];
};

/** struct actor - one process */
struct actor {
	struct shared *shared;
	uint64_t seed;
	uint64_t sequence;	/* of operations; none of them draws from it */
	uint64_t rng;		/* within one operation */
	uint32_t id;
	uint32_t gen;
	unsigned int depth;
	int dev;
	bool root;
	struct stage stage[NR_KINDS];
	int event;		/* registered for notices; -1 before the first */
	int ends[2];
	struct piped piped[NR_PIPED];
	unsigned int nr_piped, first_piped;
	pid_t children[NR_CHILDREN];
	struct logged logged[NR_LOGGED];
	unsigned int nr_logged;
};

/* splitmix64: one word of state, so that a child can be given its own sequence. */
static inline uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static inline unsigned int pick(struct actor *a, unsigned int limit)
{
	return (unsigned int)(next_random(&a->rng) % limit);
}

static inline void log_operation(struct actor *a, const char *what, const struct stage *s,
				 unsigned int first, unsigned int nr, int result)
{
	a->logged[a->nr_logged++ % NR_LOGGED] =
		(struct logged){ .what = what, .stage = s, .first = first, .nr = nr,
				 .result = result };
	a->shared->nr_operations++;
}

static inline void log_print(const struct actor *a)
{
	unsigned int from = a->nr_logged > NR_LOGGED ? a->nr_logged - NR_LOGGED : 0;

	for (unsigned int i = from; i < a->nr_logged; i++) {
		const struct logged *l = &a->logged[i % NR_LOGGED];

		fprintf(stderr, "# %5u %-14s %-8s slots %u+%u: %d\n", i, l->what,
			l->stage ? kind_names[l->stage->kind] : "-", l->first, l->nr, l->result);
	}
}

static inline void model_print(const struct actor *a)
{
	for (unsigned int k = 0; k < NR_KINDS; k++) {
		const struct stage *s = &a->stage[k];

		for (unsigned int i = 0; s->fd >= 0 && i < NR_SLOTS; i++)
			fprintf(stderr, "# %s%s slot %u: %s, %016" PRIx64 "\n", kind_names[k],
				s->inherited ? " (inherited)" : "", i, state_names[s->state[i]],
				s->word[i]);
	}
}

/* Says what went wrong, with the way that led there, and ends the run. */
static inline void __attribute__((noreturn, format(printf, 2, 3)))
fail(struct actor *a, const char *format, ...)
{
	va_list arguments;

	if (a->shared->failed++ == 0) {
		fprintf(stderr, "# FAILED in process %u (pid %d, depth %u, seed %" PRIu64 "): ",
			a->id, getpid(), a->depth, a->seed);
		va_start(arguments, format);
		vfprintf(stderr, format, arguments);
		va_end(arguments);
		fprintf(stderr, "\n");
		model_print(a);
		log_print(a);
	}
	_exit(2);
}

/* A system call failed: for want of memory is no failure of the module, but the end of this process. */
static inline void __attribute__((noreturn)) fail_call(struct actor *a, const char *what)
{
	if (errno != ENOMEM)
		fail(a, "%s: %s", what, strerror(errno));
	a->shared->nr_no_memory++;
	_exit(0);
}

static inline bool is_exact(const struct stage *s)
{
	return s->kind != KIND_COMMON && s->kind != KIND_SHARE;
}

static inline volatile uint64_t *sample(const struct stage *s, unsigned int slot, unsigned int i)
{
	size_t at = i * SAMPLE_BYTES;

	if (i == NR_SAMPLES - 1)
		at -= sizeof(uint64_t);
	return (volatile uint64_t *)(void *)(s->map + slot * CHUNK_BYTES + at);
}

/* ---- what may be seen ----------------------------------------------------------------------- */

static inline bool word_is_allowed(const struct stage *s, unsigned int slot, uint64_t word)
{
	if (is_exact(s))
		return word == s->word[slot] ||
		       (s->kind == KIND_ON_TOUCH && s->state[slot] == KEPT && !word);
	return !word || (WORD_ID(word) == s->domain && WORD_SLOT(word) == slot);
}

static inline void check_word(struct actor *a, struct stage *s, unsigned int slot, unsigned int i,
			      uint64_t word)
{
	if (!word_is_allowed(s, slot, word))
		fail(a, "%s slot %u (%s) sample %u shows %016" PRIx64 ", expected %016" PRIx64
		     "; domain %u", kind_names[s->kind], slot, state_names[s->state[slot]], i, word,
		     s->word[slot], s->domain);
}

static inline bool may_signal(const struct stage *s, unsigned int slot)
{
	return !is_exact(s) || s->state[slot] != HELD || s->inherited;
}

/*
 * A child's view may lose what it inherited at any time, until it has written to it: an access is
 * SIGBUS then. What was lost is zeros once it has been reserved anew.
 */
static inline void forget_lost(struct actor *a, struct stage *s, unsigned int slot)
{
	uint64_t word;

	if (!s->inherited || fault_read(sample(s, slot, 0), &word) || word || !s->word[slot])
		return;
	s->word[slot] = 0;
	a->shared->nr_lost++;
}

/* Fork had no memory for a view at all. */
static inline bool is_without_view(const struct stage *s, int error)
{
	return s->inherited && error == ENXIO;
}

/* An access was answered by a signal: it must be SIGBUS, and be allowed. */
static inline void check_signal(struct actor *a, struct stage *s, unsigned int slot, int signal_nr)
{
	if (signal_nr != SIGBUS || !may_signal(s, slot))
		fail(a, "%s slot %u (%s): signal %d", kind_names[s->kind], slot,
		     state_names[s->state[slot]], signal_nr);
	if (s->inherited && s->state[slot] == HELD) {
		s->state[slot] = LOST;
		a->shared->nr_lost++;
	}
}

/* Reads one slot in all places. */
static inline void check_slot(struct actor *a, struct stage *s, unsigned int slot)
{
	uint64_t word, first = 0;
	int signal_nr;

	if (s->state[slot] == LOST)
		return;
	for (unsigned int i = 0; i < NR_SAMPLES; i++) {
		signal_nr = fault_read(sample(s, slot, i), &word);
		if (signal_nr) {
			check_signal(a, s, slot, signal_nr);
			return;
		}
		if (is_exact(s) && s->state[slot] == NOTHING && s->kind != KIND_ON_TOUCH)
			fail(a, "%s slot %u is empty, but can be read", kind_names[s->kind], slot);
		check_word(a, s, slot, i, word);
		if (i && is_exact(s) && s->state[slot] == HELD && word != first)
			fail(a, "%s slot %u is torn", kind_names[s->kind], slot);
		first = word;
	}
	/* A touch of what was empty, or of what was discarded, took a chunk. */
	if (s->kind == KIND_ON_TOUCH && !first &&
	    (s->state[slot] == NOTHING || (s->state[slot] == KEPT && s->word[slot]))) {
		s->state[slot] = HELD;
		s->word[slot] = 0;
	}
}

/*
 * A write that needs a copy, and no memory for it: it does not happen, and what was there still is.
 * For a view that came by fork it may have gone to its owner; the next read will tell. Either is a copy without memory.
 */
static inline bool write_is_refused(struct actor *a, const struct stage *s, unsigned int slot,
				    int signal_nr)
{
	if (s->kind != KIND_COW || s->state[slot] != HELD || signal_nr != SIGBUS)
		return false;
	a->shared->nr_refused++;
	return true;
}

/* Writes one slot in all places, with a word that nobody wrote before. */
static inline void write_slot(struct actor *a, struct stage *s, unsigned int slot)
{
	uint64_t word = WORD(is_exact(s) ? a->id : s->domain, slot, ++a->gen);
	int signal_nr;

	if (is_exact(s) && (s->state[slot] == KEPT || s->state[slot] == LOST))
		return;
	for (unsigned int i = 0; i < NR_SAMPLES; i++) {
		signal_nr = fault_write(sample(s, slot, i), word);
		if (signal_nr && i == 0 && write_is_refused(a, s, slot, signal_nr))
			return;
		if (signal_nr) {
			check_signal(a, s, slot, signal_nr);
			return;
		}
	}
	if (is_exact(s) && s->state[slot] == NOTHING && s->kind != KIND_ON_TOUCH)
		fail(a, "%s slot %u is empty, but can be written", kind_names[s->kind], slot);
	s->word[slot] = word;
	s->state[slot] = HELD;
}

#endif /* ARENA_TESTS_KMOD_STRESSOR_MODEL_H */
