// SPDX-License-Identifier: MIT
/*
 * What a profile says that was written, point by point as its readers want it: pprof (proto/README.md and profile.CheckValid() of github.com/google/pprof)
 * and Pyroscope (RawFromBytes(), Normalize(), ValidateProfile() and the naming of series in its sources, v1). Neither runs here.
 */
#include <ctype.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "arena/gc.h"
#include "arena/heap.h"
#include "arena/profile.h"
#include "base.h"
#include "profile.pb-c.h"
#include "tests/harness.h"

typedef Arena__Pprof__Profile Profile;
typedef Arena__Pprof__Location Location;

#define MEAN 64
/* What Pyroscope takes by default. */
#define MOST_LABELS 100
#define MOST_DEPTH 1000

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static const char *const kinds[] = { "heap", "arena", "gc" };

/* Objects of all three kinds, some of which are freed. */
static void allocate(void)
{
	struct arena_heap *heap = arena_heap_create(NULL);
	struct arena *arena = arena_new(NULL);
	struct arena_gc *gc = arena_gc_create(NULL);

	CHECK(heap && arena && gc && !arena_gc_attach(gc));
	for (size_t i = 0; i < 1000; i++) {
		void *object = arena_heap_alloc(heap, 100);

		if (i % 2)
			arena_heap_free(object);
		CHECK(arena_alloc(arena, 50) && arena_gc_alloc_atomic(gc, 200));
	}
}

/* Unpacks it; the file begins as gzip does. */
static Profile *read_profile(const char *path)
{
	static uint8_t bytes[8 << 20];
	gzFile file = gzopen(path, "rb");
	int nr = file ? gzread(file, bytes, sizeof(bytes)) : 0;

	CHECK(nr > 0 && nr < (int)sizeof(bytes) && !gzdirect(file) && gzclose(file) == Z_OK);
	return arena__pprof__profile__unpack(NULL, (size_t)nr, bytes);
}

/* What a test adds; NULL: nothing. */
static void (*allocate_more)(void);

static Profile *written(int64_t *begin_ns)
{
	const struct arena_profile_options options = { .mean_bytes = MEAN, .seed = 5 };
	char path[] = "/tmp/pprof.XXXXXX";
	int fd = mkstemp(path);
	Profile *profile;

	CHECK(fd >= 0 && !arena_profile_start(&options));
	allocate();
	if (allocate_more)
		allocate_more();
	*begin_ns = now_ns();
	CHECK_EQ(arena_profile_write(fd), 0);
	close(fd);
	profile = read_profile(path);
	unlink(path);
	CHECK(profile);
	return profile;
}

static const char *text(const Profile *profile, int64_t index)
{
	CHECK(index >= 0 && (size_t)index < profile->n_string_table);
	return profile->string_table[index];
}

/* ---------------------------------------------------------------- the whole */

TEST(types, "pprof/types, units and period are those of Go's heap profiles, by which readers know one")
{
	static const char *const types[] = { "alloc_objects", "alloc_space", "inuse_objects", "inuse_space" };
	int64_t begin_ns;
	Profile *profile = written(&begin_ns);

	CHECK_EQ(profile->n_sample_type, ARRAY_LEN(types));
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		CHECK_STR(text(profile, profile->sample_type[i]->type), types[i]);
		CHECK_STR(text(profile, profile->sample_type[i]->unit), i % 2 ? "bytes" : "count");
	}
	CHECK(profile->period_type);
	CHECK_STR(text(profile, profile->period_type->type), "space");
	CHECK_STR(text(profile, profile->period_type->unit), "bytes");
	CHECK_EQ(profile->period, MEAN);
	CHECK_STR(text(profile, profile->default_sample_type), "inuse_space");
	arena__pprof__profile__free_unpacked(profile, NULL);
}

TEST(when, "pprof/the time is that of the writing, in nanoseconds")
{
	int64_t begin_ns;
	Profile *profile = written(&begin_ns);

	CHECK(profile->time_nanos >= begin_ns && profile->time_nanos <= now_ns());
	arena__pprof__profile__free_unpacked(profile, NULL);
}

