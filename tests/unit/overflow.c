// SPDX-License-Identifier: MIT
/*
 * A program that runs out of an object, upward or downward, damages what else is in the heap, meets inaccessible addresses, and has not reached
 * the allocator's tables: they still agree with each other, and the heap goes on.
 */
#include "region.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "arena/heap.h"
#include "fault.h"
#include "heap.h"
#include "tests/harness.h"
#include "tests/unit/fit.h"

static const size_t sizes[] = { 16, 100, 1000, 5000, 30000, 200000 };
#define NR (sizeof(sizes) / sizeof(sizes[0]))
/* Chunks that they have in all: so many objects of each size. */
#define EACH 50

static sigjmp_buf out;
static uintptr_t met;

static void catch_fault(int signal_number, siginfo_t *info, void *context)
{
	(void)signal_number;
	(void)context;
	met = (uintptr_t)info->si_addr;
	siglongjmp(out, 1);
}

/* Writes on, word by word, until an access faults. */
static __attribute__((noinline, noreturn)) void write_on(volatile uint64_t *at, intptr_t step)
{
	for (;; at += step)
		*at = 0x5a5a5a5a5a5a5a5a;
}

/* Where it did. */
static uintptr_t overflow(void *object, intptr_t step)
{
	const struct sigaction action = { .sa_sigaction = catch_fault, .sa_flags = SA_SIGINFO | SA_NODEFER };

	CHECK(!sigaction(SIGSEGV, &action, NULL) && !sigaction(SIGBUS, &action, NULL));
	met = 0;
	if (!sigsetjmp(out, 1))
		write_on(object, step);
	CHECK(!sigaction(SIGSEGV, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL));
	return met;
}

static void fill(struct arena_heap *heap, void **objects)
{
	for (size_t i = 0; i < NR * EACH; i++)
		CHECK((objects[i] = arena_heap_alloc(heap, sizes[i % NR])));
}

/* The heap's numbers agree, what was overrun can be freed, and there is more. */
static void go_on(struct arena_heap *heap, void **objects)
{
	void *more[NR * EACH];

	heap_validate((struct heap *)(void *)heap);
	/* Where heaps look after their objects, frees of what was overrun are told: see checked.c. */
	if (checked_is_on())
		return;
	for (size_t i = 0; i < NR * EACH; i++)
		arena_heap_free(objects[i]);
	heap_validate((struct heap *)(void *)heap);
	fill(heap, more);
	for (size_t i = 0; i < NR * EACH; i++)
		arena_heap_free(more[i]);
	heap_validate((struct heap *)(void *)heap);
}

static struct arena_heap *start(void **objects)
{
	struct arena_heap *heap;

	if (harness_sanitized())
		harness_skip("a sanitizer says it first, or has the signals");
	heap = arena_heap_create(NULL);
	CHECK(heap);
	fill(heap, objects);
	return heap;
}

TEST(up, "overflow/out of an object of each size, upward, to where no memory is")
{
	void *objects[NR * EACH];
	struct arena_heap *heap = start(objects);
	const struct region *region = heap_region();

	for (size_t i = 0; i < NR; i++) {
		uintptr_t address = overflow(objects[i], 1);

		CHECK(address > region->base && address < region->base + region->bytes);
		CHECK_EQ(address % CHUNK_BYTES, 0);
	}
	go_on(heap, objects);
}

TEST(down, "overflow/the same downward, to where the addresses of heaps begin")
{
	void *objects[NR * EACH];
	struct arena_heap *heap = start(objects);

	for (size_t i = 0; i < NR; i++) {
		uintptr_t address = overflow(objects[i], -1);

		CHECK(address < heap_region()->base && address >= heap_region()->base - 4096);
	}
	go_on(heap, objects);
}

/* What is beside is inaccessible, and cannot be mapped by anybody later. */
static void check_fence(uintptr_t address)
{
	void *page = (void *)(address & ~(PAGE_BYTES - 1));

	CHECK(harness_faults((void *)address));
	CHECK(mmap(page, PAGE_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED);
	CHECK_EQ(errno, EEXIST);
}

/* The smallest region, whose tables are open from end to end, and every chunk of which has memory. */
TEST(full, "overflow/no table is beside the addresses of heaps, where all of these are in use too", "ARENA_WINDOW_CHUNKS=16")
{
	struct arena_heap *heap;
	void *objects[NR * EACH];
	size_t nr = 0;

	heap = start(objects);
	while (arena_heap_alloc(heap, fit(CHUNK_BYTES)))
		nr++;
	CHECK(nr >= 10);
	check_fence(heap_region()->base - 1);
	check_fence(heap_region()->base + heap_region()->bytes);
	CHECK_EQ(overflow(objects[0], 1), heap_region()->base + heap_region()->bytes);
	CHECK(overflow(objects[1], -1) < heap_region()->base);
	go_on(heap, objects);
}

/* ---------------------------------------------------------------- reports */

static void run_out(void *object)
{
	fault_start();
	write_on(object, 1);
}

static void run_out_before(void *object)
{
	fault_start();
	write_on(object, -1);
}

TEST(told, "overflow/where faults are reported, the report says that it is the end of heaps' memory")
{
	void *objects[NR * EACH];
	struct death death;

	start(objects);
	harness_child(&death, run_out, objects[0]);
	CHECK_EQ(death.signal, SIGSEGV);
	CHECK_HAS(death.text, " to 1 bytes behind memory of heaps");
	harness_child(&death, run_out_before, objects[0]);
	CHECK_EQ(death.signal, SIGSEGV);
	CHECK_HAS(death.text, " before any memory");
}

TEST(gaps, "overflow/how far behind memory an address is, and which are none of heaps")
{
	const struct region *region;
	size_t behind;

	CHECK(!region_gap(heap_region(), 4096, &behind));
	CHECK(arena_heap_alloc(arena_heap_create(NULL), 100));
	region = heap_region();
	CHECK(!region_gap(region, region->base, &behind) && !region_gap(region, region->base + CHUNK_BYTES - 1, &behind));
	CHECK(region_gap(region, region->base + CHUNK_BYTES, &behind) && behind == 1);
	CHECK(region_gap(region, region->base + 5 * CHUNK_BYTES + 9, &behind) && behind == 4 * CHUNK_BYTES + 10);
	CHECK(region_gap(region, region->base + region->bytes + 9, &behind) && behind > CHUNK_BYTES);
	CHECK(region_gap(region, region->base - 1, &behind) && behind == 0);
	CHECK(!region_gap(region, region->base + region->bytes + MiB, &behind));
	CHECK(!region_gap(region, (uintptr_t)&region, &behind));
}
