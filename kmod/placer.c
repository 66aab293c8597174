// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads policies where the core keeps them. They are copied, so that nothing is held while chunks
 * are allocated but the mmap lock that keeps the mappings of placer_lock() as they are.
 */
#include <linux/fs.h>
#include <linux/interval_tree_generic.h>
#include <linux/mempolicy.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/sched.h>
#include <linux/topology.h>

#include "compat.h"
#include "placer.h"
#include "pool.h"

static u64 word_of(const nodemask_t *nodes)
{
	return nodes_addr(*nodes)[0];
}

static struct place_policy place_policy_none(void)
{
	return (struct place_policy) { .mode = PLACE_LOCAL, .home = NUMA_NO_NODE };
}

int placer_distance(int from, int to)
{
	return node_distance(from, to);
}

#ifdef CONFIG_NUMA
static struct place_policy place_policy_of(struct mempolicy *policy)
{
	struct place_policy place = place_policy_none();

	place.nodes = word_of(&policy->nodes);
	switch (policy->mode) {
	case MPOL_PREFERRED:
		place.mode = PLACE_PREFER;
		place.home = first_node(policy->nodes);
		break;
	case MPOL_PREFERRED_MANY:
		place.mode = PLACE_PREFER;
		place.home = policy->home_node;
		break;
	case MPOL_BIND:
		place.mode = PLACE_BIND;
		place.home = policy->home_node;
		break;
	case MPOL_INTERLEAVE:
	case COMPAT_MPOL_WEIGHTED_INTERLEAVE:
		place.mode = PLACE_INTERLEAVE;
		break;
	}
	return place;
}

static struct place_policy task_policy(void)
{
	return current->mempolicy ? place_policy_of(current->mempolicy) : place_policy_none();
}

static struct mempolicy *vma_policy_of(struct vm_area_struct *vma)
{
	return vma->vm_policy;
}

struct mempolicy *placer_vma_policy(struct vm_area_struct *vma)
{
	/* Nobody changes or frees it; it is not marked as one that balancing looks at. */
	static struct mempolicy local = { .refcnt = ATOMIC_INIT(1), .mode = MPOL_LOCAL };

	if (vma->vm_policy)
		return vma->vm_policy;
	return vma->vm_mm == current->mm && current->mempolicy ? current->mempolicy : &local;
}
#else
static struct place_policy place_policy_of(struct mempolicy *policy)
{
	return place_policy_none();
}

static struct place_policy task_policy(void)
{
	return place_policy_none();
}

static struct mempolicy *vma_policy_of(struct vm_area_struct *vma)
{
	return NULL;
}
#endif

bool placer_can_use(u64 node_mask)
{
	if (node_mask & ~word_of(&node_states[N_ONLINE]))
		return false;
	return !node_mask || node_mask & word_of(&node_states[N_MEMORY]);
}

/* A cpuset changes both the nodes that are allowed and those of the policy: read them as one. */
static void placer_read(struct placer *placer)
{
	do {
		placer->mems_cookie = compat_mems_allowed_begin();
		placer->allowed = word_of(&cpuset_current_mems_allowed);
		placer->policy = task_policy();
	} while (compat_mems_allowed_retry(placer->mems_cookie));
	placer->allowed &= word_of(&node_states[N_MEMORY]);
	if (placer->space_nodes)
		placer->allowed &= placer->space_nodes;
}

void placer_init(struct placer *placer, u64 node_mask)
{
	placer->space_nodes = node_mask;
	placer->local = numa_mem_id();
	placer->is_run = false;
	placer->mapping = NULL;
	placer->fault_policy = NULL;
	placer_read(placer);
}

void placer_init_fault(struct placer *placer, u64 node_mask, struct vm_area_struct *vma)
{
	placer_init(placer, node_mask);
	placer->fault_policy = vma_policy_of(vma);
}

int placer_lock(struct placer *placer, u64 node_mask, struct address_space *mapping)
{
	if (!current->mm)
		mapping = NULL;
	if (mapping && mmap_read_lock_killable(current->mm))
		return -EINTR;
	placer_init(placer, node_mask);
	placer->mapping = mapping;
	return 0;
}

void placer_unlock(struct placer *placer)
{
	if (placer->mapping)
		mmap_read_unlock(current->mm);
}

bool placer_is_stale(struct placer *placer)
{
	if (!compat_mems_allowed_retry(placer->mems_cookie))
		return false;
	placer_read(placer);
	return true;
}

static inline unsigned long vma_first(struct vm_area_struct *vma)
{
	return vma->vm_pgoff;
}

static inline unsigned long vma_last(struct vm_area_struct *vma)
{
	return vma->vm_pgoff + vma_pages(vma) - 1;
}

/* The core's tree of a file's mappings; what would change it stays unused. */
INTERVAL_TREE_DEFINE(struct vm_area_struct, shared.rb, unsigned long, shared.rb_subtree_last,
		     vma_first, vma_last, static __maybe_unused, placer_tree)

/*
 * The policy of the caller's first mapping of @slot that has one. *@end becomes smaller where such
 * a mapping begins or ends. The mmap lock keeps his mappings, the lock of the tree those of others
 * that lie between them.
 */
static struct mempolicy *mapping_policy(struct address_space *mapping, unsigned long slot,
					unsigned long *end)
{
	unsigned long first = slot << CHUNK_ORDER, last = (*end << CHUNK_ORDER) - 1;
	struct mempolicy *policy = NULL;
	struct vm_area_struct *vma;

	i_mmap_lock_read(mapping);
	for (vma = placer_tree_iter_first(&mapping->i_mmap, first, last); vma;
	     vma = placer_tree_iter_next(vma, first, last)) {
		if (vma->vm_mm != current->mm || !vma_policy_of(vma))
			continue;
		if (vma_first(vma) > first) {
			*end = min(*end, max(vma_first(vma) >> CHUNK_ORDER, slot + 1));
			continue;
		}
		*end = min(*end, max((vma_last(vma) + 1) >> CHUNK_ORDER, slot + 1));
		policy = policy ?: vma_policy_of(vma);
	}
	i_mmap_unlock_read(mapping);
	return policy;
}

struct placement placer_slot(struct placer *placer, unsigned long slot, unsigned long *end)
{
	struct mempolicy *of_vma = placer->fault_policy;
	struct place_policy policy = placer->policy;

	if (placer->mapping)
		of_vma = mapping_policy(placer->mapping, slot, end);
	if (of_vma)
		policy = place_policy_of(of_vma);
	if (policy.mode == PLACE_INTERLEAVE)
		*end = slot + 1;
	return place_slot(&policy, placer->allowed, slot, placer->local);
}
