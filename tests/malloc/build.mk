# SPDX-License-Identifier: MIT
# Programs of tests/malloc: linked dynamically and run by the scripts there with LD_PRELOAD, so that they meet the malloc replacement as
# any program does. -fno-builtin: a malloc() without a use must be called all the same.

MALLOC_C := $(patsubst tests/malloc/%.c,$(B)/tests/malloc/%,$(filter-out $(patsubst %,tests/malloc/%.c,plug pairs sites traced fill),$(wildcard tests/malloc/*.c)))
MALLOC_BIN := $(MALLOC_C) $(patsubst %,$(B)/tests/malloc/%,sites new pairs traced fill plug.so)
MALLOC_FLAGS := -fno-builtin

$(MALLOC_C): $(B)/tests/malloc/%: tests/malloc/%.c $(B)/tests/malloc/plug.so $(B)/tests/harness.o $(B)/libarena-internal.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(MALLOC_FLAGS) $(DEPFLAGS) $(LDFLAGS) -o $@ $< $(B)/tests/harness.o $(B)/libarena-internal.a \
		-Wl,--no-as-needed -L$(@D) -l:plug.so -Wl,-rpath,'$$ORIGIN' $(PROFILE_LIBS) -pthread -ldl

$(B)/tests/malloc/plug.so: tests/malloc/plug.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(MALLOC_FLAGS) $(DEPFLAGS) $(LDFLAGS) -shared -fPIC -Wl,-soname,plug.so -o $@ $< -pthread

# No test by itself: instructions.sh counts what it does.
$(B)/tests/malloc/pairs: tests/malloc/pairs.c $(B)/libarena-internal.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(MALLOC_FLAGS) $(DEPFLAGS) $(LDFLAGS) -o $@ $< $(B)/libarena-internal.a $(PROFILE_LIBS) -pthread -ldl

# Nothing of the library or of the harness in these: what they allocate is known.
$(patsubst %,$(B)/tests/malloc/%,sites traced fill): $(B)/%: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(MALLOC_FLAGS) $(DEPFLAGS) $(LDFLAGS) -o $@ $< -pthread

# C has more warnings than C++ knows.
$(B)/tests/malloc/new: tests/malloc/new.cc
	@mkdir -p $(@D)
	$(CXX) $(CPPFLAGS) $(filter-out -std=% -Wstrict-prototypes -Wmissing-prototypes,$(CFLAGS)) -std=c++17 -fno-builtin \
		$(DEPFLAGS) $(LDFLAGS) -o $@ $< -pthread

# The malloc replacement that looks for no misuse, for checks.sh; no program is linked with it, and it is not installed. Only the files that
# looking is in are compiled anew, with the same flags.
UNCHECKED_C := $(shell grep -l SEEKS_MISUSE libarena/*.c) $(wildcard libarena/shim/*.c)
UNCHECKED_O := $(UNCHECKED_C:%.c=$(B)/tests/unchecked/%.o)

$(UNCHECKED_O): CPPFLAGS += -Ilibarena -DARENA_UNCHECKED
$(filter %/shim/%,$(UNCHECKED_O)): CFLAGS += -fno-builtin -fomit-frame-pointer
$(UNCHECKED_O): $(B)/tests/unchecked/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LIBARENA_FLAGS) -fPIC $(DEPFLAGS) -c -o $@ $<

$(B)/tests/unchecked/libarena-malloc.so: $(UNCHECKED_O) $(filter-out $(UNCHECKED_C:%.c=$(B)/pic/%.o),$(SHIM_O) $(LIBARENA_PIC_O)) $(PROFILE_C:.c=.o)
	$(CC) -shared $(LDFLAGS) $(SHIM_LDFLAGS) -o $@ $(filter %.o,$^) $(PROFILE_LIBS) -pthread -ldl

# A sanitizer brings a malloc() of its own.
ifndef SAN
tests: $(MALLOC_BIN) $(B)/tests/unchecked/libarena-malloc.so
endif
