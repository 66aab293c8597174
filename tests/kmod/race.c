// SPDX-License-Identifier: MIT
/*
 * Faults against ZAP: two threads touch the slots while a third takes them away and reserves them
 * anew, as fast as it can.
 *
 * Models a program with a use-after-free in one thread and a busy allocator in another. The danger
 * is a fault that has looked up its chunk before the ZAP and maps it afterwards: then bytes of a
 * chunk that has another owner by now could be read and written. What must hold at any time:
 *  - after ZAP has returned, and before the slot is reserved again, every access is SIGBUS;
 *  - after it is reserved again, what was written before the ZAP began is not there.
 */
#include "common.h"
#include <pthread.h>
#include <stdatomic.h>

#define NR_SLOTS	8
#define NR_TOUCHERS	2
#define RUN_MS		4000

struct race {
	char *map;
	int fd;
	atomic_bool stop;
	atomic_ulong cycle;		/* ZAP + RESERVE pairs that have been completed */
	atomic_ulong stale;		/* reads that saw what should be gone */
	atomic_ulong accesses;
	atomic_ulong signals;
	pthread_barrier_t barrier;	/* used by the phased race only */
	atomic_bool zapped;		/* phased race: ZAP has returned */
};

struct toucher {
	pthread_t thread;
	struct race *race;
	unsigned int index;
	unsigned int seed;
};

/* Each toucher has a word of its own in every chunk, so that it knows who wrote it, and when. */
static uint64_t *own_word(const struct toucher *t, unsigned int slot)
{
	return (uint64_t *)(void *)(t->race->map + slot * CHUNK_BYTES + t->index * 2 * PAGE_BYTES);
}

/*
 * The word was last written while at most `written` cycles were complete, by this thread. The ZAP
 * of the next cycle may have happened before that write, the ZAP of the one after it has not. So
 * once two more cycles were complete before the read, the value must be gone.
 */
static void *touch_freely(void *argument)
{
	struct toucher *t = argument;
	struct race *race = t->race;
	unsigned long written[NR_SLOTS] = { 0 };
	uint64_t stamp[NR_SLOTS] = { 0 }, next_stamp = 1, value;

	while (!atomic_load(&race->stop)) {
		unsigned int slot = (unsigned int)rand_r(&t->seed) % NR_SLOTS;
		unsigned long cycle = atomic_load(&race->cycle);

		atomic_fetch_add(&race->accesses, 1);
		if (fault_read(own_word(t, slot), &value)) {
			atomic_fetch_add(&race->signals, 1);
			continue;
		}
		if (value && (value != stamp[slot] || cycle >= written[slot] + 2))
			atomic_fetch_add(&race->stale, 1);
		stamp[slot] = next_stamp;
		if (!fault_write(own_word(t, slot), next_stamp++))
			written[slot] = atomic_load(&race->cycle);
		else
			stamp[slot] = 0;
	}
	return NULL;
}

static void race_start(struct race *race, struct toucher *touchers, void *(*body)(void *))
{
	fault_catch();
	for (unsigned int i = 0; i < NR_TOUCHERS; i++) {
		touchers[i] = (struct toucher){ .race = race, .index = i, .seed = i + 1 };
		pthread_create(&touchers[i].thread, NULL, body, &touchers[i]);
	}
}

static void race_join(struct toucher *touchers)
{
	for (unsigned int i = 0; i < NR_TOUCHERS; i++)
		pthread_join(touchers[i].thread, NULL);
}

TEST_F_TIMEOUT(space, touch_against_zap, 60)
{
	struct race race = { .fd = self->fd, .map = space_map(self->fd, 0, NR_SLOTS) };
	struct toucher touchers[NR_TOUCHERS];
	int64_t limit_ms = now_ms() + RUN_MS;

	ASSERT_NE(MAP_FAILED, race.map);
	race_start(&race, touchers, touch_freely);
	while (now_ms() < limit_ms) {
		EXPECT_EQ(0, space_zap(self->fd, 0, NR_SLOTS, NULL)) break;
		EXPECT_EQ(0, space_reserve(self->fd, 0, NR_SLOTS, NULL)) break;
		atomic_fetch_add(&race.cycle, 1);
	}
	atomic_store(&race.stop, true);
	race_join(touchers);
	TH_LOG("%lu cycles, %lu accesses, %lu signals", race.cycle, race.accesses, race.signals);
	EXPECT_EQ(0, atomic_load(&race.stale));
	EXPECT_LT(0, atomic_load(&race.accesses) - atomic_load(&race.signals));
	ASSERT_EQ(0, space_zap(self->fd, 0, NR_SLOTS, NULL));
	EXPECT_EQ(0, smaps_kb(race.map, "Rss"));
	EXPECT_EQ(NR_SLOTS, fault_count(race.map, NR_SLOTS, SIGBUS));
	EXPECT_TRUE(stat_settles(self->dev));
}

/* Writes until it sees that ZAP has returned. */
static void write_until_zapped(struct toucher *t)
{
	struct race *race = t->race;

	while (!atomic_load(&race->zapped)) {
		unsigned int slot = (unsigned int)rand_r(&t->seed) % NR_SLOTS;

		atomic_fetch_add(&race->accesses, 1);
		if (fault_write(own_word(t, slot), ~0ULL))
			atomic_fetch_add(&race->signals, 1);
	}
}

