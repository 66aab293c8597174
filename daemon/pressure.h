/* SPDX-License-Identifier: MIT */
/* Where pressure is read: PSI triggers, /proc/meminfo and one cgroup v2 folder. */
#ifndef ARENAD_PRESSURE_H
#define ARENAD_PRESSURE_H

#include <stddef.h>
#include <stdint.h>

#define PRESSURE_PSI_PATH "/proc/pressure/memory"

/* One line of a PSI file: percent of time, and the sum. */
struct pressure_line {
	double avg10, avg60, avg300;
	uint64_t total_us;
};

struct pressure_psi {
	struct pressure_line some, full;
};

struct pressure_memory {
	uint64_t total_bytes;
	uint64_t available_bytes;
};

/* File descriptors that stay open, so that reading needs no memory. -1 = not there. */
struct pressure {
	int meminfo_fd;
	int psi_fd;		/* with the trigger armed */
	int psi_error;		/* why psi_fd is -1: -errno */
	unsigned int window_us;	/* of the trigger that was armed */
	int current_fd;		/* memory.current and memory.max of the cgroup, when one is named */
	int max_fd;
};

/** Parse the text of a PSI file. 0, or -EINVAL with @psi undefined. */
int pressure_parse_psi(const char *text, struct pressure_psi *psi);
/** Parse the text of /proc/meminfo. 0, or -EINVAL when MemTotal or MemAvailable is missing. */
int pressure_parse_meminfo(const char *text, struct pressure_memory *memory);
/** Parse memory.max or memory.current: a number, or "max" for ~0. 0, or -EINVAL. */
int pressure_parse_limit(const char *text, uint64_t *bytes);
/** The trigger's text, "some 70000 1000000" with sane bounds. Its length, or -EINVAL. */
int pressure_format_trigger(char *text, size_t text_bytes, unsigned int stall_us, unsigned int window_us);

/** The window that the kernel takes from anybody, at least @window_us if there is one. */
unsigned int pressure_slow_window_us(unsigned int window_us);

/** Read and parse a PSI file once, for display. 0 or -errno. */
int pressure_read_psi(const char *path, struct pressure_psi *psi);

/** Open what there is. @cgroup may be NULL. 0, or -errno when not even /proc/meminfo can be read. */
int pressure_open(struct pressure *pressure, const char *cgroup);
/** Open the cgroup's files anew: it may have been made, or made again, since. Nothing without a @cgroup. */
void pressure_find_cgroup(struct pressure *pressure, const char *cgroup);
/**
 * Arm the trigger, on the cgroup's memory.pressure or the system's. Then poll psi_fd for POLLPRI. Without the right to the
 * window asked for, a longer one with the same share of stalls is armed. 0 or -errno:
 * -ENOENT and -EOPNOTSUPP no PSI in this kernel, -EPERM and -EACCES no right to a trigger at all.
 */
int pressure_arm(struct pressure *pressure, const char *cgroup, unsigned int stall_us, unsigned int window_us);
/** Total and available memory; the cgroup's when that is tighter. 0 or -errno. */
int pressure_read_memory(const struct pressure *pressure, struct pressure_memory *memory);
void pressure_disarm(struct pressure *pressure);
void pressure_close(struct pressure *pressure);

#endif /* ARENAD_PRESSURE_H */
