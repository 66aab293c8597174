/* SPDX-License-Identifier: MIT */
/* The thread that gives idle chunks of heaps back to the system while the program works or sleeps. */
#ifndef LIBARENA_SCAVENGER_H
#define LIBARENA_SCAVENGER_H

#include "heap.h"

/* Heaps below have too little for a thread; its own stack and its wake-ups are not free. */
#define SCAVENGER_LEAST_CHUNKS 8

/** A heap has grown to SCAVENGER_LEAST_CHUNKS, or to a limit: have the thread, once. Not with a lock held; allocates. */
void scavenger_start(void);
/** Whether that was called already. */
bool scavenger_is_made(void);
/** Memory is short: give back all that is idle, now. Any thread, any lock may be held. */
void scavenger_press(void);
/** Chunks became idle. Cheap; any lock may be held. */
void scavenger_kick(void);
/** The child of a fork has no such thread. */
void scavenger_fork_child(void);

#endif /* LIBARENA_SCAVENGER_H */