/* Three steps, each between two barriers: write against ZAP; all is SIGBUS; all is zero. */
static void *touch_in_phases(void *argument)
{
	struct toucher *t = argument;
	struct race *race = t->race;
	uint64_t value;

	for (;;) {
		pthread_barrier_wait(&race->barrier);
		if (atomic_load(&race->stop))
			return NULL;
		write_until_zapped(t);
		pthread_barrier_wait(&race->barrier);
		for (unsigned int slot = 0; slot < NR_SLOTS; slot++)
			if (fault_read(own_word(t, slot), &value) != SIGBUS)
				atomic_fetch_add(&race->stale, 1);
		pthread_barrier_wait(&race->barrier);
		pthread_barrier_wait(&race->barrier);
		for (unsigned int slot = 0; slot < NR_SLOTS; slot++)
			if (fault_read(own_word(t, slot), &value) || value)
				atomic_fetch_add(&race->stale, 1);
	}
}

/* The third thread's part of one round. Is 0 or an errno. */
static int zap_in_phases(struct race *race, unsigned int delay)
{
	int error;

	atomic_store(&race->zapped, false);
	pthread_barrier_wait(&race->barrier);
	for (unsigned int i = 0; i < delay; i++)
		atomic_load(&race->zapped);
	error = space_zap(race->fd, 0, NR_SLOTS, NULL);
	atomic_store(&race->zapped, true);
	pthread_barrier_wait(&race->barrier);
	pthread_barrier_wait(&race->barrier);
	error = error ?: space_reserve(race->fd, 0, NR_SLOTS, NULL);
	pthread_barrier_wait(&race->barrier);
	return error;
}

TEST_F_TIMEOUT(space, nothing_is_mapped_after_zap, 60)
{
	struct race race = { .fd = self->fd, .map = space_map(self->fd, 0, NR_SLOTS) };
	struct toucher touchers[NR_TOUCHERS];
	int64_t limit_ms = now_ms() + RUN_MS;
	unsigned int rounds = 0, seed = 7;

	ASSERT_NE(MAP_FAILED, race.map);
	pthread_barrier_init(&race.barrier, NULL, NR_TOUCHERS + 1);
	race_start(&race, touchers, touch_in_phases);
	while (now_ms() < limit_ms) {
		EXPECT_EQ(0, zap_in_phases(&race, (unsigned int)rand_r(&seed) % 20000)) break;
		rounds++;
	}
	atomic_store(&race.stop, true);
	pthread_barrier_wait(&race.barrier);
	race_join(touchers);
	TH_LOG("%u rounds, %lu accesses, %lu signals", rounds, race.accesses, race.signals);
	EXPECT_EQ(0, atomic_load(&race.stale));
	EXPECT_LT(10, rounds);
	ASSERT_EQ(0, space_zap(self->fd, 0, NR_SLOTS, NULL));
	EXPECT_EQ(0, smaps_kb(race.map, "Rss"));
	EXPECT_TRUE(stat_settles(self->dev));
}

/* The same by another process that has the space mapped, with copies that the kernel makes. */
static int copy_for_a_while(char *map, int64_t ms)
{
	static char drain[2 * PAGE_BYTES];
	int64_t limit_ms = now_ms() + ms;
	unsigned int hits = 0, misses = 0;
	int ends[2];

	if (pipe2(ends, O_NONBLOCK))
		return 1;
	for (unsigned int i = 0; now_ms() < limit_ms; i++) {
		char *chunk = map + (i % NR_SLOTS) * CHUNK_BYTES;

		if (write(ends[1], chunk, PAGE_BYTES) > 0 && read(ends[0], chunk, PAGE_BYTES) > 0)
			hits++;
		else
			misses++;
		while (read(ends[0], drain, sizeof(drain)) > 0)
			;
	}
	fprintf(stderr, "# %u copies, %u cut short by ZAP\n", hits, misses);
	return hits ? 0 : 2;
}

TEST_F_TIMEOUT(space, kernel_copies_against_zap, 60)
{
	char *map = space_map(self->fd, 0, NR_SLOTS);
	pid_t child;
	int64_t limit_ms = now_ms() + RUN_MS / 2;

	ASSERT_NE(MAP_FAILED, map);
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		fault_catch();
		map = space_map(self->fd, 0, NR_SLOTS);
		_exit(map == MAP_FAILED ? 3 : copy_for_a_while(map, RUN_MS / 2));
	}
	while (now_ms() < limit_ms) {
		EXPECT_EQ(0, space_zap(self->fd, 0, NR_SLOTS, NULL)) break;
		EXPECT_EQ(0, space_reserve(self->fd, 0, NR_SLOTS, NULL)) break;
	}
	EXPECT_EQ(0, child_status(child));
	ASSERT_EQ(0, space_zap(self->fd, 0, NR_SLOTS, NULL));
	EXPECT_TRUE(WAIT_UNTIL(module_stat(self->dev).quarantined_chunks == 0, 3 * SETTLE_MS));
}

TEST_HARNESS_MAIN
