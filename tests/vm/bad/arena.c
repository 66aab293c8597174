// SPDX-License-Identifier: MIT
/*
 * A module that misbehaves on request, so that tests/vm/selftest can see the test VMs notice it.
 *
 * It bears the name of the real one, because that is what tests/vm/init loads and unloads.
 */
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/processor.h>

static char *fault = "none";
module_param(fault, charp, 0444);
MODULE_PARM_DESC(fault, "none, warn, oops, panic, hang or busy");

static void oops(void)
{
	/* In the first page, which is never mapped; volatile, so that the access stays. */
	WRITE_ONCE(*(int *)8, 1);
}

static void hang(void)
{
	for (;;)
		cpu_relax();
}

static int __init bad_init(void)
{
	WARN_ON(!strcmp(fault, "warn"));
	if (!strcmp(fault, "oops"))
		oops();
	if (!strcmp(fault, "panic"))
		panic("asked for");
	if (!strcmp(fault, "hang"))
		hang();
	/* A reference that nobody gives back: the module cannot be unloaded any more. */
	if (!strcmp(fault, "busy"))
		__module_get(THIS_MODULE);
	return 0;
}

static void __exit bad_exit(void)
{
}

module_init(bad_init);
module_exit(bad_exit);
MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Misbehaves on request, to test the test VMs");
