// SPDX-License-Identifier: MIT
/*
 * The tracepoints by the system calls that perf and bpftrace make: counted for one process, and seen
 * by a program in the kernel that reads their fields.
 *
 * Needs no tool in the VM: the program is ten instructions, written by hand.
 */
#include "common.h"

#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stddef.h>
#include <sys/uio.h>

#define EVENTS		"/sys/kernel/tracing/events/arena/"
#define EVENT		EVENTS "fault/"
#define TOUCHED		24
#define FIRST_SLOT	5

static long long event_id(const char *event)
{
	char path[128], text[32];

	snprintf(path, sizeof(path), EVENTS "%s/id", event);
	return file_read_text(path, text, sizeof(text)) ? -1 : atoll(text);
}

/* Where the field `slot` lies in the event, as its format says. */
static int slot_offset(void)
{
	char text[4096], *at;
	int offset = -1;

	if (file_read_text(EVENT "format", text, sizeof(text)))
		return -1;
	at = strstr(text, " slot;");
	if (!at || sscanf(at, " slot; offset:%d;", &offset) != 1)
		return -1;
	return offset;
}

static int counter_of(const char *event, pid_t pid, int cpu)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attr),
		.config = (uint64_t)event_id(event),
	};

	return (int)syscall(SYS_perf_event_open, &attr, pid, cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

/* Counts what this thread does, on any processor. */
static int counter_open(void)
{
	return counter_of("fault", 0, -1);
}

static uint64_t counter_read(int counter)
{
	uint64_t count = 0;

	return read(counter, &count, sizeof(count)) == sizeof(count) ? count : UINT64_MAX;
}

/* Whether the touches of a fresh mapping got through; each is one fault. */
static bool touch_all(int fd)
{
	char *map = space_map(fd, FIRST_SLOT, TOUCHED);
	unsigned int failed = 0;

	if (map == MAP_FAILED)
		return false;
	for (size_t i = 0; i < TOUCHED; i++)
		failed += fault_write(map + i * CHUNK_BYTES, 1) != 0;
	/* Mapped by now. */
	for (size_t i = 0; i < TOUCHED; i++)
		failed += fault_write(map + i * CHUNK_BYTES + PAGE_BYTES, 1) != 0;
	return !munmap(map, TOUCHED * CHUNK_BYTES) && !failed;
}

TEST_F(space, perf_counts_exactly_the_faults_of_its_process)
{
	int counter = counter_open();

	fault_catch();
	ASSERT_LE(0, counter) TH_LOG("perf_event_open: %m");
	EXPECT_EQ(0, counter_read(counter));
	EXPECT_EQ(0, IN_CHILD(!touch_all(self->dev)));
	EXPECT_EQ(0, counter_read(counter)) TH_LOG("another process was counted");
	EXPECT_TRUE(touch_all(self->fd));
	EXPECT_EQ(TOUCHED, counter_read(counter));
	EXPECT_EQ(0, ioctl(counter, PERF_EVENT_IOC_DISABLE, 0));
	EXPECT_EQ(0, space_zap(self->fd, 0, SPACE_SLOTS, NULL));
	EXPECT_TRUE(touch_all(self->fd));
	EXPECT_EQ(TOUCHED, counter_read(counter));
	close(counter);
}

/* What was touched comes back dirty, and is zeroed. */
static bool give_touched(int fd)
{
	return touch_all(fd) && !space_zap(fd, 0, SPACE_SLOTS, NULL);
}

static bool leave_in_pipe(int fd)
{
	char *map = space_map(fd, 0, 1);
	struct iovec page = { .iov_base = map, .iov_len = 1 };
	int ends[2];
	bool left;

	if (map == MAP_FAILED || pipe(ends))
		return false;
	map[0] = 1;
	left = vmsplice(ends[1], &page, 1, 0) == 1 && !space_zap(fd, 0, 1, NULL);
	close(ends[0]);
	close(ends[1]);
	return !munmap(map, CHUNK_BYTES) && left;
}

static bool give_idle_back(int fd)
{
	return !space_reserve(fd, 0, 4, NULL) && !space_zap(fd, 0, 4, NULL) &&
	       !module_trim(fd, ~0ULL, 0, NULL);
}

/* The kernel asks for kept chunks; their owners are told. */
static bool press(int fd)
{
	return !space_reserve(fd, 0, 4, NULL) && !space_keep(fd, 0, 4, NULL) &&
	       !file_write_text("/proc/sys/vm/drop_caches", "2\n");
}

static const struct {
	const char *name;
	bool (*act)(int fd);
} events[] = {
	{ "chunk_take", give_touched },	  { "chunk_give", give_touched }, { "reserve", give_touched },
	{ "reclaim", give_touched },	  { "fault", give_touched },	  { "clear", give_touched },
	{ "quarantine", leave_in_pipe },  { "trim", give_idle_back },	  { "pressure", press },
	{ "notice", press },
};

/* On the VM's one processor, because what the module's threads do counts as well. */
TEST_F_TIMEOUT(space, perf_counts_every_event, 100)
{
	fault_catch();
	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		int counter = counter_of(events[i].name, -1, 0);

		ASSERT_LE(0, counter) TH_LOG("%s: %m", events[i].name);
		EXPECT_EQ(0, counter_read(counter)) TH_LOG("%s", events[i].name);
		EXPECT_TRUE(events[i].act(self->fd)) TH_LOG("%s", events[i].name);
		EXPECT_TRUE(WAIT_UNTIL(counter_read(counter), SETTLE_MS)) TH_LOG("%s", events[i].name);
		close(counter);
		ASSERT_EQ(0, space_zap(self->fd, 0, SPACE_SLOTS, NULL));
	}
}

