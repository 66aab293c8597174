/* SPDX-License-Identifier: GPL-2.0-only */
/* Mapping a space, and answering its faults. */
#ifndef ARENA_FAULT_H
#define ARENA_FAULT_H

#include <linux/types.h>

struct arena_space;
struct file;
struct vm_area_struct;

/** The space behind a file of ours. */
struct arena_space *file_space(struct file *file);
/**
 * ->mmap: EINVAL for MAP_PRIVATE and what is not aligned to chunks, EACCES for PROT_EXEC, ENOMEM
 * when it cannot reserve.
 */
int fault_mmap(struct file *file, struct vm_area_struct *vma);
/** ->get_unmapped_area: addresses aligned to chunks. */
unsigned long fault_get_unmapped_area(struct file *file, unsigned long addr, unsigned long len,
				      unsigned long pgoff, unsigned long flags);
/** Faults answered with a chunk, since load. */
u64 fault_count(void);

#endif /* ARENA_FAULT_H */
