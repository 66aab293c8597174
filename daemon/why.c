// SPDX-License-Identifier: MIT
#include "daemon/why.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define PATH_BYTES 256

static bool file_has(const char *root, const char *path, const char *text)
{
	char full[PATH_BYTES], line[4096];
	bool found = false;
	FILE *file;

	snprintf(full, sizeof(full), "%s%s", root, path);
	file = fopen(full, "re");
	while (file && !found && fgets(line, sizeof(line), file))
		found = strstr(line, text);
	if (file)
		fclose(file);
	return found;
}

static bool is_loaded(const char *root)
{
	char path[PATH_BYTES];

	snprintf(path, sizeof(path), "%s/sys/module/arena", root);
	return !access(path, F_OK);
}

static bool is_locked_down(const char *root)
{
	static const char lockdown[] = "/sys/kernel/security/lockdown";

	return file_has(root, lockdown, "[integrity]") || file_has(root, lockdown, "[confidentiality]");
}

/* depmod lists what modprobe can find. */
static bool is_built(const char *root)
{
	char path[PATH_BYTES];
	struct utsname kernel;

	if (uname(&kernel))
		return true;
	snprintf(path, sizeof(path), "/lib/modules/%s/modules.dep", kernel.release);
	return file_has(root, path, "/arena.ko");
}

const char *why_not_loaded(const char *root)
{
	if (is_loaded(root))
		return "the module is loaded, but its device is not there";
	if (!is_built(root))
		return "not loaded: there is no arena.ko for this kernel (see dkms status)";
	if (is_locked_down(root))
		return "not loaded: the kernel is locked down (Secure Boot) and takes only modules signed with a key it knows; see arena(4)";
	if (file_has(root, "/sys/module/module/parameters/sig_enforce", "Y"))
		return "not loaded: the kernel takes only modules signed with a key it knows; see arena(4)";
	return "not loaded (modprobe arena)";
}
