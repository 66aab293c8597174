/* SPDX-License-Identifier: MIT */
/* The module's ioctls, as far as a monitor needs them. The only file of the daemon that issues them is module.c. */
#ifndef ARENAD_MODULE_H
#define ARENAD_MODULE_H

#include <stdint.h>

#include "kmod/uapi/arena.h"

#define MODULE_DEVICE "/dev/arena"

/** A descriptor of the device, or -errno: -ENOENT no module, -EACCES no right, -EPROTO another API version. */
int module_open(const char *device);
/* Each: 0 or -errno. */
int module_info(int fd, struct arena_info *info);
int module_stat(int fd, struct arena_stat *stat);
/** The first space with an id greater than @after_id; -ENOENT at the end. */
int module_space(int fd, uint64_t after_id, struct arena_space_stat *space);
/** Give back up to @max_chunks. Adds nothing on error. -EPERM without CAP_SYS_RESOURCE. */
int module_trim(int fd, uint64_t max_chunks, uint32_t flags, struct arena_trim *trim);

#endif /* ARENAD_MODULE_H */
