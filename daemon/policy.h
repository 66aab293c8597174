/* SPDX-License-Identifier: MIT */
/* What to give back, of whom, and when: pure arithmetic. No I/O, no clock, no allocation. */
#ifndef ARENAD_POLICY_H
#define ARENAD_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POLICY_CHUNK_BYTES ((uint64_t)2 << 20)
#define POLICY_NS_PER_S 1000000000ull

/* How far ahead a fall is followed: a few ticks, and what freeing some GiB takes. */
#define POLICY_HORIZON_NS POLICY_NS_PER_S

enum policy_level {
	POLICY_CALM,		/* enough memory */
	POLICY_LOW,		/* below the low watermark, not yet back over the high one */
	POLICY_EMERGENCY,	/* somebody waits for memory, or nearly so */
	POLICY_NR_LEVELS
};

enum policy_rule {
	POLICY_RULE_NONE,
	POLICY_RULE_PSI,	/* a pressure trigger: all of the pool, at once */
	POLICY_RULE_PSI_AGAIN,	/* a further one during the hold: kept and cached chunks too */
	POLICY_RULE_MIN,	/* available memory fell below the min watermark */
	POLICY_RULE_FALLING,	/* ...or will, within POLICY_HORIZON_NS, if it goes on falling like this */
	POLICY_RULE_HOLD,	/* the emergency lasts: what became idle goes too */
	POLICY_RULE_LOW,	/* below the high watermark on the way up: the deficit, within the CPU budget */
	POLICY_RULE_DECAY,	/* calm: half of what nobody wanted for a while */
	POLICY_RULE_CALMED,	/* nothing to do but to say that it is over */
	POLICY_RULE_COMMAND,	/* somebody asked for it */
	POLICY_NR_RULES
};

struct policy_config {
	unsigned int min_percent;	/* of total memory; min < low < high */
	unsigned int low_percent;
	unsigned int high_percent;
	unsigned int pool_keep_percent;	/* of the pool, spared at the first trigger; at most 10 */
	uint64_t hold_ns;		/* an emergency lasts at least that long after its last cause */
	uint64_t decay_ns;		/* half-life of idle chunks when calm; 0 = they stay */
};

/* All zero but level_since_ns at start. Owned by the main loop. */
struct policy_state {
	enum policy_level level;
	uint64_t level_since_ns;
	uint64_t last_alarm_ns;		/* trigger, min watermark, or a fall towards it */
	unsigned int nr_alarms;		/* triggers in this emergency */
	uint64_t seen_ns;		/* the step before; 0 = none */
	uint64_t seen_available_bytes;
	uint64_t window_since_ns;	/* decay: start of the window, 0 = none yet */
	uint64_t window_min_bytes;	/* decay: smallest pool seen in it */
	uint64_t decay_left_bytes;	/* decay: decided, but not yet within the budget */
};

struct policy_input {
	uint64_t now_ns;
	bool is_trigger;		/* a PSI trigger fired just now */
	uint64_t total_bytes;
	uint64_t available_bytes;
	uint64_t pool_bytes;		/* idle in the module */
	uint64_t kept_bytes;		/* discardable in the module */
	uint64_t cached_bytes;		/* in registered processes, as far as believed */
	uint64_t budget_bytes;		/* what the CPU budget allows the module to free in this step */
};

/* gives: pool_bytes <= input.pool_bytes, and so on. */
struct policy_output {
	enum policy_rule rule;
	uint64_t pool_bytes;
	uint64_t kept_bytes;
	uint64_t cached_bytes;
};

const char *policy_level_name(enum policy_level level);
const char *policy_rule_name(enum policy_rule rule);

/** One step: moves @state on and says what to give back. Cheapest first: pool, kept, cached. */
void policy_decide(const struct policy_config *config, struct policy_state *state, const struct policy_input *in,
		   struct policy_output *out);

/**
 * Share @want_bytes among @nr processes, those with most cached first, so that few are woken. Writes what to ask
 * of each (multiples of a chunk, never more than it has) and returns the sum. Equal ones in order.
 */
uint64_t policy_share(uint64_t want_bytes, const uint64_t *cached_bytes, uint64_t *ask_bytes, size_t nr);

#endif /* ARENAD_POLICY_H */
