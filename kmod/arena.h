/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What every file of the module shares.
 *
 * Lock order, outermost first:
 *   mmap_lock or VMA lock > space.lock > folio lock > i_mmap_rwsem > page table lock
 *   space.lock > spaces_lock (a mutex: the list of all spaces)
 *   all of these > charge_lock, pool.lock, quarantine_lock (leaves: nothing is taken inside)
 * A fault takes the folio lock and, but for ON_TOUCH spaces, no other lock of ours; it never waits
 * for a RESERVE. space.lock is never held while user memory is read or written.
 */
#ifndef ARENA_KMOD_H
#define ARENA_KMOD_H

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#define ARENA_MODULE_VERSION "0.1.0"

#endif /* ARENA_KMOD_H */
