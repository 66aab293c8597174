// SPDX-License-Identifier: MIT
/*
 * The public functions: check arguments, start the library with the first arena, and call the layers below.
 *
 * Starting installs the handler of faults and the handlers of fork(), and joins the daemon when the environment asks for it.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "chunk.h"
#include "ctl.h"
#include "fault.h"
#include "gc/fork.h"
#include "guard.h"
#include "heap.h"
#include "internal.h"
#include "meta.h"
#include "opt.h"
#include "profile.h"
#include "relief.h"
#include "small.h"
#include "source.h"

static uint32_t started; /* atomic; 0 or 1, written under lock_setup */

/*
 * The link comes first: who leaves the daemon holds its mutex and waits for a thread that may want any of the others. Under lock_setup nothing comes or
 * goes that the others look after.
 */
static void fork_prepare(void)
{
	ctl_fork_prepare();
	lock_acquire(&lock_setup);
	gc_fork_prepare();
	chunk_fork_prepare();
	heap_fork_prepare();
	meta_fork_prepare();
	guard_fork_prepare();
	profile_fork_prepare();
}

static void fork_parent(void)
{
	profile_fork_done();
	guard_fork_done();
	meta_fork_done();
	heap_fork_done();
	chunk_fork_parent();
	gc_fork_parent();
	lock_release(&lock_setup);
	ctl_fork_parent();
}

static void fork_child(void)
{
	profile_fork_done();
	guard_fork_done();
	meta_fork_done();
	heap_fork_child();
	chunk_fork_child();
	gc_fork_child();
	lock_release(&lock_setup);
	ctl_fork_child();
}

/*
 * Before any thread can start the library, and before the program's own handlers of fork(): these may use arenas then,
 * because ours take the locks last and release them first.
 */
__attribute__((constructor(101))) static void watch_forks(void)
{
	pthread_atfork(fork_prepare, fork_parent, fork_child);
}

/* No pthread_once(): a child forked in the middle of it would run it again. */
static bool start_first(void)
{
	bool is_first;

	lock_acquire(&lock_setup);
	is_first = !atomic_load_relaxed(&started);
	if (is_first)
		fault_start();
	atomic_store_release(&started, 1u);
	lock_release(&lock_setup);
	return is_first;
}

/* The acquire pairs with the release in start_first(). */
static void start(void)
{
	if (!atomic_load_acquire(&started) && start_first() && opt_get(OPT_DAEMON))
		arena_daemon_join(NULL);
}

const char *arena_version(void)
{
	return ARENA_VERSION_STRING;
}

/* ---------------------------------------------------------------- sources */

int arena_source_check(enum arena_source source)
{
	if (!source_is_known(source))
		return -EINVAL;
	return source == ARENA_SOURCE_AUTO ? 0 : chunk_source_start(source);
}

/* ---------------------------------------------------------------- arenas */

struct arena *arena_new_at(const struct arena_options *options, const char *where)
{
	static const struct arena_options defaults;

	if (!options)
		options = &defaults;
	if (!source_is_known(options->source))
		return NULL;
	start();
	return arena_create(options, where);
}

void arena_free_at(struct arena *arena, const char *where)
{
	if (!arena)
		return;
	arena_require_live(arena, "arena_free()", where);
	arena_destroy(arena, where);
}

void arena_reset(struct arena *arena)
{
	arena_require_live(arena, "arena_reset()", NULL);
	arena_rewind(arena);
}

void arena_reset_release_at(struct arena *arena, const char *where)
{
	arena_require_live(arena, "arena_reset_release()", where);
	/* Without memory for the record the arena keeps what it has: only reset. */
	if (!arena_give_back(arena, where))
		arena_rewind(arena);
}

size_t arena_trim(size_t max_bytes)
{
	size_t max = chunks_from_bytes(max_bytes), nr = chunk_trim(max);

	small_trim();
	nr += relief_give_back(max - nr);
	return nr * CHUNK_BYTES;
}

/* ---------------------------------------------------------------- faults */

void arena_fault_handler_enable(bool enable)
{
	fault_enable(enable);
}

int arena_describe(const void *address, char *text, size_t text_bytes)
{
	struct text out;

	if (!text_bytes)
		return -EINVAL;
	text_init(&out, text, text_bytes);
	return fault_describe((uintptr_t)address, &out) ? 0 : -ENOENT;
}
