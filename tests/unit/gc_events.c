// SPDX-License-Identifier: MIT
/* What happens to a collected heap when something happens to its threads and its process: the table of doc/gc.md, line by line. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "tests/unit/gc_fixture.h"

/* ---------------------------------------------------------------- exec */

/* With that in its environment this program says what it begins with, and does nothing else: what exec() puts in the place of a process with a heap. */
#define TELLS "GC_EVENTS_TELLS"

static void tell_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	const struct dirent *entry;

	while ((entry = readdir(folder)))
		if (*entry->d_name != '.' && atoi(entry->d_name) != dirfd(folder))
			dprintf(STDERR_FILENO, "descriptor %s\n", entry->d_name);
	closedir(folder);
}

/* Lines of a file from @part on, where they have it. */
static void tell_lines(const char *path, const char *part)
{
	FILE *file = fopen(path, "r");
	char line[1024];

	while (fgets(line, sizeof(line), file))
		if (strstr(line, part))
			dprintf(STDERR_FILENO, "%s", strstr(line, part));
	fclose(file);
}

__attribute__((constructor)) static void tell(void)
{
	if (!getenv(TELLS))
		return;
	tell_descriptors();
	tell_lines("/proc/self/maps", "/");
	tell_lines("/proc/self/status", "SigBlk:");
	_exit(0);
}

static void exec_and_tell(void *unused)
{
	(void)unused;
	CHECK(!setenv(TELLS, "1", 1));
	execl("/proc/self/exe", "gc_events", (char *)NULL);
	_exit(1);
}

static int is_over; /* atomic; of signals' test: 1 when no more are sent, 2 when nobody allocates any more */

static void *allocate_for_ever(void *argument)
{
	const struct fixture *it = argument;

	CHECK_EQ(arena_gc_attach(it->gc), 0);
	while (!__atomic_load_n(&is_over, __ATOMIC_ACQUIRE))
		CHECK_EQ(count_leaves(new_tree(it, 7)), 1 << 7);
	arena_gc_detach(it->gc);
	return NULL;
}

/* All that a heap opens is open then, and its threads are there. */
static void exec_in_mid_cycle(void *unused)
{
	struct fixture it = set_up(ARENA_GC_OFF);
	pthread_t threads[2], collector;

	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		CHECK(!pthread_create(&threads[i], NULL, allocate_for_ever, &it));
	CHECK(arena_gc_alloc_atomic(it.gc, 8 * MiB));
	arena_gc_cgroup_bytes();
	arena_gc_collect(it.gc);
	CHECK(!pthread_create(&collector, NULL, collect_elsewhere, it.gc));
	poll_until_black();
	exec_and_tell(unused);
}

/* The cycle that did not end is not in it. */
static void check_timeline(const char *name)
{
	char end[3] = "";
	int fd = open(name, O_RDONLY);

	CHECK(fd >= 0 && lseek(fd, -2, SEEK_END) > 2 && read(fd, end, 2) == 2);
	CHECK_STR(end, "]\n");
	close(fd);
}

TEST(exec, "gc_events/exec() in the middle of a cycle leaves nothing behind, with a timeline too, which is complete")
{
	char name[] = "/tmp/gc_events.XXXXXX";
	struct death without, with;

	if (harness_thread_sanitized())
		harness_skip("the thread sanitizer cannot fork a process and make threads in the child");
	CHECK(!close(mkstemp(name)) && !setenv("ARENA_TRACE", name, 1));
	harness_child(&without, exec_and_tell, NULL);
	CHECK(!without.signal && !without.status);
	CHECK_HAS(without.text, "descriptor 2\n");
	CHECK_HAS(without.text, "SigBlk:");
	harness_child(&with, exec_in_mid_cycle, NULL);
	CHECK(!with.signal && !with.status);
	CHECK_STR(with.text, without.text);
	check_timeline(name);
	CHECK(!unlink(name));
}

/* ---------------------------------------------------------------- signals */

#define SIGNAL_CYCLES 20
#define SIGNALS_LEAST 200
#define OTHER_STACK_BYTES ((size_t)64 * KiB)

