// SPDX-License-Identifier: GPL-2.0-only
/*
 * /sys/kernel/debug/arena: what sysfs is too narrow for, one row for each thing, units in the
 * heads of the columns. No interface: columns come and go.
 */
#include <linux/debugfs.h>
#include <linux/pid.h>
#include <linux/seq_file.h>
#include <linux/user_namespace.h>

#include "debug.h"
#include "group.h"
#include "notice.h"
#include "space.h"
#include "view.h"

static struct dentry *debug_folder; /* fixed after init */

static bool space_is_any(struct arena_space *space)
{
	return true;
}

static void show_space(struct seq_file *m, struct arena_space *space)
{
	struct view_totals slots = view_totals(space);
	int nid;

	seq_printf(m, "%llu %u %d %#x %lu %ld %lu %lu %ld ", space->id,
		   from_kuid_munged(&init_user_ns, space->uid), pid_nr(space->pid), space->flags,
		   space->nr_slots, atomic_long_read(&space->nr_chunks),
		   slots.nr_live, slots.nr_kept,
		   atomic_long_read(&space->nr_quarantined));
	for_each_node_state(nid, N_MEMORY)
		seq_printf(m, "%d:%ld ", nid, atomic_long_read(&space->nr_on_node[nid]));
	/* A process may call itself anything. */
	seq_escape(m, space->comm, " \t\n\\");
	seq_putc(m, '\n');
}

static int spaces_show(struct seq_file *m, void *unused)
{
	struct arena_space *space = NULL;

	seq_puts(m, "id uid pid flags slots reserved_chunks live_chunks kept_chunks ");
	seq_puts(m, "quarantined_chunks node:chunks command\n");
	while ((space = space_next(space, space_is_any)))
		show_space(m, space);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(spaces);

static int notices_show(struct seq_file *m, void *unused)
{
	struct pool_group *group = NULL;
	unsigned int i = 0;

	seq_puts(m, "group kept_chunks level wanted_chunks grace_ns\n");
	while ((group = group_next(group))) {
		struct notice_state state = notice_state(&group->notice);

		seq_printf(m, "%u %ld %u %llu %llu\n", i++, atomic_long_read(&group->nr_kept),
			   state.level, state.wanted_chunks, state.grace_ns);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(notices);

void debug_init(void)
{
	debug_folder = debugfs_create_dir("arena", NULL);
	debugfs_create_file("spaces", 0400, debug_folder, NULL, &spaces_fops);
	debugfs_create_file("notices", 0400, debug_folder, NULL, &notices_fops);
}

void debug_exit(void)
{
	debugfs_remove(debug_folder);
}
