// SPDX-License-Identifier: MIT
/* Guarded objects: every access beside them or after their life is reported with who allocated and freed them; they are objects like others. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "arena/heap.h"
#include "arena/profile.h"
#include "guard.h"
#include "heap.h"
#include "os.h"
#include "profile.h"
#include "tests/harness.h"

static struct heap *the_heap;

/* Every object is sampled: a mean of one byte. */
static void start(uint32_t nr)
{
	const struct arena_profile_options options = { .mean_bytes = 1, .seed = 1, .guarded_objects = nr };

	CHECK_EQ(arena_profile_start(&options), 0);
	the_heap = heap_create(ARENA_SOURCE_THP);
	CHECK(the_heap);
}

static char *request(size_t bytes)
{
	char *object;

	heap_request_bytes = bytes;
	object = heap_alloc(the_heap, bytes);
	heap_request_bytes = 0;
	CHECK(object);
	return object;
}

/* One that lies at the end of its page, or at its beginning. */
static char *guarded(size_t bytes, bool at_end)
{
	for (int i = 0; i < 2; i++) {
		char *object = request(bytes);

		CHECK(guard_owns(object));
		if (((uintptr_t)object % PAGE_BYTES != 0) == at_end)
			return object;
	}
	harness_fail(__FILE__, __LINE__, "both objects lie at the same end");
}

TEST(faults, "guard/accesses before, behind and after the life of an object are told apart")
{
	char *end, *beginning;

	start(8);
	end = guarded(96, true);
	beginning = guarded(96, false);
	end[95] = beginning[0] = 1;
	CHECK_FAULTS(end + 96, "0 bytes behind a guarded object of 96 bytes");
	CHECK_FAULTS(end + 196, "100 bytes behind a guarded object of 96 bytes");
	CHECK_FAULTS(beginning - 1, "1 bytes before a guarded object of 96 bytes");
	CHECK_FAULTS(beginning - 1, "allocated by");
	heap_free(the_heap, end);
	heap_free(the_heap, beginning);
	CHECK_FAULTS(end + 7, "7 bytes into a freed object of 96 bytes");
	CHECK_FAULTS(beginning, "freed by");
}

static void misuse(void *way)
{
	char *end = guarded(90, true), *beginning = guarded(90, false);

	switch (*(const int *)way) {
	case 0: end[90] = 0; break;	/* within the alignment */
	case 1: end[-1] = 0; break;
	case 2: beginning[90] = 0; break;
	case 3: heap_free(the_heap, end); break;
	case 4: end++; break;
	case 5: heap_free(the_heap, end); end = heap_realloc(the_heap, end, 10); break;
	case 6: heap_free(the_heap, end); CHECK(heap_usable_bytes(end)); break;
	case 7: arena_heap_free(end); arena_heap_free(end); break;
	case 8: arena_heap_free(end); end = arena_heap_realloc((struct arena_heap *)(void *)the_heap, end, 10); break;
	}
	heap_free(the_heap, end);
	heap_free(the_heap, beginning);
}

TEST(misuses, "guard/small overflows, double and invalid frees end the program")
{
	static const char *const parts[] = { "somebody wrote behind it", "somebody wrote before it", "somebody wrote behind it", "it is free already",
					     "no object begins there", "realloc()", "malloc_usable_size()", "it is free already", "realloc()" };

	start(8);
	for (int way = 0; way < (int)ARRAY_LEN(parts); way++) {
		struct death death;

		harness_child(&death, misuse, &way);
		CHECK(harness_died(&death, 6));
		CHECK_HAS(death.text, parts[way]);
		CHECK_HAS(death.text, "allocated by");
	}
}

TEST(bounded, "guard/their number is bounded, and the place that was freed first is used first")
{
	char *objects[20];

	start(4);
	for (size_t i = 0; i < 20; i++) {
		objects[i] = request(100);
		memset(objects[i], (int)i, 100);
		CHECK_EQ(guard_owns(objects[i]), i < 4);
	}
	for (size_t i = 20; i--;) {
		CHECK_EQ(objects[i][99], i);
		heap_free(the_heap, objects[i]);
	}
	/* 3 was freed first. */
	CHECK((uintptr_t)request(100) / PAGE_BYTES == (uintptr_t)objects[3] / PAGE_BYTES);
	CHECK((uintptr_t)request(100) / PAGE_BYTES == (uintptr_t)objects[2] / PAGE_BYTES);
	CHECK(harness_faults(objects[1]) && !harness_faults(objects[3] - (uintptr_t)objects[3] % PAGE_BYTES));
	heap_validate(the_heap);
	profile_validate();
}

