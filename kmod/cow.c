// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sharing chunks at a fork, and ending that at a write.
 *
 * All of it happens under the lock of the chunk in question, which a fault holds until its page
 * table entry is installed. So whoever holds that lock and has unmapped a chunk knows that it is
 * mapped nowhere, and a fault that comes later finds what he has decided:
 *
 *	fork, in ->open			fault of the parent, by another mapping of the slot
 *	lock chunk			lock chunk
 *	unmap it, look at references	exclusive: may be mapped writable
 *	mark it SHARED, fill child	shared: mapped read-only, or copied
 *	unlock chunk			install entry, unlock chunk
 *
 * That is also why a chunk that is SHARED already needs no unmapping, and a second fork does not
 * make anybody fault again.
 *
 * Limits: to unmap a chunk in mappings other than the current one means to unmap it in all
 * processes; those who go on sharing it fault once more.
 */
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched.h>

#include "clear.h"
#include "compat.h"
#include "cow.h"
#include "placer.h"
#include "poison.h"
#include "quarantine.h"
#include "reclaim.h"
#include "view.h"

/* Of a chunk that is in a slot and that we look at: the module's, and ours. */
#define OWN_REFS 2

#define COW_GFP (GFP_KERNEL | __GFP_RETRY_MAYFAIL)

bool chunk_leave(struct folio *chunk)
{
	unsigned long share;

	folio_lock(chunk);
	share = chunk_share(chunk);
	WARN_ON_ONCE(!share_remove(&share));
	chunk_set_share(chunk, share);
	folio_unlock(chunk);
	return !share_slots(share);
}

void chunk_clear(struct arena_space *space, struct folio *chunk)
{
	unsigned long share = chunk_share(chunk);

	chunk_clear_now(chunk);
	if (space_is_cow(space))
		chunk_set_share(chunk, share_clear(share));
}

/*
 * References to @chunk that are neither ours nor mappings. No new mapping can appear, we hold the
 * lock; one may go, and its reference after it. So the references are read first: what goes in
 * between is taken for a foreign reference, which costs a copy, and never the other way round.
 */
static unsigned long chunk_foreign_refs(struct folio *chunk)
{
	long refs = folio_ref_count(chunk) - OWN_REFS;

	if (!refs)
		return 0;
	/* Pairs with the atomics by which the core drops a mapping before its reference. */
	smp_rmb();
	return max(0L, refs - compat_folio_mapcount(chunk));
}

void cow_unmap(struct arena_space *space, unsigned long i)
{
	unmap_mapping_range(space->mapping, (loff_t)i << CHUNK_SHIFT, CHUNK_BYTES, 1);
}

/* Under its lock, for a holder of one of its slots. */
static bool chunk_own(struct folio *chunk)
{
	unsigned long share = chunk_share(chunk);

	if (share_is_exclusive(share))
		return true;
	if (share_slots(share) > 1 || !share_own(&share, chunk_foreign_refs(chunk)))
		return false;
	/* Pairs with the full order of whoever dropped the last foreign reference. */
	smp_mb();
	chunk_set_share(chunk, share);
	return true;
}

/* A chunk for slot @i of the mapping @vma. */
static struct folio *cow_take(struct arena_space *space, struct vm_area_struct *vma,
			      unsigned long i)
{
	unsigned long end = i + 1;
	struct placement place;
	struct placer placer;
	LIST_HEAD(chunks);
	struct folio *chunk;
	int err = space_charge(space, 1);

	if (err)
		return ERR_PTR(err);
	placer_init_fault(&placer, space->node_mask, vma);
	place = placer_slot(&placer, i, &end);
	err = pool_take(space->group, &place, &chunks, 1, COW_GFP);
	if (err) {
		space_uncharge(space, 1);
		return ERR_PTR(err);
	}
	chunk = list_first_entry(&chunks, struct folio, lru);
	list_del(&chunk->lru);
	return chunk;
}

static void cow_give(struct arena_space *space, struct folio *chunk)
{
	LIST_HEAD(chunks);

	list_add(&chunk->lru, &chunks);
	pool_give(space->group, &chunks);
	space_uncharge(space, 1);
}

static void chunk_copy(struct folio *to, struct folio *from)
{
	unsigned long offset;

	for (offset = 0; offset < CHUNK_BYTES; offset += PAGE_SIZE) {
		copy_page(folio_address(to) + offset, folio_address(from) + offset);
		cond_resched();
	}
	chunk_set_uncleared(to, false);
}

