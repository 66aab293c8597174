/* SPDX-License-Identifier: MIT */
/* Settings of arenad: one table of flags that are also keys of the file /etc/arena/arenad.conf. */
#ifndef ARENAD_CONFIG_H
#define ARENAD_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define CONFIG_FILE "/etc/arena/arenad.conf"
#define CONFIG_TEXT_BYTES 256

/* Fixed after config_load(). Texts that are empty mean "none". */
struct config {
	char socket[108];	/* as long as sun_path */
	char device[CONFIG_TEXT_BYTES];
	char cgroup[CONFIG_TEXT_BYTES];
	char user[64];
	char group[64];
	unsigned int psi_stall_ms;
	unsigned int psi_window_ms;
	unsigned int min_percent;
	unsigned int low_percent;
	unsigned int high_percent;
	unsigned int pool_keep_percent;
	unsigned int hold_ms;
	unsigned int decay_s;
	unsigned int tick_ms;
	unsigned int cpu_calm_percent;
	unsigned int cpu_emergency_percent;
	unsigned int max_clients;
	unsigned int max_clients_per_user;
	unsigned int client_timeout_ms;
	unsigned int io_uring;	/* 0 = epoll */
	unsigned int verbose;
};

void config_defaults(struct config *config);
/** Set one option from its text. 0, -ENOENT for an unknown name, -EINVAL or -ERANGE for a bad value. */
int config_set(struct config *config, const char *name, const char *value);
/** Read "key = value" lines; # begins a comment. 0, -errno, or -EINVAL with the reason in @why. */
int config_read(struct config *config, FILE *file, const char *path, char *why, size_t why_bytes);
/** What no single option can know: the order of the watermarks, and the like. 0, or -EINVAL with the reason. */
int config_check(const struct config *config, char *why, size_t why_bytes);
/** The table, for --help. */
void config_help(FILE *out);

#endif /* ARENAD_CONFIG_H */
