// SPDX-License-Identifier: GPL-2.0-only
/*
 * The list of the module's own tests.
 */
#include <kunit/test.h>

#include "suites.h"

static struct kunit_suite *suites[] = {
	&slot_suite,
	&view_suite,
	&idle_suite,
	&pool_suite,
};

void suites_run(void)
{
	if (__kunit_test_suites_init(suites, ARRAY_SIZE(suites)))
		pr_warn("arena: the KUnit tests did not run\n");
}

void suites_exit(void)
{
	__kunit_test_suites_exit(suites, ARRAY_SIZE(suites));
}
