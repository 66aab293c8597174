// SPDX-License-Identifier: MIT
/*
 * Forks among faults, forks in want of memory, mappings in pieces, and processes that share an mm.
 *
 * Models a runtime that forks workers while its threads go on allocating. What each process sees
 * must be what it wrote itself, or what its parent had written before the fork.
 */
#include "fork.h"
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>

#define SOME_CHUNKS 4U

/* ---- in want of memory ---------------------------------------------------------------------- */

static uint64_t user_chunks(int dev)
{
	return module_stat(dev).handed_chunks + module_stat(dev).quarantined_chunks;
}

/* The child meets the cap: it keeps what it has, and cannot write. */
TEST_F(cow, child_without_memory)
{
	long long cap = parameter_get("max_user_chunks");
	struct helper child;

	mark_all(self->map, NR_CHUNKS, 1);
	child = helper_start(self->map, self->fd);
	ASSERT_EQ(0, parameter_set("max_user_chunks", (long long)user_chunks(self->dev)));
	EXPECT_EQ(SIGBUS, helper_do(&child, 'W', 1, 2));
	EXPECT_EQ(0, helper_do(&child, 'r', NR_CHUNKS, 1)) TH_LOG("reading needs no memory");
	EXPECT_TRUE(all_marked(self->map, NR_CHUNKS, 1));
	ASSERT_EQ(0, parameter_set("max_user_chunks", cap));
	EXPECT_EQ(0, helper_do(&child, 'W', 1, 2));
	helper_end(&child);
}

/* The parent meets the cap: it takes the chunk away from the child, and loses nothing. */
TEST_F(cow, parent_without_memory)
{
	long long cap = parameter_get("max_user_chunks");
	struct helper child;

	mark_all(self->map, NR_CHUNKS, 1);
	child = helper_start(self->map, self->fd);
	EXPECT_EQ(0, helper_do(&child, 'r', NR_CHUNKS, 1));
	ASSERT_EQ(0, parameter_set("max_user_chunks", (long long)user_chunks(self->dev)));
	fault_catch();
	for (unsigned int i = 0; i < SOME_CHUNKS; i++)
		EXPECT_EQ(0, fault_write(self->map + i * CHUNK_BYTES, 3));
	EXPECT_EQ(NR_CHUNKS, module_stat(self->dev).handed_chunks);
	EXPECT_EQ(0, helper_do(&child, 'b', SOME_CHUNKS, 0)) TH_LOG("never the parent's new bytes");
	EXPECT_TRUE(all_marked(self->map + SOME_CHUNKS * CHUNK_BYTES, NR_CHUNKS - SOME_CHUNKS, 1));
	ASSERT_EQ(0, parameter_set("max_user_chunks", cap));
	EXPECT_EQ(0, helper_do(&child, 'b', SOME_CHUNKS, 0)) TH_LOG("what is lost is lost");
	EXPECT_EQ(0, helper_do(&child, 'R', SOME_CHUNKS, 0));
	EXPECT_EQ(0, helper_do(&child, 'z', SOME_CHUNKS, 0)) TH_LOG("until it is reserved anew");
	EXPECT_EQ(0, helper_do(&child, 'Z', SOME_CHUNKS, 0));
	helper_end(&child);
	EXPECT_TRUE(handed_settles(self->dev, NR_CHUNKS));
}

/*
 * What somebody refers to is copied at the fork; without memory for that the child has nothing
 * there, and the parent what it had. A second child tells what the first cannot read.
 */
