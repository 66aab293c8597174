/* SPDX-License-Identifier: MIT */
/* One result as one line of JSON: the format that every benchmark of the project keeps to. */
#ifndef BENCH_JSON_H
#define BENCH_JSON_H

#include "bench/stat.h"

#include <stdbool.h>
#include <stdio.h>

struct row {
	char bench[24];
	char name[64];		/* key "case" */
	char source[24];
	char metric[32];
	char unit[32];
	char kernel[72];
	struct summary value;
};

/** Print @row as one line. */
void json_print(FILE *out, const struct row *row);
/** Read one line; false when it is no object with all ten keys of the right types, or has any other key. */
bool json_parse(const char *line, struct row *row);

#endif /* BENCH_JSON_H */
