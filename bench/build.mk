# SPDX-License-Identifier: MIT
# arena-bench: measures what the project claims, beside its peers, in one run.

BENCH_SRC := bench/stat.c bench/report.c bench/json.c bench/bars.c bench/clock.c bench/proc.c bench/dev.c bench/backing.c \
	bench/fault.c bench/reclaim.c bench/reclaim_objects.c bench/fork.c bench/peer.c bench/arena_case.c bench/append.c bench/nodes.c \
	bench/request.c bench/child.c bench/cpus.c bench/micro.c bench/malloc.c bench/malloc_run.c bench/malloc_ratio.c bench/gc.c bench/gc_plot.c bench/gc_ratio.c bench/trace.c bench/mix.c bench/table.c bench/main.c
BENCH_OBJ := $(BENCH_SRC:%.c=$(B)/%.o)

# libarena.a is a real file that libarena/build.mk makes; dlopen finds mimalloc at run time.
$(B)/arena-bench: $(BENCH_OBJ) $(B)/libarena.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lpthread -ldl -lm

## bench: build arena-bench, which measures faults, reclaim, arenas and malloc beside their peers
bench: $(B)/arena-bench $(B)/arena-bench-malloc $(B)/arena-bench-pages $(B)/libarena-malloc.so

# The list is in the program, and how to draw.
$(B)/bench/malloc.o: bench/programs.txt
$(B)/bench/gc_plot.o: bench/gc.gp

# The driver of `arena-bench malloc` has nothing of the library in it, and must not have malloc() linked statically.
DRIVER_OBJ := $(B)/bench/driver.o $(B)/bench/programs_alone.o $(B)/bench/programs_threads.o $(B)/bench/programs_mix.o

# The programs of `arena-bench gc`, compiled for each runtime; those that are not installed are left out, and named when it runs.
GC_SRC := $(addprefix bench/gc/,driver.c batch.c utilization.c cycles.c trees.c splay.c tables.c)
GC_DRIVERS := arena malloc $(if $(shell pkg-config --exists bdw-gc 2>/dev/null && echo yes),boehm)
GC_OBJ = $(GC_SRC:bench/gc/%.c=$(B)/bench/gc/$(1)/%.o)

define gc_rule
$(B)/bench/gc/$(1)/%.o: bench/gc/%.c
	@mkdir -p $$(@D)
	$$(CC) $$(CPPFLAGS) $$(CFLAGS) $$(DEPFLAGS) -c -o $$@ $$<
endef
$(foreach runtime,arena boehm malloc,$(eval $(call gc_rule,$(runtime))))

$(B)/bench/gc/arena/%.o: CPPFLAGS += -DRUNTIME_ARENA
$(B)/bench/gc/boehm/%.o: CPPFLAGS += -DRUNTIME_BOEHM

$(B)/arena-bench-gc-arena: $(call GC_OBJ,arena) $(addprefix $(B)/bench/gc/arena/,on_arena.o stores.o) $(B)/libarena.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lpthread

$(B)/arena-bench-gc-malloc: $(call GC_OBJ,malloc)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lpthread

$(B)/arena-bench-gc-boehm: $(call GC_OBJ,boehm)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lgc -lpthread

# Without a network and without a module: nothing but its own library.
ifneq ($(shell command -v go 2>/dev/null),)
GC_DRIVERS += go
endif
GC_GO := $(wildcard bench/gc/*.go)

$(B)/arena-bench-gc-go: $(GC_GO)
	@mkdir -p $(@D)
	GOCACHE=$(abspath $(B))/go-cache GOPATH=$(abspath $(B))/go-path GO111MODULE=off CGO_ENABLED=0 go build -o $@ $(GC_GO)

bench: $(GC_DRIVERS:%=$(B)/arena-bench-gc-%)

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

# Those of `arena-bench gc`.
$(B)/tests/bench/gc_parts: $(addprefix $(B)/bench/,stat.o json.o bars.o report.o gc_ratio.o proc.o cpus.o gc/malloc/utilization.o gc/malloc/cycles.o) $(B)/tests/bench/gc_parts.o
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lm

$(B)/tests/bench/helper/without_thp: $(B)/tests/bench/helper/without_thp.o
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^

tests: $(B)/tests/bench/harness $(B)/tests/bench/bars $(B)/tests/bench/gc_parts $(B)/tests/bench/helper/without_thp

# malloc misses a bar that it is known to miss (doc/heap.md): with it this fails.
BENCHES ?= pages start idle

## bench-check: measure pages, start and idle (BENCHES="malloc ...") and hold them against their bars; for a quiet machine (build/bench-check.jsonl)
.PHONY: bench-check
bench-check: bench
	@rm -f $(B)/bench-check.jsonl
	@for name in $(BENCHES); do $(B)/arena-bench $$name --json >>$(B)/bench-check.jsonl || exit 1; done
	@$(B)/arena-bench table --check $(B)/bench-check.jsonl
