// SPDX-License-Identifier: MIT
/*
 * Where in the life of a process and of its threads malloc() is called: before main() and after it, at the ends of threads, in handlers
 * of fork(), in libraries that come and go, under signals, and under limits. Run by api.sh with the replacement.
 */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness.h"

#define MIB ((size_t)1 << 20)

int plug_forks(void); /* of the library that this program is linked with */

static char *early;	/* from the constructor */

/* A small, a middle and a large object, filled; false when one is not to be had. */
static bool use_memory(void)
{
	static const size_t sizes[] = { 40, 3000, 200000 };
	bool good = true;

	for (size_t i = 0; i < 3; i++) {
		char *object = malloc(sizes[i]);

		good &= object != NULL;
		if (object)
			memset(object, 1, sizes[i]);
		free(object);
	}
	return good;
}

__attribute__((constructor(101))) static void start(void)
{
	early = strdup("before main");
	use_memory();
}

/* In every process of this program, tests included: what goes wrong here shows as a signal. */
__attribute__((destructor)) static void end(void)
{
	if (!use_memory())
		abort();
	free(early);
}

TEST(constructors, "life/memory of constructors is there in main, and may be grown and freed")
{
	CHECK_STR(early, "before main");
	early = realloc(early, 100000);
	CHECK_STR(early, "before main");
}

static void leave(void *unused)
{
	(void)unused;
	exit(use_memory() ? 0 : 1);
}

TEST(destructors, "life/destructors after exit() use memory")
{
	struct death death;

	harness_child(&death, leave, NULL);
	CHECK_EQ(death.signal, 0);
	CHECK_EQ(death.status, 0);
}

/* ---------------------------------------------------------------- ends of threads */

#define KEYS 80
#define ROUNDS 3

static pthread_key_t keys[KEYS];
static uint32_t ended; /* atomic; destructors that ran */

/* Values are objects that count how often their destructor puts a new one in their place. */
static void end_value(void *value)
{
	int round = *(int *)value;
	int *next;

	free(value);
	__atomic_fetch_add(&ended, use_memory() ? 1u : 1000000u, __ATOMIC_RELAXED);
	next = round ? malloc(sizeof(*next)) : NULL;
	if (!next)
		return;
	*next = round - 1;
	for (size_t i = 0; i < KEYS; i++)
		if (!pthread_getspecific(keys[i])) {
			pthread_setspecific(keys[i], next);
			return;
		}
	free(next);
}

static void *set_keys(void *unused)
{
	(void)unused;
	for (size_t i = 0; i < KEYS; i++) {
		int *value = malloc(sizeof(*value));

		CHECK(value);
		*value = i % 2 ? ROUNDS : 0;
		CHECK(!pthread_setspecific(keys[i], value));
	}
	use_memory();
	pthread_exit(strdup("after pthread_exit"));
}

static void many_threads(void *(*function)(void *), size_t nr)
{
	pthread_t threads[100];

	for (size_t i = 0; i < nr; i++)
		CHECK(!pthread_create(&threads[i], NULL, function, (void *)i));
	for (size_t i = 0; i < nr; i++) {
		void *result;

		CHECK(!pthread_join(threads[i], &result));
		free(result);
	}
}

TEST(key_ends, "life/destructors of 80 keys allocate and free, in every round")
{
	for (size_t i = 0; i < KEYS; i++)
		CHECK(!pthread_key_create(&keys[i], end_value));
	for (int i = 0; i < 20; i++)
		many_threads(set_keys, 10);
	CHECK(ended >= 200 * KEYS && ended < 1000000);
}

/* In each round that there is, behind the library's own. */
static void end_late(void *rounds)
{
	size_t left = (size_t)rounds - 1;

	__atomic_fetch_add(&ended, use_memory() ? 1u : 1000000u, __ATOMIC_RELAXED);
	if (left)
		pthread_setspecific(keys[0], (void *)left);
}

static void *set_late_key(void *unused)
{
	(void)unused;
	CHECK(!pthread_setspecific(keys[0], (void *)(size_t)PTHREAD_DESTRUCTOR_ITERATIONS));
	return malloc(100);
}

TEST(last_round, "life/what destructors allocate in the last round is no cache that nobody ends")
{
	size_t used[2];

	CHECK(!pthread_key_create(&keys[0], end_late));
	for (size_t i = 0; i < 2; i++) {
		for (int j = 0; j < 300; j++)
			many_threads(set_late_key, 1);
		malloc_trim(0);
		used[i] = mallinfo2().uordblks;
	}
	CHECK_EQ(ended, 600 * PTHREAD_DESTRUCTOR_ITERATIONS);
	harness_note("in use after each half: %zu %zu", used[0], used[1]);
	CHECK(used[1] <= used[0] + MIB);
}

