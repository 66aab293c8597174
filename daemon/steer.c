// SPDX-License-Identifier: MIT
/*
 * One step of arenad, the same for a tick and for a PSI trigger: read the module's counters and the memory that is
 * available, let policy decide, trim the module, ask processes, and write the decision down. The trigger's
 * step does all of it in its handler: open descriptors, no allocation, the module first, words last.
 *
 * The daemon holds nothing that others need: when it dies, the module's own shrinker still gives memory back.
 */
#include "daemon/steer.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "arena/arena.h"
#include "daemon/budget.h"
#include "daemon/client.h"
#include "daemon/log.h"
#include "daemon/module.h"
#include "daemon/policy.h"
#include "daemon/pressure.h"
#include "daemon/privilege.h"

#define NS_PER_MS 1000000ull
/* The module may be loaded, or the cgroup made, after the daemon's start. */
#define RETRY_NS (5 * POLICY_NS_PER_S)
/* Statistics of processes in calm times: fresh enough to begin with, cheap with hundreds of processes. */
#define CALM_STATS_NS (5 * POLICY_NS_PER_S)

/* Owned by the main loop. */
struct steer {
	const struct config *config;
	struct loop *loop;
	struct policy_config policy_config;
	struct policy_state policy;
	struct budget budget;
	struct pressure pressure;
	int psi_ticket;			/* of the loop; -1 = no trigger */
	struct clients *clients;
	int module_fd;			/* -1 = no module */
	int module_error;		/* why there is none */
	struct arena_stat stat;		/* latest */
	struct pressure_memory memory;	/* latest */
	uint64_t start_ns;
	uint64_t tick_ns;		/* when the next tick is due */
	uint64_t step_ns;		/* when the last step was */
	uint64_t retry_ns;		/* when to look for what is missing again */
	uint64_t stats_ns;		/* when to ask processes for statistics again */
	uint64_t nr_triggers;
};

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * POLICY_NS_PER_S + (uint64_t)now.tv_nsec;
}

static const char *cgroup_of(const struct config *config)
{
	return config->cgroup[0] ? config->cgroup : NULL;
}

static void set_module(struct steer *steer, int fd)
{
	int error = fd < 0 ? fd : 0;

	if (error != steer->module_error)
		log_line("module %s: %s", steer->config->device, error ? strerror(-error) : "open");
	steer->module_fd = fd < 0 ? -1 : fd;
	steer->module_error = error;
}

static void read_world(struct steer *steer)
{
	memset(&steer->stat, 0, sizeof(steer->stat));
	if (steer->module_fd >= 0 && module_stat(steer->module_fd, &steer->stat))
		memset(&steer->stat, 0, sizeof(steer->stat));
	if (pressure_read_memory(&steer->pressure, &steer->memory))
		memset(&steer->memory, 0, sizeof(steer->memory));
}

static unsigned int goal_percent(const struct steer *steer)
{
	return steer->policy.level == POLICY_CALM ? steer->config->cpu_calm_percent :
						    steer->config->cpu_emergency_percent;
}

/* The module frees its pool before kept chunks, so kept ones are asked for on top of the whole pool. */
static void trim_module(struct steer *steer, struct log_decision *decision)
{
	uint64_t pool_bytes = decision->out.kept_bytes ? decision->in.pool_bytes : decision->out.pool_bytes;
	uint64_t max_chunks = (pool_bytes + decision->out.kept_bytes) / ARENA_CHUNK_BYTES;
	struct arena_trim trim;

	if (steer->module_fd < 0 || !max_chunks)
		return;
	decision->error = module_trim(steer->module_fd, max_chunks, decision->out.kept_bytes ? ARENA_TRIM_KEPT : 0, &trim);
	if (decision->error)
		return;
	decision->gave_pool_bytes = trim.pool_chunks * ARENA_CHUNK_BYTES;
	decision->gave_kept_bytes = trim.discarded_chunks * ARENA_CHUNK_BYTES;
}

static void act(struct steer *steer, struct log_decision *decision)
{
	trim_module(steer, decision);
	decision->took_ns = clock_ns(CLOCK_MONOTONIC) - decision->at_ns;
	if (decision->out.cached_bytes)
		decision->nr_asked = clients_trim(steer->clients, decision->out.cached_bytes, decision->at_ns,
						  &decision->asked_bytes);
	decision->level = steer->policy.level;
	/* The counters that STATUS shows are those after the step. */
	read_world(steer);
}

