// SPDX-License-Identifier: GPL-2.0-only
/* A walk down to the PMD of an address, by the accessors that modules may use. */
#include <linux/mm.h>
#include <linux/pgtable.h>

#include "walk.h"

static pmd_t *pmd_of(struct mm_struct *mm, unsigned long addr)
{
	pgd_t *pgd = pgd_offset(mm, addr);
	p4d_t *p4d;
	pud_t *pud;

	if (pgd_none(*pgd))
		return NULL;
	p4d = p4d_offset(pgd, addr);
	if (p4d_none(*p4d))
		return NULL;
	pud = pud_offset(p4d, addr);
	return pud_none(*pud) ? NULL : pmd_offset(pud, addr);
}

enum walk_result walk_pmd(struct mm_struct *mm, unsigned long addr)
{
	pmd_t *at = pmd_of(mm, addr), pmd;

	if (!at)
		return WALK_NONE;
	/* Faults and zaps of other threads go on under the mmap lock: one read, one answer. */
	pmd = READ_ONCE(*at);
	if (pmd_none(pmd))
		return WALK_NONE;
	return pmd_present(pmd) && pmd_trans_huge(pmd) ? WALK_PMD : WALK_PAGES;
}
