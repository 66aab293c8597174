# SPDX-License-Identifier: MIT
# arena-bench: measures what the project claims, beside its peers, in one run.

BENCH_SRC := bench/stat.c bench/report.c bench/json.c bench/clock.c bench/proc.c bench/dev.c bench/backing.c \
	bench/fault.c bench/reclaim.c bench/reclaim_objects.c bench/fork.c bench/peer.c bench/arena_case.c bench/append.c bench/nodes.c \
	bench/request.c bench/table.c bench/main.c
BENCH_OBJ := $(BENCH_SRC:%.c=$(B)/%.o)

# libarena.a is a real file that libarena/build.mk makes; dlopen finds mimalloc at run time.
$(B)/arena-bench: $(BENCH_OBJ) $(B)/libarena.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lpthread -ldl -lm

## bench: build arena-bench, which measures faults, reclaim and arenas beside their peers
bench: $(B)/arena-bench

# The pure part of the harness, without the library.
$(B)/tests/bench/harness: $(B)/tests/bench/harness.o $(B)/bench/stat.o $(B)/bench/json.o
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lm

$(B)/tests/bench/helper/without_thp: $(B)/tests/bench/helper/without_thp.o
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^

tests: $(B)/tests/bench/harness $(B)/tests/bench/helper/without_thp
