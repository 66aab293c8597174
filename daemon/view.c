// SPDX-License-Identifier: MIT
/*
 * Gathers a view: from the daemon what it did, from the module what it counts, from the kernel the pressure. Each
 * part is asked for where it is known first hand, so that the others are shown when one is missing.
 */
#include "daemon/view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/link.h"

/* A peer may be evicted before it was heard when somebody floods the socket; then it is worth another try. */
#define NR_TRIES 3

static int ask_once(struct view *view)
{
	struct ctl_header question, *answer;
	int error, fd = link_open(view->socket);

	if (fd < 0)
		return fd;
	ctl_header_init(&question, CTL_STATUS_ASK, sizeof(question), 1);
	error = link_ask(fd, &question, CTL_STATUS, &answer);
	close(fd);
	if (error)
		return error;
	view->status = (struct ctl_status *)(void *)answer;
	view->processes = (const struct ctl_process *)(const void *)(view->status + 1);
	view->decisions = (const struct ctl_decision *)(const void *)(view->processes + view->status->nr_processes);
	return 0;
}

static void read_daemon(struct view *view)
{
	for (int i = 0; i < NR_TRIES; i++) {
		view->daemon_error = ask_once(view);
		if (view->daemon_error != -ECONNRESET)
			return;
	}
}

static void read_spaces(struct view *view, int fd)
{
	struct arena_space_stat space = { .id = 0 };
	size_t capacity = 0;

	while (module_space(fd, space.id, &space) == 0) {
		if (view->nr_spaces == capacity) {
			size_t more = capacity ? 2 * capacity : 16;
			void *moved = realloc(view->spaces, more * sizeof(space));

			if (!moved)
				return;
			view->spaces = (struct arena_space_stat *)moved;
			capacity = more;
		}
		view->spaces[view->nr_spaces++] = space;
	}
}

static void read_module(struct view *view)
{
	int fd = module_open(view->device);

	if (fd < 0) {
		view->module_error = fd;
		return;
	}
	view->module_error = module_info(fd, &view->info) ?: module_stat(fd, &view->stat);
	if (!view->module_error)
		read_spaces(view, fd);
	close(fd);
}

/* Without a right to the device, the daemon's counters will do. */
static void borrow_stat(struct view *view)
{
	const struct ctl_status *status = view->status;

	if (!view->module_error || !status || !status->has_module)
		return;
	view->stat = (struct arena_stat){
		.taken_chunks = status->taken_chunks,
		.returned_chunks = status->returned_chunks,
		.handed_chunks = status->handed_chunks,
		.kept_chunks = status->kept_chunks,
		.clean_chunks = status->clean_chunks,
		.dirty_chunks = status->dirty_chunks,
		.quarantined_chunks = status->quarantined_chunks,
		.discarded_chunks = status->discarded_chunks,
		.nr_spaces = status->nr_spaces,
	};
}

void view_read(struct view *view, const char *socket, const char *device)
{
	struct pressure pressure;

	*view = (struct view){ .socket = socket, .device = device };
	read_daemon(view);
	read_module(view);
	borrow_stat(view);
	view->psi_error = pressure_read_psi(PRESSURE_PSI_PATH, &view->psi);
	view->memory_error = pressure_open(&pressure, NULL) ?: pressure_read_memory(&pressure, &view->memory);
	pressure_close(&pressure);
}

void view_free(struct view *view)
{
	free(view->status);
	free(view->spaces);
}
