/* SPDX-License-Identifier: MIT */
/* The link to arenad, as far as the rest of the library knows of it. */
#ifndef LIBARENA_CTL_H
#define LIBARENA_CTL_H

/* fork(): the link's mutex is held across it, outside all locks of memory; the child has no link. */
void ctl_fork_prepare(void);
void ctl_fork_parent(void);
void ctl_fork_child(void);

#endif /* LIBARENA_CTL_H */
