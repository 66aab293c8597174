# SPDX-License-Identifier: MIT
# arenad, the daemon, and arenactl, its tool. liburing is the only library beyond libc.

DAEMON_COMMON := daemon/module.c daemon/pressure.c
ARENAD_SRC := daemon/arenad.c daemon/budget.c daemon/client.c daemon/config.c daemon/log.c daemon/loop.c \
	daemon/policy.c daemon/privilege.c daemon/steer.c $(DAEMON_COMMON)
ARENACTL_SRC := daemon/arenactl.c daemon/link.c daemon/view.c daemon/show_text.c daemon/show_json.c $(DAEMON_COMMON)

## daemon: arenad and arenactl
daemon: $(B)/arenad $(B)/arenactl

$(B)/arenad: $(ARENAD_SRC:%.c=$(B)/%.o)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -luring

$(B)/arenactl: $(ARENACTL_SRC:%.c=$(B)/%.o)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^
