/* SPDX-License-Identifier: MIT */
/* The allocators that arenas are compared with. */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stddef.h>
#include <stdio.h>

enum { MAX_PEERS = 2 };

/* All calls go through pointers; a call of a shared library's malloc() goes through one as well. Fixed after init. */
struct peer {
	const char *name;
	void *(*alloc)(size_t bytes);
	void *(*realloc)(void *old, size_t bytes);
	void (*free)(void *object);
	size_t (*usable_bytes)(void *object);
	void (*settle)(void);	/* forget what earlier work left behind: order of free lists, cached memory */
	size_t header_bytes;	/* of each object, beyond usable_bytes() */
	char version[48];
};

/** The peers of this machine, glibc first, found on the first call; @nr is how many. Says on stderr what is missing. */
const struct peer *peer_all(size_t *nr);
/** Names and versions as comment lines. */
void peer_print_versions(FILE *out);
/** The version of the peer that a row's name begins with, as "glibc-inorder" does; NULL when it is none's. */
const char *peer_version(const char *name);

#endif /* BENCH_PEER_H */