/* A thread that allocates while signals come to it. */
struct target {
	const struct fixture *it;
	pthread_t thread;
	char other[OTHER_STACK_BYTES]; /* the stack of its handlers */
	uint32_t is_ready;	/* atomic: it has that stack */
	uint32_t nr_signals;	/* atomic: that were handled there */
	uint32_t nr_elsewhere;	/* atomic */
};
static struct target targets[2];
static __thread struct target *own_target;

static void count_signal(int number)
{
	struct target *own = own_target;
	bool is_there = own && (uintptr_t)__builtin_frame_address(0) - (uintptr_t)own->other < OTHER_STACK_BYTES;

	(void)number;
	/* The thread sanitizer calls handlers later, on any stack. */
	is_there |= harness_thread_sanitized();
	if (own)
		__atomic_add_fetch(is_there ? &own->nr_signals : &own->nr_elsewhere, 1, __ATOMIC_RELAXED);
}

static void *allocate_under_signals(void *argument)
{
	struct target *own = own_target = argument;
	stack_t other = { .ss_sp = own->other, .ss_size = sizeof(own->other) }, before;

	CHECK(!sigaltstack(&other, &before));
	CHECK_EQ(arena_gc_attach(own->it->gc), 0);
	__atomic_store_n(&own->is_ready, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&is_over, __ATOMIC_ACQUIRE) < 2)
		CHECK_EQ(count_leaves(new_tree(own->it, 7)), 1 << 7);
	arena_gc_detach(own->it->gc);
	/* A sanitizer had one. */
	CHECK(!sigaltstack(&before, NULL));
	return NULL;
}

/* To each of them, not to the process, of which the kernel would choose a thread: the one that waits. That one has some as well, on its own stack. */
static void *send_signals(void *waits)
{
	while (!__atomic_load_n(&is_over, __ATOMIC_ACQUIRE)) {
		for (size_t i = 0; i < ARRAY_LEN(targets); i++)
			CHECK(!pthread_kill(targets[i].thread, SIGUSR1));
		CHECK(!pthread_kill(*(pthread_t *)waits, SIGUSR1));
		usleep(100);
	}
	return NULL;
}

static bool has_seen_enough(void)
{
	bool is_enough = true;

	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		is_enough &= __atomic_load_n(&targets[i].nr_signals, __ATOMIC_RELAXED) >= SIGNALS_LEAST;
		CHECK_EQ(__atomic_load_n(&targets[i].nr_elsewhere, __ATOMIC_RELAXED), 0);
	}
	return is_enough;
}

static void start_targets(const struct fixture *it)
{
	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		targets[i].it = it;
		CHECK(!pthread_create(&targets[i].thread, NULL, allocate_under_signals, &targets[i]));
		while (!__atomic_load_n(&targets[i].is_ready, __ATOMIC_ACQUIRE))
			usleep(200);
	}
}

static void end_targets(pthread_t *sender)
{
	__atomic_store_n(&is_over, 1, __ATOMIC_RELEASE);
	arena_gc_blocking(join, sender);
	__atomic_store_n(&is_over, 2, __ATOMIC_RELEASE);
	for (size_t i = 0; i < ARRAY_LEN(targets); i++)
		arena_gc_blocking(join, &targets[i].thread);
	CHECK(has_seen_enough());
}

static void collect_under_signals(const struct arena_gc_options *options)
{
	struct fixture it = set_up_with(options);
	struct sigaction action = { .sa_handler = count_signal, .sa_flags = SA_ONSTACK };
	pthread_t sender, self = pthread_self();
	uint64_t nr = 0;

	CHECK(!sigaction(SIGUSR1, &action, NULL));
	start_targets(&it);
	CHECK(!pthread_create(&sender, NULL, send_signals, &self));
	/* Each waits to the end of its cycle. */
	for (; nr < SIGNAL_CYCLES || !has_seen_enough(); nr++) {
		arena_gc_collect(it.gc);
		CHECK_EQ(stats_of(it.gc).nr_cycles, nr + 1);
	}
	end_targets(&sender);
	harness_note("%u and %u signals in %lu cycles", targets[0].nr_signals, targets[1].nr_signals, nr);
	arena_gc_destroy(it.gc);
}

TEST(signals, "gc_events/handlers that run at any moment, on other stacks too, disturb nothing", "ARENA_GCVERIFY=1")
{
	collect_under_signals(&(struct arena_gc_options){ .source = ARENA_SOURCE_THP, .percent = ARENA_GC_OFF });
}