static char *shared[100];

static void *use_thread(void *argument)
{
	size_t me = (size_t)argument;

	for (size_t i = 0; i < 2000; i++) {
		char *object = malloc(1 + i * 37 % 5000);

		CHECK(object);
		object[0] = (char)i;
		free(__atomic_exchange_n(&shared[(me + i) % 100], object, __ATOMIC_ACQ_REL));
	}
	return malloc(100);
}

TEST(hundred, "life/100 threads free each other's memory, and memory of ended ones comes back")
{
	size_t after[5];

	for (size_t round = 0; round < 5; round++) {
		many_threads(use_thread, 100);
		for (size_t i = 0; i < 100; i++)
			free(__atomic_exchange_n(&shared[i], NULL, __ATOMIC_ACQ_REL));
		malloc_trim(0);
		after[round] = mallinfo2().arena;
	}
	harness_note("held after rounds: %zu %zu %zu %zu %zu", after[0], after[1], after[2], after[3], after[4]);
	CHECK(after[4] <= after[0] + 8 * MIB);
}

/* Leaves half of what it allocates to threads that come later, and ends. */
static void *come_and_go(void *argument)
{
	size_t me = (size_t)argument;

	for (size_t i = 0; i < 100; i++) {
		char *object = malloc(1 + (me + i) * 131 % 3000);

		CHECK(object);
		object[0] = (char)i;
		free(i % 2 ? object : __atomic_exchange_n(&shared[(me * 7 + i) % 100], object, __ATOMIC_ACQ_REL));
	}
	return malloc(100);
}

TEST(churn, "life/3,000 threads come and go, two at a time, with objects left behind, and memory stays what it was")
{
	size_t after[3];

	for (size_t third = 0; third < 3; third++) {
		for (size_t i = 0; i < 500; i++)
			many_threads(come_and_go, 2);
		after[third] = mallinfo2().arena;
	}
	harness_note("held after each third: %zu %zu %zu", after[0], after[1], after[2]);
	CHECK(after[2] <= after[0] + 2 * MIB);
}

/* ---------------------------------------------------------------- fork */

static void *allocate_on(void *stop)
{
	while (!__atomic_load_n((int *)stop, __ATOMIC_RELAXED))
		use_memory();
	return NULL;
}

TEST(handlers, "life/handlers of fork() allocate, of the earliest library too")
{
	int stop = 0, status, before = plug_forks();
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, allocate_on, &stop));
	for (int i = 0; i < 100; i++) {
		pid_t child = fork();

		CHECK(child >= 0);
		if (!child)
			_exit(use_memory() && plug_forks() == before + 2 * i + 2 ? 0 : 1);
		CHECK(waitpid(child, &status, 0) == child && !status);
	}
	CHECK_EQ(plug_forks(), before + 200);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	CHECK(!pthread_join(thread, NULL));
}

/* ---------------------------------------------------------------- libraries */

/* The copy is another library to the loader. */
static void copy_plug(char *path)
{
	char command[200], folder[] = "/tmp/arena-XXXXXX", *self;
	Dl_info info;

	CHECK(dladdr((void *)(uintptr_t)plug_forks, &info) && mkdtemp(folder));
	self = realpath(info.dli_fname, NULL);
	CHECK(self);
	/* When the program is not position independent its own table of calls is what was found. */
	strcpy(strrchr(self, '/'), "/plug.so");
	snprintf(path, 100, "%s/plug.so", folder);
	snprintf(command, sizeof(command), "cp '%s' '%s'", self, path);
	CHECK(!system(command));
	free(self);
}

static void *text_of(void *plug)
{
	char *(*text)(void);

	*(void **)(void *)&text = dlsym(plug, "plug_text");
	if (text && use_memory())
		CHECK_STR(text(), "kept since the constructor");
	return NULL;
}

TEST(plugs, "life/libraries are opened and closed, with threads that used them")
{
	char path[100];

	copy_plug(path);
	for (int i = 0; i < 50; i++) {
		void *plug = dlopen(path, RTLD_NOW | RTLD_LOCAL);
		pthread_t thread;

		CHECK(plug);
		CHECK(!pthread_create(&thread, NULL, text_of, plug));
		CHECK(!pthread_join(thread, NULL));
		CHECK(!dlclose(plug));
	}
	unlink(path);
	*strrchr(path, '/') = 0;
	rmdir(path);
}

