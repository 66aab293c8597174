# SPDX-License-Identifier: MIT
# Programs of tests/unit, tests/model and tests/stress: X.c becomes $(B)/tests/KIND/X. They are linked statically, so that the
# same files run in virtual machines; sanitizers need their shared runtime.

TEST_KINDS := unit model stress
TEST_SRC := $(foreach kind,$(TEST_KINDS),$(wildcard tests/$(kind)/*.c))
TEST_BIN := $(TEST_SRC:%.c=$(B)/%)
ifndef SAN
TEST_LDFLAGS := -static
endif

$(TEST_BIN): %: %.o $(B)/tests/harness.o $(B)/libarena-internal.a
	$(CC) $(CFLAGS) $(TEST_LDFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(PROFILE_LIBS) -pthread

# A stress of more than one file.
STRESS_PARTS := $(wildcard tests/stress/parts/*.c)
$(B)/tests/stress/gc: $(STRESS_PARTS:%.c=$(B)/%.o)

$(TEST_BIN:%=%.o) $(STRESS_PARTS:%.c=$(B)/%.o) $(B)/tests/harness.o: CPPFLAGS += -Ilibarena

# The doors to memory, which its heaps find closed; and no thread that gives back by time: each run is to make the same requests.
$(B)/tests/unit/refused: LDFLAGS += $(foreach door,os_open os_close os_drop os_open_table os_table os_reserve_table os_map_part os_map_hugetlb scavenger_start,-Wl,--wrap=$(door))
$(B)/tests/unit/gc_refused: LDFLAGS += $(foreach door,os_open os_open_table os_table os_reserve_table thread_start,-Wl,--wrap=$(door))
# A store that stops in the middle.
$(B)/tests/unit/gc_barrier: LDFLAGS += -Wl,--wrap=arena_gc_shade_
$(B)/tests/break/gc_barrier-%: LDFLAGS += -Wl,--wrap=arena_gc_shade_
# The programs of `arena-bench gc`, as its driver has them.
$(B)/tests/unit/gc_programs: $(addprefix $(B)/bench/gc/arena/,trees.o splay.o tables.o)
# Reads what was written.
$(B)/tests/unit/pprof.o: CPPFLAGS += -isystem $(PROFILE_GEN)
$(B)/tests/unit/pprof.o: $(PROFILE_C)
# The doors to the device, behind which is a module that the test makes up.
$(B)/tests/unit/dev: LDFLAGS += -Wl,--wrap=syscall -Wl,--wrap=ioctl

.SECONDARY: $(TEST_BIN:%=%.o)

# The stress of collected heaps on a collector that leaves out a step, and waits here and there (tests/gc/breaks.sh): gc-N is without step N, gc-0 without none.
# Only the files that steps and delays are in are compiled anew, and the stress, which gives each of its threads a seed to wait by.
BREAK_SRC = $(shell grep -l -e gc_does -e gc_delay -e 'gc/barrier\.h' libarena/gc/*.c)
BREAK_STRESS_O := $(patsubst %.c,$(B)/tests/break/%.o,tests/stress/gc.c $(STRESS_PARTS))
link_broken = $(CC) $(CPPFLAGS) -Ilibarena -DARENA_GC_BREAK=$* $(CFLAGS) -O1 -g0 $(TEST_LDFLAGS) $(LDFLAGS) -o $@ $(1) $(filter %.o %.a,$^) $(PROFILE_LIBS) -pthread

$(BREAK_STRESS_O): $(B)/tests/break/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -Ilibarena -DARENA_GC_DELAYS $(CFLAGS) $(DEPFLAGS) -c -o $@ $<

.SECONDARY: $(BREAK_STRESS_O)

$(B)/tests/break/gc-%: $(BREAK_STRESS_O) $(B)/tests/harness.o $(B)/libarena-internal.a $(wildcard libarena/gc/*.[ch])
	@mkdir -p $(@D)
	$(call link_broken,-DARENA_GC_DELAYS $(BREAK_SRC))

# The same of tests that lead to where the stress does not come: gc_arena-10, gc_barrier-4. The steps that they are about are in fewer files.
$(B)/tests/break/gc_arena-%: $(B)/tests/unit/gc_arena.o $(B)/tests/harness.o $(B)/libarena-internal.a $(wildcard libarena/gc/*.[ch])
	@mkdir -p $(@D)
	$(call link_broken,$(shell grep -l gc_does libarena/gc/*.c))

$(B)/tests/break/gc_barrier-%: $(B)/tests/unit/gc_barrier.o $(B)/tests/harness.o $(B)/libarena-internal.a $(wildcard libarena/gc/*.[ch])
	@mkdir -p $(@D)
	$(call link_broken,$(shell grep -l gc_does libarena/gc/*.c))

## tests: build the test programs
.PHONY: tests unit model stress
tests: $(TEST_BIN)

## unit: build and run the unit tests (make unit T=substring; SAN=address,undefined B=build-asan)
## model: build and run random operations against a naive reference
## stress: build and run many threads at once
unit model stress: %: $(TEST_BIN)
	@status=0; for program in $(filter $(B)/tests/$@/%,$(TEST_BIN)); do $$program || status=1; done; exit $$status

# Programs that the shell tests of tests/unit start: what a program that uses the library is linked with.
UNIT_HELPERS := $(patsubst tests/unit/helper/%.c,$(B)/tests/unit/helper/%,$(wildcard tests/unit/helper/*.c))

$(UNIT_HELPERS): %: %.o $(B)/libarena.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(PROFILE_LIBS) -pthread

# Whose functions the dynamic linker is to know by name.
$(B)/tests/unit/helper/gc_profile: LDFLAGS += -rdynamic

.SECONDARY: $(UNIT_HELPERS:%=%.o)

tests: $(UNIT_HELPERS)
