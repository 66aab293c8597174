/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every difference between kernel versions, as inline shims. No version test stands anywhere else.
 */
#ifndef ARENA_COMPAT_H
#define ARENA_COMPAT_H

#include <linux/cpuset.h>
#include <linux/eventfd.h>
#include <linux/list_lru.h>
#include <linux/memcontrol.h>
#include <linux/mempolicy.h>
#include <linux/mm.h>
#include <linux/shrinker.h>
#include <linux/version.h>

/* 6.8: commands of io_uring have a header of their own. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
#include <linux/io_uring.h>
#else
#include <linux/io_uring/cmd.h>
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void vm_flags_set(struct vm_area_struct *vma, unsigned long flags)
{
	vma->vm_flags |= flags;
}

static inline void vm_flags_clear(struct vm_area_struct *vma, unsigned long flags)
{
	vma->vm_flags &= ~flags;
}

/* 6.3: inode operations take an idmap of the mount. */
#define compat_idmap user_namespace
#else
#define compat_idmap mnt_idmap
#endif

/* 6.3: one VMA at a time; before, the range could span several. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void compat_zap_vma(struct vm_area_struct *vma, unsigned long addr,
				  unsigned long size)
{
	zap_page_range(vma, addr, size);
}
#else
static inline void compat_zap_vma(struct vm_area_struct *vma, unsigned long addr,
				  unsigned long size)
{
	zap_page_range_single(vma, addr, size, NULL);
}
#endif

/*
 * 6.6: the number of mappings is inline; before, it was not exported. There each mapping by a PMD
 * also counts in every page.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
static inline int compat_folio_mapcount(struct folio *folio)
{
	int entire = folio_entire_mapcount(folio), count = entire;
	long i;

	for (i = 0; i < folio_nr_pages(folio); i++)
		count += atomic_read(&folio_page(folio, i)->_mapcount) + 1 - entire;
	return count;
}
#else
static inline int compat_folio_mapcount(struct folio *folio)
{
	return folio_mapcount(folio);
}
#endif

/* 6.7: shrinkers are allocated by the core; before, the caller owned them. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
struct compat_shrinker {
	struct shrinker shrinker;
};

#define compat_shrinker_callbacks(s) (&(s)->shrinker)

static inline int compat_shrinker_init(struct compat_shrinker *s)
{
	s->shrinker.flags = SHRINKER_NUMA_AWARE | SHRINKER_MEMCG_AWARE;
	return 0;
}

static inline int compat_shrinker_register(struct compat_shrinker *s)
{
	return register_shrinker(&s->shrinker, "arena");
}

static inline void compat_shrinker_fini(struct compat_shrinker *s)
{
	unregister_shrinker(&s->shrinker);
}
#else
struct compat_shrinker {
	struct shrinker *shrinker;
};

#define compat_shrinker_callbacks(s) ((s)->shrinker)

static inline int compat_shrinker_init(struct compat_shrinker *s)
{
	s->shrinker = shrinker_alloc(SHRINKER_NUMA_AWARE | SHRINKER_MEMCG_AWARE, "arena");
	return s->shrinker ? 0 : -ENOMEM;
}

static inline int compat_shrinker_register(struct compat_shrinker *s)
{
	shrinker_register(s->shrinker);
	return 0;
}

static inline void compat_shrinker_fini(struct compat_shrinker *s)
{
	shrinker_free(s->shrinker);
}
#endif

/*
 * 6.5: a command points to its whole entry. The barrier keeps the compiler from reading the shared
 * memory again.
 */
static inline void compat_uring_payload(struct io_uring_cmd *cmd, void *payload, size_t bytes)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
	const void *shared = cmd->cmd;
#else
	const void *shared = cmd->sqe->cmd;
#endif
	memcpy(payload, shared, bytes);
	barrier();
}

