// SPDX-License-Identifier: MIT
/*
 * Whose memory is in use, as a text: the stacks that hold most, with the names that the dynamic linker knows. addr2line(1) takes the
 * rest: file and offset are there.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena/profile.h"
#include "panic.h"
#include "stack.h"

/* Stacks that are listed; what is left out is counted. */
#define SITES_MOST 100
#define LINE_BYTES 1024

struct list {
	struct arena_profile_site *sites;
	size_t nr, max;
	uint64_t objects, bytes;
	bool failed;
};

static bool add(const struct arena_profile_site *site, void *data)
{
	struct list *list = data;

	if (!site->used_objects)
		return true;
	if (list->nr == list->max) {
		size_t max = list->max ? 2 * list->max : 64;
		void *grown = realloc(list->sites, max * sizeof(*list->sites));

		list->failed = !grown;
		if (!grown)
			return false;
		list->sites = grown;
		list->max = max;
	}
	list->sites[list->nr++] = *site;
	list->objects += site->used_objects;
	list->bytes += site->used_bytes;
	return true;
}

static int by_bytes(const void *left, const void *right)
{
	uint64_t a = ((const struct arena_profile_site *)left)->used_bytes, b = ((const struct arena_profile_site *)right)->used_bytes;

	return a < b ? 1 : a > b ? -1 : 0;
}

static int write_all(int fd, const char *text)
{
	size_t left = strlen(text);

	while (left) {
		ssize_t done = write(fd, text, left);

		if (done < 0 && errno != EINTR)
			return -errno;
		left -= done > 0 ? (size_t)done : 0;
		text += done > 0 ? done : 0;
	}
	return 0;
}

/* One address of a stack. */
static int write_frame(int fd, uintptr_t address)
{
	char line[LINE_BYTES];
	struct text text;

	text_init(&text, line, sizeof(line));
	text_put(&text, "\t");
	stack_put_name(&text, address);
	text_put(&text, "\n");
	return write_all(fd, line);
}

static const char *place_of(const char *kind)
{
	return !strcmp(kind, "arena") ? "arenas" : !strcmp(kind, "gc") ? "collected heaps" : "the heap";
}

static int write_site(int fd, const struct arena_profile_site *site)
{
	char line[LINE_BYTES];
	struct text text;
	int error;

	text_init(&text, line, sizeof(line));
	text_put(&text, "arena: about %lu bytes in %lu objects of %s from%s\n", site->used_bytes, site->used_objects,
		 place_of(site->kind), site->nr_addresses ? "" : " an unknown place");
	error = write_all(fd, line);
	for (size_t i = 0; !error && i < site->nr_addresses; i++)
		error = write_frame(fd, site->addresses[i]);
	return error;
}

static int write_list(int fd, const struct list *list)
{
	char line[LINE_BYTES];
	struct text text;
	int error;

	text_init(&text, line, sizeof(line));
	text_put(&text, "arena: in use: about %lu bytes in %lu objects from %zu places; a sample every %zu bytes\n", list->bytes, list->objects,
		 list->nr, arena_profile_mean_bytes());
	error = write_all(fd, line);
	for (size_t i = 0; !error && i < list->nr && i < SITES_MOST; i++)
		error = write_site(fd, &list->sites[i]);
	if (!error && list->nr > SITES_MOST)
		error = write_all(fd, "arena: and smaller ones\n");
	return error;
}

int arena_profile_report(int fd)
{
	struct list list = { 0 };
	int saved = errno, error;

	arena_profile_pause();
	arena_profile_for_each(add, &list);
	if (list.nr)
		qsort(list.sites, list.nr, sizeof(*list.sites), by_bytes);
	error = list.failed ? -ENOMEM : write_list(fd, &list);
	free(list.sites);
	arena_profile_resume();
	errno = saved;
	return error;
}
