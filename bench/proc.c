// SPDX-License-Identifier: MIT
/*
 * Reads /proc and /sys: the evidence that a benchmark measured the source it names.
 *
 * smaps walks page tables, so it is read outside of timed sections only.
 */
#include "bench/proc.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

static void add_field(const char *line, struct proc_usage *usage)
{
	struct {
		const char *key;
		size_t *bytes;
	} fields[] = {
		{ "Rss:", &usage->rss_bytes },
		{ "AnonHugePages:", &usage->anon_huge_bytes },
		{ "FilePmdMapped:", &usage->file_pmd_bytes },
		{ "Private_Hugetlb:", &usage->hugetlb_bytes },
		{ "Shared_Hugetlb:", &usage->hugetlb_bytes },
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (!strncmp(line, fields[i].key, strlen(fields[i].key)))
			*fields[i].bytes += strtoul(line + strlen(fields[i].key), NULL, 10) << 10;
}

int proc_usage(const void *base, size_t bytes, struct proc_usage *usage)
{
	uintptr_t start, limit, want = (uintptr_t)base;
	FILE *file = fopen("/proc/self/smaps", "re");
	bool inside = false;
	char line[512];

	memset(usage, 0, sizeof(*usage));
	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &start, &limit) == 2)
			inside = !bytes || (start < want + bytes && limit > want);
		else if (inside)
			add_field(line, usage);
	}
	fclose(file);
	return 0;
}

uint64_t proc_minor_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (uint64_t)usage.ru_minflt;
}

size_t proc_available_bytes(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	size_t kib = 0;
	char line[256];

	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "MemAvailable: %zu", &kib) == 1)
			break;
	fclose(file);
	return kib << 10;
}

long proc_read_number(const char *path)
{
	FILE *file = fopen(path, "re");
	long number = -EIO;

	if (!file)
		return -errno;
	if (fscanf(file, "%ld", &number) != 1)
		number = -EIO;
	fclose(file);
	return number;
}

int proc_write_number(const char *path, long number)
{
	FILE *file = fopen(path, "we");
	int error = 0;

	if (!file)
		return -errno;
	if (fprintf(file, "%ld\n", number) < 0)
		error = -EIO;
	if (fclose(file))
		error = -errno;
	return error;
}

/* Print what follows @key in the first line of @path that starts with it. */
static void print_line_of(FILE *out, const char *title, const char *path, const char *key)
{
	FILE *file = fopen(path, "re");
	char line[512];

	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, key, strlen(key)))
			continue;
		fprintf(out, "# %s%s", title, line + strlen(key) + strspn(line + strlen(key), "\t :"));
		break;
	}
	fclose(file);
}

void proc_print_machine(FILE *out)
{
	fprintf(out, "# kernel: %s, %ld CPUs\n", proc_kernel(), sysconf(_SC_NPROCESSORS_ONLN));
	print_line_of(out, "CPU: ", "/proc/cpuinfo", "model name");
	print_line_of(out, "memory: ", "/proc/meminfo", "MemTotal");
	print_line_of(out, "THP enabled: ", "/sys/kernel/mm/transparent_hugepage/enabled", "");
	print_line_of(out, "THP defrag: ", "/sys/kernel/mm/transparent_hugepage/defrag", "");
}

const char *proc_kernel(void)
{
	static struct utsname name;	/* filled on first use, by the main thread */

	if (!name.release[0])
		uname(&name);
	return name.release;
}
