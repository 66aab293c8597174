/* SPDX-License-Identifier: MIT */
/*
 * Every size that the library is built around, derived and not repeated.
 *
 *	window	addresses of one source, reserved once; memory comes and goes inside
 *	chunk	2 MiB of aligned addresses: the unit between a source and the library
 *	page	4 KiB: what small arenas are made of; also the OS page on the machines supported
 *	unit	what a window counts in: a chunk, or a page in the window of small arenas
 *	run	neighboring units that one arena holds
 */
#ifndef LIBARENA_GEOMETRY_H
#define LIBARENA_GEOMETRY_H

#include "base.h"

#define PAGE_SHIFT 12
#define PAGE_BYTES ((size_t)1 << PAGE_SHIFT)
/* The reach of one page-table page, and so of one PMD mapping. */
#define CHUNK_SHIFT 21
#define CHUNK_BYTES ((size_t)1 << CHUNK_SHIFT)
#define PAGES_PER_CHUNK (CHUNK_BYTES / PAGE_BYTES)

/* Addresses of user space end here on the machines supported. */
#define ADDRESS_SHIFT 47

_Static_assert(PAGES_PER_CHUNK == 512, "one page-table page maps one chunk");
_Static_assert(CHUNK_BYTES == 2 * MiB, "a chunk is what a PMD maps");
_Static_assert(ADDRESS_SHIFT - PAGE_SHIFT <= 64, "a page number fits a word");

static inline size_t chunks_from_bytes(size_t bytes)
{
	return bytes / CHUNK_BYTES + (bytes % CHUNK_BYTES != 0);
}

static inline size_t pages_from_bytes(size_t bytes)
{
	return bytes / PAGE_BYTES + (bytes % PAGE_BYTES != 0);
}

#endif /* LIBARENA_GEOMETRY_H */
