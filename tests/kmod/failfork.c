// SPDX-License-Identifier: MIT
/*
 * How many allocations a fork meets that can fail. Most are the core's. Those of the module are told apart by number: what a
 * process that has many spaces meets more than the same process with ordinary memory in their place. So failnth.c, which
 * makes each of them fail once, has those of the module among them. Needs a kernel with fault injection, as that does.
 *
 * Nothing fails here.
 */
#include "failnth.h"
#include "group.h"

#include <sched.h>
#include <sys/uio.h>

#define NR_SPACES	32U
#define FORKS_S		600	/* on the kernels that run this */
#define NEVER		1000000U	/* more allocations than anything meets */
#define CHUNK_ORDER	"9"
#define NO_ORDER	"20"	/* of pages: there are no such blocks */
/*
 * The core allocates a few more or fewer from fork to fork: a stack, what it keeps in store for numbers of processes, pages
 * for its caches. So it is the fewest of so many forks that count, and each space has one chunk: an allocation that is
 * missing is missing NR_SPACES times. Of objects half as many may be noise; of pages a quarter, because the module's objects need some, too.
 */
#define FORK_ROUNDS	6
#define FORK_NOISE	(NR_SPACES / 2)
#define PAGE_NOISE	(NR_SPACES / 4)
/* Of the module, for each space: a view and its table, and as many ranges as a change needs at most; a leaf of the table. */
#define VIEW_OBJECTS	(2U + 3U)
#define VIEW_PAGES	1U

/** struct test - the device, and what makes this thread's allocations fail */
struct test {
	int dev;
	int fail_fd;
};

/** struct spaces - each mapped, with one chunk, to be copied on write */
struct spaces {
	int fd[NR_SPACES];
	char *map[NR_SPACES];
	int pipe[NR_SPACES][2];	/* with a page of the chunk, or -1 */
};

static int spaces_create(struct spaces *p, int dev)
{
	/* No descriptor, and MAP_FAILED. */
	memset(p, -1, sizeof(*p));
	for (unsigned int i = 0; i < NR_SPACES; i++) {
		p->fd[i] = space_create_full(dev, 1, 0, ARENA_CREATE_FORK_COW);
		p->map[i] = space_map(p->fd[i], 0, 1);
		if (p->fd[i] < 0 || p->map[i] == MAP_FAILED)
			return errno;
		*p->map[i] = 1;
	}
	return 0;
}

