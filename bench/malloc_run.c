// SPDX-License-Identifier: MIT
/*
 * Starts the driver with an allocator, and takes its line in. Knows which allocators there are: ours beside this program, the
 * others as the dynamic linker finds them. One that is not there is left out by name; a run whose malloc() was not the
 * allocator of its row is a failure.
 */
#include "bench/malloc.h"

#include "bench/bench.h"
#include "bench/child.h"

#include <errno.h>
#include <gnu/libc-version.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

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

/* What the driver prints; 0, or 1 after a message that is left out with @silent. */
static int run_driver(const struct allocator *allocator, const char *program, size_t size, bool silent,
		      char line[LINE_BYTES])
{
	char driver[PATH_MAX], name[24], number[24], own_name[] = DRIVER, *arguments[] = { own_name, name, number, NULL };
	int status = -ENOENT;

	snprintf(name, sizeof(name), "%s", program);
	snprintf(number, sizeof(number), "%zu", size);
	if (child_path(DRIVER, driver, sizeof(driver)))
		status = child_run(driver, arguments, allocator->preload, silent, line, LINE_BYTES);
	if (!status && *line)
		return 0;
	return silent ? 1 : bench_fail("malloc: %s/%s: " DRIVER ": %s, wait status %#x", program, allocator->name,
				       status < 0 ? strerror(-status) : "failed", (unsigned int)status);
}

/* ---------------------------------------------------------------- its line */

/* "METRIC:UNIT=NUMBER" */
static bool take_metric(const char *word, const char *bench, const char *name, const char *source, struct report *report)
{
	char metric[32], unit[32], rest;
	double value;

	if (sscanf(word, "%31[^:]:%31[^=]=%lf%c", metric, unit, &value, &rest) != 3)
		return false;
	report_add(report, bench, name, source, metric, unit, value);
	return true;
}

int malloc_take_line(const struct allocator *allocator, const char *bench, const char *program, char *line, struct report *report)
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
		} else if (!take_metric(word, bench, name, source, report)) {
			return bench_fail("malloc: %s: the driver said '%s'", name, word);
		}
	}
	return 0;
}

int malloc_run(const struct allocator *allocator, const char *bench, const char *program, size_t size, struct report *report)
{
	char line[LINE_BYTES];

	return run_driver(allocator, program, size, false, line) || malloc_take_line(allocator, bench, program, line, report);
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
	else if (strcmp(library, OUR_LIBRARY) || !child_path(library, allocator->preload, sizeof(allocator->preload)))
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

const char *malloc_version(const char *name)
{
	size_t nr;
	const struct allocator *allocators = malloc_allocators(&nr);

	for (size_t i = 0; allocators && i < nr; i++)
		if (!strcmp(allocators[i].name, name))
			return allocators[i].version;
	return NULL;
}

void malloc_print_versions(FILE *out)
{
	size_t nr;
	const struct allocator *allocators = malloc_allocators(&nr);

	for (size_t i = 0; allocators && i < nr; i++)
		fprintf(out, "# %s: %s (%s)\n", allocators[i].name, allocators[i].version, allocators[i].file);
}
