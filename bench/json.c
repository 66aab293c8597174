// SPDX-License-Identifier: MIT
/*
 * Writes and reads result lines: flat objects of strings and numbers.
 *
 * Not a JSON library: no nesting, and of escapes only \" \\ and \/, which is all that results contain.
 */
#include "bench/json.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_MEDIAN = 6, KEY_LOW, KEY_HIGH, KEY_N, KEY_BAR, KEY_MET, KEY_VERSION, NR_KEYS };
/* Keys that every line has, and the two that come together or not at all; the version is there or not. */
enum { ALWAYS = (1 << KEY_BAR) - 1, JUDGED = 1 << KEY_BAR | 1 << KEY_MET };

static const char *const keys[NR_KEYS] = {
	"bench", "case", "source", "metric", "unit", "kernel", "median", "low", "high", "n", "bar", "met", "version",
};

static void print_string(FILE *out, const char *key, const char *value, const char *behind)
{
	fprintf(out, "\"%s\": \"", key);
	for (; *value; value++) {
		if (*value == '"' || *value == '\\')
			fputc('\\', out);
		fputc((unsigned char)*value < ' ' ? ' ' : *value, out);
	}
	fprintf(out, "\"%s", behind);
}

bool row_is_met(const struct row *row)
{
	switch (row->bar.kind) {
	case BAR_MOST: return row->value.median <= row->bar.value;
	case BAR_LEAST: return row->value.median >= row->bar.value;
	default: return true;
	}
}

void json_print(FILE *out, const struct row *row)
{
	fputc('{', out);
	print_string(out, "bench", row->bench, ", ");
	print_string(out, "case", row->name, ", ");
	print_string(out, "source", row->source, ", ");
	print_string(out, "metric", row->metric, ", ");
	print_string(out, "unit", row->unit, ", ");
	fprintf(out, "\"median\": %.10g, \"low\": %.10g, \"high\": %.10g, \"n\": %zu, ", row->value.median,
		row->value.low, row->value.high, row->value.n);
	print_string(out, "kernel", row->kernel, "");
	if (*row->version) {
		fputs(", ", out);
		print_string(out, "version", row->version, "");
	}
	if (row->bar.kind != BAR_NONE)
		fprintf(out, ", \"bar\": %.10g, \"met\": %s", row->bar.value, row_is_met(row) ? "true" : "false");
	fputs("}\n", out);
}

static const char *skip_space(const char *at)
{
	while (isspace((unsigned char)*at))
		at++;
	return at;
}

/* A string at @at into @text; the place behind it, or NULL. */
static const char *parse_string(const char *at, char *text, size_t text_bytes)
{
	size_t len = 0;

	if (*at++ != '"')
		return NULL;
	for (; *at && *at != '"'; at++) {
		if (*at == '\\' && !strchr("\"\\/", *++at))
			return NULL;
		if (!*at || len + 1 >= text_bytes)
			return NULL;
		text[len++] = *at;
	}
	text[len] = '\0';
	return *at == '"' ? at + 1 : NULL;
}

static const char *parse_number(const char *at, double *number)
{
	char *end;

	*number = strtod(at, &end);
	return end == at ? NULL : end;
}

static const char *parse_truth(const char *at)
{
	if (!strncmp(at, "true", 4))
		return at + 4;
	return strncmp(at, "false", 5) ? NULL : at + 5;
}

static int key_index(const char *key)
{
	for (int i = 0; i < NR_KEYS; i++)
		if (!strcmp(key, keys[i]))
			return i;
	return -1;
}

static const char *parse_value(const char *at, int key, struct row *row)
{
	struct {
		char *text;
		size_t bytes;
	} strings[KEY_MEDIAN] = {
		{ row->bench, sizeof(row->bench) },   { row->name, sizeof(row->name) },
		{ row->source, sizeof(row->source) }, { row->metric, sizeof(row->metric) },
		{ row->unit, sizeof(row->unit) },     { row->kernel, sizeof(row->kernel) },
	};
	double *const numbers[] = { &row->value.median, &row->value.low, &row->value.high };
	double number;

	if (key < KEY_MEDIAN)
		return parse_string(at, strings[key].text, strings[key].bytes);
	if (key < KEY_N)
		return parse_number(at, numbers[key - KEY_MEDIAN]);
	if (key == KEY_VERSION)
		return parse_string(at, row->version, sizeof(row->version));
	if (key == KEY_MET)
		return parse_truth(at);
	at = parse_number(at, &number);
	if (key == KEY_BAR)
		return at;
	row->value.n = at && number >= 1 ? (size_t)number : 0;
	return row->value.n ? at : NULL;
}

static bool has_all_keys(unsigned int seen)
{
	return (seen & ALWAYS) == ALWAYS && ((seen & JUDGED) == 0 || (seen & JUDGED) == JUDGED);
}

bool json_parse(const char *line, struct row *row)
{
	const char *at = skip_space(line);
	unsigned int seen = 0;
	char key[16];
	int index;

	memset(row, 0, sizeof(*row));
	if (*at++ != '{')
		return false;
	for (;;) {
		at = parse_string(skip_space(at), key, sizeof(key));
		index = at ? key_index(key) : -1;
		if (index < 0 || seen & (1U << index))
			return false;
		seen |= 1U << index;
		at = skip_space(at);
		if (*at++ != ':')
			return false;
		at = parse_value(skip_space(at), index, row);
		if (!at)
			return false;
		at = skip_space(at);
		if (*at != ',')
			break;
		at++;
	}
	return *at == '}' && !*skip_space(at + 1) && has_all_keys(seen);
}