/*
 * A slot less of @chunk, under its lock. With foreign references the last one leads to quarantine.
 */
static void chunk_replaced(struct arena_space *space, struct folio *chunk)
{
	unsigned long share = chunk_share(chunk);
	LIST_HEAD(chunks);

	WARN_ON_ONCE(!share_remove(&share));
	chunk_set_share(chunk, share);
	if (share_slots(share))
		return;
	list_add(&chunk->lru, &chunks);
	space_count_exit(space, chunk);
	space_drop(space, 1);
	quarantine_add(space, &chunks, 1);
}

/*
 * Fill @copy from @chunk, and put it in its place. The copy is locked before anybody can see it, so
 * that a zap waits until the fault that made it is over.
 */
static int cow_replace(struct view *view, unsigned long i, struct folio *chunk, struct folio *copy)
{
	unsigned long *slot = view_slot(view, i), was = (unsigned long)chunk | SLOT_LIVE;

	chunk_copy(copy, chunk);
	chunk_enter(view->space, copy);
	copy->index = i << CHUNK_ORDER;
	folio_get(copy);
	folio_lock(copy);
	/*
	 * Full order: the contents come before the address. Pairs with folio_try_get() of a
	 * fault.
	 */
	if (try_cmpxchg(slot, &was, (unsigned long)copy | SLOT_LIVE)) {
		space_count_entry(view->space, copy);
		chunk_replaced(view->space, chunk);
		return 0;
	}
	folio_unlock(copy);
	folio_put(copy);
	chunk_set_uncleared(copy, true);
	return -EAGAIN;
}

static bool slot_holds(unsigned long *slot, struct folio *chunk)
{
	unsigned long word = slot ? READ_ONCE(*slot) : 0;

	return slot_is_held(word) && slot_chunk(word) == (unsigned long)chunk;
}

/* The oldest view that shares @chunk owns it: it came first, the others are its descendants. */
static bool view_is_owner_locked(struct view *view, unsigned long i, struct folio *chunk)
{
	struct view *other;

	list_for_each_entry(other, &view->space->views, link)
		if (slot_holds(view_slot(other, i), chunk))
			return other == view;
	return false;
}

static void slot_take_away(struct view *view, unsigned long i, struct folio *chunk)
{
	unsigned long *slot = view_slot(view, i), was, share = chunk_share(chunk);

	if (!slot_holds(slot, chunk) || !view_slot_apply(slot, slot_lose, &was))
		return;
	if (slot_state(was) == SLOT_LIVE)
		atomic_long_dec(&view->nr_live);
	WRITE_ONCE(view->lossy, true);
	share_remove(&share);
	chunk_set_share(chunk, share);
}

/*
 * No memory for a copy, or a memory error, which no copy survives. The owner takes the chunk away
 * from those who share it, so that a child gets the SIGBUS and its parent loses nothing, unless
 * somebody refers to it who must not see what is written. A fault of another thread that waits for
 * the chunk's lock looks like that: -EBUSY, for a caller that has patience. Under the chunk's lock
 * no slot can come to hold it.
 */
static int cow_take_away(struct view *view, unsigned long i, struct folio *chunk)
{
	struct arena_space *space = view->space;
	bool owner, foreign = chunk_foreign_refs(chunk);
	struct view *other;

	spin_lock(&space->views_lock);
	owner = view_is_owner_locked(view, i, chunk);
	list_for_each_entry(other, &space->views, link)
		if (owner && !foreign && other != view)
			slot_take_away(other, i, chunk);
	spin_unlock(&space->views_lock);
	if (!owner)
		return -ENOMEM;
	if (foreign)
		return -EBUSY;
	cow_unmap(space, i);
	return chunk_own(chunk) ? 0 : -EAGAIN;
}

int cow_write(struct view *view, struct vm_area_struct *vma, unsigned long i, struct folio *chunk,
	      struct folio **copy)
{
	struct folio *fresh;
	int err;

