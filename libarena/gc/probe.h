/* SPDX-License-Identifier: MIT */
/*
 * Probes for perf, bpftrace and SystemTap: an instruction that does nothing, and a note where it is. They are there if the library was built
 * with <sys/sdt.h> (Debian: systemtap-sdt-dev), and their provider is `arena`. doc/gc.md lists them with their arguments.
 */
#ifndef LIBARENA_GC_PROBE_H
#define LIBARENA_GC_PROBE_H

#if defined(__has_include)
#if __has_include(<sys/sdt.h>)
#define GC_HAS_PROBES 1
#endif
#endif

#ifdef GC_HAS_PROBES
#define SDT_USE_VARIADIC
#include <sys/sdt.h>
#define GC_PROBE(name, ...) STAP_PROBEV(arena, gc_##name, __VA_ARGS__)
#else
#define GC_PROBE(name, ...) ((void)0)
#endif

#endif /* LIBARENA_GC_PROBE_H */
