// SPDX-License-Identifier: MIT
/*
 * turnover WORKERS ROUNDS: each worker, on a processor of its own, reserves a chunk in its own space and
 * gives it back, ROUNDS times, without touching it: nothing but the module's pools and locks. Prints
 * the wall-clock time and what one take and give cost. Models the worst case for a shared lock, and no
 * workload: real programs touch what they take, which costs many times as much.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <arena.h>

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void turn_over(int fd, long rounds)
{
	while (rounds--) {
		struct arena_reserve take = { .size = sizeof(take), .length_bytes = ARENA_CHUNK_BYTES };
		struct arena_reclaim give = { .size = sizeof(give), .how = ARENA_RECLAIM_ZAP,
					      .length_bytes = ARENA_CHUNK_BYTES };

		if (ioctl(fd, ARENA_IOC_RESERVE, &take))
			fail("RESERVE");
		if (ioctl(fd, ARENA_IOC_RECLAIM, &give))
			fail("RECLAIM");
	}
}

/* Waits for the starting signal, the end of the pipe, so that all workers run at the same time. */
static void work(int cpu, int start, long rounds)
{
	struct arena_create create = { .size = sizeof(create), .nr_slots = 1 };
	int dev = open("/dev/arena", O_RDWR), fd;
	cpu_set_t set;
	char byte;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (dev < 0 || sched_setaffinity(0, sizeof(set), &set))
		fail("worker");
	fd = ioctl(dev, ARENA_IOC_CREATE, &create);
	if (fd < 0)
		fail("CREATE");
	turn_over(fd, 16);
	if (read(start, &byte, 1) < 0)
		fail("pipe");
	turn_over(fd, rounds);
	exit(0);
}

int main(int argc, char **argv)
{
	int workers = argc > 1 ? atoi(argv[1]) : 1, start[2], status, failed = 0;
	long rounds = argc > 2 ? atol(argv[2]) : 1000;
	int64_t begin_ns, taken_ns;

	if (pipe(start))
		fail("pipe");
	for (int cpu = 0; cpu < workers; cpu++) {
		if (!fork()) {
			close(start[1]);
			work(cpu, start[0], rounds);
		}
	}
	sleep(1);
	begin_ns = now_ns();
	close(start[1]);
	while (wait(&status) > 0)
		failed |= status;
	taken_ns = now_ns() - begin_ns;
	printf("%d workers, %ld rounds each: %lld us, %lld ns of wall time for a round\n", workers,
	       rounds, (long long)taken_ns / 1000, (long long)taken_ns / (rounds * workers));
	return failed != 0;
}
