# SPDX-License-Identifier: MIT
# arena-bench: measures what the project claims, beside its peers, in one run.

BENCH_SRC := bench/stat.c bench/report.c bench/json.c bench/bars.c bench/clock.c bench/proc.c bench/dev.c bench/backing.c \
	bench/fault.c bench/reclaim.c bench/reclaim_objects.c bench/fork.c bench/peer.c bench/arena_case.c bench/append.c bench/nodes.c \
	bench/request.c bench/child.c bench/micro.c bench/malloc.c bench/malloc_run.c bench/malloc_ratio.c bench/trace.c bench/mix.c bench/table.c bench/main.c
BENCH_OBJ := $(BENCH_SRC:%.c=$(B)/%.o)

# libarena.a is a real file that libarena/build.mk makes; dlopen finds mimalloc at run time.
$(B)/arena-bench: $(BENCH_OBJ) $(B)/libarena.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lpthread -ldl -lm

## bench: build arena-bench, which measures faults, reclaim, arenas and malloc beside their peers
bench: $(B)/arena-bench $(B)/arena-bench-malloc $(B)/arena-bench-pages $(B)/libarena-malloc.so

# The list is in the program.
$(B)/bench/malloc.o: bench/programs.txt

# The driver of `arena-bench malloc` has nothing of the library in it, and must not have malloc() linked statically.
DRIVER_OBJ := $(B)/bench/driver.o $(B)/bench/programs_alone.o $(B)/bench/programs_threads.o $(B)/bench/programs_mix.o

# So are the mixes in the driver.
$(B)/bench/programs_mix.o: $(wildcard bench/traces/*.mix)

$(B)/arena-bench-malloc: $(DRIVER_OBJ)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lpthread -ldl

# The page allocator has no public functions: this one is built as the library is, and linked with its inside.
$(B)/bench/pages_driver.o: CPPFLAGS += -Ilibarena

$(B)/arena-bench-pages: $(B)/bench/pages_driver.o $(B)/libarena-internal.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(PROFILE_LIBS) -lpthread

# The pure part of the harness, without the library.
$(B)/tests/bench/harness: $(B)/tests/bench/harness.o $(B)/bench/stat.o $(B)/bench/json.o
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lm

# What results are worth: ratios, bars, and how they are printed.
$(B)/tests/bench/bars: $(addprefix $(B)/bench/,stat.o json.o bars.o report.o malloc_ratio.o proc.o) $(B)/tests/bench/bars.o
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lm

$(B)/tests/bench/helper/without_thp: $(B)/tests/bench/helper/without_thp.o
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^

tests: $(B)/tests/bench/harness $(B)/tests/bench/bars $(B)/tests/bench/helper/without_thp
