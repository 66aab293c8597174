// SPDX-License-Identifier: MIT
/* Weak references, ephemerons and cleanups of collected heaps: what goes and what stays, in each phase of a cycle. */
#include <signal.h>

#include "gc/ephemeron.h"
#include "gc_fixture.h"
#include "gc/sweep.h"
#include "gc/weak.h"

static struct fixture start_with(bool cleanups_by_program)
{
	const struct arena_gc_options options = { .source = ARENA_SOURCE_THP, .percent = ARENA_GC_OFF,
						  .cleanups_by_program = cleanups_by_program };

	return set_up_with(&options);
}

static struct fixture start(void)
{
	return start_with(true);
}

static struct node *make_node(const struct fixture *it, struct node *left, uint64_t value)
{
	return new_node(it, left, NULL, value);
}

static uint64_t nr_freed(struct arena_gc *gc)
{
	return stats_of(gc).freed_objects;
}

static uint64_t nr_cycles(struct arena_gc *gc)
{
	return stats_of(gc).nr_cycles;
}

/* A cycle begins on another thread, and this one is at the given request of it: it has answered that, and will not answer the next before it polls. */
static pthread_t begin_cycle(const struct fixture *it, enum gc_request until)
{
	pthread_t other;

	CHECK(!pthread_create(&other, NULL, collect_elsewhere, it->gc));
	while (gc_request_of(gc_own->answered) != until) {
		arena_gc_poll();
		usleep(100);
	}
	return other;
}

static void end_cycle(const struct fixture *it, pthread_t other)
{
	uint64_t nr = nr_cycles(it->gc);

	while (nr_cycles(it->gc) == nr) {
		arena_gc_poll();
		usleep(100);
	}
	CHECK(!pthread_join(other, NULL));
}

/* ---------------------------------------------------------------- what goes */

static struct node global;	/* no object of any heap */

/* Ten that lead to garbage, of three nodes each; what they are made with leaves no trace. */
static void point_at_garbage(const struct fixture *it, void *argument)
{
	struct arena_gc_weak **weak = argument;

	for (size_t i = 0; i < 10; i++) {
		struct node *node = make_node(it, make_node(it, make_node(it, NULL, 1), 2), 3);

		arena_gc_weak_set(weak[i], i % 2 ? (void *)node : (void *)&node->value);
		CHECK(arena_gc_weak_get(weak[i]) == (i % 2 ? (void *)node : (void *)&node->value));
	}
}

TEST(cleared, "gc_weak/what only weak references lead to is freed, and they lead to nothing", "ARENA_GCVERIFY=1")
{
	struct fixture it = start();
	struct arena_gc_weak *weak[13];
	struct node *kept = make_node(&it, NULL, 7);

	for (size_t i = 0; i < 13; i++) {
		weak[i] = arena_gc_weak_create(it.gc, i == 10 ? &kept->right : i == 11 ? (void *)&global : NULL);
		CHECK(weak[i]);
	}
	elsewhere(&it, point_at_garbage, weak);
	arena_gc_collect(it.gc);
	CHECK_EQ(nr_freed(it.gc), 30);
	for (size_t i = 0; i < 10; i++)
		CHECK(!arena_gc_weak_get(weak[i]));
	CHECK(arena_gc_weak_get(weak[10]) == &kept->right && arena_gc_weak_get(weak[11]) == &global && !arena_gc_weak_get(weak[12]));
	arena_gc_weak_set(weak[3], kept);
	arena_gc_collect(it.gc);
	CHECK(arena_gc_weak_get(weak[3]) == kept);
	arena_gc_keep_alive(kept);
	arena_gc_destroy(it.gc);
}

#define MANY 10000

static void make_many(const struct fixture *it, void *argument)
{
	struct node *kept = *(struct node **)argument;

	for (size_t i = 0; i < MANY; i++)
		CHECK(arena_gc_weak_create(it->gc, i % 2 ? kept : make_node(it, NULL, i)));
}

