// SPDX-License-Identifier: MIT
/*
 * The arithmetic of sampling: estimates are unbiased, for one size, for many, and for call sites that alternate; distances are
 * distributed as they should be. Everything follows from the seed, which is printed.
 */
#include <stdlib.h>

#include "sample.h"
#include "tests/harness.h"

/* Sites that allocate in turn: the estimate of each must be near the truth. */
struct site {
	size_t bytes;
	uint64_t objects, allocated;
	struct sample_weight estimate;
};

static struct sample_random seeded(void)
{
	struct sample_random random;

	sample_seed(&random, harness_seed());
	return random;
}

/*
 * The sum of n Poisson weights has a standard deviation of sqrt(samples) / samples: @percent is six of these and more for the numbers
 * of samples here, so that no seed fails.
 */
static void check_near(const struct site *site, unsigned int percent)
{
	uint64_t objects = site->estimate.units / SAMPLE_UNIT, allocated = site->allocated;

	harness_note("size %zu: %lu bytes, estimated %lu; %lu objects, estimated %lu", site->bytes, (unsigned long)allocated,
		     (unsigned long)site->estimate.bytes, (unsigned long)site->objects, (unsigned long)objects);
	CHECK(site->estimate.bytes > allocated - allocated * percent / 100);
	CHECK(site->estimate.bytes < allocated + allocated * percent / 100);
	CHECK(objects + 1 > site->objects - site->objects * percent / 100);
	CHECK(objects < site->objects + site->objects * percent / 100 + 1);
}

static void add(struct site *site, uint64_t mean_bytes)
{
	struct sample_weight weight = sample_weigh(mean_bytes, site->bytes);

	site->estimate.units += weight.units;
	site->estimate.bytes += weight.bytes;
}

/* One line of objects, as in the bins of a cache: the distance is counted in objects. */
static void allocate(struct site *sites, size_t nr_sites, size_t nr_objects, uint64_t mean_bytes)
{
	struct sample_random random = seeded();
	uint32_t skip = sample_skip(&random, mean_bytes, sites[0].bytes);

	for (size_t i = 0; i < nr_objects; i++) {
		struct site *site = &sites[i % nr_sites];

		site->objects++;
		site->allocated += site->bytes;
		if (skip--)
			continue;
		add(site, mean_bytes);
		skip = sample_skip(&random, mean_bytes, site->bytes);
	}
}

TEST(one, "sample/one site: bytes and objects are estimated without bias, for small and large objects")
{
	static const size_t sizes[] = { 16, 48, 1024, 8192, 32768 };

	for (size_t i = 0; i < 5; i++) {
		struct site site = { .bytes = sizes[i] };

		/* 4,096 samples. */
		allocate(&site, 1, 4096 * 32768 / sizes[i], 32768);
		check_near(&site, 10);
	}
}

TEST(alternating, "sample/two sites that alternate strictly, with objects of one class, share the samples")
{
	struct site sites[2] = { { .bytes = 64 }, { .bytes = 64 } };

	/* A mean that is a multiple of both, as it would be by accident in a program. */
	allocate(sites, 2, 8 * 1000 * 1000, 64 * 1024);
	check_near(&sites[0], 12);
	check_near(&sites[1], 12);
}

TEST(exact, "sample/a counter without chance would miss one of them: the test above tells")
{
	struct site sites[2] = { { .bytes = 64 }, { .bytes = 64 } };
	uint32_t left = 1024;

	for (size_t i = 0; i < 8 * 1000 * 1000; i++)
		if (!--left) {
			add(&sites[i % 2], 64 * 1024);
			left = 1024;
		}
	CHECK(!sites[0].estimate.bytes && sites[1].estimate.bytes);
}

TEST(mixed, "sample/single objects of many sizes, far below and far above the mean")
{
	struct sample_random random = seeded(), sizes = { .state = 7 };
	struct site all = { .bytes = 0 };
	const uint64_t mean_bytes = 100000;

	for (size_t i = 0; i < 100000; i++) {
		/* Most are small, few are ten times the mean. */
		uint64_t bytes = 1 + sample_distance(&sizes, i % 50 ? 1000 : 1000000);
		struct sample_weight weight = sample_weigh(mean_bytes, bytes);

		all.objects++;
		all.allocated += bytes;
		if (!sample_hits(&random, mean_bytes, bytes))
			continue;
		all.estimate.units += weight.units;
		all.estimate.bytes += weight.bytes;
	}
	/* Small objects weigh up to 100,000 each: their number is the worst known. */
	harness_note("%lu bytes, estimated %lu; %lu objects, estimated %lu", (unsigned long)all.allocated,
		     (unsigned long)all.estimate.bytes, (unsigned long)all.objects, (unsigned long)(all.estimate.units / SAMPLE_UNIT));
	CHECK(labs((long)(all.estimate.bytes - all.allocated)) < (long)(all.allocated / 20));
	CHECK(labs((long)(all.estimate.units / SAMPLE_UNIT - all.objects)) < (long)all.objects);
}

TEST(distances, "sample/distances have the mean and the median of an exponential distribution")
{
	struct sample_random random = seeded();
	const uint64_t mean_bytes = 1000000;
	uint64_t sum = 0, below_median = 0, nr = 1000000;

	for (uint64_t i = 0; i < nr; i++) {
		uint64_t distance = sample_distance(&random, mean_bytes);

		sum += distance;
		below_median += distance < 693147;
	}
	/* Standard deviations: 0.1 % and 0.05 %. */
	harness_note("mean %lu, below the median %lu", (unsigned long)(sum / nr), (unsigned long)below_median);
	CHECK(sum / nr > 992000 && sum / nr < 1008000);
	CHECK(below_median > 495000 && below_median < 505000);
}

TEST(weights, "sample/weights are those of the formula, from one byte to more than the mean")
{
	/* 1 / (1 - exp(-s / 524288)) in units of 1/1024, from a calculator. */
	CHECK_EQ(sample_weigh(SAMPLE_MEAN_BYTES, 1).units / 1024, 524288);
	CHECK_EQ(sample_weigh(SAMPLE_MEAN_BYTES, 524288).units, 1620);
	CHECK_EQ(sample_weigh(SAMPLE_MEAN_BYTES, 524288).bytes, 829411);
	CHECK_EQ(sample_weigh(SAMPLE_MEAN_BYTES, 262144).units, 2602);
	CHECK_EQ(sample_weigh(SAMPLE_MEAN_BYTES, 1 << 20).units, 1184);
	CHECK_EQ(sample_weigh(SAMPLE_MEAN_BYTES, (uint64_t)1 << 40).units, 1024);
	CHECK_EQ(sample_weigh(SAMPLE_MEAN_BYTES, (uint64_t)1 << 40).bytes, (uint64_t)1 << 40);
	CHECK_EQ(sample_weigh(1, 1).bytes, 2);
	CHECK_EQ(sample_weigh(SAMPLE_MEAN_BYTES, 0).bytes, 0);
}

TEST(bounds, "sample/extreme means stay within their bounds")
{
	struct sample_random random = seeded();

	for (int i = 0; i < 100000; i++) {
		CHECK(sample_distance(&random, (uint64_t)1 << 50) <= SAMPLE_MAX_BYTES);
		CHECK(sample_distance(&random, 1) < 64);
	}
}
