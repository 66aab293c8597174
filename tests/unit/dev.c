// SPDX-License-Identifier: MIT
/*
 * Modules that the library cannot use are reported, once, and another source is taken. The module is a fake: the linker lets openat() of
 * the device and ioctl() end here. Real modules are asked in VMs.
 */
#include "dev.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "heap.h"
#include "kmod/uapi/arena.h"
#include "tests/harness.h"

/* ---------------------------------------------------------------- the fake */

static struct {
	uint32_t api_version;
	uint64_t features;
	int nr_open;		/* descriptors of the device that nobody has closed */
	int fd;			/* the last one */
	struct arena_create asked;
} module = { .api_version = ARENA_API_VERSION, .features = UINT64_MAX, .fd = -1 };

long __real_syscall(long number, ...);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);
int __wrap_ioctl(int fd, unsigned long request, void *argument);

long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	if (number == SYS_openat && b && !strcmp((const char *)b, "/dev/arena")) {
		module.nr_open++;
		return module.fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	}
	if (number == SYS_close && module.fd >= 0 && a == module.fd) {
		module.nr_open--;
		module.fd = -1;
	}
	return __real_syscall(number, a, b, c, d, e, f);
}

int __wrap_ioctl(int fd, unsigned long request, void *argument)
{
	CHECK_EQ(fd, module.fd);
	if (request == ARENA_IOC_INFO) {
		*(struct arena_info *)argument = (struct arena_info){
			.size = sizeof(struct arena_info), .api_version = module.api_version, .chunk_shift = ARENA_CHUNK_SHIFT,
			.features = module.features, .max_space_chunks = 1000,
		};
		return 0;
	}
	CHECK_EQ(request, ARENA_IOC_CREATE);
	memcpy(&module.asked, argument, sizeof(module.asked));
	return memfd_create("space", MFD_CLOEXEC);
}

/* ---------------------------------------------------------------- the tests */

static unsigned int times(const char *text, const char *part)
{
	unsigned int nr = 0;

	while ((text = strstr(text, part))) {
		text += strlen(part);
		nr++;
	}
	return nr;
}

static void create_three(void *unused)
{
	(void)unused;
	for (int i = 0; i < 3; i++) {
		size_t got;

		CHECK_EQ(dev_create_cow(10, &got), -ENOTSUP);
	}
	CHECK_EQ(module.nr_open, 0);
}

/* What heaps of AUTO and malloc() take, in one process. */
static void take_another(void *unused)
{
	struct heap *heap = heap_create(ARENA_SOURCE_AUTO);

	(void)unused;
	CHECK(heap && heap->pages.source == ARENA_SOURCE_THP);
	CHECK(heap_main() && heap_main()->pages.source == ARENA_SOURCE_THP);
	CHECK(!heap_create(ARENA_SOURCE_DEV));
	CHECK(heap_alloc(heap, 100) && heap_alloc(heap_main(), 100000));
	CHECK_EQ(module.nr_open, 0);
}

static void check_report(void (*function)(void *), const char *part)
{
	struct death death;

	harness_child(&death, function, NULL);
	CHECK_EQ(death.signal, 0);
	CHECK_EQ(death.status, 0);
	CHECK_HAS(death.text, part);
	CHECK_EQ(times(death.text, part), 1);
}

TEST(usable, "dev/a module that knows all is asked for a space that is copied at a fork")
{
	size_t got, max_slots;
	int fd = dev_create_cow(5000, &got);

	CHECK(fd >= 0);
	CHECK_EQ(got, 1000);
	CHECK_EQ(module.asked.nr_slots, 1000);
	CHECK_EQ(module.asked.flags, ARENA_CREATE_FORK_COW);
	CHECK(!dev_max_slots(&max_slots) && max_slots == 1000);
	CHECK_EQ(module.nr_open, 0);
	dev_close(fd);
}

TEST(version, "dev/a module of another version is not used, and reported once")
{
	module.api_version = ARENA_API_VERSION + 1;
	check_report(create_three, "has version 2");
	check_report(take_another, "has version 2");
}

TEST(old, "dev/one that is too old for copies of heaps is not used for these, and reported once")
{
	size_t max_slots;

	module.features &= ~ARENA_FEATURE_FORK_COW;
	check_report(create_three, "too old to give a child of fork() a copy");
	check_report(take_another, "too old to give a child of fork() a copy");
	/* Arenas can use it all the same. */
	CHECK(!dev_max_slots(&max_slots) && dev_create(10) >= 0);
}

static void start_malloc(void *unused)
{
	(void)unused;
	CHECK(heap_main() && heap_main()->pages.source == ARENA_SOURCE_THP);
}

TEST(old_named, "dev/the same when ARENA_SOURCE asks for it: malloc() works and says what it uses", "ARENA_SOURCE=dev")
{
	struct death death;

	module.features &= ~ARENA_FEATURE_FORK_COW;
	harness_child(&death, start_malloc, NULL);
	CHECK_EQ(death.signal, 0);
	CHECK_EQ(death.status, 0);
	CHECK_HAS(death.text, "too old to give a child of fork() a copy");
	CHECK_HAS(death.text, "source dev is not to be had");
	CHECK_HAS(death.text, "malloc() uses thp");
}
