# SPDX-License-Identifier: MIT
# make install DESTDIR= PREFIX=/usr: everything to where Debian puts it. Nothing is built as root that
# was not asked for: what is missing in the build folder is built first, as for plain `make`.

PREFIX ?= /usr
INSTALL ?= install
# Asked of the compiler when it is needed, so that a machine without one can read this file.
MULTIARCH = $(shell $(CC) -print-multiarch 2>/dev/null)
LIBDIR ?= $(PREFIX)/lib/$(MULTIARCH)
SYSTEMD_DIR ?= /lib/systemd/system
UDEV_DIR ?= /lib/udev/rules.d
SYSUSERS_DIR ?= /usr/lib/sysusers.d
MODULE_SRC = $(PREFIX)/src/arena-$(VERSION)

INSTALL_HEADERS = $(wildcard libarena/include/arena/*.h)
INSTALL_MAN = $(wildcard doc/man/*.[1-8] daemon/*.[1-8] bench/*.[1-8])
# What the module is built from, its KUnit suites included: Kbuild links them where the kernel has KUnit.
INSTALL_MODULE = Kbuild $(wildcard kmod/*.c kmod/*.h kmod/test/*.c kmod/test/*.h kmod/uapi/*.h)
# Filled-in copies of the templates; the folder is named by version so that none is ever stale.
PKG_B = $(B)/packaging-$(VERSION)

$(B)/packaging-$(VERSION)/dkms.conf: packaging/dkms.conf.in
	@mkdir -p $(@D)
	sed 's|@VERSION@|$(VERSION)|g' $< >$@

# The prefix may differ from one call to the next: always written anew.
.PHONY: libarena.pc
libarena.pc: packaging/libarena.pc.in
	@mkdir -p $(PKG_B)
	@sed 's|@VERSION@|$(VERSION)|g; s|@PREFIX@|$(PREFIX)|g; s|@LIBDIR@|$(patsubst %/,%,$(LIBDIR))|g' $< >$(PKG_B)/$@

D = $(DESTDIR)
put = $(INSTALL) -D -m $(1) $(2) $(D)$(3)

## install: put all of it to where Debian puts it (DESTDIR=, PREFIX=/usr)
.PHONY: install
install: all libarena.pc $(B)/packaging-$(VERSION)/dkms.conf
	for h in $(INSTALL_HEADERS); do $(call put,644,$$h,$(PREFIX)/include/arena/$${h##*/}) || exit 1; done
	$(call put,644,kmod/uapi/arena.h,$(PREFIX)/include/arena/uapi.h)
	$(call put,644,$(B)/libarena.so.0,$(LIBDIR)/libarena.so.$(VERSION))
	ln -sf libarena.so.$(VERSION) $(D)$(LIBDIR)/libarena.so.0
	ln -sf libarena.so.0 $(D)$(LIBDIR)/libarena.so
	$(call put,644,$(B)/libarena-malloc.so,$(LIBDIR)/libarena-malloc.so)
	$(call put,644,$(B)/libarena-trace.so,$(LIBDIR)/libarena-trace.so)
	$(call put,644,$(B)/libarena.a,$(LIBDIR)/libarena.a)
	$(call put,644,$(PKG_B)/libarena.pc,$(LIBDIR)/pkgconfig/libarena.pc)
	$(call put,755,$(B)/arenactl,$(PREFIX)/bin/arenactl)
	$(call put,755,$(B)/arena-bench,$(PREFIX)/bin/arena-bench)
	$(call put,755,$(B)/arena-bench-malloc,$(PREFIX)/bin/arena-bench-malloc)
	$(call put,755,$(B)/arena-bench-pages,$(PREFIX)/bin/arena-bench-pages)
	for r in $(GC_DRIVERS); do $(call put,755,$(B)/arena-bench-gc-$$r,$(PREFIX)/bin/arena-bench-gc-$$r) || exit 1; done
	$(call put,755,$(B)/arenad,$(PREFIX)/sbin/arenad)
	for f in $(INSTALL_MODULE); do $(call put,644,$$f,$(MODULE_SRC)/$$f) || exit 1; done
	$(call put,644,$(PKG_B)/dkms.conf,$(MODULE_SRC)/dkms.conf)
	$(call put,644,LICENSES/GPL-2.0-only.txt,$(MODULE_SRC)/COPYING)
	$(call put,644,packaging/60-arena.rules,$(UDEV_DIR)/60-arena.rules)
	$(call put,644,packaging/arenad.service,$(SYSTEMD_DIR)/arenad.service)
	$(call put,644,packaging/arena.sysusers,$(SYSUSERS_DIR)/arena.conf)
	for m in $(INSTALL_MAN); do $(call put,644,$$m,$(PREFIX)/share/man/man$${m##*.}/$${m##*/}) || exit 1; done
	@[ -n "$(D)" ] || ! command -v ldconfig >/dev/null || [ "$$(id -u)" != 0 ] || ldconfig

## uninstall: remove what install put there (same DESTDIR and PREFIX)
.PHONY: uninstall
uninstall:
	rm -rf $(D)$(PREFIX)/include/arena $(D)$(MODULE_SRC)
	rm -f $(D)$(LIBDIR)/libarena.so $(D)$(LIBDIR)/libarena.so.0 $(D)$(LIBDIR)/libarena.so.$(VERSION)
	rm -f $(D)$(LIBDIR)/libarena-malloc.so $(D)$(LIBDIR)/libarena-trace.so $(D)$(LIBDIR)/libarena.a $(D)$(LIBDIR)/pkgconfig/libarena.pc
	rm -f $(D)$(PREFIX)/bin/arenactl $(D)$(PREFIX)/bin/arena-bench $(D)$(PREFIX)/bin/arena-bench-malloc $(D)$(PREFIX)/bin/arena-bench-pages $(D)$(PREFIX)/bin/arena-bench-gc-* $(D)$(PREFIX)/sbin/arenad
	rm -f $(D)$(UDEV_DIR)/60-arena.rules $(D)$(SYSTEMD_DIR)/arenad.service $(D)$(SYSUSERS_DIR)/arena.conf
	for m in $(INSTALL_MAN); do rm -f $(D)$(PREFIX)/share/man/man$${m##*.}/$${m##*/}; done
