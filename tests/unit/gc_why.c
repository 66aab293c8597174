// SPDX-License-Identifier: MIT
/* What keeps an object alive, and dumps of heaps: each kind of root, shortest paths against a naive search, threads that run meanwhile. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena/gc.h"
#include "tests/harness.h"

/* A view of a few bytes that may lie in the middle of many. */
struct slice {
	const char *bytes;
	size_t nr;
};
ARENA_GC_LAYOUT(slice_layout, struct slice, bytes);

#define EDGES 3
struct vertex {
	struct vertex *next[EDGES];
	uint64_t number;
};
ARENA_GC_LAYOUT(vertex_layout, struct vertex, next[0], next[1], next[2]);

#define STEPS 8
static struct arena_gc *gc;
static struct arena_gc_type *vertex;
static struct arena_gc_step steps[STEPS];
static void *cell; /* a root */

static void set_up(void)
{
	const struct arena_gc_options options = { .source = ARENA_SOURCE_PAGES, .percent = ARENA_GC_OFF };

	gc = arena_gc_create(&options);
	CHECK(gc && !arena_gc_attach(gc));
	vertex = arena_gc_type_create(gc, &vertex_layout);
	CHECK(vertex && !arena_gc_add_roots(gc, &cell, sizeof(cell)));
}

/* ---------------------------------------------------------------- paths */

TEST(slice, "gc_why/a small slice keeps a large array")
{
	enum { ARRAY_BYTES = 1 << 20, AT = 123456 };
	struct arena_gc_type *type;
	struct slice *slice;
	char *array;

	set_up();
	type = arena_gc_type_create(gc, &slice_layout);
	slice = arena_gc_alloc(gc, type);
	array = arena_gc_alloc_atomic(gc, ARRAY_BYTES);
	CHECK(type && slice && array);
	arena_gc_store(&slice->bytes, array + AT);
	slice->nr = 16;
	arena_gc_store(&cell, slice);
	CHECK_EQ(arena_gc_why(gc, array, steps, STEPS), 2);
	CHECK_EQ(steps[0].root, ARENA_GC_ROOT_RANGE);
	CHECK(steps[0].location == &cell && steps[0].object == slice && steps[0].offset_bytes == 0);
	CHECK_STR(steps[0].type, "struct slice");
	CHECK_EQ(steps[0].bytes, sizeof(struct slice));
	CHECK_EQ(steps[1].root, ARENA_GC_ROOT_NONE);
	CHECK(steps[1].location == &slice->bytes && steps[1].object == array);
	CHECK_EQ(steps[1].offset_bytes, AT);
	CHECK_EQ(steps[1].bytes, ARRAY_BYTES);
	arena_gc_destroy(gc);
}

TEST(roots, "gc_why/ranges, handles, uncollectable objects, and last of all the asker's own stack")
{
	struct arena_gc_handle *handle;
	struct vertex *it, *pinned;

	set_up();
	it = arena_gc_alloc(gc, vertex);
	CHECK_EQ(arena_gc_why(gc, it, steps, STEPS), 1);
	CHECK_EQ(steps[0].root, ARENA_GC_ROOT_STACK);
	CHECK_EQ(steps[0].thread_id, (uint32_t)gettid());
	handle = arena_gc_handle_create(gc, &it->number);
	CHECK_EQ(arena_gc_why(gc, &it->next[1], steps, STEPS), 1);
	CHECK_EQ(steps[0].root, ARENA_GC_ROOT_HANDLE);
	CHECK(steps[0].location == handle && steps[0].object == it && steps[0].offset_bytes == offsetof(struct vertex, number));
	arena_gc_handle_free(gc, handle);
	pinned = arena_gc_alloc_uncollectable(gc, vertex);
	arena_gc_store(&pinned->next[2], it);
	CHECK_EQ(arena_gc_why(gc, it, steps, STEPS), 2);
	CHECK_EQ(steps[0].root, ARENA_GC_ROOT_UNCOLLECTABLE);
	CHECK(steps[0].object == pinned && steps[1].location == &pinned->next[2]);
	CHECK_EQ(arena_gc_why(gc, &cell, steps, STEPS), -EINVAL);
	CHECK_EQ(arena_gc_why(gc, NULL, steps, STEPS), -EINVAL);
	arena_gc_destroy(gc);
}

static void do_nothing(void *unused)
{
	(void)unused;
}

TEST(cleanup, "gc_why/a cleanup that waits for another object keeps its argument")
{
	struct vertex *it;

	set_up();
	arena_gc_store(&cell, arena_gc_alloc(gc, vertex));
	it = arena_gc_alloc(gc, vertex);
	CHECK(it && arena_gc_add_cleanup(gc, cell, do_nothing, it));
	CHECK_EQ(arena_gc_why(gc, it, steps, STEPS), 2);
	CHECK_EQ(steps[0].root, ARENA_GC_ROOT_CLEANUP);
	CHECK(steps[1].object == it && steps[1].root == ARENA_GC_ROOT_NONE);
	CHECK_EQ(arena_gc_leaks(gc, steps, STEPS), 0);
	arena_gc_destroy(gc);
}