	if (chunk_own(chunk))
		return 0;
	folio_unlock(chunk);
	fresh = cow_take(view->space, vma, i);
	folio_lock(chunk);
	if (!slot_holds(view_slot(view, i), chunk))
		err = -EAGAIN;
	else if (chunk_own(chunk))
		err = 0;
	else if (PTR_ERR_OR_ZERO(fresh) == -ENOMEM || chunk_is_poisoned(chunk))
		err = cow_take_away(view, i, chunk);
	else if (IS_ERR(fresh))
		err = PTR_ERR(fresh);
	else
		err = cow_replace(view, i, chunk, fresh) ?: 1;
	if (err == 1)
		*copy = fresh;
	else if (!IS_ERR(fresh))
		cow_give(view->space, fresh);
	return err;
}

/* Slots of the file that @vma covers, if only in part. */
static unsigned long vma_first_slot(struct vm_area_struct *vma)
{
	return vma->vm_pgoff >> CHUNK_ORDER;
}

static unsigned long vma_end_slot(struct vm_area_struct *vma)
{
	return DIV_ROUND_UP(vma->vm_pgoff + vma_pages(vma), CHUNK_PAGES);
}

/* The next stretch of [*@first, @end) that @view has reserved and not kept; as range.h does it. */
static unsigned long view_next_held(struct view *view, unsigned long *first, unsigned long end)
{
	struct slot_range *range = range_after(&view->map, *first);

	while (range && range->kind != RANGE_HELD && range->first < end)
		range = range_after(&view->map, range->end);
	if (!range || range->first >= end)
		return *first = end;
	*first = max(*first, range->first);
	return min(end, range->end);
}

/* Room for the stretch in the child's tables: the only part that can fail. */
static bool child_make_room(struct view *child, unsigned long first, unsigned long end)
{
	struct range_spares spares;

	if (view_make_leaves(child, first, end) || range_spares_get(&spares))
		return false;
	range_set(&child->map, first, end, RANGE_HELD, &spares);
	range_spares_put(&spares);
	return true;
}

/* A hint: whether the parent may have mapped something writable. */
static bool may_be_writable(struct view *view, unsigned long first, unsigned long end)
{
	unsigned long i, word;

	for (i = first; i < end; i++) {
		word = READ_ONCE(*view_slot(view, i));
		if (slot_state(word) == SLOT_LIVE &&
		    share_is_exclusive(chunk_share((struct folio *)slot_chunk(word))))
			return true;
	}
	return false;
}

/* With the chunk's lock and one reference of ours: nobody maps it, and nobody else refers to it. */
static unsigned long chunk_unmap_foreign_refs(struct arena_space *space, unsigned long i,
					      struct folio *chunk)
{
	if (folio_ref_count(chunk) == OWN_REFS)
		return 0;
	cow_unmap(space, i);
	/* Pairs with the full order of whoever dropped a reference: his accesses are over. */
	smp_mb();
	return folio_ref_count(chunk) - OWN_REFS;
}

/* A chunk of the child's own for what he may not share; what nobody has touched is not copied. */
static unsigned long child_copy(struct view *child, struct vm_area_struct *vma, unsigned long i,
				struct folio *chunk, bool live)
{
	struct folio *copy = ERR_PTR(-EIO);
	unsigned long word = 0;

	if (!chunk_is_poisoned(chunk))
		copy = cow_take(child->space, vma, i);
	if (IS_ERR(copy)) {
		WRITE_ONCE(child->lossy, true);
		return SLOT_LOST;
	}
	if (live)
		chunk_copy(copy, chunk);
	slot_fill(&word, (unsigned long)copy, chunk_is_uncleared(copy));
	if (live)
		slot_touch(&word);
	space_count_entry(child->space, copy);
	chunk_enter(child->space, copy);
	copy->index = i << CHUNK_ORDER;
	return word;
}

/* What the child's slot shall hold, for @word in its parent's; @chunk is locked. */
static unsigned long child_word(struct view *child, struct vm_area_struct *vma, unsigned long i,
				struct folio *chunk, unsigned long word)
{
	unsigned long share = chunk_share(chunk), nr_foreign = 0;

	if (share_is_exclusive(share))
		nr_foreign = chunk_unmap_foreign_refs(child->space, i, chunk);
	/* With a memory error it can never be copied: it stays, and the child has none. */
	if (chunk_is_poisoned(chunk) || !share_add(&share, nr_foreign))
		return child_copy(child, vma, i, chunk, slot_state(word) == SLOT_LIVE);
	chunk_set_share(chunk, share);
	return word;
}