/* What a library of C++ does that comes late: libstdc++ was not there when this program was linked. */
static int handler_calls;
static void (*(*set_handler)(void (*handler)(void)))(void);

static void help_twice(void)
{
	if (++handler_calls == 2)
		set_handler(NULL);
}

static void end_process(void)
{
	_exit(handler_calls == 2 ? 0 : 5);
}

static void new_in_plug(void *unused)
{
	void *plug = dlopen("libstdc++.so.6", RTLD_NOW | RTLD_LOCAL), *(*new)(size_t), *(*new_nothrow)(size_t, const void *);

	(void)unused;
	*(void **)(void *)&set_handler = plug ? dlsym(plug, "_ZSt15set_new_handlerPFvvE") : NULL;
	*(void **)(void *)&new = dlsym(RTLD_DEFAULT, "_Znwm");
	*(void **)(void *)&new_nothrow = dlsym(RTLD_DEFAULT, "_ZnwmRKSt9nothrow_t");
	if (!set_handler || !new || !new_nothrow)
		_exit(2);
	set_handler(help_twice);
	if (new_nothrow(SIZE_MAX / 2, "") || handler_calls != 2)
		_exit(3);
	/* This form never returns without an object. */
	set_handler(end_process);
	new (SIZE_MAX / 2);
	_exit(4);
}

TEST(late_new, "life/the new-handler of a libstdc++ that is opened later is called")
{
	struct death death;

	harness_child(&death, new_in_plug, NULL);
	CHECK_EQ(death.signal, 0);
	CHECK_EQ(death.status, 0);
}

/* ---------------------------------------------------------------- signals */

enum { STORM_THREADS = 4, STORM_SIGNALS = 500, STORM_OBJECTS = 32 };

static struct {
	pthread_t thread;
	uint32_t nr_signals;	/* atomic */
} storm[STORM_THREADS];
static int storm_is_over; /* atomic */
static __thread uint32_t *own_signals;

static void count_signal(int signal_number)
{
	(void)signal_number;
	__atomic_fetch_add(own_signals, 1, __ATOMIC_RELAXED);
}

/* Each byte says how many there are, as far as a byte can. */
static void replace(unsigned char **object, size_t bytes)
{
	size_t usable = malloc_usable_size(*object);

	for (size_t i = 0; i < usable; i += 61)
		CHECK_EQ((*object)[i], (unsigned char)usable);
	free(*object);
	*object = NULL;
	CHECK_EQ(errno, EDOM);
	if (!bytes)
		return;
	*object = bytes % 3 ? malloc(bytes) : realloc(malloc(bytes / 2 + 1), bytes);
	CHECK(*object);
	CHECK_EQ(errno, EDOM);
	usable = malloc_usable_size(*object);
	memset(*object, (unsigned char)usable, usable);
}

/* Small, middle and large objects, pages that go back to the system, and objects of the other threads. */
static void *allocate_in_storm(void *argument)
{
	struct random rng = { .state = harness_seed() + (uintptr_t)argument };
	unsigned char *objects[STORM_OBJECTS] = { NULL };

	own_signals = &storm[(uintptr_t)argument].nr_signals;
	__atomic_store_n(own_signals, 1, __ATOMIC_RELEASE);
	errno = EDOM;
	while (!__atomic_load_n(&storm_is_over, __ATOMIC_RELAXED)) {
		size_t at = random_below(&rng, STORM_OBJECTS), bytes = random_below(&rng, (size_t)1 << random_below(&rng, 18));
		char *other = malloc(bytes);

		replace(&objects[at], random_below(&rng, 200) ? bytes + 1 : 3 * MIB);
		free(__atomic_exchange_n(&shared[random_below(&rng, 100)], other, __ATOMIC_ACQ_REL));
		if (!random_below(&rng, 500))
			malloc_trim(0);
		CHECK_EQ(errno, EDOM);
	}
	for (size_t i = 0; i < STORM_OBJECTS; i++)
		replace(&objects[i], 0);
	return NULL;
}

/* Each thread that has begun gets a signal; false when all have had enough. */
static bool send_signals(void)
{
	bool is_on = false;

	for (size_t i = 0; i < STORM_THREADS; i++) {
		uint32_t nr = __atomic_load_n(&storm[i].nr_signals, __ATOMIC_ACQUIRE);

		if (nr)
			pthread_kill(storm[i].thread, SIGUSR1);
		is_on |= nr < STORM_SIGNALS;
	}
	return is_on;
}

