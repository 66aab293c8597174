// SPDX-License-Identifier: MIT
/*
 * Every allocation fails once. Each operation is repeated with the kernel told to fail this task's
 * first allocation, then its second, and so on until the operation runs through without meeting one that
 * fails. Each time it must end in success or in a clean error, must work when it is tried again, must leave
 * the books balanced and the memory of a bystander as it was. Allocations of the core on the way
 * count like the module's own. Needs a kernel with fault injection; tests/vm/run --kind debug has one.
 * Commands of io_uring are done by a worker of the ring, which is told to fail in place of this task.
 * Does not reach allocations of the module's own threads.
 */
#include "failnth.h"

#include <dirent.h>
#include <liburing.h>
#include <sys/eventfd.h>
#include <sys/uio.h>

#define OP_SLOTS 4
#define KEEPER_SLOTS 2
#define KEEPER_WORD 0x6b65657065722121ULL
#define MAX_POINTS 2000
#define ATTEMPTS_S 600	/* a fork meets 170 allocations, and is slow on the kernels that run this */

/*
 * What an operation works on. The bystander holds memory all the while; the rest is made anew for each
 * attempt.
 */
struct scene {
	int dev;
	int keeper_fd;
	char *keeper;
	int own_fail_fd;
	int fail_fd;		/* fail-nth of the thread that does the work: this one, or a worker of the ring */
	struct io_uring ring;
	int fd;			/* space of the attempt */
	char *map;		/* mapping of it, or MAP_FAILED */
	size_t map_bytes;
	int opened;		/* descriptor that the operation made, or -1 */
	pid_t child;		/* lives while the operation runs, or 0 */
	int pipe[2];		/* with a page of the first chunk, or -1 */
};

/* Each is 0 or an errno; a touch that is refused is EFAULT. */
typedef int (*step_fn)(struct scene *s);

static int prepare_space(struct scene *s)
{
	s->fd = space_create(s->dev, OP_SLOTS);
	return s->fd < 0 ? errno : 0;
}

static int prepare_on_touch(struct scene *s)
{
	s->fd = space_create_full(s->dev, OP_SLOTS, 0, ARENA_CREATE_ON_TOUCH);
	if (s->fd < 0)
		return errno;
	s->map_bytes = OP_SLOTS * CHUNK_BYTES;
	s->map = space_map_bare(s->fd, 0, OP_SLOTS);
	return s->map == MAP_FAILED ? errno : 0;
}

/* Nothing idle is left in the pool, so that chunks come from the page allocator. */
static int prepare_dry(struct scene *s)
{
	return prepare_space(s) ?: module_trim(s->dev, ~0ULL, 0, NULL);
}

static int prepare_mapped(struct scene *s)
{
	int error = prepare_space(s);

	if (error)
		return error;
	s->map_bytes = OP_SLOTS * CHUNK_BYTES;
	s->map = space_map(s->fd, 0, OP_SLOTS);
	return s->map == MAP_FAILED ? errno : 0;
}

static int prepare_touched(struct scene *s)
{
	int error = prepare_mapped(s);

	for (int i = 0; !error && i < OP_SLOTS; i++)
		error = fault_write(s->map + i * CHUNK_BYTES, i) ? EFAULT : 0;
	return error;
}

/* A child that inherits has it as it is: number 1 in the first word of the first chunk, and so on. */
static int prepare_inherited(struct scene *s, uint32_t flags)
{
	s->fd = space_create_full(s->dev, OP_SLOTS, 0, flags);
	if (s->fd < 0)
		return errno;
	s->map_bytes = OP_SLOTS * CHUNK_BYTES;
	s->map = space_map(s->fd, 0, OP_SLOTS);
	for (uint64_t i = 0; s->map != MAP_FAILED && i < OP_SLOTS; i++)
		*(uint64_t *)(void *)(s->map + i * CHUNK_BYTES) = i + 1;
	return s->map == MAP_FAILED ? errno : 0;
}

static int prepare_share(struct scene *s)
{
	return prepare_inherited(s, ARENA_CREATE_FORK_SHARE);
}

static int prepare_cow(struct scene *s)
{
	return prepare_inherited(s, ARENA_CREATE_FORK_COW);
}

static int prepare_forked(struct scene *s)
{
	int error = prepare_cow(s);

	if (error)
		return error;
	s->child = fork();
	if (!s->child) {
		pause();
		_exit(0);
	}
	return s->child < 0 ? errno : 0;
}

