// SPDX-License-Identifier: MIT
/* Sizes and the arithmetic on them, enumerated around every border. */
#include "geometry.h"
#include "tests/harness.h"

TEST(rounding, "geometry/rounding")
{
	size_t nr = 0;

	for (size_t chunks = 0; chunks < 8; chunks++)
		for (int around = -2; around <= 2; around++) {
			size_t bytes = chunks * CHUNK_BYTES + (size_t)around, expected = chunks + (around > 0);

			if (!chunks && around < 0)
				continue;
			CHECK_EQ(chunks_from_bytes(bytes), expected);
			nr++;
		}
	CHECK_EQ(nr, 38);
	CHECK_EQ(pages_from_bytes(0), 0);
	CHECK_EQ(pages_from_bytes(1), 1);
	CHECK_EQ(pages_from_bytes(PAGE_BYTES), 1);
	CHECK_EQ(pages_from_bytes(SIZE_MAX), SIZE_MAX / PAGE_BYTES + 1);
}

TEST(alignment, "geometry/alignment")
{
	for (unsigned int shift = 0; shift < 12; shift++)
		for (size_t x = 0; x < 5000; x++) {
			size_t align = (size_t)1 << shift, up = align_up(x, align);

			CHECK(up % align == 0);
			CHECK(x <= up && up - x < align);
		}
	CHECK(is_power_of_two(1) && is_power_of_two(CHUNK_BYTES));
	CHECK(!is_power_of_two(0) && !is_power_of_two(3) && !is_power_of_two(CHUNK_BYTES - 1));
}
