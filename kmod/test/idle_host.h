/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What kmod/idle.h needs of the kernel, for a host: doubly linked lists, and a folio that is
 * nothing but its place in an array. Written for this test; only what is used, without the kernel's
 * debugging.
 */
#ifndef ARENA_TEST_IDLE_HOST_H
#define ARENA_TEST_IDLE_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* There is one thread. */
#define WRITE_ONCE(to, value) ((to) = (value))

struct list_head {
	struct list_head *next, *prev;
};

struct folio {
	struct list_head lru;
	void *private;
};

static inline void INIT_LIST_HEAD(struct list_head *list)
{
	list->next = list;
	list->prev = list;
}

static inline void list_add(struct list_head *entry, struct list_head *head)
{
	entry->next = head->next;
	entry->prev = head;
	head->next->prev = entry;
	head->next = entry;
}

/* Whoever goes on from a removed entry shall crash. */
static inline void list_del(struct list_head *entry)
{
	entry->next->prev = entry->prev;
	entry->prev->next = entry->next;
	entry->next = NULL;
	entry->prev = NULL;
}

#define list_entry(at, type, member)						\
	((type *)(void *)((char *)(at) - offsetof(type, member)))
#define list_first_entry_or_null(head, type, member)				\
	((head)->next == (head) ? NULL : list_entry((head)->next, type, member))
#define list_for_each_entry_reverse(entry, head, member)			\
	for (struct list_head *at_ = (head)->prev;				\
	     at_ != (head) && ((entry) = list_entry(at_, struct folio, member));	\
	     at_ = at_->prev)

static inline unsigned long folio_pfn(struct folio *folio)
{
	return (uintptr_t)folio / sizeof(*folio);
}

#endif /* ARENA_TEST_IDLE_HOST_H */
