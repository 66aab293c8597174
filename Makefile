# SPDX-License-Identifier: MIT
# The human front door. Kbuild knows the module's objects and nothing else; each folder's
# build.mk knows its own targets. `make help` lists what there is.
#
# Reading this file must work without a compiler: `make deps` is the first thing a newcomer runs.

B ?= build
# `cc` is make's own default and may be anything; a value from the caller wins.
ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(origin CXX),default)
CXX := g++
endif
# One place says the version: the public header.
VERSION := $(shell sed -n 's/^.define ARENA_VERSION_STRING "\(.*\)"/\1/p' libarena/include/arena/arena.h)
ARENA_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/arena
export ARENA_CACHE B CC

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

# Warnings that catch silence (doc/testing.md); tests/lint/flags proves that they are on.
WARN := -Wall -Wextra -Werror -Wundef -Wstrict-prototypes -Wmissing-prototypes -Wconversion \
	-Wsign-conversion -Wimplicit-fallthrough -Wvla -Wshadow -Wpointer-arith -Wwrite-strings -Wformat=2
OPT ?= -O2 -g
CPPFLAGS += -D_GNU_SOURCE -Ilibarena/include -I.
CFLAGS += -std=gnu11 $(OPT) $(WARN) -fno-strict-aliasing -fno-omit-frame-pointer
DEPFLAGS = -MMD -MP -MF $@.d

ALL :=
DEPS_D :=
HELP :=

-include libarena/build.mk
-include daemon/build.mk
-include bench/build.mk
-include examples/build.mk
-include tests/build.mk
-include tests/malloc/build.mk
-include tests/plot/build.mk
-include tests/vm/build.mk
-include packaging/build.mk
-include doc/build.mk

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(CFLAGS_$(subst /,_,$*)) $(DEPFLAGS) -c -o $@ $<

## all: libraries, daemon, tools, benchmarks and examples (default)
.PHONY: all
all: lib daemon bench examples

.PHONY: lib daemon bench examples modules tests
## lib: libarena.a and libarena.so

## deps: install what is missing from Debian packages (elsewhere: print what to install)
.PHONY: deps
deps:
	@scripts/deps

## lint: layers, paths, headers, flags, licenses, layouts, scripts, names, lengths, man pages
.PHONY: lint
lint:
	@tests/run --no-build --only lint/

## check: lint, unit, model, stress and VM tests; the last line counts them (T=substring: only those)
.PHONY: check
check: deps
	@tests/run $(T)

## check-fast: the same without VMs and without the other compiler and the sanitizers
.PHONY: check-fast
check-fast:
	@tests/run --fast $(T)

## check-debug: the kernel tests on a kernel that checks itself, and what else needs its sources (T=substring)
.PHONY: check-debug
check-debug: deps
	@tests/run --debug $(T)

## check-long: the same on the other series and on a kernel that finds data races; long random runs
.PHONY: check-long
check-long: deps
	@tests/run --long $(T)

## clean: remove what was built here (not the cache of kernels)
.PHONY: clean
clean:
	rm -rf $(B) build-clang build-asan build-tsan build-verify build-ubsan build-locks

## help: this list
.PHONY: help
help:
	@cat Makefile */build.mk */*/build.mk 2>/dev/null | sed -n 's/^## \([a-z-]*\): \(.*\)/  \1\t\2/p' | sort -s -u -k 1,1 | expand -t 18

# What a variable is, for scripts: `make -s print-CFLAGS`.
.PHONY: print-%
print-%:
	@echo '$($*)'

-include $(shell find $(B) -type f -name '*.d' 2>/dev/null)
