/* SPDX-License-Identifier: MIT */
/*
 * What the memory cgroups of a process allow it.
 */
#ifndef LIBARENA_GC_CGROUP_H
#define LIBARENA_GC_CGROUP_H

#include "base.h"

/**
 * The least limit of the process's memory cgroups, of either version, and of those above them, in bytes; UINT64_MAX: none, or none that can be read. @proc is the
 * process's folder below /proc, @base goes before all mount points ("" but in tests). Reads some small files; no locks, any thread.
 */
uint64_t gc_cgroup_limit(const char *proc, const char *base);

#endif /* LIBARENA_GC_CGROUP_H */
