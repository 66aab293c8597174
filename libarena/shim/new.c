// SPDX-License-Identifier: MIT
/*
 * C++'s operators new and delete in all their forms, by their symbols: the library needs no C++ to be built, and programs without C++ none to
 * run. What only libstdc++ can do, the new-handler and the exception, is called where it is there.
 *
 * Names: Itanium C++ ABI, section 5.1.
 */
#include <dlfcn.h>
#include <stdlib.h>

#include "panic.h"
#include "shim/shim.h"

typedef void handler(void);

extern handler *std_get_new_handler(void) __asm__("_ZSt15get_new_handlerv") __attribute__((weak));
extern void std_throw_bad_alloc(void) __asm__("_ZSt17__throw_bad_allocv") __attribute__((weak, noreturn));

static void *try_once(size_t bytes, size_t align_bytes)
{
	void *object;

	if (unlikely(align_bytes > 16))
		return shim_alloc_aligned(bytes, align_bytes);
	return likely(shim_take(bytes, &object)) ? object : shim_alloc(bytes);
}

/* What libstdc++ has under a name, also when it came with a library that was opened later. */
static void *find(const char *symbol)
{
	void *library = dlopen("libstdc++.so.6", RTLD_LAZY | RTLD_NOLOAD);
	void *found = library ? dlsym(library, symbol) : NULL;

	if (library)
		dlclose(library);
	return found;
}

/* The program's, or NULL. */
static handler *find_handler(void)
{
	handler *(*get)(void) = std_get_new_handler;

	if (!get)
		*(void **)(void *)&get = find("_ZSt15get_new_handlerv");
	return get ? get() : NULL;
}

/* The handler frees something, throws, or ends the program; without one there is no hope. */
static void *try_with_handler(size_t bytes, size_t align_bytes)
{
	void *object = NULL;
	handler *help;

	SHIM_FRAME();
	while (!object && (help = find_handler())) {
		help();
		object = try_once(bytes, align_bytes);
	}
	return object;
}

static void *new_or_throw(size_t bytes, size_t align_bytes)
{
	void *object = try_once(bytes, align_bytes);
	void (*throw)(void) = std_throw_bad_alloc;

	SHIM_FRAME();
	if (unlikely(!object))
		object = try_with_handler(bytes, align_bytes);
	if (likely(object))
		return object;
	if (!throw)
		*(void **)(void *)&throw = find("_ZSt17__throw_bad_allocv");
	if (throw)
		throw();
	panic("out of memory in operator new (%zu bytes)", bytes);
}

/* C cannot catch what a handler throws: libstdc++'s own forms call those above, and catch. */
static void *new_or_caught(size_t bytes, size_t align_bytes)
{
	void *(*plain)(size_t, const void *);
	void *(*aligned)(size_t, size_t, const void *);

	if (align_bytes == 1) {
		*(void **)(void *)&plain = find("_ZnwmRKSt9nothrow_t");
		return plain ? plain(bytes, "") : NULL;
	}
	*(void **)(void *)&aligned = find("_ZnwmSt11align_val_tRKSt9nothrow_t");
	return aligned ? aligned(bytes, align_bytes, "") : NULL;
}

static void *new_or_null(size_t bytes, size_t align_bytes)
{
	void *object = try_once(bytes, align_bytes);

	SHIM_FRAME();
	if (likely(object) || !find_handler())
		return object;
	return new_or_caught(bytes, align_bytes);
}

/* A function of C under a name of C++. */
#define NEW(name, symbol, parameters, call) \
	SHIM_API void *name parameters __asm__(symbol); \
	void *name parameters { return call; }
#define DELETE(name, symbol, parameters) \
	SHIM_API void name parameters __asm__(symbol); \
	void name parameters { free(object); }

/* Sizes and alignments are known from the object. */
#define UNUSED __attribute__((unused))

NEW(new_one, "_Znwm", (size_t bytes), new_or_throw(bytes, 1))
NEW(new_array, "_Znam", (size_t bytes), new_or_throw(bytes, 1))
NEW(new_one_nothrow, "_ZnwmRKSt9nothrow_t", (size_t bytes, const void *tag UNUSED), new_or_null(bytes, 1))
NEW(new_array_nothrow, "_ZnamRKSt9nothrow_t", (size_t bytes, const void *tag UNUSED), new_or_null(bytes, 1))
NEW(new_one_aligned, "_ZnwmSt11align_val_t", (size_t bytes, size_t align), new_or_throw(bytes, align))
NEW(new_array_aligned, "_ZnamSt11align_val_t", (size_t bytes, size_t align), new_or_throw(bytes, align))
NEW(new_one_aligned_nothrow, "_ZnwmSt11align_val_tRKSt9nothrow_t", (size_t bytes, size_t align, const void *tag UNUSED),
    new_or_null(bytes, align))
NEW(new_array_aligned_nothrow, "_ZnamSt11align_val_tRKSt9nothrow_t", (size_t bytes, size_t align, const void *tag UNUSED),
    new_or_null(bytes, align))

DELETE(delete_one, "_ZdlPv", (void *object))
DELETE(delete_array, "_ZdaPv", (void *object))
DELETE(delete_one_sized, "_ZdlPvm", (void *object, size_t bytes UNUSED))
DELETE(delete_array_sized, "_ZdaPvm", (void *object, size_t bytes UNUSED))
DELETE(delete_one_nothrow, "_ZdlPvRKSt9nothrow_t", (void *object, const void *tag UNUSED))
DELETE(delete_array_nothrow, "_ZdaPvRKSt9nothrow_t", (void *object, const void *tag UNUSED))
DELETE(delete_one_aligned, "_ZdlPvSt11align_val_t", (void *object, size_t align UNUSED))
DELETE(delete_array_aligned, "_ZdaPvSt11align_val_t", (void *object, size_t align UNUSED))
DELETE(delete_one_sized_aligned, "_ZdlPvmSt11align_val_t", (void *object, size_t bytes UNUSED, size_t align UNUSED))
DELETE(delete_array_sized_aligned, "_ZdaPvmSt11align_val_t", (void *object, size_t bytes UNUSED, size_t align UNUSED))
DELETE(delete_one_aligned_nothrow, "_ZdlPvSt11align_val_tRKSt9nothrow_t",
       (void *object, size_t align UNUSED, const void *tag UNUSED))
DELETE(delete_array_aligned_nothrow, "_ZdaPvSt11align_val_tRKSt9nothrow_t",
       (void *object, size_t align UNUSED, const void *tag UNUSED))
