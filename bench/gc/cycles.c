// SPDX-License-Identifier: MIT
/*
 * "gc 3 @0.41s 2%: A+B+C ms clock, D+assist/worker/idle+E ms cpu, ...; cpu/wall ms sweep, ...": a part that a collector does not tell may be left out behind the
 * slashes, and sweeping.
 */
#include "bench/gc/cycles.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBERS = 5 };

/* Of "1.5+2/3+4 ms what": how many; those that are not there are 0. */
static int parse_numbers(const char *text, double numbers[NUMBERS])
{
	int nr = 0;
	char *end;

	memset(numbers, 0, NUMBERS * sizeof(*numbers));
	for (; nr < NUMBERS; text = end + 1) {
		numbers[nr] = strtod(text, &end);
		nr += end != text;
		if (end == text || (*end != '+' && *end != '/'))
			break;
	}
	return nr;
}

/* The beginning of the words that end in @unit. */
static const char *find_words(const char *line, const char *unit)
{
	const char *end = strstr(line, unit), *begin = end;

	while (begin && begin > line && begin[-1] != ' ')
		begin--;
	return begin;
}

bool cycle_parse(const char *line, struct cycle *cycle)
{
	double clock[NUMBERS], cpu[NUMBERS], sweep[NUMBERS] = { 0 };
	const char *begin = strstr(line, "gc "), *clock_words, *cpu_words, *sweep_words;
	int number;

	if (!begin || sscanf(begin, "gc %d @", &number) != 1)
		return false;
	clock_words = find_words(begin, " ms clock");
	cpu_words = find_words(begin, " ms cpu");
	if (!clock_words || !cpu_words || parse_numbers(clock_words, clock) != 3 || parse_numbers(cpu_words, cpu) != NUMBERS)
		return false;
	sweep_words = find_words(begin, " ms sweep");
	if (sweep_words && parse_numbers(sweep_words, sweep) != 2)
		return false;
	cycle->wall_ms = clock[0] + clock[1] + clock[2];
	cycle->assist_ms = cpu[1];
	cycle->worker_ms = cpu[2];
	cycle->idle_ms = cpu[3];
	cycle->sweep_ms = sweep[0];
	cycle->sweep_wall_ms = sweep[1];
	return true;
}
