// SPDX-License-Identifier: MIT
/*
 * The door to the module. The device stays open while arenad runs, so that an emergency opens nothing; the price is
 * that the module cannot be unloaded under it: stop arenad first.
 */
#include "daemon/module.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int call(int fd, unsigned long request, void *argument)
{
	int got;

	do
		got = ioctl(fd, request, argument);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : 0;
}

int module_open(const char *device)
{
	struct arena_info info;
	int fd = open(device, O_RDWR | O_CLOEXEC);
	int error;

	if (fd < 0)
		return errno == ENXIO || errno == ENODEV ? -ENOENT : -errno;
	error = module_info(fd, &info);
	if (!error && info.api_version == ARENA_API_VERSION && info.chunk_shift == ARENA_CHUNK_SHIFT)
		return fd;
	close(fd);
	return -EPROTO;
}

int module_info(int fd, struct arena_info *info)
{
	*info = (struct arena_info){ .size = sizeof(*info) };
	return call(fd, ARENA_IOC_INFO, info);
}

int module_stat(int fd, struct arena_stat *stat)
{
	*stat = (struct arena_stat){ .size = sizeof(*stat) };
	return call(fd, ARENA_IOC_STAT, stat);
}

int module_space(int fd, uint64_t after_id, struct arena_space_stat *space)
{
	*space = (struct arena_space_stat){ .size = sizeof(*space), .after_id = after_id };
	return call(fd, ARENA_IOC_SPACE, space);
}

int module_trim(int fd, uint64_t max_chunks, uint32_t flags, struct arena_trim *trim)
{
	*trim = (struct arena_trim){ .size = sizeof(*trim), .flags = flags, .max_chunks = max_chunks };
	return call(fd, ARENA_IOC_TRIM, trim);
}
