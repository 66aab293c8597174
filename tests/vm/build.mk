# SPDX-License-Identifier: MIT
# Test VMs, the module for their kernels, and the kernel's own kind of tests (README.md).

VM_SOURCES := $(wildcard tests/kmod/*.c)
VM_PROGRAMS := $(VM_SOURCES:%.c=$(B)/%)
# Programs that scripts run, named in their .vm files.
VM_HELPERS := $(patsubst %.c,$(B)/%,$(wildcard tests/kmod/helper/*.c))
# What .vm files pack beside these: the malloc replacement, and python3's library.
VM_FILES := $(B)/libarena-malloc.so $(B)/tests/kmod/python-home
VM_SCRIPTS := $(wildcard tests/kmod/*.sh)
# Programs for reports on the module, which are no tests.
DEBUG_PROGRAMS := $(patsubst %.c,$(B)/%,$(wildcard tests/debug/*.c))
# Not on a kernel that checks itself: programs of others, which take longer there than all the rest and ask little of the module, and
# the refusal of a kernel that is locked down, which those cannot be.
VM_STOCK_ONLY := $(patsubst %,tests/kmod/%.sh,malloc_programs malloc_places gc_probes lockdown)
VM_TESTS = $(filter-out $(if $(KIND),$(VM_STOCK_ONLY)),$(VM_SCRIPTS)) $(VM_PROGRAMS)
# Series for `make vm-shell SERIES=6.1`; vm-check and vm-bench use all unless one is named.
SERIES ?=
# Kernel of the VM: Debian's, or one that checks itself (debug, kcsan; tests/vm/build-kernel).
KIND ?=
VM_KIND = $(if $(KIND),--kind $(KIND))

# The harness comes from a package of kernel sources, so its folder is found when it is needed.
$(B)/kselftest:
	@mkdir -p $(@D)
	folder=$$(tests/vm/fetch kselftest) && ln -sfn "$$folder" $@

# Static, because the VM has no libraries. The harness is not ours to keep free of the stricter
# warnings, and its macros expand in these files.
$(VM_PROGRAMS) $(VM_HELPERS) $(DEBUG_PROGRAMS): $(B)/%: %.c | $(B)/kselftest
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -Ikmod/uapi -isystem $(B)/kselftest/arena -isystem $(B)/kselftest \
		-std=gnu11 $(OPT) -Wall -Wextra -Werror -Wundef -Wmissing-prototypes \
		-Wno-missing-field-initializers -Wno-unused-parameter -pthread -static $(DEPFLAGS) -o $@ $< $(VM_LIBS)

$(B)/tests/kmod/python-home: tests/vm/pack-python
	@mkdir -p $(@D)
	tests/vm/pack-python $@
	@touch $@

$(B)/tests/kmod/uring $(B)/tests/kmod/failnth: VM_LIBS = -luring

.PHONY: modules vm-tests vm-check vm-kunit vm-lockstat vm-unit vm-shell vm-bench vm-plot vm-stressor vm-mutants vm-selftest vm-module-lint

## modules: arena.ko for Debian's kernels of both series (SERIES=6.1: only that one)
modules:
	@for series in $(or $(SERIES),6.1 6.12); do tests/vm/module $$series || exit 1; done

## vm-check: kernel tests in VMs on both series, TAP (SERIES=6.1: only that one; KIND=debug: on that kernel)
vm-check: $(VM_PROGRAMS) $(VM_HELPERS) $(VM_FILES) daemon tests
	@tests/vm/run --series $(or $(SERIES),all) $(VM_KIND) --timeout 540 -- $(VM_TESTS)

# The module's daemon is part of the VM tests, because some of them run it.
vm-tests: $(VM_PROGRAMS) $(VM_HELPERS) $(VM_FILES) $(DEBUG_PROGRAMS) daemon tests

## vm-kunit: the module's own tests (kmod/test), in a VM whose kernel has KUnit (KIND=debug, SERIES=6.12)
vm-kunit:
	@module=$$(tests/vm/module --kunit --kind $(or $(KIND),debug) $(or $(SERIES),6.12)) && \
	tests/vm/run --kind $(or $(KIND),debug) --series $(or $(SERIES),6.12) --module $$module \
		--env KUNIT_CASES=$$(cat kmod/test/*_test.c | grep -c 'KUNIT_CASE(') -- tests/debug/kunit.sh

## vm-lockstat: what taking and giving a chunk costs on 1 and 2 processors; with KIND=debug, lock by lock
vm-lockstat: $(DEBUG_PROGRAMS)
	@tests/vm/run --series $(or $(SERIES),6.12) $(VM_KIND) \
		--file $(B)/tests/debug/turnover:/tests/turnover \
		--env MODULE_LOCKS="$$(sed -n -E 's/.*(spin_lock_init|mutex_init|init_rwsem)\((.*)\);/\2/p; \
			s/.*DEFINE_(SPINLOCK|MUTEX)\((.*)\);/\2/p' kmod/*.c | tr -d ' ' | sort -u | tr '\n' ' ')" -- tests/debug/lockstat.sh

# The library's tests of what differs from kernel to kernel, and those that run once for each source of memory.
KERNEL_TESTS := $(patsubst %,$(B)/tests/unit/%,fault fork os)
SOURCE_TESTS = $(filter-out $(KERNEL_TESTS),$(patsubst %.c,$(B)/%,$(shell grep -l '^TEST_.*_SOURCE' tests/unit/*.c)))

## vm-unit: the library's unit tests of kernels and sources in VMs, where all four are to be had (SERIES=6.1: only that one)
vm-unit: tests
	@tests/vm/run --series $(or $(SERIES),all) --timeout 900 --test-timeout 300 --append hugepages=64 -- \
		$(KERNEL_TESTS) $(SOURCE_TESTS:%="% --each-source")

## vm-shell: a shell in a VM with the module and all tests (SERIES=6.1, default 6.12)
vm-shell: $(VM_PROGRAMS)
	@tests/vm/run --series $(or $(SERIES),6.12) $(VM_KIND) --shell -- $(VM_TESTS)

## vm-bench: instructions of faults, reclaim and fork on both series; leaves build/vm-bench.jsonl
vm-bench: bench
	@tests/vm/bench --series $(or $(SERIES),all)

## vm-plot: the last vm-bench as a picture, build/vm-bench.svg
vm-plot:
	@tests/vm/plot

## vm-stressor: random operations of many processes for S seconds (default 120; SEED=N, SERIES=6.1, KIND=debug)
vm-stressor: $(B)/tests/kmod/stressor
	@tests/vm/run --series $(or $(SERIES),all) $(VM_KIND) --test-timeout $$(($(or $(S),120) * 2 + 120)) \
		--timeout $$(($(or $(S),120) * 2 + 300)) -- "$(B)/tests/kmod/stressor --seconds $(or $(S),120)$(if $(SEED), --seed $(SEED))"

## vm-mutants: the stressor finds each promise that a patch of tests/kmod/mutations breaks (SERIES=6.1)
vm-mutants:
	@tests/vm/mutants $(or $(SERIES),6.12)

## vm-selftest: the test VMs notice warnings, panics, hangs, leaks and lies (they boot a bad module)
vm-selftest:
	@tests/vm/selftest

## vm-module-lint: the module and its own tests under sparse and the kernel's extra warnings, both series
vm-module-lint:
	@for series in $(or $(SERIES),6.1 6.12); do tests/vm/module --sparse --w1 --kunit $$series || exit 1; done
