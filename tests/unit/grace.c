// SPDX-License-Identifier: MIT
/*
 * The life of a notice, which is plain functions on plain data: every sequence of six events, checked against what was
 * promised to owners. Models no worker and no lock: that is tests/kmod/notice.c.
 */
#include "kmod/grace.h"
#include "tests/harness.h"

#define DEPTH 6
#define GRACE_NS 4
#define CALM_NS 6
#define KEPT 5

static const struct grace_rules rules = { .grace_ns = GRACE_NS, .calm_ns = CALM_NS };

enum event { ASK_ONE, ASK_MANY, ASK_NOTHING, ASK_LIMIT, ASK_OOM, TELL, GIVE_ONE, GIVE_ALL, PASS_SHORT, PASS_GRACE,
	     NR_EVENTS };

/* What the test itself remembers. */
struct memory {
	u64 now_ns;
	u64 told_ns;	/* the first time since the ask that ended the calm */
	u64 asked_ns;
	bool told;	/* since that ask */
	bool oom;	/* since then as well */
	unsigned int news;
};

static bool ask(struct grace *g, struct memory *m, u64 nr, u64 kept, enum grace_need need)
{
	struct grace before = *g;
	bool news;

	grace_advance(&before, &rules, m->now_ns);
	news = grace_ask(g, &rules, m->now_ns, nr, kept, need);
	if (!kept) {
		CHECK(!news);
		return news;
	}
	if (before.phase == GRACE_CALM) {
		m->told = m->oom = false;
		CHECK(news);
	}
	if (!before.wanted_chunks)
		CHECK(news);
	if (before.phase == GRACE_TAKING)
		CHECK_EQ(g->phase, GRACE_TAKING);
	if (need == GRACE_OOM) {
		CHECK_EQ(g->phase, GRACE_TAKING);
		CHECK(news || before.critical);
		m->oom = true;
	}
	m->asked_ns = m->now_ns;
	CHECK(g->wanted_chunks > 0 && g->wanted_chunks <= kept);
	CHECK(g->wanted_chunks >= before.wanted_chunks || g->wanted_chunks == kept);
	return news;
}

static void tell(struct grace *g, struct memory *m)
{
	grace_tell(g, m->now_ns);
	if (!m->told)
		m->told_ns = m->now_ns;
	m->told = true;
}

static void step(struct grace *g, struct memory *m, enum event event)
{
	u64 wanted = g->wanted_chunks;

	switch (event) {
	case ASK_ONE: m->news += ask(g, m, 1, KEPT, GRACE_RECLAIM); break;
	case ASK_MANY: m->news += ask(g, m, 3, KEPT, GRACE_RECLAIM); break;
	case ASK_NOTHING: m->news += ask(g, m, 1, 0, GRACE_OOM); break;
	case ASK_LIMIT: m->news += ask(g, m, 1, 2, GRACE_LIMIT); break;
	case ASK_OOM: m->news += ask(g, m, 2, KEPT, GRACE_OOM); break;
	case TELL: tell(g, m); break;
	case GIVE_ONE: grace_settle(g, 1); CHECK_EQ(g->wanted_chunks, wanted ? wanted - 1 : 0); break;
	case GIVE_ALL: grace_settle(g, UINT64_MAX); CHECK_EQ(g->wanted_chunks, 0); break;
	case PASS_SHORT: m->now_ns += GRACE_NS / 2; break;
	case PASS_GRACE: m->now_ns += GRACE_NS; break;
	default: break;
	}
	grace_advance(g, &rules, m->now_ns);
}

