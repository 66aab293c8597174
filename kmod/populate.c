// SPDX-License-Identifier: GPL-2.0-only
/*
 * POPULATE: the fault of each chunk without the trap, its lookup of the VMA and its locks. The
 * core's own fault does the work, so RSS, reverse map and page tables are what a touch leaves.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "pool.h"
#include "populate.h"
#include "walk.h"

/*
 * The mmap lock is let go after so many chunks, so that an mmap() of another thread waits for no
 * more than their clearing: a few milliseconds.
 */
#define POPULATE_BATCH 32

static bool vma_is_wanted(struct vm_area_struct *vma, struct address_space *mapping)
{
	return vma->vm_file && vma->vm_file->f_mapping == mapping &&
	       vma->vm_flags & (VM_READ | VM_WRITE);
}

/* The errno of one fault; @flags never let the core drop the mmap lock. */
static int populate_fault(struct vm_area_struct *vma, unsigned long addr, unsigned int flags)
{
	vm_fault_t fault = handle_mm_fault(vma, addr, flags, NULL);

	return unlikely(fault & VM_FAULT_ERROR) ? vm_fault_to_errno(fault, FOLL_HWPOISON) : 0;
}

/* Where a PMD is not possible (a split VMA, MADV_NOHUGEPAGE): page by page. */
static int populate_pages(struct vm_area_struct *vma, unsigned long addr, unsigned long end,
			  unsigned int flags)
{
	int err = 0;

	for (; !err && addr < end; addr += PAGE_SIZE)
		err = populate_fault(vma, addr, flags);
	return err;
}

/* [@addr, @end) of @vma, within one chunk. A touch that lost against a zap is repeated. */
static int populate_chunk(struct vm_area_struct *vma, unsigned long addr, unsigned long end,
			  unsigned int flags)
{
	enum walk_result seen;
	int err;

	for (;;) {
		err = populate_fault(vma, addr, flags);
		if (unlikely(err))
			return err;
		seen = walk_pmd(vma->vm_mm, addr);
		if (likely(seen == WALK_PMD))
			return 0;
		if (seen == WALK_PAGES)
			return populate_pages(vma, addr, end, flags);
		if (fatal_signal_pending(current))
			return -EINTR;
	}
}

/* Maps [*@at, @end) as far as one VMA goes, and moves *@at. */
static int populate_vma(struct address_space *mapping, unsigned long *at, unsigned long end)
{
	struct vm_area_struct *vma = find_vma(current->mm, *at);
	unsigned long next;
	unsigned int flags;
	int err = 0;

	if (!vma || vma->vm_start > *at || !vma_is_wanted(vma, mapping))
		return -EFAULT;
	flags = vma->vm_flags & VM_WRITE ? FAULT_FLAG_WRITE : 0;
	end = min(end, vma->vm_end);
	for (; !err && *at < end; *at = next) {
		next = min(ALIGN(*at + 1, CHUNK_BYTES), end);
		err = populate_chunk(vma, *at, next, flags);
	}
	return err;
}

static int populate_batch(struct address_space *mapping, unsigned long at, unsigned long end)
{
	int err = mmap_read_lock_killable(current->mm);

	if (err)
		return err;
	while (!err && at < end)
		err = populate_vma(mapping, &at, end);
	mmap_read_unlock(current->mm);
	return err;
}

int populate_range(struct address_space *mapping, u64 address, u64 length_bytes)
{
	u64 batch_bytes = POPULATE_BATCH * CHUNK_BYTES, at, end = address + length_bytes;
	int err = 0;

	if (!current->mm || address > TASK_SIZE || length_bytes > TASK_SIZE - address)
		return -EFAULT;
	for (at = address; !err && at < end; at += batch_bytes) {
		err = populate_batch(mapping, at, min(end, at + batch_bytes));
		cond_resched();
	}
	return err;
}
