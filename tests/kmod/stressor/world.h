/* SPDX-License-Identifier: MIT */
/*
 * What happens to the stressor's processes from outside: death, other memory cgroups, a neighbor who
 * eats memory, processors that go and come, parameters that change. All of it as root; what a
 * machine does not have is left out.
 */
#ifndef ARENA_TESTS_KMOD_STRESSOR_WORLD_H
#define ARENA_TESTS_KMOD_STRESSOR_WORLD_H

#include "life.h"

#define NR_ACTORS	5U
#define NR_GROUPS	3U
#define GROUPS		"/sys/fs/cgroup/stressor"
#define HOG_BYTES	(320UL << 20)
#define SECOND_CPU	"/sys/devices/system/cpu/cpu1/online"

/** struct world - the process that watches over the others */
struct world {
	struct shared *shared;
	uint64_t seed;
	uint64_t rng;
	int dev;
	int common;
	unsigned int nr_started;
	pid_t actors[NR_ACTORS];
	pid_t hog;
	bool cpu_off;
	bool has[NR_EVENTS];	/* what can happen on this machine */
};

static inline unsigned int world_pick(struct world *w, unsigned int limit)
{
	return (unsigned int)(next_random(&w->rng) % limit);
}

static inline int write_number(const char *path, unsigned long long value)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu\n", value);
	return file_write_text(path, text);
}

static inline const char *group_file(unsigned int group, const char *file)
{
	static char path[128];

	snprintf(path, sizeof(path), GROUPS "%u/%s", group, file);
	return path;
}

static inline void groups_create(void)
{
	for (unsigned int i = 0; i < NR_GROUPS; i++) {
		mkdir(group_file(i, ""), 0755);
		write_number(group_file(i, "memory.max"), (32ULL << i) << 20);
	}
}

static inline void groups_end(void)
{
	for (unsigned int i = 0; i < NR_GROUPS; i++)
		WAIT_UNTIL(rmdir(group_file(i, "")) == 0 || errno == ENOENT, SETTLE_MS);
}

/* What follows answers 0 when it has happened. */
static inline int world_move(struct world *w)
{
	pid_t pid = w->actors[world_pick(w, NR_ACTORS)];
	unsigned int group = world_pick(w, NR_GROUPS + 1);

	if (group == NR_GROUPS)
		return write_number("/sys/fs/cgroup/cgroup.procs", (unsigned long long)pid);
	return write_number(group_file(group, "cgroup.procs"), (unsigned long long)pid);
}

static inline int world_limit(struct world *w)
{
	return write_number(group_file(world_pick(w, NR_GROUPS), "memory.max"),
			    (16ULL + world_pick(w, 128)) << 20);
}

/* Somebody else's ordinary memory, which the kernel finds where chunks idle or are kept. */
static inline void hog_run(void)
{
	char *memory;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	file_write_text("/proc/self/oom_score_adj", "800");
	memory = mmap(NULL, HOG_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (size_t i = 0; memory != MAP_FAILED && i < HOG_BYTES; i += PAGE_BYTES)
		memory[i] = 1;
	for (;;)
		pause();
}

static inline int world_hog(struct world *w)
{
	if (w->hog) {
		kill(w->hog, SIGKILL);
		waitpid(w->hog, NULL, 0);
		w->hog = 0;
		return 0;
	}
	w->hog = fork();
	if (w->hog == 0)
		hog_run();
	if (w->hog < 0)
		w->hog = 0;
	return !w->hog;
}

static inline int world_hotplug(struct world *w)
{
	int error;

	if (processors_lock(F_SETLK, F_WRLCK))
		return -1;
	error = write_number(SECOND_CPU, w->cpu_off);
	w->cpu_off ^= !error;
	processors_lock(F_SETLK, F_UNLCK);
	return error;
}

static inline int world_tune(struct world *w)
{
	switch (world_pick(w, 4)) {
	case 0:
		return parameter_set("clear_max_chunks_per_s", world_pick(w, 2) ? 1024 : 50);
	case 1:
		return parameter_set("pool_max_chunks", world_pick(w, 64));
	case 2:
		return file_write_text("/proc/sys/vm/drop_caches", "3");
	default:
		return file_write_text("/proc/sys/vm/compact_memory", "1");
	}
}

/* Without idle chunks the kernel can only ask for kept ones; a grace that differs is over at other times. */
static inline int world_demand(struct world *w)
{
	int error = parameter_set("notice_grace_ms", world_pick(w, 3) * 200);

	module_trim(w->dev, ~0ULL, 0, NULL);
	return file_write_text("/proc/sys/vm/drop_caches", "2") ?: error;
}

static inline int world_kill(struct world *w)
{
	if (kill(w->actors[world_pick(w, NR_ACTORS)], SIGKILL))
		return -1;
	w->shared->nr_kills++;
	return 0;
}

/** struct happening - an event, and of how many steps in SHARES it is that of */
static const struct happening {
	const char *name;
	int (*happen)(struct world *w);
	unsigned int share;
	const char *needs;	/* a file without which it cannot be */
} happenings[NR_EVENTS] = {
	[EVENT_KILL] = { "kill", world_kill, 3, "/proc/self" },
	[EVENT_MOVE] = { "cgroup move", world_move, 5, GROUPS "0/cgroup.procs" },
	[EVENT_LIMIT] = { "cgroup limit", world_limit, 1, GROUPS "0/memory.max" },
	[EVENT_HOG] = { "hog", world_hog, 1, "/proc/self" },
	[EVENT_HOTPLUG] = { "processor off or on", world_hotplug, 1, SECOND_CPU },
	[EVENT_TUNE] = { "tuning", world_tune, 1, PARAMETERS },
	[EVENT_DEMAND] = { "demand", world_demand, 1, PARAMETERS },
};
#define SHARES 24

/* One of them, a few times a second. */
static inline void world_step(struct world *w)
{
	unsigned int at = world_pick(w, SHARES);

	for (unsigned int i = 0; i < NR_EVENTS; i++) {
		if (at < happenings[i].share) {
			w->shared->nr_events[i] += !happenings[i].happen(w);
			return;
		}
		at -= happenings[i].share;
	}
}

static inline void world_end(struct world *w)
{
	for (unsigned int i = 0; i < NR_ACTORS; i++) {
		if (w->actors[i] <= 0)
			continue;
		kill(w->actors[i], SIGKILL);
		waitpid(w->actors[i], NULL, 0);
	}
	if (w->hog)
		world_hog(w);
	/* A process of theirs may still be getting a ring. */
	WAIT_UNTIL(!w->cpu_off || !world_hotplug(w), SETTLE_MS);
	groups_end();
}

#endif /* ARENA_TESTS_KMOD_STRESSOR_WORLD_H */