TEST(references, "gc_weak/weak references that nothing leads to are freed, whatever they lead to", "ARENA_GCVERIFY=1")
{
	struct fixture it = start();
	struct node *kept = make_node(&it, NULL, 7);

	for (size_t i = 1; i <= 3; i++) {
		elsewhere(&it, make_many, &kept);
		arena_gc_collect(it.gc);
		CHECK_EQ(nr_freed(it.gc), i * (MANY + MANY / 2));
		CHECK(!it.gc->weak.all.first);
	}
	arena_gc_keep_alive(kept);
	arena_gc_destroy(it.gc);
}

/* ---------------------------------------------------------------- while a cycle runs */

static void point_at_node(const struct fixture *it, void *weak)
{
	arena_gc_weak_set(weak, make_node(it, make_node(it, NULL, 8), 7));
}

__attribute__((noinline)) static void check_node(const struct node *node)
{
	CHECK(node);
	CHECK_EQ(node->value, 7);
	CHECK_EQ(node->left->value, 8);
}

TEST(reading, "gc_weak/what is read while a cycle marks stays, and is counted once", "ARENA_GCVERIFY=1")
{
	struct fixture it = start();
	struct arena_gc_weak *weak = arena_gc_weak_create(it.gc, NULL);
	struct node *node;
	pthread_t other;

	elsewhere(&it, point_at_node, weak);
	other = begin_cycle(&it, GC_REQUEST_SCAN);
	node = arena_gc_weak_get(weak);
	CHECK_EQ(atomic_load_relaxed(&it.gc->weak.word), 2);
	end_cycle(&it, other);
	check_node(node);
	CHECK(arena_gc_weak_get(weak) == node);
	CHECK_EQ(nr_freed(it.gc), 0);
	/* It is marked by now, and read as if there were no weak references. */
	other = begin_cycle(&it, GC_REQUEST_FLUSH);
	CHECK(arena_gc_weak_get(weak) == node);
	/* Perhaps closed: the collector waits for nobody any more. */
	CHECK_EQ(atomic_load_relaxed(&it.gc->weak.word) / 2, 1);
	end_cycle(&it, other);
	check_node(node);
	arena_gc_destroy(it.gc);
}

TEST(closed, "gc_weak/a read while it is settled what is dead gets nothing, and clears nothing", "ARENA_GCVERIFY=1")
{
	struct fixture it = start();
	struct arena_gc_weak *weak = arena_gc_weak_create(it.gc, NULL);
	struct node *kept = make_node(&it, NULL, 7);
	pthread_t other;

	elsewhere(&it, point_at_node, weak);
	other = begin_cycle(&it, GC_REQUEST_SCAN);
	/* As the collector would; it waits for this thread. */
	CHECK(gc_weak_close(it.gc, gc_weak_word(it.gc)));
	CHECK(!arena_gc_weak_get(weak) && weak->target);
	arena_gc_weak_set(weak, kept);
	gc_weak_open(it.gc);
	end_cycle(&it, other);
	CHECK(arena_gc_weak_get(weak) == kept);
	CHECK_EQ(nr_freed(it.gc), 2);
	arena_gc_keep_alive(kept);
	arena_gc_destroy(it.gc);
}

TEST(late, "gc_weak/a read behind the last round gets nothing, or what stays", "ARENA_GCVERIFY=1")
{
	struct fixture it = start();
	struct arena_gc_weak *weak = arena_gc_weak_create(it.gc, NULL);
	struct node *node;
	pthread_t other;

	elsewhere(&it, point_at_node, weak);
	other = begin_cycle(&it, GC_REQUEST_FLUSH);
	/* The collector comes to clear it meanwhile, unless the machine is busy: then this is a read as in the test above. */
	usleep(30000);
	CHECK(arena_gc_local_.barrier);
	node = arena_gc_weak_get(weak);
	end_cycle(&it, other);
	if (node)
		check_node(node);
	CHECK(arena_gc_weak_get(weak) == node);
	arena_gc_destroy(it.gc);
}

static void keep_node(const struct fixture *it, void *handle)
{
	arena_gc_handle_set(handle, new_node(it, NULL, NULL, 9));
}

