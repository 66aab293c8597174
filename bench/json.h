/* SPDX-License-Identifier: MIT */
/* One result as one line of JSON: the format that every benchmark of the project keeps to. */
#ifndef BENCH_JSON_H
#define BENCH_JSON_H

#include "bench/stat.h"

#include <stdbool.h>
#include <stdio.h>

/* What the median of a row is held against. */
enum bar_kind { BAR_NONE, BAR_MOST, BAR_LEAST };
struct bar {
	enum bar_kind kind;
	double value;		/* in the row's unit */
};

struct row {
	char bench[24];
	char name[64];		/* key "case" */
	char source[24];
	char metric[32];
	char unit[32];
	char kernel[72];
	struct summary value;
	struct bar bar;		/* set by bars.c, not read back */
	char version[64];	/* of the allocator or runtime that the case names; empty: it names none */
};

/** Whether the median keeps to the bar; a row without one does. */
bool row_is_met(const struct row *row);
/** Print @row as one line, with the key "version" when it has one and the keys "bar" and "met" when it has a bar. */
void json_print(FILE *out, const struct row *row);
/**
 * Read one line; false when it is no object with all ten keys of the right types, or has any other key but "version", "bar" and "met". The last two may be
 * there together and are not kept: what the row is worth is judged by whoever reads it.
 */
bool json_parse(const char *line, struct row *row);

#endif /* BENCH_JSON_H */
