// SPDX-License-Identifier: MIT
/*
 * The demonstration's work: parse Debian's list of languages with jansson and protobuf's description
 * of itself with protobuf-c, and digest both results.
 *
 * Both libraries take an allocator: jansson a pair of global functions without context, which is
 * why the allocator in use is a static here, and protobuf-c a struct. The digest walks the whole result, so
 * that a parse that lost or damaged anything in one mode cannot pass for one that did not.
 *
 * Limits: one thread; the numbers of JSON are digested as jansson parsed them, not as written.
 */
#include "workload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "demo.h"

static const struct workload_allocator *in_use; /* guard: the one thread that parses */

/* ------------------------------------------------------------------ inputs */

/* Ends what it read with a zero byte that is not counted in *bytes. */
static void *file_read(const char *path, size_t *bytes)
{
	FILE *file = fopen(path, "re");
	long length;
	char *data;

	if (!file)
		demo_die("cannot open %s: %s", path, strerror(errno));
	if (fseek(file, 0, SEEK_END) || (length = ftell(file)) < 0 || fseek(file, 0, SEEK_SET))
		demo_die("cannot read %s: %s", path, strerror(errno));
	data = malloc((size_t)length + 1);
	if (!data)
		demo_die("out of memory for %s", path);
	if (fread(data, 1, (size_t)length, file) != (size_t)length)
		demo_die("cannot read all of %s", path);
	fclose(file);
	data[length] = 0;
	*bytes = (size_t)length;
	return data;
}

/* The descriptor set is built beside the program and named after it. */
static const char *default_descriptors(void)
{
	static char path[4096];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - sizeof(".pb"));

	if (length < 0)
		demo_die("cannot find the program's own path: %s", strerror(errno));
	memcpy(path + length, ".pb", sizeof(".pb"));
	return path;
}

void workload_load(struct workload *load, const char *json_path, const char *descriptors_path)
{
	load->json = file_read(json_path ? json_path : WORKLOAD_JSON, &load->json_bytes);
	load->descriptors = file_read(descriptors_path ? descriptors_path : default_descriptors(),
				      &load->descriptors_bytes);
}

void workload_unload(struct workload *load)
{
	free(load->json);
	free(load->descriptors);
}

/* ------------------------------------------------------------------ parsing */

static void *json_alloc(size_t bytes)
{
	return in_use->alloc(in_use->data, bytes);
}

static void json_free(void *object)
{
	in_use->free(in_use->data, object);
}

void workload_use(const struct workload_allocator *allocator)
{
	in_use = allocator;
	/* The seed of jansson's hash tables is global and random by default: fix it, so that runs compare. */
	json_object_seed(1);
	if (allocator->alloc)
		json_set_alloc_funcs(json_alloc, json_free);
	else
		json_set_alloc_funcs(malloc, free);
}

static ProtobufCAllocator *protobuf_allocator(ProtobufCAllocator *allocator)
{
	if (!in_use->alloc)
		return NULL;
	allocator->alloc = in_use->alloc;
	allocator->free = in_use->free;
	allocator->allocator_data = in_use->data;
	return allocator;
}

void workload_parse(const struct workload *load, struct parsed *parsed)
{
	ProtobufCAllocator allocator;
	json_error_t error;

	parsed->json = json_loadb(load->json, load->json_bytes, 0, &error);
	if (!parsed->json)
		demo_die("the JSON input is malformed, or memory ran out: line %d: %s", error.line,
			 error.text);
	parsed->descriptors = google__protobuf__file_descriptor_set__unpack(
		protobuf_allocator(&allocator), load->descriptors_bytes, load->descriptors);
	if (!parsed->descriptors)
		demo_die("the descriptor set is malformed, or memory ran out");
}

void workload_drop(struct parsed *parsed)
{
	ProtobufCAllocator allocator;

	json_decref(parsed->json);
	google__protobuf__file_descriptor_set__free_unpacked(parsed->descriptors,
							     protobuf_allocator(&allocator));
}

/* ------------------------------------------------------------------ digest */

/* One round of FNV-1a per 8 bytes: cheap beside the parse, and sensitive to order. */
static uint64_t mix(uint64_t digest, uint64_t value)
{
	digest = (digest ^ value) * 0x100000001b3ULL;
	return digest ^ (digest >> 29);
}

