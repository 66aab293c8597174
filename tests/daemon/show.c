// SPDX-License-Identifier: MIT
/* daemon/show_text.c: what others call themselves does not reach a terminal raw. */
#include <stdlib.h>
#include <string.h>

#include "daemon/view.h"
#include "tests/daemon/tap.h"

static void a_command_with_escapes_is_made_harmless(void)
{
	struct arena_space_stat space = { .id = 1, .pid = 7 };
	struct view view = { .socket = "s", .device = "d", .daemon_error = -2, .spaces = &space, .nr_spaces = 1 };
	char *text = NULL;
	size_t length_bytes;
	FILE *out = open_memstream(&text, &length_bytes);

	memcpy(space.comm, "\033[2Jevil\n\x9b", 11);
	show_text(&view, out);
	fclose(out);
	CHECK(!strchr(text, '\033') && !strchr(text, '\x9b') && !strstr(text, "evil\n"), "%zu bytes", length_bytes);
	CHECK(strstr(text, "?[2Jevil??"), "the rest is shown");
	free(text);
}

int main(void)
{
	RUN(a_command_with_escapes_is_made_harmless);
	return tap_end();
}
