// SPDX-License-Identifier: MIT
/*
 * The books balance: what was taken from the system is given back, handed out, idle or quarantined,
 * in all and on each node, whatever was done. Each term is counted where a chunk moves, so a chunk
 * that is forgotten or counted twice shows.
 *
 * Models programs that do anything with their spaces, in an order that a seed decides (SEED=N).
 * Models no concurrency: that is stress.c.
 */
#include "common.h"
#include <sys/uio.h>

#define SYSFS		"/sys/class/misc/arena/"
#define NR_SPACES	4
#define NR_SLOTS	24
#define NR_ROUNDS	12
#define NR_OPERATIONS	60
#define MAX_NODES	64

static uint64_t random_state;

static unsigned int pick(unsigned int below)
{
	random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned int)(random_state >> 33) % below;
}

struct books {
	uint64_t taken, returned, handed, clean, dirty, quarantined;
};

static uint64_t node_value(unsigned int node, const char *name)
{
	char path[128], text[32];

	snprintf(path, sizeof(path), SYSFS "node%u/%s_chunks", node, name);
	return file_read_text(path, text, sizeof(text)) ? UINT64_MAX : strtoull(text, NULL, 10);
}

static bool node_books(unsigned int node, struct books *b)
{
	*b = (struct books){ node_value(node, "taken"), node_value(node, "returned"),
			     node_value(node, "handed"), node_value(node, "clean"),
			     node_value(node, "dirty"), node_value(node, "quarantined") };
	return b->taken != UINT64_MAX;
}

static bool node_balances(unsigned int node)
{
	struct books b;

	return node_books(node, &b) &&
	       b.taken == b.returned + b.handed + b.clean + b.dirty + b.quarantined;
}

/* The nodes together are the whole. */
static bool nodes_add_up(int dev)
{
	struct arena_stat s = module_stat(dev);
	struct books sum = { 0 }, b;

	for (unsigned int node = 0; node < MAX_NODES; node++) {
		if (!node_books(node, &b))
			continue;
		sum.taken += b.taken;
		sum.returned += b.returned;
		sum.handed += b.handed;
		sum.clean += b.clean;
		sum.dirty += b.dirty;
		sum.quarantined += b.quarantined;
	}
	return sum.taken == s.taken_chunks && sum.returned == s.returned_chunks &&
	       sum.handed == s.handed_chunks && sum.clean == s.clean_chunks &&
	       sum.dirty == s.dirty_chunks && sum.quarantined == s.quarantined_chunks;
}

static unsigned int nr_nodes(void)
{
	unsigned int nr = 0;

	for (unsigned int node = 0; node < MAX_NODES; node++)
		nr += node_value(node, "taken") != UINT64_MAX;
	return nr;
}

struct user {
	int dev;
	int fd[NR_SPACES];
	char *map[NR_SPACES];
	int pipe[2];
	unsigned int nr_piped;
};

static void user_open(struct user *u, unsigned int i)
{
	u->fd[i] = space_create(u->dev, NR_SLOTS);
	u->map[i] = space_map_bare(u->fd[i], 0, NR_SLOTS);
}

static void user_close(struct user *u, unsigned int i)
{
	munmap(u->map[i], NR_SLOTS * CHUNK_BYTES);
	close(u->fd[i]);
}

/* A page of a chunk goes to a pipe, which then refers to the chunk. */
static void user_splice(struct user *u, char *at)
{
	struct iovec page = { .iov_base = at, .iov_len = 1 };

	if (!fault_touch(at) && u->nr_piped < 8 && vmsplice(u->pipe[1], &page, 1, 0) == 1)
		u->nr_piped++;
}

static void user_drain(struct user *u)
{
	char byte;

	while (u->nr_piped && read(u->pipe[0], &byte, 1) == 1)
		u->nr_piped--;
}

static void user_step(struct user *u)
{
	unsigned int i = pick(NR_SPACES), slot = pick(NR_SLOTS), nr = 1 + pick(NR_SLOTS - slot);
	int fd = u->fd[i];
	char *at = u->map[i] + slot * CHUNK_BYTES;

	switch (pick(10)) {
	case 0:
	case 1:
	case 2: space_reserve(fd, slot, nr, NULL); break;
	case 3: space_keep(fd, slot, nr, NULL); break;
	case 4: space_zap(fd, slot, nr, NULL); break;
	case 5: fault_write(at, 1); break;
	case 6: user_splice(u, at); break;
	case 7: user_drain(u); break;
	case 8: module_trim(u->dev, pick(8), pick(2) ? ARENA_TRIM_KEPT : 0, NULL); break;
	case 9:
		if (!pick(4)) {
			user_close(u, i);
			user_open(u, i);
		}
		break;
	}
}

/* Counts are read one after the other: they add up when nothing is cleared meanwhile. */
static void check_books(struct __test_metadata *_metadata, int dev)
{
	EXPECT_TRUE(WAIT_UNTIL(!module_stat(dev).dirty_chunks, 10 * SETTLE_MS));
	EXPECT_TRUE(stat_settles(dev));
	for (unsigned int node = 0; node < MAX_NODES; node++) {
		if (node_value(node, "taken") == UINT64_MAX)
			continue;
		EXPECT_TRUE(WAIT_UNTIL(node_balances(node), SETTLE_MS))
			TH_LOG("node %u", node);
	}
	EXPECT_TRUE(WAIT_UNTIL(nodes_add_up(dev), SETTLE_MS));
}

TEST_F_TIMEOUT(space, books_balance_after_anything, 100)
{
	struct user u = { .dev = self->dev };

	random_state = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 0) : (uint64_t)now_ms();
	TH_LOG("SEED=%llu, %u nodes", (unsigned long long)random_state, nr_nodes());
	fault_catch();
	ASSERT_LT(0, nr_nodes());
	ASSERT_EQ(0, pipe(u.pipe));
	for (unsigned int i = 0; i < NR_SPACES; i++)
		user_open(&u, i);
	for (unsigned int round = 0; round < NR_ROUNDS; round++) {
		for (unsigned int i = 0; i < NR_OPERATIONS; i++)
			user_step(&u);
		check_books(_metadata, self->dev);
	}
	user_drain(&u);
	for (unsigned int i = 0; i < NR_SPACES; i++)
		user_close(&u, i);
	EXPECT_TRUE(handed_settles(self->dev, 0));
	EXPECT_TRUE(WAIT_UNTIL(!module_stat(self->dev).quarantined_chunks, SETTLE_MS));
	check_books(_metadata, self->dev);
}

TEST_HARNESS_MAIN
