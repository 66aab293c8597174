// SPDX-License-Identifier: MIT
/* The queue: order, emptiness, reuse of links. */
#include "list.h"

#include "tests/harness.h"

struct item {
	int value;
	struct link link;
};

TEST(order, "list/first in, first out")
{
	struct queue queue = {0};
	struct item items[10];

	CHECK(!queue_pop(&queue));
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 10; i++) {
			items[i].value = i;
			queue_push(&queue, &items[i].link);
			CHECK_EQ(queue.nr, i + 1);
		}
		for (int i = 0; i < 10; i++) {
			struct link *link = queue_pop(&queue);

			CHECK(link && !link->next);
			CHECK_EQ(link_entry(link, struct item, link)->value, i);
		}
		CHECK(!queue_pop(&queue) && !queue.nr);
	}
}
