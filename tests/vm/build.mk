# SPDX-License-Identifier: MIT
# Test VMs, the module for their kernels, and the kernel's own kind of tests (README.md).

VM_SOURCES := $(wildcard tests/kmod/*.c)
VM_PROGRAMS := $(VM_SOURCES:%.c=$(B)/%)
VM_SCRIPTS := $(wildcard tests/kmod/*.sh)
VM_TESTS = $(VM_SCRIPTS) $(VM_PROGRAMS)
# Series for `make vm-shell SERIES=6.1`; vm-check and vm-bench use all unless one is named.
SERIES ?=

# The harness comes from a package of kernel sources, so its folder is found when it is needed.
$(B)/kselftest:
	@mkdir -p $(@D)
	folder=$$(tests/vm/fetch kselftest) && ln -sfn "$$folder" $@

# Static, because the VM has no libraries. The harness is not ours to keep free of the stricter
# warnings, and its macros expand in these files.
$(VM_PROGRAMS): $(B)/tests/kmod/%: tests/kmod/%.c | $(B)/kselftest
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -Ikmod/uapi -isystem $(B)/kselftest/arena -isystem $(B)/kselftest \
		-std=gnu11 $(OPT) -Wall -Wextra -Werror -Wundef -Wmissing-prototypes \
		-Wno-missing-field-initializers -Wno-unused-parameter -pthread -static $(DEPFLAGS) -o $@ $<

.PHONY: modules vm-tests vm-check vm-unit vm-shell vm-bench vm-selftest vm-module-lint

## modules: arena.ko for Debian's kernels of both series (SERIES=6.1: only that one)
modules:
	@for series in $(or $(SERIES),6.1 6.12); do tests/vm/module $$series || exit 1; done

## vm-check: kernel tests in VMs on both series, TAP (SERIES=6.1: only that one)
vm-check: $(VM_PROGRAMS) daemon tests
	@tests/vm/run --series $(or $(SERIES),all) --timeout 540 -- $(VM_TESTS)

## vm-unit: the library's unit tests in VMs, where all four sources are to be had (SERIES=6.1: only that one)
vm-unit: tests
	@tests/vm/run --series $(or $(SERIES),all) --timeout 540 --append hugepages=64 -- \
		$(filter $(B)/tests/unit/%,$(TEST_BIN))

## vm-shell: a shell in a VM with the module and all tests (SERIES=6.1, default 6.12)
vm-shell: $(VM_PROGRAMS)
	@tests/vm/run --series $(or $(SERIES),6.12) --shell -- $(VM_TESTS)

## vm-bench: instructions of faults and reclaim on both series; leaves build/vm-bench.jsonl
vm-bench: bench
	@tests/vm/bench --series $(or $(SERIES),all)

## vm-selftest: the test VMs notice warnings, panics, hangs, leaks and lies (they boot a bad module)
vm-selftest:
	@tests/vm/selftest

## vm-module-lint: the module under sparse and the kernel's extra warnings, both series
vm-module-lint:
	@for series in $(or $(SERIES),6.1 6.12); do tests/vm/module --sparse --w1 $$series || exit 1; done
