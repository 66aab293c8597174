/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The life of a notice, as plain functions on plain data. No locks, no clock, no kernel types: who
 * keeps the data and what the time is, is the caller's business (notice.c), and a host test
 * enumerates the transitions (tests/unit/grace.c).
 *
 *          ask             tell, grace is over          satisfied, and calm for long enough
 *   CALM --------> TOLD --------------------> TAKING -----------------------------------> CALM
 *     \__________________________________________/^
 *          ask, and somebody is about to be killed
 *
 * The grace is the owners': it runs from when they are told, however late that is. While TOLD they
 * may give chunks, which lowers what is wanted, or reserve them again, so that less can be taken.
 * While TAKING, what is asked for is taken without another grace: pressure comes in bursts, and
 * owners who were told a moment ago know.
 *
 * wanted_chunks <= kept chunks at the time of the last ask.
 */
#ifndef ARENA_GRACE_H
#define ARENA_GRACE_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stdint.h>
typedef uint64_t u64;
#endif

enum grace_phase {
	GRACE_CALM = 0,
	GRACE_TOLD = 1,		/* owners are told; nothing is taken yet */
	GRACE_TAKING = 2,	/* what is wanted is taken */
};

/** enum grace_need - why chunks are asked for */
enum grace_need {
	GRACE_RECLAIM = 0,	/* the system reclaims memory */
	GRACE_LIMIT = 1,	/* a memory cgroup at its limit does: none warns before it kills */
	GRACE_OOM = 2,		/* somebody is killed if nothing comes at once */
};

/*
 * A cgroup's reclaim asks at most 13 times per attempt, once for each priority, and makes 16
 * attempts before it kills. After two failed attempts the grace is over.
 */
#define GRACE_MAX_ASKS 26

/* struct grace.told_ns while owners have yet to be told. */
#define GRACE_UNTOLD (~(u64)0)

/** struct grace_rules - how long; module parameters */
struct grace_rules {
	u64 grace_ns;
	u64 calm_ns;
};

/** struct grace - one notice; the guard is the caller's */
struct grace {
	enum grace_phase phase;
	bool critical;		/* a kill was near since it began */
	unsigned int nr_asks;	/* at a limit, since it began */
	u64 told_ns;		/* when owners were told of it first, or GRACE_UNTOLD */
	u64 asked_ns;		/* when chunks were last asked for */
	u64 wanted_chunks;	/* asked for, neither given nor taken yet */
};

static inline u64 grace_elapsed_ns(u64 now_ns, u64 since_ns)
{
	return now_ns > since_ns ? now_ns - since_ns : 0;
}

/** Bring @g up to @now_ns. */
static inline void grace_advance(struct grace *g, const struct grace_rules *rules, u64 now_ns)
{
	if (g->phase == GRACE_TOLD && grace_elapsed_ns(now_ns, g->told_ns) >= rules->grace_ns)
		g->phase = GRACE_TAKING;
	if (g->phase == GRACE_TAKING && !g->wanted_chunks &&
	    grace_elapsed_ns(now_ns, g->asked_ns) >= rules->calm_ns)
		*g = (struct grace) { .phase = GRACE_CALM };
}

/* Whether the asking can wait for the grace to pass. */
static inline bool grace_is_patient(struct grace *g, enum grace_need need)
{
	if (need == GRACE_LIMIT)
		g->nr_asks++;
	return need != GRACE_OOM && g->nr_asks < GRACE_MAX_ASKS;
}

/**
 * @nr chunks are asked for while @kept are kept. True when owners must be told: of a notice, that
 * it has become critical, or that something is wanted again.
 */
static inline bool grace_ask(struct grace *g, const struct grace_rules *rules, u64 now_ns, u64 nr,
			     u64 kept, enum grace_need need)
{
	bool news, was_critical = g->critical;
	u64 room;

	if (!nr || !kept)
		return false;
	grace_advance(g, rules, now_ns);
	news = !g->wanted_chunks;
	if (g->phase == GRACE_CALM) {
		was_critical = false;
		g->phase = GRACE_TOLD;
		g->told_ns = GRACE_UNTOLD;
	}
	if (!grace_is_patient(g, need)) {
		g->phase = GRACE_TAKING;
		g->critical = true;
	}
	g->asked_ns = now_ns;
	room = kept > g->wanted_chunks ? kept - g->wanted_chunks : 0;
	g->wanted_chunks = nr < room ? g->wanted_chunks + nr : kept;
	return news || g->critical != was_critical;
}

/** Owners are told now. Only the first time starts the grace. */
static inline void grace_tell(struct grace *g, u64 now_ns)
{
	if (g->told_ns == GRACE_UNTOLD)
		g->told_ns = now_ns;
}

/** Owners gave @nr chunks, or they were taken. */
static inline void grace_settle(struct grace *g, u64 nr)
{
	g->wanted_chunks -= nr < g->wanted_chunks ? nr : g->wanted_chunks;
}

/** How many chunks to take now. */
static inline u64 grace_due_chunks(const struct grace *g)
{
	return g->phase == GRACE_TAKING ? g->wanted_chunks : 0;
}

/** What is left of the grace; 0 outside of one. */
static inline u64 grace_left_ns(const struct grace *g, const struct grace_rules *rules, u64 now_ns)
{
	u64 elapsed_ns = grace_elapsed_ns(now_ns, g->told_ns);

	return g->phase == GRACE_TOLD && elapsed_ns < rules->grace_ns ?
		       rules->grace_ns - elapsed_ns : 0;
}

#endif /* ARENA_GRACE_H */
