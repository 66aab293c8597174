// SPDX-License-Identifier: MIT
/* daemon/config.c: defaults, flags, the file, and each way to get them wrong. */
#include "daemon/config.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "tests/daemon/tap.h"

static int read_text(struct config *config, const char *text, char *why, size_t why_bytes)
{
	FILE *file = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
	int error = config_read(config, file, "test.conf", why, why_bytes);

	fclose(file);
	return error;
}

static void defaults_are_consistent(void)
{
	struct config config;
	char why[256] = "";

	config_defaults(&config);
	CHECK(config_check(&config, why, sizeof(why)) == 0, "%s", why);
	CHECK(!strcmp(config.socket, "/run/arena/arenad.sock"), "%s", config.socket);
	CHECK(config.psi_stall_ms == 70 && config.psi_window_ms == 1000 && config.pool_keep_percent <= 10, "numbers");
}

static void sets_by_either_spelling(void)
{
	struct config config;

	config_defaults(&config);
	CHECK(config_set(&config, "psi-stall-ms", "123") == 0 && config.psi_stall_ms == 123, "flag");
	CHECK(config_set(&config, "psi_stall_ms", "124") == 0 && config.psi_stall_ms == 124, "key");
	CHECK(config_set(&config, "cgroup", "/sys/fs/cgroup/x") == 0 && !strcmp(config.cgroup, "/sys/fs/cgroup/x"), "text");
	CHECK(config_set(&config, "cgroup", "") == 0 && !config.cgroup[0], "empty text");
}

static void refuses_bad_values(void)
{
	static const struct { const char *name, *value; int error; } cases[] = {
		{ "nonsense", "1", -ENOENT },	  { "psi_stall", "1", -ENOENT },     { "", "1", -ENOENT },
		{ "psi_stall_ms", "", -EINVAL },  { "psi_stall_ms", "x", -EINVAL },  { "psi_stall_ms", "1x", -EINVAL },
		{ "psi_stall_ms", "-1", -EINVAL }, { "psi_stall_ms", " 1", -EINVAL }, { "psi_stall_ms", "0", -ERANGE },
		{ "psi_stall_ms", "10001", -ERANGE }, { "psi_stall_ms", "99999999999999999999", -ERANGE },
		{ "pool_keep_percent", "11", -ERANGE }, { "max_clients", "1025", -ERANGE },
	};
	struct config config;
	char longer[300];

	config_defaults(&config);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CHECK(config_set(&config, cases[i].name, cases[i].value) == cases[i].error, "%s=%s", cases[i].name, cases[i].value);
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	CHECK(config_set(&config, "socket", longer) == -ERANGE, "a path that does not fit");
}

static void reads_a_file(void)
{
	struct config config;
	char why[256] = "";

	config_defaults(&config);
	CHECK(read_text(&config, "# comment\n\n low_percent = 12 # more\nhigh_percent=20\nuser =  nobody\t\n", why, sizeof(why)) == 0,
	      "%s", why);
	CHECK(config.low_percent == 12 && config.high_percent == 20 && !strcmp(config.user, "nobody"), "values");
}

static void names_the_bad_line(void)
{
	struct config config;
	char why[256] = "";

	config_defaults(&config);
	CHECK(read_text(&config, "tick_ms = 100\nwhat\n", why, sizeof(why)) == -EINVAL && strstr(why, "test.conf:2: expected"),
	      "%s", why);
	CHECK(read_text(&config, "colour = red\n", why, sizeof(why)) == -EINVAL && strstr(why, ":1: unknown key"), "%s", why);
	CHECK(read_text(&config, "\ntick_ms = 1\n", why, sizeof(why)) == -EINVAL && strstr(why, ":2: value out"), "%s", why);
	CHECK(read_text(&config, "tick_ms = soon\n", why, sizeof(why)) == -EINVAL && strstr(why, "not a number"), "%s", why);
}

/* The rest of a long comment is no setting. */
static void refuses_a_line_that_is_too_long(void)
{
	struct config config;
	char why[256] = "", text[2048];

	config_defaults(&config);
	memset(text, ' ', sizeof(text));
	text[0] = '#';
	strcpy(text + 1023, "tick_ms = 500\n");
	CHECK(read_text(&config, text, why, sizeof(why)) == -EINVAL && strstr(why, ":1: line too long"), "%s", why);
	CHECK(config.tick_ms == 250, "%u", config.tick_ms);
	CHECK(read_text(&config, "tick_ms = 300", why, sizeof(why)) == 0 && config.tick_ms == 300, "a last line without its end");
}

static void checks_what_belongs_together(void)
{
	struct config config;
	char why[256];

	config_defaults(&config);
	config.low_percent = config.high_percent + 1;
	CHECK(config_check(&config, why, sizeof(why)) == -EINVAL && strstr(why, "must rise"), "low above high");
	config_defaults(&config);
	config.psi_stall_ms = config.psi_window_ms + 1;
	CHECK(config_check(&config, why, sizeof(why)) == -EINVAL && strstr(why, "psi_"), "stall above window");
	config_defaults(&config);
	config.socket[0] = '\0';
	CHECK(config_check(&config, why, sizeof(why)) == -EINVAL, "no socket");
}

int main(void)
{
	RUN(defaults_are_consistent);
	RUN(sets_by_either_spelling);
	RUN(refuses_bad_values);
	RUN(reads_a_file);
	RUN(names_the_bad_line);
	RUN(refuses_a_line_that_is_too_long);
	RUN(checks_what_belongs_together);
	return tap_end();
}
