/* SPDX-License-Identifier: MIT */
/*
 * A disk that answers half a second later: device-mapper's "delay" over the first RAM disk. What is read
 * is written to memory then, and what is written is read from memory then.
 */
#ifndef ARENA_TESTS_KMOD_FORK_DISK_H
#define ARENA_TESTS_KMOD_FORK_DISK_H

#include "common.h"
#include <linux/aio_abi.h>
#include <linux/dm-ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define DISK_BYTES	(1U << 20)
#define DISK_DELAY	"500"

static inline int disk_ioctl(unsigned long request, const char *table, unsigned int flags)
{
	struct {
		struct dm_ioctl io;
		struct dm_target_spec spec;
		char parameters[64];
	} call = { .io = { .version = { DM_VERSION_MAJOR, 0, 0 }, .data_size = sizeof(call),
			   .data_start = sizeof(call.io), .flags = flags, .name = "arena_delay",
			   .target_count = table ? 1 : 0 },
		   .spec = { .length = DISK_BYTES / 512, .target_type = "delay" } };
	int control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC), error;

	if (control < 0)
		return -1;
	if (table)
		snprintf(call.parameters, sizeof(call.parameters), "%s", table);
	error = ioctl(control, request, &call);
	close(control);
	return error;
}

/* Every word of the disk is `word`. The descriptor, or -1. */
static inline int disk_open(uint64_t word)
{
	static uint64_t content[DISK_BYTES / sizeof(uint64_t)];
	int ram = open("/dev/ram0", O_RDWR | O_CLOEXEC), disk = -1;

	for (size_t i = 0; i < ARRAY_SIZE(content); i++)
		content[i] = word;
	if (ram < 0 || write(ram, content, sizeof(content)) != (ssize_t)sizeof(content) || fsync(ram))
		return -1;
	close(ram);
	if (disk_ioctl(DM_DEV_CREATE, NULL, 0))
		return -1;
	if (!disk_ioctl(DM_TABLE_LOAD, "/dev/ram0 0 " DISK_DELAY, 0) &&
	    !disk_ioctl(DM_DEV_SUSPEND, NULL, 0))
		disk = open("/dev/dm-0", O_RDWR | O_DIRECT | O_CLOEXEC);
	return disk;
}

static inline void disk_close(int disk)
{
	close(disk);
	disk_ioctl(DM_DEV_REMOVE, NULL, 0);
}

static inline int disk_start(int disk, unsigned int opcode, void *memory, size_t bytes,
			     aio_context_t *aio)
{
	struct iocb call = { .aio_lio_opcode = (__u16)opcode, .aio_fildes = (__u32)disk,
			     .aio_buf = (uintptr_t)memory, .aio_nbytes = bytes };
	struct iocb *calls[] = { &call };

	if (syscall(__NR_io_setup, 1, aio))
		return errno;
	return syscall(__NR_io_submit, *aio, 1, calls) == 1 ? 0 : errno;
}

static inline int disk_read_start(int disk, void *to, size_t bytes, aio_context_t *aio)
{
	return disk_start(disk, IOCB_CMD_PREAD, to, bytes, aio);
}

static inline int disk_write_start(int disk, void *from, size_t bytes, aio_context_t *aio)
{
	return disk_start(disk, IOCB_CMD_PWRITE, from, bytes, aio);
}

/* What the read or write came to. */
static inline long disk_end(aio_context_t *aio)
{
	struct io_event event = { 0 };
	long n = syscall(__NR_io_getevents, *aio, 1, 1, &event, NULL);

	syscall(__NR_io_destroy, *aio);
	return n == 1 ? (long)event.res : -1;
}

/* Whether the disk's first page holds `word` and nothing else. */
static inline bool disk_holds(int disk, uint64_t word)
{
	static uint64_t page[PAGE_BYTES / sizeof(uint64_t)] __attribute__((aligned(4096)));

	return pread(disk, page, sizeof(page), 0) == (ssize_t)sizeof(page) &&
	       all_words((char *)page, sizeof(page), word);
}

#endif /* ARENA_TESTS_KMOD_FORK_DISK_H */
