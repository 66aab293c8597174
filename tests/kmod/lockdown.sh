#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A kernel that is locked down, as under Secure Boot, refuses a module without a signature, and "arenactl status" names the
# cause that insmod does not. Boots without the module (lockdown.vm). Runs in the VM's busybox shell.

# shellcheck source=tests/tap.sh
. "$(dirname "$0")/../tap.sh"

mkdir -p "/lib/modules/$(uname -r)"
echo "updates/dkms/arena.ko:" >"/lib/modules/$(uname -r)/modules.dep"
mount -t securityfs securityfs /sys/kernel/security

is_refused() { ! insmod /ko/arena.ko 2>/tmp/insmod.log && grep -q 'not permitted' /tmp/insmod.log; }
names_cause() { arenactl status | tee /tmp/status.log | grep -q '^module .*locked down (Secure Boot)'; }
kernel_says_so() { dmesg | grep -q 'Lockdown: insmod: unsigned module loading is restricted'; }

check "the kernel is locked down" grep -q '\[integrity\]' /sys/kernel/security/lockdown
check "the module is refused" is_refused
check "the kernel's log says why" kernel_says_so
check "arenactl says why" names_cause
sed 's/^/# /' /tmp/status.log
tap_end