/* Somebody refers to the first chunk: a fork copies that one at once. */
static int prepare_piped(struct scene *s)
{
	int error = prepare_cow(s);
	struct iovec page = { .iov_base = s->map, .iov_len = 1 };

	if (error)
		return error;
	if (pipe2(s->pipe, O_CLOEXEC) || vmsplice(s->pipe[1], &page, 1, 0) != 1)
		return errno;
	return 0;
}

static int prepare_kept(struct scene *s)
{
	return prepare_touched(s) ?: space_keep(s->fd, 0, OP_SLOTS, NULL);
}

static int run_open(struct scene *s)
{
	s->opened = open(DEVICE, O_RDWR | O_CLOEXEC);
	return s->opened < 0 ? errno : 0;
}

static int run_create(struct scene *s)
{
	s->opened = space_create(s->dev, OP_SLOTS);
	return s->opened < 0 ? errno : 0;
}

static int run_reserve(struct scene *s)
{
	return space_reserve(s->fd, 0, OP_SLOTS, NULL);
}

static int run_reserve_middle(struct scene *s)
{
	return space_reserve(s->fd, 1, OP_SLOTS - 2, NULL);
}

static int run_mmap(struct scene *s)
{
	s->map_bytes = OP_SLOTS * CHUNK_BYTES;
	s->map = space_map(s->fd, 0, OP_SLOTS);
	return s->map == MAP_FAILED ? errno : 0;
}

static int run_touch(struct scene *s)
{
	for (int i = 0; i < OP_SLOTS; i++)
		if (fault_write(s->map + i * CHUNK_BYTES, 1))
			return EFAULT;
	return 0;
}

static int run_keep(struct scene *s)
{
	return space_keep(s->fd, 0, OP_SLOTS, NULL);
}

/* Splits what is kept: the rest needs another record. */
static int run_keep_middle(struct scene *s)
{
	return space_keep(s->fd, 1, OP_SLOTS - 2, NULL);
}

static int run_zap(struct scene *s)
{
	return space_zap(s->fd, 0, OP_SLOTS, NULL);
}

static int run_zap_middle(struct scene *s)
{
	return space_zap(s->fd, 1, OP_SLOTS - 2, NULL);
}

static int run_punch(struct scene *s)
{
	return fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			 OP_SLOTS * (off_t)CHUNK_BYTES) ? errno : 0;
}

/* The mapping falls into two, which duplicates what the module knows of it. */
static int run_split(struct scene *s)
{
	return mprotect(s->map + CHUNK_BYTES, CHUNK_BYTES, PROT_READ) ? errno : 0;
}

static int run_unmap_page(struct scene *s)
{
	return munmap(s->map + PAGE_BYTES, PAGE_BYTES) ? errno : 0;
}

