/* SPDX-License-Identifier: MIT */
/* The event loop: descriptors and a time-out, on io_uring or, where that is switched off, on epoll. */
#ifndef ARENAD_LOOP_H
#define ARENAD_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;

/** Called with the poll(2) events that came. It may watch and unwatch, itself too. */
typedef void (*loop_fn)(void *context, uint32_t events);

/** @max_watches descriptors at most; all memory is taken here. NULL when neither backend can be had. */
struct loop *loop_create(unsigned int max_watches, bool want_uring);
void loop_destroy(struct loop *loop);
/** "io_uring" or "epoll". */
const char *loop_name(const struct loop *loop);
/** Call @fn while any of @events (poll(2) bits) holds for @fd. A ticket (>= 0), or -errno. */
int loop_watch(struct loop *loop, int fd, uint32_t events, loop_fn fn, void *context);
/** Call before the descriptor is closed. A negative ticket is ignored. */
void loop_unwatch(struct loop *loop, int ticket);
/** Wait for events, at most @timeout_ns, and call what they are for. 0 or -errno; -EINTR is 0. */
int loop_run(struct loop *loop, uint64_t timeout_ns);

#endif /* ARENAD_LOOP_H */
