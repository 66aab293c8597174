/* SPDX-License-Identifier: MIT */
/* The stressor's operations on the spaces of one process. Each updates the model, or ends the run. */
#ifndef ARENA_TESTS_KMOD_STRESSOR_OPS_H
#define ARENA_TESTS_KMOD_STRESSOR_OPS_H

#include "ring.h"

#include <linux/falloc.h>

#define SPACE_BYTES (NR_SLOTS * CHUNK_BYTES)

/** struct target - what an operation is about */
struct target {
	struct stage *stage;
	unsigned int first, nr;
};

static inline bool has_state(const struct target *t, enum state state)
{
	for (unsigned int i = t->first; i < t->first + t->nr; i++)
		if (t->stage->state[i] == state)
			return true;
	return false;
}

static inline void forget(const struct target *t)
{
	for (unsigned int i = t->first; i < t->first + t->nr; i++) {
		t->stage->state[i] = NOTHING;
		t->stage->word[i] = 0;
	}
}

/* ---- creation ------------------------------------------------------------------------------- */

static inline void stage_map(struct actor *a, struct stage *s)
{
	s->map = space_map_bare(s->fd, 0, NR_SLOTS);
	if (s->map == MAP_FAILED && errno != ENOMEM)
		fail(a, "mmap of %s: %m", kind_names[s->kind]);
	if (s->map != MAP_FAILED)
		return;
	close(s->fd);
	s->fd = -1;
}

static inline bool kind_is_offered(int dev, enum kind kind)
{
	uint64_t features = module_info(dev).features;

	return (kind != KIND_SHARE || features & ARENA_FEATURE_FORK_SHARE) &&
	       (kind != KIND_COW || features & ARENA_FEATURE_FORK_COW);
}

/* A space of its own for this process; none when memory is short, or the module has none such. */
static inline void stage_create(struct actor *a, enum kind kind)
{
	static const uint32_t flags[] = { 0, ARENA_CREATE_ON_TOUCH, 0, ARENA_CREATE_FORK_SHARE,
					  ARENA_CREATE_FORK_COW };
	struct stage *s = &a->stage[kind];
	unsigned int max_chunks;

	*s = (struct stage){ .kind = kind, .fd = -1, .domain = a->id };
	if (!kind_is_offered(a->dev, kind))
		return;
	/* A bound that copies exceed: they find no memory, whatever the machine has. */
	max_chunks = kind == KIND_COW && pick(a, 2) ? NR_SLOTS : 0;
	s->fd = space_create_full(a->dev, NR_SLOTS, max_chunks, flags[kind]);
	if (s->fd < 0 && errno != ENOMEM)
		fail(a, "CREATE of %s: %m", kind_names[kind]);
	if (s->fd >= 0)
		stage_map(a, s);
}

static inline void stage_end(struct stage *s)
{
	if (s->fd < 0)
		return;
	munmap(s->map, SPACE_BYTES);
	close(s->fd);
	s->fd = -1;
}

/* ---- ioctls --------------------------------------------------------------------------------- */

/* What was kept holds what it held, or zeros. */
static inline void take_back_kept(struct actor *a, struct stage *s, unsigned int slot)
{
	uint64_t word;
	int signal_nr = fault_read(sample(s, slot, 0), &word);

	if (signal_nr)
		fail(a, "%s slot %u: signal %d after RESERVE", kind_names[s->kind], slot, signal_nr);
	if (word && word != s->word[slot])
		fail(a, "%s slot %u shows %016" PRIx64 " after KEEP of %016" PRIx64,
		     kind_names[s->kind], slot, word, s->word[slot]);
	s->word[slot] = word;
}

static inline int op_reserve(struct actor *a, struct target *t)
{
	struct stage *s = t->stage;
	struct arena_reserve r = { .size = sizeof(r), .flags = pick(a, 2) * ARENA_RESERVE_NO_CLEAR,
				   .offset_bytes = t->first * CHUNK_BYTES,
				   .length_bytes = t->nr * CHUNK_BYTES };
	int error;

	if (is_exact(s) && has_state(t, LOST))
		return NOT_DONE;
	error = call_space(a, s->fd, ARENA_IOC_RESERVE, &r);
	if (error == ENOMEM)
		a->shared->nr_no_memory++;
	if (error && error != ENOMEM && !is_without_view(s, error))
		fail(a, "RESERVE: %s", strerror(error));
	if (error || !is_exact(s))
		return error;
	for (unsigned int i = t->first; i < t->first + t->nr; i++) {
		if (s->state[i] == KEPT)
			take_back_kept(a, s, i);
		else
			forget_lost(a, s, i);
		s->state[i] = HELD;
		check_slot(a, s, i);
	}
	return 0;
}