static int run_move(struct scene *s)
{
	char *to = mmap(NULL, s->map_bytes + CHUNK_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *moved;
	int error;

	if (to == MAP_FAILED)
		return errno;
	moved = mremap(s->map, s->map_bytes, s->map_bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
		       to + (-(uintptr_t)to & (CHUNK_BYTES - 1)));
	error = moved == MAP_FAILED ? errno : 0;
	/* Without memory to take it away Linux 6.1 leaves the old mapping behind, empty (mm/mremap.c). */
	munmap(error ? to : s->map, s->map_bytes + (error ? CHUNK_BYTES : 0));
	if (!error)
		s->map = moved;
	return error;
}

static int run_fork(struct scene *s)
{
	pid_t child = fork();

	if (!child)
		_exit(0);
	if (child < 0)
		return errno;
	return child_status(child) ? ECHILD : 0;
}

/* Wrong bytes are no clean error; being refused the page may be one. */
static int check_inherited(struct scene *s)
{
	int refused = 0;

	for (uint64_t i = 0, value; i < OP_SLOTS; i++) {
		if (fault_read(s->map + i * CHUNK_BYTES, &value))
			refused = EFAULT;
		else if (value != i + 1)
			return EUCLEAN;
	}
	return refused;
}

static int run_fork_inherited(struct scene *s)
{
	pid_t child = fork();

	if (!child)
		_exit(check_inherited(s));
	if (child < 0)
		return errno;
	return child_status(child) ?: check_inherited(s);
}

/* Each write is to a chunk that the child has too, so it needs a copy. */
static int run_write_inherited(struct scene *s)
{
	int refused = 0;

	for (uint64_t i = 0; i < OP_SLOTS; i++)
		if (fault_write(s->map + i * CHUNK_BYTES, i + 1))
			refused = EFAULT;
	return refused ?: check_inherited(s);
}

static int run_populate(struct scene *s)
{
	struct arena_populate populate = { .size = sizeof(populate), .address = (uintptr_t)s->map,
					   .length_bytes = s->map_bytes };

	return call_errno(s->fd, ARENA_IOC_POPULATE, &populate);
}

static int run_ahead(struct scene *s)
{
	struct arena_reserve ahead = { .size = sizeof(ahead), .flags = ARENA_RESERVE_AHEAD,
				       .length_bytes = OP_SLOTS * CHUNK_BYTES };

	return call_errno(s->fd, ARENA_IOC_RESERVE, &ahead);
}

static int run_contig(struct scene *s)
{
	struct arena_reserve run = { .size = sizeof(run), .flags = ARENA_RESERVE_CONTIG,
				     .length_bytes = OP_SLOTS * CHUNK_BYTES };

	return call_errno(s->fd, ARENA_IOC_RESERVE, &run);
}

static int run_notice(struct scene *s)
{
	int event_fd = eventfd(0, EFD_CLOEXEC), error;
	struct arena_notice notice = { .size = sizeof(notice), .flags = ARENA_NOTICE_EVENTFD,
				       .eventfd = event_fd };

	if (event_fd < 0)
		return errno;
	error = call_errno(s->fd, ARENA_IOC_NOTICE, &notice);
	close(event_fd);
	return error;
}

/* What the command answers, or -errno when the ring itself fails. */
static int ring_command(struct scene *s, uint32_t op, const struct arena_uring *payload)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);
	struct io_uring_cqe *cqe;
	int result;

	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, s->fd, NULL, 0, 0);
	sqe->cmd_op = op;
	memcpy(sqe->cmd, payload, sizeof(*payload));
	result = io_uring_submit_and_wait(&s->ring, 1);
	if (result == 1)
		result = io_uring_wait_cqe(&s->ring, &cqe);
	if (result)
		return result;
	result = cqe->res;
	io_uring_cqe_seen(&s->ring, cqe);
	return result;
}

/* The fail-nth of the only worker, or -1. */
static int worker_fail_open(void)
{
	DIR *threads = opendir("/proc/self/task");
	struct dirent *thread;
	char path[300], name[32];
	int fd = -1;

	while (threads && fd < 0 && (thread = readdir(threads))) {
		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", thread->d_name);
		if (file_read_text(path, name, sizeof(name)) || strncmp(name, "iou-wrk", 7))
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%s/fail-nth", thread->d_name);
		fd = open(path, O_RDWR | O_CLOEXEC);
	}
	if (threads)
		closedir(threads);
	return fd;
}

/*
 * The module leaves a command to a worker of the ring, so it is the worker's allocations that fail, not those of
 * who asks. A first command, which is refused, makes the worker; there is one, which stays.
 */
static int prepare_ring(struct scene *s)
{
	struct arena_reclaim none = { .size = sizeof(none) };
	struct arena_uring payload = { .address = (uintptr_t)&none };
	unsigned int nr_workers[] = { 1, 1 };
	int error = prepare_dry(s) ?: -io_uring_queue_init(1, &s->ring, 0);

	if (error)
		return error;
	if (io_uring_register_iowq_max_workers(&s->ring, nr_workers) ||
	    ring_command(s, ARENA_IOC_RECLAIM, &payload) != -EINVAL)
		return EPROTO;
	s->fail_fd = worker_fail_open();
	return s->fail_fd < 0 ? ESRCH : 0;
}

static int run_uring(struct scene *s)
{
	struct arena_reserve reserve = { .size = sizeof(reserve), .length_bytes = OP_SLOTS * CHUNK_BYTES };
	struct arena_uring payload = { .address = (uintptr_t)&reserve };

	return -ring_command(s, ARENA_IOC_RESERVE, &payload);
}

/* Reserve, give half back, reserve again: each call has an answer of its own. */
static int run_uring_batch(struct scene *s)
{
	struct arena_reserve all = { .size = sizeof(all), .length_bytes = OP_SLOTS * CHUNK_BYTES };
	struct arena_reserve half = { .size = sizeof(half), .length_bytes = OP_SLOTS / 2 * CHUNK_BYTES };
	struct arena_reclaim zap = { .size = sizeof(zap), .how = ARENA_RECLAIM_ZAP,
				     .length_bytes = OP_SLOTS / 2 * CHUNK_BYTES };
	struct arena_uring_call calls[] = {
		{ .op = ARENA_IOC_RESERVE, .address = (uintptr_t)&all },
		{ .op = ARENA_IOC_RECLAIM, .address = (uintptr_t)&zap },
		{ .op = ARENA_IOC_RESERVE, .address = (uintptr_t)&half },
	};
	struct arena_uring payload = { .address = (uintptr_t)calls, .nr_calls = ARRAY_SIZE(calls) };
	int result = ring_command(s, ARENA_URING_BATCH, &payload);

	if (result < 0)
		return -result;
	if (result != (int)ARRAY_SIZE(calls))
		return EPROTO;
	return -(calls[0].result ?: calls[1].result ?: calls[2].result);
}