TEST(forms, "guard/sizes, zeros, alignment, realloc, owner")
{
	start(64);
	for (size_t bytes = 1; bytes <= 5000; bytes += bytes < 300 ? 1 : 111) {
		char *object = request(bytes), *zeros = heap_calloc(the_heap, bytes), *aligned = heap_alloc_aligned(the_heap, bytes, 128);

		CHECK_EQ(guard_owns(object), bytes <= 4096);
		CHECK((uintptr_t)object % 16 == 0 && aligned && (uintptr_t)aligned % 128 == 0);
		CHECK(heap_of(object) == the_heap);
		CHECK(heap_usable_bytes(object) == bytes || bytes > 4096);
		for (size_t i = 0; i < bytes; i++)
			CHECK(!zeros[i]);
		memset(object, 0x77, bytes);
		object = heap_realloc(the_heap, object, 2 * bytes);
		CHECK(object);
		for (size_t i = 0; i < bytes; i++)
			CHECK_EQ(object[i], 0x77);
		object = heap_realloc(the_heap, object, bytes);
		CHECK_EQ(object[bytes - 1], 0x77);
		arena_heap_free(object);
		heap_free(the_heap, zeros);
		heap_free(the_heap, aligned);
	}
	heap_validate(the_heap);
	profile_validate();
}

static bool add_used(const struct arena_profile_site *site, void *sum)
{
	*(uint64_t *)sum += site->used_bytes;
	return true;
}

TEST(destroyed, "guard/objects of a heap that is destroyed fault, and are not in use")
{
	uint64_t sum = 0;
	char *object;

	start(8);
	object = request(100);
	CHECK(request(200) && guard_owns(object));
	heap_destroy(the_heap);
	CHECK_FAULTS(object, "a freed object of 100 bytes");
	arena_profile_for_each(add_used, &sum);
	CHECK_EQ(sum, 0);
}

static void *use(void *argument)
{
	struct random random = { .state = (uintptr_t)argument };
	char *objects[16] = { NULL };

	for (size_t i = 0; i < 3000; i++) {
		size_t at = random_below(&random, 16), bytes = 1 + random_below(&random, 2000);

		heap_free(the_heap, objects[at]);
		objects[at] = heap_alloc(the_heap, bytes);
		CHECK(objects[at]);
		memset(objects[at], (int)at, bytes);
	}
	for (size_t i = 0; i < 16; i++)
		heap_free(the_heap, objects[i]);
	return NULL;
}

TEST(threads, "guard/many threads allocate and free them")
{
	pthread_t threads[4];

	start(32);
	for (size_t i = 0; i < 4; i++)
		CHECK(!pthread_create(&threads[i], NULL, use, (void *)(i + 1)));
	for (size_t i = 0; i < 4; i++)
		CHECK(!pthread_join(threads[i], NULL));
	heap_validate(the_heap);
	profile_validate();
}

TEST(limit, "guard/more places than mappings allow are refused")
{
	const struct arena_profile_options options = { .guarded_objects = 16385 };

	CHECK_EQ((unsigned int)-arena_profile_start(&options), 22);
}

/* Of all addresses that are mapped. */
static size_t address_bytes(void)
{
	char text[64];

	CHECK(os_read_text("/proc/self/statm", text, sizeof(text)));
	return strtoul(text, NULL, 10) * PAGE_BYTES;
}

TEST(no_addresses, "guard/where there are no addresses for the places nothing is left behind, and a later try succeeds")
{
	size_t before = address_bytes();
	struct rlimit old, limit;

	if (harness_sanitized())
		harness_skip("a sanitizer needs addresses of its own");
	CHECK(!getrlimit(RLIMIT_AS, &old));
	/* Room for what is known of 16384 places, 1 MiB, and not for their 128 MiB. */
	limit = (struct rlimit){ .rlim_cur = before + 16 * MiB, .rlim_max = old.rlim_max };
	CHECK(!setrlimit(RLIMIT_AS, &limit));
	CHECK_EQ(guard_start(16384), -12);
	CHECK_EQ(address_bytes(), before);
	CHECK(!guard_owns(NULL) && !guard_owns(&old) && !guard_alloc(NULL, 100, SAMPLE_NONE));
	CHECK(!setrlimit(RLIMIT_AS, &old));
	start(8);
	CHECK(guard_owns(request(100)));
}