TEST(swept, "gc_weak/a read that comes to what it has loaded when that is swept already gets nothing")
{
	struct fixture it = start();
	struct arena_gc_weak *weak = arena_gc_weak_create(it.gc, NULL);
	struct arena_gc_handle *kept = arena_gc_handle_create(it.gc, NULL);
	const void *target;
	uint32_t asked;
	pthread_t other;

	elsewhere(&it, point_at_node, weak);
	/* In the same span, which stays, and which is nobody's. */
	elsewhere(&it, keep_node, kept);
	other = begin_cycle(&it, GC_REQUEST_SCAN);
	target = arena_gc_load(&weak->target);
	/* Until the collector waits for this thread to hear that marking is over; others sweep what they need meanwhile. */
	while (asked = atomic_load_seq_cst(&it.gc->asked), gc_request_of(asked) != GC_REQUEST_OFF) {
		if (asked != gc_own->answered)
			arena_gc_poll();
		usleep(100);
	}
	gc_sweep_some(it.gc, UINT32_MAX);
	CHECK(!arena_gc_usable_bytes(it.gc, target));
	CHECK(arena_gc_local_.barrier && !weak->target);
	CHECK(!gc_weak_resolve(gc_own, &weak->target, target));
	end_cycle(&it, other);
	CHECK_EQ(((struct node *)arena_gc_handle_get(kept))->value, 9);
	arena_gc_destroy(it.gc);
}

TEST(count, "gc_weak/the collector does not close when something was read since it looked")
{
	struct fixture it = start();
	uint64_t word = gc_weak_word(it.gc);

	it.gc->weak.word += 2;
	CHECK(!gc_weak_close(it.gc, word));
	CHECK_EQ(atomic_load_relaxed(&it.gc->weak.word), 2);
	CHECK(gc_weak_close(it.gc, gc_weak_word(it.gc)));
	CHECK_EQ(atomic_load_relaxed(&it.gc->weak.word), 3);
	gc_weak_open(it.gc);
	CHECK_EQ(atomic_load_relaxed(&it.gc->weak.word), 2);
	arena_gc_destroy(it.gc);
}

/* ---------------------------------------------------------------- ephemerons */

static void make_ephemeron(const struct fixture *it, void *argument)
{
	struct arena_gc_ephemeron **ephemeron = argument;
	struct node *key = make_node(it, NULL, 7);

	/* The value leads to the key. */
	ephemeron[0] = arena_gc_ephemeron_create(it->gc, key, make_node(it, key, 8));
	CHECK(ephemeron[0] && arena_gc_ephemeron_key(ephemeron[0]) == key);
}

TEST(ephemeron, "gc_weak/the key of an ephemeron is not kept by its value, and the value is kept by the key", "ARENA_GCVERIFY=1")
{
	struct fixture it = start();
	struct node *key = make_node(&it, NULL, 7), *value;
	struct arena_gc_ephemeron *dying, *kept = arena_gc_ephemeron_create(it.gc, key, make_node(&it, key, 8));

	elsewhere(&it, make_ephemeron, &dying);
	arena_gc_collect(it.gc);
	CHECK_EQ(nr_freed(it.gc), 2);
	CHECK(!arena_gc_ephemeron_key(dying) && !arena_gc_ephemeron_value(dying));
	value = arena_gc_ephemeron_value(kept);
	CHECK(value && value->value == 8 && value->left == key && arena_gc_ephemeron_key(kept) == key);
	/* What has no key has no value. */
	arena_gc_ephemeron_set(dying, value);
	CHECK(!arena_gc_ephemeron_value(dying));
	arena_gc_ephemeron_set(kept, &global);
	CHECK(arena_gc_ephemeron_value(kept) == &global);
	arena_gc_collect(it.gc);
	arena_gc_destroy(it.gc);
}

#define LINKS 20000

/* Ephemerons whose values are the keys of others, made in an order that is good for nothing; the first key is left in the fixture's root. */
static struct {
	struct node *first;
	struct node *ephemerons;	/* a list of them */
} root;

