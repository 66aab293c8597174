// SPDX-License-Identifier: MIT
/*
 * Writes profiles in the format of pprof (profile.proto), by protobuf-c and zlib.
 *
 * Everything is made from the public functions of arena/profile.h, so that this file is an object of its own in libarena.a: programs that
 * write no profile need neither library. Mappings are those of the objects that are loaded now; code that was unloaded stays without
 * one.
 *
 * Functions are named as the dynamic linker knows them, others by their object and offset: for readers that have no more than the profile, as
 * Pyroscope. Mappings do not say that they have names (has_functions), so that pprof names all anew from the files where it has them, which build ids identify. Texts
 * that types and labels refer to come before names: Pyroscope takes out names that nothing refers to any more, and counts only some references anew.
 *
 * Memory is malloc()'s; what is allocated here is not sampled.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "arena/profile.h"
#include "profile.pb-c.h"

typedef Arena__Pprof__Profile Profile;
typedef Arena__Pprof__Sample Sample;
typedef Arena__Pprof__Label Label;
typedef Arena__Pprof__Mapping Mapping;
typedef Arena__Pprof__Location Location;
typedef Arena__Pprof__Line Line;
typedef Arena__Pprof__Function Function;
typedef Arena__Pprof__ValueType ValueType;

/* Frames of the allocator itself, where they were not left out already: programs that are linked with libarena.a. */
#define DROP_FRAMES "malloc|calloc|realloc|reallocarray|aligned_alloc|posix_memalign|memalign|valloc|pvalloc|operator new.*|" \
	"arena_(heap_|gc_)?(alloc|calloc|realloc|zalloc).*|arena_(array_alloc|slice_grow|strdup|strndup|memdup|printf)|" \
	"heap_(alloc|calloc|realloc).*|cache_alloc.*|alloc_(lending|sampled|slower|slow)|realloc_(move|slow)|shim_alloc.*|profile_add.*|stack_walk|walk"

/* The texts that are always there, in the order of string_table. */
enum text { TEXT_NONE, TEXT_ALLOC_OBJECTS, TEXT_COUNT, TEXT_ALLOC_SPACE, TEXT_BYTES, TEXT_USED_OBJECTS, TEXT_USED_SPACE, TEXT_SPACE,
	    TEXT_MEMORY, TEXT_HEAP, TEXT_ARENA, TEXT_GC, TEXT_DROP, NR_TEXTS };
static const char *const texts[NR_TEXTS] = { "", "alloc_objects", "count", "alloc_space", "bytes", "inuse_objects", "inuse_space", "space",
					     "memory", "heap", "arena", "gc", DROP_FRAMES };
#define NR_VALUES 4

/* What is put together; failed = out of memory once. */
struct writer {
	Profile profile;
	size_t max_samples, max_mappings, max_locations, max_functions, max_texts;
	uint64_t *table;	/* of locations by address: ids, 0 = empty; twice as many as there are, a power of two */
	size_t table_size;
	bool failed;
};

/* ---------------------------------------------------------------- memory */

static void *take(struct writer *writer, size_t bytes)
{
	void *memory = writer->failed ? NULL : calloc(1, bytes);

	writer->failed |= !memory;
	return memory;
}

/* A pointer more at the end of an array that doubles; what it points to is freed when that fails. */
static bool push(struct writer *writer, void *array, size_t *nr, size_t *max, void *element)
{
	void **old = *(void ***)array, **grown = old;

	if (element && *nr == *max && !writer->failed) {
		*max = *max ? *max * 2 : 64;
		grown = realloc(old, *max * sizeof(*grown));
		writer->failed |= !grown;
	}
	if (!element || writer->failed) {
		free(element);
		return false;
	}
	grown[(*nr)++] = element;
	*(void ***)array = grown;
	return true;
}

static int64_t add_text(struct writer *writer, const char *text)
{
	Profile *profile = &writer->profile;

	if (!push(writer, &profile->string_table, &profile->n_string_table, &writer->max_texts, strdup(text)))
		writer->failed = true;
	return (int64_t)profile->n_string_table - 1;
}

/* ---------------------------------------------------------------- mappings */

