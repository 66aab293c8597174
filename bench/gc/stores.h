/* SPDX-License-Identifier: MIT */
/* The program of `arena-bench gc` that only our collector has. */
#ifndef BENCH_GC_STORES_H
#define BENCH_GC_STORES_H

#include "bench/gc/outcome.h"
#include "bench/gc/programs.h"

program_fn run_stores;
/** What it measured, if it ran. */
void stores_report(struct outcome *outcome);

#endif /* BENCH_GC_STORES_H */
