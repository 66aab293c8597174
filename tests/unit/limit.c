// SPDX-License-Identifier: MIT
/* What limits allow and what they ask back, for every state of a small heap. */
#include "limit.h"

#include "tests/harness.h"

enum { MOST = 24 };

TEST(soft, "limit/the soft limit is 95 % of the hard one, in whole chunks, and never above it")
{
	uint64_t last = 0;

	for (uint64_t chunks = 1; chunks <= 100000; chunks++) {
		struct limit limit = limit_from_bytes(chunks * CHUNK_BYTES + chunks % CHUNK_BYTES);

		CHECK_EQ(limit.hard_chunks, chunks);
		CHECK(limit.soft_chunks * 100 <= chunks * 95 && (limit.soft_chunks + 1) * 100 > chunks * 95);
		CHECK(limit.soft_chunks >= last);
		last = limit.soft_chunks;
	}
	CHECK_EQ(limit_from_bytes(1000 * CHUNK_BYTES).soft_chunks, 950);
}

TEST(ends, "limit/none, less than a chunk, and all bytes there are")
{
	struct limit none = limit_from_bytes(0), tiny = limit_from_bytes(CHUNK_BYTES - 1), vast = limit_from_bytes(UINT64_MAX);

	CHECK(limit_allows(&none, UINT32_MAX, UINT32_MAX));
	CHECK_EQ(limit_excess(&none, UINT32_MAX, UINT32_MAX), 0);
	CHECK(!limit_allows(&tiny, 0, 1));
	CHECK_EQ(limit_excess(&tiny, 0, 1), 1);
	CHECK(limit_allows(&vast, 1 << 20, 1 << 20));
	CHECK_EQ(limit_excess(&vast, 1 << 20, 1 << 20), 0);
}

/* One state: a heap that holds used + idle chunks and wants @nr more. */
static void check_state(uint64_t hard, uint64_t used, uint64_t idle, uint64_t nr)
{
	struct limit limit = limit_from_bytes(hard * CHUNK_BYTES);
	uint64_t over = limit_excess(&limit, used + idle, nr), back = limit_make_way(used, idle, nr, over);
	uint64_t held = used + idle - back;

	CHECK(back <= idle);
	CHECK_EQ(limit_allows(&limit, held, nr), held + nr <= hard);
	/* Under the soft limit, or nothing idle is left. */
	CHECK(held + nr <= limit.soft_chunks || back == idle);
	/* Nothing is refused that giving back could have made possible. */
	CHECK(limit_allows(&limit, held, nr) || used + nr > hard);
	/* Not more than needed: a growth is paid for once. */
	if (!over)
		CHECK(back <= nr && idle - back >= (idle < LIMIT_KEEP_CHUNKS ? idle : LIMIT_KEEP_CHUNKS));
}

TEST(states, "limit/every state: what goes back is what is over, a refusal is of what does not fit")
{
	uint64_t nr_states = 0;

	for (uint64_t hard = 1; hard <= MOST; hard++)
		for (uint64_t used = 0; used <= MOST; used++)
			for (uint64_t idle = 0; idle <= MOST; idle++)
				for (uint64_t nr = 1; nr <= MOST; nr++, nr_states++)
					check_state(hard, used, idle, nr);
	CHECK_EQ(nr_states, 24 * 25 * 25 * 24);
}

TEST(no_limit, "limit/without a limit a growth gives back what does not serve it, as much as it takes, and keeps a tenth")
{
	CHECK_EQ(limit_make_way(100, 50, 5, 0), 5);
	CHECK_EQ(limit_make_way(100, 12, 5, 0), 2);
	CHECK_EQ(limit_make_way(100, 10, 5, 0), 0);
	CHECK_EQ(limit_make_way(0, 3, 5, 0), 1);
	CHECK_EQ(limit_make_way(0, 0, 5, 0), 0);
}
