// SPDX-License-Identifier: MIT
/*
 * The first and the last moment of a process: options of the environment are read before main() and before any other library begins, what
 * they ask for is printed and written when all others have ended. A process that ends by _exit() or a signal says nothing.
 */
#include <string.h>
#include <unistd.h>

#include "arena/profile.h"
#include "fault.h"
#include "heap_json.h"
#include "opt.h"
#include "os.h"
#include "shim/shim.h"

/* Standard error as it was at the start: many programs close it before they end. */
static struct os_file exit_file = { .fd = -1 };
static uint64_t totals_form; /* 0: none, 1: a line, 2: JSON */
static bool tells_leaks;

/* glibc passes the environment; this constructor comes before that of the C library, which makes getenv() work. */
__attribute__((constructor)) static void begin(int argc, char **argv, char **environment)
{
	(void)argc;
	(void)argv;
	opt_set_environment(environment);
	totals_form = opt_get(OPT_MALLOC_STATS);
	tells_leaks = opt_get(OPT_MALLOC_LEAKS);
	if (opt_get(OPT_FAULT_HANDLER) == 2)
		fault_start();
	if (totals_form || tells_leaks)
		os_file_keep(STDERR_FILENO, &exit_file);
	if (tells_leaks || opt_profile() || opt_get(OPT_GUARDED_OBJECTS))
		shim_profile_start();
	opt_set_environment(NULL);
}

static void print_totals(void)
{
	static char lines[HEAP_JSON_BYTES]; /* other threads may still run, but none comes here */
	struct text text;

	text_init(&text, lines, sizeof(lines));
	if (totals_form == 2) {
		heap_put_json(&text);
		text_put(&text, "\n");
	} else {
		shim_put_totals(&text);
	}
	/* Nobody is left to tell of a failure. */
	if (write(exit_file.fd, lines, strlen(lines)) < 0)
		return;
}

__attribute__((destructor)) static void end(void)
{
	shim_profile_end();
	if (!os_file_is_kept(&exit_file))
		return;
	if (tells_leaks)
		arena_profile_report(exit_file.fd);
	if (totals_form)
		print_totals();
}
