// SPDX-License-Identifier: MIT
/* Strings, copies, formatted text, clones. */
#include <stdlib.h>
#include <string.h>

#include "tests/harness.h"

TEST(strings, "text/strings")
{
	struct arena *arena = arena_new(NULL);
	const char raw[3] = { 'a', 'b', 'c' }; /* not ended */
	char *a = arena_strdup(arena, "hello"), *b = arena_strdup(arena, "");

	CHECK_STR(a, "hello");
	CHECK_STR(b, "");
	CHECK_STR(arena_strndup(arena, raw, 3), "abc");
	CHECK_STR(arena_strndup(arena, "abc", 2), "ab");
	CHECK_STR(arena_strndup(arena, "abc", SIZE_MAX), "abc");
	CHECK_STR(arena_strndup(arena, "abc", 0), "");
	CHECK(!memcmp(arena_memdup(arena, raw, 3), raw, 3));
	CHECK_STR(arena_printf(arena, "%s-%05d-%c", "x", 42, 'y'), "x-00042-y");
	CHECK_STR(arena_printf(arena, "%s", ""), "");
	CHECK_STR(a, "hello");
}

TEST(long_text, "text/long texts")
{
	struct arena *arena = arena_new(NULL);
	size_t bytes = 5000000;
	char *text = malloc(bytes + 1), *copy;

	memset(text, 'z', bytes);
	text[bytes] = 0;
	copy = arena_printf(arena, "<%s>", text);
	CHECK(copy && strlen(copy) == bytes + 2 && copy[0] == '<' && copy[bytes + 1] == '>');
	CHECK_STR(arena_strdup(arena, text), text);
	free(text);
}

TEST(clones, "text/clones outlive the arena")
{
	struct arena *arena = arena_new(NULL);
	char *string = arena_strdup(arena, "keep me"), *clone = arena_clone_string(string);
	int *number = arena_make(arena, int), *copy;

	*number = 7;
	copy = arena_clone_of(number);
	arena_free(arena);
	CHECK_STR(clone, "keep me");
	CHECK_EQ(*copy, 7);
	free(clone);
	free(copy);
	free(arena_clone("", 0));
}

TEST(over_limit, "text/over the limit is NULL")
{
	const struct arena_options options = { .source = ARENA_SOURCE_PAGES, .limit_bytes = 4096 };
	struct arena *arena = arena_new(&options);
	char big[5000];

	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	CHECK(!arena_strdup(arena, big) && !arena_memdup(arena, big, 5000) && !arena_calloc(arena, 50, 100));
	CHECK(!arena_printf(arena, "%s", big) && !arena_realloc(arena, NULL, 0, 5000));
	CHECK_STR(arena_strdup(arena, "fits"), "fits");
}

TEST(realloc_copies, "text/realloc copies what is not last")
{
	struct arena *arena = arena_new(NULL);
	char *a = arena_memdup(arena, "0123456789", 10), *b = arena_alloc(arena, 10), *c;

	c = arena_realloc(arena, a, 10, 100);
	CHECK(c != a && !memcmp(c, "0123456789", 10));
	CHECK(arena_realloc(arena, b, 10, 5) == b);
	CHECK(arena_realloc(arena, c, 100, 200) == c);
	CHECK(arena_realloc(arena, c, 200, 50) == c);
	CHECK((char *)arena_alloc(arena, 1) < c + 100);
}
