/* SPDX-License-Identifier: MIT */
/*
 * Size classes of objects: steps of 16 bytes to 128, then eight to each doubling, to 32 KiB, so that rounding up wastes at
 * most 12.5 % beyond 128 bytes. A span of a class is the fewest pages whose unused end is at most an eighth of it: short spans leave
 * less behind when most objects are gone.
 *
 * The tables are data; tests/unit/classes.c makes them anew from these rules and compares. Class 0 is none.
 */
#ifndef LIBARENA_CLASSES_H
#define LIBARENA_CLASSES_H

#include "geometry.h"

#define CLASS_NONE 0u
#define NR_CLASSES 73u
#define CLASS_MAX_BYTES ((size_t)32 * KiB)
/* Up to here a class is 16 bytes wide. */
#define CLASS_LINEAR_BYTES 128u
/* The longest span of a class, in pages. */
#define CLASS_MAX_PAGES 8u

struct size_class {
	uint16_t bytes;		/* of an object */
	uint8_t pages;		/* of a span */
	uint8_t last_slot;	/* of a span: slots less one */
	uint8_t first_front;	/* see cache.h: of the sizes that get this class, the first, */
	uint8_t front;		/* and the last, which is the class's own */
	uint16_t first_bytes;	/* of a span lie before its first slot: what does not divide is there, so that no multiple lies behind the last slot */
};

/*
 * Fronts: sizes up to CLASS_LOOKUP_BYTES have one for each step of 16 bytes, so that a class of a wider step has two or four; larger classes have
 * one each, eight to a doubling. So the front follows from the size without a table.
 */
#define FRONT_BYTES 16u
#define NR_STEP_FRONTS 64
#define NR_FRONTS (NR_STEP_FRONTS + 40)
#define FRONT_IN_DOUBLING(i, bytes, from) (NR_STEP_FRONTS + 8 * (i) + ((bytes) - (from)) / ((from) / 8) - 1)
#define FRONT(bytes) \
	((uint8_t)((bytes) <= 1024    ? (bytes) / 16 - 1 \
		   : (bytes) <= 2048  ? FRONT_IN_DOUBLING(0, bytes, 1024) \
		   : (bytes) <= 4096  ? FRONT_IN_DOUBLING(1, bytes, 2048) \
		   : (bytes) <= 8192  ? FRONT_IN_DOUBLING(2, bytes, 4096) \
		   : (bytes) <= 16384 ? FRONT_IN_DOUBLING(3, bytes, 8192) \
				      : FRONT_IN_DOUBLING(4, bytes, 16384)))
#define FIRST_FRONT(bytes) ((uint8_t)(FRONT(bytes) - ((bytes) <= 256 ? 0 : (bytes) <= 512 ? 1 : (bytes) <= 1024 ? 3 : 0)))

#define CLASS(bytes, pages) \
	{ bytes, pages, (pages) * 4096 / (bytes) - 1, FIRST_FRONT(bytes), FRONT(bytes), (pages) * 4096 % (bytes) }

/* The class of sizes up to here is looked up by units of 16 bytes; 0 bytes get an object as well. */
#define CLASS_LOOKUP_BYTES 1024u

static const struct size_class size_classes[NR_CLASSES] = {
	{ 0, 0, 0, 0, 0, 0 },
	CLASS(16, 1), CLASS(32, 1), CLASS(48, 1), CLASS(64, 1), CLASS(80, 1), CLASS(96, 1), CLASS(112, 1),
	CLASS(128, 1), CLASS(144, 1), CLASS(160, 1), CLASS(176, 1), CLASS(192, 1), CLASS(208, 1),
	CLASS(224, 1), CLASS(240, 1), CLASS(256, 1), CLASS(288, 1), CLASS(320, 1), CLASS(352, 1),
	CLASS(384, 1), CLASS(416, 1), CLASS(448, 1), CLASS(480, 1), CLASS(512, 1), CLASS(576, 1),
	CLASS(640, 1), CLASS(704, 2), CLASS(768, 1), CLASS(832, 2), CLASS(896, 1), CLASS(960, 1),
	CLASS(1024, 1), CLASS(1152, 2), CLASS(1280, 1), CLASS(1408, 3), CLASS(1536, 2), CLASS(1664, 3),
	CLASS(1792, 1), CLASS(1920, 1), CLASS(2048, 1), CLASS(2304, 3), CLASS(2560, 2), CLASS(2816, 3),
	CLASS(3072, 3), CLASS(3328, 5), CLASS(3584, 1), CLASS(3840, 1), CLASS(4096, 1), CLASS(4608, 5),
	CLASS(5120, 4), CLASS(5632, 3), CLASS(6144, 3), CLASS(6656, 5), CLASS(7168, 2), CLASS(7680, 2),
	CLASS(8192, 2), CLASS(9216, 5), CLASS(10240, 5), CLASS(11264, 3), CLASS(12288, 3), CLASS(13312, 7),
	CLASS(14336, 4), CLASS(15360, 4), CLASS(16384, 4), CLASS(18432, 5), CLASS(20480, 5), CLASS(22528, 6),
	CLASS(24576, 6), CLASS(26624, 7), CLASS(28672, 7), CLASS(30720, 8), CLASS(32768, 8),
};

static const uint8_t class_lookup[CLASS_LOOKUP_BYTES / 16 + 1] = {
	1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
	16, 17, 17, 18, 18, 19, 19, 20, 20, 21, 21, 22, 22, 23, 23, 24,
	24, 25, 25, 25, 25, 26, 26, 26, 26, 27, 27, 27, 27, 28, 28, 28,
	28, 29, 29, 29, 29, 30, 30, 30, 30, 31, 31, 31, 31, 32, 32, 32,
	32,
};

/** The smallest class that holds @bytes, which is at most CLASS_MAX_BYTES. */
static inline unsigned int class_of(size_t bytes)
{
	unsigned int shift;

	if (likely(bytes <= CLASS_LOOKUP_BYTES))
		return class_lookup[(bytes + 15) / 16];
	/* The last three bits below the highest one choose among the eight of a doubling. */
	shift = 63u - (unsigned int)__builtin_clzll(bytes - 1);
	return (shift - 6) * 8 + (unsigned int)((bytes - 1) >> (shift - 3)) - 7;
}

/** Objects in a span. */
static inline unsigned int class_slots(unsigned int class)
{
	return size_classes[class].last_slot + 1u;
}

/* Slots are told from a product, in which they begin at this bit: above all powers of two that divide a class. */
#define SLOT_SHIFT 16u

/**
 * What makes slot << SLOT_SHIFT, modulo 2^64, of the distance between two objects: the inverse of the odd part of the class's size, shifted by what
 * the power of two in it leaves to be shifted. Other distances, of up to 2^52 bytes to either side, make a number
 * beyond the slots of any span, or bits below SLOT_SHIFT.
 */
static inline uint64_t class_inverse(unsigned int class)
{
	static const uint64_t of_odd[] = {
		1, 0xaaaaaaaaaaaaaaab, 0xcccccccccccccccd, 0x6db6db6db6db6db7,
		0x8e38e38e38e38e39, 0x2e8ba2e8ba2e8ba3, 0x4ec4ec4ec4ec4ec5, 0xeeeeeeeeeeeeeeef,
	};
	unsigned int bytes = size_classes[class].bytes, twos = (unsigned int)__builtin_ctz(bytes);

	return of_odd[bytes >> twos >> 1] << (SLOT_SHIFT - twos);
}

#endif /* LIBARENA_CLASSES_H */
