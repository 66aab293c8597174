/* SPDX-License-Identifier: MIT */
/*
 * An intrusive first-in first-out queue. The link is a field of the element and is NULL at the tail and
 * outside of any queue. No locking: the queue's owner says who guards it.
 */
#ifndef LIBARENA_LIST_H
#define LIBARENA_LIST_H

#include "base.h"

struct link {
	struct link *next;
};

/* Invariant: (head == NULL) == (nr == 0); tail is the last element when nr > 0. */
struct queue {
	struct link *head;
	struct link *tail;
	size_t nr;
};

#define link_entry(link, type, field) ((type *)(void *)((char *)(link) - offsetof(type, field)))

static inline void queue_push(struct queue *queue, struct link *link)
{
	link->next = NULL;
	if (queue->nr++)
		queue->tail->next = link;
	else
		queue->head = link;
	queue->tail = link;
}

static inline struct link *queue_pop(struct queue *queue)
{
	struct link *link = queue->head;

	if (!link)
		return NULL;
	queue->head = link->next;
	queue->nr--;
	link->next = NULL;
	return link;
}

#endif /* LIBARENA_LIST_H */
