# SPDX-License-Identifier: MIT
# libarena.a and libarena.so.0. The archive holds one object whose hidden symbols are local, so that a program that is linked
# statically meets no names but arena_*; tests of the inside are linked with libarena-internal.a.
# SAN=address,undefined or SAN=thread builds everything with a sanitizer (use another B for it); DEBUG=1 checks the order of locks,
# VERIFY=1 looks after the objects of heaps (checked.c), BREAK=N leaves out a step of the collector's (gc/collected.h).

ifdef SAN
CFLAGS += -fsanitize=$(SAN) -fno-sanitize-recover=all
LDFLAGS += -fsanitize=$(SAN)
# The collector looks for roots where a stack is. Clang from 15 on puts local variables elsewhere unless it is told not to; the compilers spell that differently.
ifneq ($(findstring address,$(SAN)),)
CFLAGS += $(if $(findstring clang,$(shell $(CC) --version)),-fsanitize-address-use-after-return=never,--param=asan-use-after-return=0)
endif
endif
ifdef VERIFY
CPPFLAGS += -DARENA_VERIFY
endif
ifdef BREAK
CPPFLAGS += -DARENA_GC_BREAK=$(BREAK)
endif
ifdef DEBUG
CPPFLAGS += -DARENA_DEBUG
endif