static void fill_input(struct steer *steer, struct policy_input *in, uint64_t now_ns, bool is_trigger)
{
	read_world(steer);
	*in = (struct policy_input){
		.now_ns = now_ns,
		.is_trigger = is_trigger,
		.total_bytes = steer->memory.total_bytes,
		.available_bytes = steer->memory.available_bytes,
		.pool_bytes = (steer->stat.clean_chunks + steer->stat.dirty_chunks) * ARENA_CHUNK_BYTES,
		.kept_bytes = steer->stat.kept_chunks * ARENA_CHUNK_BYTES,
		.cached_bytes = clients_cached_bytes(steer->clients),
		.budget_bytes = budget_chunks(&steer->budget, now_ns - steer->step_ns) * ARENA_CHUNK_BYTES,
	};
}

/* Only a step that used its allowance up tells what a chunk costs. */
static void note_budget(struct steer *steer, const struct log_decision *decision, uint64_t cpu_ns)
{
	uint64_t gave_bytes = decision->gave_pool_bytes + decision->gave_kept_bytes;

	if (decision->in.budget_bytes && gave_bytes >= decision->in.budget_bytes)
		budget_note(&steer->budget, clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns, steer->budget.allowed_ns,
			    goal_percent(steer));
}

static void step(struct steer *steer, bool is_trigger)
{
	struct log_decision decision = { .at_ns = clock_ns(CLOCK_MONOTONIC) };
	uint64_t cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);

	fill_input(steer, &decision.in, decision.at_ns, is_trigger);
	/* Without a size of memory there is nothing to compare with: not even the kernel's files could be read. */
	if (!decision.in.total_bytes)
		return;
	policy_decide(&steer->policy_config, &steer->policy, &decision.in, &decision.out);
	if (decision.out.rule != POLICY_RULE_NONE) {
		act(steer, &decision);
		if (!is_trigger)
			note_budget(steer, &decision, cpu_ns);
		log_decide(&decision);
	}
	steer->step_ns = decision.at_ns;
}

static void on_psi(void *context, uint32_t events)
{
	struct steer *steer = (struct steer *)context;

	if (events & POLLPRI) {
		steer->nr_triggers++;
		step(steer, true);
	}
	if (events & POLLERR) {
		log_line("the pressure file is gone; watermarks only, until it is back");
		loop_unwatch(steer->loop, steer->psi_ticket);
		steer->psi_ticket = -1;
		pressure_disarm(&steer->pressure);
		steer->pressure.psi_error = -ENODEV;
	}
}

static void arm_psi(struct steer *steer)
{
	const struct config *config = steer->config;
	int before = steer->pressure.psi_error;
	int error = pressure_arm(&steer->pressure, cgroup_of(config), config->psi_stall_ms * 1000,
				 config->psi_window_ms * 1000);

	if (!error) {
		steer->psi_ticket = loop_watch(steer->loop, steer->pressure.psi_fd, POLLPRI, on_psi, steer);
		error = steer->pressure.psi_error = steer->psi_ticket < 0 ? steer->psi_ticket : 0;
	}
	if (!error) {
		if (steer->pressure.window_us != config->psi_window_ms * 1000)
			log_line("no right to a window of %u ms; the pressure trigger has %u ms", config->psi_window_ms,
				 steer->pressure.window_us / 1000);
	} else if (error != before) {
		log_line("no pressure trigger (%s); watermarks only", strerror(-error));
	}
}

/* What was missing may have come: the module, the cgroup. */
static void look_again(struct steer *steer, uint64_t now_ns)
{
	if (now_ns < steer->retry_ns)
		return;
	steer->retry_ns = now_ns + RETRY_NS;
	if (steer->module_fd < 0)
		set_module(steer, module_open(steer->config->device));
	if (steer->psi_ticket < 0) {
		pressure_find_cgroup(&steer->pressure, cgroup_of(steer->config));
		arm_psi(steer);
	}
}

