// SPDX-License-Identifier: MIT
/*
 * Options of arenad. One table holds name, unit, default, bounds and reason; flags, file and help are made from it,
 * so that they cannot differ. Later settings win: defaults, then the file, then flags.
 */
#include "daemon/config.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/module.h"
#include "libarena/ctl_proto.h"

/* A text option has text_bytes > 0, a number has not. */
struct option_row {
	const char *name;
	size_t offset_bytes;
	size_t text_bytes;
	const char *text;		/* default of a text */
	unsigned int number, min, max;	/* default and bounds of a number */
	const char *unit;
	const char *why;
};

#define TEXT(field, value, unit_, why_) \
	{ .name = #field, .offset_bytes = offsetof(struct config, field), \
	  .text_bytes = sizeof(((struct config *)NULL)->field), .text = value, .unit = unit_, .why = why_ }
#define NUMBER(field, value, min_, max_, unit_, why_) \
	{ .name = #field, .offset_bytes = offsetof(struct config, field), .number = value, .min = min_, .max = max_, \
	  .unit = unit_, .why = why_ }

static const struct option_row rows[] = {
	TEXT(socket, CTL_SOCKET_DEFAULT, "PATH", "where processes and arenactl connect"),
	TEXT(device, MODULE_DEVICE, "PATH", "the module's device"),
	TEXT(cgroup, "", "FOLDER", "watch this cgroup v2 folder instead of the whole system"),
	TEXT(user, "", "NAME", "become this user after start; CAP_SYS_RESOURCE is kept"),
	TEXT(group, "", "NAME", "own the socket and open the device as this group"),
	NUMBER(psi_stall_ms, 70, 1, 10000, "MS", "alarm when tasks stalled on memory that long..."),
	NUMBER(psi_window_ms, 1000, 500, 10000, "MS", "...within this window"),
	NUMBER(min_percent, 5, 0, 98, "PERCENT", "available memory below this is an alarm too"),
	NUMBER(low_percent, 10, 0, 99, "PERCENT", "below this, begin to give back"),
	NUMBER(high_percent, 15, 0, 100, "PERCENT", "...until this much is available"),
	NUMBER(pool_keep_percent, 5, 0, 10, "PERCENT", "of the module's pool, spared by the first alarm"),
	NUMBER(hold_ms, 5000, 0, 600000, "MS", "an emergency lasts that long after its last alarm"),
	NUMBER(decay_s, 60, 0, 86400, "S", "half-life of idle chunks in calm times; 0 = they stay"),
	NUMBER(tick_ms, 250, 50, 60000, "MS", "how often watermarks are looked at"),
	NUMBER(cpu_calm_percent, 1, 1, 100, "PERCENT", "of one CPU, for freeing in calm times"),
	NUMBER(cpu_emergency_percent, 10, 1, 100, "PERCENT", "of one CPU, below the watermarks; alarms do not wait"),
	NUMBER(max_clients, 256, 1, 1024, "COUNT", "registered processes"),
	NUMBER(max_clients_per_user, 64, 1, 1024, "COUNT", "of them for each user but root and the daemon's own"),
	NUMBER(client_timeout_ms, 5000, 100, 600000, "MS", "a process that does not answer for so long is cut off"),
	NUMBER(io_uring, 1, 0, 1, "0|1", "0: use epoll"),
	NUMBER(verbose, 0, 0, 1, "0|1", "1: log connections too"),
};

#define NR_ROWS (sizeof(rows) / sizeof(rows[0]))

static void *field_of(struct config *config, const struct option_row *row)
{
	return (char *)config + row->offset_bytes;
}

void config_defaults(struct config *config)
{
	memset(config, 0, sizeof(*config));
	for (size_t i = 0; i < NR_ROWS; i++) {
		if (rows[i].text_bytes)
			snprintf((char *)field_of(config, &rows[i]), rows[i].text_bytes, "%s", rows[i].text);
		else
			*(unsigned int *)field_of(config, &rows[i]) = rows[i].number;
	}
}

