// SPDX-License-Identifier: MIT
/*
 * Pressure from outside: Base64, each kind of file that MEMORY_PRESSURE_WATCH may name, and that none of the program's descriptors is touched. The
 * module's notice needs the module, and root to make the system want memory.
 */
#include "pressure.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arena/heap.h"
#include "heap.h"
#include "kmod/uapi/arena.h"
#include "os.h"
#include "pace.h"
#include "tests/harness.h"

/* ---------------------------------------------------------------- Base64 */

static void encode(const unsigned char *data, size_t nr, char *text)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < nr; i += 3) {
		unsigned int left = (unsigned int)(nr - i), bits = (unsigned int)data[i] << 16;

		bits |= left > 1 ? (unsigned int)data[i + 1] << 8 : 0;
		bits |= left > 2 ? data[i + 2] : 0;
		for (unsigned int k = 0; k < 4; k++)
			*text++ = k <= left ? digits[bits >> (18 - 6 * k) & 63] : '=';
	}
	*text = 0;
}

TEST(base64, "pressure/Base64 of every length to 64, and what is none")
{
	static const char *const wrong[] = { "A", "AA", "AAA", "A===", "====", "AB=A", "AA==AAAA", "A A=", "AA-_", "AB==", "AAB=", "=AAA", "A=AA" };
	struct random random = { .state = harness_seed() };
	unsigned char data[64], got[64];
	char text[100];

	for (int nr = 0; nr <= 64; nr++)
		for (int round = 0; round < 20; round++) {
			for (int i = 0; i < nr; i++)
				data[i] = (unsigned char)random_next(&random);
			encode(data, (size_t)nr, text);
			CHECK_EQ(pressure_decode(text, got, nr), nr);
			CHECK(!memcmp(data, got, (size_t)nr));
			CHECK(!nr || pressure_decode(text, got, nr - 1) == -1);
		}
	CHECK_EQ(pressure_decode("c29tZSAyMDAwMDAgMjAwMDAwMAA=", got, 64), 20);
	CHECK(!memcmp(got, "some 200000 2000000", 20));
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		CHECK_EQ(pressure_decode(wrong[i], got, 64), -1);
}

/* ---------------------------------------------------------------- files */

#define PATIENCE_SECONDS 60
/* "hello" and a zero byte. */
#define WRITE_TEXT "aGVsbG8A"

static struct arena_heap *heap;
static enum arena_source source_used = ARENA_SOURCE_THP;
static char folder[] = "/tmp/arena-pressure-XXXXXX";
static char path[sizeof(folder) + 10];

