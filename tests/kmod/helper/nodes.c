// SPDX-License-Identifier: MIT
/*
 * nodes CHUNKS: reserves so many chunks by mmap() and prints how many came from each node, "0:3 1:2 ", in the order of the nodes;
 * "errno 12" when they were refused. For tests that run it under numactl.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <arena.h>

#define NODES 64

int main(int argc, char **argv)
{
	size_t nr = argc == 2 ? strtoul(argv[1], NULL, 10) : 0, bytes = nr * ARENA_CHUNK_BYTES;
	int fd = open("/dev/arena", O_RDWR | O_CLOEXEC), node, count[NODES] = { 0 };
	char *map;

	if (!nr || fd < 0)
		return 2;
	map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		printf("errno %d\n", errno);
		return 0;
	}
	for (size_t at = 0; at < bytes; at += ARENA_CHUNK_BYTES) {
		map[at] = 1;
		if (syscall(SYS_get_mempolicy, &node, NULL, 0, map + at, MPOL_F_NODE | MPOL_F_ADDR) || node >= NODES)
			return 3;
		count[node]++;
	}
	for (node = 0; node < NODES; node++)
		if (count[node])
			printf("%d:%d ", node, count[node]);
	printf("\n");
	return 0;
}
