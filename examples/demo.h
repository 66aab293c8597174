/* SPDX-License-Identifier: MIT */
/*
 * arena-demo: what its parts share. Each command is one file with one entry point; workload.c is the
 * real work, request.c does it in a chosen way, measure.c reads the clock and /proc.
 */
#ifndef EXAMPLES_DEMO_H
#define EXAMPLES_DEMO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define DEMO_KIB ((uint64_t)1024)
#define DEMO_MIB (1024 * DEMO_KIB)

/* Exit codes: EXIT_SUCCESS, EXIT_FAILURE for a run that failed, and this for a wrong command line. */
#define DEMO_EXIT_USAGE 2

/** Print "arena-demo: ..." on standard error and exit with EXIT_FAILURE. */
void demo_die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
/** The same for a wrong command line; names --help and exits with DEMO_EXIT_USAGE. */
void demo_usage_error(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
/** @text as a number from @low to @high, or a usage error that names @option. */
uint64_t demo_number(const char *option, const char *text, uint64_t low, uint64_t high);
/** Print the usage text of @command ("parse", "serve", ..., NULL for all) on @stream. */
void demo_usage(FILE *stream);
/** Handle --help and --version; every command calls it from its option loop. */
void demo_common_option(int option);

/* Values of getopt_long() that every command shares. */
enum demo_option { DEMO_OPTION_HELP = 1000, DEMO_OPTION_VERSION };
#define DEMO_COMMON_OPTIONS \
	{ "help", no_argument, NULL, DEMO_OPTION_HELP }, \
	{ "version", no_argument, NULL, DEMO_OPTION_VERSION }

/* The commands; argv[0] is the name of the command. */
int parse_main(int argc, char **argv);
int serve_main(int argc, char **argv);
int hog_main(int argc, char **argv);
int sample_main(int argc, char **argv);

#endif
