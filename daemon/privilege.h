/* SPDX-License-Identifier: MIT */
/* What the daemon keeps of root, how it stays in memory, and what it tells its service manager. */
#ifndef ARENAD_PRIVILEGE_H
#define ARENAD_PRIVILEGE_H

#include <stdbool.h>
#include <sys/types.h>

/** Number of a user by name; -ENOENT. */
int privilege_find_user(const char *name, uid_t *uid);
/** Number of a group by name or digits; -ENOENT. */
int privilege_find_group(const char *name, gid_t *gid);
/**
 * Become @user (empty: stay) with @gid as the only group ((gid_t)-1: stay), keep CAP_SYS_RESOURCE alone,
 * and never gain privileges again. 0 or -errno.
 */
int privilege_drop(const char *user, gid_t gid);
/** Whether CAP_SYS_RESOURCE is there: PSI windows and trimming need it. */
bool privilege_has_resource(void);
/** Be the last that the kernel kills for memory, as far as it is allowed. Before privileges are dropped. */
void privilege_die_last(void);
/** Room for @nr descriptors, as far as the hard limit and privileges go. 0 or -errno. */
int privilege_allow_files(unsigned int nr);
/** Keep all memory resident, now and later, with the stack in place. 0 or -errno: then it runs, but may wait for memory. */
int privilege_lock_memory(void);
/** sd_notify(3) without the library: @state such as "READY=1"; nothing happens outside a service manager. */
void privilege_notify(const char *state);

#endif /* ARENAD_PRIVILEGE_H */
