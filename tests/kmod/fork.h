/* SPDX-License-Identifier: MIT */
/*
 * For tests of fork: the fixture "cow", a space with ARENA_CREATE_FORK_COW that is mapped, and
 * children that do what they are told, so that a test decides who comes first.
 */
#ifndef ARENA_TESTS_KMOD_FORK_H
#define ARENA_TESTS_KMOD_FORK_H

#include "common.h"
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define NR_CHUNKS 8U

FIXTURE(cow)
{
	int dev;
	int fd;
	char *map;
};

void cow_setup(struct __test_metadata *_metadata, FIXTURE_DATA(cow) *self,
	       const FIXTURE_VARIANT(cow) *variant);
void cow_teardown(struct __test_metadata *_metadata, FIXTURE_DATA(cow) *self,
		  const FIXTURE_VARIANT(cow) *variant);

FIXTURE_SETUP(cow)
{
	self->dev = open(DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->dev) TH_LOG("cannot open %s: %m", DEVICE);
	self->fd = space_create_full(self->dev, SPACE_SLOTS, 0, ARENA_CREATE_FORK_COW);
	ASSERT_LE(0, self->fd) TH_LOG("ARENA_IOC_CREATE: %m");
	self->map = space_map(self->fd, 0, NR_CHUNKS);
	ASSERT_NE(MAP_FAILED, self->map) TH_LOG("mmap: %m");
}

FIXTURE_TEARDOWN(cow)
{
	munmap(self->map, NR_CHUNKS * CHUNK_BYTES);
	EXPECT_EQ(0, close(self->fd));
	EXPECT_TRUE(stat_settles(self->dev));
	EXPECT_TRUE(handed_settles(self->dev, 0));
	EXPECT_EQ(0, close(self->dev));
}

/* The same word at another address is another mark. */
static inline uint64_t mark_of(const char *chunk, uint64_t word)
{
	return word + (((uintptr_t)chunk / CHUNK_BYTES & 0xff) << 8);
}

/* A mark at three places of each chunk, so that all of it must be copied. */
static inline void mark_all(char *map, unsigned int nr_chunks, uint64_t word)
{
	for (unsigned int i = 0; i < nr_chunks; i++) {
		uint64_t *chunk = (uint64_t *)(void *)(map + i * CHUNK_BYTES);

		chunk[0] = mark_of((char *)chunk, word);
		chunk[CHUNK_BYTES / 16] = chunk[0];
		chunk[CHUNK_BYTES / 8 - 1] = chunk[0];
	}
}

static inline bool all_marked(char *map, unsigned int nr_chunks, uint64_t word)
{
	for (unsigned int i = 0; i < nr_chunks; i++) {
		volatile uint64_t *chunk = (uint64_t *)(void *)(map + i * CHUNK_BYTES);
		uint64_t expected = mark_of(map + i * CHUNK_BYTES, word);

		if (chunk[0] != expected || chunk[CHUNK_BYTES / 16] != expected ||
		    chunk[CHUNK_BYTES / 8 - 1] != expected) {
			fprintf(stderr, "# chunk %u: %#" PRIx64 " %#" PRIx64 " %#" PRIx64
				", not %#" PRIx64 "\n", i, chunk[0], chunk[CHUNK_BYTES / 16],
				chunk[CHUNK_BYTES / 8 - 1], expected);
			return false;
		}
	}
	return true;
}

/* ---- a child that obeys --------------------------------------------------------------------- */

struct helper {
	pid_t pid;
	int sock;
};

static int fork_pipe = -1;	/* for order 'v' */

struct order {
	char what;
	unsigned int nr_chunks;
	uint64_t word;
};

/* A test's own orders. */
static int (*fork_obey)(char *map, struct order order);

static inline int helper_splice(char *map, int pipe_in)
{
	struct iovec page = { .iov_base = map, .iov_len = PAGE_BYTES };

	return vmsplice(pipe_in, &page, 1, 0) == (ssize_t)PAGE_BYTES ? 0 : 1;
}

static inline int helper_obey(char *map, int fd, struct order order)
{
	unsigned int nr = order.nr_chunks;

	switch (order.what) {
	case 'r': return all_marked(map, nr, order.word) ? 0 : 1;
	case 'w': mark_all(map, nr, order.word); return all_marked(map, nr, order.word) ? 0 : 1;
	case 'e': return all_words(map, nr * CHUNK_BYTES, order.word) ? 0 : 1;
	case 'W': return fault_write(map, order.word);
	/* Here the word is the first chunk. */
	case 'z': return all_words(map + order.word * CHUNK_BYTES, nr * CHUNK_BYTES, 0) ? 0 : 1;
	case 'b': return fault_count(map, nr, SIGBUS) == nr ? 0 : 1;
	case 'p': return smaps_kb(map, "FilePmdMapped") == 2048L * nr ? 0 : 1;
	case 'Z': return space_zap(fd, 0, nr, NULL);
	case 'R': return space_reserve(fd, 0, nr, NULL);
	case 'v': return helper_splice(map, fork_pipe);
	case 'u': return munmap(map, nr * CHUNK_BYTES);
	case 'q': return 0;
	default: return fork_obey ? fork_obey(map, order) : -1;
	}
}

static inline void helper_main(char *map, int fd, int sock)
{
	struct order order;
	int answer;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fault_catch();
	while (read(sock, &order, sizeof(order)) == (ssize_t)sizeof(order)) {
		answer = helper_obey(map, fd, order);
		if (write(sock, &answer, sizeof(answer)) != (ssize_t)sizeof(answer) ||
		    order.what == 'q')
			break;
	}
	_exit(0);
}

static inline struct helper helper_start(char *map, int fd)
{
	struct helper helper = { .pid = -1 };
	int socks[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, socks))
		return helper;
	helper.pid = fork();
	if (!helper.pid) {
		close(socks[0]);
		helper_main(map, fd, socks[1]);
	}
	close(socks[1]);
	helper.sock = socks[0];
	return helper;
}

/* What the child's part of the order came to: 0 is as expected. */
static inline int helper_do(struct helper *helper, char what, unsigned int nr_chunks, uint64_t word)
{
	struct order order = { .what = what, .nr_chunks = nr_chunks, .word = word };
	int answer = -1;

	if (write(helper->sock, &order, sizeof(order)) != (ssize_t)sizeof(order) ||
	    read(helper->sock, &answer, sizeof(answer)) != (ssize_t)sizeof(answer))
		return -1;
	return answer;
}

static inline void helper_end(struct helper *helper)
{
	helper_do(helper, 'q', 0, 0);
	close(helper->sock);
	child_status(helper->pid);
}

#endif /* ARENA_TESTS_KMOD_FORK_H */
