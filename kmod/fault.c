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
#include <linux/mm_inline.h>
#include <linux/mman.h>
#include <linux/pagemap.h>
#include <linux/percpu.h>

#include "clear.h"
#include "compat.h"
#include "cow.h"
#include "fault.h"
#include "placer.h"
#include "poison.h"
#include "pool.h"
#include "reserve.h"
#include "space.h"
#include "trace.h"
#include "view.h"

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

/*
 * A core dump reads every mapped address. What nobody has touched is a hole in it, and stays one.
 */
static bool is_dumping(void)
{
	return current->flags & PF_DUMPCORE;
}

/*
 * Under the chunk's lock: zero it if need be, and mark the slot live. False when a zap has begun.
 */
static bool slot_touch_chunk(struct view *view, unsigned long *slot, struct folio *chunk)
{
	unsigned long word = READ_ONCE(*slot);

	if (slot_chunk(word) != (unsigned long)chunk || !slot_is_held(word))
		return false;
	if (slot_state(word) != SLOT_LIVE && is_dumping())
		return false;
	if (slot_is_uncleared(word) && chunk_needs_clearing(view->space, chunk)) {
		if (chunk_is_poisoned(chunk))
			return false;
		chunk_clear(view->space, chunk);
	}
	if (slot_state(word) == SLOT_LIVE)
		return true;
	if (!view_slot_apply(slot, slot_touch, &word))
		return false;
	atomic_long_inc(&view->nr_live);
	return true;
}

/* Whether a copy has taken the place of @chunk while somebody waited for its lock. */
static bool slot_holds_other(unsigned long *slot, struct folio *chunk)
{
	unsigned long word = READ_ONCE(*slot);

	return slot_is_held(word) && slot_chunk(word) != (unsigned long)chunk;
}

/*
 * The chunk in @slot, referenced, locked and live; or NULL. Pairs with detach_locked() through the
 * chunk's lock.
 */
static struct folio *slot_lock_chunk(struct view *view, unsigned long *slot)
{
	struct folio *chunk;
	bool again = slot;

	while (again && (chunk = view_slot_get_chunk(slot))) {
		folio_lock(chunk);
		if (slot_touch_chunk(view, slot, chunk))
			return chunk;
		again = slot_holds_other(slot, chunk);
		folio_unlock(chunk);
		folio_put(chunk);
	}
	return NULL;
}

static struct folio *view_touch(struct view *view, unsigned long i, struct vm_area_struct *vma)
{
	struct folio *chunk = slot_lock_chunk(view, view_slot(view, i));
	struct reserved reserved;
	struct placer placer;

	if (chunk || !(view->space->flags & ARENA_CREATE_ON_TOUCH) || is_dumping())
		return chunk;
	/* mremap() lets a mapping grow beyond the space, as beyond the end of a file. */
	if (i >= view->space->nr_slots)
		return NULL;
	/* Zeros in place of lost data would be worse than none. */
	if (READ_ONCE(view->lossy))
		return NULL;
	placer_init_fault(&placer, view->space->node_mask, vma);
	if (view_reserve(view, i, i + 1, false, GFP_NOWAIT | __GFP_NORETRY, &placer, &reserved))
		return NULL;
	chunk = slot_lock_chunk(view, view_slot(view, i));
	/* There all the time, and yet not to be had: a memory error came before the clearing. */
	if (!chunk && !reserved.fresh_chunks && slot_is_held(READ_ONCE(*view_slot(view, i))))
		return NULL;
	/*
	 * A zap may have been faster: the touch is tried again, by way of user space so that
	 * signals get through.
	 */
	return chunk ?: ERR_PTR(-EAGAIN);
}

