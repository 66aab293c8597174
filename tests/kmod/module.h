/* SPDX-License-Identifier: MIT */
/* Loading and unloading the module, whose file is where the test VM has it, or where ARENA_KO says. */
#ifndef TESTS_KMOD_MODULE_H
#define TESTS_KMOD_MODULE_H

#include "common.h"

static inline const char *module_path(void)
{
	return getenv("ARENA_KO") ?: "/lib/arena.ko";
}

static inline int module_unload(void)
{
	return syscall(SYS_delete_module, "arena", O_NONBLOCK) ? errno : 0;
}

static inline int module_load(void)
{
	int fd = open(module_path(), O_RDONLY | O_CLOEXEC);
	int error = fd < 0 ? errno : 0;

	if (!error && syscall(SYS_finit_module, fd, "", 0))
		error = errno;
	if (fd >= 0)
		close(fd);
	return error;
}

static inline bool is_loaded(void)
{
	return !access("/sys/module/arena", F_OK);
}

/* Descriptors are released on the way back to user space, but the last mount reference is not. */
static inline bool unload_succeeds(void)
{
	return WAIT_UNTIL(module_unload() == 0, SETTLE_MS);
}

#endif /* TESTS_KMOD_MODULE_H */
