// SPDX-License-Identifier: MIT
/*
 * Threads of one process and one chunk: all of them may touch it at the moment when a write makes
 * it another one, and they agree about what is in it, also while another process makes the kernel
 * unmap it.
 *
 * Models a runtime with threads that forks workers. Those give memory back at any time: that unmaps
 * slots in all processes, one call for many slots with one flush at the end. A write that takes a
 * copy meanwhile must not leave a second thread reading the old chunk.
 */
#include "fork.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>

/* Enough that unmapping them takes longer than copying one. */
#define MANY 192U
#define NR_ROUNDS 150U

/* Shared by all processes. */
struct stage {
	unsigned int ready;	/* the unmapper may be told to go */
	unsigned int go;
	unsigned int done;
	uint64_t written;	/* the chunk holds at least this */
	uint64_t wrong;
	bool stop;
};

static void wait_for(unsigned int *at, unsigned int round)
{
	while (__atomic_load_n(at, __ATOMIC_ACQUIRE) < round)
		sched_yield();
}

static void tell(unsigned int *at, unsigned int round)
{
	__atomic_store_n(at, round, __ATOMIC_RELEASE);
}

/* Has a view of its own, and empties it once in each round. */
static int unmapper(int fd, struct stage *stage)
{
	char *map = space_map_bare(fd, 0, MANY);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (unsigned int round = 1; map != MAP_FAILED && round <= NR_ROUNDS; round++) {
		if (space_reserve(fd, 0, 1, NULL) || space_reserve(fd, MANY - 1, 1, NULL) ||
		    fault_touch(map) || fault_touch(map + (MANY - 1) * CHUNK_BYTES))
			return 1;
		tell(&stage->ready, round);
		wait_for(&stage->go, round);
		if (space_zap(fd, 0, MANY, NULL))
			return 2;
		tell(&stage->done, round);
	}
	return map == MAP_FAILED;
}

struct reader {
	volatile uint64_t *word;
	struct stage *stage;
};

static void *reader_main(void *argument)
{
	struct reader *r = argument;

	while (!__atomic_load_n(&r->stage->stop, __ATOMIC_RELAXED)) {
		uint64_t written = __atomic_load_n(&r->stage->written, __ATOMIC_ACQUIRE);

		if (*r->word < written)
			r->stage->wrong++;
	}
	return NULL;
}

/* Somebody to share the chunks with, so that the write needs a copy. */
static pid_t sharer_start(void)
{
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return pid;
}

static void sharer_end(pid_t pid)
{
	kill(pid, SIGKILL);
	child_status(pid);
}

/* ---- all at once ---------------------------------------------------------------------------- */

#define NR_THREADS 4U
#define NR_FORKS 100U

struct toucher {
	volatile uint64_t *word;
	pthread_barrier_t *barrier;
	bool reads;
	bool wrong;
};

/* Each round between two meetings: after the fork, and after the touch. */
static void *toucher_main(void *argument)
{
	struct toucher *t = argument;

	for (uint64_t round = 1; round <= NR_FORKS; round++) {
		pthread_barrier_wait(t->barrier);
		if (!t->reads)
			*t->word = round;
		t->wrong |= !t->reads && *t->word != round;
		t->wrong |= t->reads && *t->word;
		pthread_barrier_wait(t->barrier);
	}
	return NULL;
}

/* Whether all threads saw what they should, in rounds of a fork and a touch each. */
static bool touch_by_all_threads(char *map)
{
	struct toucher touchers[NR_THREADS] = { 0 };
	pthread_t threads[NR_THREADS];
	pthread_barrier_t barrier;
	bool wrong = pthread_barrier_init(&barrier, NULL, NR_THREADS + 1);

	for (unsigned int i = 0; i < NR_THREADS; i++) {
		touchers[i].word = (uint64_t *)(void *)(map + i * PAGE_BYTES);
		touchers[i].barrier = &barrier;
		touchers[i].reads = i == 0;
		if (pthread_create(&threads[i], NULL, toucher_main, &touchers[i]))
			abort();
	}
	for (unsigned int round = 0; round < NR_FORKS; round++) {
		pid_t sharer = sharer_start();

		pthread_barrier_wait(&barrier);
		pthread_barrier_wait(&barrier);
		sharer_end(sharer);
	}
	for (unsigned int i = 0; i < NR_THREADS; i++) {
		pthread_join(threads[i], NULL);
		wrong |= touchers[i].wrong;
	}
	return !wrong;
}

TEST_F_TIMEOUT(cow, touched_by_all_threads, 110)
{
	EXPECT_TRUE(touch_by_all_threads(self->map));
}

/* No chunk is left for a copy: the parent keeps its own, and waits for no more than its own threads. */
TEST_F_TIMEOUT(cow, touched_by_all_threads_at_the_cap, 110)
{
	long long cap = parameter_get("max_user_chunks");

	*(volatile uint64_t *)(void *)self->map = 0;
	ASSERT_EQ(0, parameter_set("max_user_chunks", module_stat(self->dev).handed_chunks));
	EXPECT_TRUE(touch_by_all_threads(self->map));
	ASSERT_EQ(0, parameter_set("max_user_chunks", cap));
}

/* ---- while another process unmaps ----------------------------------------------------------- */

static void one_round(char *map, struct stage *stage, unsigned int round)
{
	pid_t sharer = sharer_start();

	for (unsigned int i = 0; i < MANY; i++)
		(void)*(volatile uint64_t *)(map + i * CHUNK_BYTES);
	wait_for(&stage->ready, round);
	tell(&stage->go, round);
	/* A different moment each time. */
	for (volatile unsigned int spin = round * 2000; spin; spin--)
		;
	*(volatile uint64_t *)map = round;
	__atomic_store_n(&stage->written, round, __ATOMIC_RELEASE);
	wait_for(&stage->done, round);
	sharer_end(sharer);
}

TEST_F_TIMEOUT(cow, no_stale_reads, 900)
{
	struct stage *stage = mmap(NULL, sizeof(*stage), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *map = space_map(self->fd, 0, MANY);
	struct reader reader = { .word = (uint64_t *)(void *)map, .stage = stage };
	pthread_t thread;
	pid_t pid;

	ASSERT_NE(MAP_FAILED, map);
	/* So that there is no other reason to unmap before the copy is mapped. */
	ASSERT_EQ(0, munmap(self->map, NR_CHUNKS * CHUNK_BYTES));
	ASSERT_EQ(0, madvise(map, MANY * CHUNK_BYTES, MADV_DONTFORK));
	pid = fork();
	if (!pid)
		_exit(unmapper(self->fd, stage));
	ASSERT_EQ(0, madvise(map, MANY * CHUNK_BYTES, MADV_DOFORK));
	*(volatile uint64_t *)map = 0;
	ASSERT_EQ(0, pthread_create(&thread, NULL, reader_main, &reader));
	for (unsigned int round = 1; round <= NR_ROUNDS; round++)
		one_round(map, stage, round);
	stage->stop = true;
	pthread_join(thread, NULL);
	EXPECT_EQ(0, stage->wrong);
	EXPECT_EQ(0, child_status(pid));
	munmap(map, MANY * CHUNK_BYTES);
	EXPECT_TRUE(handed_settles(self->dev, 0));
}

TEST_HARNESS_MAIN