/* The chunk is locked and ours to give away. */
static vm_fault_t fault_answer(struct vm_fault *vmf, struct view *view, struct folio *chunk)
{
	vmf->page = folio_page(chunk, vmf->pgoff & (CHUNK_PAGES - 1));
	if (page_is_poisoned(chunk, vmf->page)) {
		vmf->page = NULL;
		folio_unlock(chunk);
		folio_put(chunk);
		return VM_FAULT_HWPOISON;
	}
	/* For what asking brings: the core maps the sound pages of such a chunk one by one. */
	chunk_is_poisoned(chunk);
	this_cpu_inc(faults);
	trace_fault(view->space->id, vmf->pgoff >> CHUNK_ORDER);
	return VM_FAULT_LOCKED;
}

static vm_fault_t fault_shared(struct vm_fault *vmf)
{
	struct view *view = file_space(vmf->vma->vm_file)->base;
	struct folio *chunk = view_touch(view, vmf->pgoff >> CHUNK_ORDER, vmf->vma);

	if (IS_ERR_OR_NULL(chunk))
		return chunk ? VM_FAULT_NOPAGE : VM_FAULT_SIGBUS;
	return fault_answer(vmf, view, chunk);
}

static vm_fault_t fault_handle(struct vm_fault *vmf)
{
	/* A mapping that came by fork: see fault_open(). */
	if (vmf->vma->vm_private_data != vmf->vma->vm_mm)
		return VM_FAULT_SIGBUS;
	return fault_shared(vmf);
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
 * every touch is SIGBUS. The core is about to copy the parent's page tables where a userfaultfd
 * watches the child: then there must be nothing in them.
 */
static void fault_open(struct vm_area_struct *vma)
{
	struct vm_area_struct *source;

	if (vma->vm_private_data == vma->vm_mm)
		return;
	vma->vm_private_data = NULL;
	source = vma->vm_flags & VM_UFFD_WP ? find_vma(current->mm, vma->vm_start) : NULL;
	if (source && source->vm_file == vma->vm_file)
		compat_zap_vma(source, vma->vm_start, vma->vm_end - vma->vm_start);
}

#ifdef CONFIG_NUMA
/* The core keeps the policy in the VMA; RESERVE looks there from now on. */
static int fault_set_policy(struct vm_area_struct *vma, struct mempolicy *policy)
{
	WRITE_ONCE(file_space(vma->vm_file)->has_policies, true);
	return 0;
}

static struct mempolicy *fault_get_policy(COMPAT_GET_POLICY_ARGS)
{
	compat_set_ilx(vma);
	return placer_vma_policy(vma);
}
#endif

static const struct vm_operations_struct fault_vm_ops = {
	.fault = fault_handle,
	.map_pages = fault_map_pages,
	.open = fault_open,
#ifdef CONFIG_NUMA
	.set_policy = fault_set_policy,
	.get_policy = fault_get_policy,
#endif
};

/* ARENA_CREATE_FORK_SHARE: a child's mapping is like any other. */
static const struct vm_operations_struct fault_share_vm_ops = {
	.fault = fault_shared,
	.map_pages = fault_map_pages,
#ifdef CONFIG_NUMA
	.set_policy = fault_set_policy,
	.get_policy = fault_get_policy,
#endif
};

/*
 * Whether the process may still map something of the slot at @vmf: by another VMA, or by single
 * pages. Under the lock of the chunk in the slot, so nothing more is mapped meanwhile.
 */
static bool fault_has_leftovers(struct vm_fault *vmf, struct view *view)
{
	struct vm_area_struct *vma = vmf->vma;

	return atomic_long_read(&view->nr_vmas) > 1 || !pmd_none(READ_ONCE(*vmf->pmd)) ||
	       !IS_ALIGNED(vma->vm_start - (vma->vm_pgoff << PAGE_SHIFT), CHUNK_BYTES);
}

/*
 * Nothing is mapped, but somebody who unmaps the slot in all processes may not have come to the
 * flush yet: another thread would go on reading the old chunk by its TLB while this one writes to
 * the copy. The core flushes at once when it finds two who unmap in one mm.
 */
static void fault_flush(struct vm_fault *vmf)
{
	unsigned long first = max(ALIGN_DOWN(vmf->address, CHUNK_BYTES), vmf->vma->vm_start);
	unsigned long end = min(ALIGN(vmf->address + 1, CHUNK_BYTES), vmf->vma->vm_end);

	/* Whoever unmaps says so before he takes this lock to clear the entry. */
	spin_unlock(pmd_lock(vmf->vma->vm_mm, vmf->pmd));
	if (mm_tlb_flush_pending(vmf->vma->vm_mm))
		compat_zap_vma(vmf->vma, first, end - first);
}

/* Let the process write to *@chunk, or to the copy that replaces it. */
static int fault_write(struct vm_fault *vmf, struct view *view, struct folio **chunk)
{
	struct folio *old = *chunk;
	int err = cow_write(view, vmf->vma, vmf->pgoff >> CHUNK_ORDER, old, chunk);

	if (!err)
		return 0;
	if (err > 0 && fault_has_leftovers(vmf, view))
		cow_unmap(view->space, vmf->pgoff >> CHUNK_ORDER);
	else if (err > 0)
		fault_flush(vmf);
	folio_unlock(old);
	folio_put(old);
	return min(err, 0);
}

/* The chunk in *@chunk, to be mapped as @vmf wants it. */
static int fault_cow_chunk(struct vm_fault *vmf, struct view *view, struct folio **chunk)
{
	*chunk = view_touch(view, vmf->pgoff >> CHUNK_ORDER, vmf->vma);
	if (!*chunk)
		return -ENOMEM;
	if (IS_ERR(*chunk))
		return PTR_ERR(*chunk);
	return vmf->flags & FAULT_FLAG_WRITE ? fault_write(vmf, view, chunk) : 0;
}

/*
 * Ticks for other threads' faults to end. Each lets go of the chunk while it waits, so the last one
 * in the line finds nobody else. What refers to it after that is in earnest, a pipe say.
 */
#define PATIENCE_JIFFIES 10

static vm_fault_t fault_cow(struct vm_fault *vmf)
{
	struct view *view = vmf->vma->vm_private_data;
	int err, waited = 0;
	struct folio *chunk;

	if (!view)
		return VM_FAULT_SIGBUS;
	while ((err = fault_cow_chunk(vmf, view, &chunk)) == -EBUSY &&
	       waited++ < PATIENCE_JIFFIES && !fatal_signal_pending(current))
		schedule_timeout_killable(1);
	/* A dying task needs an error: nothing else ends what the kernel copies for it. */
	if (err)
		return err == -EAGAIN ? VM_FAULT_NOPAGE : VM_FAULT_SIGBUS;
	return fault_answer(vmf, view, chunk);
}

/* As cow_write(), and after a copy the process maps nothing of the slot any more. */
static int fault_make_writable(struct vm_fault *vmf, struct view *view, struct folio *chunk)
{
	unsigned long i = vmf->pgoff >> CHUNK_ORDER, *slot = view ? view_slot(view, i) : NULL;
	struct folio *copy;
	int err;

	/* Only a page that was copied into a child without a view could be mapped there. */
	if (!slot)
		return -ENOMEM;
	if (READ_ONCE(*slot) != ((unsigned long)chunk | SLOT_LIVE))
		return -EAGAIN;
	err = cow_write(view, vmf->vma, i, chunk, &copy);
	/* With nothing mapped the next touch comes to ->fault, which has patience. */
	if (err > 0 || err == -EBUSY)
		cow_unmap(view->space, i);
	if (err > 0) {
		folio_unlock(copy);
		folio_put(copy);
	}
	return err;
}

/*
 * ->page_mkwrite: a page that is mapped read-only, or about to be mapped, shall be writable. That
 * it exists makes the core map read-only what is only read. It locks the page itself: the core
 * would take one without a mapping for a truncated one, and try again for ever.
 */
static vm_fault_t fault_mkwrite(struct vm_fault *vmf)
{
	struct view *view = vmf->vma->vm_private_data;
	struct folio *chunk = page_folio(vmf->page);
	int err;

	folio_lock(chunk);
	err = fault_make_writable(vmf, view, chunk);
	if (!err)
		return VM_FAULT_LOCKED;
	folio_unlock(chunk);
	/* -EINTR: as in fault_cow(). After -EBUSY nothing is mapped, and ->fault has patience. */
	return err == -ENOMEM || err == -EINTR ? VM_FAULT_SIGBUS : VM_FAULT_NOPAGE;
}

static void fault_cow_open(struct vm_area_struct *vma)
{
	struct view *view = vma->vm_private_data;

	if (view && view->mm == vma->vm_mm)
		atomic_long_inc(&view->nr_vmas);
	else
		cow_inherit(vma);
}

static void fault_cow_close(struct vm_area_struct *vma)
{
	if (vma->vm_private_data)
		cow_close(vma->vm_private_data);
}

/* ARENA_CREATE_FORK_COW */
static const struct vm_operations_struct fault_cow_vm_ops = {
	.fault = fault_cow,
	.map_pages = fault_map_pages,
	.page_mkwrite = fault_mkwrite,
	.open = fault_cow_open,
	.close = fault_cow_close,
#ifdef CONFIG_NUMA
	.set_policy = fault_set_policy,
	.get_policy = fault_get_policy,
#endif
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
static int mmap_reserve(struct file *file, struct view *view, struct vm_area_struct *vma)
{
	unsigned long first = vma->vm_pgoff >> CHUNK_ORDER, nr = vma_pages(vma) >> CHUNK_ORDER;
	struct reserved reserved;
	struct placer placer;

	if (vma->vm_flags & VM_NORESERVE || !(vma->vm_flags & VM_ACCESS_FLAGS))
		return 0;
	if (!(file->f_mode & FMODE_WRITE) || view->space->flags & ARENA_CREATE_ON_TOUCH)
		return 0;
	/* A mapping has no policy before it exists. */
	placer_init(&placer, view->space->node_mask);
	return view_reserve(view, first, first + nr, false,
			    GFP_KERNEL | __GFP_RETRY_MAYFAIL, &placer, &reserved);
}

static void mmap_choose_ops(struct arena_space *space, struct view *view,
			    struct vm_area_struct *vma)
{
	vma->vm_private_data = vma->vm_mm;
	if (space->flags & ARENA_CREATE_FORK_SHARE) {
		vma->vm_ops = &fault_share_vm_ops;
	} else if (space_is_cow(space)) {
		vma->vm_private_data = view;
		vma->vm_ops = &fault_cow_vm_ops;
		/*
		 * view.nr_vmas counts mappings. Newer cores may merge a new one into its neighbor
		 * after ->mmap, and free it without ->close; not one that must not grow.
		 */
		vm_flags_set(vma, VM_DONTEXPAND);
	} else {
		vm_flags_set(vma, VM_DONTCOPY);
		vma->vm_ops = &fault_vm_ops;
	}
}

int fault_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct arena_space *space = file_space(file);
	struct view *view = space->base;
	int err = mmap_check(space, vma);

	if (err)
		return err;
	if (space_is_cow(space))
		view = cow_open(space);
	if (!view)
		return -ENOMEM;
	err = mmap_reserve(file, view, vma);
	if (err) {
		if (space_is_cow(space))
			cow_forget(view);
		return err;
	}
	if (!(space->flags & ARENA_CREATE_EXEC))
		vm_flags_clear(vma, VM_MAYEXEC);
	/*
	 * The core merges equal neighbors without asking us; with VM_NORESERVE only those merge
	 * that reserve nothing.
	 */
	vm_flags_set(vma, VM_NORESERVE);
	mmap_choose_ops(space, view, vma);
	return 0;
}