static void make_links(const struct fixture *it, void *unused)
{
	struct node **keys = arena_gc_alloc_conservative(it->gc, (LINKS + 1) * sizeof(*keys));
	uint32_t at = 1;

	(void)unused;
	CHECK(keys);
	for (size_t i = 0; i <= LINKS; i++)
		arena_gc_store(&keys[i], make_node(it, NULL, i));
	arena_gc_store(&root.first, keys[0]);
	for (size_t i = 0; i < LINKS; i++) {
		size_t k = at % LINKS;

		arena_gc_store(&root.ephemerons, make_node(it, root.ephemerons, k));
		arena_gc_store(&root.ephemerons->right, arena_gc_ephemeron_create(it->gc, keys[k], keys[k + 1]));
		CHECK(root.ephemerons->right);
		at += 7919;	/* a prime: all of them, in jumps */
	}
}

static void check_links(const struct fixture *it, void *unused)
{
	(void)it;
	(void)unused;
	for (const struct node *at = root.ephemerons; at; at = at->left) {
		const struct node *key = arena_gc_ephemeron_key((void *)at->right), *value = arena_gc_ephemeron_value((void *)at->right);

		CHECK(key && value && key->value == at->value && value->value == at->value + 1);
	}
}

static void check_no_links(const struct fixture *it, void *unused)
{
	(void)it;
	(void)unused;
	for (const struct node *at = root.ephemerons; at; at = at->left)
		CHECK(!arena_gc_ephemeron_key((void *)at->right) && !arena_gc_ephemeron_value((void *)at->right));
}

TEST(links, "gc_weak/a chain of ephemerons in any order is kept by its first key, and goes with it", "ARENA_GCVERIFY=1")
{
	struct fixture it = start();
	uint64_t before;

	CHECK_EQ(arena_gc_add_roots(it.gc, &root, sizeof(root)), 0);
	elsewhere(&it, make_links, NULL);
	CHECK(it.gc->ephemerons.next_nr_parts >= LINKS);
	arena_gc_collect(it.gc);
	/* Linear, not quadratic. */
	CHECK(it.gc->ephemerons.nr_waits && it.gc->ephemerons.nr_waits <= LINKS);
	CHECK_EQ(it.gc->ephemerons.nr_parts, it.gc->ephemerons.next_nr_parts);
	elsewhere(&it, check_links, NULL);
	arena_gc_store(&root.first, NULL);
	before = nr_freed(it.gc);
	arena_gc_collect(it.gc);
	CHECK_EQ(nr_freed(it.gc) - before, LINKS + 1);
	elsewhere(&it, check_no_links, NULL);
	arena_gc_store(&root.ephemerons, NULL);
	arena_gc_collect(it.gc);
	CHECK(!it.gc->ephemerons.chain.first && !it.gc->ephemerons.nr);
	arena_gc_destroy(it.gc);
}

static void point_from_first(const struct fixture *it, void *ephemeron)
{
	arena_gc_store(&root.first, make_node(it, NULL, 6));
	*(struct arena_gc_ephemeron **)ephemeron = arena_gc_ephemeron_create(it->gc, root.first, make_node(it, make_node(it, NULL, 8), 7));
}

TEST(value, "gc_weak/a value that is read while a cycle marks stays, though its key goes", "ARENA_GCVERIFY=1")
{
	struct fixture it = start();
	struct arena_gc_ephemeron *ephemeron;
	struct node *value;
	pthread_t other;

	CHECK_EQ(arena_gc_add_roots(it.gc, &root, sizeof(root)), 0);
	elsewhere(&it, point_from_first, &ephemeron);
	arena_gc_store(&root.first, NULL);
	other = begin_cycle(&it, GC_REQUEST_SCAN);
	value = arena_gc_ephemeron_value(ephemeron);
	CHECK_EQ(atomic_load_relaxed(&it.gc->weak.word), 2);
	end_cycle(&it, other);
	check_node(value);
	CHECK(!arena_gc_ephemeron_key(ephemeron) && !arena_gc_ephemeron_value(ephemeron));
	CHECK_EQ(nr_freed(it.gc), 1);
	arena_gc_destroy(it.gc);
}

/* ---------------------------------------------------------------- cleanups */

static uint64_t nr_called;	/* atomic */