/* The build id of an object as digits, or nothing. */
static void find_build_id(const struct dl_phdr_info *object, char *digits, size_t max)
{
	*digits = 0;
	for (size_t i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
		const char *at = (const char *)object->dlpi_addr + segment->p_vaddr, *limit = at + segment->p_memsz;

		for (; segment->p_type == PT_NOTE && at + sizeof(ElfW(Nhdr)) <= limit;) {
			const ElfW(Nhdr) *note = (const void *)at;
			const unsigned char *id = (const unsigned char *)(note + 1) + (note->n_namesz + 3u) / 4 * 4;

			if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && !memcmp(note + 1, "GNU", 4) && note->n_descsz * 2 < max)
				for (size_t b = 0; b < note->n_descsz; b++, digits += 2)
					memcpy(digits, (char[3]){ "0123456789abcdef"[id[b] >> 4], "0123456789abcdef"[id[b] & 15] }, 3);
			at = (const char *)id + (note->n_descsz + 3u) / 4 * 4;
		}
	}
}

static void file_name(const struct dl_phdr_info *object, char *name, size_t max)
{
	ssize_t length;

	strncpy(name, object->dlpi_name ? object->dlpi_name : "", max - 1);
	name[max - 1] = 0;
	/* The program itself. */
	if (*name)
		return;
	length = readlink("/proc/self/exe", name, max - 1);
	name[length > 0 ? length : 0] = 0;
}

static void add_mapping(struct writer *writer, const struct dl_phdr_info *object, const ElfW(Phdr) *segment, int64_t name, int64_t id)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), from = segment->p_vaddr & ~(page - 1);
	Mapping *mapping = take(writer, sizeof(*mapping));

	if (!mapping)
		return;
	arena__pprof__mapping__init(mapping);
	mapping->memory_start = object->dlpi_addr + from;
	mapping->memory_limit = (object->dlpi_addr + segment->p_vaddr + segment->p_memsz + page - 1) & ~(page - 1);
	mapping->file_offset = segment->p_offset & ~(page - 1);
	mapping->filename = name;
	mapping->build_id = id;
	if (push(writer, &writer->profile.mapping, &writer->profile.n_mapping, &writer->max_mappings, mapping))
		mapping->id = writer->profile.n_mapping;
}

static int add_object(struct dl_phdr_info *object, size_t size, void *data)
{
	struct writer *writer = data;
	char text[1024];
	int64_t name, id;

	(void)size;
	file_name(object, text, sizeof(text));
	name = add_text(writer, text);
	find_build_id(object, text, sizeof(text));
	id = add_text(writer, text);
	for (size_t i = 0; i < object->dlpi_phnum; i++)
		if (object->dlpi_phdr[i].p_type == PT_LOAD && object->dlpi_phdr[i].p_flags & PF_X)
			add_mapping(writer, object, &object->dlpi_phdr[i], name, id);
	return 0;
}

static uint64_t mapping_of(const struct writer *writer, uint64_t address)
{
	for (size_t i = 0; i < writer->profile.n_mapping; i++)
		if (address >= writer->profile.mapping[i]->memory_start && address < writer->profile.mapping[i]->memory_limit)
			return i + 1;
	return 0;
}

/* ---------------------------------------------------------------- locations */

/* Where in the table an address is, or would be. */
static size_t place_of(const struct writer *writer, uint64_t address)
{
	size_t at = (size_t)(address * 0x9e3779b97f4a7c15u >> 20) & (writer->table_size - 1);

	while (writer->table[at] && writer->profile.location[writer->table[at] - 1]->address != address)
		at = (at + 1) & (writer->table_size - 1);
	return at;
}

static void grow_table(struct writer *writer)
{
	uint64_t *old = writer->table;

	if (writer->profile.n_location * 2 < writer->table_size)
		return;
	writer->table_size = writer->table_size ? writer->table_size * 2 : 1024;
	writer->table = take(writer, writer->table_size * sizeof(*writer->table));
	free(old);
	for (size_t i = 0; writer->table && i < writer->profile.n_location; i++)
		writer->table[place_of(writer, writer->profile.location[i]->address)] = i + 1;
}

/* A location with its line, in one piece of memory. */
struct place {
	Location location;
	Line line, *lines[1];
};

static Location *new_location(struct writer *writer)
{
	struct place *place = take(writer, sizeof(*place));

	if (!place)
		return NULL;
	arena__pprof__location__init(&place->location);
	arena__pprof__line__init(&place->line);
	place->lines[0] = &place->line;
	place->location.line = place->lines;
	place->location.n_line = 1;
	return &place->location;
}