TEST(signals_stopped, "gc_events/nor do they let a thread go that is stopped", "ARENA_GCVERIFY=1")
{
	collect_under_signals(&(struct arena_gc_options){ .source = ARENA_SOURCE_THP, .percent = ARENA_GC_OFF, .stops_world = true });
}

static int nothing_comes[2]; /* a pipe */

/* Which error the program's own wait ends with. */
static void *wait_for_nothing(void *error)
{
	char byte;

	*(int *)error = read(nothing_comes[0], &byte, 1) < 0 ? errno : 0;
	return NULL;
}

static void *wait_and_hold(void *argument)
{
	const struct fixture *it = argument;
	struct node *tree;
	int error = 0;

	CHECK_EQ(arena_gc_attach(it->gc), 0);
	tree = new_tree(it, 6);
	arena_gc_blocking(wait_for_nothing, &error);
	CHECK_EQ(error, EINTR);
	CHECK_EQ(count_leaves(tree), 1 << 6);
	__atomic_store_n(&is_over, 1, __ATOMIC_RELEASE);
	arena_gc_detach(it->gc);
	return NULL;
}

TEST(interrupted, "gc_events/a signal ends the program's wait, for which others answer, and none of the library's", "ARENA_GCVERIFY=1")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	struct sigaction action = { .sa_handler = count_signal };
	pthread_t thread;

	CHECK(!sigaction(SIGUSR1, &action, NULL) && !pipe(nothing_comes));
	CHECK(!pthread_create(&thread, NULL, wait_and_hold, &it));
	while (gc_threads_first(it.gc) == gc_own || gc_threads_running(it.gc) > 1)
		usleep(1000);
	/* Others answer: it is not woken. */
	arena_gc_collect(it.gc);
	CHECK(!__atomic_load_n(&is_over, __ATOMIC_ACQUIRE));
	/* The first ones may come before it reads. */
	while (!__atomic_load_n(&is_over, __ATOMIC_ACQUIRE)) {
		CHECK(!pthread_kill(thread, SIGUSR1));
		arena_gc_collect(it.gc);
	}
	arena_gc_blocking(join, &thread);
	arena_gc_destroy(it.gc);
}

/* ---------------------------------------------------------------- longjmp */

static jmp_buf way_back;
static volatile bool leaps = true;

__attribute__((noinline)) static void leap(const struct fixture *it, unsigned int depth)
{
	struct node *node = new_node(it, NULL, NULL, depth);

	if (depth)
		leap(it, depth - 1);
	else if (leaps)
		longjmp(way_back, 1);
	arena_gc_keep_alive(node);
}

TEST(jumps, "gc_events/longjmp() over frames that hold objects, which die then", "ARENA_GCVERIFY=1")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	struct node *tree = new_tree(&it, 8);

	for (volatile unsigned int i = 0; i < 20; i++) {
		if (!setjmp(way_back))
			leap(&it, 100);
		wipe_stack();
		arena_gc_collect(it.gc);
		CHECK_EQ(count_leaves(tree), 1 << 8);
	}
	wipe_stack();
	arena_gc_collect(it.gc);
	/* A stale word may keep one of them. */
	CHECK(stats_of(it.gc).freed_objects >= 20 * 100);
	arena_gc_destroy(it.gc);
}

/* ---------------------------------------------------------------- roots that go */

static void *map_roots(const struct fixture *it)
{
	struct node **roots = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(roots != MAP_FAILED);
	CHECK_EQ(arena_gc_add_roots(it->gc, roots, 4096), 0);
	arena_gc_store(&roots[1], new_node(it, NULL, NULL, 7));
	return roots;
}

static void collect_without_roots(void *unused)
{
	struct fixture it = set_up(ARENA_GC_OFF);

	(void)unused;
	CHECK(!munmap(map_roots(&it), 4096));
	arena_gc_collect(it.gc);
}