TEST(texts, "pprof/the first text is empty, and each reference leads to one")
{
	int64_t begin_ns;
	Profile *profile = written(&begin_ns);

	CHECK(profile->n_string_table);
	CHECK_STR(profile->string_table[0], "");
	text(profile, profile->drop_frames);
	text(profile, profile->keep_frames);
	CHECK(!profile->n_comment);
	/* Pyroscope renumbers texts when it takes names of functions out, but not the references of labels and the default type: these lie before any. */
	for (size_t i = 0; i < profile->n_function; i++) {
		CHECK(profile->default_sample_type < profile->function[i]->name);
		for (size_t j = 0; j < profile->n_sample; j++)
			CHECK(profile->sample[j]->label[0]->str < profile->function[i]->name);
	}
	/* And it takes the empty one for out of use unless one of those that it counts is. */
	CHECK(!profile->keep_frames);
	arena__pprof__profile__free_unpacked(profile, NULL);
}

/* ---------------------------------------------------------------- parts */

static bool is_hexadecimal(const char *digits)
{
	return digits[strspn(digits, "0123456789abcdef")] == 0;
}

TEST(mappings, "pprof/mappings are numbered from 1 in their order, have a file and leave it to the reader to name functions anew")
{
	int64_t begin_ns;
	Profile *profile = written(&begin_ns);

	CHECK(profile->n_mapping);
	for (size_t i = 0; i < profile->n_mapping; i++) {
		const Arena__Pprof__Mapping *mapping = profile->mapping[i];

		CHECK_EQ(mapping->id, i + 1);
		CHECK(mapping->memory_start < mapping->memory_limit);
		CHECK(*text(profile, mapping->filename));
		CHECK(is_hexadecimal(text(profile, mapping->build_id)));
		CHECK(!mapping->has_functions && !mapping->has_filenames && !mapping->has_line_numbers && !mapping->has_inline_frames);
	}
	CHECK_HAS(text(profile, profile->mapping[0]->filename), "/pprof");
	arena__pprof__profile__free_unpacked(profile, NULL);
}

/* Pyroscope drops a location that leads nowhere, and each sample with it. */
static void check_location(const Profile *profile, const Location *location)
{
	const Arena__Pprof__Mapping *mapping;

	CHECK(location->mapping_id <= profile->n_mapping && !location->is_folded);
	if (location->mapping_id) {
		mapping = profile->mapping[location->mapping_id - 1];
		CHECK(location->address >= mapping->memory_start && location->address < mapping->memory_limit);
	}
	CHECK_EQ(location->n_line, 1);
	CHECK(location->line[0]->function_id >= 1 && location->line[0]->function_id <= profile->n_function);
}

TEST(locations, "pprof/locations and functions are numbered from 1 in their order, and each location has a function with a name")
{
	int64_t begin_ns;
	Profile *profile = written(&begin_ns);

	CHECK(profile->n_location && profile->n_function);
	for (size_t i = 0; i < profile->n_location; i++) {
		CHECK_EQ(profile->location[i]->id, i + 1);
		check_location(profile, profile->location[i]);
		for (size_t j = 0; j < i; j++)
			CHECK(profile->location[i]->address != profile->location[j]->address);
	}
	for (size_t i = 0; i < profile->n_function; i++) {
		CHECK_EQ(profile->function[i]->id, i + 1);
		CHECK(*text(profile, profile->function[i]->name));
		CHECK_EQ(profile->function[i]->system_name, profile->function[i]->name);
		text(profile, profile->function[i]->filename);
	}
	arena__pprof__profile__free_unpacked(profile, NULL);
}

/* Labels become those of series. */
static bool is_label_name(const char *name)
{
	for (const char *at = name; *at; at++)
		if (!(*at == '_' || isalpha((unsigned char)*at) || (at > name && isdigit((unsigned char)*at))))
			return false;
	return *name;
}

static void check_sample(const Profile *profile, const Arena__Pprof__Sample *sample)
{
	bool any = false;

	CHECK_EQ(sample->n_value, profile->n_sample_type);
	for (size_t i = 0; i < sample->n_value; i++) {
		CHECK(sample->value[i] >= 0);
		any |= sample->value[i] > 0;
	}
	CHECK(any && sample->n_location_id <= MOST_DEPTH && sample->n_label <= MOST_LABELS);
	for (size_t i = 0; i < sample->n_location_id; i++)
		CHECK(sample->location_id[i] >= 1 && sample->location_id[i] <= profile->n_location);
	for (size_t i = 0; i < sample->n_label; i++) {
		CHECK(is_label_name(text(profile, sample->label[i]->key)));
		CHECK(*text(profile, sample->label[i]->str) && !sample->label[i]->num);
	}
}