static int run_stat(struct scene *s)
{
	struct arena_stat stat = { .size = sizeof(stat) };

	return call_errno(s->dev, ARENA_IOC_STAT, &stat);
}

static int run_space(struct scene *s)
{
	struct arena_space_stat stat = { .size = sizeof(stat) };

	return call_errno(s->dev, ARENA_IOC_SPACE, &stat);
}

static int run_trim(struct scene *s)
{
	return module_trim(s->dev, ~0ULL, ARENA_TRIM_KEPT, NULL);
}

static int run_fdinfo(struct scene *s)
{
	char path[64], text[1024];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", s->fd);
	return file_read_text(path, text, sizeof(text)) ? errno : 0;
}

static int run_close(struct scene *s)
{
	int fd = s->fd;

	/* Linux 6.1 needs memory for that. */
	if (s->map != MAP_FAILED && munmap(s->map, s->map_bytes))
		return errno;
	s->map = MAP_FAILED;
	s->fd = -1;
	return fd >= 0 && close(fd) ? errno : 0;
}

static void ring_clear(struct scene *s)
{
	if (s->fail_fd != s->own_fail_fd && s->fail_fd >= 0)
		close(s->fail_fd);
	if (s->ring.ring_fd > 0)
		io_uring_queue_exit(&s->ring);
	s->ring.ring_fd = -1;
	s->fail_fd = s->own_fail_fd;
}

/* Gives back what the attempt had, whichever part of it came to be. */
static void scene_clear(struct scene *s)
{
	ring_clear(s);
	if (s->child > 0) {
		kill(s->child, SIGKILL);
		waitpid(s->child, NULL, 0);
	}
	s->child = 0;
	if (s->map != MAP_FAILED)
		munmap(s->map, s->map_bytes);
	if (s->fd >= 0)
		close(s->fd);
	if (s->opened >= 0)
		close(s->opened);
	for (int i = 0; i < 2; i++)
		if (s->pipe[i] >= 0)
			close(s->pipe[i]);
	s->map = MAP_FAILED;
	s->fd = s->opened = s->pipe[0] = s->pipe[1] = -1;
}

/* What an operation may answer when memory is short. Some of the core's calls say EAGAIN or EFAULT. */
static bool is_clean_error(int error)
{
	return error == ENOMEM || error == EAGAIN || error == ENOSPC || error == EFAULT ||
	       error == ENFILE;
}

FIXTURE(failnth)
{
	struct scene scene;
};

FIXTURE_VARIANT(failnth)
{
	step_fn prepare;
	step_fn run;
	unsigned int min_points;
};

#define OPERATION(name, prepare_fn, run_fn, points)			\
	FIXTURE_VARIANT_ADD(failnth, name) {				\
		.prepare = prepare_fn, .run = run_fn, .min_points = points }

/*
 * The last column is the fewest allocations that the operation must have met. 0: it meets none at all. Counters
 * and the walk over spaces copy to the stack, and what is asked for ahead is allocated by a thread. Of a fork it only says
 * that there are some: how many of them are the module's is told by failfork.c.
 */
