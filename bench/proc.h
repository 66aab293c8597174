/* SPDX-License-Identifier: MIT */
/* What the kernel says about this process and this machine. */
#ifndef BENCH_PROC_H
#define BENCH_PROC_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Sums over the mappings that overlap a range, in bytes. */
struct proc_usage {
	size_t rss_bytes;
	size_t anon_huge_bytes;
	size_t file_pmd_bytes;
	size_t hugetlb_bytes;
};

/** Fill @usage for [base, base + bytes), or for the whole process when @bytes is 0. 0 or -errno. */
int proc_usage(const void *base, size_t bytes, struct proc_usage *usage);
/** Minor faults of the process so far. */
uint64_t proc_minor_faults(void);
/** MemAvailable; 0 when it cannot be read. */
size_t proc_available_bytes(void);
/** A number from a file, as in /proc/sys; -errno when it cannot be read. */
long proc_read_number(const char *path);
/** 0 or -errno. */
int proc_write_number(const char *path, long number);
/** Machine, kernel and THP state as comment lines, for the head of a table. */
void proc_print_machine(FILE *out);
/** `uname -r`. */
const char *proc_kernel(void);

#endif /* BENCH_PROC_H */