/* As dlclose() does it. */
TEST(unmapped, "gc_events/a module's globals are removed before they go; else the next cycle faults")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	void *roots = map_roots(&it);
	struct death death;

	CHECK_EQ(arena_gc_remove_roots(it.gc, roots), 0);
	CHECK(!munmap(roots, 4096));
	wipe_stack();
	arena_gc_collect(it.gc);
	CHECK_EQ(stats_of(it.gc).freed_objects, 1);
	arena_gc_destroy(it.gc);
	harness_child(&death, collect_without_roots, NULL);
	CHECK(harness_died(&death, SIGSEGV));
}

/* ---------------------------------------------------------------- stacks */

static void *hold_and_collect(void *argument)
{
	const struct fixture *it = argument;
	struct node *tree;

	CHECK_EQ(arena_gc_attach(it->gc), 0);
	tree = new_tree(it, 6);
	arena_gc_collect(it->gc);
	CHECK_EQ(count_leaves(tree), 1 << 6);
	arena_gc_detach(it->gc);
	return NULL;
}

#define SMALL_STACK ((size_t)128 * KiB)

TEST(guard, "gc_events/nobody reads below a stack, where its guard is", "ARENA_GCVERIFY=1")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	char *memory = mmap(NULL, SMALL_STACK + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_attr_t attributes;
	pthread_t thread;

	/* Both neighbors are out of bounds. */
	CHECK(memory != MAP_FAILED && !mprotect(memory + 4096, SMALL_STACK, PROT_READ | PROT_WRITE));
	pthread_attr_init(&attributes);
	CHECK(!pthread_attr_setstack(&attributes, memory + 4096, SMALL_STACK));
	CHECK(!pthread_create(&thread, &attributes, hold_and_collect, &it));
	arena_gc_blocking(join, &thread);
	pthread_attr_destroy(&attributes);
	CHECK(!munmap(memory, SMALL_STACK + 8192));
	arena_gc_destroy(it.gc);
}

/* Until there is no stack left. */
__attribute__((noinline)) static uint64_t fall(const struct fixture *it, uint64_t depth)
{
	volatile char room[1900];
	struct node *node = new_node(it, NULL, NULL, depth);
	uint64_t below;

	room[depth % sizeof(room)] = 1;
	below = depth < UINT32_MAX ? fall(it, depth + 1) : 0;
	return below + node->value + (uint64_t)room[depth % sizeof(room)];
}

static uintptr_t guard_page;

/* The fault is the guard's, and no other; the second time the process dies of it. */
static void say_where(int number, siginfo_t *info, void *context)
{
	static const char is_elsewhere[] = "the fault is not in the guard page";

	(void)context;
	if ((uintptr_t)info->si_addr - guard_page >= 4096 && write(STDERR_FILENO, is_elsewhere, sizeof(is_elsewhere) - 1))
		_exit(2);
	signal(number, SIG_DFL);
}

static void *fall_attached(void *argument)
{
	static char other[65536];
	stack_t handlers = { .ss_sp = other, .ss_size = sizeof(other) };

	CHECK(!sigaltstack(&handlers, NULL));
	CHECK_EQ(arena_gc_attach(((const struct fixture *)argument)->gc), 0);
	fall(argument, 0);
	return NULL;
}

