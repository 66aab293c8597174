// SPDX-License-Identifier: MIT
/*
 * Random operations of many processes against a model of who may see which byte.
 *
 *	stressor [--seed N] [--seconds N]
 *
 * Models the worst day of a shared machine: processes of two users, with spaces of every kind, that
 * reserve, write, keep, give back, by calls and by io_uring, map, move, fork, run other programs,
 * leave pages in pipes and in io_uring, listen for notices, change cgroups and die at any moment,
 * while memory is short and processors come and go.
 * Any byte of another owner is a failure (stressor/model.h says who owns what), and so is a chunk
 * that is left at the end.
 *
 * How often each thing happened is printed, and in a run of ALL_SECONDS or more each must have.
 *
 * The seed is printed first. With --seed every process draws the same operations again; what they
 * meet depends on how the kernel interleaves them, so a failure may need a few runs to come back.
 * Not a measurement: under emulation the mix says nothing about speed.
 */
#include "common.h"
#include <grp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include "stressor/world.h"

#define DEFAULT_SECONDS	15
#define USER_TESTER	1000
#define LIFE_OPERATIONS	900U
#define STEP_MS		25
/* Long enough for what happens least, on a host that is busy; as much longer where all takes longer. */
#define ALL_SECONDS	(120U * (uint64_t)slowness())

/** struct operation - by how often it is drawn */
static const struct operation {
	const char *name;
	int (*run)(struct actor *a, struct target *t);
	unsigned int weight;
} operations[] = {
	{ "reserve", op_reserve, 14 },
	{ "write", op_write, 14 },
	{ "read", op_read, 10 },
	{ "zap", op_zap, 8 },
	{ "race zap", op_race_zap, 6 },
	{ "keep", op_keep, 6 },
	{ "ahead", op_ahead, 1 },
	{ "run", op_run, 4 },
	{ "notice", op_notice, 3 },
	{ "populate", op_populate, 2 },
	{ "trim", op_trim, 1 },
	{ "look", op_look, 1 },
	{ "remap", op_remap, 1 },
	{ "punch", op_punch, 2 },
	{ "move", op_move, 1 },
	{ "grow", op_grow, 1 },
	{ "protect", op_protect, 2 },
	{ "advise", op_advise, 3 },
	{ "lock", op_lock, 1 },
	{ "renew", op_renew, 2 },
	{ "pipe in", op_pipe_in, 5 },
	{ "pipe in, zap", op_pipe_and_zap, 2 },
	{ "pipe in, write", op_pipe_and_write, 4 },
	{ "pipe out", op_pipe_out, 7 },
	{ "ring register", op_ring_register, 2 },
	{ "ring use", op_ring_use, 2 },
	{ "ring release", op_ring_release, 2 },
	{ "ring read", op_ring_read, 2 },
	{ "fork", op_fork, 5 },
	{ "vfork", op_vfork, 1 },
	{ "dofork", op_dofork, 1 },
};
_Static_assert(ARRAY_SIZE(operations) <= MAX_OPERATIONS, "struct shared counts them");

static const struct operation *draw_operation(struct actor *a)
{
	unsigned int total = 0, at;
	size_t i = 0;

	for (size_t n = 0; n < ARRAY_SIZE(operations); n++)
		total += operations[n].weight;
	for (at = pick(a, total); at >= operations[i].weight; i++)
		at -= operations[i].weight;
	return &operations[i];
}

static void actor_operate(struct actor *a)
{
	const struct operation *operation;
	struct target t;
	int result;

	a->rng = next_random(&a->sequence);
	operation = draw_operation(a);
	t.stage = &a->stage[pick(a, NR_KINDS)];
	t.first = pick(a, NR_SLOTS);
	t.nr = 1 + pick(a, NR_SLOTS - t.first);
	if (t.stage->fd < 0 && t.stage->kind != KIND_COMMON && pick(a, 4) == 0)
		stage_create(a, t.stage->kind);
	if (t.stage->fd < 0)
		return;
	/* Before, so that the log names the operation that did not return. */
	log_operation(a, operation->name, t.stage, t.first, t.nr, -1);
	result = operation->run(a, &t);
	a->shared->nr_done[operation - operations] += result != NOT_DONE;
	a->logged[(a->nr_logged - 1) % NR_LOGGED].result = result;
}

