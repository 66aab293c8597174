// SPDX-License-Identifier: GPL-2.0-only
/*
 * A mapping that silently falls back to 4 KiB pages would still pass every test of correctness, so
 * the module looks for the PMD itself, once, and says so in the log and in ARENA_IOC_INFO.
 */
#include "arena.h"

#include <linux/err.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/pgtable.h>
#include <linux/sched/mm.h>
#include <linux/uaccess.h>

#include "fs.h"
#include "pool.h"
#include "selftest.h"

static bool saw_pmd;

bool selftest_saw_pmd(void)
{
	return saw_pmd;
}

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

/* The mmap lock keeps the tables in place while we look. */
static bool is_pmd_mapped(struct mm_struct *mm, unsigned long addr)
{
	pmd_t *pmd;
	bool leaf;

	mmap_read_lock(mm);
	pmd = pmd_of(mm, addr);
	leaf = pmd && pmd_present(*pmd) && pmd_trans_huge(*pmd);
	mmap_read_unlock(mm);
	return leaf;
}

/* 0 when the PMD was there, 1 when not, -errno when it could not be tried. */
static int try_mapping(struct file *file)
{
	unsigned long addr = vm_mmap(file, 0, CHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
	int result;

	if (IS_ERR_VALUE(addr))
		return (int)addr;
	if (put_user(1, (int __user *)addr))
		result = -EFAULT;
	else
		result = !is_pmd_mapped(current->mm, addr);
	vm_munmap(addr, CHUNK_BYTES);
	return result;
}

static int selftest_try(void)
{
	struct file *file;
	int result;

	if (!current->mm)
		return -ESRCH;
	file = fs_create_file(0, 1, 1);
	if (IS_ERR(file))
		return PTR_ERR(file);
	result = try_mapping(file);
	fput(file);
	return result;
}

void selftest_run(void)
{
	int result = selftest_try();

	saw_pmd = !result;
	if (result < 0)
		pr_warn("could not check that chunks are mapped by PMDs: error %d\n", result);
	else if (result)
		pr_warn("chunks are mapped by single pages here, not by PMDs: touching them is "
			"slow\n");
	else
		pr_info("version " ARENA_MODULE_VERSION ", chunks are mapped by PMDs\n");
}
