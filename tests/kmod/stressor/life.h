/* SPDX-License-Identifier: MIT */
/* How the stressor's processes come and go, and what a child may see of its parent's memory. */
#ifndef ARENA_TESTS_KMOD_STRESSOR_LIFE_H
#define ARENA_TESTS_KMOD_STRESSOR_LIFE_H

#include "calls.h"

#include <sys/prctl.h>

#define MAX_DEPTH	2U
#define CHILD_OPERATIONS 60U

static void actor_operate(struct actor *a);

static inline void stages_create(struct actor *a)
{
	for (enum kind kind = 0; kind < NR_KINDS; kind++)
		if (kind != KIND_COMMON)
			stage_create(a, kind);
}

/* The space that everybody has a descriptor of. */
static inline void common_map(struct actor *a, int fd)
{
	struct stage *s = &a->stage[KIND_COMMON];

	*s = (struct stage){ .kind = KIND_COMMON, .fd = fd, .domain = COMMON_ID };
	s->map = space_map_bare(fd, 0, NR_SLOTS);
	if (s->map == MAP_FAILED)
		s->fd = -1;
}

/* A mapping that does not go through fork: not there, or revoked after MADV_DOFORK. */
static inline void drop_foreign(struct actor *a, struct stage *s, bool was_forked)
{
	int signal_nr;

	if (s->fd < 0)
		return;
	signal_nr = fault_touch(s->map);
	if (signal_nr != SIGBUS && signal_nr != SIGSEGV)
		fail(a, "a child reads %s memory of its parent", kind_names[s->kind]);
	if (was_forked)
		munmap(s->map, SPACE_BYTES);
	close(s->fd);
	s->fd = -1;
}

/* A copy-on-write view: the parent's contents at the fork, what it kept is not in it. */
static inline void inherit_view(struct actor *a, struct stage *s)
{
	if (s->fd < 0)
		return;
	s->inherited = true;
	for (unsigned int i = 0; i < NR_SLOTS; i++) {
		if (s->state[i] != KEPT)
			continue;
		s->state[i] = NOTHING;
		s->word[i] = 0;
	}
}

/* The child's first steps: a new name, its own pipe and ring, and what it has of the spaces. */
static inline void child_begin(struct actor *a, uint64_t seed)
{
	int common = a->stage[KIND_COMMON].fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	a->seed = seed;
	a->sequence = seed;
	a->rng = seed;
	a->id = a->shared->next_id++;
	a->gen = 0;
	a->depth++;
	a->nr_logged = 0;
	memset(a->children, 0, sizeof(a->children));
	pipe_renew(a);
	ring_drop();
	ring_open();
	drop_foreign(a, &a->stage[KIND_PRIVATE], false);
	drop_foreign(a, &a->stage[KIND_ON_TOUCH], false);
	if (common >= 0)
		common_map(a, common);
	inherit_view(a, &a->stage[KIND_COW]);
}

/* Every kind of end, from polite to sudden. */
static inline void __attribute__((noreturn)) child_end(struct actor *a)
{
	switch (pick(a, 4)) {
	case 0:
		raise(SIGKILL);
		_exit(1);
	case 1:
		execl("/proc/self/exe", "stressor", "--nothing", NULL);
		fail_call(a, "exec");
	default:
		_exit(0);
	}
}

static inline void __attribute__((noreturn)) child_live(struct actor *a, uint64_t seed)
{
	unsigned int nr;

	child_begin(a, seed);
	nr = pick(a, CHILD_OPERATIONS);
	while (nr-- && !a->shared->failed)
		actor_operate(a);
	child_end(a);
}

static inline void check_child(struct actor *a, int status)
{
	if ((WIFEXITED(status) && WEXITSTATUS(status) == 0) ||
	    (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) || a->shared->failed)
		return;
	fail(a, "a child ended with status %#x", status);
}

/* Looks after the child in one place of the table: reaps it, or kills it, or leaves it. */
static inline void tend_child(struct actor *a, pid_t *child)
{
	bool at_once = pick(a, 8) == 0, patient = pick(a, 2);
	int status;

	if (*child && at_once && !kill(*child, SIGKILL))
		a->shared->nr_kills++;
	if (*child && waitpid(*child, &status, patient ? 0 : WNOHANG) == *child) {
		check_child(a, status);
		*child = 0;
	}
}

static inline int op_fork(struct actor *a, struct target *t)
{
	pid_t *child = &a->children[pick(a, NR_CHILDREN)];
	uint64_t seed = next_random(&a->rng);

	tend_child(a, child);
	if (*child || a->depth >= MAX_DEPTH)
		return NOT_DONE;
	*child = fork();
	if (*child == 0)
		child_live(a, seed);
	if (*child < 0) {
		*child = 0;
		return errno;
	}
	a->shared->nr_forks++;
	return 0;
}

/* A child that shares the address space until it runs another program. */
static inline int op_vfork(struct actor *a, struct target *t)
{
	pid_t child = vfork();
	int status;

	if (child == 0) {
		execl("/proc/self/exe", "stressor", "--nothing", NULL);
		_exit(errno == ENOMEM ? 0 : 1);
	}
	if (child > 0 && waitpid(child, &status, 0) == child)
		check_child(a, status);
	return child < 0 ? errno : 0;
}

/* A mapping may ask to go through fork; its bytes still do not. */
static inline int op_dofork(struct actor *a, struct target *t)
{
	struct stage *s = &a->stage[KIND_PRIVATE];
	pid_t child;
	int status;

	if (s->fd < 0)
		return NOT_DONE;
	if (madvise(s->map, SPACE_BYTES, MADV_DOFORK))
		return errno;
	child = fork();
	if (child == 0) {
		drop_foreign(a, s, true);
		_exit(0);
	}
	if (child > 0 && waitpid(child, &status, 0) == child)
		check_child(a, status);
	madvise(s->map, SPACE_BYTES, MADV_DONTFORK);
	return child < 0 ? errno : 0;
}

#endif /* ARENA_TESTS_KMOD_STRESSOR_LIFE_H */