static void promises(const struct grace *g, const struct memory *m)
{
	u64 age_ns = m->told ? m->now_ns - m->told_ns : 0;

	if (g->phase == GRACE_CALM) {
		CHECK_EQ(g->wanted_chunks, 0);
		CHECK(!g->critical);
		CHECK(m->now_ns - m->asked_ns >= CALM_NS || m->news == 0);
		CHECK_EQ(grace_left_ns(g, &rules, m->now_ns), 0);
		return;
	}
	/* Nothing is due before owners were told and the grace is over, but for a kill; and then all of it is. */
	if (age_ns < GRACE_NS && !m->oom) {
		CHECK_EQ(grace_due_chunks(g), 0);
		CHECK_EQ(grace_left_ns(g, &rules, m->now_ns) + age_ns, GRACE_NS);
	} else {
		CHECK_EQ(grace_due_chunks(g), g->wanted_chunks);
		CHECK_EQ(grace_left_ns(g, &rules, m->now_ns), 0);
	}
	CHECK_EQ(g->critical, m->oom);
	/* It ends only when nothing is wanted and all is calm. */
	CHECK(g->phase == GRACE_TOLD || g->wanted_chunks || m->now_ns - m->asked_ns < CALM_NS);
}

/* Returns the number of events applied below this point. */
static unsigned long explore(const struct grace *g, const struct memory *m, int depth)
{
	unsigned long nr = 0;

	for (int event = 0; depth && event < NR_EVENTS; event++) {
		struct grace next = *g;
		struct memory next_memory = *m;

		step(&next, &next_memory, (enum event)event);
		promises(&next, &next_memory);
		nr += 1 + explore(&next, &next_memory, depth - 1);
	}
	return nr;
}

TEST(sequences, "grace/every sequence of six events")
{
	struct grace g = { .phase = GRACE_CALM };
	struct memory m = { .now_ns = 100 };

	/* 10 + 10^2 + ... + 10^6 */
	CHECK_EQ(explore(&g, &m, DEPTH), 1111110);
}

TEST(limit, "grace/a cgroup at its limit does not wait to be killed")
{
	struct grace g = { .phase = GRACE_CALM };
	unsigned int asks = 0;

	while (!grace_due_chunks(&g)) {
		grace_ask(&g, &rules, 100, 1, KEPT, GRACE_LIMIT);
		asks++;
	}
	CHECK_EQ(asks, GRACE_MAX_ASKS);
	CHECK(g.critical);
	CHECK_EQ(g.wanted_chunks, KEPT);
}

TEST(no_grace, "grace/without a grace chunks are due at once")
{
	static const struct grace_rules at_once = { .grace_ns = 0, .calm_ns = 0 };
	struct grace g = { .phase = GRACE_CALM };

	CHECK(grace_ask(&g, &at_once, 100, 2, KEPT, GRACE_RECLAIM));
	grace_advance(&g, &at_once, 100);
	CHECK_EQ(grace_due_chunks(&g), 2);
	grace_settle(&g, 2);
	grace_advance(&g, &at_once, 100);
	CHECK_EQ(g.phase, GRACE_CALM);
}

TEST(late, "grace/owners who are told late have all of it, and once")
{
	struct grace g = { .phase = GRACE_CALM };

	grace_ask(&g, &rules, 100, 1, KEPT, GRACE_RECLAIM);
	grace_advance(&g, &rules, 100 + 10 * GRACE_NS);
	CHECK_EQ(grace_due_chunks(&g), 0);
	grace_tell(&g, 200);
	grace_tell(&g, 200 + GRACE_NS - 1);
	grace_advance(&g, &rules, 200 + GRACE_NS - 1);
	CHECK_EQ(grace_due_chunks(&g), 0);
	CHECK_EQ(grace_left_ns(&g, &rules, 200 + GRACE_NS - 1), 1);
	grace_advance(&g, &rules, 200 + GRACE_NS);
	CHECK_EQ(grace_due_chunks(&g), 1);
}

TEST(backwards, "grace/a clock that goes back ends nothing")
{
	struct grace g = { .phase = GRACE_CALM };

	grace_ask(&g, &rules, 100, 1, KEPT, GRACE_RECLAIM);
	grace_tell(&g, 100);
	grace_advance(&g, &rules, 50);
	CHECK_EQ(g.phase, GRACE_TOLD);
	CHECK_EQ(grace_left_ns(&g, &rules, 50), GRACE_NS);
}
