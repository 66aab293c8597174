// SPDX-License-Identifier: GPL-2.0-only
/* Attributes are made at load, because how many nodes there are shows only then. */
#include <linux/device.h>
#include <linux/nodemask.h>
#include <linux/slab.h>
#include <linux/stddef.h>
#include <linux/sysfs.h>

#include "pool.h"
#include "quarantine.h"
#include "space.h"
#include "stats_node.h"

#define NR_FIELDS (sizeof(struct stats_node) / sizeof(u64))

/**
 * struct node_attribute - a file
 * @attr: as sysfs wants it
 * @nid: whose
 * @field: offset in struct stats_node
 */
struct node_attribute {
	struct device_attribute attr;
	int nid;
	size_t field;
};

/** struct node_folder - the files of a node; all fixed after init */
struct node_folder {
	struct attribute_group group;
	char name[16];
	struct node_attribute files[NR_FIELDS];
	struct attribute *list[NR_FIELDS + 1];
};

static struct node_folder *folders; /* by node; fixed after init */

void stats_node(int nid, struct stats_node *stat)
{
	struct pool_stats pool;

	pool_stats(nid, &pool);
	*stat = (struct stats_node) {
		.taken_chunks = pool.taken_chunks,
		.returned_chunks = pool.returned_chunks,
		.handed_chunks = space_chunks_on_node(nid),
		.clean_chunks = pool.clean_chunks,
		.dirty_chunks = pool.dirty_chunks,
		.quarantined_chunks = quarantine_chunks(nid),
	};
}

static ssize_t field_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct node_attribute *file = container_of(attr, struct node_attribute, attr);
	struct stats_node stat;

	stats_node(file->nid, &stat);
	return sysfs_emit(buf, "%llu\n", *(u64 *)((char *)&stat + file->field));
}

static const struct {
	const char *name;
	size_t offset;
} fields[NR_FIELDS] = {
	{ "taken_chunks", offsetof(struct stats_node, taken_chunks) },
	{ "returned_chunks", offsetof(struct stats_node, returned_chunks) },
	{ "handed_chunks", offsetof(struct stats_node, handed_chunks) },
	{ "clean_chunks", offsetof(struct stats_node, clean_chunks) },
	{ "dirty_chunks", offsetof(struct stats_node, dirty_chunks) },
	{ "quarantined_chunks", offsetof(struct stats_node, quarantined_chunks) },
};

static void folder_init(struct node_folder *folder, int nid)
{
	size_t i;

	snprintf(folder->name, sizeof(folder->name), "node%d", nid);
	for (i = 0; i < NR_FIELDS; i++) {
		struct node_attribute *file = &folder->files[i];

		sysfs_attr_init(&file->attr.attr);
		file->attr.attr.name = fields[i].name;
		file->attr.attr.mode = 0444;
		file->attr.show = field_show;
		file->nid = nid;
		file->field = fields[i].offset;
		folder->list[i] = &file->attr.attr;
	}
	folder->group.name = folder->name;
	folder->group.attrs = folder->list;
}

int stats_node_init(const struct attribute_group **groups)
{
	int nid;

	folders = kcalloc(nr_node_ids, sizeof(*folders), GFP_KERNEL);
	if (!folders)
		return -ENOMEM;
	for_each_node(nid) {
		folder_init(&folders[nid], nid);
		*groups++ = &folders[nid].group;
	}
	*groups = NULL;
	return 0;
}

void stats_node_exit(void)
{
	kfree(folders);
}