/* The id of the location that a return address belongs to: an address within the call before it. */
static uint64_t location_of(struct writer *writer, uintptr_t return_address)
{
	Location *location;
	size_t at;

	grow_table(writer);
	if (writer->failed)
		return 0;
	at = place_of(writer, return_address - 1);
	if (writer->table[at])
		return writer->table[at];
	location = new_location(writer);
	if (!location)
		return 0;
	location->address = return_address - 1;
	location->mapping_id = mapping_of(writer, location->address);
	if (push(writer, &writer->profile.location, &writer->profile.n_location, &writer->max_locations, location))
		location->id = writer->table[at] = writer->profile.n_location;
	return writer->profile.n_location;
}

/* ---------------------------------------------------------------- functions */

static int compare_addresses(const void *a, const void *b)
{
	uint64_t first = (*(Location *const *)a)->address, second = (*(Location *const *)b)->address;

	return (first > second) - (first < second);
}

/* What a location is called whose function has no name: OBJECT!OFFSET. */
static void put_offset(char *text, size_t max, uint64_t address, const Dl_info *known)
{
	const char *slash = strrchr(known->dli_fname, '/');

	snprintf(text, max, "%s!0x%lx", slash ? slash + 1 : known->dli_fname, (unsigned long)(address - (uintptr_t)known->dli_fbase));
}

static void add_function(struct writer *writer, uint64_t address, const Dl_info *known)
{
	Function *function = take(writer, sizeof(*function));
	char text[256];

	if (!function)
		return;
	if (!known->dli_fname)
		snprintf(text, sizeof(text), "0x%lx", (unsigned long)address);
	else if (!known->dli_sname)
		put_offset(text, sizeof(text), address, known);
	arena__pprof__function__init(function);
	function->name = function->system_name = add_text(writer, known->dli_sname ? known->dli_sname : text);
	if (push(writer, &writer->profile.function, &writer->profile.n_function, &writer->max_functions, function))
		function->id = writer->profile.n_function;
}

/* In the order of addresses those of a function are neighbors. */
static void name_locations(struct writer *writer)
{
	size_t nr = writer->profile.n_location;
	Location **sorted = take(writer, (nr + 1) * sizeof(*sorted));
	const void *before = NULL;

	if (!sorted)
		return;
	for (size_t i = 0; i < nr; i++)
		sorted[i] = writer->profile.location[i];
	qsort(sorted, nr, sizeof(*sorted), compare_addresses);
	for (size_t i = 0; i < nr; i++) {
		Dl_info known = { 0 };

		if (!dladdr((void *)(uintptr_t)sorted[i]->address, &known))
			known = (Dl_info){ 0 };
		if (!known.dli_sname || known.dli_saddr != before)
			add_function(writer, sorted[i]->address, &known);
		before = known.dli_sname ? known.dli_saddr : NULL;
		sorted[i]->line[0]->function_id = writer->profile.n_function;
	}
	free(sorted);
}

/* ---------------------------------------------------------------- samples */

/* A sample with all that belongs to it, in one piece of memory. */
struct whole {
	Sample sample;
	int64_t values[NR_VALUES];
	Label label, *labels[1];
	uint64_t locations[];
};

static enum text text_of(const char *kind)
{
	return !strcmp(kind, "arena") ? TEXT_ARENA : !strcmp(kind, "gc") ? TEXT_GC : TEXT_HEAP;
}

static bool add_sample(const struct arena_profile_site *site, void *data)
{
	struct writer *writer = data;
	struct whole *whole;

	if (!site->allocated_objects)
		return true;
	whole = take(writer, sizeof(*whole) + site->nr_addresses * sizeof(whole->locations[0]));
	if (!whole)
		return false;
	arena__pprof__sample__init(&whole->sample);
	arena__pprof__label__init(&whole->label);
	whole->values[0] = (int64_t)site->allocated_objects;
	whole->values[1] = (int64_t)site->allocated_bytes;
	whole->values[2] = (int64_t)site->used_objects;
	whole->values[3] = (int64_t)site->used_bytes;
	whole->label.key = TEXT_MEMORY;
	whole->label.str = text_of(site->kind);
	whole->labels[0] = &whole->label;
	for (size_t i = 0; i < site->nr_addresses; i++)
		whole->locations[i] = location_of(writer, site->addresses[i]);
	whole->sample.n_value = NR_VALUES;
	whole->sample.value = whole->values;
	whole->sample.n_label = 1;
	whole->sample.label = whole->labels;
	whole->sample.n_location_id = site->nr_addresses;
	whole->sample.location_id = whole->locations;
	return push(writer, &writer->profile.sample, &writer->profile.n_sample, &writer->max_samples, whole);
}

