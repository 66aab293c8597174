// SPDX-License-Identifier: MIT
/*
 * psiwatch SECONDS: measures from outside how fast the module's idle pool goes back after a PSI trigger. Arms a
 * trigger of its own (70 ms in 1 s), says "armed", and at the first event prints "pool BEFORE AFTER chunks in MS ms", where AFTER
 * is the first count of at most a tenth, or the count one second later. "no event" when none came in time. A kernel that checks itself
 * is given VM_SLOWNESS seconds.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "kmod/uapi/arena.h"

#define LIMIT_MS 1000

static long long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ll + now.tv_nsec / 1000000;
}

static long long limit_ms(void)
{
	const char *slowness = getenv("VM_SLOWNESS");

	return slowness && atoi(slowness) > 0 ? LIMIT_MS * atoi(slowness) : LIMIT_MS;
}

static unsigned long long pool_chunks(int fd)
{
	struct arena_stat stat = { .size = sizeof(stat) };

	if (ioctl(fd, ARENA_IOC_STAT, &stat) < 0) {
		perror("ARENA_IOC_STAT");
		exit(1);
	}
	return stat.clean_chunks + stat.dirty_chunks;
}

int main(int argc, char **argv)
{
	static const char trigger[] = "some 70000 1000000";
	int fd = open("/dev/arena", O_RDWR);
	struct pollfd psi = { .fd = open("/proc/pressure/memory", O_RDWR | O_NONBLOCK), .events = POLLPRI };
	unsigned long long before, after;
	long long start_ms;

	if (argc != 2 || fd < 0 || psi.fd < 0 || write(psi.fd, trigger, sizeof(trigger)) < 0) {
		perror("psiwatch");
		return 1;
	}
	mlockall(MCL_CURRENT | MCL_FUTURE);
	before = pool_chunks(fd);
	puts("armed");
	fflush(stdout);
	if (poll(&psi, 1, atoi(argv[1]) * 1000) <= 0 || !(psi.revents & POLLPRI)) {
		puts("no event");
		return 1;
	}
	start_ms = now_ms();
	do {
		after = pool_chunks(fd);
		usleep(1000);
	} while (after * 10 > before && now_ms() - start_ms < limit_ms());
	printf("pool %llu %llu chunks in %lld ms\n", before, after, now_ms() - start_ms);
	return after * 10 > before;
}
