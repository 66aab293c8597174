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
#include <linux/sched/mm.h>
#include <linux/uaccess.h>

#include "fs.h"
#include "pool.h"
#include "selftest.h"
#include "walk.h"

static bool saw_pmd;

bool selftest_saw_pmd(void)
{
	return saw_pmd;
}

static bool is_pmd_mapped(struct mm_struct *mm, unsigned long addr)
{
	bool is_pmd;

	mmap_read_lock(mm);
	is_pmd = walk_pmd(mm, addr) == WALK_PMD;
	mmap_read_unlock(mm);
	return is_pmd;
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
	file = fs_create_file(0, 1, 1, 0);
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
		pr_warn("chunks are mapped by single pages, not by PMDs: touching is slow\n");
	else
		pr_info("version " ARENA_MODULE_VERSION ", chunks are mapped by PMDs\n");
}