/* KEEP or ZAP of the target. */
static inline int reclaim(struct actor *a, struct target *t, uint32_t how)
{
	struct arena_reclaim r = { .size = sizeof(r), .how = how,
				   .offset_bytes = t->first * CHUNK_BYTES,
				   .length_bytes = t->nr * CHUNK_BYTES };

	return call_space(a, t->stage->fd, ARENA_IOC_RECLAIM, &r);
}

static inline int op_keep(struct actor *a, struct target *t)
{
	bool whole = !has_state(t, NOTHING), certain = !has_state(t, KEPT) && !t->stage->inherited;
	int error;

	if (is_exact(t->stage) && has_state(t, LOST))
		return NOT_DONE;
	error = reclaim(a, t, ARENA_RECLAIM_KEEP);
	if (error && error != ENXIO && error != ENOMEM)
		fail(a, "KEEP: %s", strerror(error));
	if (!is_exact(t->stage))
		return error;
	if (certain && error != ENOMEM && error != (whole ? 0 : ENXIO))
		fail(a, "KEEP answers %d", error);
	for (unsigned int i = t->first; !error && i < t->first + t->nr; i++)
		t->stage->state[i] = KEPT;
	return error;
}

static inline int op_zap(struct actor *a, struct target *t)
{
	size_t at = t->first * CHUNK_BYTES, length = t->nr * CHUNK_BYTES;
	int error;

	switch (pick(a, 3)) {
	case 0:
		error = fallocate(t->stage->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				  (off_t)at, (off_t)length) ? errno : 0;
		break;
	case 1:
		error = madvise(t->stage->map + at, length, MADV_REMOVE) ? errno : 0;
		/* Advice has split the mapping within a chunk; some of it may be done. */
		if (error != EINVAL)
			break;
		/* fallthrough */
	default:
		error = reclaim(a, t, ARENA_RECLAIM_ZAP);
	}
	if (error && error != ENOMEM && !is_without_view(t->stage, error))
		fail(a, "ZAP: %s", strerror(error));
	if (error || !is_exact(t->stage))
		return error;
	forget(t);
	if (t->stage->kind != KIND_ON_TOUCH)
		check_slot(a, t->stage, t->first);
	return 0;
}

static inline int op_populate(struct actor *a, struct target *t)
{
	struct arena_populate p = { .size = sizeof(p),
				    .address = (uintptr_t)t->stage->map + t->first * CHUNK_BYTES,
				    .length_bytes = t->nr * CHUNK_BYTES };

	int error;

	if (t->stage->kind == KIND_ON_TOUCH)
		return NOT_DONE;
	error = call_space(a, t->stage->fd, ARENA_IOC_POPULATE, &p);
	/* EFAULT: a slot is empty, or a copy could not be made. */
	if (error && error != EFAULT && error != ENOMEM)
		fail(a, "POPULATE: %s", strerror(error));
	return error;
}

static inline int op_trim(struct actor *a, struct target *t)
{
	int error = module_trim(a->dev, pick(a, 6), pick(a, 2) ? ARENA_TRIM_KEPT : 0, NULL);

	if (error != (a->root ? 0 : EPERM))
		fail(a, "TRIM: %s", strerror(error));
	return error;
}

static inline int op_look(struct actor *a, struct target *t)
{
	struct arena_stat stat = module_stat(a->dev);

	if (stat.kept_chunks > stat.handed_chunks)
		fail(a, "more kept than handed");
	space_stat(a->dev);
	return 0;
}

/* ---- contents ------------------------------------------------------------------------------- */

static inline int op_write(struct actor *a, struct target *t)
{
	for (unsigned int i = t->first; i < t->first + t->nr; i++) {
		if (is_exact(t->stage))
			check_slot(a, t->stage, i);
		if (t->stage->kind != KIND_ON_TOUCH || t->stage->state[i] == HELD || pick(a, 2))
			write_slot(a, t->stage, i);
	}
	return 0;
}

static inline int op_read(struct actor *a, struct target *t)
{
	for (unsigned int i = t->first; i < t->first + t->nr; i++)
		check_slot(a, t->stage, i);
	return 0;
}

/* ---- memory calls --------------------------------------------------------------------------- */

/* The view goes, and comes again at another address. */
static inline int op_remap(struct actor *a, struct target *t)
{
	struct stage *s = t->stage;
	struct target all = { .stage = s, .nr = NR_SLOTS };

	if (munmap(s->map, SPACE_BYTES))
		fail_call(a, "munmap");
	/* A copy-on-write view ends with its last mapping. */
	if (s->kind == KIND_COW)
		forget(&all);
	stage_map(a, s);
	return 0;
}

