// SPDX-License-Identifier: MIT
// C++'s operators new and delete in all forms, the new-handler, std::bad_alloc, and variables of threads. Run by api.sh with the replacement.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <malloc.h>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <sys/resource.h>
#include <thread>
#include <vector>

static int nr_tests, nr_failed;

static void result(bool good, const char *name)
{
	nr_failed += !good;
	printf("%sok %d - new/%s\n", good ? "" : "not ", ++nr_tests, name);
}

static volatile std::size_t absurd = SIZE_MAX / 2 - 100;

struct alignas(256) wide {
	char bytes[300];
};

static bool is_ours(const char *symbol)
{
	Dl_info info;
	void *found = dlsym(RTLD_DEFAULT, symbol);

	return found && dladdr(found, &info) && strstr(info.dli_fname, "libarena-malloc.so");
}

static bool all_ours()
{
	static const char *const symbols[] = {
		"_Znwm", "_Znam", "_ZnwmRKSt9nothrow_t", "_ZnamRKSt9nothrow_t", "_ZnwmSt11align_val_t", "_ZnamSt11align_val_t",
		"_ZnwmSt11align_val_tRKSt9nothrow_t", "_ZnamSt11align_val_tRKSt9nothrow_t", "_ZdlPv", "_ZdaPv", "_ZdlPvm", "_ZdaPvm",
		"_ZdlPvRKSt9nothrow_t", "_ZdaPvRKSt9nothrow_t", "_ZdlPvSt11align_val_t", "_ZdaPvSt11align_val_t",
		"_ZdlPvmSt11align_val_t", "_ZdaPvmSt11align_val_t", "_ZdlPvSt11align_val_tRKSt9nothrow_t",
		"_ZdaPvSt11align_val_tRKSt9nothrow_t",
	};
	bool all = true;

	for (const char *symbol : symbols)
		all &= is_ours(symbol);
	return all;
}

static bool usable(void *object, std::size_t bytes, std::size_t align)
{
	if (!object || reinterpret_cast<std::uintptr_t>(object) % align || malloc_usable_size(object) < bytes)
		return false;
	memset(object, 1, bytes);
	return true;
}

static bool plain_forms()
{
	bool good = true;

	for (std::size_t bytes = 0; bytes < 3000000; bytes = bytes * 3 + 1) {
		void *one = operator new(bytes), *two = operator new[](bytes), *three = operator new(bytes);
		void *four = operator new(bytes, std::nothrow), *five = operator new[](bytes, std::nothrow);

		good &= usable(one, bytes, 16) && usable(two, bytes, 16) && usable(three, bytes, 16);
		good &= usable(four, bytes, 16) && usable(five, bytes, 16);
		operator delete(one);
		operator delete[](two);
		operator delete(three, bytes);
		operator delete(four, std::nothrow);
		operator delete[](five, std::nothrow);
		operator delete[](operator new[](bytes), bytes);
	}
	operator delete(nullptr);
	operator delete[](nullptr);
	return good;
}

static bool aligned_forms()
{
	bool good = true;

	for (std::size_t power = 16; power <= 4096; power *= 2) {
		std::align_val_t align{ power };
		void *one = operator new(100, align), *two = operator new[](5000, align);
		void *three = operator new(100, align, std::nothrow), *four = operator new[](5000, align, std::nothrow);

		good &= usable(one, 100, power) && usable(two, 5000, power);
		good &= usable(three, 100, power) && usable(four, 5000, power);
		operator delete(one, align);
		operator delete[](two, 5000, align);
		operator delete(three, align, std::nothrow);
		operator delete[](four, align, std::nothrow);
		operator delete(operator new(100, align), 100, align);
		operator delete[](operator new[](100, align), align);
	}
	std::unique_ptr<wide[]> wides(new wide[10]);
	return good && usable(wides.get(), sizeof(wide) * 10, alignof(wide));
}

template <typename Call> static bool throws(Call call)
{
	try {
		call();
	} catch (const std::bad_alloc &) {
		return true;
	}
	return false;
}

// Without a use the compiler leaves out the whole expression.
static char *volatile kept;

static bool exceptions()
{
	std::align_val_t align{ 64 };

	return throws([] { operator delete(operator new(absurd)); }) &&
	       throws([] { operator delete[](operator new[](absurd)); }) &&
	       throws([=] { operator delete(operator new(absurd, align), align); }) &&
	       throws([=] { operator delete[](operator new[](absurd, align), align); }) &&
	       throws([] { kept = new char[absurd]; });
}

static bool no_exceptions()
{
	std::align_val_t align{ 64 };

	return !operator new(absurd, std::nothrow) && !operator new[](absurd, std::nothrow) &&
	       !operator new(absurd, align, std::nothrow) && !operator new[](absurd, align, std::nothrow);
}

static int handler_calls;

// Gives up at the third call.
static void handler()
{
	if (++handler_calls == 3)
		std::set_new_handler(nullptr);
}

static void throwing_handler()
{
	handler_calls++;
	throw std::bad_alloc();
}

