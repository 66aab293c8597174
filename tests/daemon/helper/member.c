// SPDX-License-Identifier: MIT
/*
 * member SOCKET MIB: a process of the library, registered with the daemon at SOCKET, that fills and frees an arena of MIB
 * mebibytes. Then it obeys words on standard input, one a line: cached (prints the bytes cached), fill, join, leave, fork; end of
 * file ends it. Models a service between two requests.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arena/arena.h"

static unsigned long long cached_bytes(void)
{
	struct arena_memory memory;
	unsigned long long chunks = 0;

	arena_memory(&memory);
	for (int i = 0; i < ARENA_NR_SOURCES; i++)
		chunks += memory.source[i].cached_chunks;
	return chunks << 21;
}

static void fill(size_t mib)
{
	struct arena *arena = arena_new(NULL);
	size_t done = 0;

	for (; arena && done < mib; done++) {
		char *block = (char *)arena_alloc(arena, 1 << 20);

		if (!block)
			break;
		memset(block, 1, 1 << 20);
	}
	arena_free(arena);
	printf("filled %zu\n", done);
}

/* The child joins by itself, says how that went, and leaves; the parent's link goes on. */
static void fork_and_join(const char *socket_path)
{
	int status = 1;
	pid_t child = fork();

	if (child == 0) {
		status = arena_daemon_join(socket_path) != 0;
		arena_daemon_leave();
		_exit(status);
	}
	waitpid(child, &status, 0);
	printf("child %s\n", status == 0 ? "joined" : "failed");
}

int main(int argc, char **argv)
{
	char word[32];
	int mib;

	if (argc != 3)
		return 2;
	setlinebuf(stdout);
	mib = atoi(argv[2]);
	printf("joined %d\n", arena_daemon_join(argv[1]));
	fill((size_t)mib);
	while (scanf("%31s", word) == 1) {
		if (!strcmp(word, "cached"))
			printf("cached %llu\n", cached_bytes());
		else if (!strcmp(word, "fill"))
			fill((size_t)mib);
		else if (!strcmp(word, "join"))
			printf("joined %d\n", arena_daemon_join(argv[1]));
		else if (!strcmp(word, "leave"))
			arena_daemon_leave();
		else if (!strcmp(word, "fork"))
			fork_and_join(argv[1]);
	}
	arena_daemon_leave();
	return 0;
}
