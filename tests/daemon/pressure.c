// SPDX-License-Identifier: MIT
/* daemon/pressure.c: parsing, good and bad, and the files of the kernel that runs this. */
#include "daemon/pressure.h"

#include <errno.h>
#include <inttypes.h>

#include "tests/daemon/tap.h"

static void parses_psi(void)
{
	struct pressure_psi psi;

	CHECK(pressure_parse_psi("some avg10=1.50 avg60=0.25 avg300=0.05 total=123456\n"
				 "full avg10=0.75 avg60=0.10 avg300=0.01 total=99\n", &psi) == 0, "good text");
	CHECK(psi.some.avg10 > 1.49 && psi.some.avg10 < 1.51 && psi.some.total_us == 123456, "some");
	CHECK(psi.full.avg300 > 0.009 && psi.full.avg300 < 0.011 && psi.full.total_us == 99, "full");
}

static void refuses_bad_psi(void)
{
	static const char *const bad[] = {
		"", "some", "some avg10=1 avg60=2 avg300=3 total=4\n", "full avg10=1 avg60=2 avg300=3 total=4\n",
		"some avg10=x avg60=2 avg300=3 total=4\nfull avg10=1 avg60=2 avg300=3 total=4\n",
		"some avg10=1 avg60=2 avg300=3 total=4\nfull avg10=1 avg60=2 avg300=3 total=\n",
	};
	struct pressure_psi psi;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(pressure_parse_psi(bad[i], &psi) == -EINVAL, "\"%s\"", bad[i]);
}

static void parses_meminfo(void)
{
	struct pressure_memory memory;

	CHECK(pressure_parse_meminfo("MemTotal: 100 kB\nMemFree: 1 kB\nMemAvailable: 50 kB\n", &memory) == 0, "good text");
	CHECK(memory.total_bytes == 102400 && memory.available_bytes == 51200, "%" PRIu64 " %" PRIu64, memory.total_bytes,
	      memory.available_bytes);
	CHECK(pressure_parse_meminfo("MemTotal: 100 kB\n", &memory) == -EINVAL, "no MemAvailable");
	CHECK(pressure_parse_meminfo("XMemTotal: 100 kB\nMemAvailable: 50 kB\n", &memory) == -EINVAL, "another key");
	CHECK(pressure_parse_meminfo("", &memory) == -EINVAL, "empty");
}

static void parses_limits(void)
{
	uint64_t bytes;

	CHECK(pressure_parse_limit("max\n", &bytes) == 0 && bytes == UINT64_MAX, "max");
	CHECK(pressure_parse_limit("1048576\n", &bytes) == 0 && bytes == 1048576, "number");
	CHECK(pressure_parse_limit("18446744073709551616\n", &bytes) == -EINVAL, "too large");
	CHECK(pressure_parse_limit("12x\n", &bytes) == -EINVAL, "trailing");
	CHECK(pressure_parse_limit("-1\n", &bytes) == -EINVAL, "negative");
	CHECK(pressure_parse_limit("", &bytes) == -EINVAL, "empty");
}

static void formats_triggers_within_bounds(void)
{
	char text[64];

	CHECK(pressure_format_trigger(text, sizeof(text), 70000, 1000000) == 18, "%s", text);
	CHECK(pressure_format_trigger(text, sizeof(text), 70000, 499999) == -EINVAL, "short window");
	CHECK(pressure_format_trigger(text, sizeof(text), 70000, 10000001) == -EINVAL, "long window");
	CHECK(pressure_format_trigger(text, sizeof(text), 1000001, 1000000) == -EINVAL, "stall longer than the window");
	CHECK(pressure_format_trigger(text, sizeof(text), 0, 1000000) == -EINVAL, "no stall");
	CHECK(pressure_format_trigger(text, 10, 70000, 1000000) == -EINVAL, "no room");
}

static void windows_for_anybody_are_whole_periods(void)
{
	for (unsigned int window_us = 500000; window_us <= 10000000; window_us += 1000) {
		unsigned int slow_us = pressure_slow_window_us(window_us);

		CHECK(slow_us >= window_us && slow_us % 2000000 == 0 && slow_us <= 10000000, "%u -> %u", window_us, slow_us);
	}
}

static void reads_this_machine(void)
{
	struct pressure pressure;
	struct pressure_memory memory = { 0 };

	CHECK(pressure_open(&pressure, NULL) == 0, "open");
	CHECK(pressure_read_memory(&pressure, &memory) == 0, "read");
	CHECK(memory.total_bytes > memory.available_bytes && memory.available_bytes > 0, "%" PRIu64 " of %" PRIu64,
	      memory.available_bytes, memory.total_bytes);
	pressure_close(&pressure);
}

static void a_missing_cgroup_is_said(void)
{
	struct pressure pressure;

	CHECK(pressure_open(&pressure, "/nonexistent") == 0, "watermarks work without it");
	CHECK(pressure_arm(&pressure, "/nonexistent", 70000, 1000000) == -ENOENT && pressure.psi_fd == -1, "arm");
	pressure_close(&pressure);
}

int main(void)
{
	RUN(parses_psi);
	RUN(refuses_bad_psi);
	RUN(parses_meminfo);
	RUN(parses_limits);
	RUN(formats_triggers_within_bounds);
	RUN(windows_for_anybody_are_whole_periods);
	RUN(reads_this_machine);
	RUN(a_missing_cgroup_is_said);
	return tap_end();
}
