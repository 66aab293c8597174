/* SPDX-License-Identifier: MIT */
/* `arenactl heaps`: the heaps of processes that show them (arena/shared.h). */
#ifndef ARENAD_HEAPS_H
#define ARENAD_HEAPS_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

/**
 * Print the heaps of process @pid, or of all whose memory the caller may read (0); one JSON object on a line, or a table. 0, or -ENOENT
 * when there are none.
 */
int heaps_show(pid_t pid, bool is_json, FILE *out);

#endif /* ARENAD_HEAPS_H */