static void count_call(void *argument)
{
	__atomic_add_fetch(argument ? (uint64_t *)argument : &nr_called, 1, __ATOMIC_RELAXED);
}

/* A list of 1,000, and a ring of three, each with two cleanups, which count in places of their own. */
#define LISTED 1000
static uint64_t calls[2 * LISTED + 6];

static void add_two(const struct fixture *it, const struct node *node, size_t i)
{
	CHECK(arena_gc_add_cleanup(it->gc, node, count_call, &calls[2 * i]));
	CHECK(arena_gc_add_cleanup(it->gc, &node->value, count_call, &calls[2 * i + 1]));
}

static void make_listed(const struct fixture *it, void *unused)
{
	struct node *node = NULL, *ring[3];

	(void)unused;
	for (size_t i = 0; i < LISTED; i++) {
		node = make_node(it, node, i);
		add_two(it, node, i);
	}
	for (size_t i = 0; i < 3; i++) {
		ring[i] = make_node(it, i ? ring[i - 1] : NULL, i);
		add_two(it, ring[i], LISTED + i);
	}
	arena_gc_store(&ring[0]->left, ring[2]);
}

TEST(called, "gc_weak/cleanups of chains and rings are all called once, in one cycle, which frees the objects", "ARENA_GCVERIFY=1")
{
	struct fixture it = start();

	elsewhere(&it, make_listed, NULL);
	CHECK_EQ(arena_gc_run_cleanups(it.gc), 0);
	arena_gc_collect(it.gc);
	CHECK_EQ(nr_freed(it.gc), LISTED + 3);
	CHECK_EQ(arena_gc_run_cleanups(it.gc), 2 * LISTED + 6);
	CHECK_EQ(arena_gc_run_cleanups(it.gc), 0);
	for (size_t i = 0; i < 2 * LISTED + 6; i++)
		CHECK_EQ(calls[i], 1);
	/* The cleanups themselves are garbage now, but for what the stack may hold of the last. */
	arena_gc_collect(it.gc);
	CHECK(!it.gc->cleanups.waiting.first && nr_freed(it.gc) >= 3 * (LISTED + 3) - 1);
	arena_gc_destroy(it.gc);
	CHECK_EQ(nr_called, 0);
}

/* The argument is a node, kept by nothing else, whose left one is the weak reference to the object. */
static void check_argument(void *argument)
{
	const struct node *node = argument;

	CHECK_EQ(node->value, 77);
	CHECK(!arena_gc_weak_get((const void *)node->left));
	count_call(NULL);
}

static void make_watched(const struct fixture *it, void *unused)
{
	struct node *object = make_node(it, NULL, 5);
	struct node *argument = make_node(it, (void *)arena_gc_weak_create(it->gc, object), 77);

	(void)unused;
	CHECK(arena_gc_add_cleanup(it->gc, object, check_argument, argument));
}

TEST(argument, "gc_weak/an argument is kept until it was passed, and weak references are cleared before", "ARENA_GCVERIFY=1")
{
	struct fixture it = start();

	elsewhere(&it, make_watched, NULL);
	for (int i = 0; i < 3; i++)
		arena_gc_collect(it.gc);
	CHECK_EQ(nr_freed(it.gc), 1);
	CHECK_EQ(arena_gc_run_cleanups(it.gc), 1);
	CHECK_EQ(nr_called, 1);
	arena_gc_destroy(it.gc);
	CHECK_EQ(nr_called, 1);
}

static void make_cancelled(const struct fixture *it, void *argument)
{
	struct arena_gc_handle **handles = argument;
	struct node *node = make_node(it, NULL, 5);

	for (size_t i = 0; i < 4; i++) {
		struct arena_gc_cleanup *cleanup = arena_gc_add_cleanup(it->gc, node, count_call, make_node(it, NULL, i));

		handles[i] = arena_gc_handle_create(it->gc, cleanup);
		CHECK(cleanup && handles[i]);
	}
	CHECK(arena_gc_cancel_cleanup(arena_gc_handle_get(handles[0])));
	CHECK(!arena_gc_cancel_cleanup(arena_gc_handle_get(handles[0])));
}

