/* SPDX-License-Identifier: MIT */
/*
 * Sizes to ask for in tests that count slots, pages or chunks: where heaps look after their objects (libarena/checked.h), a part of
 * each slot is not the object's.
 */
#ifndef TESTS_UNIT_FIT_H
#define TESTS_UNIT_FIT_H

#include "checked.h"
#include "classes.h"

/** The longest object that gets a slot, or whole pages, of @slot_bytes. */
static inline size_t fit(size_t slot_bytes)
{
	return slot_bytes - checked_tail_bytes();
}

/** The slot, or the pages, that an object of @bytes gets. */
static inline size_t slot_of(size_t bytes)
{
	bytes += checked_tail_bytes();
	return bytes <= CLASS_MAX_BYTES ? size_classes[class_of(bytes)].bytes : align_up(bytes, PAGE_BYTES);
}

#endif /* TESTS_UNIT_FIT_H */
