// SPDX-License-Identifier: MIT
/*
 * The only file that knows /dev/arena.
 *
 * Calls that a signal interrupted are made again. open() and close() are called by number, because the functions are points of
 * cancellation, and callers hold locks. A module that speaks another version, or is too old for what is asked, is not used: the
 * caller learns -ENOTSUP, and standard error says so once, because with AUTO the program would go on silently slower.
 */
#include "dev.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "atomic.h"
#include "geometry.h"
#include "kmod/uapi/arena.h"
#include "panic.h"

#define DEVICE "/dev/arena"

_Static_assert(ARENA_CHUNK_SHIFT == CHUNK_SHIFT, "the module and the library count in the same chunks");

/* ioctl() again after signals; its result, or -errno. */
static int call(int fd, unsigned long request, void *argument)
{
	int saved = errno;
	int result;

	do {
		result = ioctl(fd, request, argument);
	} while (result < 0 && errno == EINTR);
	if (result < 0)
		result = -errno;
	errno = saved;
	return result;
}

static int open_device(void)
{
	int saved = errno;
	int fd;

	do {
		fd = (int)syscall(SYS_openat, AT_FDCWD, DEVICE, O_RDWR | O_CLOEXEC);
	} while (fd < 0 && errno == EINTR);
	if (fd < 0) {
		/* ENXIO and ENODEV: a node is left behind by a module that is gone. */
		fd = errno == ENXIO || errno == ENODEV ? -ENOENT : -errno;
		fd = fd == -EPERM ? -EACCES : fd;
	}
	errno = saved;
	return fd;
}

static int check_version(int fd, struct arena_info *info)
{
	static uint32_t told; /* atomic; 1 after the report */
	int error;

	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	error = call(fd, ARENA_IOC_INFO, info);
	if (!error && info->api_version == ARENA_API_VERSION && info->chunk_shift == CHUNK_SHIFT)
		return 0;
	if (!atomic_swap_acquire(&told, 1u))
		report("the module behind " DEVICE " has version %u and chunks of 2^%u bytes, this library needs"
		       " %d and 2^%d; not using it", info->api_version, info->chunk_shift, ARENA_API_VERSION,
		       CHUNK_SHIFT);
	return -ENOTSUP;
}

/* An open device that speaks our version, or -errno. */
static int open_checked(struct arena_info *info)
{
	int device = open_device();
	int error = device < 0 ? device : check_version(device, info);

	if (device >= 0 && error)
		dev_close(device);
	return error ? error : device;
}

int dev_max_slots(size_t *max_slots)
{
	struct arena_info info;
	int device = open_checked(&info);

	if (device < 0)
		return device;
	dev_close(device);
	*max_slots = info.max_space_chunks;
	return 0;
}

static int create_on(int device, struct arena_create *create)
{
	int fd = call(device, ARENA_IOC_CREATE, create);

	dev_close(device);
	return fd;
}

int dev_create(size_t nr_slots)
{
	struct arena_create create = { .size = sizeof(create), .nr_slots = nr_slots };
	struct arena_info info;
	int device = open_checked(&info);

	return device < 0 ? device : create_on(device, &create);
}

/* Whether spaces can be copied at a fork. */
static bool can_copy(const struct arena_info *info)
{
	static uint32_t told; /* atomic; 1 after the report */

	if (info->features & ARENA_FEATURE_FORK_COW)
		return true;
	if (!atomic_swap_acquire(&told, 1u))
		report("the module behind " DEVICE " is too old to give a child of fork() a copy of a heap; not using it for heaps");
	return false;
}

int dev_create_cow(size_t nr_slots, size_t *got)
{
	struct arena_create create = { .size = sizeof(create), .flags = ARENA_CREATE_FORK_COW };
	struct arena_info info;
	int device = open_checked(&info);

	if (device < 0)
		return device;
	if (!can_copy(&info)) {
		dev_close(device);
		return -ENOTSUP;
	}
	create.nr_slots = *got = size_min(nr_slots, info.max_space_chunks);
	return create_on(device, &create);
}

void dev_close(int fd)
{
	int saved = errno;

	syscall(SYS_close, fd);
	errno = saved;
}

int dev_reserve(int fd, size_t slot, size_t nr)
{
	size_t nr_fresh;

	return dev_unkeep(fd, slot, nr, &nr_fresh);
}

int dev_unkeep(int fd, size_t slot, size_t nr, size_t *nr_fresh)
{
	struct arena_reserve reserve = {
		.size = sizeof(reserve),
		.offset_bytes = slot * CHUNK_BYTES,
		.length_bytes = nr * CHUNK_BYTES,
	};

	int error = call(fd, ARENA_IOC_RESERVE, &reserve);

	*nr_fresh = error ? 0 : reserve.fresh_chunks;
	return error;
}

static int reclaim(int fd, uint32_t how, size_t slot, size_t nr)
{
	struct arena_reclaim reclaim = {
		.size = sizeof(reclaim),
		.how = how,
		.offset_bytes = slot * CHUNK_BYTES,
		.length_bytes = nr * CHUNK_BYTES,
	};

	return call(fd, ARENA_IOC_RECLAIM, &reclaim);
}

int dev_zap(int fd, size_t slot, size_t nr)
{
	return reclaim(fd, ARENA_RECLAIM_ZAP, slot, nr);
}

int dev_keep(int fd, size_t slot, size_t nr)
{
	return reclaim(fd, ARENA_RECLAIM_KEEP, slot, nr);
}
