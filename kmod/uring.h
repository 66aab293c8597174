/* SPDX-License-Identifier: GPL-2.0-only */
/* The calls by way of io_uring, on both kinds of file. */
#ifndef ARENA_URING_H
#define ARENA_URING_H

struct io_uring_cmd;

/** ->uring_cmd: see ARENA_URING_BATCH in the uapi. */
int uring_command(struct io_uring_cmd *cmd, unsigned int issue_flags);

#endif /* ARENA_URING_H */