static void cancel_due(const struct fixture *it, void *argument)
{
	struct arena_gc_handle **handles = argument;

	CHECK(arena_gc_cancel_cleanup(arena_gc_handle_get(handles[1])));
	CHECK(arena_gc_cancel_cleanup(arena_gc_handle_get(handles[2])));
	CHECK_EQ(arena_gc_run_cleanups(it->gc), 1);
	for (size_t i = 0; i < 4; i++)
		CHECK(!arena_gc_cancel_cleanup(arena_gc_handle_get(handles[i])));
}

TEST(cancelled, "gc_weak/a cleanup that was cancelled, early or when it was due, is not called, and its argument goes", "ARENA_GCVERIFY=1")
{
	struct fixture it = start();
	struct arena_gc_handle *handles[4];

	elsewhere(&it, make_cancelled, handles);
	arena_gc_collect(it.gc);
	CHECK_EQ(nr_freed(it.gc), 2);
	CHECK_EQ(it.gc->cleanups.due.nr, 3);
	elsewhere(&it, cancel_due, handles);
	arena_gc_collect(it.gc);
	CHECK(nr_freed(it.gc) >= 4);
	arena_gc_destroy(it.gc);
}

static uint32_t thread_of_call;	/* atomic */

/* What a cleanup may do. */
static void collect_and_count(void *gc)
{
	__atomic_store_n(&thread_of_call, gc_own->thread_id, __ATOMIC_RELAXED);
	CHECK(arena_gc_alloc_atomic(gc, 100));
	arena_gc_collect(gc);
	count_call(NULL);
}

static void make_collecting(const struct fixture *it, void *unused)
{
	(void)unused;
	for (size_t i = 0; i < 3; i++)
		CHECK(arena_gc_add_cleanup(it->gc, make_node(it, NULL, i), collect_and_count, it->gc));
}

TEST(thread, "gc_weak/a thread of the heap calls cleanups, which may allocate and collect", "ARENA_GCVERIFY=1")
{
	struct fixture it = start_with(false);

	elsewhere(&it, make_collecting, NULL);
	arena_gc_collect(it.gc);
	while (__atomic_load_n(&nr_called, __ATOMIC_RELAXED) < 3) {
		arena_gc_poll();
		usleep(100);
	}
	CHECK(thread_of_call != gc_own->thread_id);
	CHECK(nr_cycles(it.gc) >= 4);
	arena_gc_destroy(it.gc);
	CHECK_EQ(nr_called, 3);
}

static struct arena_gc *dying_gc;

static void add_at_the_end(void *unused)
{
	const struct node *object = arena_gc_alloc_atomic(dying_gc, 10);

	(void)unused;
	CHECK(object && !arena_gc_add_cleanup(dying_gc, object, count_call, NULL));
	count_call(NULL);
}

TEST(destroyed, "gc_weak/destroying a heap calls what is left, and whoever does it need not be attached")
{
	for (int i = 0; i < 4; i++) {
		struct fixture it = start_with(i & 1);
		struct node *node = make_node(&it, NULL, 5);

		dying_gc = it.gc;
		CHECK(arena_gc_add_cleanup(it.gc, node, add_at_the_end, NULL) && arena_gc_add_cleanup(it.gc, node, count_call, NULL));
		CHECK(arena_gc_cancel_cleanup(arena_gc_add_cleanup(it.gc, node, count_call, NULL)));
		arena_gc_keep_alive(node);
		if (i & 2)
			arena_gc_detach(it.gc);
		arena_gc_destroy(it.gc);
		CHECK_EQ(nr_called, 2 * (i + 1));
	}
}

static void *destroy(void *gc)
{
	arena_gc_destroy(gc);
	return NULL;
}