/* In the very places of the spaces, so that the process's mappings lie as they did. */
static int spaces_to_ordinary(struct spaces *p)
{
	for (unsigned int i = 0; i < NR_SPACES; i++) {
		if (mmap(p->map[i], CHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
		    p->map[i])
			return errno;
		*p->map[i] = 1;
	}
	return 0;
}

static int spaces_refer(struct spaces *p)
{
	for (unsigned int i = 0; i < NR_SPACES; i++) {
		struct iovec page = { .iov_base = p->map[i], .iov_len = 1 };

		if (pipe2(p->pipe[i], O_CLOEXEC) || vmsplice(p->pipe[i][1], &page, 1, 0) != 1)
			return errno;
	}
	return 0;
}

static void spaces_close(struct spaces *p)
{
	for (unsigned int i = 0; i < NR_SPACES; i++) {
		close(p->pipe[i][0]);
		close(p->pipe[i][1]);
		munmap(p->map[i], CHUNK_BYTES);
		close(p->fd[i]);
	}
}

/* How many allocations one fork meets, none of which fails; NEVER when it cannot be told. */
static unsigned int count_once(const struct test *t, bool ordinary, bool referred)
{
	struct spaces spaces;
	unsigned int left = 0;
	pid_t child = -1;
	int error = spaces_create(&spaces, t->dev) ?: ordinary ? spaces_to_ordinary(&spaces) : 0;

	if (!error && referred)
		error = spaces_refer(&spaces);
	/* What a pipe held is in quarantine first. Then a copy comes from the page allocator. */
	if (!error && WAIT_UNTIL(nothing_idles(t->dev), SETTLE_MS)) {
		fail_set(t->fail_fd, NEVER);
		child = fork();
		if (!child)
			_exit(0);
		left = fail_end(t->fail_fd);
	}
	if (child_status(child))
		left = 0;
	spaces_close(&spaces);
	return NEVER - left;
}

/* Whether one that has the spaces meets @own more than one that has ordinary memory, give or take @noise. */
static void check_more(struct __test_metadata *_metadata, const struct test *t, bool referred, const char *what,
		       unsigned int own, unsigned int noise)
{
	unsigned int least[2] = { NEVER, NEVER };

	for (int round = 0; round < 2 * FORK_ROUNDS; round++) {
		unsigned int count = count_once(t, round % 2, referred);

		least[round % 2] = count < least[round % 2] ? count : least[round % 2];
	}
	printf("# a fork meets %u %s, with ordinary memory %u: the module's are %u\n", least[0], what, least[1], own);
	EXPECT_GT(NEVER, least[0]) TH_LOG("%s", what);
	EXPECT_LE(least[1] + own, least[0] + noise) TH_LOG("%s", what);
}

/* Which allocations are met: objects or not, and pages in blocks of at least 2^order. */
static void meet(bool objects, const char *order)
{
	/* No cache is marked, so none passes the filter. */
	if (file_write_text(FAULTS "failslab/cache-filter", objects ? "N" : "Y") ||
	    file_write_text(FAULTS "fail_page_alloc/min-order", order))
		abort();
}

/* kmemleak allocates a record for each object, which is met as well. */
static unsigned int met_per_object(void)
{
	char arguments[1024];
	bool is_watched = !access("/sys/kernel/debug/kmemleak", F_OK) &&
			  !file_read_text("/proc/cmdline", arguments, sizeof(arguments)) &&
			  !strstr(arguments, "kmemleak=off");

	return is_watched ? 2 : 1;
}

/* There a fork finds the stack of the child that has just ended. */
static int stay_on_cpu(void)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET((size_t)sched_getcpu(), &cpus);
	return sched_setaffinity(0, sizeof(cpus), &cpus);
}

FIXTURE(failfork)
{
	struct test test;
};

FIXTURE_VARIANT(failfork)
{
	bool referred;
	unsigned int nr_chunks;	/* that are copied at once, for each space */
};

FIXTURE_VARIANT_ADD(failfork, cow) { .referred = false, .nr_chunks = 0 };
FIXTURE_VARIANT_ADD(failfork, cow_with_a_reference) { .referred = true, .nr_chunks = 1 };

void failfork_setup(struct __test_metadata *_metadata, FIXTURE_DATA(failfork) *self,
		   const FIXTURE_VARIANT(failfork) *variant);
void failfork_teardown(struct __test_metadata *_metadata, FIXTURE_DATA(failfork) *self,
		      const FIXTURE_VARIANT(failfork) *variant);

FIXTURE_SETUP(failfork)
{
	self->test.dev = open(DEVICE, O_RDWR | O_CLOEXEC);
	self->test.fail_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->test.dev);
	ASSERT_LE(0, self->test.fail_fd);
	ASSERT_EQ(0, stay_on_cpu());
}

FIXTURE_TEARDOWN(failfork)
{
	meet(true, "0");
}

/* Each allocation of the module for a child is one that can fail, and that failnth.c makes fail. */
TEST_F_TIMEOUT(failfork, meets_what_the_module_allocates, FORKS_S)
{
	const struct test *t = &self->test;

	meet(true, NO_ORDER);
	check_more(_metadata, t, variant->referred, "objects", NR_SPACES * VIEW_OBJECTS * met_per_object(), FORK_NOISE);
	meet(false, "0");
	check_more(_metadata, t, variant->referred, "pages", NR_SPACES * (VIEW_PAGES + variant->nr_chunks), PAGE_NOISE);
	meet(false, CHUNK_ORDER);
	check_more(_metadata, t, variant->referred, "chunks", NR_SPACES * variant->nr_chunks, 0);
}

int run_all(int argc, char **argv);
#define main run_all
TEST_HARNESS_MAIN
#undef main

int main(int argc, char **argv)
{
	return fail_main(argc, argv, run_all);
}
