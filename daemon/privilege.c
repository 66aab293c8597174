// SPDX-License-Identifier: MIT
/*
 * Privileges of arenad. It needs one capability, CAP_SYS_RESOURCE: for PSI windows below 2 s, for trimming the
 * module and for seeing all spaces. Everything else goes once the socket and the files are open.
 * capset() is called directly, because one system call is no reason for a library.
 */
#include "daemon/privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* Deeper than any call chain here, formatting of a log line included. */
#define STACK_BYTES (128 * 1024)
/* As in packaging/arenad.service: after everybody else, but not never. */
#define OOM_SCORE_ADJ "-900"

static int get_caps(struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(SYS_capget, &header, data) < 0 ? -errno : 0;
}

static int keep_resource_only(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	int error = get_caps(data);

	if (error)
		return error;
	data[0].permitted &= 1u << CAP_SYS_RESOURCE;
	data[0].effective = data[0].permitted;
	data[0].inheritable = 0;
	memset(&data[1], 0, sizeof(data[1]));
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

bool privilege_has_resource(void)
{
	struct __user_cap_data_struct data[2];

	return get_caps(data) == 0 && (data[0].effective & 1u << CAP_SYS_RESOURCE);
}

int privilege_find_user(const char *name, uid_t *uid)
{
	const struct passwd *passwd = getpwnam(name);

	if (!passwd)
		return -ENOENT;
	*uid = passwd->pw_uid;
	return 0;
}

int privilege_find_group(const char *name, gid_t *gid)
{
	const struct group *group = getgrnam(name);
	unsigned long number;
	char *end;

	if (group) {
		*gid = group->gr_gid;
		return 0;
	}
	number = strtoul(name, &end, 10);
	if (end == name || *end || number >= UINT32_MAX)
		return -ENOENT;
	*gid = (gid_t)number;
	return 0;
}

static int become(const char *user, gid_t gid)
{
	const struct passwd *passwd = *user ? getpwnam(user) : NULL;

	if (*user && !passwd)
		return -ENOENT;
	if (gid == (gid_t)-1 && passwd)
		gid = passwd->pw_gid;
	if (gid != (gid_t)-1 && geteuid() == 0 && (setgroups(1, &gid) < 0 || setresgid(gid, gid, gid) < 0))
		return -errno;
	if (!passwd || passwd->pw_uid == geteuid())
		return 0;
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 ||
	    setresuid(passwd->pw_uid, passwd->pw_uid, passwd->pw_uid) < 0)
		return -errno;
	return 0;
}

int privilege_drop(const char *user, gid_t gid)
{
	int error = become(user, gid) ?: keep_resource_only();

	if (!error && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		error = -errno;
	return error;
}

static void __attribute__((noinline)) touch_stack(void)
{
	volatile char stack[STACK_BYTES];

	for (size_t i = 0; i < sizeof(stack); i += 4096)
		stack[i] = 0;
}

void privilege_die_last(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	/* Refused without the capability; then the daemon is killed like anybody of its size. */
	(void)!write(fd, OOM_SCORE_ADJ, strlen(OOM_SCORE_ADJ));
	close(fd);
}

int privilege_allow_files(unsigned int nr)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	if (limit.rlim_cur >= nr)
		return 0;
	limit.rlim_cur = nr;
	if (limit.rlim_max < nr)
		limit.rlim_max = nr;
	return setrlimit(RLIMIT_NOFILE, &limit) < 0 ? -errno : 0;
}

int privilege_lock_memory(void)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };

	/* May fail without the capability; mlockall() then tells. */
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0)
		return -errno;
	touch_stack();
	return 0;
}

void privilege_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t length_bytes;
	int fd;

	if (!path || (*path != '/' && *path != '@') || strlen(path) >= sizeof(address.sun_path))
		return;
	memcpy(address.sun_path, path, strlen(path));
	length_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	if (*path == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	/* A manager that does not listen is no reason to fail. */
	(void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address, length_bytes);
	close(fd);
}
