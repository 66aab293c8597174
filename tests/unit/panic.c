// SPDX-License-Identifier: MIT
/* Texts without allocation: each format, cutting, and the loud end. */
#include "panic.h"

#include <signal.h>
#include <string.h>

#include "tests/harness.h"

TEST(formats, "panic/formats")
{
	char buffer[200];
	struct text text;

	text_init(&text, buffer, sizeof(buffer));
	text_put(&text, "%s|%c|%d|%d|%u|%lu|%zu|%p|%%", "word", 'c', 0, -2147483647 - 1, 4294967295u,
		 18446744073709551615ul, (size_t)7, (void *)0xdeadbeefUL);
	CHECK_STR(buffer, "word|c|0|-2147483648|4294967295|18446744073709551615|7|0xdeadbeef|%");
}

TEST(cut_off, "panic/cut-off")
{
	char buffer[8];
	struct text text;

	for (size_t bytes = 1; bytes <= sizeof(buffer); bytes++) {
		memset(buffer, 'x', sizeof(buffer));
		text_init(&text, buffer, bytes);
		text_put(&text, "%s%d", "abcdef", 123456);
		CHECK_EQ(strlen(buffer), bytes - 1);
		CHECK(!strncmp(buffer, "abcdef123456", bytes - 1));
		for (size_t i = bytes; i < sizeof(buffer); i++)
			CHECK(buffer[i] == 'x');
	}
}

static void die(void *unused)
{
	(void)unused;
	panic("%s is %d", "it", 42);
}

static void break_invariant(void *unused)
{
	(void)unused;
	check(1 == 2);
}

TEST(dies, "panic/dies")
{
	struct death death;

	harness_child(&death, die, NULL);
	CHECK(harness_died(&death, SIGABRT));
	CHECK_HAS(death.text, "arena: it is 42\n");
	harness_child(&death, break_invariant, NULL);
	CHECK(harness_died(&death, SIGABRT));
	CHECK_HAS(death.text, "arena: broken invariant: 1 == 2 (");
}

static void report_long(void *unused)
{
	char word[3000];

	(void)unused;
	memset(word, 'w', sizeof(word) - 1);
	word[sizeof(word) - 1] = 0;
	report("%s", word);
}

TEST(long_report, "panic/long report is cut and ends its line")
{
	struct death death;

	harness_child(&death, report_long, NULL);
	CHECK(!death.signal && !death.status);
	CHECK(strlen(death.text) > 1000 && strlen(death.text) < 1100);
	CHECK(death.text[strlen(death.text) - 1] == '\n');
}