/* What one thread holds while another asks. */
struct holder {
	uintptr_t hidden;	/* the object's address, inverted */
	uint32_t thread_id;
	bool is_ready, is_over;	/* atomic */
};

static void *wait_until_over(void *context)
{
	struct holder *holder = context;

	__atomic_store_n(&holder->is_ready, true, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&holder->is_over, __ATOMIC_ACQUIRE))
		usleep(200);
	return NULL;
}

static void *hold(void *context)
{
	struct holder *holder = context;
	struct vertex *it;

	CHECK(!arena_gc_attach(gc));
	it = arena_gc_alloc(gc, vertex);
	holder->hidden = ~(uintptr_t)it;
	holder->thread_id = (uint32_t)gettid();
	arena_gc_blocking(wait_until_over, holder);
	arena_gc_keep_alive(it);
	return NULL;
}

TEST(others, "gc_why/the stack of another thread; nothing once that has ended; the asker need not be attached")
{
	struct holder holder = { 0 };
	pthread_t thread;

	set_up();
	arena_gc_detach(gc);
	CHECK(!pthread_create(&thread, NULL, hold, &holder));
	while (!__atomic_load_n(&holder.is_ready, __ATOMIC_ACQUIRE))
		usleep(200);
	CHECK_EQ(arena_gc_why(gc, (void *)~holder.hidden, steps, STEPS), 1);
	CHECK_EQ(steps[0].root, ARENA_GC_ROOT_STACK);
	CHECK_EQ(steps[0].thread_id, holder.thread_id);
	__atomic_store_n(&holder.is_over, true, __ATOMIC_RELEASE);
	CHECK(!pthread_join(thread, NULL));
	/* A cycle that was running when it ended has still marked it. */
	CHECK_EQ(arena_gc_why(gc, (void *)~holder.hidden, steps, STEPS), 0);
	arena_gc_collect(gc);
	CHECK_EQ(arena_gc_why(gc, (void *)~holder.hidden, steps, STEPS), -EINVAL);
	arena_gc_destroy(gc);
}

/* ---------------------------------------------------------------- against a naive search */

#define VERTICES 60
static struct vertex *vertices[VERTICES];
static int distances[VERTICES]; /* steps from vertices[0], which is one; -1: none */
static struct arena_gc_step way[VERTICES];

static void make_vertices(void)
{
	for (size_t i = 0; i < VERTICES; i++) {
		vertices[i] = arena_gc_alloc(gc, vertex);
		vertices[i]->number = i;
		distances[i] = -1;
	}
}

static void link_at_random(struct random *random)
{
	for (size_t i = 0; i < VERTICES; i++)
		for (size_t k = 0; k < EDGES; k++)
			if (random_below(random, 2))
				arena_gc_store(&vertices[i]->next[k], (char *)vertices[random_below(random, VERTICES)] + random_below(random, sizeof(struct vertex)));
}

/* The last ones are unreachable. */
static void link_as_list(void)
{
	for (size_t i = 0; i + 4 < VERTICES; i++)
		arena_gc_store(&vertices[i]->next[i % EDGES], &vertices[i + 1]->number);
}

/* By a thread that ends: its stack, and that of who asks, which is not attached, keep nothing. What is unreachable stays until the next cycle, which asks. */
static void *make_graph(void *random)
{
	CHECK(!arena_gc_attach(gc));
	CHECK(!arena_gc_add_roots(gc, vertices, sizeof(vertices)));
	make_vertices();
	if (random)
		link_at_random(random);
	else
		link_as_list();
	arena_gc_store(&cell, vertices[0]);
	CHECK(!arena_gc_remove_roots(gc, vertices));
	arena_gc_detach(gc);
	return NULL;
}

/* The number of what a pointer leads into. */
static size_t number_of(const void *pointer)
{
	size_t i = 0;

	while ((uintptr_t)pointer - (uintptr_t)vertices[i] >= sizeof(struct vertex))
		i++;
	return i;
}

static void measure(void)
{
	bool is_over = false;

	distances[0] = 1;
	for (int far = 1; !is_over; far++) {
		is_over = true;
		for (size_t i = 0; i < VERTICES; i++)
			for (size_t k = 0; k < EDGES && distances[i] == far; k++) {
				size_t to = vertices[i]->next[k] ? number_of(vertices[i]->next[k]) : 0;

				if (distances[to] >= 0)
					continue;
				distances[to] = far + 1;
				is_over = false;
			}
	}
}

