// SPDX-License-Identifier: MIT
/*
 * arenad: gives memory back before the system has to take it. This file is start and end: options,
 * signals, privileges, the main loop. What it decides is in policy.c, what it does in steer.c.
 *
 * It never kills a process, and nothing breaks when it dies.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "arena/arena.h"
#include "daemon/client.h"
#include "daemon/config.h"
#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/privilege.h"
#include "daemon/steer.h"

#define EXIT_USAGE 2
/* Beside the clients: the listening socket, the PSI file, signals. */
#define OTHER_WATCHES 8
/* Those, the standard ones, and what is open for a moment: memory and cgroup files, the module, a peer's statm. */
#define OTHER_FILES 64

static void print_help(void)
{
	printf("Usage: arenad [--config=FILE] [--OPTION=VALUE]...\n"
	       "Gives memory of the arena module and of registered processes back under pressure.\n"
	       "Runs in the foreground and logs to standard error.\n\n"
	       "Options, also keys of the file %s (key = value, _ for -), and their defaults:\n", CONFIG_FILE);
	config_help(stdout);
	printf("  %-32s %s\n  %-32s %s\n  %-32s %s\n", "--config=FILE", "read another file; it must exist", "--help",
	       "this list", "--version", "the version");
}

/* The value of --name=value or --name value; NULL after saying what is wrong. Moves @i over what it used. */
static const char *split_flag(int argc, char **argv, int *i, char *name, size_t name_bytes)
{
	const char *flag = argv[*i];
	const char *equals = strchr(flag, '=');
	size_t length = equals ? (size_t)(equals - flag) : strlen(flag);

	if (strncmp(flag, "--", 2) || length < 3 || length - 2 >= name_bytes) {
		fprintf(stderr, "arenad: %s is no option (see --help)\n", flag);
		return NULL;
	}
	memcpy(name, flag + 2, length - 2);
	name[length - 2] = '\0';
	if (equals)
		return equals + 1;
	if (++*i < argc)
		return argv[*i];
	fprintf(stderr, "arenad: %s needs a value (see --help)\n", flag);
	return NULL;
}

static const char *why_not(int error)
{
	if (error == -ENOENT)
		return "no such option";
	return error == -ERANGE ? "value out of range" : "not a number";
}

/* Twice through the flags: first for --config alone, then for all others, which win over the file. */
static bool apply_flags(struct config *config, int argc, char **argv, const char **config_path)
{
	for (int i = 1; i < argc; i++) {
		char name[64];
		const char *value = split_flag(argc, argv, &i, name, sizeof(name));
		int error = 0;

		if (!value)
			return false;
		if (!strcmp(name, "config"))
			*config_path = value;
		else if (config)
			error = config_set(config, name, value);
		if (error) {
			fprintf(stderr, "arenad: --%s=%s: %s (see --help)\n", name, value, why_not(error));
			return false;
		}
	}
	return true;
}

static bool read_file(struct config *config, const char *path)
{
	char why[256] = "";
	FILE *file = fopen(path ? path : CONFIG_FILE, "re");
	int error;

	if (!file && !path && errno == ENOENT)
		return true;
	if (!file) {
		fprintf(stderr, "arenad: %s: %s\n", path ? path : CONFIG_FILE, strerror(errno));
		return false;
	}
	error = config_read(config, file, path ? path : CONFIG_FILE, why, sizeof(why));
	fclose(file);
	if (error)
		fprintf(stderr, "arenad: %s\n", *why ? why : strerror(-error));
	return !error;
}

static bool configure(struct config *config, int argc, char **argv)
{
	const char *path = NULL;
	char why[256];

	config_defaults(config);
	if (!apply_flags(NULL, argc, argv, &path) || !read_file(config, path) ||
	    !apply_flags(config, argc, argv, &path))
		return false;
	if (!config_check(config, why, sizeof(why)))
		return true;
	fprintf(stderr, "arenad: %s\n", why);
	return false;
}

static int open_signals(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
		return -errno;
	return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void on_signal(void *context, uint32_t events)
{
	(void)events;
	*(bool *)context = true;
}

/* Failures here cost something, but not the service: say so and go on. */
static bool settle(const struct config *config)
{
	gid_t gid = (gid_t)-1;
	int error;

	if (config->group[0])
		privilege_find_group(config->group, &gid);
	privilege_die_last();
	error = privilege_drop(config->user, gid);
	if (error) {
		log_line("cannot become user %s: %s", config->user[0] ? config->user : "(same)", strerror(-error));
		return false;
	}
	error = privilege_lock_memory();
	if (error)
		log_line("cannot lock memory: %s; answers may be slow under pressure", strerror(-error));
	if (!privilege_has_resource())
		log_line("without CAP_SYS_RESOURCE: the module cannot be trimmed, pressure triggers may be refused");
	return true;
}

static int run(struct loop *loop, struct steer *steer, const bool *is_over)
{
	privilege_notify("READY=1");
	while (!*is_over) {
		int error = loop_run(loop, steer_tick(steer));

		if (error) {
			log_line("event loop: %s", strerror(-error));
			return 1;
		}
	}
	privilege_notify("STOPPING=1");
	log_line("stopped");
	return 0;
}

/* Each client is a descriptor; the usual limit of 1,024 is less than the most that may be configured. */
static void make_room(const struct config *config)
{
	unsigned int nr = config->max_clients + CLIENT_NR_GUESTS + OTHER_FILES;
	int error = privilege_allow_files(nr);

	if (error)
		log_line("no right to %u open files: %s; the last clients may have to wait", nr, strerror(-error));
}

static int serve(const struct config *config)
{
	struct loop *loop = loop_create(config->max_clients + CLIENT_NR_GUESTS + OTHER_WATCHES, config->io_uring != 0);
	bool is_over = false;
	struct steer *steer = NULL;
	int signal_fd, status = 1;

	if (!loop) {
		log_line("no event loop: %s", strerror(errno));
		return 1;
	}
	make_room(config);
	signal_fd = open_signals();
	if (signal_fd >= 0 && loop_watch(loop, signal_fd, POLLIN, on_signal, &is_over) >= 0)
		steer = steer_create(config, loop);
	if (steer && settle(config)) {
		steer_introduce(steer);
		status = run(loop, steer, &is_over);
	}
	if (steer)
		steer_destroy(steer);
	loop_destroy(loop);
	return status;
}

int main(int argc, char **argv)
{
	static struct config config;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			print_help();
			return 0;
		}
		if (!strcmp(argv[i], "--version")) {
			printf("arenad %s\n", ARENA_VERSION_STRING);
			return 0;
		}
	}
	if (!configure(&config, argc, argv))
		return EXIT_USAGE;
	log_set_verbose(config.verbose != 0);
	return serve(&config);
}
