// SPDX-License-Identifier: MIT
/*
 * The policy of arenad: levels with hysteresis, and amounts.
 *
 *   level      entered when                       left when
 *   CALM                                          available < low, or an alarm
 *   LOW        available < low                    available >= high (CALM), or an alarm
 *   EMERGENCY  alarm: PSI trigger, or             hold_ns after the last alarm, and available >= low:
 *              available < min, or falling        to CALM from high on, else to LOW
 *              so fast that it soon will be
 *
 * The alarm gives the whole idle pool at once, whatever available memory looks like: the pool is memory that
 * nobody uses, freeing it is the cheapest thing there is, and a trigger means that somebody waits. Kept
 * and cached chunks cost their owners a refill, so the first alarm takes only what the deficit to the
 * high watermark asks for; each further alarm of the same emergency takes at least a quarter, half, then all.
 *
 * Limits: it knows one memory size, not nodes; it does not know which process causes the pressure.
 */
#include "daemon/policy.h"

static const char *const level_names[POLICY_NR_LEVELS] = {
	[POLICY_CALM] = "calm",
	[POLICY_LOW] = "low",
	[POLICY_EMERGENCY] = "emergency",
};

static const char *const rule_names[POLICY_NR_RULES] = {
	[POLICY_RULE_NONE] = "none",
	[POLICY_RULE_PSI] = "psi",
	[POLICY_RULE_PSI_AGAIN] = "psi-again",
	[POLICY_RULE_MIN] = "below-min",
	[POLICY_RULE_FALLING] = "falling",
	[POLICY_RULE_HOLD] = "hold",
	[POLICY_RULE_LOW] = "below-high",
	[POLICY_RULE_DECAY] = "decay",
	[POLICY_RULE_CALMED] = "calmed",
	[POLICY_RULE_COMMAND] = "command",
};

const char *policy_level_name(enum policy_level level)
{
	return level < POLICY_NR_LEVELS ? level_names[level] : "?";
}

