/* SPDX-License-Identifier: MIT */
/* The module's interface without the library: one space, mapped whole. */
#ifndef BENCH_DEV_H
#define BENCH_DEV_H

#include "kmod/uapi/arena.h"

#include <stddef.h>
#include <stdint.h>

struct dev_space {
	int fd;
	char *base;		/* mapped MAP_NORESERVE: touching is SIGBUS until dev_space_reserve() */
	size_t nr_chunks;
};

/** 0 when /dev/arena can be used, else -errno. */
int dev_space_check(void);
/** A space of @nr_chunks slots with @flags (ARENA_CREATE_*), mapped, nothing reserved. 0 or -errno. */
int dev_space_init(struct dev_space *space, size_t nr_chunks, uint32_t flags);
void dev_space_fini(struct dev_space *space);

/* The calls on the first @nr_chunks slots: 0 or -errno; the out fields of the call are in the struct. */
int dev_space_reserve(const struct dev_space *space, size_t nr_chunks, struct arena_reserve *call);
int dev_space_reclaim(const struct dev_space *space, size_t nr_chunks, uint32_t how, struct arena_reclaim *call);
/* Maps them ahead of the touch. */
int dev_space_populate(const struct dev_space *space, size_t nr_chunks);
int dev_space_stat(const struct dev_space *space, struct arena_stat *stat);

#endif /* BENCH_DEV_H */