/* Flags are written with -, keys of the file with _; both are taken for each other. */
static bool is_name(const char *a, const char *b)
{
	for (; *a && *b; a++, b++)
		if (*a != *b && !(*a == '-' && *b == '_'))
			return false;
	return *a == *b;
}

static const struct option_row *find_row(const char *name)
{
	for (size_t i = 0; i < NR_ROWS; i++)
		if (is_name(name, rows[i].name))
			return &rows[i];
	return NULL;
}

static int set_number(unsigned int *field, const struct option_row *row, const char *value)
{
	unsigned long number;
	char *end;

	if (!isdigit((unsigned char)*value))
		return -EINVAL;
	errno = 0;
	number = strtoul(value, &end, 10);
	if (*end)
		return -EINVAL;
	if (errno || number < row->min || number > row->max)
		return -ERANGE;
	*field = (unsigned int)number;
	return 0;
}

int config_set(struct config *config, const char *name, const char *value)
{
	const struct option_row *row = find_row(name);

	if (!row)
		return -ENOENT;
	if (!row->text_bytes)
		return set_number((unsigned int *)field_of(config, row), row, value);
	if (strlen(value) >= row->text_bytes)
		return -ERANGE;
	strcpy((char *)field_of(config, row), value);
	return 0;
}

static char *trim_spaces(char *text)
{
	char *end;

	while (isspace((unsigned char)*text))
		text++;
	end = text + strlen(text);
	while (end > text && isspace((unsigned char)end[-1]))
		end--;
	*end = '\0';
	return text;
}

static int read_line(struct config *config, char *line, const char **reason)
{
	char *comment = strchr(line, '#');
	char *equals;
	int error;

	if (comment)
		*comment = '\0';
	line = trim_spaces(line);
	if (!*line)
		return 0;
	equals = strchr(line, '=');
	*reason = "expected key = value";
	if (!equals)
		return -EINVAL;
	*equals = '\0';
	error = config_set(config, trim_spaces(line), trim_spaces(equals + 1));
	*reason = error == -ENOENT ? "unknown key" : error == -ERANGE ? "value out of range" : "not a number";
	return error ? -EINVAL : 0;
}

int config_read(struct config *config, FILE *file, const char *path, char *why, size_t why_bytes)
{
	char line[1024];

	for (unsigned int nr = 1; fgets(line, sizeof(line), file); nr++) {
		const char *reason = "line too long";
		/* Its rest would be taken for the next line, even that of a comment. */
		bool is_cut = !strchr(line, '\n') && strlen(line) == sizeof(line) - 1;

		if (is_cut || read_line(config, line, &reason)) {
			snprintf(why, why_bytes, "%s:%u: %s", path, nr, reason);
			return -EINVAL;
		}
	}
	return ferror(file) ? -EIO : 0;
}

int config_check(const struct config *config, char *why, size_t why_bytes)
{
	const char *reason = NULL;

	if (config->min_percent > config->low_percent || config->low_percent > config->high_percent)
		reason = "watermarks must rise: min_percent <= low_percent <= high_percent";
	else if (config->psi_stall_ms > config->psi_window_ms)
		reason = "psi_stall_ms must not be longer than psi_window_ms";
	else if (!config->socket[0])
		reason = "socket must not be empty";
	if (!reason)
		return 0;
	snprintf(why, why_bytes, "%s", reason);
	return -EINVAL;
}

void config_help(FILE *out)
{
	for (size_t i = 0; i < NR_ROWS; i++) {
		char flag[64];

		snprintf(flag, sizeof(flag), "--%s=%s", rows[i].name, rows[i].unit);
		for (char *at = flag + 2; *at && *at != '='; at++)
			*at = *at == '_' ? '-' : *at;
		if (rows[i].text_bytes)
			fprintf(out, "  %-32s %s (%s)\n", flag, rows[i].why, *rows[i].text ? rows[i].text : "none");
		else
			fprintf(out, "  %-32s %s (%u)\n", flag, rows[i].why, rows[i].number);
	}
}
