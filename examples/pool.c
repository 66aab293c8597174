// SPDX-License-Identifier: MIT
/* What the module says it holds; the only file of the demonstration that asks the module itself. */
#include "pool.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>

#include "demo.h"
#include "kmod/uapi/arena.h"

int pool_open(void)
{
	int fd = open("/dev/arena", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

void pool_read(int fd, struct pool *pool)
{
	struct arena_stat stat = { .size = sizeof(stat) };

	memset(pool, 0, sizeof(*pool));
	if (fd < 0)
		return;
	if (ioctl(fd, ARENA_IOC_STAT, &stat))
		demo_die("/dev/arena does not give its statistics: %s", strerror(errno));
	pool->idle_bytes = (stat.clean_chunks + stat.dirty_chunks) * ARENA_CHUNK_BYTES;
	pool->kept_bytes = stat.kept_chunks * ARENA_CHUNK_BYTES;
	pool->handed_bytes = stat.handed_chunks * ARENA_CHUNK_BYTES;
}
