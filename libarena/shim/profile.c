// SPDX-License-Identifier: MIT
/*
 * Profiles of programs that know nothing of it: begun by the environment, written at exit and on a signal. Each process writes files
 * of its own, $ARENA_PROFILE.PID.pb.gz at its end and $ARENA_PROFILE.PID.N.pb.gz for its N-th signal.
 *
 * The handler of the signal only wakes a thread, which waits for nothing else and runs no handlers. A child of fork() has no such
 * thread: it writes at its end only. The thread's small stack is enough: zlib and protobuf-c keep their buffers in the heap.
 */
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include <unwind.h>

#include "arena/profile.h"
#include "opt.h"
#include "os.h"
#include "panic.h"
#include "shim/shim.h"
#include "stack.h"
#include "thread.h"

#define PATH_BYTES 1024

static char prefix[PATH_BYTES];	/* fixed before main(); empty: no file is asked for */
static uint32_t is_wanted;	/* atomic, futex: 1 = a signal came */
static unsigned int nr_written;	/* of the thread alone */

/* ---------------------------------------------------------------- files */

static void save(unsigned int number)
{
	char path[PATH_BYTES + 64];
	struct text text;
	int error;

	text_init(&text, path, sizeof(path));
	text_put(&text, "%s.%d", prefix, (int)getpid());
	if (number)
		text_put(&text, ".%u", number);
	text_put(&text, ".pb.gz");
	error = arena_profile_save(path);
	if (error)
		report("the profile %s cannot be written: error %d", path, -error);
}

void shim_profile_end(void)
{
	if (prefix[0])
		save(0);
}

/* ---------------------------------------------------------------- on a signal */

static void handle(int signal_number)
{
	(void)signal_number;
	atomic_store_relaxed(&is_wanted, 1u);
	os_futex_wake(&is_wanted);
}

static void *run(void *unused)
{
	(void)unused;
	arena_profile_pause();
	for (;;) {
		os_futex_wait(&is_wanted, 0);
		/* Nothing is read that the handler wrote but this. */
		if (atomic_swap_acquire(&is_wanted, 0u))
			save(++nr_written);
	}
	return NULL;
}

static void listen_to(int signal_number)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_handler = handle;
	action.sa_flags = SA_RESTART;
	sigemptyset(&action.sa_mask);
	if (thread_start(NULL, run, NULL) || sigaction(signal_number, &action, NULL))
		report("no profile will be written on signal %d", signal_number);
}

/* ---------------------------------------------------------------- stacks by libgcc */

static __typeof__(_Unwind_Backtrace) *unwind;
static __typeof__(_Unwind_GetIP) *get_ip;

struct walk {
	uintptr_t *addresses;
	unsigned int nr, max;
};

static _Unwind_Reason_Code step(struct _Unwind_Context *context, void *data)
{
	struct walk *walk = data;
	uintptr_t address = get_ip(context);

	if (!address || walk->nr == walk->max)
		return _URC_END_OF_STACK;
	walk->addresses[walk->nr++] = address;
	return _URC_NO_REASON;
}

static unsigned int walk_tables(uintptr_t *addresses, unsigned int max)
{
	struct walk walk = { .addresses = addresses, .max = max };

	unwind(step, &walk);
	return walk.nr;
}

/* Loaded now, because it could not be inside malloc(). */
static void use_unwinder(void)
{
	void *library = dlopen("libgcc_s.so.1", RTLD_NOW);

	if (library) {
		*(void **)(void *)&unwind = dlsym(library, "_Unwind_Backtrace");
		*(void **)(void *)&get_ip = dlsym(library, "_Unwind_GetIP");
	}
	if (unwind && get_ip)
		stack_set_walker(walk_tables);
	else
		report("libgcc_s.so.1 is not to be had: stacks are walked by frame pointers");
}

/* ---------------------------------------------------------------- start */

void shim_profile_start(void)
{
	struct arena_profile_options options = {
		.mean_bytes = opt_get(OPT_PROFILE_BYTES),
		.seed = opt_get(OPT_PROFILE_SEED),
		.guarded_objects = (uint32_t)opt_get(OPT_GUARDED_OBJECTS),
	};
	int signal_number = (int)opt_get(OPT_PROFILE_SIGNAL);
	const char *path = opt_profile();

	if (path && strlen(path) < sizeof(prefix))
		memcpy(prefix, path, strlen(path) + 1);
	if (opt_get(OPT_PROFILE_UNWIND))
		use_unwinder();
	if (arena_profile_start(&options))
		report("there is no memory for a profile");
	if (prefix[0] && signal_number)
		listen_to(signal_number);
}
