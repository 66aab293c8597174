/* SPDX-License-Identifier: MIT */
/* What the files of the malloc replacement share. */
#ifndef LIBARENA_SHIM_H
#define LIBARENA_SHIM_H

#include "heap.h"

#define SHIM_API __attribute__((visibility("default")))

/** Objects of the heap that malloc() is; NULL, without errno, when out of memory. */
void *shim_alloc(size_t bytes);
void *shim_alloc_aligned(size_t bytes, size_t align_bytes);

#endif /* LIBARENA_SHIM_H */