static int bpf(int command, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

/* What the program leaves: how many events it saw, and the slots of all of them added up. */
struct seen {
	uint64_t nr_events;
	uint64_t slots;
};

static int map_open(void)
{
	union bpf_attr attr = { .map_type = BPF_MAP_TYPE_ARRAY, .key_size = sizeof(uint32_t),
				.value_size = sizeof(struct seen), .max_entries = 1 };

	return bpf(BPF_MAP_CREATE, &attr);
}

static bool map_read(int map, struct seen *seen)
{
	uint32_t key = 0;
	union bpf_attr attr = { .map_fd = (uint32_t)map, .key = (uintptr_t)&key,
				.value = (uintptr_t)seen };

	return !bpf(BPF_MAP_LOOKUP_ELEM, &attr);
}

#define INSTRUCTION(op, to, from, at, value) ((struct bpf_insn)			\
	{ .code = (op), .dst_reg = (to), .src_reg = (from), .off = (at), .imm = (value) })
#define LOAD64		(BPF_LDX | BPF_MEM | BPF_DW)
#define STORE32_VALUE	(BPF_ST | BPF_MEM | BPF_W)
#define MOVE		(BPF_ALU64 | BPF_MOV | BPF_X)
#define MOVE_VALUE	(BPF_ALU64 | BPF_MOV | BPF_K)
#define ADD_VALUE	(BPF_ALU64 | BPF_ADD | BPF_K)
#define LOAD_MAP	(BPF_LD | BPF_IMM | BPF_DW)
#define CALL		(BPF_JMP | BPF_CALL)
#define IF_ZERO		(BPF_JMP | BPF_JEQ | BPF_K)
#define ATOMIC_ADD	(BPF_STX | BPF_ATOMIC | BPF_DW)
#define RETURN		(BPF_JMP | BPF_EXIT)

/* seen = map[0]; seen->nr_events += 1; seen->slots += event->slot; return 0 */
static int program_load(int map)
{
	struct bpf_insn code[] = {
		INSTRUCTION(LOAD64, BPF_REG_6, BPF_REG_1, (int16_t)slot_offset(), 0),
		INSTRUCTION(STORE32_VALUE, BPF_REG_10, 0, -4, 0),
		INSTRUCTION(MOVE, BPF_REG_2, BPF_REG_10, 0, 0),
		INSTRUCTION(ADD_VALUE, BPF_REG_2, 0, 0, -4),
		INSTRUCTION(LOAD_MAP, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, map),
		INSTRUCTION(0, 0, 0, 0, 0),
		INSTRUCTION(CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem),
		INSTRUCTION(IF_ZERO, BPF_REG_0, 0, 3, 0),
		INSTRUCTION(MOVE_VALUE, BPF_REG_1, 0, 0, 1),
		INSTRUCTION(ATOMIC_ADD, BPF_REG_0, BPF_REG_1, offsetof(struct seen, nr_events),
			    BPF_ADD),
		INSTRUCTION(ATOMIC_ADD, BPF_REG_0, BPF_REG_6, offsetof(struct seen, slots), BPF_ADD),
		INSTRUCTION(MOVE_VALUE, BPF_REG_0, 0, 0, 0),
		INSTRUCTION(RETURN, 0, 0, 0, 0),
	};
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_TRACEPOINT, .insns = (uintptr_t)code,
				.insn_cnt = ARRAY_SIZE(code), .license = (uintptr_t)"GPL" };

	return bpf(BPF_PROG_LOAD, &attr);
}

TEST_F(space, a_bpf_program_sees_each_fault_and_its_slot)
{
	int counter = counter_open(), map = map_open(), program = program_load(map);
	struct seen seen = { 0 };

	fault_catch();
	ASSERT_LE(0, counter) TH_LOG("perf_event_open: %m");
	ASSERT_LE(0, map) TH_LOG("map: %m");
	ASSERT_LE(0, program) TH_LOG("program: %m");
	ASSERT_EQ(0, ioctl(counter, PERF_EVENT_IOC_SET_BPF, program)) TH_LOG("attach: %m");
	EXPECT_TRUE(touch_all(self->fd));
	ASSERT_TRUE(map_read(map, &seen));
	EXPECT_EQ(TOUCHED, seen.nr_events);
	EXPECT_EQ(TOUCHED * FIRST_SLOT + TOUCHED * (TOUCHED - 1) / 2, seen.slots);
	/* The program answered 0: perf itself need not see them. */
	EXPECT_EQ(0, counter_read(counter));
	close(counter);
	EXPECT_EQ(0, space_zap(self->fd, 0, SPACE_SLOTS, NULL));
	EXPECT_TRUE(touch_all(self->fd));
	ASSERT_TRUE(map_read(map, &seen));
	EXPECT_EQ(TOUCHED, seen.nr_events);
	close(program);
	close(map);
}

TEST_HARNESS_MAIN
