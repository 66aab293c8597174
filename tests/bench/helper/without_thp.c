// SPDX-License-Identifier: MIT
/*
 * without_thp COMMAND...: runs a command that gets no transparent huge pages, whatever it asks for.
 *
 * A machine on which THP silently does not come, for tests/bench/cli.sh.
 */
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc < 2) {
		fputs("usage: without_thp COMMAND...\n", stderr);
		return 2;
	}
	if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)) {
		perror("without_thp: prctl");
		return 2;
	}
	execvp(argv[1], argv + 1);
	perror(argv[1]);
	return 2;
}
