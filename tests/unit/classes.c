// SPDX-License-Identifier: MIT
/* The table of size classes made anew from its rules; every size and every offset of every span. */
#include "classes.h"
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

TEST(slots, "classes/every offset of every span is in the right object")
{
	size_t nr = 0;

	for (unsigned int class = 1; class < NR_CLASSES; class++)
		for (size_t offset = 0; offset < size_classes[class].pages * PAGE_BYTES; offset++, nr++)
			CHECK_EQ(class_slot(class, offset), offset / size_classes[class].bytes);
	CHECK_EQ(nr, 180 * PAGE_BYTES);
}
