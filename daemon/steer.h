/* SPDX-License-Identifier: MIT */
/* The wheel: gathers what policy needs, does what it says, remembers why. */
#ifndef ARENAD_STEER_H
#define ARENAD_STEER_H

#include "daemon/config.h"
#include "daemon/loop.h"

struct steer;

/** Opens the module, pressure and the socket, as far as they are there. NULL after saying why not. */
struct steer *steer_create(const struct config *config, struct loop *loop);
void steer_destroy(struct steer *steer);
/** What the daemon starts with, in one line each. */
void steer_introduce(const struct steer *steer);
/** Do what is due. Returns nanoseconds until something is due again. */
uint64_t steer_tick(struct steer *steer);

#endif /* ARENAD_STEER_H */
