/* SPDX-License-Identifier: GPL-2.0-only */
/* Tables for people, in debugfs: the state of each space and each group. Root only. */
#ifndef ARENA_DEBUG_H
#define ARENA_DEBUG_H

/* Nothing depends on debugfs, so neither can fail. */
void debug_init(void);
void debug_exit(void);

#endif /* ARENA_DEBUG_H */