TEST(samples, "pprof/each sample has a value of each type, known locations, and labels with names that may be labels")
{
	int64_t begin_ns;
	Profile *profile = written(&begin_ns);
	bool has_kind[3] = { 0 };

	for (size_t i = 0; i < profile->n_sample; i++) {
		check_sample(profile, profile->sample[i]);
		for (size_t kind = 0; kind < 3; kind++)
			has_kind[kind] |= !strcmp(text(profile, profile->sample[i]->label[0]->str), kinds[kind]);
	}
	CHECK(has_kind[0] && has_kind[1] && has_kind[2]);
	arena__pprof__profile__free_unpacked(profile, NULL);
}

/* ---------------------------------------------------------------- sums */

/* Of all sites of a kind, as the file has them and as who reads them in the program. */
struct sums {
	int64_t values[ARRAY_LEN(kinds)][4];
};

static size_t kind_index(const char *kind)
{
	size_t i = 0;

	while (i < ARRAY_LEN(kinds) && strcmp(kinds[i], kind))
		i++;
	CHECK(i < ARRAY_LEN(kinds));
	return i;
}

static bool add_site(const struct arena_profile_site *site, void *sums)
{
	int64_t *values = ((struct sums *)sums)->values[kind_index(site->kind)];

	values[0] += (int64_t)site->allocated_objects;
	values[1] += (int64_t)site->allocated_bytes;
	values[2] += (int64_t)site->used_objects;
	values[3] += (int64_t)site->used_bytes;
	return true;
}

static void add_sample(const Profile *profile, const Arena__Pprof__Sample *sample, struct sums *sums)
{
	CHECK_EQ(sample->n_label, 1);
	for (size_t i = 0; i < 4; i++)
		sums->values[kind_index(text(profile, sample->label[0]->str))][i] += sample->value[i];
}

/* Two arenas that no number of the one could be taken for one of the other: few large objects that live, many small ones that do not. */
static void allocate_in_arenas(void)
{
	struct arena *living = arena_new(NULL), *freed = arena_new(NULL);

	CHECK(living && freed);
	for (size_t i = 0; i < 2000; i++)
		CHECK(arena_alloc(living, 5000));
	for (size_t i = 0; i < 30000; i++)
		CHECK(arena_alloc(freed, 40));
	arena_free(freed);
}

static bool is_near(int64_t estimate, int64_t truth)
{
	return estimate > truth * 8 / 10 && estimate < truth * 12 / 10;
}

TEST(sums, "pprof/objects and bytes, allocated and in use, of heaps, arenas and collected heaps are those that the program reads")
{
	struct sums wanted = { 0 }, found = { 0 };
	int64_t begin_ns;
	Profile *profile;

	allocate_more = allocate_in_arenas;
	profile = written(&begin_ns);
	arena_profile_for_each(add_site, &wanted);
	for (size_t i = 0; i < profile->n_sample; i++)
		add_sample(profile, profile->sample[i], &found);
	for (size_t kind = 0; kind < ARRAY_LEN(kinds); kind++)
		for (size_t i = 0; i < 4; i++)
			CHECK_EQ(found.values[kind][i], wanted.values[kind][i]);
	/* Those of arenas all differ, and are near the truth: with the 1,000 of 50 bytes that allocate() has. */
	harness_note("arenas: %ld objects, %ld bytes, in use %ld, %ld", (long)found.values[1][0], (long)found.values[1][1],
		     (long)found.values[1][2], (long)found.values[1][3]);
	CHECK(is_near(found.values[1][0], 33000) && is_near(found.values[1][1], 33000 * 56 + 2000 * (5008 - 56) - 30000 * 8));
	CHECK(is_near(found.values[1][2], 3000) && is_near(found.values[1][3], 1000 * 56 + 2000 * 5008));
	arena__pprof__profile__free_unpacked(profile, NULL);
}
