// SPDX-License-Identifier: GPL-2.0-only
/*
 * mmap and faults. A fault returns the chunk's folio, locked and referenced, in vmf->page; the core
 * then maps all of it with one PMD, counts RSS and keeps the reverse map, as it does for a file's
 * huge page.
 *
 * A fault neither allocates nor reclaims nor waits for a RESERVE: memory was reserved before it is
 * touched. The one exception, spaces made with ARENA_CREATE_ON_TOUCH, takes a chunk if that is
 * possible at once, else SIGBUS.
 *
 * A chunk is found without a lock, as in the page cache: take a reference if there is one left to
 * take, then look whether the slot still holds that chunk. While it does, the module's own
 * reference keeps the chunk alive.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/pagemap.h>
#include <linux/percpu.h>

#include "compat.h"
#include "fault.h"
#include "pool.h"
#include "reserve.h"
#include "space.h"
#include "trace.h"

#include "uapi/arena.h"

static DEFINE_PER_CPU(u64, faults);

u64 fault_count(void)
{
	u64 count = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		count += READ_ONCE(*per_cpu_ptr(&faults, cpu));
	return count;
}

struct arena_space *file_space(struct file *file)
{
	return file->f_mapping->host->i_private;
}

/* The chunk in @slot with a reference, or NULL when there is none. */
static struct folio *slot_get_chunk(unsigned long *slot)
{
	unsigned long word;
	struct folio *chunk;

	for (;;) {
		word = READ_ONCE(*slot);
		if (!slot_is_held(word))
			return NULL;
		chunk = (struct folio *)slot_chunk(word);
		if (!folio_try_get(chunk))
			continue;
		if (slot_chunk(READ_ONCE(*slot)) == slot_chunk(word))
			return chunk;
		folio_put(chunk);
	}
}

/*
 * Under the chunk's lock: zero it if need be, and mark the slot live. False when a zap has begun.
 */
static bool slot_touch_chunk(struct arena_space *space, unsigned long *slot, struct folio *chunk)
{
	unsigned long word = READ_ONCE(*slot);

	if (slot_chunk(word) != (unsigned long)chunk || !slot_is_held(word))
		return false;
	if (slot_is_uncleared(word))
		chunk_clear_now(chunk);
	if (slot_state(word) == SLOT_LIVE)
		return true;
	if (!space_slot_apply(slot, slot_touch, &word))
		return false;
	atomic_long_inc(&space->nr_live);
	return true;
}

/*
 * The chunk in @slot, referenced, locked and live; or NULL. Pairs with detach_locked() through the
 * chunk's lock.
 */
static struct folio *slot_lock_chunk(struct arena_space *space, unsigned long *slot)
{
	struct folio *chunk = slot ? slot_get_chunk(slot) : NULL;

	if (!chunk)
		return NULL;
	folio_lock(chunk);
	if (slot_touch_chunk(space, slot, chunk))
		return chunk;
	folio_unlock(chunk);
	folio_put(chunk);
	return NULL;
}

static struct folio *space_touch(struct arena_space *space, unsigned long i)
{
	struct folio *chunk = slot_lock_chunk(space, space_slot(space, i));
	struct reserved reserved;

	if (chunk || !(space->flags & ARENA_CREATE_ON_TOUCH))
		return chunk;
	if (space_reserve(space, i, i + 1, false, GFP_NOWAIT | __GFP_NORETRY, &reserved))
		return NULL;
	/*
	 * A zap may have been faster: the touch is tried again, by way of user space so that
	 * signals get through.
	 */
	return slot_lock_chunk(space, space_slot(space, i)) ?: ERR_PTR(-EAGAIN);
}

static vm_fault_t fault_handle(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct arena_space *space = file_space(vma->vm_file);
	struct folio *chunk;

	/* A mapping that came by fork: see fault_open(). */
	if (vma->vm_private_data != vma->vm_mm)
		return VM_FAULT_SIGBUS;
	chunk = space_touch(space, vmf->pgoff >> CHUNK_ORDER);
	if (IS_ERR_OR_NULL(chunk))
		return chunk ? VM_FAULT_NOPAGE : VM_FAULT_SIGBUS;
	vmf->page = folio_page(chunk, vmf->pgoff & (CHUNK_PAGES - 1));
	if (PageHWPoison(vmf->page)) {
		vmf->page = NULL;
		folio_unlock(chunk);
		folio_put(chunk);
		return VM_FAULT_HWPOISON;
	}
	this_cpu_inc(faults);
	trace_arena_fault(space->id, vmf->pgoff >> CHUNK_ORDER);
	return VM_FAULT_LOCKED;
}