static void become_tester(struct actor *a)
{
	if (setgroups(0, NULL) || setgid(USER_TESTER) || setuid(USER_TESTER))
		fail_call(a, "setuid");
}

static void __attribute__((noreturn)) actor_run(struct world *w, uint64_t seed, bool root)
{
	static struct actor a;

	a = (struct actor){ .shared = w->shared, .seed = seed, .sequence = seed, .rng = seed,
			    .id = w->shared->next_id++, .root = root, .event = -1 };
	file_write_text("/proc/self/oom_score_adj", "0");
	a.dev = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (a.dev < 0 && errno != ENOMEM && errno != EINTR)
		fail(&a, "open: %m");
	if (a.dev < 0)
		_exit(0);
	if (!root)
		become_tester(&a);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pipe_open(&a);
	ring_open();
	for (enum kind kind = 0; kind < NR_KINDS; kind++)
		a.stage[kind] = (struct stage){ .kind = kind, .fd = -1 };
	stages_create(&a);
	common_map(&a, w->common);
	for (unsigned int i = pick(&a, LIFE_OPERATIONS); i && !w->shared->failed; i--)
		actor_operate(&a);
	_exit(0);
}

static void actor_start(struct world *w, unsigned int i)
{
	unsigned int serial = w->nr_started++;
	uint64_t seed = w->seed + serial * 0x100000001b3ULL;
	pid_t child = fork();

	if (child == 0)
		actor_run(w, next_random(&seed), geteuid() == 0 && serial % 2 == 0);
	w->actors[i] = child;
}

static void actor_tend(struct world *w, unsigned int i)
{
	int status;

	if (w->actors[i] > 0 && waitpid(w->actors[i], &status, WNOHANG) != w->actors[i])
		return;
	if (w->actors[i] > 0 && status && !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) &&
	    w->shared->failed++ == 0)
		fprintf(stderr, "# a process ended with status %#x\n", status);
	actor_start(w, i);
}

static void world_run(struct world *w, int64_t seconds)
{
	int64_t limit_ms = now_ms() + seconds * 1000;

	file_write_text("/proc/self/oom_score_adj", "-1000");
	groups_create();
	for (size_t i = 0; i < NR_EVENTS; i++)
		w->has[i] = !access(happenings[i].needs, F_OK);
	while (now_ms() < limit_ms && !w->shared->failed) {
		for (unsigned int i = 0; i < NR_ACTORS; i++)
			actor_tend(w, i);
		world_step(w);
		sleep_ms(STEP_MS);
	}
	/* The process that failed is still printing why. */
	if (w->shared->failed)
		sleep_ms(500);
	world_end(w);
}

/* Each time anew: what the ring of a killed process had begun may reserve in the common space after a first look. */
static bool zap_leaves_nothing(const struct world *w)
{
	struct arena_stat s;

	space_zap(w->common, 0, NR_SLOTS, NULL);
	s = module_stat(w->dev);

	return s.nr_spaces == 2 && s.handed_chunks == 0 && s.quarantined_chunks == 0;
}

static bool world_is_clean(struct world *w)
{
	bool clean;

	clean = WAIT_UNTIL(zap_leaves_nothing(w), 10000) && stat_settles(w->dev);
	if (!clean)
		stat_print(w->dev);
	return clean;
}

static uint64_t nr_copies_without_memory(const struct shared *s)
{
	return s->nr_lost + s->nr_refused;
}

