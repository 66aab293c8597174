// SPDX-License-Identifier: MIT
/*
 * glibc's malloc, and mimalloc by its own names.
 *
 * mimalloc is loaded with RTLD_LOCAL, so that it does not replace malloc() and one process can measure both in turns.
 */
#include "bench/peer.h"

#include "bench/bench.h"

#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#define MIMALLOC_LIBRARY "libmimalloc.so.2"

static void (*mimalloc_collect)(bool force);	/* fixed after mimalloc_init() */

static void glibc_settle(void)
{
	malloc_trim(0);
}

static void mimalloc_settle(void)
{
	mimalloc_collect(true);
}

static void glibc_init(struct peer *peer)
{
	*peer = (struct peer){
		.name = "glibc",
		.alloc = malloc,
		.realloc = realloc,
		.free = free,
		.usable_bytes = malloc_usable_size,
		.settle = glibc_settle,
		.header_bytes = sizeof(size_t),
	};
	snprintf(peer->version, sizeof(peer->version), "%s", gnu_get_libc_version());
}

/* dlsym() returns an object pointer; POSIX wants it copied into the function pointer. */
static bool find(void *library, const char *symbol, void *function)
{
	void *found = dlsym(library, symbol);

	memcpy(function, &found, sizeof(found));
	return found;
}

static bool mimalloc_init(struct peer *peer)
{
	void *library = dlopen(MIMALLOC_LIBRARY, RTLD_NOW | RTLD_LOCAL);
	int (*version)(void);

	*peer = (struct peer){ .name = "mimalloc", .settle = mimalloc_settle };
	if (!library) {
		bench_skip("mimalloc: %s", dlerror());
		return false;
	}
	if (!find(library, "mi_malloc", &peer->alloc) || !find(library, "mi_realloc", &peer->realloc) ||
	    !find(library, "mi_free", &peer->free) || !find(library, "mi_usable_size", &peer->usable_bytes) ||
	    !find(library, "mi_collect", &mimalloc_collect) || !find(library, "mi_version", &version)) {
		bench_skip("mimalloc: %s lacks a function: %s", MIMALLOC_LIBRARY, dlerror());
		return false;
	}
	snprintf(peer->version, sizeof(peer->version), "%d.%d.%d", version() / 100, version() / 10 % 10,
		 version() % 10);
	return true;
}

const struct peer *peer_all(size_t *nr)
{
	static struct peer peers[MAX_PEERS];	/* filled on first use, by the main thread */
	static size_t nr_peers;

	if (!nr_peers) {
		glibc_init(&peers[nr_peers++]);
		if (mimalloc_init(&peers[nr_peers]))
			nr_peers++;
	}
	*nr = nr_peers;
	return peers;
}

const char *peer_version(const char *name)
{
	size_t nr;
	const struct peer *peers = peer_all(&nr);

	for (size_t i = 0; i < nr; i++)
		if (!strncmp(name, peers[i].name, strlen(peers[i].name)))
			return peers[i].version;
	return NULL;
}

void peer_print_versions(FILE *out)
{
	size_t nr;
	const struct peer *peers = peer_all(&nr);

	for (size_t i = 0; i < nr; i++)
		fprintf(out, "# %s %s\n", peers[i].name, peers[i].version);
}
