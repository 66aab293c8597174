// SPDX-License-Identifier: MIT
/*
 * Pressure, as the kernel tells it. PSI triggers are events: nothing runs while nobody stalls. Watermarks are
 * read at each tick, because memory can run low without anybody having to wait for it yet.
 *
 * Every file is opened once and read with pread() into the stack: under pressure is when it matters.
 * Limit: with a cgroup, page cache that could be dropped counts as used; memory.max is a hard wall, so being early
 * is the right mistake.
 */
#include "daemon/pressure.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* /proc/meminfo is about 1.5 KiB; MemAvailable is in its third line. */
#define READ_BYTES 4096
/* The kernel's own bounds of a window, and the period of its averages. */
#define PSI_MIN_WINDOW_US 500000u
#define PSI_MAX_WINDOW_US 10000000u
#define PSI_PERIOD_US 2000000u

static int parse_line(const char *text, const char *word, struct pressure_line *line)
{
	const char *at = strstr(text, word);
	unsigned long long total_us;

	if (!at || sscanf(at + strlen(word), " avg10=%lf avg60=%lf avg300=%lf total=%llu", &line->avg10, &line->avg60,
			  &line->avg300, &total_us) != 4)
		return -EINVAL;
	line->total_us = total_us;
	return 0;
}

int pressure_parse_psi(const char *text, struct pressure_psi *psi)
{
	return parse_line(text, "some", &psi->some) ?: parse_line(text, "full", &psi->full);
}

static int parse_kib(const char *text, const char *key, uint64_t *bytes)
{
	const char *at = strstr(text, key);
	unsigned long long kib;

	if (!at || (at != text && at[-1] != '\n') || sscanf(at + strlen(key), " %llu kB", &kib) != 1)
		return -EINVAL;
	*bytes = kib * 1024;
	return 0;
}

int pressure_parse_meminfo(const char *text, struct pressure_memory *memory)
{
	return parse_kib(text, "MemTotal:", &memory->total_bytes) ?:
	       parse_kib(text, "MemAvailable:", &memory->available_bytes);
}

int pressure_parse_limit(const char *text, uint64_t *bytes)
{
	char *end;

	if (!strncmp(text, "max", 3)) {
		*bytes = UINT64_MAX;
		return 0;
	}
	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	*bytes = strtoull(text, &end, 10);
	return errno || (*end && *end != '\n') ? -EINVAL : 0;
}

int pressure_format_trigger(char *text, size_t text_bytes, unsigned int stall_us, unsigned int window_us)
{
	int length;

	if (window_us < PSI_MIN_WINDOW_US || window_us > PSI_MAX_WINDOW_US || !stall_us || stall_us > window_us)
		return -EINVAL;
	length = snprintf(text, text_bytes, "some %u %u", stall_us, window_us);
	return (size_t)length < text_bytes ? length : -EINVAL;
}

unsigned int pressure_slow_window_us(unsigned int window_us)
{
	unsigned int slow_us = (window_us + PSI_PERIOD_US - 1) / PSI_PERIOD_US * PSI_PERIOD_US;

	return slow_us > PSI_MAX_WINDOW_US ? PSI_MAX_WINDOW_US : slow_us;
}

static int read_text(int fd, char *text)
{
	ssize_t got = pread(fd, text, READ_BYTES - 1, 0);

	if (got < 0)
		return -errno;
	text[got] = '\0';
	return 0;
}

int pressure_read_psi(const char *path, struct pressure_psi *psi)
{
	char text[READ_BYTES];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int error;

	if (fd < 0)
		return -errno;
	error = read_text(fd, text);
	close(fd);
	return error ?: pressure_parse_psi(text, psi);
}

