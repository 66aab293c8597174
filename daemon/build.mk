# SPDX-License-Identifier: MIT
# arenad, the daemon, and arenactl, its tool. liburing is the only library beyond libc.

DAEMON_COMMON := daemon/module.c daemon/pressure.c
ARENAD_SRC := daemon/arenad.c daemon/budget.c daemon/client.c daemon/config.c daemon/log.c daemon/loop.c \
	daemon/policy.c daemon/privilege.c daemon/steer.c $(DAEMON_COMMON)
ARENACTL_SRC := daemon/arenactl.c daemon/heaps.c daemon/link.c daemon/view.c daemon/show_text.c daemon/show_json.c daemon/why.c \
	daemon/dominators.c daemon/dump.c daemon/objects.c $(DAEMON_COMMON)

## daemon: arenad and arenactl
daemon: $(B)/arenad $(B)/arenactl

$(B)/arenad: $(ARENAD_SRC:%.c=$(B)/%.o)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -luring

$(B)/arenactl: $(ARENACTL_SRC:%.c=$(B)/%.o)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^

# tests/daemon/X.c is a unit test and is linked with all of the daemon but main(), and with what arenactl prints.
DAEMON_TESTS := $(patsubst tests/daemon/%.c,$(B)/tests/daemon/%,$(wildcard tests/daemon/*.c))
# Programs that the shell tests start; those that are processes of the library are linked with it.
DAEMON_HELPERS := $(patsubst tests/daemon/helper/%.c,$(B)/tests/daemon/helper/%,$(wildcard tests/daemon/helper/*.c))

.PHONY: tests
tests: $(DAEMON_TESTS) $(DAEMON_HELPERS)

$(DAEMON_TESTS): $(B)/tests/daemon/%: $(B)/tests/daemon/%.o $(filter-out $(B)/daemon/arenad.o,$(ARENAD_SRC:%.c=$(B)/%.o)) \
		$(B)/daemon/show_text.o $(B)/daemon/why.o $(B)/daemon/dominators.o
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -luring

$(DAEMON_HELPERS): $(B)/tests/daemon/helper/%: $(B)/tests/daemon/helper/%.o $(B)/libarena.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -pthread -o $@ $^
