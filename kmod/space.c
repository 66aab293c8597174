// SPDX-License-Identifier: GPL-2.0-only
/*
 * Creation, lookup and end of spaces. A space lives as long as its inode, and its struct as long
 * as anybody still counts with it (kref). Chunks come and go in reserve.c and reclaim.c.
 */
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "space.h"

#include "uapi/arena.h"

static DEFINE_MUTEX(spaces_lock);
static LIST_HEAD(spaces);	/* by rising id; guard spaces_lock */
static u64 last_id;		/* guard spaces_lock */

static unsigned long space_nr_leaves(struct arena_space *space)
{
	return DIV_ROUND_UP(space->nr_slots, LEAF_SLOTS);
}

static void space_publish(struct arena_space *space)
{
	mutex_lock(&spaces_lock);
	space->id = ++last_id;
	list_add_tail(&space->link, &spaces);
	mutex_unlock(&spaces_lock);
}

static void space_describe_creator(struct arena_space *space)
{
	space->uid = current_uid();
	space->pid = get_pid(task_tgid(current));
	get_task_comm(space->comm, current->group_leader);
}

/* The table of leaves, and a page for the space itself with its inode and file. */
static unsigned long space_base_pages(struct arena_space *space)
{
	return DIV_ROUND_UP(space_nr_leaves(space) * sizeof(*space->leaves), PAGE_SIZE) + 1;
}

static bool space_alloc_table(struct arena_space *space)
{
	if (charge_pages(space->user, space_base_pages(space)))
		return false;
	space->nr_pages = space_base_pages(space);
	space->leaves =
		kvcalloc(space_nr_leaves(space), sizeof(*space->leaves), GFP_KERNEL_ACCOUNT);
	if (!space->leaves)
		uncharge_pages(space->user, space->nr_pages);
	return space->leaves;
}

static struct arena_space *space_alloc(unsigned long nr_slots)
{
	struct arena_space *space = kzalloc(sizeof(*space), GFP_KERNEL_ACCOUNT);

	if (!space)
		return NULL;
	space->nr_slots = nr_slots;
	space->user = charge_user_get(current_uid());
	if (!space->user)
		goto free_space;
	if (!space_alloc_table(space))
		goto put_user;
	return space;

put_user:
	charge_user_put(space->user);
free_space:
	kfree(space);
	return NULL;
}

struct arena_space *space_create(u32 flags, u64 nr_slots, u64 max_chunks)
{
	unsigned long most = charge_caps().max_space_chunks;
	struct arena_space *space;

	nr_slots = nr_slots ?: most;
	max_chunks = max_chunks ?: nr_slots;
	if (nr_slots > most || max_chunks > nr_slots)
		return ERR_PTR(-EINVAL);
	space = space_alloc(nr_slots);
	if (!space)
		return ERR_PTR(-ENOMEM);
	kref_init(&space->ref);
	mutex_init(&space->lock);
	range_map_init(&space->map);
	space->flags = flags;
	space->max_chunks = max_chunks;
	space_describe_creator(space);
	space_publish(space);
	return space;
}

/* Called with spaces_lock held, which it gives up. */
static void space_free(struct kref *ref)
{
	struct arena_space *space = container_of(ref, struct arena_space, ref);
	unsigned long i;

	list_del(&space->link);
	mutex_unlock(&spaces_lock);
	for (i = 0; i < space_nr_leaves(space); i++)
		free_page((unsigned long)space->leaves[i]);
	kvfree(space->leaves);
	range_map_fini(&space->map);
	put_pid(space->pid);
	uncharge_pages(space->user, space->nr_pages);
	charge_user_put(space->user);
	kfree(space);
}

struct arena_space *space_get(struct arena_space *space)
{
	kref_get(&space->ref);
	return space;
}

/*
 * The last put takes the space off the list under spaces_lock, so that space_next() never finds a
 * dying one.
 */
void space_put(struct arena_space *space)
{
	kref_put_mutex(&space->ref, space_free, &spaces_lock);
}

unsigned long *space_slot(struct arena_space *space, unsigned long i)
{
	unsigned long *leaf;

	if (i >= space->nr_slots)
		return NULL;
	/* Pairs with smp_store_release() in space_make_leaves(): the leaf is seen zeroed. */
	leaf = smp_load_acquire(&space->leaves[i >> LEAF_SHIFT]);
	return leaf ? &leaf[i & (LEAF_SLOTS - 1)] : NULL;
}

static int space_make_leaf(struct arena_space *space, unsigned long i)
{
	unsigned long *leaf;

	if (space->leaves[i])
		return 0;
	if (charge_pages(space->user, 1))
		return -ENOMEM;
	leaf = (unsigned long *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!leaf) {
		uncharge_pages(space->user, 1);
		return -ENOMEM;
	}
	space->nr_pages++;
	/* Pairs with smp_load_acquire() in space_slot(). */
	smp_store_release(&space->leaves[i], leaf);
	return 0;
}

int space_make_leaves(struct arena_space *space, unsigned long first, unsigned long end)
{
	unsigned long i;
	int err = 0;

	for (i = first >> LEAF_SHIFT; !err && i <= (end - 1) >> LEAF_SHIFT; i++)
		err = space_make_leaf(space, i);
	return err;
}

void space_totals(struct space_totals *totals)
{
	struct arena_space *space;

	memset(totals, 0, sizeof(*totals));
	mutex_lock(&spaces_lock);
	list_for_each_entry(space, &spaces, link) {
		totals->nr_spaces += !READ_ONCE(space->dead);
		totals->reserved_chunks += READ_ONCE(space->map.nr_slots);
		totals->kept_chunks += READ_ONCE(space->map.nr_kept);
	}
	mutex_unlock(&spaces_lock);
}

struct arena_space *space_next(u64 id, bool (*want)(struct arena_space *space))
{
	struct arena_space *space, *found = NULL;

	mutex_lock(&spaces_lock);
	list_for_each_entry(space, &spaces, link) {
		if (space->id > id && !READ_ONCE(space->dead) && want(space)) {
			found = space_get(space);
			break;
		}
	}
	mutex_unlock(&spaces_lock);
	return found;
}