static int open_in(const char *folder, const char *name, int flags)
{
	char path[512];
	int fd;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", folder, name) >= sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static void close_cgroup(struct pressure *pressure)
{
	if (pressure->current_fd >= 0)
		close(pressure->current_fd);
	if (pressure->max_fd >= 0)
		close(pressure->max_fd);
	pressure->current_fd = pressure->max_fd = -1;
}

void pressure_find_cgroup(struct pressure *pressure, const char *cgroup)
{
	if (!cgroup)
		return;
	close_cgroup(pressure);
	/* The memory controller may be absent there; then only its memory.pressure is of use. */
	pressure->current_fd = open_in(cgroup, "memory.current", O_RDONLY);
	pressure->max_fd = open_in(cgroup, "memory.max", O_RDONLY);
}

int pressure_open(struct pressure *pressure, const char *cgroup)
{
	*pressure = (struct pressure){
		.meminfo_fd = open_in("/proc", "meminfo", O_RDONLY),
		.psi_fd = -1,
		.psi_error = -ENOENT,
		.current_fd = -1,
		.max_fd = -1,
	};
	if (pressure->meminfo_fd < 0)
		return pressure->meminfo_fd;
	pressure_find_cgroup(pressure, cgroup);
	return 0;
}

static int open_psi(const char *cgroup)
{
	return cgroup ? open_in(cgroup, "memory.pressure", O_RDWR | O_NONBLOCK) :
			open_in("/proc/pressure", "memory", O_RDWR | O_NONBLOCK);
}

/* A descriptor with the trigger armed, or -errno. */
static int try_arm(const char *cgroup, unsigned int stall_us, unsigned int window_us)
{
	char trigger[64];
	int length = pressure_format_trigger(trigger, sizeof(trigger), stall_us, window_us);
	int error, fd;

	if (length < 0)
		return length;
	fd = open_psi(cgroup);
	/* The terminating zero belongs to what the kernel wants written. */
	if (fd < 0 || write(fd, trigger, (size_t)length + 1) >= 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

int pressure_arm(struct pressure *pressure, const char *cgroup, unsigned int stall_us, unsigned int window_us)
{
	int fd;

	pressure_disarm(pressure);
	fd = try_arm(cgroup, stall_us, window_us);
	pressure->window_us = window_us;
	if (fd == -EINVAL || fd == -EPERM) {
		/* Without CAP_SYS_RESOURCE the kernel takes only whole multiples of its own two seconds. */
		unsigned int slow_us = pressure_slow_window_us(window_us);

		pressure->window_us = slow_us;
		fd = try_arm(cgroup, (unsigned int)((uint64_t)stall_us * slow_us / window_us), slow_us);
	}
	pressure->psi_error = fd < 0 ? fd : 0;
	pressure->psi_fd = fd < 0 ? -1 : fd;
	return pressure->psi_error;
}

static int read_limit(int fd, uint64_t *bytes)
{
	char text[READ_BYTES];

	return read_text(fd, text) ?: pressure_parse_limit(text, bytes);
}

static void apply_cgroup(const struct pressure *pressure, struct pressure_memory *memory)
{
	uint64_t current_bytes, max_bytes, free_bytes;

	if (pressure->current_fd < 0 || pressure->max_fd < 0)
		return;
	if (read_limit(pressure->current_fd, &current_bytes) || read_limit(pressure->max_fd, &max_bytes))
		return;
	if (max_bytes >= memory->total_bytes)
		return;
	free_bytes = max_bytes > current_bytes ? max_bytes - current_bytes : 0;
	memory->total_bytes = max_bytes;
	if (free_bytes < memory->available_bytes)
		memory->available_bytes = free_bytes;
}

int pressure_read_memory(const struct pressure *pressure, struct pressure_memory *memory)
{
	char text[READ_BYTES];
	int error = read_text(pressure->meminfo_fd, text) ?: pressure_parse_meminfo(text, memory);

	if (!error)
		apply_cgroup(pressure, memory);
	return error;
}

void pressure_disarm(struct pressure *pressure)
{
	if (pressure->psi_fd >= 0)
		close(pressure->psi_fd);
	pressure->psi_fd = -1;
}

void pressure_close(struct pressure *pressure)
{
	pressure_disarm(pressure);
	if (pressure->meminfo_fd >= 0)
		close(pressure->meminfo_fd);
	close_cgroup(pressure);
}