static uint64_t mix_bytes(uint64_t digest, const void *data, size_t bytes)
{
	const unsigned char *at = data;
	uint64_t word;

	digest = mix(digest, bytes);
	for (; bytes >= sizeof(word); at += sizeof(word), bytes -= sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		digest = mix(digest, word);
	}
	word = 0;
	memcpy(&word, at, bytes);
	return mix(digest, word);
}

static uint64_t mix_string(uint64_t digest, const char *string)
{
	return mix_bytes(digest, string ? string : "", string ? strlen(string) : 0);
}

static uint64_t mix_double(uint64_t digest, double value)
{
	return mix_bytes(digest, &value, sizeof(value));
}

static uint64_t digest_json(uint64_t digest, json_t *json)
{
	const char *key;
	json_t *value;
	size_t i;

	digest = mix(digest, (uint64_t)json_typeof(json));
	switch (json_typeof(json)) {
	case JSON_OBJECT:
		json_object_foreach(json, key, value)
			digest = digest_json(mix_string(digest, key), value);
		return mix(digest, json_object_size(json));
	case JSON_ARRAY:
		json_array_foreach(json, i, value)
			digest = digest_json(digest, value);
		return mix(digest, json_array_size(json));
	case JSON_STRING:
		return mix_bytes(digest, json_string_value(json), json_string_length(json));
	case JSON_INTEGER:
		return mix(digest, (uint64_t)json_integer_value(json));
	case JSON_REAL:
		return mix_double(digest, json_real_value(json));
	case JSON_TRUE:
	case JSON_FALSE:
	case JSON_NULL:
		return digest;
	}
	return digest;
}

static uint64_t digest_message(uint64_t digest, const ProtobufCMessage *message);

/* Bytes that one value of a field takes in the generated struct. */
static size_t value_bytes(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_FLOAT:
	case PROTOBUF_C_TYPE_ENUM:
		return sizeof(uint32_t);
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return sizeof(uint64_t);
	}
	return sizeof(uint64_t);
}

static uint64_t digest_value(uint64_t digest, ProtobufCType type, const void *value)
{
	const ProtobufCBinaryData *bytes = value;
	const void *pointer;

	if (type == PROTOBUF_C_TYPE_BYTES)
		return mix_bytes(digest, bytes->data, bytes->len);
	if (type != PROTOBUF_C_TYPE_STRING && type != PROTOBUF_C_TYPE_MESSAGE)
		return mix_bytes(digest, value, value_bytes(type));
	memcpy(&pointer, value, sizeof(pointer));
	if (type == PROTOBUF_C_TYPE_STRING)
		return mix_string(digest, pointer);
	return pointer ? digest_message(digest, pointer) : mix(digest, 0);
}

static uint64_t digest_repeated(uint64_t digest, const ProtobufCFieldDescriptor *field,
				const char *base)
{
	size_t count, i;
	const char *values;

	memcpy(&count, base + field->quantifier_offset, sizeof(count));
	memcpy(&values, base + field->offset, sizeof(values));
	digest = mix(digest, count);
	for (i = 0; i < count; i++)
		digest = digest_value(digest, field->type, values + i * value_bytes(field->type));
	return digest;
}

/* Optional values that are not pointers have a flag that says whether they are there. */
static bool field_is_set(const ProtobufCFieldDescriptor *field, const char *base)
{
	protobuf_c_boolean is_set;

	if (field->label != PROTOBUF_C_LABEL_OPTIONAL || !field->quantifier_offset)
		return true;
	memcpy(&is_set, base + field->quantifier_offset, sizeof(is_set));
	return is_set;
}

static uint64_t digest_message(uint64_t digest, const ProtobufCMessage *message)
{
	const char *base = (const char *)message;
	const ProtobufCFieldDescriptor *field = message->descriptor->fields;
	unsigned int i;

	digest = mix_string(digest, message->descriptor->name);
	for (i = 0; i < message->descriptor->n_fields; i++, field++) {
		digest = mix(digest, field->id);
		if (field->label == PROTOBUF_C_LABEL_REPEATED)
			digest = digest_repeated(digest, field, base);
		else if (field_is_set(field, base))
			digest = digest_value(digest, field->type, base + field->offset);
	}
	for (i = 0; i < message->n_unknown_fields; i++)
		digest = mix_bytes(mix(digest, message->unknown_fields[i].tag),
				   message->unknown_fields[i].data, message->unknown_fields[i].len);
	return digest;
}

uint64_t workload_digest(const struct parsed *parsed)
{
	return digest_message(digest_json(0xcbf29ce484222325ULL, parsed->json),
			      &parsed->descriptors->base);
}
