/* SPDX-License-Identifier: MIT */
/* What the project promises about malloc, pages, start and idle, and which measured rows keep it. */
#ifndef BENCH_BARS_H
#define BENCH_BARS_H

#include "bench/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Programs whose peak with glibc is below this, in MiB, are small: what an allocator takes for itself shows in them. */
#define SMALL_MIB 16.0
/* The case that is the geometric mean over these. */
#define SMALL_MEAN "geometric-mean/small"

/**
 * Give each row that has a bar its bar; other rows are left without one. What a bar depends on, say glibc's peak, is taken from rows
 * of the same kernel. Touches nothing but @rows; quadratic in their number.
 */
void bars_set(struct row *rows, size_t nr_rows);
/** One line for each row with a bar: value, bar, met or MISSED. Whether all are met. */
bool bars_print(const struct row *rows, size_t nr_rows, FILE *out);
/**
 * One line for each bar without a row, of the benchmarks of which there are rows at all. Whether there is no such bar.
 */
bool bars_print_missing(const struct row *rows, size_t nr_rows, FILE *out);

#endif /* BENCH_BARS_H */
