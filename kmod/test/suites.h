/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The module's own tests, which a module built with ARENA_KUNIT runs at the end of its
 * initialization (tests/vm/module --kunit). They are linked into the module, so that they call what
 * is not exported, and are started here rather than by KUnit's notifier, which on 6.1 fires before
 * the module is initialized and on 6.12 after.
 */
#ifndef ARENA_TEST_SUITES_H
#define ARENA_TEST_SUITES_H

#ifdef ARENA_KUNIT
struct kunit_suite;

/* One for each file; suites.c lists them. */
extern struct kunit_suite slot_suite;
extern struct kunit_suite view_suite;
extern struct kunit_suite idle_suite;
extern struct kunit_suite pool_suite;

/** Runs all suites. What they found is in KUnit's debugfs folder and in the kernel log. */
void suites_run(void);

/** Takes their results away again. */
void suites_exit(void);
#else
static inline void suites_run(void) { }
static inline void suites_exit(void) { }
#endif

#endif /* ARENA_TEST_SUITES_H */
