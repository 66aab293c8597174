// SPDX-License-Identifier: MIT
/* Starts programs with another malloc() than this process has, and takes what they print. */
#include "bench/child.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* On a machine with less than eight times as much an eighth of what there is. */
#define WARM_BYTES ((size_t)768 << 20)
#define STEP_BYTES ((size_t)4096)

void child_warm(void)
{
	size_t bytes = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE) / 8;
	char *memory;

	if (bytes > WARM_BYTES)
		bytes = WARM_BYTES;
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return;
	madvise(memory, bytes, MADV_HUGEPAGE);
	for (size_t at = 0; at < bytes; at += STEP_BYTES)
		*(volatile char *)(memory + at) = 1;
	munmap(memory, bytes);
}

bool child_path(const char *name, char *path, size_t bytes)
{
	ssize_t len = readlink("/proc/self/exe", path, bytes - 1);
	char *slash;

	if (len <= 0)
		return false;
	path[len] = '\0';
	slash = strrchr(path, '/');
	if (!slash || (size_t)(slash + 1 - path) + strlen(name) >= bytes)
		return false;
	memcpy(slash + 1, name, strlen(name) + 1);
	return !access(path, F_OK);
}

char **child_environment(const char *preload, char *variable, size_t bytes)
{
	size_t nr = 0, kept = 0;
	char **copy;

	while (environ[nr])
		nr++;
	copy = calloc(nr + 2, sizeof(*copy));
	if (!copy)
		return NULL;
	for (size_t i = 0; i < nr; i++)
		if (strncmp(environ[i], "LD_PRELOAD=", 11))
			copy[kept++] = environ[i];
	if (*preload) {
		snprintf(variable, bytes, "LD_PRELOAD=%s", preload);
		copy[kept] = variable;
	}
	return copy;
}

/* @out becomes standard output. The process, or -errno. */
static pid_t start(const char *path, char *const arguments[], const char *preload, bool silent, int out)
{
	char variable[640], **environment = child_environment(preload, variable, sizeof(variable));
	posix_spawn_file_actions_t actions;
	pid_t process;
	int error;

	if (!environment)
		return -ENOMEM;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	if (silent)
		posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	error = posix_spawnp(&process, path, &actions, NULL, arguments, environment);
	posix_spawn_file_actions_destroy(&actions);
	free(environment);
	return error ? -error : process;
}

/* To the end, so that the program is never stopped by a full pipe. */
static void take_output(int in, char *output, size_t bytes)
{
	char rest[512];
	size_t used = 0;
	ssize_t len;

	do {
		bool fits = used < bytes - 1;

		len = read(in, fits ? output + used : rest, fits ? bytes - 1 - used : sizeof(rest));
		used += fits && len > 0 ? (size_t)len : 0;
	} while (len > 0);
	output[used] = '\0';
}

int child_run(const char *path, char *const arguments[], const char *preload, bool silent, char *output, size_t bytes)
{
	int ends[2], status = -ECHILD;
	pid_t process;

	output[0] = '\0';
	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	process = start(path, arguments, preload, silent, ends[1]);
	close(ends[1]);
	if (process > 0)
		take_output(ends[0], output, bytes);
	close(ends[0]);
	if (process > 0)
		waitpid(process, &status, 0);
	return process < 0 ? process : status;
}
