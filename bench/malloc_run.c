// SPDX-License-Identifier: MIT
/*
 * Starts the driver with an allocator, and takes its line in. Knows which allocators there are: ours beside this program, the
 * others as the dynamic linker finds them. One that is not there is left out by name; a run whose malloc() was not the
 * allocator of its row is a failure.
 */
#include "bench/malloc.h"

#include "bench/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <limits.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUR_LIBRARY "libarena-malloc.so"
#define DRIVER "arena-bench-malloc"

enum { LINE_BYTES = 2048 };

static const struct {
	const char *name;
	const char *library;	/* as the dynamic linker finds it; NULL: nothing preloaded */
} known[] = {
	{ OURS, OUR_LIBRARY },
	{ "glibc", NULL },
	{ "mimalloc", "libmimalloc.so.2" },
	{ "jemalloc", "libjemalloc.so.2" },
	{ "gperftools", "libtcmalloc_minimal.so.4" },
};
enum { NR_KNOWN = sizeof(known) / sizeof(known[0]) };

/* ---------------------------------------------------------------- one process */

/* The path of a file beside this program; false when there is none. */
static bool path_beside(const char *name, char *path, size_t bytes)
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

/* This environment, but for what is preloaded; for free(). */
static char **environment_with(char *preload)
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
	copy[kept] = preload;
	return copy;
}

/* @out becomes standard output; with @silent there is no standard error. The process, or -errno. */
static pid_t spawn(const char *preload, char *program, char *size, int out, bool silent)
{
	char driver[PATH_MAX], variable[640], name[] = DRIVER, *arguments[] = { name, program, size, NULL };
	posix_spawn_file_actions_t actions;
	char **environment;
	pid_t process;
	int error;

	snprintf(variable, sizeof(variable), "LD_PRELOAD=%s", preload);
	environment = environment_with(*preload ? variable : NULL);
	if (!environment || !path_beside(DRIVER, driver, sizeof(driver))) {
		free(environment);
		return -ENOENT;
	}
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	if (silent)
		posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	error = posix_spawn(&process, driver, &actions, NULL, arguments, environment);
	posix_spawn_file_actions_destroy(&actions);
	free(environment);
	return error ? -error : process;
}

/* What the driver prints; 0, or 1 after a message that is left out with @silent. */
static int run_driver(const struct allocator *allocator, const char *program, size_t size, bool silent,
		      char line[LINE_BYTES])
{
	char name[24], number[24];
	int ends[2], status = -1;
	ssize_t len;
	pid_t process;

	snprintf(name, sizeof(name), "%s", program);
	snprintf(number, sizeof(number), "%zu", size);
	if (pipe2(ends, O_CLOEXEC))
		return bench_fail("malloc: pipe: %s", strerror(errno));
	process = spawn(allocator->preload, name, number, ends[1], silent);
	close(ends[1]);
	/* The line is shorter than what a pipe takes at once. */
	len = process > 0 ? read(ends[0], line, LINE_BYTES - 1) : 0;
	close(ends[0]);
	if (process > 0)
		waitpid(process, &status, 0);
	line[len > 0 ? len : 0] = '\0';
	if (process > 0 && !status && len > 0)
		return 0;
	return silent ? 1 : bench_fail("malloc: %s/%s: " DRIVER ": %s, wait status %#x", program, allocator->name,
				       process < 0 ? strerror(-process) : "failed", (unsigned int)status);
}

/* ---------------------------------------------------------------- its line */

/* "METRIC:UNIT=NUMBER" */
static bool take_metric(const char *word, const char *name, const char *source, struct report *report)
{
	char metric[32], unit[32], rest;
	double value;

	if (sscanf(word, "%31[^:]:%31[^=]=%lf%c", metric, unit, &value, &rest) != 3)
		return false;
	report_add(report, "malloc", name, source, metric, unit, value);
	return true;
}

int malloc_take_line(const struct allocator *allocator, const char *program, char *line, struct report *report)
{
	const char *source = MALLOC_SOURCE;
	char name[64], *state = NULL;

	snprintf(name, sizeof(name), "%s/%s", program, allocator->name);
	for (char *word = strtok_r(line, " \n", &state); word; word = strtok_r(NULL, " \n", &state)) {
		if (!strncmp(word, "library=", 8)) {
			if (strcmp(word + 8, allocator->file))
				return bench_fail("malloc: %s: not really %s: malloc() is in %s", name, allocator->file,
						  word + 8);
		} else if (!strncmp(word, "source=", 7)) {
			source = strcmp(allocator->name, OURS) ? MALLOC_SOURCE : word + 7;
		} else if (!take_metric(word, name, source, report)) {
			return bench_fail("malloc: %s: the driver said '%s'", name, word);
		}
	}
	return 0;
}

