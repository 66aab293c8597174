// SPDX-License-Identifier: MIT
/*
 * Corners where the core and the module meet: mappings that merge, tables of the module that nobody
 * sees, a touch that loses against a zap, memory that goes bad. Models what a hostile reviewer
 * tried.
 */
#include "common.h"

#include <pthread.h>

#define RW (PROT_READ | PROT_WRITE)

/* Aligned addresses that nothing else uses. */
static char *address_window(size_t nr_chunks)
{
	char *area = mmap(NULL, (nr_chunks + 1) * CHUNK_BYTES, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return area + (-(uintptr_t)area & (CHUNK_BYTES - 1));
}

/*
 * The core merges a mapping into an equal neighbor without asking the module, which then reserves
 * nothing.
 */
TEST_F(space, neighbors_that_merge_reserve_too)
{
	int fd = space_create_full(self->dev, 4, 4, ARENA_CREATE_EXEC);
	char *window = address_window(4);

	ASSERT_LE(0, fd);
	ASSERT_EQ(window, mmap(window, CHUNK_BYTES, RW, MAP_SHARED | MAP_FIXED, fd, 0));
	ASSERT_EQ(0, madvise(window, CHUNK_BYTES, MADV_DOFORK));
	ASSERT_EQ(window + CHUNK_BYTES, mmap(window + CHUNK_BYTES, CHUNK_BYTES, RW,
					     MAP_SHARED | MAP_FIXED, fd, (off_t)CHUNK_BYTES));
	EXPECT_EQ(2, module_stat(self->dev).handed_chunks);
	window[CHUNK_BYTES] = 1;
	EXPECT_EQ(MAP_FAILED, mmap(window + 2 * CHUNK_BYTES, 2 * PAGE_BYTES, RW,
				   MAP_SHARED | MAP_FIXED, fd, 2 * (off_t)CHUNK_BYTES));
	close(fd);
	munmap(window, 4 * CHUNK_BYTES);
}

/* With vm.overcommit_memory=2 the core drops MAP_NORESERVE; PROT_NONE says the same and stays. */
TEST_F(space, unreachable_mappings_reserve_nothing)
{
	char *map = mmap(NULL, 4 * CHUNK_BYTES, PROT_NONE, MAP_SHARED, self->fd, 0);

	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(0, module_stat(self->dev).handed_chunks);
	ASSERT_EQ(0, mprotect(map, 4 * CHUNK_BYTES, RW));
	fault_catch();
	EXPECT_EQ(SIGBUS, fault_touch(map));
	ASSERT_EQ(0, space_reserve(self->fd, 0, 1, NULL));
	EXPECT_EQ(0, fault_touch(map));
	munmap(map, 4 * CHUNK_BYTES);
}

#define NR_SPACES 60

/* A refused reservation of a whole space must not leave its tables behind: 4 MiB each. */
TEST_F(space, refused_reservations_cost_nothing)
{
	int fd[NR_SPACES];
	long before_kb = meminfo_kb("MemAvailable");

	for (int i = 0; i < NR_SPACES; i++) {
		fd[i] = space_create(self->dev, 0);
		ASSERT_LE(0, fd[i]);
		EXPECT_EQ(ENOMEM,
			  range_reserve(fd[i], 0,
					module_info(self->dev).max_space_chunks * CHUNK_BYTES,
					NULL));
	}
	EXPECT_GT(NR_SPACES * 1024L, before_kb - meminfo_kb("MemAvailable"));
	for (int i = 0; i < NR_SPACES; i++)
		close(fd[i]);
}

/* Tables of empty spaces are bounded as well: a slot here and there, given back at once. */
TEST_F(space, tables_of_one_user_are_bounded)
{
	uint64_t slots = module_info(self->dev).max_space_chunks,
		 limit_kb = (uint64_t)meminfo_kb("MemTotal") / 64;
	int fd[64], nr = 0, error = 0;
	uint64_t used_kb = 0;

	while (nr < 64 && !error) {
		fd[nr] = space_create(self->dev, 0);
		ASSERT_LE(0, fd[nr]);
		for (uint64_t slot = 0; slot < slots && !error; slot += 512, used_kb += 4) {
			error = space_reserve(fd[nr], slot, 1, NULL);
			if (!error)
				error = space_zap(fd[nr], slot, 1, NULL);
		}
		nr++;
	}
	EXPECT_EQ(ENOMEM, error);
	EXPECT_GE(limit_kb, used_kb);
	EXPECT_LE(limit_kb / 2, used_kb);
	while (nr)
		close(fd[--nr]);
	EXPECT_EQ(0, space_reserve(self->fd, 0, 1, NULL));
}

struct toucher {
	volatile char *map;
	volatile bool stop;
	unsigned long nr_faults, nr_signals;
};

static void *touch_until_stopped(void *argument)
{
	struct toucher *toucher = argument;

	while (!toucher->stop) {
		toucher->nr_signals += fault_touch(toucher->map) != 0;
		toucher->nr_faults++;
	}
	return NULL;
}

/*
 * A space that takes chunks on touch refuses only for want of memory, not because a zap was faster.
 */
TEST_F(space, touch_that_loses_against_a_zap_tries_again)
{
	int fd = space_create_full(self->dev, 4, 4, ARENA_CREATE_ON_TOUCH);
	struct toucher toucher = { .map = space_map(fd, 0, 1) };
	int64_t end_ms = now_ms() + 3000;
	pthread_t thread;

	fault_catch();
	ASSERT_EQ(0, pthread_create(&thread, NULL, touch_until_stopped, &toucher));
	while (now_ms() < end_ms)
		space_zap(fd, 0, 1, NULL);
	toucher.stop = true;
	pthread_join(thread, NULL);
	EXPECT_LT(0, toucher.nr_faults);
	EXPECT_EQ(0, toucher.nr_signals);
	munmap((void *)toucher.map, CHUNK_BYTES);
	close(fd);
}

/*
 * A chunk with a memory error is SIGBUS for who touches the bad page, and is never anybody else's
 * again.
 */
TEST_F(space, bad_memory_is_not_handed_on)
{
	char *map = space_map(self->fd, 0, 1), *other;
	int error;

	fault_catch();
	ASSERT_EQ(0, fault_write(map, 1));
	error = madvise(map, PAGE_BYTES, MADV_HWPOISON) ? errno : 0;
	if (error == EINVAL || error == EPERM)
		SKIP(goto out, "this kernel cannot inject memory errors");
	/*
	 * The kernel flags the page, and says that it could not take it out of use: that is the
	 * module's part.
	 */
	ASSERT_TRUE(!error || error == EHWPOISON || error == EBUSY) TH_LOG("%s", strerror(error));
	other = space_map(self->fd, 0, 1);
	EXPECT_EQ(SIGBUS, fault_touch(other));
	munmap(other, CHUNK_BYTES);
	ASSERT_EQ(0, space_zap(self->fd, 0, 1, NULL));
	for (int i = 0; i < 8; i++) {
		ASSERT_EQ(0, space_reserve(self->fd, 0, 4, NULL));
		other = space_map(self->fd, 0, 4);
		EXPECT_EQ(4, fault_count(other, 4, 0));
		munmap(other, 4 * CHUNK_BYTES);
		ASSERT_EQ(0, space_zap(self->fd, 0, 4, NULL));
	}
out:
	munmap(map, CHUNK_BYTES);
}

TEST_HARNESS_MAIN