TEST_F(cow, child_without_memory_for_what_is_in_a_pipe)
{
	long long cap = parameter_get("max_user_chunks");
	struct helper child, sibling;
	int pipes[2];

	mark_all(self->map, NR_CHUNKS, 1);
	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(0, helper_splice(self->map, pipes[1]));
	ASSERT_EQ(0, parameter_set("max_user_chunks", (long long)user_chunks(self->dev)));
	child = helper_start(self->map, self->fd);
	sibling = helper_start(self->map + CHUNK_BYTES, self->fd);
	EXPECT_EQ(0, helper_do(&child, 'b', 1, 0));
	EXPECT_EQ(0, helper_do(&sibling, 'r', NR_CHUNKS - 1, 1)) TH_LOG("the others are shared");
	EXPECT_EQ(NR_CHUNKS, module_stat(self->dev).handed_chunks);
	EXPECT_TRUE(all_marked(self->map, NR_CHUNKS, 1));
	mark_all(self->map, 1, 2);
	EXPECT_TRUE(all_marked(self->map, 1, 2)) TH_LOG("in place: it never was shared");
	ASSERT_EQ(0, parameter_set("max_user_chunks", cap));
	EXPECT_EQ(0, helper_do(&child, 'b', 1, 0)) TH_LOG("what is lost is lost");
	EXPECT_EQ(0, helper_do(&child, 'R', 1, 0));
	EXPECT_EQ(0, helper_do(&child, 'z', 1, 0)) TH_LOG("until it is reserved anew");
	helper_end(&child);
	helper_end(&sibling);
	close(pipes[0]);
	close(pipes[1]);
	EXPECT_TRUE(handed_settles(self->dev, NR_CHUNKS));
}

/* A touch must not turn what was lost into zeros, in spaces where touching reserves. */
TEST_F(cow, lost_chunks_are_not_filled_by_touch)
{
	long long cap = parameter_get("max_user_chunks");
	int fd = space_create_full(self->dev, 8, 0, ARENA_CREATE_FORK_COW | ARENA_CREATE_ON_TOUCH);
	char *map = space_map(fd, 0, 2);
	struct helper child;

	ASSERT_NE(MAP_FAILED, map);
	mark_all(map, 2, 1);
	child = helper_start(map, fd);
	ASSERT_EQ(0, parameter_set("max_user_chunks", (long long)user_chunks(self->dev)));
	mark_all(map, 1, 2);
	ASSERT_EQ(0, parameter_set("max_user_chunks", cap));
	EXPECT_EQ(0, helper_do(&child, 'b', 1, 0));
	helper_end(&child);
	munmap(map, 2 * CHUNK_BYTES);
	close(fd);
}

/* ---- mappings in pieces --------------------------------------------------------------------- */

/* Every write through one mapping is seen through the other, in parent and child. */
static int aliases_agree(char *map, char *alias, uint64_t word)
{
	for (unsigned int i = 0; i < SOME_CHUNKS; i++) {
		uint64_t old;

		if (fault_read(alias + i * CHUNK_BYTES, &old) ||
		    fault_write(map + i * CHUNK_BYTES, word + i) ||
		    *(volatile uint64_t *)(alias + i * CHUNK_BYTES) != word + i)
			return 1;
		*(volatile uint64_t *)(alias + i * CHUNK_BYTES + 8) = word;
		if (*(volatile uint64_t *)(map + i * CHUNK_BYTES + 8) != word)
			return 2;
	}
	return 0;
}

static int aliases_in_both(char *map, char *alias)
{
	int child = IN_CHILD(aliases_agree(map, alias, 100));

	return child ?: aliases_agree(map, alias, 200);
}

TEST_F(cow, doubly_mapped)
{
	char *alias = space_map(self->fd, 0, NR_CHUNKS);

	ASSERT_NE(MAP_FAILED, alias);
	mark_all(self->map, NR_CHUNKS, 1);
	ASSERT_TRUE(all_marked(self->map, NR_CHUNKS, 1));
	mark_all(alias, 1, 1);
	EXPECT_EQ(0, IN_CHILD(aliases_in_both(self->map, alias)));
	EXPECT_EQ(0, aliases_in_both(self->map, alias));
	EXPECT_EQ(NR_CHUNKS, module_stat(self->dev).handed_chunks);
	munmap(alias, NR_CHUNKS * CHUNK_BYTES);
}

