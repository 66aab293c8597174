/* SPDX-License-Identifier: MIT */
/* The heaps of the process as JSON. */
#ifndef LIBARENA_HEAP_JSON_H
#define LIBARENA_HEAP_JSON_H

#include "panic.h"

/* Longest text: eight numbers for each of 64 heaps, with room to spare. */
#define HEAP_JSON_BYTES (32 * KiB)

/** Append one object with all heaps, without allocating. Takes lock_setup, and each heap's lock. */
void heap_put_json(struct text *text);

#endif /* LIBARENA_HEAP_JSON_H */
