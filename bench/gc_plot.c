// SPDX-License-Identifier: MIT
/* The commands are bench/gc.gp, built in, after the names of what there is to draw. */
#include "bench/gc_plot.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/child.h"

#define TABLES "ARENA_BENCH_GC_TABLES"

__asm__(".pushsection .rodata\n"
	"gc_plot_commands:\n"
	".incbin \"bench/gc.gp\"\n"
	".byte 0\n"
	".popsection\n");
extern const char gc_plot_commands[] __attribute__((visibility("hidden")));

enum { PROGRAMS_MOST = 16, ROWS_BYTES = 256, NAME_BYTES = 32 };

/* Main thread only. */
static struct drawn {
	char program[NAME_BYTES], rows[ROWS_BYTES];
} drawn[PROGRAMS_MOST];
static size_t nr_drawn;
static const char *output;
static char folder[] = "/tmp/arena-bench-XXXXXX";

static bool has_gnuplot(void)
{
	char name[] = "gnuplot", option[] = "--version", *arguments[] = { name, option, NULL }, text[64];

	return !child_run("gnuplot", arguments, "", true, text, sizeof(text));
}

int gc_plot_begin(const char *path)
{
	FILE *file;

	if (!has_gnuplot())
		return bench_fail("gc: --svg needs gnuplot");
	file = fopen(path, "we");
	if (!file || strchr(path, '\''))
		return bench_fail("gc: cannot write %s: %s", path, file ? "a name with quotes" : strerror(errno));
	fclose(file);
	if (!mkdtemp(folder))
		return bench_fail("gc: no folder for tables: %s", strerror(errno));
	output = path;
	return 0;
}

static struct drawn *find(const char *program)
{
	size_t i = 0;

	while (i < nr_drawn && strcmp(drawn[i].program, program))
		i++;
	if (i == nr_drawn && nr_drawn < PROGRAMS_MOST)
		snprintf(drawn[nr_drawn++].program, NAME_BYTES, "%s", program);
	return i < PROGRAMS_MOST ? &drawn[i] : NULL;
}

static bool has_word(const char *words, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = words; (at = strstr(at, word)); at += len)
		if ((at == words || at[-1] == ' ') && (at[len] == ' ' || !at[len]))
			return true;
	return false;
}

void gc_plot_expect(const char *program, const char *row)
{
	struct drawn *it = output ? find(program) : NULL;
	char prefix[128];

	if (!it)
		return;
	snprintf(prefix, sizeof(prefix), "%s/%s.%s", folder, program, row);
	setenv(TABLES, prefix, 1);
	if (!has_word(it->rows, row) && strlen(it->rows) + strlen(row) + 1 < ROWS_BYTES)
		snprintf(it->rows + strlen(it->rows), ROWS_BYTES - strlen(it->rows), "%s%s", *it->rows ? " " : "", row);
}

static int draw(void)
{
	FILE *gnuplot = popen("gnuplot", "we");

	if (!gnuplot)
		return bench_fail("gc: gnuplot does not run: %s", strerror(errno));
	fprintf(gnuplot, "folder = '%s'\noutput = '%s'\nprograms = '", folder, output);
	for (size_t i = 0; i < nr_drawn; i++)
		fprintf(gnuplot, "%s%s", i ? " " : "", drawn[i].program);
	fputs("'\n", gnuplot);
	for (size_t i = 0; i < nr_drawn; i++)
		fprintf(gnuplot, "%s_rows = '%s'\n", drawn[i].program, drawn[i].rows);
	fputs(gc_plot_commands, gnuplot);
	return pclose(gnuplot) ? bench_fail("gc: gnuplot failed") : 0;
}

static int drop(const char *path, const struct stat *stat, int kind, struct FTW *where)
{
	(void)stat;
	(void)kind;
	(void)where;
	return remove(path);
}

int gc_plot_end(void)
{
	int error;

	if (!output)
		return 0;
	unsetenv(TABLES);
	error = nr_drawn ? draw() : bench_fail("gc: no program was timed: there is nothing to draw");
	nftw(folder, drop, 4, FTW_DEPTH | FTW_PHYS);
	output = NULL;
	return error;
}
