// SPDX-License-Identifier: MIT
/* `arenactl status` for people: one section for each part, with a clear word where a part is missing. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "daemon/view.h"
#include "daemon/why.h"

#define MIB(bytes) ((bytes) / 1048576)
#define S(ns) ((double)(ns) / 1e9)

static const char *why(int error)
{
	switch (error) {
	case -ENOENT: return "not there";
	case -ECONNREFUSED: return "not running";
	case -EACCES:
	case -EPERM: return "no right to it";
	case -EPROTO: return "speaks another version";
	case -ETIMEDOUT: return "does not answer";
	default: return strerror(-error);
	}
}

static void show_daemon(const struct view *view, FILE *out)
{
	const struct ctl_status *status = view->status;

	if (!status) {
		fprintf(out, "daemon     none at %s: %s\n", view->socket, why(view->daemon_error));
		return;
	}
	fprintf(out, "daemon     arenad %.16s, pid %" PRIu32 ", up %.0f s, loop %.16s, CPU %.3f s (%.3f %%)\n",
		status->version, status->pid, S(status->up_ns), status->loop, S(status->cpu_ns),
		status->up_ns ? 100.0 * (double)status->cpu_ns / (double)status->up_ns : 0);
	fprintf(out, "level      %.16s for %.0f s; pressure trigger %.16s, fired %" PRIu64 " times; cut off %" PRIu64 " peers\n",
		status->level, S(status->level_ns), status->psi, status->nr_triggers, status->nr_refused);
}

static void show_stat(const struct arena_stat *stat, FILE *out)
{
	fprintf(out, "pool       clean %" PRIu64 ", dirty %" PRIu64 ", quarantined %" PRIu64 " chunks\n",
		(uint64_t)stat->clean_chunks, (uint64_t)stat->dirty_chunks, (uint64_t)stat->quarantined_chunks);
	fprintf(out, "chunks     handed %" PRIu64 " (kept %" PRIu64 "); since load: taken %" PRIu64 ", returned %" PRIu64
		", discarded %" PRIu64 "\n", (uint64_t)stat->handed_chunks, (uint64_t)stat->kept_chunks,
		(uint64_t)stat->taken_chunks, (uint64_t)stat->returned_chunks, (uint64_t)stat->discarded_chunks);
}

/* A process may call itself anything, and terminals obey what they print. */
static void copy_printable(char *to, const char *from, size_t max_bytes)
{
	size_t i;

	for (i = 0; i < max_bytes && from[i]; i++)
		to[i] = isprint((unsigned char)from[i]) ? from[i] : '?';
	to[i] = '\0';
}

static void show_spaces(const struct view *view, FILE *out)
{
	fprintf(out, "spaces     %" PRIu64 ", of which seen here: %zu\n", (uint64_t)view->stat.nr_spaces, view->nr_spaces);
	if (view->nr_spaces)
		fprintf(out, "  %8s %8s %8s %-16s %9s %9s %7s %7s %11s\n", "ID", "PID", "UID", "COMMAND", "SLOTS", "RESERVED",
			"LIVE", "KEPT", "QUARANTINED");
	for (size_t i = 0; i < view->nr_spaces; i++) {
		const struct arena_space_stat *space = &view->spaces[i];
		char command[sizeof(space->comm) + 1];

		copy_printable(command, space->comm, sizeof(space->comm));
		fprintf(out, "  %8llu %8u %8u %-16s %9llu %9llu %7llu %7llu %11llu\n", space->id, space->pid, space->uid,
			command, space->nr_slots, space->reserved_chunks, space->live_chunks, space->kept_chunks,
			space->quarantined_chunks);
	}
}

/* What the module offers; what does not hold on this machine is said as well. */
static void show_features(uint64_t features, FILE *out)
{
	static const struct {
		uint64_t bit;
		const char *name;
	} names[] = {
		{ ARENA_FEATURE_KEEP, "keep" }, { ARENA_FEATURE_PMD, "pmd" },
		{ ARENA_FEATURE_QUARANTINE, "quarantine" }, { ARENA_FEATURE_FORK_COW, "fork-cow" },
		{ ARENA_FEATURE_MEMCG, "memcg" }, { ARENA_FEATURE_FORK_SHARE, "fork-share" },
		{ ARENA_FEATURE_POPULATE, "populate" }, { ARENA_FEATURE_URING, "uring" },
		{ ARENA_FEATURE_NOTICE, "notice" }, { ARENA_FEATURE_CONTIG, "contig" }, { ARENA_FEATURE_NUMA, "numa" },
	};

	for (unsigned int present = 2; present--;) {
		fputs(present ? "features  " : "; not here:", out);
		for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
			if (!(features & names[i].bit) == !present)
				fprintf(out, " %s", names[i].name);
	}
	fputc('\n', out);
}

