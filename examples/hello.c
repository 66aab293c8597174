// SPDX-License-Identifier: MIT
/* Read lines, keep them all, print them in reverse: objects that live together and die together. */
#include <arena/arena.h>
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
	struct arena *arena = arena_new(&(struct arena_options){ .name = "lines" });
	ARENA_SLICE(char *) lines = { 0 };
	char *line = NULL;
	size_t capacity_bytes = 0;

	if (!arena)
		return EXIT_FAILURE;
	while (getline(&line, &capacity_bytes, stdin) > 0) {
		char *copy = arena_strdup(arena, line);

		if (!copy || !arena_slice_push(arena, &lines, copy))
			return EXIT_FAILURE;
	}
	while (lines.len)
		fputs(lines.data[--lines.len], stdout);
	free(line);
	arena_free(arena); /* every line and the slice; reading one now would fault and say so */
	return EXIT_SUCCESS;
}
