// SPDX-License-Identifier: MIT
/* daemon/why.c: the first cause that would stop modprobe is named, from files as the kernel shows them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "daemon/why.h"
#include "tests/daemon/tap.h"

static char root[] = "/tmp/arena-why.XXXXXX";

/* A file below the root with its folders. */
static void put(const char *path, const char *text)
{
	char full[512];
	FILE *file;

	snprintf(full, sizeof(full), "%s%s", root, path);
	for (char *slash = strchr(full + sizeof(root), '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(full, 0755);
		*slash = '/';
	}
	file = fopen(full, "w");
	if (!file)
		return;
	fputs(text, file);
	fclose(file);
}

static void put_module_list(const char *text)
{
	struct utsname kernel;
	char path[256];

	uname(&kernel);
	snprintf(path, sizeof(path), "/lib/modules/%s/modules.dep", kernel.release);
	put(path, text);
}

static bool says(const char *text)
{
	return strstr(why_not_loaded(root), text) && !strchr(why_not_loaded(root), '\n');
}

/* Each state is made from the one before, in the order in which an administrator would get further. */
static void each_cause_is_named(void)
{
	CHECK(says("there is no arena.ko for this kernel"), "nothing is known");
	put_module_list("kernel/fs/fat.ko:\nupdates/dkms/marenas.ko.xz:\n");
	CHECK(says("there is no arena.ko for this kernel"), "other modules");
	put_module_list("kernel/fs/fat.ko:\nupdates/dkms/arena.ko.xz:\n");
	CHECK(says("modprobe arena"), "built: %s", why_not_loaded(root));
	put("/sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
	CHECK(says("locked down (Secure Boot)"), "locked down");
	put("/sys/kernel/security/lockdown", "none integrity [confidentiality]\n");
	CHECK(says("locked down (Secure Boot)"), "locked down harder");
	put("/sys/kernel/security/lockdown", "[none] integrity confidentiality\n");
	put("/sys/module/module/parameters/sig_enforce", "N\n");
	CHECK(says("modprobe arena"), "not locked down");
	put("/sys/module/module/parameters/sig_enforce", "Y\n");
	CHECK(says("signed with a key"), "signatures are enforced");
	put("/sys/module/arena/refcnt", "0\n");
	CHECK(says("is loaded, but its device is not there"), "loaded");
}

int main(void)
{
	char command[64];

	if (!mkdtemp(root))
		return 1;
	RUN(each_cause_is_named);
	snprintf(command, sizeof(command), "rm -rf %s", root);
	if (system(command))
		return 1;
	return tap_end();
}
