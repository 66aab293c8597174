// SPDX-License-Identifier: MIT
/*
 * `arenactl status --json`: one object on one line, keys with units, null for a part that is missing and its error
 * beside it. Written by hand, because the shape is fixed; strings that come from others are escaped.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "daemon/view.h"

/* Bytes beyond ASCII are passed on only as \u00XX, so that the output is valid whatever a process calls itself. */
static void put_string(FILE *out, const char *text, size_t max_bytes)
{
	fputc('"', out);
	for (size_t i = 0; i < max_bytes && text[i]; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 0x20 || c > 0x7e)
			fprintf(out, "\\u%04x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

static void put_text(FILE *out, const char *key, const char *text, size_t max_bytes)
{
	fprintf(out, "\"%s\":", key);
	put_string(out, text, max_bytes);
}

static void put_number(FILE *out, const char *key, uint64_t number)
{
	fprintf(out, "\"%s\":%" PRIu64, key, number);
}

/* "KEY_error":"ENOENT" where KEY is null. */
static void put_missing(FILE *out, const char *key, int error)
{
	const char *name = strerrorname_np(-error);

	fprintf(out, "\"%s\":null,\"%s_error\":\"%s\"", key, key, name ? name : "?");
}

#define NUMBER(struct_, field) do { fputc(',', out); put_number(out, #field, (struct_)->field); } while (0)
#define TEXT(struct_, field) \
	do { fputc(',', out); put_text(out, #field, (struct_)->field, sizeof((struct_)->field)); } while (0)

static void put_process(const struct ctl_process *process, FILE *out)
{
	fputc('{', out);
	put_number(out, "pid", process->pid);
	NUMBER(process, uid);
	TEXT(process, name);
	NUMBER(process, mapped_bytes);
	NUMBER(process, cached_bytes);
	NUMBER(process, small_bytes);
	NUMBER(process, nr_arenas);
	NUMBER(process, asked_bytes);
	NUMBER(process, given_bytes);
	if (process->stats_age_ns == UINT64_MAX)
		fputs(",\"stats_age_ns\":null", out);
	else
		NUMBER(process, stats_age_ns);
	fputc('}', out);
}

static void put_decision(const struct ctl_decision *decision, FILE *out)
{
	fputc('{', out);
	put_number(out, "age_ns", decision->age_ns);
	TEXT(decision, level);
	TEXT(decision, rule);
	NUMBER(decision, available_bytes);
	NUMBER(decision, pool_bytes);
	NUMBER(decision, kept_bytes);
	NUMBER(decision, cached_bytes);
	NUMBER(decision, gave_pool_bytes);
	NUMBER(decision, gave_kept_bytes);
	NUMBER(decision, asked_bytes);
	NUMBER(decision, nr_asked);
	NUMBER(decision, took_ns);
	fprintf(out, ",\"error\":%" PRId32 "}", decision->error);
}

static void put_daemon(const struct view *view, FILE *out)
{
	const struct ctl_status *status = view->status;

	if (!status) {
		put_missing(out, "daemon", view->daemon_error);
		fputs(",\"processes\":[],\"decisions\":[]", out);
		return;
	}
	fputs("\"daemon\":{", out);
	put_number(out, "pid", status->pid);
	TEXT(status, version);
	TEXT(status, loop);
	TEXT(status, level);
	NUMBER(status, level_ns);
	TEXT(status, psi);
	NUMBER(status, up_ns);
	NUMBER(status, cpu_ns);
	NUMBER(status, nr_triggers);
	NUMBER(status, nr_refused);
	fputs("},\"processes\":[", out);
	for (uint32_t i = 0; i < status->nr_processes; i++) {
		fputs(i ? "," : "", out);
		put_process(&view->processes[i], out);
	}
	fputs("],\"decisions\":[", out);
	for (uint32_t i = 0; i < status->nr_decisions; i++) {
		fputs(i ? "," : "", out);
		put_decision(&view->decisions[i], out);
	}
	fputc(']', out);
}

static void put_stat(const struct view *view, FILE *out)
{
	const struct arena_stat *stat = &view->stat;

	fputs("\"module\":{", out);
	put_text(out, "from", view->module_error ? "daemon" : "device", sizeof("daemon"));
	NUMBER(stat, taken_chunks);
	NUMBER(stat, returned_chunks);
	NUMBER(stat, handed_chunks);
	NUMBER(stat, kept_chunks);
	NUMBER(stat, clean_chunks);
	NUMBER(stat, dirty_chunks);
	NUMBER(stat, quarantined_chunks);
	NUMBER(stat, discarded_chunks);
	NUMBER(stat, nr_spaces);
	if (!view->module_error) {
		NUMBER(stat, cleared_chunks);
		NUMBER(stat, clearing_ns);
		NUMBER(stat, cleared_at_touch_chunks);
		NUMBER(stat, fault_count);
		NUMBER(&view->info, api_version);
		NUMBER(&view->info, features);
		NUMBER(&view->info, max_total_chunks);
	}
	fputc('}', out);
}

static void put_space(const struct arena_space_stat *space, FILE *out)
{
	fputc('{', out);
	put_number(out, "id", space->id);
	NUMBER(space, uid);
	NUMBER(space, pid);
	TEXT(space, comm);
	NUMBER(space, nr_slots);
	NUMBER(space, reserved_chunks);
	NUMBER(space, live_chunks);
	NUMBER(space, kept_chunks);
	NUMBER(space, quarantined_chunks);
	fputc('}', out);
}

static void put_module(const struct view *view, FILE *out)
{
	if (view->module_error && !(view->status && view->status->has_module))
		put_missing(out, "module", view->module_error);
	else
		put_stat(view, out);
	fputs(",\"spaces\":[", out);
	for (size_t i = 0; i < view->nr_spaces; i++) {
		fputs(i ? "," : "", out);
		put_space(&view->spaces[i], out);
	}
	fputc(']', out);
}

static void put_psi_line(const char *key, const struct pressure_line *line, FILE *out)
{
	fprintf(out, "\"%s\":{\"avg10_percent\":%.2f,\"avg60_percent\":%.2f,\"avg300_percent\":%.2f,\"total_us\":%" PRIu64 "}",
		key, line->avg10, line->avg60, line->avg300, line->total_us);
}

static void put_pressure(const struct view *view, FILE *out)
{
	if (view->psi_error) {
		put_missing(out, "pressure", view->psi_error);
	} else {
		fputs("\"pressure\":{", out);
		put_psi_line("some", &view->psi.some, out);
		fputc(',', out);
		put_psi_line("full", &view->psi.full, out);
		fputc('}', out);
	}
	fputc(',', out);
	if (view->memory_error) {
		put_missing(out, "memory", view->memory_error);
		return;
	}
	fputs("\"memory\":{", out);
	put_number(out, "total_bytes", view->memory.total_bytes);
	NUMBER(&view->memory, available_bytes);
	fputc('}', out);
}

void show_json(const struct view *view, FILE *out)
{
	fputc('{', out);
	put_daemon(view, out);
	fputc(',', out);
	put_module(view, out);
	fputc(',', out);
	put_pressure(view, out);
	fputs("}\n", out);
}