/* False when the slot has another chunk by now. */
static bool child_inherit_chunk(struct view *child, struct vm_area_struct *vma, unsigned long i,
				unsigned long *from, struct folio *chunk, unsigned long *word)
{
	bool holds;

	folio_lock(chunk);
	holds = slot_holds(from, chunk);
	if (holds)
		*word = child_word(child, vma, i, chunk, READ_ONCE(*from));
	folio_unlock(chunk);
	folio_put(chunk);
	return holds;
}

/*
 * The parent's older relatives may take the chunk away until it is locked: hence the reference. A
 * thread of the parent may put a copy in its place, by a mapping that fork() has not come to yet:
 * hence another look. The parent's view is locked, so the slot is not being detached.
 */
static unsigned long child_inherit_word(struct view *child, struct vm_area_struct *vma,
					unsigned long i, unsigned long *from)
{
	unsigned long word = SLOT_LOST;
	struct folio *chunk;

	while ((chunk = view_slot_get_chunk(from)))
		if (child_inherit_chunk(child, vma, i, from, chunk, &word))
			break;
	return word;
}

static void child_inherit_slot(struct view *parent, struct view *child,
			       struct vm_area_struct *vma, unsigned long i)
{
	unsigned long *to = view_slot(child, i), word;

	/* By another mapping already. */
	if (READ_ONCE(*to))
		return;
	word = child_inherit_word(child, vma, i, view_slot(parent, i));
	if (slot_is_lost(word))
		WRITE_ONCE(child->lossy, true);
	else if (slot_state(word) == SLOT_LIVE)
		atomic_long_inc(&child->nr_live);
	/* Pairs with READ_ONCE() and folio_try_get() of whoever looks for the chunk. */
	smp_store_release(to, word);
}

/* The parent's mapping is unmapped once for all chunks, with one flush. */
static void vma_inherit_locked(struct vm_area_struct *vma, struct view *parent, struct view *child)
{
	unsigned long first = vma_first_slot(vma), end = vma_end_slot(vma), at, stop;
	struct vm_area_struct *source = find_vma(current->mm, vma->vm_start);
	bool writable = false;

	if (READ_ONCE(parent->lossy))
		WRITE_ONCE(child->lossy, true);
	for (at = first; (stop = view_next_held(parent, &at, end)) > at; at = stop) {
		writable = writable || may_be_writable(parent, at, stop);
		if (!child_make_room(child, at, stop))
			WRITE_ONCE(child->lossy, true);
	}
	if (writable && source && source->vm_private_data == parent)
		compat_zap_vma(source, vma->vm_start, vma->vm_end - vma->vm_start);
	for (at = first; (stop = view_next_held(child, &at, end)) > at; at = stop)
		for (; at < stop; at++) {
			child_inherit_slot(parent, child, vma, at);
			cond_resched();
		}
}

/* The view of @mm, which no thread uses yet, for one more mapping. */
static struct view *child_view(struct view *parent, struct mm_struct *mm)
{
	struct view *view = view_get_of(parent->space, mm);

	if (view)
		view_put(view);	/* the list keeps it, while it has mappings */
	else
		view = view_create(parent->space, mm);
	if (view)
		atomic_long_inc(&view->nr_vmas);
	return view;
}

void cow_inherit(struct vm_area_struct *vma)
{
	struct view *parent = vma->vm_private_data, *child = NULL;

	if (parent)
		child = child_view(parent, vma->vm_mm);
	vma->vm_private_data = child;
	if (!child)
		return;
	mutex_lock(&parent->lock);
	mutex_lock_nested(&child->lock, SINGLE_DEPTH_NESTING);
	vma_inherit_locked(vma, parent, child);
	mutex_unlock(&child->lock);
	mutex_unlock(&parent->lock);
}

struct view *cow_open(struct arena_space *space)
{
	struct view *view = view_get_current(space);

	if (view)
		view_put(view);
	else if (current->mm)
		view = view_create(space, current->mm);
	if (view)
		atomic_long_inc(&view->nr_vmas);
	return view;
}

void cow_close(struct view *view)
{
	if (!atomic_long_dec_and_test(&view->nr_vmas))
		return;
	if (view == view->space->base) {
		view_clear(view);
		return;
	}
	view_kill(view);
	view_remove(view);
}

void cow_forget(struct view *view)
{
	if (view == view->space->base)
		atomic_long_dec(&view->nr_vmas);
	else
		cow_close(view);
}