/* One of the two mappings is not inherited: it must not become a hole in the sharing. */
TEST_F(cow, doubly_mapped_and_inherited_once)
{
	char *alias = space_map(self->fd, 0, NR_CHUNKS);
	struct helper child;

	ASSERT_NE(MAP_FAILED, alias);
	ASSERT_EQ(0, madvise(alias, NR_CHUNKS * CHUNK_BYTES, MADV_DONTFORK));
	for (unsigned int i = 0; i < NR_CHUNKS; i++)
		fill(alias + i * CHUNK_BYTES, CHUNK_BYTES, 1);
	child = helper_start(self->map, self->fd);
	EXPECT_EQ(NR_CHUNKS, module_stat(self->dev).handed_chunks);
	*(volatile uint64_t *)alias = 2;
	EXPECT_EQ(2, *(volatile uint64_t *)self->map);
	EXPECT_EQ(0, helper_do(&child, 'e', 1, 1));
	helper_end(&child);
	munmap(alias, NR_CHUNKS * CHUNK_BYTES);
}

/* Pieces that end in the middle of chunks, so that those are mapped by single pages. */
static int pieces_and_check(char *map, unsigned int nr_chunks, uint64_t word)
{
	for (size_t at = 0; at < nr_chunks * CHUNK_BYTES; at += PAGE_BYTES * 16)
		if (*(volatile uint64_t *)(map + at) != word)
			return 1;
	for (size_t at = 0; at < nr_chunks * CHUNK_BYTES; at += PAGE_BYTES * 16)
		*(volatile uint64_t *)(map + at) = word + 1;
	for (size_t at = 0; at < nr_chunks * CHUNK_BYTES; at += PAGE_BYTES * 16)
		if (*(volatile uint64_t *)(map + at) != word + 1)
			return 2;
	return 0;
}

TEST_F(cow, split_mappings)
{
	size_t third = CHUNK_BYTES / 3 & ~(PAGE_BYTES - 1);

	fill(self->map, SOME_CHUNKS * CHUNK_BYTES, 1);
	for (unsigned int i = 0; i < 5; i++) {
		ASSERT_EQ(0, mprotect(self->map + (2 * i + 1) * third, third, PROT_READ));
		ASSERT_EQ(0, mprotect(self->map + (2 * i + 1) * third, third, PROT_READ | PROT_WRITE));
	}
	EXPECT_EQ(0, IN_CHILD(pieces_and_check(self->map, SOME_CHUNKS, 1)));
	EXPECT_EQ(0, pieces_and_check(self->map, SOME_CHUNKS, 1));
	EXPECT_EQ(0, IN_CHILD(pieces_and_check(self->map, SOME_CHUNKS, 2)));
	EXPECT_EQ(NR_CHUNKS, module_stat(self->dev).handed_chunks);
	ASSERT_EQ(0, munmap(self->map + CHUNK_BYTES - third, third));
	EXPECT_EQ(0, IN_CHILD(pieces_and_check(self->map + CHUNK_BYTES, 3, 2)));
	EXPECT_TRUE(handed_settles(self->dev, NR_CHUNKS));
}

