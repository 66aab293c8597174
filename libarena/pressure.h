/* SPDX-License-Identifier: MIT */
/*
 * Pressure that the process is told of from outside: systemd's protocol of MEMORY_PRESSURE_WATCH (systemd.io, "Memory Pressure Handling"), and the
 * notices of the module behind source dev. A thread waits for them; at each one the scavenger gives back all that is idle.
 */
#ifndef LIBARENA_PRESSURE_H
#define LIBARENA_PRESSURE_H

#include "base.h"

/** Begin to watch what the environment names, if it does. Once in a process, not with a lock held; allocates. */
void pressure_start(void);

/** Decode Base64 (RFC 4648, with padding): how many bytes, or -1 when @text is none, or of more than @max bytes. */
int pressure_decode(const char *text, unsigned char *data, int max);

#endif /* LIBARENA_PRESSURE_H */