static void print_counts(const struct shared *s, unsigned int nr_started)
{
	printf("# %u processes, %" PRIu64 " operations, %" PRIu64 " forks, %" PRIu64 " kills, %"
	       PRIu64 " pages in pipes, %" PRIu64 " registered\n# %" PRIu64 " commands by rings, %" PRIu64
	       " runs, notices seen %" PRIu64 " times\n# %" PRIu64 " times out of memory; %" PRIu64
	       " copies without memory: %" PRIu64 " inherited chunks lost, %" PRIu64 " writes refused\n",
	       nr_started, s->nr_operations, s->nr_forks, s->nr_kills, s->nr_piped, s->nr_registered,
	       s->nr_commands, s->nr_runs, s->nr_notices, s->nr_no_memory, nr_copies_without_memory(s), s->nr_lost,
	       s->nr_refused);
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
		printf("%s%s %" PRIu64, i % 8 ? ", " : i ? "\n# " : "# ", operations[i].name, s->nr_done[i]);
	printf("\n#");
	for (size_t i = 0; i < NR_EVENTS; i++)
		printf("%s %s %" PRIu64, i ? "," : "", happenings[i].name, s->nr_events[i]);
	printf("\n");
}

/* One line for what never happened. */
static bool has_happened(const char *name, uint64_t times)
{
	if (!times)
		fprintf(stderr, "# never: %s\n", name);
	return times;
}

/* Linux 6.1 registers no buffer in a chunk, so none can be used. */
static bool can_happen(const struct shared *s, const struct operation *operation)
{
	return s->nr_registered || (operation->run != op_ring_use && operation->run != op_ring_release);
}

/* What the machine does not have is left out. */
static bool all_has_happened(const struct shared *s, const bool *has)
{
	bool all = has_happened("a child", s->nr_forks) & has_happened("a page in a pipe", s->nr_piped) &
		   has_happened("a command of a ring", s->nr_commands) & has_happened("a run", s->nr_runs) &
		   has_happened("a notice", s->nr_notices) & has_happened("out of memory", s->nr_no_memory) &
		   has_happened("a copy without memory", nr_copies_without_memory(s));

	for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
		if (can_happen(s, &operations[i]))
			all &= has_happened(operations[i].name, s->nr_done[i]);
	for (size_t i = 0; i < NR_EVENTS; i++)
		if (has[i])
			all &= has_happened(happenings[i].name, s->nr_events[i]);
	return all;
}

static int report(bool passed, const char *name)
{
	static int number;

	printf("%s %d - %s\n", passed ? "ok" : "not ok", ++number, name);
	fflush(stdout);
	return !passed;
}

static uint64_t parse(int argc, char **argv, const char *name, uint64_t otherwise)
{
	for (int i = 1; i + 1 < argc; i++)
		if (!strcmp(argv[i], name))
			return strtoull(argv[i + 1], NULL, 0);
	return otherwise;
}

int main(int argc, char **argv)
{
	struct world w = { .common = -1 };
	uint64_t seconds;
	int failed;

	if (argc == 2 && !strcmp(argv[1], "--nothing"))
		return 0;
	w.seed = parse(argc, argv, "--seed", (uint64_t)time(NULL) * 1000003 + (uint64_t)getpid());
	w.rng = w.seed;
	seconds = parse(argc, argv, "--seconds", DEFAULT_SECONDS);
	printf("TAP version 13\n# seed %" PRIu64 "\n1..%d\n", w.seed, seconds < ALL_SECONDS ? 2 : 3);
	fflush(stdout);
	fault_catch();
	w.shared = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	processors_fd = memfd_create("processors", MFD_CLOEXEC);
	w.dev = open(DEVICE, O_RDWR | O_CLOEXEC);
	w.common = w.dev < 0 ? -1 : space_create(w.dev, NR_SLOTS);
	if (w.common < 0 || processors_fd < 0 || w.shared == MAP_FAILED) {
		printf("Bail out! %s: %s\n", DEVICE, strerror(errno));
		return 1;
	}
	w.shared->next_id = COMMON_ID + 1;
	world_run(&w, (int64_t)seconds);
	print_counts(w.shared, w.nr_started);
	failed = report(!w.shared->failed && w.shared->nr_operations,
			"nobody sees a byte of another owner");
	failed |= report(world_is_clean(&w), "nothing is left");
	if (seconds >= ALL_SECONDS)
		failed |= report(w.shared->failed || all_has_happened(w.shared, w.has), "everything has happened");
	return failed;
}
