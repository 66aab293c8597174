/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What every file of the module shares.
 *
 * Lock order, outermost first:
 *   mmap_lock or VMA lock > view.lock > folio lock > i_mmap_rwsem > page table lock
 *   a parent's view.lock > its child's; the lock of a chunk > that of its fresh copy
 *   all of these > the shrinker's list of pools > cpu slot > pool.lock (in the shrinker by trylock)
 *   all of these > charge_lock, groups_lock, clearer.lock, quarantine_lock (leaves: nothing is
 *   taken inside)
 *   spaces_lock (a mutex: the list of all spaces) is a leaf as well, and never held with view.lock
 *   views_lock (the views of a space) is a leaf that is also taken inside spaces_lock
 * A fault takes the folio lock and, but for ON_TOUCH spaces, no mutex of ours; it never waits for a
 * RESERVE. view.lock is never held while user memory is read or written.
 */
#ifndef ARENA_KMOD_H
#define ARENA_KMOD_H

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#define ARENA_MODULE_VERSION "0.1.0"

#endif /* ARENA_KMOD_H */