OPERATION(open, NULL, run_open, 2);
OPERATION(create, NULL, run_create, 4);
OPERATION(reserve, prepare_space, run_reserve, 2);
OPERATION(reserve_from_nothing, prepare_dry, run_reserve, 2 + OP_SLOTS);
OPERATION(reserve_contig, prepare_dry, run_contig, 2 + OP_SLOTS);
OPERATION(reserve_kept, prepare_kept, run_reserve, 1);
OPERATION(reserve_part_of_kept, prepare_kept, run_reserve_middle, 1);
OPERATION(mmap, prepare_dry, run_mmap, 3 + OP_SLOTS);
OPERATION(touch, prepare_mapped, run_touch, 1);
OPERATION(touch_that_takes, prepare_on_touch, run_touch, 2);
OPERATION(keep, prepare_touched, run_keep, 1);
OPERATION(keep_middle, prepare_touched, run_keep_middle, 1);
OPERATION(zap, prepare_touched, run_zap, 1);
OPERATION(zap_middle_of_kept, prepare_kept, run_zap_middle, 1);
OPERATION(punch_hole, prepare_touched, run_punch, 1);
OPERATION(split, prepare_touched, run_split, 1);
OPERATION(unmap_page, prepare_touched, run_unmap_page, 1);
OPERATION(move, prepare_touched, run_move, 1);
OPERATION(fork, prepare_touched, run_fork, 10);
OPERATION(fork_share, prepare_share, run_fork_inherited, 10);
OPERATION(fork_cow, prepare_cow, run_fork_inherited, 10);
OPERATION(fork_with_a_reference, prepare_piped, run_fork_inherited, 11);
OPERATION(write_after_fork, prepare_forked, run_write_inherited, OP_SLOTS);
OPERATION(populate, prepare_mapped, run_populate, 1);
OPERATION(populate_after_fork, prepare_forked, run_populate, OP_SLOTS);
OPERATION(reserve_ahead, prepare_dry, run_ahead, 0);
OPERATION(notice, prepare_space, run_notice, 2);
OPERATION(uring, prepare_ring, run_uring, 2 + OP_SLOTS);
OPERATION(uring_batch, prepare_ring, run_uring_batch, 2 + OP_SLOTS + 2);
OPERATION(stat, NULL, run_stat, 0);
OPERATION(space, prepare_space, run_space, 0);
OPERATION(trim, prepare_kept, run_trim, 1);
OPERATION(fdinfo, prepare_space, run_fdinfo, 1);
OPERATION(close, prepare_kept, run_close, 1);

void failnth_setup(struct __test_metadata *_metadata, FIXTURE_DATA(failnth) *self,
		   const FIXTURE_VARIANT(failnth) *variant);
void failnth_teardown(struct __test_metadata *_metadata, FIXTURE_DATA(failnth) *self,
		      const FIXTURE_VARIANT(failnth) *variant);

FIXTURE_SETUP(failnth)
{
	struct scene *s = &self->scene;

	fault_catch();
	s->map = MAP_FAILED;
	s->fd = s->opened = s->pipe[0] = s->pipe[1] = -1;
	s->dev = open(DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, s->dev);
	s->fail_fd = s->own_fail_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, s->own_fail_fd);
	s->ring.ring_fd = -1;
	s->keeper_fd = space_create(s->dev, KEEPER_SLOTS);
	ASSERT_LE(0, s->keeper_fd);
	s->keeper = space_map(s->keeper_fd, 0, KEEPER_SLOTS);
	ASSERT_NE(MAP_FAILED, s->keeper);
	fill(s->keeper, KEEPER_SLOTS * CHUNK_BYTES, KEEPER_WORD);
}

FIXTURE_TEARDOWN(failnth)
{
}

/* Returns the number of allocations that the operation met, each of which has failed once. */
TEST_F_TIMEOUT(failnth, every_allocation, ATTEMPTS_S)
{
	struct scene *s = &self->scene;
	unsigned int nth = 0;
	bool hit = true;
	int error;

	while (hit && nth < MAX_POINTS) {
		nth++;
		error = variant->prepare ? variant->prepare(s) : 0;
		ASSERT_EQ(0, error) TH_LOG("prepare: %s", strerror(error));
		fail_set(s->fail_fd, nth);
		error = variant->run(s);
		hit = !fail_end(s->fail_fd);
		if (error && hit) {
			EXPECT_TRUE(is_clean_error(error)) TH_LOG("point %u: %s", nth, strerror(error));
			error = variant->run(s);
		}
		EXPECT_EQ(0, error) TH_LOG("point %u, without a failure: %s", nth, strerror(error));
		scene_clear(s);
		EXPECT_TRUE(handed_settles(s->dev, KEEPER_SLOTS)) TH_LOG("point %u", nth);
		EXPECT_TRUE(stat_settles(s->dev)) TH_LOG("point %u", nth);
	}
	EXPECT_FALSE(hit);
	EXPECT_LE(variant->min_points, nth - 1);
	if (!variant->min_points)
		EXPECT_EQ(0, nth - 1);
	EXPECT_TRUE(all_words(s->keeper, KEEPER_SLOTS * CHUNK_BYTES, KEEPER_WORD));
	printf("# %u allocations failed\n", nth - 1);
}

int run_all(int argc, char **argv);
#define main run_all
TEST_HARNESS_MAIN
#undef main

int main(int argc, char **argv)
{
	return fail_main(argc, argv, run_all);
}
