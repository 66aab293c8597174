/* SPDX-License-Identifier: MIT */
/* What the module says it holds, in bytes; all zeros when there is no module. */
#ifndef EXAMPLES_POOL_H
#define EXAMPLES_POOL_H

#include <stdint.h>

struct pool {
	uint64_t idle_bytes;   /* in no space: clean and dirty chunks */
	uint64_t kept_bytes;   /* in spaces, discardable */
	uint64_t handed_bytes; /* in spaces, kept ones included */
};

/** Descriptor of /dev/arena for pool_read(), or -errno. */
int pool_open(void);
/** @fd may be negative: zeros. */
void pool_read(int fd, struct pool *pool);

#endif
