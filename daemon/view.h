/* SPDX-License-Identifier: MIT */
/* Everything that `arenactl status` knows at one moment, whoever it came from. */
#ifndef ARENAD_VIEW_H
#define ARENAD_VIEW_H

#include <stdint.h>
#include <stdio.h>

#include "daemon/module.h"
#include "daemon/pressure.h"
#include "libarena/ctl_proto.h"

/* Of each part: what there is, or a negative error that says why it is missing. */
struct view {
	const char *socket;
	const char *device;
	int daemon_error;
	struct ctl_status *status;		/* NULL without a daemon; the two arrays follow it */
	const struct ctl_process *processes;
	const struct ctl_decision *decisions;
	int module_error;
	struct arena_info info;
	struct arena_stat stat;
	struct arena_space_stat *spaces;	/* those that the caller may see */
	size_t nr_spaces;
	int psi_error;
	struct pressure_psi psi;
	int memory_error;
	struct pressure_memory memory;
};

/** Look at everything. What is missing is said in the error fields; never fails as a whole. */
void view_read(struct view *view, const char *socket, const char *device);
void view_free(struct view *view);

void show_text(const struct view *view, FILE *out);
/** One JSON object on one line. */
void show_json(const struct view *view, FILE *out);

#endif /* ARENAD_VIEW_H */