/* System calls are interrupted as well: they are not made again by themselves. */
TEST(signals, "life/a signal every 200 us in each of four threads disturbs none of them, and not errno")
{
	const struct sigaction action = { .sa_handler = count_signal };

	CHECK(!sigaction(SIGUSR1, &action, NULL));
	for (size_t i = 0; i < STORM_THREADS; i++)
		CHECK(!pthread_create(&storm[i].thread, NULL, allocate_in_storm, (void *)i));
	while (send_signals())
		usleep(200);
	__atomic_store_n(&storm_is_over, 1, __ATOMIC_RELAXED);
	for (size_t i = 0; i < STORM_THREADS; i++)
		CHECK(!pthread_join(storm[i].thread, NULL));
}

/* ---------------------------------------------------------------- limits */

static void fill_and_free(void *unused)
{
	static char *objects[1000];
	size_t nr = 0;

	(void)unused;
	errno = 0;
	while (nr < 1000 && (objects[nr] = malloc(MIB))) {
		memset(objects[nr], 1, MIB);
		nr++;
	}
	/* Enough for a program, and an end that is told. */
	if (nr < 150 || nr >= 500 || errno != ENOMEM)
		_exit(2);
	while (nr)
		free(objects[--nr]);
	if (!use_memory())
		_exit(3);
}

/*
 * Not asked of a limit of private memory: Linux does not hold against it what takes the place of another mapping, as all memory here does, unless the limit is passed
 * already. So one large object passes it, and nothing is given after that.
 */
static void refuse_large(void)
{
	errno = 0;
	if (malloc(1024 * MIB) || errno != ENOMEM)
		_exit(4);
}

static void fill_addresses(void *unused)
{
	fill_and_free(unused);
	refuse_large();
}

/* Under a limit from its start, as after ulimit -v or -d: the test runs itself. */
static void run_limited(__rlimit_resource_t resource, const char *test)
{
	const struct rlimit limit = { .rlim_cur = 512 * MIB, .rlim_max = 512 * MIB };

	CHECK(!setrlimit(resource, &limit));
	execl("/proc/self/exe", "life", test, NULL);
}

static void run_in_few_addresses(void *unused)
{
	(void)unused;
	run_limited(RLIMIT_AS, "life/a program within 512 MiB of addresses");
}

static void run_in_little_memory(void *unused)
{
	(void)unused;
	run_limited(RLIMIT_DATA, "life/a program within 512 MiB of private memory");
}

static bool is_limited(__rlimit_resource_t resource)
{
	struct rlimit now;

	CHECK(!getrlimit(resource, &now));
	return now.rlim_cur != RLIM_INFINITY;
}

static void check_ends_well(void (*function)(void *))
{
	struct death death;

	harness_child(&death, function, NULL);
	CHECK_EQ(death.signal, 0);
	CHECK_EQ(death.status, 0);
}

TEST(limited, "life/a program within 512 MiB of addresses gets most of them")
{
	check_ends_well(is_limited(RLIMIT_AS) ? fill_addresses : run_in_few_addresses);
}

TEST(limited_data, "life/a program within 512 MiB of private memory gets most of it")
{
	check_ends_well(is_limited(RLIMIT_DATA) ? fill_and_free : run_in_little_memory);
}

static void limit_late(void *unused)
{
	const struct rlimit limit = { .rlim_cur = 512 * MIB, .rlim_max = 512 * MIB };
	char *kept = malloc(100000);

	(void)unused;
	if (!kept || setrlimit(RLIMIT_AS, &limit))
		_exit(2);
	memset(kept, 1, 100000);
	/* What is not to be had is told, and what is there goes on. */
	for (int i = 0; i < 100; i++)
		if (!use_memory())
			_exit(3);
	refuse_large();
	free(kept);
}

static void limit_memory_late(void *unused)
{
	const struct rlimit limit = { .rlim_cur = 512 * MIB, .rlim_max = 512 * MIB };
	char *kept = malloc(100000);

	if (!kept || setrlimit(RLIMIT_DATA, &limit))
		_exit(5);
	fill_and_free(unused);
	memset(kept, 1, 100000);
	free(kept);
}

TEST(limited_late, "life/a limit of addresses, or of private memory, that is set later")
{
	check_ends_well(limit_late);
	check_ends_well(limit_memory_late);
}