TEST_F(cow, moved_mapping)
{
	size_t bytes = NR_CHUNKS * CHUNK_BYTES;
	char *to = mmap(NULL, bytes + 2 * CHUNK_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *odd = to + PAGE_BYTES;
	struct helper child;

	mark_all(self->map, NR_CHUNKS, 1);
	ASSERT_EQ(odd, mremap(self->map, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, odd));
	EXPECT_EQ(NR_CHUNKS, module_stat(self->dev).handed_chunks);
	for (unsigned int i = 0; i < NR_CHUNKS; i++)
		fill(odd + i * CHUNK_BYTES, CHUNK_BYTES, 1);
	child = helper_start(odd, self->fd);
	EXPECT_EQ(0, pieces_and_check(odd, SOME_CHUNKS, 1));
	EXPECT_EQ(0, helper_do(&child, 'e', SOME_CHUNKS, 1));
	helper_end(&child);
	EXPECT_TRUE(handed_settles(self->dev, NR_CHUNKS));
	munmap(to, bytes + 2 * CHUNK_BYTES);
	EXPECT_TRUE(handed_settles(self->dev, 0));
}

/* Locked memory is mapped ahead of every touch, and is shared and copied all the same. */
TEST_F(cow, locked_mapping)
{
	struct helper child;

	mark_all(self->map, NR_CHUNKS, 1);
	ASSERT_EQ(0, mlock(self->map, NR_CHUNKS * CHUNK_BYTES));
	child = helper_start(self->map, self->fd);
	mark_all(self->map, SOME_CHUNKS, 2);
	EXPECT_EQ(0, helper_do(&child, 'r', NR_CHUNKS, 1));
	ASSERT_EQ(0, munlock(self->map, NR_CHUNKS * CHUNK_BYTES));
	ASSERT_EQ(0, mlock(self->map, NR_CHUNKS * CHUNK_BYTES));
	EXPECT_TRUE(all_marked(self->map, SOME_CHUNKS, 2));
	EXPECT_EQ(NR_CHUNKS + SOME_CHUNKS, module_stat(self->dev).handed_chunks);
	helper_end(&child);
}

/* POPULATE makes writable what is mapped writable, and so a copy of what is shared. */
TEST_F(cow, populate_copies)
{
	struct arena_populate p = { .size = sizeof(p), .address = (uintptr_t)self->map,
				    .length_bytes = NR_CHUNKS * CHUNK_BYTES };
	struct helper child;
	uint64_t faults;

	mark_all(self->map, NR_CHUNKS, 1);
	child = helper_start(self->map, self->fd);
	ASSERT_EQ(0, call_errno(self->fd, ARENA_IOC_POPULATE, &p));
	EXPECT_EQ(2 * NR_CHUNKS, module_stat(self->dev).handed_chunks);
	faults = module_stat(self->dev).fault_count;
	mark_all(self->map, NR_CHUNKS, 2);
	EXPECT_EQ(faults, module_stat(self->dev).fault_count);
	EXPECT_EQ(0, helper_do(&child, 'r', NR_CHUNKS, 1));
	helper_end(&child);
}

/* ---- many ----------------------------------------------------------------------------------- */

#define NR_WORKERS 100U

/* A fork unmaps nothing of those who came by an earlier one. */
TEST_F_TIMEOUT(cow, hundred_workers, 100)
{
	static struct helper workers[NR_WORKERS];
	uint64_t faults;

	mark_all(self->map, NR_CHUNKS, 1);
	for (unsigned int i = 0; i < NR_WORKERS; i++)
		workers[i] = helper_start(self->map, self->fd);
	for (unsigned int i = 0; i < NR_WORKERS / 2; i++)
		EXPECT_EQ(0, helper_do(&workers[i], 'r', NR_CHUNKS, 1));
	EXPECT_EQ(NR_CHUNKS, module_stat(self->dev).handed_chunks);
	faults = module_stat(self->dev).fault_count;
	for (unsigned int i = 0; i < 10; i++)
		EXPECT_EQ(0, IN_CHILD(0));
	for (unsigned int i = 0; i < NR_WORKERS / 2; i++)
		EXPECT_EQ(0, helper_do(&workers[i], 'r', NR_CHUNKS, 1));
	EXPECT_EQ(faults, module_stat(self->dev).fault_count);
	mark_all(self->map, NR_CHUNKS, 2);
	EXPECT_EQ(0, helper_do(&workers[3], 'w', 2, 3));
	faults = module_stat(self->dev).fault_count;
	for (unsigned int i = 4; i < NR_WORKERS / 2; i++)
		EXPECT_EQ(0, helper_do(&workers[i], 'r', NR_CHUNKS, 1));
	EXPECT_EQ(faults, module_stat(self->dev).fault_count) TH_LOG("nor does a copy");
	EXPECT_EQ(2 * NR_CHUNKS + 2, module_stat(self->dev).handed_chunks);
	for (unsigned int i = 0; i < NR_WORKERS; i++)
		helper_end(&workers[i]);
	EXPECT_TRUE(handed_settles(self->dev, NR_CHUNKS));
}

struct writer {
	char *map;
	unsigned int which;
	bool stop;
	bool wrong;
};

/* Counts up in a chunk; nobody else writes there, so nothing else may ever be read. */
static void *writer_main(void *argument)
{
	struct writer *w = argument;
	volatile uint64_t *at = (uint64_t *)(void *)(w->map + w->which * CHUNK_BYTES);
	uint64_t n = *at;

	while (!__atomic_load_n(&w->stop, __ATOMIC_RELAXED)) {
		w->wrong |= at[0] != n || at[4096] != n;
		n++;
		at[0] = n;
		at[4096] = n;
	}
	return NULL;
}

/* The child has a moment of its parent's: it stands still. */
static int snapshot_is_still(char *map)
{
	uint64_t seen[SOME_CHUNKS];

	for (unsigned int i = 0; i < SOME_CHUNKS; i++)
		seen[i] = *(volatile uint64_t *)(map + i * CHUNK_BYTES);
	sleep_ms(5);
	for (unsigned int i = 0; i < SOME_CHUNKS; i++) {
		volatile uint64_t *at = (uint64_t *)(void *)(map + i * CHUNK_BYTES);

		/* The second word is written after the first. */
		if (at[0] != seen[i] || (at[4096] != seen[i] && at[4096] + 1 != seen[i]))
			return 1;
		at[0] = 1;
	}
	return 0;
}

TEST_F_TIMEOUT(cow, fork_while_threads_write, 100)
{
	char *alias = space_map(self->fd, 0, NR_CHUNKS);
	struct writer writers[SOME_CHUNKS] = { 0 };
	pthread_t threads[SOME_CHUNKS];

	ASSERT_NE(MAP_FAILED, alias);
	for (unsigned int i = 0; i < SOME_CHUNKS; i++) {
		writers[i].map = i % 2 ? alias : self->map;
		writers[i].which = i;
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, writer_main, &writers[i]));
	}
	for (unsigned int i = 0; i < 60; i++)
		EXPECT_EQ(0, IN_CHILD(snapshot_is_still(self->map)));
	for (unsigned int i = 0; i < SOME_CHUNKS; i++) {
		__atomic_store_n(&writers[i].stop, true, __ATOMIC_RELAXED);
		pthread_join(threads[i], NULL);
		EXPECT_FALSE(writers[i].wrong);
	}
	munmap(alias, NR_CHUNKS * CHUNK_BYTES);
	EXPECT_TRUE(handed_settles(self->dev, NR_CHUNKS));
}

