/* SPDX-License-Identifier: MIT */
/*
 * The demonstration's work: two real inputs, parsed by two libraries that take an allocator, and
 * a digest of everything they made.
 */
#ifndef EXAMPLES_WORKLOAD_H
#define EXAMPLES_WORKLOAD_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "google/protobuf/descriptor.pb-c.h"

#define WORKLOAD_JSON "/usr/share/iso-codes/json/iso_639-3.json"

/* Both inputs in memory; fixed after workload_load(). */
struct workload {
	char *json;
	size_t json_bytes;
	uint8_t *descriptors;
	size_t descriptors_bytes;
};

/* What a parse made; owned by the allocator it was made with. */
struct parsed {
	json_t *json;
	Google__Protobuf__FileDescriptorSet *descriptors;
};

/*
 * Where the parsers get memory. free may do nothing: then the caller drops the whole of it at once.
 * All NULL: malloc and free.
 */
struct workload_allocator {
	void *(*alloc)(void *data, size_t bytes);
	void (*free)(void *data, void *object);
	void *data;
};

/** Read both files, or exit with a message. NULL names the defaults: iso-codes, and the program's own .pb file. */
void workload_load(struct workload *load, const char *json_path, const char *descriptors_path);
void workload_unload(struct workload *load);

/** The calling thread's parsers use @allocator from now on; it must outlive them. One thread at a time. */
void workload_use(const struct workload_allocator *allocator);
/** Parse both inputs; exits with a message when one is malformed or memory runs out. */
void workload_parse(const struct workload *load, struct parsed *parsed);
/** A number that depends on every name, value and order in both results. */
uint64_t workload_digest(const struct parsed *parsed);
/** Free object by object, as a program without arenas must. */
void workload_drop(struct parsed *parsed);

#endif
