// SPDX-License-Identifier: MIT
/* Read lines and print the last ten: what falls off the list's end is freed by the collector, beside the program. */
#include <arena/gc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct line {
	struct line *next;
	char *text;
};
ARENA_GC_LAYOUT(line_layout, struct line, next, text); /* where the pointers are */

static struct line *read_line(struct arena_gc *gc, struct arena_gc_type *type)
{
	static char *buffer;
	static size_t capacity_bytes;
	struct line *line;
	char *text;

	if (getline(&buffer, &capacity_bytes, stdin) <= 0)
		return NULL;
	text = arena_gc_alloc_atomic(gc, strlen(buffer) + 1); /* holds no pointers */
	line = arena_gc_alloc(gc, type);
	if (!text || !line)
		exit(EXIT_FAILURE);
	strcpy(text, buffer);
	arena_gc_store(&line->text, text); /* a pointer in an object: through the barrier */
	return line;
}

int main(void)
{
	struct arena_gc *gc = arena_gc_create(NULL);
	struct arena_gc_type *type = gc ? arena_gc_type_create(gc, &line_layout) : NULL;
	struct line *first, *last; /* on the stack, where the collector looks */
	int nr = 1;

	if (!type || arena_gc_attach(gc))
		return EXIT_FAILURE;
	first = last = read_line(gc, type);
	for (struct line *line = first; line; nr++) {
		line = read_line(gc, type);
		if (line) {
			arena_gc_store(&last->next, line);
			last = line;
			first = nr >= 10 ? first->next : first;
		}
	}
	for (; first; first = first->next)
		fputs(first->text, stdout);
	arena_gc_destroy(gc);
	return EXIT_SUCCESS;
}
