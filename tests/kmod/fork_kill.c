// SPDX-License-Identifier: MIT
/*
 * A process that is killed while the kernel writes to its copy-on-write memory for it, and one whose
 * thread writes by another mapping while it forks.
 *
 * Models the out-of-memory killer, which strikes forked workers in the middle of read(), and
 * allocators whose mappings are split by mprotect(). The dying must end, and the child must find
 * all of what the parent had.
 */
#include "fork.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>

#define NR_KILLS 200U
#define NR_FORKS 60U

/* A child whose first act in the kernel is to write its number to @ctid. */
static pid_t child_that_writes(char *ctid)
{
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD | CLONE_CHILD_SETTID, 0, NULL, ctid, 0);

	if (!pid)
		for (;;)
			pause();
	return pid;
}

/* Without chunks at hand a copy needs the system, which gives nothing to who is dying. */
TEST_F(cow, killed_before_its_first_instruction)
{
	long long most = parameter_get("pool_max_chunks");

	ASSERT_EQ(0, parameter_set("pool_max_chunks", 0));
	mark_all(self->map, NR_CHUNKS, 1);
	for (unsigned int i = 0; i < NR_KILLS; i++) {
		pid_t pid = child_that_writes(self->map + (i % NR_CHUNKS) * CHUNK_BYTES + 64);
		int status;

		ASSERT_LT(0, pid);
		if (i % 3)
			sched_yield();
		EXPECT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, &status, 0)) TH_LOG("round %u: %m", i);
		EXPECT_TRUE(WIFSIGNALED(status));
	}
	EXPECT_TRUE(all_marked(self->map, NR_CHUNKS, 1));
	EXPECT_EQ(0, parameter_set("pool_max_chunks", most));
}

struct writer {
	char *map;
	unsigned int stop;	/* atomic */
};

static volatile uint64_t *word_at(char *map, unsigned int i)
{
	return (volatile uint64_t *)(void *)(map + i * CHUNK_BYTES + CHUNK_BYTES * 3 / 4);
}

/* Writes to the upper half of each chunk, which is another mapping than the lower one. */
static void *write_upper_halves(void *data)
{
	struct writer *writer = data;
	uint64_t n = 0;

	while (!__atomic_load_n(&writer->stop, __ATOMIC_RELAXED))
		for (unsigned int i = 0; i < NR_CHUNKS; i++)
			*word_at(writer->map, i) = n++;
	return NULL;
}

static bool split_all(char *map)
{
	for (unsigned int i = 0; i < NR_CHUNKS; i++)
		if (mprotect(map + i * CHUNK_BYTES + CHUNK_BYTES / 4, PAGE_BYTES, PROT_READ))
			return false;
	return true;
}

/* Every chunk can be read, and holds what nobody has changed since. */
static int child_reads_all(char *map)
{
	for (unsigned int i = 0; i < NR_CHUNKS; i++) {
		char *chunk = map + i * CHUNK_BYTES;

		if (fault_touch(chunk) || *(uint64_t *)(void *)chunk != mark_of(chunk, 1))
			return 1 + (int)i;
	}
	return 0;
}

TEST_F(cow, a_write_by_another_mapping_during_the_fork)
{
	struct writer writer = { .map = self->map };
	pthread_t thread;

	mark_all(self->map, NR_CHUNKS, 1);
	ASSERT_TRUE(split_all(self->map));
	ASSERT_EQ(0, pthread_create(&thread, NULL, write_upper_halves, &writer));
	for (unsigned int i = 0; i < NR_FORKS; i++) {
		/* One that stays: so the chunks are shared when the next fork comes. */
		pid_t stays = child_that_writes(self->map + 64);

		ASSERT_LT(0, stays);
		EXPECT_EQ(0, IN_CHILD(child_reads_all(self->map))) TH_LOG("fork %u", i);
		kill(stays, SIGKILL);
		waitpid(stays, NULL, 0);
	}
	__atomic_store_n(&writer.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
}

TEST_HARNESS_MAIN
