/* SPDX-License-Identifier: MIT */
/* One line that a command of the demonstration keeps up to date in a file, for sample and scripts. */
#ifndef EXAMPLES_STATUS_H
#define EXAMPLES_STATUS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Words after the process id; the meaning belongs to the command. */
#define STATUS_NR_FIELDS 4

struct status {
	pid_t pid;
	uint64_t fields[STATUS_NR_FIELDS];
};

/** Open the file and write a first line of zeros; exits with a message when that fails. */
int status_create(const char *path);
/** Replace the line. Allocates nothing, so it works with no memory left. */
void status_write(int fd, const uint64_t fields[STATUS_NR_FIELDS]);
/** All zeros when the file is not there or its process has gone. */
void status_read(const char *path, struct status *status);

#endif