static void check_path(size_t to, int nr)
{
	const void *before = NULL;

	CHECK_EQ(nr, distances[to]);
	for (int i = 0; i < nr; i++) {
		const struct arena_gc_step *step = &way[i];
		const char *pointer = arena_gc_load(step->location);

		CHECK_EQ(step->root, i ? ARENA_GC_ROOT_NONE : ARENA_GC_ROOT_RANGE);
		CHECK(i ? (uintptr_t)step->location - (uintptr_t)before < sizeof(struct vertex) : step->location == &cell);
		CHECK(pointer == (const char *)step->object + step->offset_bytes);
		before = step->object;
	}
	CHECK(before == vertices[to]);
}

/* The first question's cycle frees them all. */
static void check_unreachable(void)
{
	int expected = 0;

	for (size_t i = 0; i < VERTICES; i++)
		if (distances[i] < 0) {
			CHECK_EQ(arena_gc_why(gc, vertices[i], way, VERTICES), expected);
			expected = -EINVAL;
		}
}

static void check_graph(struct random *random)
{
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, make_graph, random));
	CHECK(!pthread_join(thread, NULL));
	measure();
	check_unreachable();
	for (size_t i = 0; i < VERTICES; i++)
		if (distances[i] > 0)
			check_path(i, arena_gc_why(gc, vertices[i], way, VERTICES));
}

TEST(shortest, "gc_why/paths are as short as a naive search finds them, and each step is there; there is none to what is unreachable")
{
	struct random random = { harness_seed() };

	set_up();
	arena_gc_detach(gc);
	for (int round = 0; round < 5; round++)
		check_graph(&random);
	check_graph(NULL);
	CHECK_EQ(distances[VERTICES - 4], VERTICES - 3);
	CHECK_EQ(distances[VERTICES - 3], -1);
	arena_gc_destroy(gc);
}

/* ---------------------------------------------------------------- dumps */

static struct vertex *new_list(size_t nr)
{
	struct vertex *list = NULL;

	for (size_t i = 0; i < nr; i++) {
		struct vertex *it = arena_gc_alloc(gc, vertex);

		arena_gc_store(&it->next[0], list);
		list = it;
	}
	return list;
}

/* Lines of a dump that begin with @word; the last line's number is *@end. */
static size_t count_lines(int fd, const char *word, size_t *end)
{
	FILE *file = fdopen(fd, "r");
	char line[1024];
	size_t nr = 0;

	rewind(file);
	while (fgets(line, sizeof(line), file)) {
		nr += !strncmp(line, word, strlen(word));
		sscanf(line, "end %zu", end);
	}
	fclose(file);
	return nr;
}

static int temporary_file(void)
{
	char path[] = "/tmp/gc_why.XXXXXX";
	int fd = mkstemp(path);

	CHECK(fd >= 0 && !unlink(path));
	return fd;
}

TEST(dump, "gc_why/a dump has all objects and its roots, also when it is longer than a buffer; what cannot be written is an error")
{
	size_t end = 0;
	int fd = temporary_file(), bad = open("/dev/null", O_RDONLY);

	set_up();
	arena_gc_store(&cell, new_list(10000));
	CHECK_EQ(arena_gc_dump(gc, fd), 0);
	CHECK_EQ(count_lines(fd, "root range 0 ", &end), 1);
	CHECK(end >= 10000 && end < 10100);
	CHECK_EQ(arena_gc_dump(gc, bad), -EBADF);
	close(bad);
	arena_gc_destroy(gc);
}

static uint32_t is_over; /* atomic */

static void *churn(void *unused)
{
	CHECK(!arena_gc_attach(gc));
	while (!__atomic_load_n(&is_over, __ATOMIC_ACQUIRE)) {
		new_list(100);
		usleep(100);
	}
	arena_gc_detach(gc);
	return unused;
}

TEST(busy, "gc_why/dumps and questions while other threads allocate, under verification", "ARENA_GCVERIFY=1")
{
	pthread_t threads[2];

	set_up();
	arena_gc_store(&cell, new_list(100));
	for (size_t i = 0; i < 2; i++)
		CHECK(!pthread_create(&threads[i], NULL, churn, NULL));
	for (int i = 0; i < 20; i++) {
		size_t end = 0;
		int fd = temporary_file();

		CHECK_EQ(arena_gc_dump(gc, fd), 0);
		count_lines(fd, "", &end);
		CHECK(end >= 100);
		CHECK(arena_gc_why(gc, ((struct vertex *)cell)->next[0], steps, STEPS) == 2);
	}
	__atomic_store_n(&is_over, 1, __ATOMIC_RELEASE);
	arena_gc_detach(gc);
	for (size_t i = 0; i < 2; i++)
		CHECK(!pthread_join(threads[i], NULL));
	arena_gc_destroy(gc);
}
