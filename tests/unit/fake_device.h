/* SPDX-License-Identifier: MIT */
/*
 * A fake of the device, linked instead of dev.c by who includes this, in one file of a program: a sparse file in memory. Tests can make it refuse, have no
 * chunk, or take what is kept. It knows nothing of chunks' memory: a slot that is not reserved is not out of reach.
 */
#ifndef TESTS_UNIT_FAKE_DEVICE_H
#define TESTS_UNIT_FAKE_DEVICE_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dev.h"
#include "geometry.h"
#include "tests/harness.h"

enum { SLOTS = 4096 };

static struct {
	pthread_mutex_t lock;	/* guards all below */
	unsigned char reserved[SLOTS], kept[SLOTS], taken[SLOTS];
	bool (*refuses)(void);	/* whether it has no memory for what is asked of it now; NULL: it has. Fixed while it is used */
	bool is_empty;		/* has no chunk to give */
	int fd;			/* of the space that was created last */
	unsigned int nr_kept, nr_keeps;
} device = { .lock = PTHREAD_MUTEX_INITIALIZER };

int dev_max_slots(size_t *max_slots)
{
	*max_slots = SLOTS;
	return 0;
}

static bool device_refuses(void)
{
	return device.refuses && device.refuses();
}

int dev_create(size_t nr_slots)
{
	int fd;

	if (device_refuses())
		return -ENOMEM;
	fd = memfd_create("device", MFD_CLOEXEC);
	CHECK(fd >= 0 && !ftruncate(fd, (off_t)(nr_slots * CHUNK_BYTES)));
	return device.fd = fd;
}

int dev_create_cow(size_t nr_slots, size_t *got)
{
	*got = size_min(nr_slots, SLOTS);
	return dev_create(*got);
}

void dev_close(int fd)
{
	close(fd);
}

static void punch(int fd, size_t slot)
{
	CHECK(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(slot * CHUNK_BYTES), CHUNK_BYTES));
}

int dev_unkeep(int fd, size_t slot, size_t nr, size_t *nr_fresh)
{
	int error = device_refuses() ? -ENOMEM : 0;

	(void)fd;
	*nr_fresh = 0;
	pthread_mutex_lock(&device.lock);
	for (size_t i = slot; i < slot + nr && !error; i++) {
		if (device.is_empty && (!device.reserved[i] || device.taken[i]))
			error = -ENOMEM;
		*nr_fresh += !error && (!device.reserved[i] || device.taken[i]);
		if (error)
			break;
		device.nr_kept -= device.kept[i];
		device.reserved[i] = 1;
		device.kept[i] = device.taken[i] = 0;
	}
	pthread_mutex_unlock(&device.lock);
	return error;
}

int dev_reserve(int fd, size_t slot, size_t nr)
{
	size_t nr_fresh;

	return dev_unkeep(fd, slot, nr, &nr_fresh);
}

int dev_keep(int fd, size_t slot, size_t nr)
{
	(void)fd;
	if (device_refuses())
		return -ENOMEM;
	pthread_mutex_lock(&device.lock);
	for (size_t i = slot; i < slot + nr; i++) {
		CHECK(device.reserved[i] && !device.kept[i]);
		device.kept[i] = 1;
		device.nr_kept++;
		device.nr_keeps++;
	}
	pthread_mutex_unlock(&device.lock);
	return 0;
}

int dev_zap(int fd, size_t slot, size_t nr)
{
	pthread_mutex_lock(&device.lock);
	for (size_t i = slot; i < slot + nr; i++) {
		/* The module skips the others; the library has no reason to name any. */
		CHECK(device.reserved[i]);
		device.nr_kept -= device.kept[i];
		device.reserved[i] = device.kept[i] = device.taken[i] = 0;
		punch(fd, i);
	}
	pthread_mutex_unlock(&device.lock);
	return 0;
}

/* The system takes what is kept. */
static inline void device_take_kept(void)
{
	pthread_mutex_lock(&device.lock);
	for (size_t i = 0; i < SLOTS; i++)
		if (device.kept[i]) {
			device.taken[i] = 1;
			punch(device.fd, i);
		}
	pthread_mutex_unlock(&device.lock);
}

static inline void check_none_reserved(void)
{
	for (size_t i = 0; i < SLOTS; i++)
		CHECK(!device.reserved[i]);
}

#endif /* TESTS_UNIT_FAKE_DEVICE_H */