/* ---- other ways to make a process ----------------------------------------------------------- */

static int run_another(void)
{
	execl(EXEC_ENDS, EXEC_ENDS, NULL);
	return 1;
}

TEST_F(cow, exec_lets_go)
{
	mark_all(self->map, NR_CHUNKS, 1);
	EXPECT_EQ(0, IN_CHILD(run_another()));
	EXPECT_TRUE(all_marked(self->map, NR_CHUNKS, 1));
	mark_all(self->map, NR_CHUNKS, 2);
	EXPECT_TRUE(handed_settles(self->dev, NR_CHUNKS));
}

TEST_F(cow, vfork_is_the_same_mm)
{
	pid_t child;

	mark_all(self->map, NR_CHUNKS, 1);
	child = vfork();
	if (!child) {
		*(volatile uint64_t *)self->map = 7;
		_exit(0);
	}
	EXPECT_EQ(0, child_status(child));
	EXPECT_EQ(7, *(volatile uint64_t *)self->map);
	EXPECT_EQ(NR_CHUNKS, module_stat(self->dev).handed_chunks);
}

static int clone_main(void *argument)
{
	FIXTURE_DATA(cow) *self = argument;

	*(volatile uint64_t *)self->map = 8;
	return space_zap(self->fd, 1, 1, NULL);
}

TEST_F(cow, clone_vm_is_the_same_view)
{
	static char stack[64 << 10] __attribute__((aligned(16)));
	pid_t child;

	mark_all(self->map, NR_CHUNKS, 1);
	child = clone(clone_main, stack + sizeof(stack), CLONE_VM | SIGCHLD, self);
	EXPECT_EQ(0, child_status(child));
	EXPECT_EQ(8, *(volatile uint64_t *)self->map);
	EXPECT_EQ(NR_CHUNKS - 1, module_stat(self->dev).handed_chunks);
	fault_catch();
	EXPECT_EQ(SIGBUS, fault_touch(self->map + CHUNK_BYTES));
}

TEST_HARNESS_MAIN
