/* SPDX-License-Identifier: MIT */
/* A tool's end of the link to arenad: one question, one answer, with a time-out. */
#ifndef ARENAD_LINK_H
#define ARENAD_LINK_H

#include <stddef.h>
#include <stdint.h>

#include "libarena/ctl_proto.h"

/** The path that is meant when none is given: $ARENA_SOCKET, else the default. */
const char *link_default_path(void);
/** A connected descriptor, or -errno: -ENOENT and -ECONNREFUSED no daemon, -EACCES no right. */
int link_open(const char *path);
/**
 * Ask with @question (its header filled in) and wait for an answer of @type. The answer in *@answer is freed by the caller.
 * 0 or -errno: -ETIMEDOUT, -ECONNRESET when the daemon hung up, -EPROTO for anything unexpected.
 */
int link_ask(int fd, const struct ctl_header *question, enum ctl_type type, struct ctl_header **answer);

#endif /* ARENAD_LINK_H */
