/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every difference between kernel versions, as inline shims. No version test stands anywhere else.
 */
#ifndef ARENA_COMPAT_H
#define ARENA_COMPAT_H

#include <linux/mm.h>
#include <linux/shrinker.h>
#include <linux/version.h>

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

/* 6.7: shrinkers are allocated by the core; before, the caller owned them. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
struct compat_shrinker {
	struct shrinker shrinker;
};

#define compat_shrinker_callbacks(s) (&(s)->shrinker)

static inline int compat_shrinker_init(struct compat_shrinker *s)
{
	s->shrinker.flags = SHRINKER_NUMA_AWARE;
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
	s->shrinker = shrinker_alloc(SHRINKER_NUMA_AWARE, "arena");
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

/* 6.10: the source string of a tracepoint field is remembered by __string(). */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
#define compat_assign_str(dst, src) __assign_str(dst, src)
#else
#define compat_assign_str(dst, src) __assign_str(dst)
#endif

#endif /* ARENA_COMPAT_H */
