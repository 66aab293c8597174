/* SPDX-License-Identifier: MIT */
/* Reads protobuf's wire format in place (protobuf.dev, "Encoding"), without making objects of it: fields one after the other. */
#ifndef EXAMPLES_WIRE_H
#define EXAMPLES_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is left to read. */
struct wire {
	const uint8_t *at, *limit;
	bool is_good;		/* false: what was read is no message */
};

struct wire_field {
	unsigned int number;
	uint64_t value;		/* of a number */
	const uint8_t *text;	/* of a text or message; NULL for a number */
	size_t nr;
};

static inline uint64_t wire_varint(struct wire *wire)
{
	uint64_t value = 0;

	for (unsigned int shift = 0; shift < 64 && wire->at < wire->limit; shift += 7) {
		uint8_t byte = *wire->at++;

		value |= (uint64_t)(byte & 127) << shift;
		if (byte < 128)
			return value;
	}
	wire->is_good = false;
	return 0;
}

/* @nr bytes. */
static inline const uint8_t *wire_bytes(struct wire *wire, uint64_t nr)
{
	const uint8_t *bytes = wire->at;

	if (nr > (uint64_t)(wire->limit - wire->at)) {
		wire->is_good = false;
		return bytes;
	}
	wire->at += nr;
	return bytes;
}

/** The next field; false at the end, or when what comes is none. */
static inline bool wire_next(struct wire *wire, struct wire_field *field)
{
	uint64_t key;

	*field = (struct wire_field){ 0 };
	if (!wire->is_good || wire->at == wire->limit)
		return false;
	key = wire_varint(wire);
	field->number = (unsigned int)(key >> 3);
	switch (key & 7) {
	case 0:
		field->value = wire_varint(wire);
		break;
	case 1:
		wire_bytes(wire, 8);
		break;
	case 2:
		field->nr = wire_varint(wire);
		field->text = wire_bytes(wire, field->nr);
		break;
	case 5:
		wire_bytes(wire, 4);
		break;
	default:
		wire->is_good = false;
	}
	return wire->is_good;
}

/** To read the message that a field holds. */
static inline struct wire wire_of(const struct wire_field *field)
{
	return (struct wire){ field->text, field->text + field->nr, field->text != NULL };
}

/** Add a field's numbers, packed or single, to @nr others; how many there are now, at most @max. */
static inline uint64_t wire_numbers(const struct wire_field *field, uint64_t *numbers, uint64_t nr, uint64_t max)
{
	struct wire wire = { field->text, field->text ? field->text + field->nr : NULL, true };

	if (!field->text && nr < max)
		numbers[nr++] = field->value;
	while (wire.is_good && wire.at != wire.limit && nr < max)
		numbers[nr++] = wire_varint(&wire);
	return nr;
}

#endif /* EXAMPLES_WIRE_H */
