// SPDX-License-Identifier: MIT
/*
 * The arithmetic of sampling. A logarithm and an exponential are all that is needed of a mathematical library, on bounded arguments
 * and to nine digits; series of their own keep libm out of programs that never asked for it.
 *
 * Random numbers: splitmix64 (G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators", 2014). Distances: the
 * inverse of the exponential distribution.
 */
#include "sample.h"

#include <string.h>

#define LN2 0.69314718055994530942
#define SQRT2 1.41421356237309504880

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* The stream is one for all: seeds that are neighbors must not be neighbors in it. */
void sample_seed(struct sample_random *random, uint64_t seed)
{
	random->state = mix(seed + 0x9e3779b97f4a7c15u) | 1;
}

static uint64_t next(struct sample_random *random)
{
	return mix(random->state += 0x9e3779b97f4a7c15u);
}

/* In (0, 1], in steps of 2^-53: never 0, which has no logarithm. */
static double fraction(struct sample_random *random)
{
	return (double)((next(random) >> 11) + 1) * 0x1p-53;
}

/* -ln(x) for a normal x in (0, 1]: x = m * 2^e, and ln m by the series of the area tangent, |t| < 0.18. */
static double minus_ln(double x)
{
	uint64_t bits;
	int exponent;
	double m, t, t2;

	memcpy(&bits, &x, sizeof(bits));
	exponent = (int)(bits >> 52) - 1023;
	bits = (bits & (((uint64_t)1 << 52) - 1)) | (uint64_t)1023 << 52;
	memcpy(&m, &bits, sizeof(m));
	if (m > SQRT2) {
		m /= 2;
		exponent++;
	}
	t = (m - 1) / (m + 1);
	t2 = t * t;
	return -exponent * LN2 - 2 * t * (1 + t2 * (1. / 3 + t2 * (1. / 5 + t2 * (1. / 7 + t2 * (1. / 9 + t2 / 11)))));
}

/* 1 - exp(-x) for x >= 0, exact also where it is tiny: of a small x by its series, of others by halving. */
static double hit_probability(double x)
{
	double sum = 0, term = 1, rest;

	if (x > 40)
		return 1;
	if (x > 0.5) {
		rest = 1 - hit_probability(x / 2);
		return 1 - rest * rest;
	}
	for (int i = 1; i < 14; i++) {
		term *= -x / i;
		sum -= term;
	}
	return sum;
}

uint64_t sample_distance(struct sample_random *random, uint64_t mean_bytes)
{
	double distance = minus_ln(fraction(random)) * (double)mean_bytes;

	return distance < (double)SAMPLE_MAX_BYTES ? (uint64_t)distance : SAMPLE_MAX_BYTES;
}

uint32_t sample_skip(struct sample_random *random, uint64_t mean_bytes, uint64_t bytes)
{
	uint64_t skip = sample_distance(random, mean_bytes) / bytes;

	return skip < UINT32_MAX ? (uint32_t)skip : UINT32_MAX;
}

bool sample_hits(struct sample_random *random, uint64_t mean_bytes, uint64_t bytes)
{
	return sample_distance(random, mean_bytes) < bytes;
}

struct sample_weight sample_weigh(uint64_t mean_bytes, uint64_t bytes)
{
	double p = hit_probability((double)(bytes ? bytes : 1) / (double)mean_bytes);

	return (struct sample_weight){
		.units = (uint64_t)((double)SAMPLE_UNIT / p + 0.5),
		.bytes = (uint64_t)((double)bytes / p + 0.5),
	};
}