const char *policy_rule_name(enum policy_rule rule)
{
	return rule < POLICY_NR_RULES ? rule_names[rule] : "?";
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t sub_u64(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* Exact, without overflow for any size of memory. */
static uint64_t percent_of(uint64_t bytes, unsigned int percent)
{
	return bytes / 100 * percent + bytes % 100 * percent / 100;
}

static uint64_t chunks_down(uint64_t bytes)
{
	return bytes / POLICY_CHUNK_BYTES * POLICY_CHUNK_BYTES;
}

/* What is missing to the high watermark, in whole chunks, because less cannot be given. */
static uint64_t deficit_bytes(const struct policy_config *config, const struct policy_input *in, uint64_t given_bytes)
{
	uint64_t missing_bytes = sub_u64(percent_of(in->total_bytes, config->high_percent), in->available_bytes + given_bytes);

	return chunks_down(missing_bytes + POLICY_CHUNK_BYTES - 1);
}

static void enter(struct policy_state *state, enum policy_level level, uint64_t now_ns)
{
	if (state->level == level)
		return;
	state->level = level;
	state->level_since_ns = now_ns;
	state->window_since_ns = 0;
	state->decay_left_bytes = 0;
	if (level != POLICY_EMERGENCY)
		state->nr_alarms = 0;
}

static bool is_below_min(const struct policy_config *config, const struct policy_input *in)
{
	return in->available_bytes < percent_of(in->total_bytes, config->min_percent);
}

/* A program that touches memory for the first time can use up a small machine between two ticks. */
static bool is_falling(const struct policy_config *config, const struct policy_state *state,
		       const struct policy_input *in)
{
	uint64_t fall_bytes = sub_u64(state->seen_available_bytes, in->available_bytes);
	uint64_t elapsed_ns = in->now_ns - state->seen_ns;
	uint64_t above_bytes = sub_u64(in->available_bytes, percent_of(in->total_bytes, config->min_percent));

	if (!state->seen_ns || !elapsed_ns || elapsed_ns > POLICY_HORIZON_NS)
		return false;
	return fall_bytes > above_bytes / (POLICY_HORIZON_NS / elapsed_ns);
}

static bool is_short(const struct policy_config *config, const struct policy_state *state,
		     const struct policy_input *in)
{
	return is_below_min(config, in) || is_falling(config, state, in);
}

/* Returns whether this step begins or repeats an alarm. */
static bool move_level(const struct policy_config *config, struct policy_state *state, const struct policy_input *in)
{
	uint64_t low_bytes = percent_of(in->total_bytes, config->low_percent);
	uint64_t high_bytes = percent_of(in->total_bytes, config->high_percent);
	bool has_cause = in->is_trigger || is_short(config, state, in);
	bool is_alarm = in->is_trigger || (has_cause && state->level != POLICY_EMERGENCY);

	if (has_cause) {
		state->last_alarm_ns = in->now_ns;
		enter(state, POLICY_EMERGENCY, in->now_ns);
		state->nr_alarms += is_alarm;
		return is_alarm;
	}
	if (state->level == POLICY_EMERGENCY &&
	    (in->now_ns - state->last_alarm_ns < config->hold_ns || in->available_bytes < low_bytes))
		return false;
	if (in->available_bytes >= high_bytes)
		enter(state, POLICY_CALM, in->now_ns);
	else if (in->available_bytes < low_bytes || state->level == POLICY_EMERGENCY)
		enter(state, POLICY_LOW, in->now_ns);
	return false;
}

/* What further alarms of one emergency take of kept and cached chunks at least, as a share of all. */
static uint64_t escalated_bytes(unsigned int nr_alarms, uint64_t bytes)
{
	switch (nr_alarms) {
	case 0:
	case 1: return 0;
	case 2: return bytes / 4;
	case 3: return bytes / 2;
	default: return bytes;
	}
}

/* Kept chunks first, then cached ones: the module's answer is at once, a process has to be woken. */
static void give_beyond_pool(struct policy_output *out, const struct policy_input *in, uint64_t want_bytes)
{
	out->kept_bytes = min_u64(in->kept_bytes, want_bytes);
	out->cached_bytes = min_u64(in->cached_bytes, want_bytes - out->kept_bytes);
}

static void decide_alarm(const struct policy_config *config, const struct policy_state *state,
			 const struct policy_input *in, struct policy_output *out)
{
	uint64_t spared_bytes = chunks_down(percent_of(in->pool_bytes, config->pool_keep_percent));
	uint64_t want_bytes, more_bytes;

	out->pool_bytes = in->pool_bytes - spared_bytes;
	want_bytes = deficit_bytes(config, in, out->pool_bytes);
	more_bytes = escalated_bytes(state->nr_alarms, in->kept_bytes + in->cached_bytes);
	give_beyond_pool(out, in, want_bytes > more_bytes ? want_bytes : more_bytes);
	if (!in->is_trigger)
		out->rule = is_below_min(config, in) ? POLICY_RULE_MIN : POLICY_RULE_FALLING;
	else
		out->rule = state->nr_alarms > 1 ? POLICY_RULE_PSI_AGAIN : POLICY_RULE_PSI;
}

/* Between alarms of an emergency: what became idle, within the budget; when short all, and what covers the deficit. */
static void decide_hold(const struct policy_config *config, const struct policy_state *state,
			const struct policy_input *in, struct policy_output *out)
{
	out->rule = POLICY_RULE_HOLD;
	out->pool_bytes = min_u64(in->pool_bytes, chunks_down(in->budget_bytes));
	if (!is_short(config, state, in))
		return;
	out->pool_bytes = in->pool_bytes;
	give_beyond_pool(out, in, deficit_bytes(config, in, out->pool_bytes));
}

static void decide_low(const struct policy_config *config, const struct policy_input *in, struct policy_output *out)
{
	uint64_t want_bytes = deficit_bytes(config, in, 0);

	out->rule = POLICY_RULE_LOW;
	out->pool_bytes = min_u64(in->pool_bytes, min_u64(want_bytes, in->budget_bytes));
	want_bytes -= out->pool_bytes;
	/* Kept chunks only when the pool is used up, and within what is left of the budget. */
	if (out->pool_bytes < in->pool_bytes)
		return;
	give_beyond_pool(out, in, want_bytes);
	out->kept_bytes = min_u64(out->kept_bytes, in->budget_bytes - out->pool_bytes);
	/* Processes are not bothered while kept chunks only wait for their turn. */
	if (out->kept_bytes < in->kept_bytes)
		out->cached_bytes = 0;
}

/* The smallest pool of a whole window is memory that nobody wanted during it: half of it goes. */
static void decide_decay(const struct policy_config *config, struct policy_state *state,
			 const struct policy_input *in, struct policy_output *out)
{
	if (!config->decay_ns)
		return;
	if (!state->window_since_ns || in->pool_bytes < state->window_min_bytes)
		state->window_min_bytes = in->pool_bytes;
	if (!state->window_since_ns) {
		state->window_since_ns = in->now_ns;
	} else if (in->now_ns - state->window_since_ns >= config->decay_ns) {
		uint64_t chunks = state->window_min_bytes / POLICY_CHUNK_BYTES;

		state->decay_left_bytes = (chunks + 1) / 2 * POLICY_CHUNK_BYTES;
		state->window_since_ns = in->now_ns;
		state->window_min_bytes = in->pool_bytes;
	}
	state->decay_left_bytes = min_u64(state->decay_left_bytes, in->pool_bytes);
	out->rule = POLICY_RULE_DECAY;
	out->pool_bytes = min_u64(state->decay_left_bytes, chunks_down(in->budget_bytes));
	state->decay_left_bytes -= out->pool_bytes;
}

static void decide(const struct policy_config *config, struct policy_state *state, const struct policy_input *in,
		   struct policy_output *out)
{
	enum policy_level before = state->level;
	bool is_alarm = move_level(config, state, in);

	*out = (struct policy_output){ .rule = POLICY_RULE_NONE };
	if (is_alarm)
		decide_alarm(config, state, in, out);
	else if (state->level == POLICY_EMERGENCY)
		decide_hold(config, state, in, out);
	else if (state->level == POLICY_LOW)
		decide_low(config, in, out);
	else
		decide_decay(config, state, in, out);
	if (out->pool_bytes || out->kept_bytes || out->cached_bytes || is_alarm)
		return;
	out->rule = state->level < before ? POLICY_RULE_CALMED : POLICY_RULE_NONE;
}

void policy_decide(const struct policy_config *config, struct policy_state *state, const struct policy_input *in,
		   struct policy_output *out)
{
	decide(config, state, in, out);
	state->seen_ns = in->now_ns;
	state->seen_available_bytes = in->available_bytes;
}

static size_t richest(const uint64_t *cached_bytes, const uint64_t *ask_bytes, size_t nr)
{
	size_t best = nr;

	for (size_t i = 0; i < nr; i++) {
		if (ask_bytes[i] || cached_bytes[i] < POLICY_CHUNK_BYTES)
			continue;
		if (best == nr || cached_bytes[i] > cached_bytes[best])
			best = i;
	}
	return best;
}

uint64_t policy_share(uint64_t want_bytes, const uint64_t *cached_bytes, uint64_t *ask_bytes, size_t nr)
{
	uint64_t sum_bytes = 0;

	for (size_t i = 0; i < nr; i++)
		ask_bytes[i] = 0;
	while (sum_bytes < want_bytes) {
		size_t i = richest(cached_bytes, ask_bytes, nr);
		uint64_t left_bytes = want_bytes - sum_bytes;

		if (i == nr)
			break;
		if (left_bytes >= cached_bytes[i])
			ask_bytes[i] = chunks_down(cached_bytes[i]);
		else
			ask_bytes[i] = chunks_down(left_bytes + POLICY_CHUNK_BYTES - 1);
		if (ask_bytes[i] > chunks_down(cached_bytes[i]))
			ask_bytes[i] = chunks_down(cached_bytes[i]);
		sum_bytes += ask_bytes[i];
	}
	return sum_bytes;
}