/*
 * Nothing to map around a fault. That it exists lets newer kernels answer the fault under the VMA's
 * own lock.
 */
static vm_fault_t fault_map_pages(struct vm_fault *vmf, pgoff_t first, pgoff_t last)
{
	return 0;
}

/*
 * A copy of a VMA. In the same mm it is a split or a move. In another one it is a fork in spite of
 * VM_DONTCOPY (MADV_DOFORK): the mapping stays, but its memory belongs to the parent alone, so
 * every touch is SIGBUS.
 */
static void fault_open(struct vm_area_struct *vma)
{
	if (vma->vm_private_data != vma->vm_mm)
		vma->vm_private_data = NULL;
}

static const struct vm_operations_struct fault_vm_ops = {
	.fault = fault_handle,
	.map_pages = fault_map_pages,
	.open = fault_open,
};

unsigned long fault_get_unmapped_area(struct file *file, unsigned long addr, unsigned long len,
				      unsigned long pgoff, unsigned long flags)
{
	if (flags & MAP_FIXED)
		return addr;
	/* A hint is only a hint: use the aligned address at or after it, or none. */
	if (addr <= TASK_SIZE - CHUNK_BYTES)
		addr = ALIGN(addr, CHUNK_BYTES);
	addr = thp_get_unmapped_area(file, addr, len, pgoff, flags);
	if (!IS_ERR_VALUE(addr) && !IS_ALIGNED(addr, CHUNK_BYTES))
		addr = thp_get_unmapped_area(file, 0, len, pgoff, flags);
	return addr;
}

static int mmap_check(struct arena_space *space, struct vm_area_struct *vma)
{
	unsigned long first = vma->vm_pgoff >> CHUNK_ORDER, nr = vma_pages(vma) >> CHUNK_ORDER;

	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	if (!IS_ALIGNED(vma->vm_start | vma->vm_end | vma->vm_pgoff << PAGE_SHIFT, CHUNK_BYTES))
		return -EINVAL;
	if (first > space->nr_slots || nr > space->nr_slots - first)
		return -EINVAL;
	if (vma->vm_flags & VM_EXEC && !(space->flags & ARENA_CREATE_EXEC))
		return -EACCES;
	return 0;
}

/*
 * As hugetlb does: a mapping that was granted can be touched. One that cannot be touched anyway
 * (PROT_NONE) reserves nothing, and neither does a descriptor that may not write. PROT_NONE matters
 * where vm.overcommit_memory is 2: there the core drops MAP_NORESERVE.
 */
static int mmap_reserve(struct file *file, struct arena_space *space, struct vm_area_struct *vma)
{
	unsigned long first = vma->vm_pgoff >> CHUNK_ORDER, nr = vma_pages(vma) >> CHUNK_ORDER;
	struct reserved reserved;

	if (vma->vm_flags & VM_NORESERVE || !(vma->vm_flags & VM_ACCESS_FLAGS))
		return 0;
	if (!(file->f_mode & FMODE_WRITE) || space->flags & ARENA_CREATE_ON_TOUCH)
		return 0;
	return space_reserve(space, first, first + nr, false, GFP_KERNEL | __GFP_RETRY_MAYFAIL,
			     &reserved);
}

int fault_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct arena_space *space = file_space(file);
	int err = mmap_check(space, vma);

	if (!err)
		err = mmap_reserve(file, space, vma);
	if (err)
		return err;
	if (!(space->flags & ARENA_CREATE_EXEC))
		vm_flags_clear(vma, VM_MAYEXEC);
	/*
	 * The core merges equal neighbors without asking us; with VM_NORESERVE only those merge
	 * that reserve nothing.
	 */
	vm_flags_set(vma, VM_DONTCOPY | VM_NORESERVE);
	vma->vm_private_data = vma->vm_mm;
	vma->vm_ops = &fault_vm_ops;
	return 0;
}
