// SPDX-License-Identifier: MIT
/*
 * The only file here that talks to /dev/arena, by the calls of kmod/uapi/arena.h.
 *
 * The kernel's cost is what `fault` and `reclaim` measure, so the library is not in between.
 */
#include "bench/dev.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define DEV_PATH "/dev/arena"

int dev_space_check(void)
{
	struct arena_info info = { .size = sizeof(info) };
	int fd = open(DEV_PATH, O_RDWR | O_CLOEXEC), error = 0;

	if (fd < 0)
		return -errno;
	if (ioctl(fd, ARENA_IOC_INFO, &info))
		error = -errno;
	else if (info.api_version != ARENA_API_VERSION || info.chunk_shift != ARENA_CHUNK_SHIFT)
		error = -EPROTO;
	close(fd);
	return error;
}

static int space_create(size_t nr_chunks, uint32_t flags)
{
	struct arena_create create = { .size = sizeof(create), .flags = flags, .nr_slots = nr_chunks };
	int dev = open(DEV_PATH, O_RDWR | O_CLOEXEC), fd;

	if (dev < 0)
		return -errno;
	fd = ioctl(dev, ARENA_IOC_CREATE, &create);
	if (fd < 0)
		fd = -errno;
	close(dev);
	return fd;
}

int dev_space_init(struct dev_space *space, size_t nr_chunks, uint32_t flags)
{
	void *base;
	int error;

	space->nr_chunks = nr_chunks;
	space->fd = space_create(nr_chunks, flags);
	if (space->fd < 0)
		return space->fd;
	base = mmap(NULL, nr_chunks * ARENA_CHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
		    space->fd, 0);
	if (base == MAP_FAILED) {
		error = -errno;
		close(space->fd);
		return error;
	}
	space->base = base;
	return 0;
}

void dev_space_fini(struct dev_space *space)
{
	munmap(space->base, space->nr_chunks * ARENA_CHUNK_BYTES);
	close(space->fd);
}

int dev_space_reserve(const struct dev_space *space, size_t nr_chunks, struct arena_reserve *call)
{
	memset(call, 0, sizeof(*call));
	call->size = sizeof(*call);
	call->length_bytes = nr_chunks * ARENA_CHUNK_BYTES;
	return ioctl(space->fd, ARENA_IOC_RESERVE, call) ? -errno : 0;
}

int dev_space_reclaim(const struct dev_space *space, size_t nr_chunks, uint32_t how, struct arena_reclaim *call)
{
	memset(call, 0, sizeof(*call));
	call->size = sizeof(*call);
	call->how = how;
	call->length_bytes = nr_chunks * ARENA_CHUNK_BYTES;
	return ioctl(space->fd, ARENA_IOC_RECLAIM, call) ? -errno : 0;
}

int dev_space_populate(const struct dev_space *space, size_t nr_chunks)
{
	struct arena_populate call = { .size = sizeof(call), .address = (uintptr_t)space->base,
				       .length_bytes = nr_chunks * ARENA_CHUNK_BYTES };

	if (ioctl(space->fd, ARENA_IOC_POPULATE, &call))
		return -errno;
	return call.nr_chunks == nr_chunks ? 0 : -EPROTO;
}

int dev_space_stat(const struct dev_space *space, struct arena_stat *stat)
{
	memset(stat, 0, sizeof(*stat));
	stat->size = sizeof(*stat);
	return ioctl(space->fd, ARENA_IOC_STAT, stat) ? -errno : 0;
}