/* 6.9: weighted interleaving, the number after the last mode before. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 9, 0)
#define COMPAT_MPOL_WEIGHTED_INTERLEAVE MPOL_MAX
#else
#define COMPAT_MPOL_WEIGHTED_INTERLEAVE MPOL_WEIGHTED_INTERLEAVE
#endif

/* 6.7: ->get_policy also says where interleaving begins. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
#define COMPAT_GET_POLICY_ARGS struct vm_area_struct *vma, unsigned long addr
#define compat_set_ilx(vma) do { } while (0)
#else
#define COMPAT_GET_POLICY_ARGS struct vm_area_struct *vma, unsigned long addr, pgoff_t *ilx
#define compat_set_ilx(vma) (*ilx = (vma)->vm_pgoff >> HPAGE_PMD_ORDER)
#endif

/* The core's read_mems_allowed_begin() and _retry() need a static key that is not exported. */
#ifdef CONFIG_CPUSETS
static inline unsigned int compat_mems_allowed_begin(void)
{
	return read_seqcount_begin(&current->mems_allowed_seq);
}

static inline bool compat_mems_allowed_retry(unsigned int cookie)
{
	return read_seqcount_retry(&current->mems_allowed_seq, cookie);
}
#else
static inline unsigned int compat_mems_allowed_begin(void)
{
	return 0;
}

static inline bool compat_mems_allowed_retry(unsigned int cookie)
{
	return false;
}
#endif

/* 6.10: the source string of a tracepoint field is remembered by __string(). */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
#define compat_assign_str(dst, src) __assign_str(dst, src)
#else
#define compat_assign_str(dst, src) __assign_str(dst)
#endif

/* 6.3: each node counts its memory errors; before, any chunk may have had one. */
static inline bool compat_node_had_memory_failure(int nid)
{
#if !defined(CONFIG_MEMORY_FAILURE)
	return false;
#elif LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
	return true;
#else
	return READ_ONCE(NODE_DATA(nid)->mf_stats.total);
#endif
}

/* 6.8: an eventfd is always signaled once. */
static inline void compat_eventfd_signal(struct eventfd_ctx *event)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
	eventfd_signal(event, 1);
#else
	eventfd_signal(event);
#endif
}

/*
 * 6.8: list_lru_add() wants node and cgroup; what finds them by the item's own address was
 * renamed.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
#define compat_list_lru_add_obj list_lru_add
#define compat_list_lru_del_obj list_lru_del
#else
#define compat_list_lru_add_obj list_lru_add_obj
#define compat_list_lru_del_obj list_lru_del_obj
#endif

/* 6.3: renamed. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
#define compat_memcg_kmem_online memcg_kmem_enabled
#else
#define compat_memcg_kmem_online memcg_kmem_online
#endif

/*
 * Whether the kernel memory of cgroups is charged to them; false while there is none but the
 * root.
 */
static inline bool compat_memcg_charges(void)
{
	return !mem_cgroup_disabled() && compat_memcg_kmem_online();
}

/* The root cgroup, whose references are not counted; NULL where there are none. */
static inline struct mem_cgroup *compat_memcg_root(void)
{
	struct mem_cgroup *memcg = NULL;
#ifdef CONFIG_MEMCG
	struct mem_cgroup *parent = get_mem_cgroup_from_mm(NULL), *current_memcg = parent;

	for (; parent; parent = parent_mem_cgroup(parent))
		memcg = parent;
	mem_cgroup_put(current_memcg);
#endif
	return memcg;
}

/* Whether @memcg, or a group that it is in, may be charged for fewer than @nr pages more. */
static inline bool compat_memcg_is_full(struct mem_cgroup *memcg, unsigned long nr)
{
#ifdef CONFIG_MEMCG
	for (; memcg; memcg = parent_mem_cgroup(memcg))
		if (page_counter_read(&memcg->memory) + nr > READ_ONCE(memcg->memory.max))
			return true;
#endif
	return false;
}

/* Who is charged for what the current process creates, with a reference. */
static inline struct mem_cgroup *compat_memcg_get_current(void)
{
#ifdef CONFIG_MEMCG
	if (compat_memcg_charges())
		return get_mem_cgroup_from_mm(current->mm);
#endif
	return compat_memcg_root();
}

#endif /* ARENA_COMPAT_H */
