// SPDX-License-Identifier: MIT
/*
 * Where the limit of a process's memory is written down.
 *
 *			version 2					version 1
 *	PROC/cgroup	0::GROUP					N:...,memory,...:GROUP
 *	PROC/mountinfo	... ROOT POINT ... - cgroup2 ...		... ROOT POINT ... - cgroup ... ...,memory,...
 *	limit		POINT/(GROUP below ROOT)/memory.max		the same, memory.limit_in_bytes
 *
 * A mount shows what is below ROOT, which in a container is often the process's own group. On a hybrid system both versions are mounted, and memory is a matter of one
 * of them: the other one has no such files. So all are read that are there.
 *
 * Each group's limit holds for all below it. Version 1 can be told otherwise on old kernels (memory.use_hierarchy): then the answer may be too low.
 */
#include "gc/cgroup.h"

#include <string.h>

#include "os.h"
#include "panic.h"

/* The kernel writes at most 4096. Groups are named by programs: some 200 are usual in a container. */
#define PATH_BYTES 1024
/* What no machine has: version 1 writes "unlimited" as the highest number of whole pages. */
#define UNLIMITED ((uint64_t)1 << 62)
/* Of a line of mountinfo: ten, and its tags, of which the kernel knows four. */
#define WORDS_MAX 16

enum version { V1, V2, NR_VERSIONS };
/* Of mounts, and where each writes the limit. */
static const char *const types[] = { [V1] = "cgroup", [V2] = "cgroup2" };
static const char *const files[] = { [V1] = "memory.limit_in_bytes", [V2] = "memory.max" };

struct search {
	const char *proc, *base; /* as gc_cgroup_limit() */
	char groups[NR_VERSIONS][PATH_BYTES]; /* the process's; "": none */
	uint64_t least_bytes;
};

/* ---------------------------------------------------------------- text */

/* Ends what @line begins with at the first @end, and returns what is behind; NULL: there is none. */
static char *cut(char *line, char end)
{
	char *at = strchr(line, end);

	if (!at)
		return NULL;
	*at = 0;
	return at + 1;
}

/* The first words of a line, ended; returns how many, at most @max. */
static unsigned int split(char *line, char **words, unsigned int max)
{
	unsigned int nr = 0;

	for (; line && nr < max; line = cut(line, ' '))
		words[nr++] = line;
	return nr;
}

/* Whether a list with commas has that word in it. */
static bool lists(const char *list, const char *word)
{
	size_t nr = strlen(word);

	for (; list; list = strchr(list, ',')) {
		list += *list == ',';
		if (!strncmp(list, word, nr) && (!list[nr] || list[nr] == ','))
			return true;
	}
	return false;
}

static bool is_octal(const char *digits)
{
	return strspn(digits, "01234567") >= 3;
}

/* Spaces and backslashes of paths are written as \ooo in mountinfo. In place. */
static void unescape(char *text)
{
	char *to = text;

	for (; *text; to++) {
		bool is_escape = *text == '\\' && is_octal(text + 1);

		*to = (char)(is_escape ? (text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0') : *text);
		text += is_escape ? 4 : 1;
	}
	*to = 0;
}

/* "max" is no number. */
static uint64_t parse(const char *text)
{
	uint64_t number = 0;

	if (*text < '0' || *text > '9')
		return UINT64_MAX;
	for (; *text >= '0' && *text <= '9'; text++)
		number = number * 10 + (uint64_t)(*text - '0');
	return number < UNLIMITED ? number : UINT64_MAX;
}

/* ---------------------------------------------------------------- limits */

static uint64_t limit_at(const struct search *search, const char *point, const char *group, enum version version)
{
	char path[3 * PATH_BYTES], number[32];
	struct text out;

	text_init(&out, path, sizeof(path));
	text_put(&out, "%s%s%s/%s", search->base, point, group, files[version]);
	return os_read_text(path, number, sizeof(number)) ? parse(number) : UINT64_MAX;
}

/* From the group up to what is mounted. */
static void look_upwards(struct search *search, const char *point, const char *group, enum version version)
{
	char folder[PATH_BYTES], *end;

	memcpy(folder, group, strlen(group) + 1);
	for (end = folder + strlen(folder); end; end = strrchr(folder, '/')) {
		*end = 0;
		search->least_bytes = size_min(search->least_bytes, limit_at(search, point, folder, version));
	}
}

/*
 * What is left of a group's path below that of the mount's root; NULL: it is not there, and the mount is of others. A root above the cgroup namespace is
 * /.. or higher, and it is not known by which way one comes down from it.
 */
static const char *below(const char *group, const char *root)
{
	size_t nr = strlen(root);

	if (!strcmp(root, "/"))
		return group;
	if (!root[strspn(root, "/.")])
		return "";
	return !strncmp(group, root, nr) && (!group[nr] || group[nr] == '/') ? group + nr : NULL;
}

static void look_at_mount(struct search *search, char *root, char *point, enum version version)
{
	const char *group = search->groups[version];

	unescape(root);
	unescape(point);
	group = *group ? below(group, root) : NULL;
	if (group)
		look_upwards(search, point, group, version);
}

/* ---------------------------------------------------------------- files of the process */

/* NUMBER:CONTROLLERS:GROUP, of which version 2 has 0 and none. */
static void read_group(void *context, char *line)
{
	struct search *search = context;
	char *controllers = cut(line, ':'), *group = controllers ? cut(controllers, ':') : NULL;

	if (!group || strlen(group) >= PATH_BYTES)
		return;
	if (!strcmp(line, "0") && !*controllers)
		memcpy(search->groups[V2], group, strlen(group) + 1);
	else if (lists(controllers, "memory"))
		memcpy(search->groups[V1], group, strlen(group) + 1);
}

/* ID PARENT DEVICE ROOT POINT OPTIONS [TAGS...] - TYPE SOURCE OPTIONS */
static void read_mount(void *context, char *line)
{
	char *words[WORDS_MAX];
	unsigned int nr = split(line, words, WORDS_MAX), dash = 6;

	while (dash < nr && strcmp(words[dash], "-"))
		dash++;
	if (dash + 3 >= nr)
		return;
	if (!strcmp(words[dash + 1], types[V2]))
		look_at_mount(context, words[3], words[4], V2);
	else if (!strcmp(words[dash + 1], types[V1]) && lists(words[dash + 3], "memory"))
		look_at_mount(context, words[3], words[4], V1);
}

static bool read_lines(struct search *search, const char *name, void (*function)(void *context, char *line))
{
	char path[PATH_BYTES];
	struct text out;

	text_init(&out, path, sizeof(path));
	text_put(&out, "%s/%s", search->proc, name);
	return os_read_lines(path, function, search);
}

uint64_t gc_cgroup_limit(const char *proc, const char *base)
{
	struct search search = { .proc = proc, .base = base, .least_bytes = UINT64_MAX };

	if (read_lines(&search, "cgroup", read_group))
		read_lines(&search, "mountinfo", read_mount);
	return search.least_bytes;
}
