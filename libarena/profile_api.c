// SPDX-License-Identifier: MIT
/* The public functions of profiles, but for the one that reads (profile.c) and those that write (pprof.c). */
#include <errno.h>

#include "profile.h"

/* A mean beyond is a typing mistake: no process allocates that much. */
#define MEAN_MAX_BYTES TiB

int arena_profile_start(const struct arena_profile_options *options)
{
	static const struct arena_profile_options defaults;

	if (!options)
		options = &defaults;
	if (options->mean_bytes > MEAN_MAX_BYTES)
		return -EINVAL;
	return profile_start(options->mean_bytes ? options->mean_bytes : SAMPLE_MEAN_BYTES, options->seed);
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
