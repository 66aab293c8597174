// SPDX-License-Identifier: MIT
/* The table of size classes made anew from its rules; every size and every offset of every span. */
#include "bits.h"
#include "classes.h"
#include "span.h"
#include "tests/harness.h"

/* Steps of 16 to 128, then eight to each doubling. */
static size_t next_size(size_t bytes)
{
	size_t doubling = CLASS_LINEAR_BYTES;

	if (bytes < CLASS_LINEAR_BYTES)
		return bytes + 16;
	while (doubling * 2 <= bytes)
		doubling *= 2;
	return bytes + doubling / 8;
}

static size_t fewest_pages(size_t bytes)
{
	size_t pages = pages_from_bytes(bytes);

	while (pages * PAGE_BYTES % bytes * 8 > pages * PAGE_BYTES)
		pages++;
	return pages;
}

TEST(table, "classes/the table follows its rules")
{
	size_t bytes = 0;

	for (unsigned int class = 1; class < NR_CLASSES; class++) {
		bytes = next_size(bytes);
		CHECK_EQ(size_classes[class].bytes, bytes);
		CHECK_EQ(size_classes[class].pages, fewest_pages(bytes));
		CHECK(size_classes[class].pages <= CLASS_MAX_PAGES);
		CHECK_EQ(class_slots(class), size_classes[class].pages * PAGE_BYTES / bytes);
	}
	CHECK_EQ(bytes, CLASS_MAX_BYTES);
	CHECK_EQ(size_classes[CLASS_NONE].bytes, 0);
}

TEST(sizes, "classes/every size gets the smallest class that holds it")
{
	unsigned int class = 1;

	for (size_t bytes = 1; bytes <= CLASS_MAX_BYTES; bytes++) {
		if (bytes > size_classes[class].bytes)
			class++;
		CHECK_EQ(class_of(bytes), class);
		CHECK(bytes <= CLASS_LINEAR_BYTES || (size_classes[class].bytes - bytes) * 8 <= bytes);
	}
	CHECK_EQ(class, NR_CLASSES - 1);
	CHECK_EQ(class_of(0), 1);
}

/* As free() does it, with the first slot at 0: the number of the slot, or more than any span has. */
static uint64_t slot_from(unsigned int class, uint64_t distance)
{
	return word_rotate_right(distance * class_inverse(class), SLOT_SHIFT);
}

TEST(inverse, "classes/an address is a slot if and only if one begins there")
{
	size_t nr = 0;

	for (unsigned int class = 1; class < NR_CLASSES; class++) {
		size_t bytes = size_classes[class].bytes, span_bytes = size_classes[class].pages * PAGE_BYTES;
		size_t first = size_classes[class].first_bytes;

		CHECK(first < bytes && first + class_slots(class) * bytes == span_bytes);
		/* Alignment is kept: what divides a class divides where it begins. */
		CHECK(first % ((size_t)1 << __builtin_ctzl(bytes | PAGE_BYTES)) == 0);
		for (size_t offset = 0; offset < span_bytes; offset++, nr++) {
			bool begins = offset >= first && (offset - first) % bytes == 0;
			uint64_t slot = slot_from(class, offset - first);

			CHECK(begins ? slot == (offset - first) / bytes : slot >= SPAN_MAX_SLOTS);
		}
	}
	CHECK_EQ(nr, 180 * PAGE_BYTES);
}

TEST(strangers, "classes/an address whose record is another's is no slot of it")
{
	/* From the least region to all addresses: a cache's mask covers that much at least. */
	for (unsigned int class = 1; class < NR_CLASSES; class++)
		for (unsigned int shift = 25; shift < 48; shift++)
			for (size_t offset = 0; offset < PAGE_BYTES; offset += 8) {
				CHECK(slot_from(class, ((uint64_t)1 << shift) + offset) >= SPAN_MAX_SLOTS);
				CHECK(slot_from(class, offset - ((uint64_t)1 << shift)) >= SPAN_MAX_SLOTS);
				CHECK(slot_from(class, ((uint64_t)0xffff << shift) + offset) >= SPAN_MAX_SLOTS);
			}
}

TEST(fronts, "classes/a size and its class lead to the same fronts")
{
	unsigned int next = 0;

	for (unsigned int class = 1; class < NR_CLASSES; class++) {
		CHECK_EQ(size_classes[class].first_front, next);
		CHECK(size_classes[class].front >= next);
		next = size_classes[class].front + 1;
	}
	CHECK_EQ(next, NR_FRONTS);
	for (size_t bytes = 1; bytes <= CLASS_LOOKUP_BYTES; bytes++) {
		unsigned int front = (unsigned int)(bytes - 1) / FRONT_BYTES;

		CHECK(front >= size_classes[class_of(bytes)].first_front && front <= size_classes[class_of(bytes)].front);
	}
}
