# SPDX-License-Identifier: MIT
# The demonstration and the examples. The descriptor set lies beside the program and is named after it.

EXAMPLES_GEN := $(B)/examples/gen
DESCRIPTOR_C := $(EXAMPLES_GEN)/google/protobuf/descriptor.pb-c.c
DEMO_SRC := demo workload request measure parse status pool serve hog sample
DEMO_OBJ := $(DEMO_SRC:%=$(B)/examples/%.o) $(DESCRIPTOR_C:.c=.o)
DEMO_CPPFLAGS := -isystem $(EXAMPLES_GEN)
EXAMPLES := $(B)/arena-demo $(B)/arena-demo.pb $(B)/examples/hello $(B)/examples/last $(B)/examples/structs $(B)/examples/cache $(B)/examples/ingest

# Where the distribution keeps protobuf's own .proto files.
PROTO_ROOT ?= /usr/include
PROTO_FILES = cd $(PROTO_ROOT) && find google/protobuf -name '*.proto' | LC_ALL=C sort

$(DESCRIPTOR_C):
	@mkdir -p $(EXAMPLES_GEN)
	protoc-c -I $(PROTO_ROOT) --c_out=$(EXAMPLES_GEN) google/protobuf/descriptor.proto

# Comments and positions included: more and longer strings than a program usually meets, as editors read them.
$(B)/arena-demo.pb:
	@mkdir -p $(@D)
	protoc -I $(PROTO_ROOT) --include_imports --include_source_info --descriptor_set_out=$@ \
		$$($(PROTO_FILES))

# Generated code is not ours to warn about.
$(DESCRIPTOR_C:.c=.o): $(DESCRIPTOR_C)
	$(CC) $(CPPFLAGS) $(DEMO_CPPFLAGS) $(filter-out -W%,$(CFLAGS)) -w -c -o $@ $<

# The generated header must be there before what includes it is compiled.
$(DEMO_SRC:%=$(B)/examples/%.o): CPPFLAGS += $(DEMO_CPPFLAGS)
$(DEMO_SRC:%=$(B)/examples/%.o): | $(DESCRIPTOR_C)

$(B)/arena-demo: $(DEMO_OBJ) $(B)/libarena.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -ljansson -lprotobuf-c -lpthread

$(B)/examples/hello $(B)/examples/last $(B)/examples/structs $(B)/examples/cache: %: %.o $(B)/libarena.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lpthread

$(B)/examples/ingest: $(B)/examples/ingest.o $(B)/libarena.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lz -lpthread

# One source, two programs. The second one needs nothing of the library but its headers.
ifneq ($(wildcard libarena/include/arena/switch.h),)
EXAMPLES += $(B)/examples/switch-arena $(B)/examples/switch-malloc
endif

$(B)/examples/switch-arena: examples/switch.c $(B)/libarena.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(DEPFLAGS) $(LDFLAGS) -o $@ $< $(B)/libarena.a -lpthread

$(B)/examples/switch-malloc: examples/switch.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -DARENA_USE_MALLOC $(CFLAGS) $(DEPFLAGS) $(LDFLAGS) -o $@ $<

## examples: arena-demo and the short examples
examples: $(EXAMPLES)

## demo: the demonstration on real input: here without a module, then in a VM with it, then under memory pressure
.PHONY: demo
demo: deps
	@$(MAKE) --no-print-directory -s $(B)/arena-demo $(B)/arena-demo.pb $(B)/arenad $(B)/arenactl
	@examples/demo.sh $(DEMO_ARGS)