static void overflow_stack(void *unused)
{
	struct fixture it = set_up(ARENA_GC_OFF);
	char *memory = mmap(NULL, SMALL_STACK + 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct sigaction action = { .sa_sigaction = say_where, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	pthread_attr_t attributes;
	pthread_t thread;

	(void)unused;
	guard_page = (uintptr_t)memory;
	CHECK(memory != MAP_FAILED && !mprotect(memory + 4096, SMALL_STACK, PROT_READ | PROT_WRITE));
	CHECK(!sigaction(SIGSEGV, &action, NULL));
	pthread_attr_init(&attributes);
	CHECK(!pthread_attr_setstack(&attributes, memory + 4096, SMALL_STACK));
	CHECK(!pthread_create(&thread, &attributes, fall_attached, &it));
	arena_gc_blocking(join, &thread);
}

TEST(overflow, "gc_events/a stack that overflows in the middle of allocations ends the process at its guard page")
{
	struct death death;

	if (harness_sanitized())
		harness_skip("sanitizers have handlers of their own");
	harness_child(&death, overflow_stack, NULL);
	CHECK(harness_died(&death, SIGSEGV));
}

#define DEEP_STACK ((size_t)8 * MiB)
#define DEEP_FRAMES 4000 /* of 2 KB: 7.8 MiB and more */

/* Each frame has an object that nothing else leads to. */
__attribute__((noinline)) static uint64_t go_deep(const struct fixture *it, unsigned int depth)
{
	volatile char room[1900];
	struct node *node = new_node(it, NULL, NULL, depth);
	uint64_t sum;

	room[depth % sizeof(room)] = 1;
	if (depth) {
		sum = go_deep(it, depth - 1);
	} else {
		arena_gc_collect(it->gc);
		sum = 0;
	}
	CHECK(is_alive(it->gc, node, depth));
	return sum + node->value + (uint64_t)(room[depth % sizeof(room)] - 1);
}

static void *be_deep(void *argument)
{
	const struct fixture *it = argument;

	CHECK_EQ(arena_gc_attach(it->gc), 0);
	CHECK_EQ(go_deep(it, DEEP_FRAMES), (uint64_t)DEEP_FRAMES * (DEEP_FRAMES + 1) / 2);
	arena_gc_detach(it->gc);
	return NULL;
}

TEST(deep, "gc_events/a stack of 8 MiB that is full of frames with objects", "ARENA_GCVERIFY=1")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	CHECK(!pthread_attr_setstacksize(&attributes, DEEP_STACK * (harness_sanitized() ? 4 : 1)));
	CHECK(!pthread_create(&thread, &attributes, be_deep, &it));
	arena_gc_blocking(join, &thread);
	pthread_attr_destroy(&attributes);
	arena_gc_destroy(it.gc);
}

/* ---------------------------------------------------------------- threads */

#define AT_ONCE 500
#define WAVES 20 /* 10,000 in all */

static uint32_t nr_there; /* atomic */

static void *come_and_wait(void *argument)
{
	struct node *node;

	CHECK_EQ(arena_gc_attach(((const struct fixture *)argument)->gc), 0);
	node = new_node(argument, NULL, NULL, 7);
	__atomic_add_fetch(&nr_there, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&nr_there, __ATOMIC_ACQUIRE) % AT_ONCE) {
		arena_gc_poll();
		usleep(1000);
	}
	CHECK_EQ(node->value, 7);
	return NULL;
}

TEST(crowd, "gc_events/10,000 threads, 500 at once, under cycles that follow each other")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	unsigned int waves = harness_sanitized() ? 1 : WAVES;
	static pthread_t threads[AT_ONCE];
	pthread_attr_t attributes;

	pthread_attr_init(&attributes);
	CHECK(!pthread_attr_setstacksize(&attributes, SMALL_STACK));
	for (unsigned int wave = 0; wave < waves; wave++) {
		for (size_t i = 0; i < AT_ONCE; i++)
			CHECK(!pthread_create(&threads[i], &attributes, come_and_wait, &it));
		arena_gc_collect(it.gc);
		for (size_t i = 0; i < AT_ONCE; i++)
			arena_gc_blocking(join, &threads[i]);
	}
	arena_gc_collect(it.gc);
	arena_gc_collect(it.gc);
	CHECK_EQ(stats_of(it.gc).freed_objects, waves * AT_ONCE);
	CHECK(!it.gc->mutators->next);
	pthread_attr_destroy(&attributes);
	arena_gc_destroy(it.gc);
}

#define ALL_AT_ONCE 10000
/* Somewhat more than a thread takes: its stack, which the kernel may back by huge pages, what the heap has for it, and what the kernel itself needs. */
#define BYTES_EACH ((size_t)256 * KiB)

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void *pass_gate(void *unused)
{
	pthread_mutex_lock(&gate);
	pthread_mutex_unlock(&gate);
	return unused;
}

static void *come_and_block(void *argument)
{
	const struct fixture *it = argument;
	struct node *node;

	CHECK_EQ(arena_gc_attach(it->gc), 0);
	node = new_node(it, NULL, NULL, 7);
	__atomic_add_fetch(&nr_there, 1, __ATOMIC_RELEASE);
	arena_gc_blocking(pass_gate, NULL);
	CHECK_EQ(node->value, 7);
	return NULL;
}

