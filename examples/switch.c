// SPDX-License-Identifier: MIT
/*
 * One source, two programs: with arenas, and with -DARENA_USE_MALLOC on plain malloc. Whoever doubts an arena
 * runs the other build, under a leak checker for instance.
 *
 * Multiplies the numbers of its command line as big numbers, one decimal digit per byte, with a scratch arena
 * that is freed at the end of its block.
 */
#include <arena/switch.h>
#include <stdio.h>
#include <stdlib.h>

/* Decimal digits, lowest first; memory belongs to the arena it was made in. */
struct number {
	unsigned char *digits;
	size_t nr_digits;
};

static bool number_make(struct arena *arena, struct number *number, size_t nr_digits)
{
	number->nr_digits = nr_digits;
	number->digits = arena_make_array(arena, unsigned char, nr_digits);
	return number->digits != NULL;
}

static bool number_multiply(struct arena *arena, struct number *product, const struct number *number,
			    unsigned int factor)
{
	/* 32 bits have at most 10 digits. */
	size_t i, nr_digits = number->nr_digits + 10;
	unsigned long carry = 0;

	if (!number_make(arena, product, nr_digits))
		return false;
	for (i = 0; i < nr_digits; i++) {
		if (i < number->nr_digits)
			carry += (unsigned long)number->digits[i] * factor;
		product->digits[i] = (unsigned char)(carry % 10);
		carry /= 10;
	}
	while (product->nr_digits > 1 && !product->digits[product->nr_digits - 1])
		product->nr_digits--;
	return true;
}

int main(int argc, char **argv)
{
	arena_scoped(scratch, NULL);
	struct number number;
	int i;

	if (!scratch || !number_make(scratch, &number, 1))
		return EXIT_FAILURE;
	number.digits[0] = 1;
	for (i = 1; i < argc; i++) {
		struct number product;

		if (!number_multiply(scratch, &product, &number, (unsigned int)strtoul(argv[i], NULL, 10)))
			return EXIT_FAILURE;
		number = product;
	}
	while (number.nr_digits)
		putchar('0' + number.digits[--number.nr_digits]);
	putchar('\n');
	return EXIT_SUCCESS;
}