LIBARENA_C := $(wildcard libarena/*.c libarena/gc/*.c)
LIBARENA_O := $(LIBARENA_C:%.c=$(B)/%.o)
LIBARENA_PIC_O := $(LIBARENA_C:%.c=$(B)/pic/%.o)
LIBARENA_FLAGS := -fvisibility=hidden
SECTIONS := -ffunction-sections -fdata-sections

## lib: libarena.a, libarena.so.0, libarena-malloc.so and libarena-trace.so
lib: $(B)/libarena.a $(B)/libarena.so.0 $(B)/libarena-malloc.so $(B)/libarena-trace.so

# Code for the format of profiles, made from its description. Nobody who links with us sees its names.
PROFILE_GEN := $(B)/libarena/gen
PROFILE_C := $(PROFILE_GEN)/profile.pb-c.c
# Both as archives: a malloc replacement must not load libraries that a program did not ask for.
PROFILE_LIBS := -l:libprotobuf-c.a -l:libz.a

$(PROFILE_C): libarena/profile.proto
	@mkdir -p $(@D)
	protoc-c -I libarena --c_out=$(@D) profile.proto

# Generated code is not ours to warn about.
$(PROFILE_C:.c=.o): $(PROFILE_C)
	$(CC) $(CPPFLAGS) $(filter-out -W%,$(CFLAGS)) -w $(LIBARENA_FLAGS) -fPIC -c -o $@ $<

$(B)/libarena/pprof.o $(B)/pic/libarena/pprof.o: CPPFLAGS += -isystem $(PROFILE_GEN)
$(B)/libarena/pprof.o $(B)/pic/libarena/pprof.o: $(PROFILE_C)

# Files of a folder name those above it, and their own by the folder.
$(LIBARENA_O) $(LIBARENA_PIC_O): CPPFLAGS += -Ilibarena

$(B)/libarena/%.o: libarena/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LIBARENA_FLAGS) $(DEPFLAGS) -c -o $@ $<

# Each function in a section of its own: the malloc replacement picks its own.
$(B)/pic/libarena/%.o: libarena/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LIBARENA_FLAGS) $(SECTIONS) -fPIC $(DEPFLAGS) -c -o $@ $<

$(B)/libarena-internal.a: $(LIBARENA_O) $(PROFILE_C:.c=.o)
	rm -f $@
	$(AR) rcs $@ $^

OBJCOPY ?= objcopy
# Sanitizers tie their tables to sections in ways that do not survive the joining of objects.
ifdef SAN
LIBARENA_A_O := $(LIBARENA_O) $(PROFILE_C:.c=.o)
else
LIBARENA_A_O := $(B)/libarena.o $(B)/libarena-pprof.o
endif

# Who writes profiles apart from the rest: other programs then need neither protobuf-c nor zlib.
$(B)/libarena.o: $(filter-out %/pprof.o,$(LIBARENA_O))
$(B)/libarena-pprof.o: $(B)/libarena/pprof.o $(PROFILE_C:.c=.o)
$(B)/libarena.o $(B)/libarena-pprof.o:
	$(CC) -r -nostdlib -o $@ $^
	$(OBJCOPY) --localize-hidden $@

$(B)/libarena.a: $(LIBARENA_A_O)
	rm -f $@
	$(AR) rcs $@ $^

# nodelete: the handler of faults, the handlers of fork() and the daemon's thread outlive a dlclose().
$(B)/libarena.so.0: $(LIBARENA_PIC_O) $(PROFILE_C:.c=.o) libarena/libarena.map
	$(CC) -shared $(LDFLAGS) -Wl,-soname,libarena.so.0 -Wl,--version-script=libarena/libarena.map \
		-Wl,-z,defs -Wl,-z,relro,-z,now -Wl,-z,nodelete -o $@ $(LIBARENA_PIC_O) $(PROFILE_C:.c=.o) \
		$(PROFILE_LIBS) -pthread
	ln -sf libarena.so.0 $(B)/libarena.so

# The malloc replacement. -fno-builtin: a malloc() and memset() must not become a call of calloc() inside calloc(). The library's own
# calls of malloc() are its own malloc() here. initfirst: its handlers of fork() come before those of all libraries, which may allocate. Nobody can call
# the collector or arenas in it, so that they are left out.
SHIM_O := $(patsubst %.c,$(B)/pic/%.o,$(wildcard libarena/shim/*.c))
TRACE_O := $(patsubst %.c,$(B)/pic/%.o,$(wildcard libarena/trace/*.c))

$(SHIM_O) $(TRACE_O): $(B)/pic/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -Ilibarena $(CFLAGS) $(LIBARENA_FLAGS) $(SECTIONS) -fno-builtin -fomit-frame-pointer -fPIC $(DEPFLAGS) -c -o $@ $<

# Who reports undefined behavior allocates, from what has just failed: a trap ends the program instead.
ifeq ($(SAN),undefined)
$(SHIM_O) $(LIBARENA_PIC_O): CFLAGS += -fsanitize-undefined-trap-on-error
endif

SHIM_LDFLAGS := -Wl,-soname,libarena-malloc.so -Wl,--version-script=libarena/shim/shim.map -Wl,-z,defs -Wl,-z,relro,-z,now -Wl,-z,nodelete -Wl,-z,initfirst \
	-Wl,--gc-sections

# What every program runs lies together (first.awk). The kernel maps the 15 pages beside each that is touched, so that scattered functions take twice the
# memory. tests/malloc/small.sh counts it.
SHIM_FIRST := $(B)/libarena/gen/first.ld
$(SHIM_FIRST): libarena/shim/first libarena/shim/first.awk
	@mkdir -p $(@D)
	$(CC) -shared -Wl,-z,relro,-z,now,--verbose -o $(@D)/empty.so 2>/dev/null | awk -f libarena/shim/first.awk libarena/shim/first - >$@ || \
		{ rm -f $@; echo 'the linker is not one that prints its script: GNU ld does' >&2; exit 1; }

$(B)/libarena-malloc.so: $(SHIM_O) $(LIBARENA_PIC_O) $(PROFILE_C:.c=.o) libarena/shim/shim.map libarena/shim/shim.ld $(SHIM_FIRST)
	$(CC) -shared $(LDFLAGS) $(SHIM_LDFLAGS) -Wl,-T,libarena/shim/shim.ld,-T,$(SHIM_FIRST) -o $@ $(filter %.o,$^) $(PROFILE_LIBS) -pthread -ldl

# What writes down the calls of any malloc(). It has nothing of the allocator in it.
$(B)/libarena-trace.so: $(TRACE_O) $(B)/pic/libarena/panic.o libarena/trace/trace.map
	$(CC) -shared $(LDFLAGS) -Wl,-soname,libarena-trace.so -Wl,--version-script=libarena/trace/trace.map \
		-Wl,-z,defs -Wl,-z,relro,-z,now -Wl,-z,nodelete -o $@ $(TRACE_O) $(B)/pic/libarena/panic.o -pthread -ldl
