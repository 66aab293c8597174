/* SPDX-License-Identifier: MIT */
/*
 * Objects that the collector must find though nothing may lead to them: weak references, ephemerons, cleanups. Each has a link in it, which is no
 * pointer for marking. Threads put objects in front at any time; only the collector walks a chain, and takes out what has died before it is swept. So
 * a chain takes no memory but that of its objects, and no lock.
 */
#ifndef LIBARENA_GC_CHAIN_H
#define LIBARENA_GC_CHAIN_H

#include "atomic.h"
#include "list.h"

struct gc_chain {
	struct link *first;	/* atomic: the release in gc_chain_splice() pairs with gc_chain_first() and gc_chain_sift() */
};

/** Put @first to @last, linked already, in front. Any thread. */
static inline void gc_chain_splice(struct gc_chain *chain, struct link *first, struct link *last)
{
	struct link *next = atomic_load_relaxed(&chain->first);

	do
		last->next = next;
	while (!atomic_cas_release(&chain->first, &next, first));
}

static inline void gc_chain_push(struct gc_chain *chain, struct link *link)
{
	gc_chain_splice(chain, link, link);
}

/** What is behind it stays as it is until the next gc_chain_sift(). The collector's. */
static inline struct link *gc_chain_first(const struct gc_chain *chain)
{
	return atomic_load_acquire(&chain->first); /* pairs with gc_chain_splice() */
}

/** Take out what @stays is false of. It may put the object elsewhere. The collector's; linear. */
static inline void gc_chain_sift(struct gc_chain *chain, bool (*stays)(void *context, struct link *link), void *context)
{
	struct link *first = atomic_swap_acquire(&chain->first, NULL), **end = &first, *last = NULL, *link, *next; /* pairs with gc_chain_splice() */

	for (link = first; link; link = next) {
		next = link->next;
		if (!stays(context, link))
			continue;
		*end = last = link;
		end = &link->next;
	}
	if (last)
		gc_chain_splice(chain, first, last);
}

#endif /* LIBARENA_GC_CHAIN_H */
