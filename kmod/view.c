// SPDX-License-Identifier: GPL-2.0-only
/*
 * Views and their tables. Chunks come and go in reserve.c, reclaim.c and cow.c.
 */
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "charge.h"
#include "group.h"
#include "space.h"
#include "view.h"

static unsigned long view_nr_leaves(struct view *view)
{
	return DIV_ROUND_UP(view->space->nr_slots, LEAF_SLOTS);
}

/* The table of leaves, and a page for the structs that come with it. */
static unsigned long view_base_pages(struct view *view)
{
	return DIV_ROUND_UP(view_nr_leaves(view) * sizeof(*view->leaves), PAGE_SIZE) + 1;
}

static bool view_alloc_table(struct view *view)
{
	struct charge_user *user = view->space->user;

	if (charge_pages(user, view_base_pages(view)))
		return false;
	view->nr_pages = view_base_pages(view);
	view->leaves = kvcalloc(view_nr_leaves(view), sizeof(*view->leaves), GFP_KERNEL_ACCOUNT);
	if (!view->leaves)
		uncharge_pages(user, view->nr_pages);
	return view->leaves;
}

/* The list is by rising id: new ones go to its end. */
static void view_publish(struct view *view)
{
	struct arena_space *space = view->space;

	spin_lock(&space->views_lock);
	view->id = ++space->last_view_id;
	list_add_tail(&view->link, &space->views);
	spin_unlock(&space->views_lock);
}

struct view *view_create(struct arena_space *space, struct mm_struct *mm)
{
	struct view *view = kzalloc(sizeof(*view), GFP_KERNEL_ACCOUNT);

	if (!view)
		return NULL;
	view->space = space;
	kref_init(&view->ref);
	mutex_init(&view->lock);
	range_map_init(&view->map, &space->group->nr_kept);
	if (!view_alloc_table(view)) {
		kfree(view);
		return NULL;
	}
	view->mm = mm;
	if (mm)
		mmgrab(mm);
	view_publish(view);
	return view;
}

static void view_free(struct kref *ref)
{
	struct view *view = container_of(ref, struct view, ref);
	unsigned long i;

	for (i = 0; i < view_nr_leaves(view); i++)
		free_page((unsigned long)view->leaves[i]);
	kvfree(view->leaves);
	range_map_fini(&view->map);
	uncharge_pages(view->space->user, view->nr_pages);
	if (view->mm)
		mmdrop(view->mm);
	kfree(view);
}

struct view *view_get(struct view *view)
{
	kref_get(&view->ref);
	return view;
}

void view_put(struct view *view)
{
	kref_put(&view->ref, view_free);
}

void view_remove(struct view *view)
{
	spin_lock(&view->space->views_lock);
	list_del(&view->link);
	spin_unlock(&view->space->views_lock);
	view_put(view);
}

struct view *view_get_of(struct arena_space *space, struct mm_struct *mm)
{
	struct view *view, *found = NULL;

	/* Most spaces: one view, whoever asks. */
	if (!space_is_cow(space))
		return view_get(space->base);
	spin_lock(&space->views_lock);
	list_for_each_entry(view, &space->views, link) {
		if (view->mm == mm) {
			found = view_get(view);
			break;
		}
	}
	spin_unlock(&space->views_lock);
	return found;
}

struct view *view_get_current(struct arena_space *space)
{
	return view_get_of(space, current->mm);
}

struct view *view_get_kept(struct arena_space *space, u64 id)
{
	struct view *view, *found = NULL;

	spin_lock(&space->views_lock);
	list_for_each_entry(view, &space->views, link) {
		if (view->id > id && READ_ONCE(view->map.nr_kept)) {
			found = view_get(view);
			break;
		}
	}
	spin_unlock(&space->views_lock);
	return found;
}

struct view_totals view_totals(struct arena_space *space)
{
	struct view_totals totals = {};
	struct view *view;

	spin_lock(&space->views_lock);
	list_for_each_entry(view, &space->views, link) {
		totals.nr_live += atomic_long_read(&view->nr_live);
		totals.nr_kept += READ_ONCE(view->map.nr_kept);
	}
	spin_unlock(&space->views_lock);
	return totals;
}

unsigned long *view_slot(struct view *view, unsigned long i)
{
	unsigned long *leaf;

	if (i >= view->space->nr_slots)
		return NULL;
	/* Pairs with smp_store_release() in view_make_leaf(): the leaf is seen zeroed. */
	leaf = smp_load_acquire(&view->leaves[i >> LEAF_SHIFT]);
	return leaf ? &leaf[i & (LEAF_SLOTS - 1)] : NULL;
}

static int view_make_leaf(struct view *view, unsigned long i)
{
	struct charge_user *user = view->space->user;
	unsigned long *leaf;

	if (view->leaves[i])
		return 0;
	if (charge_pages(user, 1))
		return -ENOMEM;
	leaf = (unsigned long *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!leaf) {
		uncharge_pages(user, 1);
		return -ENOMEM;
	}
	view->nr_pages++;
	/* Pairs with smp_load_acquire() in view_slot(). */
	smp_store_release(&view->leaves[i], leaf);
	return 0;
}

int view_make_leaves(struct view *view, unsigned long first, unsigned long end)
{
	unsigned long i;
	int err = 0;

	for (i = first >> LEAF_SHIFT; !err && i <= (end - 1) >> LEAF_SHIFT; i++)
		err = view_make_leaf(view, i);
	return err;
}
