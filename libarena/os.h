/* SPDX-License-Identifier: MIT */
/*
 * The one door to the operating system for memory, clock and waiting. Every call returns 0 or a
 * pointer, or -errno or NULL, and leaves errno alone. Ranges are multiples of pages.
 */
#ifndef LIBARENA_OS_H
#define LIBARENA_OS_H

#include "geometry.h"

/** What pages of a range are made of. */
enum os_pages { OS_PAGES_SMALL, OS_PAGES_HUGE };

/** Addresses without memory, inaccessible, aligned; NULL when there is no room. */
void *os_reserve(size_t bytes, size_t align_bytes);
/** Give back addresses of os_reserve() or os_table(). */
void os_unreserve(void *base, size_t bytes);
/** Zeroed memory that costs nothing until touched, for tables; NULL when there is no room. */
void *os_table(size_t bytes);
/** As os_table(), but inaccessible until os_open_table(): a program that locks all its memory pays for no more than it opened. */
void *os_reserve_table(size_t bytes);
/** Make a part of os_reserve_table() usable: 0 or -ENOMEM. */
int os_open_table(void *base, size_t bytes);
/** Make reserved addresses usable: zeroed at first touch. Merges with open neighbors. */
int os_open(void *base, size_t bytes, enum os_pages pages);
/**
 * Make addresses inaccessible and drop their memory, locked or not, replacing any mapping there. Merges with closed neighbors. What fails leaves them
 * accessible, with or without their contents.
 */
int os_close(void *base, size_t bytes);
/**
 * Make addresses inaccessible again that a failed call has unmapped, or that were never reserved. -EEXIST when something is mapped there: what
 * was there before, or what another thread has mapped since.
 */
int os_reclaim(void *base, size_t bytes);
/** Make addresses inaccessible and drop their memory without a mapping of their own (MADV_GUARD_INSTALL). -EINVAL where it is locked, too. */
int os_guard(void *base, size_t bytes);
/** Drop the memory of open addresses that nobody uses, locked or not; they read as zeros afterwards. */
int os_drop(void *base, size_t bytes);
/** The same for memory in use: -EINVAL where it is locked, because who locks memory wants no faults. */
int os_drop_unlocked(void *base, size_t bytes);
/** Whether the kernel locked what was opened or closed last (mlockall() with MCL_FUTURE). A hint. */
bool os_is_locking(void);
/**
 * Move the memory at @from to reserved addresses at @to; @from stays mapped and reads as zeros. May unmap @to and fail. Not for locked memory:
 * Linux goes on counting @from as locked (seen with 6.18).
 */
int os_move(void *from, void *to, size_t bytes);
/** Fault open addresses in now. -EINVAL on kernels that cannot. */
int os_populate(void *base, size_t bytes);
/** Map reserved huge pages over reserved addresses, taken at once. */
int os_map_hugetlb(void *base, size_t bytes);
/** Let memory that is not touched yet come from a NUMA node while that has some: 0, or -EINVAL when there is no such node. */
int os_prefer_node(void *base, size_t bytes, unsigned int node);
/** Map a file over reserved addresses, shared, without reserving; not inherited by fork(). */
int os_map_file(void *base, size_t bytes, int fd);

/** Map a part of a file over reserved addresses, shared, without reserving; a child of fork() inherits what the file gives it. */
int os_map_part(void *base, size_t bytes, int fd, size_t offset_bytes);

/*
 * A descriptor in the program's table, and what file it was: programs close descriptors that they did not open, and use their numbers for
 * something else.
 */
struct os_file {
	int fd;			/* -1 = none */
	uint64_t device, inode;
};
/** Another descriptor of what @fd is, far above the numbers that programs count on where the limit allows: false, and none, without. */
bool os_file_keep(int fd, struct os_file *file);
/** Whether its number still means that file. */
bool os_file_is_kept(const struct os_file *file);
/**
 * Zeroed memory in a file called @name that only this process writes to and others may find by its descriptor, inherited by fork(); at @base,
 * replacing what is there, or (NULL) anywhere. NULL when it is not to be had.
 */
void *os_shared_create(const char *name, void *base, size_t bytes, struct os_file *file);
/** Close its descriptor, unless the program has done so. The mapping stays. */
void os_shared_close(const struct os_file *file);

/** Nanoseconds of a clock that only runs forward. */
uint64_t os_clock_ns(void);
/** CPU time of the calling thread, and of all threads of the process together. A system call; the latter O(threads). */
uint64_t os_thread_cpu_ns(void);
uint64_t os_process_cpu_ns(void);
/** CPUs that the calling thread may run on, at least 1. */
uint32_t os_nr_cpus(void);
/** As many CPUs as kernels are built for. */
#define OS_MAX_CPUS 8192
#define OS_CPU_WORDS (OS_MAX_CPUS / 64)

/** A set of CPUs. */
struct os_cpus {
	uint64_t mask[OS_CPU_WORDS];
};

/** Where the kernel keeps the number of the CPU that the calling thread runs on, or did last: until the thread ends. NULL where it does not. */
const uint32_t *os_cpu_word(void);
static inline bool os_cpus_has(const struct os_cpus *cpus, uint32_t cpu)
{
	return cpu < OS_MAX_CPUS && (cpus->mask[cpu / 64] >> cpu % 64 & 1);
}

static inline void os_cpus_add(struct os_cpus *cpus, uint32_t cpu)
{
	if (cpu < OS_MAX_CPUS)
		cpus->mask[cpu / 64] |= (uint64_t)1 << cpu % 64;
}

/** The CPUs that the calling thread may run on; none when that is not to be had. */
void os_cpus_allowed(struct os_cpus *cpus);
/**
 * Have the calling thread run on one that it may run on and that is not @taken, now; afterwards it may run where it could before, and where its cpuset
 * lets it meanwhile. False when there is none. Eight system calls, and as long as it takes to be given a CPU there: another thread may keep that busy. What somebody
 * else says of where it may run counts, but for a few microseconds.
 */
bool os_leave_cpus(const struct os_cpus *taken);
/** Sleep; signals may end it early. */
void os_sleep_ns(uint64_t ns);
/** The start of a small file such as those of /proc/sys, as a string; false when it cannot be read. */
bool os_read_text(const char *path, char *text, size_t text_bytes);
/** Call @function with each line of a text file, which it may change; longer ones than 4 KiB are cut. False when it cannot be read. Takes 5 KiB of stack. */
bool os_read_lines(const char *path, void (*function)(void *context, char *line), void *context);
/** The limit of how far the main thread's stack may grow, in bytes; SIZE_MAX when there is none. */
size_t os_main_stack_bytes(void);
/** Is this the thread that the process began with? In a child of fork() it is the one that forked. */
bool os_is_main_thread(void);
/**
 * The mapping that @address is in, [*@base, *@limit), as it is now; false when there is none, or no /proc. O(mappings below it), without
 * locks or memory but a little of the stack: for signal handlers, and inside malloc().
 */
bool os_find_mapping(uintptr_t address, uintptr_t *base, uintptr_t *limit);
/** Wait while *word is @value; may wake early. */
void os_futex_wait(uint32_t *word, uint32_t value);
/** The same for at most @ns. */
void os_futex_wait_for(uint32_t *word, uint32_t value, uint64_t ns);
/** Wake one waiter. */
void os_futex_wake(uint32_t *word);
/** Wake all. */
void os_futex_wake_all(uint32_t *word);
/** The kernel's number of the calling thread. */
uint32_t os_thread_id(void);

#endif /* LIBARENA_OS_H */
