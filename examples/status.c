// SPDX-License-Identifier: MIT
/*
 * One line that a command of the demonstration keeps up to date in a file, for sample and scripts.
 *
 * The line has a fixed width and is replaced by a single pwrite(), so that a reader never sees half a
 * number. Fields in order:
 *	serve	phase (0 filling, 1 dropped, 2 answering), requests answered, time of the last in ns, bytes cached
 *	hog	bytes wanted, bytes in use, 1 when all of it was had, bytes that idled when it started
 */
#include "status.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "demo.h"

int status_create(const char *path)
{
	static const uint64_t zeros[STATUS_NR_FIELDS];
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0)
		demo_die("cannot write %s: %s", path, strerror(errno));
	status_write(fd, zeros);
	return fd;
}

void status_write(int fd, const uint64_t fields[STATUS_NR_FIELDS])
{
	char line[128];
	int length = snprintf(line, sizeof(line),
			      "%10d %20" PRIu64 " %20" PRIu64 " %20" PRIu64 " %20" PRIu64 "\n", getpid(),
			      fields[0], fields[1], fields[2], fields[3]);

	if (pwrite(fd, line, (size_t)length, 0) != length)
		demo_die("cannot write the status file: %s", strerror(errno));
}

void status_read(const char *path, struct status *status)
{
	FILE *file = fopen(path, "re");
	int pid = 0, count = 0;

	memset(status, 0, sizeof(*status));
	if (!file)
		return;
	count = fscanf(file, "%d %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, &pid, &status->fields[0],
		       &status->fields[1], &status->fields[2], &status->fields[3]);
	fclose(file);
	status->pid = pid;
	if (count != 1 + STATUS_NR_FIELDS || pid <= 0 || (kill(pid, 0) && errno == ESRCH))
		memset(status, 0, sizeof(*status));
}
