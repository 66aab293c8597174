/* SPDX-License-Identifier: MIT */
/* The handler of faults, and what is known of an address. */
#ifndef LIBARENA_FAULT_H
#define LIBARENA_FAULT_H

#include "base.h"
#include "panic.h"

/** Install the handler, unless it was switched off. Only the first call does. */
void fault_start(void);
/** Switch the handler off or on, before fault_start(). */
void fault_enable(bool enable);

/** Append what is known of @address; false when it is none of ours. Async-signal-safe. */
bool fault_describe(uintptr_t address, struct text *text);

#endif /* LIBARENA_FAULT_H */