uint64_t steer_tick(struct steer *steer)
{
	uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
	bool is_asking;

	if (now_ns < steer->tick_ns)
		return steer->tick_ns - now_ns;
	look_again(steer, now_ns);
	is_asking = steer->policy.level != POLICY_CALM || now_ns >= steer->stats_ns;
	if (is_asking)
		steer->stats_ns = now_ns + CALM_STATS_NS;
	clients_tick(steer->clients, now_ns, is_asking);
	step(steer, false);
	steer->tick_ns = now_ns + steer->config->tick_ms * NS_PER_MS;
	return steer->config->tick_ms * NS_PER_MS;
}

static void fill_decision(struct ctl_decision *to, const struct log_decision *from, uint64_t now_ns)
{
	*to = (struct ctl_decision){
		.age_ns = now_ns - from->at_ns,
		.available_bytes = from->in.available_bytes,
		.pool_bytes = from->in.pool_bytes,
		.kept_bytes = from->in.kept_bytes,
		.cached_bytes = from->in.cached_bytes,
		.gave_pool_bytes = from->gave_pool_bytes,
		.gave_kept_bytes = from->gave_kept_bytes,
		.asked_bytes = from->asked_bytes,
		.took_ns = from->took_ns,
		.nr_asked = from->nr_asked,
		.error = from->error,
	};
	strncpy(to->level, policy_level_name(from->level), sizeof(to->level) - 1);
	strncpy(to->rule, policy_rule_name(from->out.rule), sizeof(to->rule) - 1);
}

static void fill_module(const struct steer *steer, struct ctl_status *status)
{
	status->has_module = steer->module_fd >= 0;
	status->taken_chunks = steer->stat.taken_chunks;
	status->returned_chunks = steer->stat.returned_chunks;
	status->handed_chunks = steer->stat.handed_chunks;
	status->kept_chunks = steer->stat.kept_chunks;
	status->clean_chunks = steer->stat.clean_chunks;
	status->dirty_chunks = steer->stat.dirty_chunks;
	status->quarantined_chunks = steer->stat.quarantined_chunks;
	status->discarded_chunks = steer->stat.discarded_chunks;
	status->nr_spaces = steer->stat.nr_spaces;
}

static size_t on_status(void *context, struct ctl_status *status, struct ctl_decision *decisions, size_t max)
{
	struct steer *steer = (struct steer *)context;
	uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
	size_t nr = 0;

	read_world(steer);
	fill_module(steer, status);
	status->pid = (uint32_t)getpid();
	status->up_ns = now_ns - steer->start_ns;
	status->cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	status->level_ns = now_ns - steer->policy.level_since_ns;
	status->nr_triggers = steer->nr_triggers;
	status->total_bytes = steer->memory.total_bytes;
	status->available_bytes = steer->memory.available_bytes;
	strncpy(status->level, policy_level_name(steer->policy.level), sizeof(status->level) - 1);
	strncpy(status->loop, loop_name(steer->loop), sizeof(status->loop) - 1);
	strncpy(status->psi, steer->psi_ticket >= 0 ? "armed" : strerrorname_np(-steer->pressure.psi_error),
		sizeof(status->psi) - 1);
	strncpy(status->version, ARENA_VERSION_STRING, sizeof(status->version) - 1);
	for (; nr < max && log_recall(nr); nr++)
		fill_decision(&decisions[nr], log_recall(nr), now_ns);
	return nr;
}

/* Cheapest first, until the wish is met. */
static void split_wish(const struct ctl_command *command, const struct policy_input *in, struct policy_output *out)
{
	uint64_t left_bytes = command->max_bytes;

	out->rule = POLICY_RULE_COMMAND;
	if (command->what & CTL_TRIM_POOL)
		out->pool_bytes = left_bytes < in->pool_bytes ? left_bytes : in->pool_bytes;
	left_bytes -= out->pool_bytes;
	if (command->what & CTL_TRIM_KEPT)
		out->kept_bytes = left_bytes < in->kept_bytes ? left_bytes : in->kept_bytes;
	left_bytes -= out->kept_bytes;
	if (command->what & CTL_TRIM_PROCESSES)
		out->cached_bytes = left_bytes < in->cached_bytes ? left_bytes : in->cached_bytes;
}