/* That could be had without taking it from others. */
static size_t available_bytes(void)
{
	FILE *file = fopen("/proc/meminfo", "r");
	size_t kib = 0, allowed = arena_gc_cgroup_bytes();
	char line[128];

	CHECK(file);
	while (!kib && fgets(line, sizeof(line), file))
		sscanf(line, "MemAvailable: %zu", &kib);
	fclose(file);
	return allowed ? size_min(kib * KiB, allowed) : kib * KiB;
}

/* As many as are wanted and there is room for, and why there are no more. */
static unsigned int start_threads(struct fixture *it, pthread_t *threads, const char **why)
{
	unsigned int nr = 0, most = (unsigned int)size_min(available_bytes() / BYTES_EACH, ALL_AT_ONCE);
	pthread_attr_t attributes;

	*why = "there is no memory for more";
	if (harness_sanitized()) {
		*why = "with a sanitizer they are slow";
		most = 100;
	}
	pthread_attr_init(&attributes);
	CHECK(!pthread_attr_setstacksize(&attributes, SMALL_STACK));
	while (nr < most && !pthread_create(&threads[nr], &attributes, come_and_block, it))
		nr++;
	pthread_attr_destroy(&attributes);
	if (nr < most)
		*why = "the system allows no more";
	return nr;
}

/* As far as it may. */
static void allow_threads(void)
{
	struct rlimit limit;

	CHECK(!getrlimit(RLIMIT_NPROC, &limit));
	limit.rlim_cur = limit.rlim_max;
	CHECK(!setrlimit(RLIMIT_NPROC, &limit));
}

TEST(at_once, "gc_events/10,000 threads at once that wait keep what they hold")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	static pthread_t threads[ALL_AT_ONCE];
	const char *why;
	unsigned int nr;

	allow_threads();
	CHECK(!pthread_mutex_lock(&gate));
	nr = start_threads(&it, threads, &why);
	while (__atomic_load_n(&nr_there, __ATOMIC_ACQUIRE) < nr)
		usleep(1000);
	for (int i = 0; i < 3; i++)
		arena_gc_collect(it.gc);
	CHECK_EQ(stats_of(it.gc).freed_objects, 0);
	harness_note("%u threads: the longest handshake of a cycle took %lu us", nr, stats_of(it.gc).handshake_max_ns / 1000);
	CHECK(!pthread_mutex_unlock(&gate));
	for (unsigned int i = 0; i < nr; i++)
		arena_gc_blocking(join, &threads[i]);
	arena_gc_collect(it.gc);
	CHECK_EQ(stats_of(it.gc).freed_objects, nr);
	CHECK(!it.gc->mutators->next);
	arena_gc_destroy(it.gc);
	if (nr < ALL_AT_ONCE)
		harness_skip("%u threads at once, which kept what they held: %s", nr, why);
}

/* ---------------------------------------------------------------- pthread_cancel() */

static void *hold_until_cancelled(void *argument)
{
	const struct fixture *it = argument;
	struct node *node;

	CHECK_EQ(arena_gc_attach(it->gc), 0);
	node = new_node(it, NULL, NULL, 7);
	for (__atomic_add_fetch(&nr_there, 1, __ATOMIC_RELEASE);; pthread_testcancel()) {
		arena_gc_poll();
		CHECK_EQ(node->value, 7);
	}
}

TEST(cancelled, "gc_events/a thread that is cancelled is detached, and its stack keeps nothing", "ARENA_GCVERIFY=1")
{
	struct fixture it;
	pthread_t thread;

	if (harness_sanitized())
		harness_skip("sanitizers do not see what a thread that was cancelled leaves behind");
	it = set_up(ARENA_GC_OFF);
	CHECK(!pthread_create(&thread, NULL, hold_until_cancelled, &it));
	while (!__atomic_load_n(&nr_there, __ATOMIC_ACQUIRE))
		usleep(1000);
	arena_gc_collect(it.gc);
	CHECK_EQ(stats_of(it.gc).freed_objects, 0);
	CHECK(!pthread_cancel(thread));
	arena_gc_blocking(join, &thread);
	arena_gc_collect(it.gc);
	CHECK_EQ(stats_of(it.gc).freed_objects, 1);
	CHECK(gc_threads_first(it.gc) == gc_own && !gc_own->next);
	arena_gc_destroy(it.gc);
}