static bool handlers()
{
	bool good;

	std::set_new_handler(handler);
	good = throws([] { operator delete(operator new(absurd)); }) && handler_calls == 3;
	std::set_new_handler(handler);
	handler_calls = 0;
	good &= !operator new(absurd, std::nothrow) && handler_calls == 3;
	std::set_new_handler(throwing_handler);
	handler_calls = 0;
	good &= throws([] { operator delete(operator new(absurd)); }) && handler_calls == 1;
	// The exception of a handler must not leave a form that promises none.
	handler_calls = 0;
	good &= !throws([] { operator delete(operator new(absurd, std::nothrow)); }) && handler_calls == 1;
	std::set_new_handler(nullptr);
	return good;
}

// The forms with an alignment are functions of their own.
static bool aligned_handlers()
{
	std::align_val_t align{ 64 };
	bool good = true;

	for (int array = 0; array < 2; array++) {
		auto any = [=] { kept = static_cast<char *>(array ? operator new[](absurd, align) : operator new(absurd, align)); };
		auto any_nothrow = [=] {
			kept = static_cast<char *>(array ? operator new[](absurd, align, std::nothrow) : operator new(absurd, align, std::nothrow));
		};

		std::set_new_handler(handler);
		handler_calls = 0;
		good &= throws(any) && handler_calls == 3;
		std::set_new_handler(handler);
		handler_calls = 0;
		good &= !throws(any_nothrow) && !kept && handler_calls == 3;
		std::set_new_handler(throwing_handler);
		handler_calls = 0;
		good &= throws(any) && handler_calls == 1;
		handler_calls = 0;
		good &= !throws(any_nothrow) && !kept && handler_calls == 1;
	}
	std::set_new_handler(nullptr);
	return good;
}

static rlimit no_limit;

// Helps: there are addresses again.
static void lifting_handler()
{
	handler_calls++;
	setrlimit(RLIMIT_AS, &no_limit);
}

// Objects that are not to be had under a limit of addresses, until the handler lifts it.
template <typename Call> static bool is_helped(Call call, std::size_t bytes, std::size_t power)
{
	rlimit tight = no_limit;
	void *object;
	bool good;

	tight.rlim_cur = std::size_t(512) << 20;
	handler_calls = 0;
	malloc_trim(0);
	setrlimit(RLIMIT_AS, &tight);
	object = call(bytes);
	setrlimit(RLIMIT_AS, &no_limit);
	good = handler_calls == 1 && usable(object, 100, power) && malloc_usable_size(object) >= bytes;
	free(object);
	return good;
}

// Alignments that no object has by chance.
static bool helping_handlers()
{
	static constexpr std::align_val_t align{ 1 << 26 };
	std::size_t bytes = std::size_t(64) << 20, power = std::size_t(align);
	bool good = !getrlimit(RLIMIT_AS, &no_limit);

	std::set_new_handler(lifting_handler);
	good &= is_helped([](std::size_t b) { return operator new(b); }, bytes, 16);
	good &= is_helped([](std::size_t b) { return operator new[](b); }, bytes, 16);
	good &= is_helped([](std::size_t b) { return operator new(b, std::nothrow); }, bytes, 16);
	good &= is_helped([](std::size_t b) { return operator new[](b, std::nothrow); }, bytes, 16);
	good &= is_helped([](std::size_t b) { return operator new(b, align); }, bytes, power);
	good &= is_helped([](std::size_t b) { return operator new[](b, align); }, bytes, power);
	good &= is_helped([](std::size_t b) { return operator new(b, align, std::nothrow); }, bytes, power);
	good &= is_helped([](std::size_t b) { return operator new[](b, align, std::nothrow); }, bytes, power);
	std::set_new_handler(nullptr);
	return good;
}

struct of_thread {
	std::vector<std::string> texts;
	~of_thread()
	{
		for (int i = 0; i < 100; i++)
			texts.push_back("the destructor of a variable of a thread " + std::to_string(i));
	}
};

static thread_local of_thread local;

static bool thread_variables()
{
	for (int i = 0; i < 50; i++) {
		std::thread thread([] { local.texts.push_back("a text that is too long to be kept within its object"); });

		thread.join();
	}
	return true;
}

static std::map<int, std::string> *before_main = new std::map<int, std::string>{ { 1, "an object with an initializer" } };

static bool containers()
{
	for (int i = 0; i < 20000; i++)
		(*before_main)[i] += std::to_string(i) + " and more that makes it a long one";
	before_main->erase(before_main->begin(), before_main->find(19000));
	return before_main->size() == 1000 && (*before_main)[19500] == "19500 and more that makes it a long one";
}

int main()
{
	result(all_ours(), "every form is the replacement's");
	result(plain_forms(), "plain, of arrays, sized, nothrow");
	result(aligned_forms(), "aligned, in all forms");
	result(exceptions(), "std::bad_alloc when out of memory");
	result(no_exceptions(), "nothrow gives nullptr");
	result(handlers(), "the new-handler is called again and again, and may throw");
	result(aligned_handlers(), "so it is by the aligned forms");
	result(helping_handlers(), "what the new-handler helps with is an object, aligned as it was asked for");
	result(thread_variables(), "destructors of variables of threads allocate");
	result(containers(), "containers from before main");
	printf("1..%d\n", nr_tests);
	return nr_failed != 0;
}
