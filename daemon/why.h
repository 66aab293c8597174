/* SPDX-License-Identifier: MIT */
/* Why the module is not there: what modprobe's "Operation not permitted" does not say. */
#ifndef ARENAD_WHY_H
#define ARENAD_WHY_H

/**
 * A sentence for people, from what the files below @root say ("" is this system). Static; the first cause that would
 * stop modprobe.
 */
const char *why_not_loaded(const char *root);

#endif /* ARENAD_WHY_H */
