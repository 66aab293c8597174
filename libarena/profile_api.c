// SPDX-License-Identifier: MIT
/* The public functions of profiles, but for the one that reads (profile.c) and those that write (pprof.c). */
#include <errno.h>

#include "fault.h"
#include "guard.h"
#include "lock.h"
#include "profile.h"

/* A mean beyond is a typing mistake: no process allocates that much. */
#define MEAN_MAX_BYTES TiB
/* Each living one needs two mappings, of 65,530. */
#define GUARDED_MAX 16384u

static int start_guards(uint32_t nr)
{
	int error;

	lock_acquire(&lock_setup);
	error = guard_start(nr);
	lock_release(&lock_setup);
	fault_start();
	return error;
}

int arena_profile_start(const struct arena_profile_options *options)
{
	static const struct arena_profile_options defaults;
	int error = 0;

	if (!options)
		options = &defaults;
	if (options->mean_bytes > MEAN_MAX_BYTES || options->guarded_objects > GUARDED_MAX)
		return -EINVAL;
	if (options->guarded_objects)
		error = start_guards(options->guarded_objects);
	return error ? error : profile_start(options->mean_bytes ? options->mean_bytes : SAMPLE_MEAN_BYTES, options->seed);
}

void arena_profile_stop(void)
{
	profile_stop();
}

void arena_profile_pause(void)
{
	profile_pauses++;
}

void arena_profile_resume(void)
{
	profile_pauses--;
}

size_t arena_profile_mean_bytes(void)
{
	return atomic_load_relaxed(&profile_mean_word);
}
