// SPDX-License-Identifier: MIT
/*
 * Allocators beside each other under programs that know none of them: each run is a process of its own, arena-bench-malloc
 * (driver.c), with the allocator preloaded, so that no allocator starts from another's state, and each is what a user would have.
 *
 * The list of programs is bench/programs.txt, built in. What a row says is checked: the driver says where its malloc() is.
 */
#include "bench/malloc.h"

#include "bench/bench.h"
#include "bench/child.h"

#include <stdio.h>
#include <string.h>

enum { MALLOC_REPS = 5 };

__asm__(".pushsection .rodata\n"
	"programs_text:\n"
	".incbin \"bench/programs.txt\"\n"
	".byte 0\n"
	".popsection\n");
extern const char programs_text[] __attribute__((visibility("hidden")));

size_t malloc_programs(struct program programs[MAX_PROGRAMS])
{
	size_t nr = 0;

	for (const char *line = programs_text; *line && nr < MAX_PROGRAMS; line += strcspn(line, "\n") + 1) {
		struct program *program = &programs[nr];

		if (*line == '#')
			continue;
		nr += sscanf(line, "%23s %zu %zu", program->name, &program->size, &program->quick_size) == 3;
	}
	return nr;
}

/* Only the named one stays. */
static size_t select_program(struct program *programs, size_t nr, const char *name)
{
	for (size_t i = 0; i < nr; i++) {
		if (strcmp(programs[i].name, name))
			continue;
		programs[0] = programs[i];
		return 1;
	}
	return 0;
}

/*
 * Who is first changes, so that nobody always comes after the same other. What fails is a failure of the whole benchmark, but does not
 * keep the other rows from being measured.
 */
static int run_program(const struct program *program, bool quick, size_t rep, struct report *report)
{
	size_t nr, size = quick ? program->quick_size : program->size;
	int error = 0;
	const struct allocator *allocators = malloc_allocators(&nr);

	for (size_t i = 0; i < nr; i++) {
		if (!quick)
			child_warm();
		error |= malloc_run(&allocators[(i + rep) % nr], "malloc", program->name, size, report);
	}
	return error;
}

int bench_malloc(const struct options *options, struct report *report)
{
	size_t reps = options->reps ? options->reps : MALLOC_REPS, nr_allocators, nr;
	struct program programs[MAX_PROGRAMS];
	int error = 0;

	if (!malloc_allocators(&nr_allocators))
		return 1;
	nr = malloc_programs(programs);
	if (options->program)
		nr = select_program(programs, nr, options->program);
	if (!nr)
		return bench_fail("malloc: no such program: %s; they are listed in bench/programs.txt", options->program);
	for (size_t rep = 0; rep < reps; rep++)
		for (size_t i = 0; i < nr; i++)
			error |= run_program(&programs[i], options->quick, rep, report);
	malloc_add_ratios(report, !error);
	return error;
}