/* A hole in the middle, and the same slots again in it. */
static inline int op_punch(struct actor *a, struct target *t)
{
	char *at = t->stage->map + t->first * CHUNK_BYTES;

	if (t->nr == NR_SLOTS)
		return NOT_DONE;
	if (munmap(at, t->nr * CHUNK_BYTES))
		fail_call(a, "munmap");
	if (fault_touch(at) != SIGSEGV)
		fail(a, "an unmapped chunk can be read");
	if (mmap(at, t->nr * CHUNK_BYTES, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_NORESERVE | MAP_FIXED, t->stage->fd,
		 (off_t)(t->first * CHUNK_BYTES)) != at)
		fail_call(a, "mmap");
	return op_read(a, t);
}

/* A second mapping, that grows beyond the space: nothing is there. */
static inline int op_grow(struct actor *a, struct target *t)
{
	struct stage *s = t->stage;
	char *map, *grown;

	/* A copy-on-write mapping does not grow. */
	if (s->kind == KIND_COW)
		return NOT_DONE;
	map = mmap(NULL, SPACE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, s->fd, 0);
	if (map == MAP_FAILED)
		return ENOMEM;
	grown = mremap(map, SPACE_BYTES, 2 * SPACE_BYTES, MREMAP_MAYMOVE);
	if (grown != MAP_FAILED &&
	    fault_write(grown + SPACE_BYTES + t->first * CHUNK_BYTES, 1) != SIGBUS)
		fail(a, "a slot beyond the space can be written");
	if (munmap(grown == MAP_FAILED ? map : grown, (grown == MAP_FAILED ? 1 : 2) * SPACE_BYTES))
		fail_call(a, "munmap");
	return grown == MAP_FAILED ? ENOMEM : 0;
}

static inline int op_move(struct actor *a, struct target *t)
{
	size_t room_bytes = SPACE_BYTES + CHUNK_BYTES;
	char *area = mmap(NULL, room_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *to;

	if (area == MAP_FAILED)
		return ENOMEM;
	munmap(area, room_bytes);
	to = (char *)(((uintptr_t)area + CHUNK_BYTES - 1) & ~(CHUNK_BYTES - 1));
	/* EFAULT: the view is several mappings by now, which cannot be moved at once. */
	if (mremap(t->stage->map, SPACE_BYTES, SPACE_BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, to) !=
	    to) {
		if (errno != EFAULT && errno != ENOMEM && errno != EINVAL)
			fail(a, "mremap: %m");
		return errno;
	}
	t->stage->map = to;
	return op_read(a, t);
}

static inline int op_protect(struct actor *a, struct target *t)
{
	char *at = t->stage->map + t->first * CHUNK_BYTES;
	int signal_nr;

	if (mprotect(at, t->nr * CHUNK_BYTES, PROT_READ))
		return errno;
	signal_nr = fault_write(sample(t->stage, t->first, 0), 0);
	if (signal_nr != SIGSEGV && signal_nr != SIGBUS)
		fail(a, "a read-only chunk can be written");
	op_read(a, t);
	if (mprotect(at, t->nr * CHUNK_BYTES, PROT_READ | PROT_WRITE))
		fail_call(a, "mprotect");
	return 0;
}

static inline int op_advise(struct actor *a, struct target *t)
{
	static const int advice[] = { MADV_DONTNEED, MADV_COLD, MADV_PAGEOUT, MADV_HUGEPAGE,
				      MADV_NOHUGEPAGE, MADV_WILLNEED, MADV_MERGEABLE, MADV_FREE,
				      22 /* POPULATE_READ */, 23 /* POPULATE_WRITE */ };
	char *at = t->stage->map + t->first * CHUNK_BYTES;
	int which = advice[pick(a, ARRAY_SIZE(advice) - (t->stage->kind == KIND_ON_TOUCH ? 2 : 0))];

	if (pick(a, 2))
		madvise(at, t->nr * CHUNK_BYTES, which);
	else
		madvise(at + pick(a, 500) * PAGE_BYTES, 8 * PAGE_BYTES, which);
	return which;
}

static inline int op_lock(struct actor *a, struct target *t)
{
	char *at = t->stage->map + t->first * CHUNK_BYTES;
	int error;

	if (t->stage->kind == KIND_ON_TOUCH)
		return NOT_DONE;
	error = mlock(at, t->nr * CHUNK_BYTES) ? errno : 0;
	op_read(a, t);
	/* Also after a failure, which may leave some of it locked. */
	munlock(at, t->nr * CHUNK_BYTES);
	return error;
}

/* A mapping of our own spaces ends and a new space begins: the chunks go to whoever is next. */
static inline int op_renew(struct actor *a, struct target *t)
{
	enum kind kind = t->stage->kind;

	if (kind == KIND_COMMON)
		return NOT_DONE;
	stage_end(t->stage);
	stage_create(a, kind);
	return 0;
}

#endif /* ARENA_TESTS_KMOD_STRESSOR_OPS_H */