static void watch(const char *data)
{
	CHECK(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/watch", folder);
	setenv("MEMORY_PRESSURE_WATCH", path, 1);
	if (data)
		setenv("MEMORY_PRESSURE_WRITE", data, 1);
}

static void clean_up(void)
{
	unlink(path);
	rmdir(folder);
}

static uint64_t idle(void)
{
	struct arena_heap_stats stats;

	arena_heap_stats(heap, &stats);
	CHECK_EQ(stats.handed_chunks, stats.mapped_chunks + stats.idle_chunks + stats.returned_chunks);
	return stats.idle_chunks;
}

/* Of arenas of pages. */
static uint64_t cached(void)
{
	struct arena_memory memory;

	arena_memory(&memory);
	return memory.source[ARENA_SOURCE_PAGES].cached_chunks;
}

static bool becomes(uint64_t (*number)(void), uint64_t chunks)
{
	double end = harness_seconds() + PATIENCE_SECONDS;

	while (number() != chunks && harness_seconds() < end)
		os_sleep_ns(1000000);
	return number() == chunks;
}

static bool idle_becomes(uint64_t chunks)
{
	return becomes(idle, chunks);
}

/* A heap that has grown to where it has its thread, and is empty again: by itself it keeps two chunks. */
static void grow_and_empty(void)
{
	void *objects[20];

	heap = arena_heap_create(&(struct arena_heap_options){ .source = source_used });
	CHECK(heap);
	/* The first chunk is of ordinary pages, which nobody keeps: it stays in use. */
	CHECK(arena_heap_alloc(heap, 100));
	for (size_t i = 0; i < ARRAY_LEN(objects); i++)
		CHECK((objects[i] = arena_heap_alloc(heap, 2 * MiB)));
	for (size_t i = 0; i < ARRAY_LEN(objects); i++)
		arena_heap_free(objects[i]);
	CHECK(idle_becomes(PACE_KEEP_CHUNKS));
}

/* Again, without a thread to be made. A page of room: a checked object has a red zone. */
static void fill_up_again(void)
{
	arena_heap_free(arena_heap_alloc(heap, PACE_KEEP_CHUNKS * 2 * MiB - PAGE_BYTES));
	CHECK_EQ(idle(), PACE_KEEP_CHUNKS);
}

static size_t entries(const char *name)
{
	DIR *dir = opendir(name);
	size_t nr = 0;

	CHECK(dir);
	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr;
}

TEST(fifo, "pressure/a FIFO: at each notice all that is idle goes back, arenas' memory included")
{
	int fd;

	watch(NULL);
	CHECK(!mkfifo(path, 0600));
	fd = open(path, O_RDWR | O_NONBLOCK);
	CHECK(fd >= 0);
	grow_and_empty();
	for (int round = 0; round < 3; round++) {
		const struct arena_options options = { .source = ARENA_SOURCE_PAGES, .reserve_bytes = 4 * MiB };

		arena_free(arena_new(&options));
		CHECK_EQ(write(fd, "x", 1), 1);
		CHECK(idle_becomes(0));
		/* Arenas' turn is behind that of heaps. */
		CHECK(becomes(cached, 0));
		fill_up_again();
	}
	clean_up();
}

/* The other end of a socket. */
static int serve(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(address.sun_path, path);
	CHECK(!bind(fd, (const struct sockaddr *)&address, sizeof(address)));
	CHECK(!listen(fd, 1));
	return fd;
}

TEST(unix_socket, "pressure/a socket: it is told what to say, and its end is the end of the watch")
{
	char got[16] = "";
	int listener, fd;

	watch(WRITE_TEXT);
	listener = serve();
	grow_and_empty();
	fd = accept(listener, NULL, NULL);
	CHECK_EQ(recv(fd, got, 6, MSG_WAITALL), 6);
	CHECK_STR(got, "hello");
	CHECK_EQ(write(fd, "many bytes", 10), 10);
	CHECK(idle_becomes(0));
	fill_up_again();
	close(fd);
	os_sleep_ns(100000000);
	CHECK_EQ(idle(), PACE_KEEP_CHUNKS);
	clean_up();
}

TEST(regular_file, "pressure/a regular file is told what to say, and never read")
{
	char got[16] = "";
	int fd;

	watch(WRITE_TEXT);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	CHECK(fd >= 0);
	grow_and_empty();
	for (double end = harness_seconds() + PATIENCE_SECONDS; !*got && harness_seconds() < end; os_sleep_ns(1000000))
		CHECK(pread(fd, got, 15, 0) >= 0);
	CHECK_STR(got, "hello");
	CHECK_EQ(idle(), PACE_KEEP_CHUNKS);
	clean_up();
}

static void check_not_watched(const char *name, const char *data)
{
	size_t before = entries("/proc/self/task");

	if (harness_thread_sanitized())
		harness_skip("the thread sanitizer has threads of its own");
	setenv("MEMORY_PRESSURE_WATCH", name, 1);
	setenv("MEMORY_PRESSURE_WRITE", data, 1);
	grow_and_empty();
	os_sleep_ns(20000000);
	CHECK_EQ(entries("/proc/self/task"), before + 1);
}

TEST(dev_null, "pressure/dev null is nothing to watch")
{
	check_not_watched("/dev/null", "");
}

TEST(relative, "pressure/nor is a path that is not absolute")
{
	check_not_watched("watch", "");
}

TEST(nonsense, "pressure/nor anything, when what to say is not Base64")
{
	check_not_watched("/tmp", "1");
}

TEST(missing, "pressure/a file that does not exist does no harm")
{
	setenv("MEMORY_PRESSURE_WATCH", "/nonexistent/file", 1);
	grow_and_empty();
}

TEST(descriptors, "pressure/the program's descriptors are its own: none more, and it may close them all")
{
	size_t before = entries("/proc/self/fd");
	pid_t pid;
	int fd;

	if (harness_thread_sanitized())
		harness_skip("thread sanitizer cannot fork a process with threads");
	watch(NULL);
	CHECK(!mkfifo(path, 0600));
	grow_and_empty();
	CHECK_EQ(entries("/proc/self/fd"), before);
	/* In a child, because the test prints. It has threads of its own, once its heap grows. */
	pid = fork();
	if (!pid) {
		grow_and_empty();
		syscall(SYS_close_range, 0u, ~0u, 0u);
		fd = open(path, O_RDWR | O_NONBLOCK);
		/* One of the two processes reads it. */
		for (int i = 0; i < 10000 && idle(); i++) {
			(void)!write(fd, "x", 1);
			os_sleep_ns(1000000);
		}
		_Exit(fd == 0 && !idle() ? 0 : 1);
	}
	CHECK(waitpid(pid, &fd, 0) == pid);
	CHECK_EQ(fd, 0);
	clean_up();
}

/* ---------------------------------------------------------------- the module */

/* What the scavenger left is offered to the system. */
static uint64_t kept(void)
{
	struct heap *it = (struct heap *)(void *)heap;
	uint64_t nr = 0;

	lock_acquire(&it->lock);
	for (uint32_t chunk = 0; (chunk = bitset_from(&it->pages.idle, chunk)) != BITSET_NONE; chunk++)
		nr += heap_region()->chunks[chunk].is_kept;
	lock_release(&it->lock);
	return nr;
}

static void check_module(int fd, unsigned long request, void *argument)
{
	if (ioctl(fd, request, argument))
		harness_fail(__FILE__, __LINE__, "ioctl: %s", strerror(errno));
}

/* The shrinkers run, without any shortage. Idle chunks of the module's own would do. */
static void want_memory(int device)
{
	struct arena_trim trim = { .size = sizeof(trim), .max_chunks = ~0ull };
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

	check_module(device, ARENA_IOC_TRIM, &trim);
	CHECK(fd >= 0);
	CHECK_EQ(write(fd, "2\n", 2), 2);
	close(fd);
}

TEST_ONE_SOURCE(module, "pressure/idle chunks are kept for the system to take; at its notice all that is idle goes back", ARENA_SOURCE_DEV)
{
	double end = harness_seconds() + PATIENCE_SECONDS;
	int device = open("/dev/arena", O_RDWR | O_CLOEXEC);
	unsigned char *object;

	if (arena_source_check(source))
		harness_skip("no source %s here: %s", arena_source_name(source), strerror(-arena_source_check(source)));
	if (geteuid())
		harness_skip("only root can make the system want memory");
	source_used = source;
	grow_and_empty();
	while (kept() != PACE_KEEP_CHUNKS && harness_seconds() < end)
		os_sleep_ns(1000000);
	CHECK_EQ(kept(), PACE_KEEP_CHUNKS);
	/* What is kept is used again as any idle chunk. */
	object = arena_heap_alloc(heap, 2 * MiB);
	CHECK(object);
	memset(object, 1, 2 * MiB);
	CHECK(kept() < PACE_KEEP_CHUNKS);
	arena_heap_free(object);
	while (idle() && harness_seconds() < end) {
		want_memory(device);
		os_sleep_ns(100000000);
	}
	CHECK_EQ(idle(), 0);
	heap_validate((struct heap *)(void *)heap);
}