static void show_module(const struct view *view, FILE *out)
{
	bool is_borrowed = view->module_error && view->status && view->status->has_module;

	if (!view->module_error) {
		fprintf(out, "module     %s, API version %u, chunks of %llu MiB, at most %llu in all\n", view->device,
			view->info.api_version, (1ull << view->info.chunk_shift) >> 20, view->info.max_total_chunks);
		show_features(view->info.features, out);
	} else {
		fprintf(out, "module     %s: %s%s\n", view->device,
			view->module_error == -ENOENT ? why_not_loaded("") : why(view->module_error),
			is_borrowed ? "; these are the daemon's figures" : "");
		if (!is_borrowed)
			return;
	}
	show_stat(&view->stat, out);
	show_spaces(view, out);
}

static void show_processes(const struct view *view, FILE *out)
{
	if (!view->status)
		return;
	fprintf(out, "processes  %" PRIu32 " registered\n", view->status->nr_processes);
	if (view->status->nr_processes)
		fprintf(out, "  %8s %8s %-16s %8s %10s %10s %10s %10s %10s\n", "PID", "UID", "NAME", "ARENAS", "MAPPED MiB",
			"CACHED MiB", "SMALL KiB", "ASKED MiB", "GIVEN MiB");
	for (uint32_t i = 0; i < view->status->nr_processes; i++) {
		const struct ctl_process *process = &view->processes[i];

		fprintf(out, "  %8" PRIu32 " %8" PRIu32 " %-16.32s %8" PRIu64 " %10" PRIu64 " %10" PRIu64 " %10" PRIu64
			" %10" PRIu64 " %10" PRIu64 "\n", process->pid, process->uid, process->name, process->nr_arenas,
			MIB(process->mapped_bytes), MIB(process->cached_bytes), process->small_bytes / 1024,
			MIB(process->asked_bytes), MIB(process->given_bytes));
	}
}

static void show_psi_line(const char *name, const struct pressure_line *line, FILE *out)
{
	fprintf(out, "%s %.2f %% of 10 s, %.2f %% of 60 s, %.2f %% of 300 s, %.3f s in all", name, line->avg10, line->avg60,
		line->avg300, (double)line->total_us / 1e6);
}

static void show_pressure(const struct view *view, FILE *out)
{
	if (view->memory_error)
		fprintf(out, "memory     %s\n", why(view->memory_error));
	else
		fprintf(out, "memory     available %" PRIu64 " of %" PRIu64 " MiB\n", MIB(view->memory.available_bytes),
			MIB(view->memory.total_bytes));
	if (view->psi_error) {
		fprintf(out, "pressure   not known: no PSI in this kernel (%s)\n", why(view->psi_error));
		return;
	}
	show_psi_line("pressure   some", &view->psi.some, out);
	show_psi_line("\n           full", &view->psi.full, out);
	fputc('\n', out);
}

static void show_decision(const struct ctl_decision *d, FILE *out)
{
	fprintf(out, "  %6.1f s ago  %-9.16s %-10.16s available %" PRIu64 ", pool %" PRIu64 ", kept %" PRIu64 ", cached %" PRIu64
		" MiB -> gave pool %" PRIu64 ", kept %" PRIu64 " MiB in %.1f ms", S(d->age_ns), d->level, d->rule,
		MIB(d->available_bytes), MIB(d->pool_bytes), MIB(d->kept_bytes), MIB(d->cached_bytes),
		MIB(d->gave_pool_bytes), MIB(d->gave_kept_bytes), (double)d->took_ns / 1e6);
	if (d->nr_asked)
		fprintf(out, ", asked %" PRIu32 " processes for %" PRIu64 " MiB", d->nr_asked, MIB(d->asked_bytes));
	if (d->error)
		fprintf(out, ", module failed: %s", strerror(-d->error));
	fputc('\n', out);
}

static void show_decisions(const struct view *view, FILE *out)
{
	if (!view->status)
		return;
	fprintf(out, "decisions  %s\n", view->status->nr_decisions ? "latest first" : "none yet");
	for (uint32_t i = 0; i < view->status->nr_decisions; i++)
		show_decision(&view->decisions[i], out);
}

void show_text(const struct view *view, FILE *out)
{
	show_daemon(view, out);
	show_module(view, out);
	show_processes(view, out);
	show_pressure(view, out);
	show_decisions(view, out);
}
