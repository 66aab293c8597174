/* SPDX-License-Identifier: GPL-2.0-only */
/* Mapping chunks ahead of the touch. */
#ifndef ARENA_POPULATE_H
#define ARENA_POPULATE_H

#include <linux/types.h>

struct address_space;

/**
 * Map the @length_bytes (> 0) at @address of the caller's address space, which must be mappings of
 * @mapping; both are multiples of a chunk. Writable where the mapping is. 0; -EFAULT where nothing
 * may be mapped; -ENOMEM for page tables; -EHWPOISON; -EINTR on a fatal signal. What came before an
 * error stays mapped. Sleeps.
 */
int populate_range(struct address_space *mapping, u64 address, u64 length_bytes);

#endif /* ARENA_POPULATE_H */
