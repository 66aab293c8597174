/* SPDX-License-Identifier: MIT */
/* The picture of `arena-bench gc --svg FILE`, by gnuplot, from tables that the drivers write in the timed runs of the same benchmark. */
#ifndef BENCH_GC_PLOT_H
#define BENCH_GC_PLOT_H

/** Before the runs: 0, or 1 after a message when there is no gnuplot or FILE cannot be written. */
int gc_plot_begin(const char *path);
/** The next run is a timed one of @program, and @row what it is to be called: its tables are added to those of others of that name. Nothing without gc_plot_begin(). */
void gc_plot_expect(const char *program, const char *row);
/** Draw what was expected; 0, or 1 after a message. Nothing without gc_plot_begin(). */
int gc_plot_end(void);

#endif /* BENCH_GC_PLOT_H */