static void on_command(void *context, const struct ctl_command *command, struct ctl_result *result)
{
	struct steer *steer = (struct steer *)context;
	struct log_decision decision = { .at_ns = clock_ns(CLOCK_MONOTONIC) };

	fill_input(steer, &decision.in, decision.at_ns, false);
	split_wish(command, &decision.in, &decision.out);
	act(steer, &decision);
	log_decide(&decision);
	*result = (struct ctl_result){
		.error = decision.error,
		.nr_asked = decision.nr_asked,
		.pool_bytes = decision.gave_pool_bytes,
		.kept_bytes = decision.gave_kept_bytes,
		.asked_bytes = decision.asked_bytes,
	};
}

static void set_policy(struct steer *steer)
{
	const struct config *config = steer->config;

	steer->policy_config = (struct policy_config){
		.min_percent = config->min_percent,
		.low_percent = config->low_percent,
		.high_percent = config->high_percent,
		.pool_keep_percent = config->pool_keep_percent,
		.hold_ns = config->hold_ms * NS_PER_MS,
		.decay_ns = config->decay_s * POLICY_NS_PER_S,
	};
	steer->policy.level_since_ns = steer->start_ns;
	budget_init(&steer->budget);
}

static bool open_socket(struct steer *steer)
{
	const struct config *config = steer->config;
	const struct client_limits limits = {
		.max_joined = config->max_clients,
		.max_joined_per_user = config->max_clients_per_user,
		.timeout_ns = config->client_timeout_ms * NS_PER_MS,
	};
	const struct client_handler handler = { .status = on_status, .command = on_command, .context = steer };
	uid_t uid = (uid_t)-1;
	gid_t gid = (gid_t)-1;
	int error;

	if (config->user[0] && privilege_find_user(config->user, &uid)) {
		log_line("cannot become user %s: there is none", config->user);
		return false;
	}
	if (config->group[0] && privilege_find_group(config->group, &gid)) {
		log_line("no group %s", config->group);
		return false;
	}
	steer->clients = clients_create(steer->loop, &limits, &handler, LOG_RING);
	if (!steer->clients) {
		log_line("no memory for %u clients", config->max_clients);
		return false;
	}
	error = clients_listen(steer->clients, config->socket, uid, gid);
	if (error)
		log_line("cannot listen at %s: %s", config->socket,
			 error == -EADDRINUSE ? "another daemon does" : strerror(-error));
	return !error;
}

struct steer *steer_create(const struct config *config, struct loop *loop)
{
	struct steer *steer = (struct steer *)calloc(1, sizeof(*steer));
	int error;

	if (!steer)
		return NULL;
	steer->config = config;
	steer->loop = loop;
	steer->psi_ticket = -1;
	steer->module_fd = -1;
	steer->start_ns = steer->step_ns = clock_ns(CLOCK_MONOTONIC);
	set_policy(steer);
	error = pressure_open(&steer->pressure, cgroup_of(config));
	if (error) {
		log_line("cannot read /proc/meminfo: %s", strerror(-error));
	} else if (open_socket(steer)) {
		look_again(steer, steer->start_ns);
		read_world(steer);
		return steer;
	}
	steer_destroy(steer);
	return NULL;
}

void steer_destroy(struct steer *steer)
{
	if (steer->clients)
		clients_destroy(steer->clients);
	loop_unwatch(steer->loop, steer->psi_ticket);
	pressure_close(&steer->pressure);
	if (steer->module_fd >= 0)
		close(steer->module_fd);
	free(steer);
}

void steer_introduce(const struct steer *steer)
{
	const struct config *config = steer->config;

	log_line("version %s, pid %d, loop %s, socket %s", ARENA_VERSION_STRING, getpid(), loop_name(steer->loop),
		 config->socket);
	log_line("pressure trigger %s (%u of %u ms%s%s); watermarks %u, %u, %u %% of %llu MiB",
		 steer->psi_ticket >= 0 ? "armed" : "missing", config->psi_stall_ms, config->psi_window_ms,
		 config->cgroup[0] ? ", cgroup " : "", config->cgroup, config->min_percent, config->low_percent,
		 config->high_percent, (unsigned long long)steer->memory.total_bytes / 1048576);
}