int malloc_run(const struct allocator *allocator, const char *program, size_t size, struct report *report)
{
	char line[LINE_BYTES];

	return run_driver(allocator, program, size, false, line) || malloc_take_line(allocator, program, line, report);
}

/* ---------------------------------------------------------------- which there are */

/* The package that a file is from, as Debian names and counts it; elsewhere the name of the file has to do. */
static void find_version(struct allocator *allocator)
{
	char command[PATH_MAX + 128], *slash = strrchr(allocator->file, '/');
	FILE *answer;

	snprintf(allocator->version, sizeof(allocator->version), "%.60s", slash ? slash + 1 : allocator->file);
	if (strchr(allocator->file, '\''))
		return;
	snprintf(command, sizeof(command),
		 "dpkg-query -W -f '${Package} ${Version}\n' \"$(dpkg-query -S '%s' | cut -d: -f1)\" 2>/dev/null",
		 allocator->file);
	answer = popen(command, "re");
	if (!answer)
		return;
	if (fscanf(answer, " %63[^\n]", allocator->version) != 1)
		snprintf(allocator->version, sizeof(allocator->version), "%.60s", slash ? slash + 1 : allocator->file);
	pclose(answer);
}

/* Ours is the one beside this program; once installed, the linker knows it. */
static void set_preload(struct allocator *allocator, const char *library)
{
	if (!library)
		allocator->preload[0] = '\0';
	else if (strcmp(library, OUR_LIBRARY) || !path_beside(library, allocator->preload, sizeof(allocator->preload)))
		snprintf(allocator->preload, sizeof(allocator->preload), "%s", library);
}

/* Whether a trial run finds malloc() in @library; fills where. */
static bool probe(struct allocator *allocator, const char *library)
{
	char line[LINE_BYTES], *file;

	set_preload(allocator, library);
	if (run_driver(allocator, "pingpong64", 1, true, line) ||
	    sscanf(line, "library=%511[^ ]", allocator->file) != 1)
		return false;
	file = strrchr(allocator->file, '/') + 1;
	/* libmimalloc.so.2 is a link to libmimalloc.so.2.0. */
	return !strncmp(file, library ? library : "libc.so.6", strlen(library ? library : "libc.so.6"));
}

static void set_version(struct allocator *allocator)
{
	if (!strcmp(allocator->name, OURS))
		snprintf(allocator->version, sizeof(allocator->version), "%s", arena_version());
	else if (!*allocator->preload)
		snprintf(allocator->version, sizeof(allocator->version), "%s", gnu_get_libc_version());
	else
		find_version(allocator);
}

/* How many; 0 after a message when ours is not among them. */
static size_t find_allocators(struct allocator found[NR_KNOWN])
{
	size_t nr = 0;

	for (size_t i = 0; i < NR_KNOWN; i++) {
		struct allocator *allocator = &found[nr];

		allocator->name = known[i].name;
		if (probe(allocator, known[i].library)) {
			set_version(allocator);
			nr++;
		} else if (!nr) {
			bench_fail("malloc: " DRIVER " does not run with %s; both belong beside arena-bench",
				   allocator->preload);
			return 0;
		} else {
			bench_skip("%s: %s is not there", known[i].name, known[i].library);
		}
	}
	return nr;
}

const struct allocator *malloc_allocators(size_t *nr)
{
	static struct allocator found[NR_KNOWN];	/* filled on first use, by the main thread */
	static size_t nr_found;

	if (!nr_found)
		nr_found = find_allocators(found);
	*nr = nr_found;
	return nr_found ? found : NULL;
}

void malloc_print_versions(FILE *out)
{
	size_t nr;
	const struct allocator *allocators = malloc_allocators(&nr);

	for (size_t i = 0; allocators && i < nr; i++)
		fprintf(out, "# %s: %s (%s)\n", allocators[i].name, allocators[i].version, allocators[i].file);
}
