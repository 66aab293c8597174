// SPDX-License-Identifier: MIT
/*
 * The four sources.
 *
 * Each has one window, so that the kernel sees few mappings. Anonymous sources open addresses some chunks ahead;
 * hugetlb maps at each acquisition, because the reservation made there is what makes touching safe; the device is mapped
 * once over its whole window, and slots are reserved and zapped.
 *
 * fork(): anonymous memory is copied on write as usual. The device's window is not inherited: a child's access to it
 * faults, and arenas that the child makes get a window of their own. A child that writes to hugetlb memory
 * may be killed by the kernel when no huge page is left for its copy.
 */
#include "source.h"

#include <errno.h>
#include <string.h>

#include "dev.h"
#include "opt.h"
#include "revoke.h"

/* ---------------------------------------------------------------- names */

static const char *const source_names[ARENA_NR_SOURCES] = {
	[ARENA_SOURCE_AUTO] = "auto",
	[ARENA_SOURCE_DEV] = "dev",
	[ARENA_SOURCE_HUGETLB] = "hugetlb",
	[ARENA_SOURCE_THP] = "thp",
	[ARENA_SOURCE_PAGES] = "pages",
};

const char *arena_source_name(enum arena_source source)
{
	return source_is_known(source) ? source_names[source] : "?";
}

int arena_source_parse(const char *name)
{
	for (int i = 0; i < ARENA_NR_SOURCES; i++)
		if (!strcmp(name, source_names[i]))
			return i;
	return -EINVAL;
}

/* ---------------------------------------------------------------- windows */

/* 16 MiB of addresses is the least that is worth having. */
#define LEAST_CHUNKS 8
/* 128 MiB: one call per 64 chunks, and little accessible that nobody holds. */
#define STEP_CHUNKS 64

static struct window_options chunk_window(enum os_pages pages)
{
	return (struct window_options){
		.want_units = opt_get(OPT_WINDOW_CHUNKS),
		.least_units = LEAST_CHUNKS,
		.step_units = STEP_CHUNKS,
		.unit_shift = CHUNK_SHIFT,
		.pages = pages,
	};
}

static int start_anonymous(struct window **window, enum os_pages pages)
{
	struct window_options options = chunk_window(pages);

	*window = window_create(&options);
	return *window ? 0 : -ENOMEM;
}

/* ---------------------------------------------------------------- pages, thp */

static int start_pages(struct window **window)
{
	return start_anonymous(window, OS_PAGES_SMALL);
}

static int start_thp(struct window **window)
{
	char mode[64];

	if (!os_read_text("/sys/kernel/mm/transparent_hugepage/enabled", mode, sizeof(mode)))
		return -ENOTSUP;
	if (strstr(mode, "[never]"))
		return -ENOTSUP;
	return start_anonymous(window, OS_PAGES_HUGE);
}

/* ---------------------------------------------------------------- hugetlb */

static int back_hugetlb(struct window *window, size_t unit, size_t nr)
{
	int error = os_map_hugetlb((void *)window_address(window, unit), nr * CHUNK_BYTES);

	if (!error)
		window_set_kind_locked(window, unit, nr, KIND_OWN);
	else
		window_recover_locked(window, unit, nr);
	return error;
}

static int start_hugetlb(struct window **window)
{
	void *probe = os_reserve(CHUNK_BYTES, CHUNK_BYTES);
	int error = probe ? os_map_hugetlb(probe, CHUNK_BYTES) : -ENOMEM;

	if (probe)
		os_unreserve(probe, CHUNK_BYTES);
	if (error)
		return error == -EINVAL ? -ENOTSUP : error;
	return start_anonymous(window, OS_PAGES_SMALL);
}

/* ---------------------------------------------------------------- dev */

static int map_device(struct window *window)
{
	int fd = dev_create(window->nr_units);
	int error;

	if (fd < 0)
		return fd;
	error = os_map_file((void *)window->base, window->nr_units * CHUNK_BYTES, fd);
	if (error) {
		dev_close(fd);
		return error;
	}
	window->fd = fd;
	window->device = true;
	memset(window->kind, KIND_OPEN, window->nr_units);
	return 0;
}

static int start_dev(struct window **window)
{
	struct window_options options = chunk_window(OS_PAGES_HUGE);
	size_t max_slots;
	int error = dev_max_slots(&max_slots);

	if (error)
		return error;
	options.want_units = size_min(options.want_units, max_slots);
	*window = window_create(&options);
	if (!*window)
		return -ENOMEM;
	error = map_device(*window);
	if (error) {
		window_destroy(*window);
		*window = NULL;
	}
	return error;
}

static int back_dev(struct window *window, size_t unit, size_t nr)
{
	return window->lost ? -ENOMEM : dev_reserve(window->fd, unit, nr);
}

/* A window that a fork left behind has no memory of this process; its addresses fault already. */
static size_t revoke_dev(struct window *window, size_t unit, size_t nr)
{
	int error = window->lost ? 0 : dev_zap(window->fd, unit, nr);

	/* The range is ours and empty slots are skipped, so only a descriptor that is not ours any more can fail. */
	if (error)
		panic("giving chunks back to the module failed with error %d; did the program close descriptor %d?",
		      -error, window->fd);
	window_rest_locked(window, unit, nr);
	return nr;
}

/* ---------------------------------------------------------------- the table */

static const struct source_ops ops[ARENA_NR_SOURCES] = {
	[ARENA_SOURCE_DEV] = { start_dev, back_dev, revoke_dev, .can_move = false, .can_populate = true },
	[ARENA_SOURCE_HUGETLB] = { start_hugetlb, back_hugetlb, revoke_units_locked, .can_populate = true },
	[ARENA_SOURCE_THP] = { start_thp, window_open_locked, revoke_units_locked, .can_move = true,
			       .can_populate = true },
	[ARENA_SOURCE_PAGES] = { start_pages, window_open_locked, revoke_units_locked, .can_move = true,
				 .can_populate = true },
};

const struct source_ops *source_ops(enum arena_source source)
{
	check(source > ARENA_SOURCE_AUTO && source < ARENA_NR_SOURCES);
	return &ops[source];
}
