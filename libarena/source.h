/* SPDX-License-Identifier: MIT */
/*
 * The four places that chunks come from, behind one table of operations.
 *
 *	dev	/dev/arena: ready-zeroed physical chunks, revoked by the module
 *	hugetlb	huge pages that the administrator reserved; only on request
 *	thp	ordinary memory that the kernel is asked to make of huge pages
 *	pages	ordinary memory of 4 KiB pages
 */
#ifndef LIBARENA_SOURCE_H
#define LIBARENA_SOURCE_H

#include "arena/arena.h"
#include "window.h"

struct source_ops {
	/** Whether memory can be had, and a window for it: 0 or -errno. */
	int (*start)(struct window **window);
	/** Give memory to units that are LIVE: 0 or -errno. Touching it never fails afterwards. */
	int (*back_locked)(struct window *window, size_t unit, size_t nr);
	/** Take the memory and revoke; returns how many units could be: @nr, or 0 and they are deferred. */
	size_t (*revoke_locked)(struct window *window, size_t unit, size_t nr);
	/** Memory can move to other addresses, which revokes the old ones without giving it back. */
	bool can_move;
	/** Memory is there only once touched, so that it may be wanted ahead. */
	bool can_populate;
};

static inline bool source_is_known(enum arena_source source)
{
	return (unsigned int)source < ARENA_NR_SOURCES;
}

/** The operations of a source that is not AUTO. */
const struct source_ops *source_ops(enum arena_source source);

#endif /* LIBARENA_SOURCE_H */
