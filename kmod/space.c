// SPDX-License-Identifier: GPL-2.0-only
/*
 * Creation, lookup, accounts and end of spaces. A space lives as long as its inode, and its struct
 * as long as anybody still counts with it (kref).
 */
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "placer.h"
#include "space.h"
#include "view.h"

#include "uapi/arena.h"

static DEFINE_MUTEX(spaces_lock);
static LIST_HEAD(spaces);	/* by rising id; guard spaces_lock */
static u64 last_id;		/* guard spaces_lock */

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

static struct arena_space *space_alloc(u32 flags, unsigned long nr_slots)
{
	struct arena_space *space;

	space = kzalloc(struct_size(space, nr_on_node, nr_node_ids), GFP_KERNEL_ACCOUNT);
	if (!space)
		return NULL;
	space->flags = flags;
	space->nr_slots = nr_slots;
	spin_lock_init(&space->views_lock);
	INIT_LIST_HEAD(&space->views);
	space->user = charge_user_get(current_uid());
	if (!space->user)
		goto free_space;
	space->group = group_get_current();
	if (!space->group)
		goto put_user;
	space->base = view_create(space, space_is_cow(space) ? current->mm : NULL);
	if (!space->base)
		goto put_group;
	return space;

put_group:
	group_put(space->group);
put_user:
	charge_user_put(space->user);
free_space:
	kfree(space);
	return NULL;
}

/* More than any machine has, and far from wrapping. */
#define MAX_VIEWS_CHUNKS (LONG_MAX / 2)

struct arena_space *space_create(u32 flags, u64 nr_slots, u64 max_chunks, u64 node_mask)
{
	unsigned long most = charge_caps().max_space_chunks;
	struct arena_space *space;

	nr_slots = nr_slots ?: most;
	/* Views of several processes may hold more chunks than the space has slots. */
	if (flags & ARENA_CREATE_FORK_COW)
		max_chunks = min_t(u64, max_chunks ?: MAX_VIEWS_CHUNKS, MAX_VIEWS_CHUNKS);
	else
		max_chunks = max_chunks ?: nr_slots;
	if (flags & ARENA_CREATE_FORK_COW && (flags & ARENA_CREATE_FORK_SHARE || !current->mm))
		return ERR_PTR(-EINVAL);
	if (!placer_can_use(node_mask))
		return ERR_PTR(-EINVAL);
	if (nr_slots > most || (max_chunks > nr_slots && !(flags & ARENA_CREATE_FORK_COW)))
		return ERR_PTR(-EINVAL);
	space = space_alloc(flags, nr_slots);
	if (!space)
		return ERR_PTR(-ENOMEM);
	kref_init(&space->ref);
	notice_ear_init(&space->ear);
	space->max_chunks = max_chunks;
	space->node_mask = node_mask;
	space_describe_creator(space);
	space_publish(space);
	return space;
}

/* Called with spaces_lock held, which it gives up. */
static void space_free(struct kref *ref)
{
	struct arena_space *space = container_of(ref, struct arena_space, ref);

	list_del(&space->link);
	mutex_unlock(&spaces_lock);
	view_put(space->base);
	notice_ear_fini(&space->ear);
	put_pid(space->pid);
	charge_user_put(space->user);
	group_put(space->group);
	kfree(space);
}

struct arena_space *space_get(struct arena_space *space)
{
	kref_get(&space->ref);
	return space;
}

/*
 * The last put takes the space off the list under spaces_lock, so that a walk never finds a
 * dying one.
 */
void space_put(struct arena_space *space)
{
	kref_put_mutex(&space->ref, space_free, &spaces_lock);
}

static int space_add_chunks(struct arena_space *space, unsigned long nr)
{
	long held = atomic_long_read(&space->nr_chunks);

	/* Neither term is near the end of its type, so the sum does not wrap. */
	do {
		if (held + nr > space->max_chunks)
			return -ENOMEM;
	} while (!atomic_long_try_cmpxchg(&space->nr_chunks, &held, held + nr));
	return 0;
}

int space_charge(struct arena_space *space, unsigned long nr)
{
	int err = space_add_chunks(space, nr);

	if (err)
		return err;
	err = charge_chunks(space->user, nr);
	if (err)
		space_drop(space, nr);
	return err;
}

void space_uncharge(struct arena_space *space, unsigned long nr)
{
	space_drop(space, nr);
	uncharge_chunks(space->user, nr);
}

void space_drop(struct arena_space *space, unsigned long nr)
{
	atomic_long_sub(nr, &space->nr_chunks);
}

void space_totals(struct space_totals *totals)
{
	struct arena_space *space;

	memset(totals, 0, sizeof(*totals));
	mutex_lock(&spaces_lock);
	list_for_each_entry(space, &spaces, link) {
		totals->nr_spaces += !READ_ONCE(space->base->dead);
		totals->reserved_chunks += atomic_long_read(&space->nr_chunks);
		totals->kept_chunks += view_totals(space).nr_kept;
	}
	mutex_unlock(&spaces_lock);
}

u64 space_chunks_on_node(int nid)
{
	struct arena_space *space;
	u64 nr = 0;

	mutex_lock(&spaces_lock);
	list_for_each_entry(space, &spaces, link)
		nr += atomic_long_read(&space->nr_on_node[nid]);
	mutex_unlock(&spaces_lock);
	return nr;
}

static bool space_is_wanted(struct arena_space *space, bool (*want)(struct arena_space *space))
{
	return !READ_ONCE(space->base->dead) && want(space);
}

struct arena_space *space_after_id(u64 id, bool (*want)(struct arena_space *space))
{
	struct arena_space *space, *found = NULL;

	mutex_lock(&spaces_lock);
	list_for_each_entry(space, &spaces, link) {
		if (space->id > id && space_is_wanted(space, want)) {
			found = space_get(space);
			break;
		}
	}
	mutex_unlock(&spaces_lock);
	return found;
}

struct arena_space *space_next(struct arena_space *space, bool (*want)(struct arena_space *space))
{
	struct arena_space *next, *found = NULL;

	mutex_lock(&spaces_lock);
	next = list_prepare_entry(space, &spaces, link);
	list_for_each_entry_continue(next, &spaces, link) {
		if (space_is_wanted(next, want)) {
			found = space_get(next);
			break;
		}
	}
	mutex_unlock(&spaces_lock);
	if (space)
		space_put(space);
	return found;
}
