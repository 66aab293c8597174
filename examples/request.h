/* SPDX-License-Identifier: MIT */
/* One request of the demonstration's service, done with malloc or with an arena. */
#ifndef EXAMPLES_REQUEST_H
#define EXAMPLES_REQUEST_H

#include <arena/arena.h>

#include "workload.h"

enum mode_kind {
	MODE_MALLOC, /* every object freed one by one */
	MODE_COLD,   /* a new arena for each request, freed and revoked at its end */
	MODE_WARM    /* one arena, reset at the end of each request */
};

/* Fixed after mode_parse(). */
struct mode {
	enum mode_kind kind;
	enum arena_source source; /* of the arena; AUTO with MODE_MALLOC */
	bool is_mimalloc;	  /* MODE_MALLOC with mimalloc instead of the C library's */
};

/** "malloc", "mimalloc", "SOURCE-cold" or "SOURCE-warm"; false when @name is none of these. */
bool mode_parse(const char *name, struct mode *mode);
/** "malloc", "arena-cold" or "arena-warm". */
const char *mode_case(const struct mode *mode);
/** Name of the source, or of the allocator. */
const char *mode_source(const struct mode *mode);

/** 0 when requests can be done in @mode here, else an errno that says why not. Opens devices: call it in a child. */
int mode_check(const struct mode *mode);

/* A request whose result is still held. */
struct request {
	struct parsed parsed;
	struct arena *arena; /* NULL with MODE_MALLOC */
	struct workload_allocator allocator;
};

/** Parse. @warm is the arena to use with MODE_WARM, else NULL. Exits with a message when memory runs out. */
void request_start(struct request *request, const struct mode *mode, struct arena *warm,
		   const struct workload *load);
/** Drop the result in the way of @mode. */
void request_finish(struct request *request, const struct mode *mode);
/** Ask whoever caches memory in @mode to give it back to the system, as far as it can. */
void mode_trim(const struct mode *mode);
/** A new arena of @mode's source; exits with a message when there is none. */
struct arena *request_arena_new(const struct mode *mode);
/** Exit with a message unless @arena is on @mode's source, and the library's statistics say that it was used. */
void request_check_source(const struct arena *arena, const struct mode *mode);
/** The same, and no other source was used in this process. */
void request_check_only_source(const struct arena *arena, const struct mode *mode);

#endif