/* Taken out of the chain, as the collector does for as long as it sifts it. */
TEST(sifted, "gc_weak/destroying a heap also calls cleanups that the collector has just in its hands")
{
	struct fixture it = start();
	struct link *taken;
	pthread_t other;

	CHECK(arena_gc_add_cleanup(it.gc, make_node(&it, NULL, 5), count_call, NULL));
	arena_gc_detach(it.gc);
	lock_acquire(&it.gc->whole_lock);
	taken = atomic_swap_acquire(&it.gc->cleanups.waiting.first, NULL);
	CHECK(!pthread_create(&other, NULL, destroy, it.gc));
	while (!atomic_load_acquire(&it.gc->cleanups.is_ending))
		usleep(100);
	usleep(20000);
	gc_chain_push(&it.gc->cleanups.waiting, taken);
	lock_release(&it.gc->whole_lock);
	CHECK(!pthread_join(other, NULL));
	CHECK_EQ(nr_called, 1);
}

/* An object that owns an arena. */
struct owner {
	struct arena *arena;
};

static void free_arena(void *arena)
{
	arena_free(arena);
}

static void make_owner(const struct fixture *it, void *unused)
{
	struct owner *owner = arena_gc_alloc_atomic(it->gc, sizeof(*owner));

	(void)unused;
	owner->arena = arena_new(NULL);
	CHECK(owner->arena && arena_alloc(owner->arena, 100000));
	CHECK(arena_gc_add_cleanup(it->gc, owner, free_arena, owner->arena));
}

TEST(owner, "gc_weak/an arena whose owner was dropped is freed by a cleanup")
{
	struct fixture it = start_with(false);
	struct arena_memory memory;

	elsewhere(&it, make_owner, NULL);
	arena_memory(&memory);
	CHECK_EQ(memory.nr_arenas, 1);
	arena_gc_collect(it.gc);
	do {
		arena_gc_poll();
		usleep(100);
		arena_memory(&memory);
	} while (memory.nr_arenas);
	arena_gc_destroy(it.gc);
}

/* ---------------------------------------------------------------- chains */

struct element {
	struct link link;
	unsigned int value;
};

static bool has_bit(void *mask, struct link *link)
{
	return link_entry(link, struct element, link)->value & *(unsigned int *)mask;
}

TEST(chain, "gc_weak/sifting a chain leaves what is to stay, in its order")
{
	for (unsigned int nr = 0; nr <= 8; nr++)
		for (unsigned int stays = 0; stays < 1u << nr; stays++) {
			struct element elements[8];
			struct gc_chain chain = { NULL };
			struct link *link;
			unsigned int yes = 1;

			for (unsigned int i = 0; i < nr; i++) {
				elements[i].value = stays >> i & 1;
				gc_chain_push(&chain, &elements[i].link);
			}
			gc_chain_sift(&chain, has_bit, &yes);
			link = gc_chain_first(&chain);
			for (unsigned int i = nr; i--;)
				if (stays >> i & 1) {
					CHECK(link == &elements[i].link);
					link = link->next;
				}
			CHECK(!link);
		}
}

/* ---------------------------------------------------------------- misuse */

static void read_detached(void *unused)
{
	struct fixture it = start(), other = start();
	struct arena_gc_weak *weak = arena_gc_weak_create(it.gc, NULL);

	(void)unused;
	arena_gc_detach(it.gc);
	begin_cycle(&other, GC_REQUEST_BARRIER);
	arena_gc_weak_get(weak);
}

static void clean_up_none(void *unused)
{
	struct fixture it = start();

	(void)unused;
	arena_gc_add_cleanup(it.gc, &it, count_call, NULL);
}

static void keep_own_object(void *unused)
{
	struct fixture it = start();
	struct node *node = make_node(&it, NULL, 1);

	(void)unused;
	arena_gc_add_cleanup(it.gc, node, count_call, &node->value);
}

TEST(misuse, "gc_weak/misuse aborts and says why")
{
	static const struct {
		void (*function)(void *unused);
		const char *says;
	} cases[] = {
		{ read_detached, "not attached to its heap" },
		{ clean_up_none, "is no object of this heap" },
		{ keep_own_object, "leads to the object" },
	};

	if (harness_thread_sanitized())
		harness_skip("the thread sanitizer cannot fork a process with threads");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct death death;

		harness_child(&death, cases[i].function, NULL);
		CHECK(harness_died(&death, SIGABRT));
		CHECK_HAS(death.text, cases[i].says);
	}
}
