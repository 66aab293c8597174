/* SPDX-License-Identifier: GPL-2.0-only */
/* The system asks for memory: idle chunks at once, kept chunks by a worker. */
#ifndef ARENA_PRESSURE_H
#define ARENA_PRESSURE_H

int pressure_init(void);
void pressure_exit(void);

#endif /* ARENA_PRESSURE_H */