/* ---------------------------------------------------------------- the whole */

static void gather(struct writer *writer)
{
	for (size_t i = 0; i < NR_TEXTS; i++)
		add_text(writer, texts[i]);
	dl_iterate_phdr(add_object, writer);
	arena_profile_for_each(add_sample, writer);
	name_locations(writer);
}

static void drop(struct writer *writer)
{
	Profile *profile = &writer->profile;

	for (size_t i = 0; i < profile->n_string_table; i++)
		free(profile->string_table[i]);
	for (size_t i = 0; i < profile->n_sample; i++)
		free(profile->sample[i]);
	for (size_t i = 0; i < profile->n_mapping; i++)
		free(profile->mapping[i]);
	for (size_t i = 0; i < profile->n_location; i++)
		free(profile->location[i]);
	for (size_t i = 0; i < profile->n_function; i++)
		free(profile->function[i]);
	free(profile->string_table);
	free(profile->sample);
	free(profile->mapping);
	free(profile->location);
	free(profile->function);
	free(writer->table);
}

/* gzclose() closes what it was given: the caller's file stays open. */
static int write_gzipped(int fd, const uint8_t *data, size_t bytes)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3), error = 0;
	gzFile file = copy < 0 ? NULL : gzdopen(copy, "wb");

	if (!file) {
		error = copy < 0 ? -errno : -ENOMEM;
		if (copy >= 0)
			close(copy);
		return error;
	}
	errno = 0;
	if (gzfwrite(data, 1, bytes, file) != bytes)
		error = errno ? -errno : -EIO;
	if (gzclose(file) != Z_OK && !error)
		error = errno ? -errno : -EIO;
	return error;
}

static int pack_and_write(int fd, const Profile *profile)
{
	size_t bytes = arena__pprof__profile__get_packed_size(profile);
	uint8_t *packed = malloc(bytes);
	int error;

	if (!packed)
		return -ENOMEM;
	arena__pprof__profile__pack(profile, packed);
	error = write_gzipped(fd, packed, bytes);
	free(packed);
	return error;
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int write_profile(int fd)
{
	ValueType types[NR_VALUES], *type_list[NR_VALUES], period = ARENA__PPROF__VALUE_TYPE__INIT;
	static const enum text names[NR_VALUES] = { TEXT_ALLOC_OBJECTS, TEXT_ALLOC_SPACE, TEXT_USED_OBJECTS, TEXT_USED_SPACE };
	struct writer writer = { .profile = ARENA__PPROF__PROFILE__INIT };
	int error;

	gather(&writer);
	for (size_t i = 0; i < NR_VALUES; i++) {
		arena__pprof__value_type__init(&types[i]);
		types[i].type = names[i];
		types[i].unit = i % 2 ? TEXT_BYTES : TEXT_COUNT;
		type_list[i] = &types[i];
	}
	period.type = TEXT_SPACE;
	period.unit = TEXT_BYTES;
	writer.profile.n_sample_type = NR_VALUES;
	writer.profile.sample_type = type_list;
	writer.profile.period_type = &period;
	writer.profile.period = (int64_t)arena_profile_mean_bytes();
	writer.profile.time_nanos = now_ns();
	writer.profile.drop_frames = TEXT_DROP;
	writer.profile.default_sample_type = TEXT_USED_SPACE;
	error = writer.failed ? -ENOMEM : pack_and_write(fd, &writer.profile);
	drop(&writer);
	return error;
}

int arena_profile_write(int fd)
{
	int saved = errno, error;

	arena_profile_pause();
	error = write_profile(fd);
	arena_profile_resume();
	errno = saved;
	return error;
}

int arena_profile_save(const char *path)
{
	int saved = errno, fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), error;

	error = fd < 0 ? -errno : arena_profile_write(fd);
	if (fd >= 0 && close(fd) && !error)
		error = -errno;
	errno = saved;
	return error;
}
