#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# install
#
# `make install` into an empty folder: the list of files is exact, a program builds against what was
# installed and nothing else (pkg-config, shared and static, C and C++), programs know their version,
# the module builds from the installed sources, and uninstall leaves nothing behind.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

B=${B:-build}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
dest=$root/dest
version=$(make -s print-VERSION)
lib=usr/lib/$(gcc -print-multiarch)
lib=${lib%/}

quiet_make() { make -s --no-print-directory "$@"; }

expected_files() {
	local f
	for f in libarena/include/arena/*.h; do echo "usr/include/arena/${f##*/}"; done
	printf '%s\n' usr/include/arena/uapi.h \
		"$lib/libarena.a" "$lib/libarena.so" "$lib/libarena.so.0" "$lib/libarena.so.$version" \
		"$lib/libarena-malloc.so" "$lib/libarena-trace.so" \
		"$lib/pkgconfig/libarena.pc" \
		usr/bin/arenactl usr/bin/arena-bench usr/bin/arena-bench-malloc usr/bin/arena-bench-pages usr/sbin/arenad \
		lib/udev/rules.d/60-arena.rules lib/systemd/system/arenad.service \
		usr/lib/sysusers.d/arena.conf "usr/src/arena-$version/dkms.conf" \
		"usr/src/arena-$version/Kbuild" "usr/src/arena-$version/COPYING"
	for f in $(make -s print-GC_DRIVERS); do echo "usr/bin/arena-bench-gc-$f"; done
	for f in kmod/*.[ch] kmod/test/*.[ch] kmod/uapi/*.h; do echo "usr/src/arena-$version/$f"; done
	for f in doc/man/*.[1-8] daemon/*.[1-8] bench/*.[1-8]; do
		[ ! -e "$f" ] || echo "usr/share/man/man${f##*.}/${f##*/}"
	done
}

package() {
	PKG_CONFIG_PATH=$dest/$lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$dest pkg-config "$@" libarena
}

# build OUT COMPILER...: a program outside the tree, with what pkg-config says.
build() {
	local out=$1
	shift
	# shellcheck disable=SC2046 # flags
	(cd "$root" && "$@" -o "$out" $(package --cflags) $(package --libs))
}

cat >"$root/user.c" <<'END'
#include <arena/arena.h>
#include <arena/uapi.h>
#include <stdio.h>
int main(void)
{
	struct arena *arena = arena_new(NULL);
	char *text = arena ? arena_strdup(arena, "hello") : NULL;

	if (!text || strcmp(text, "hello") != 0 || strcmp(arena_version(), ARENA_VERSION_STRING) != 0)
		return 1;
	printf("%s from chunks of %llu bytes\n", text, (unsigned long long)ARENA_CHUNK_BYTES);
	arena_free(arena);
	return 0;
}
END
cp "$root/user.c" "$root/user.cc"

run_ok "make install" quiet_make install DESTDIR="$dest" PREFIX=/usr
expected_files | sort >"$root/expected"
(cd "$dest" && find . ! -type d | sed 's,^\./,,' | sort) >"$root/found"
empty_ok "the files are those that are expected" "$(diff "$root/expected" "$root/found")"
empty_ok "no file has another owner's permissions" "$(find "$dest" -type f -perm /022)"
empty_ok "no placeholder is left" "$(grep -rlE '@[A-Z]+@' "$dest/$lib/pkgconfig" "$dest/usr/src")"
run_ok "the library's soname is libarena.so.0" bash -c \
	"readelf -d '$dest/$lib/libarena.so' | grep -q 'SONAME.*\[libarena.so.0\]'"
run_ok "the library stays when a program closes it: its handlers do" bash -c \
	"readelf -d '$dest/$lib/libarena.so' | grep -q 'FLAGS_1.*NODELETE'"
empty_ok "the library exports arena_ names only" "$(nm -D --defined-only "$dest/$lib/libarena.so" |
	awk '$2 != "A" { print $3 }' | sed 's/@.*//' | grep -v '^arena_')"
empty_ok "the static library defines arena_ names only" "$(nm -g --defined-only "$dest/$lib/libarena.a" |
	awk 'NF == 3 { print $3 }' | grep -v '^arena_')"
run_ok "pkg-config knows version $version" test "$(package --modversion)" = "$version"
run_ok "a C program builds" build user gcc user.c
run_ok "it runs" env LD_LIBRARY_PATH="$dest/$lib" "$root/user"
run_ok "a C++ program builds" build user-cc g++ user.cc
run_ok "it runs, too" env LD_LIBRARY_PATH="$dest/$lib" "$root/user-cc"
run_ok "a static C program builds" build user-static gcc -static user.c
run_ok "it runs without the library" "$root/user-static"
for program in usr/bin/arenactl usr/bin/arena-bench usr/sbin/arenad; do
	run_ok "$program says its version" bash -c \
		"LD_LIBRARY_PATH='$dest/$lib' '$dest/$program' --version | grep -q -F '$version'"
	run_ok "$program explains itself" bash -c \
		"LD_LIBRARY_PATH='$dest/$lib' '$dest/$program' --help | grep -q -i usage"
done
run_ok "dkms.conf can be read" env -i bash -n "$dest/usr/src/arena-$version/dkms.conf"
# What DKMS would build: nothing but the installed sources, against a stock kernel's headers.
name="the module builds from the installed sources"
said=$(tests/vm/module --source "$dest/usr/src/arena-$version" 6.12 2>&1)
case $? in
0) ok "$name" ;;
77) skip "$name" "kernel headers cannot be had" ;;
*) not_ok "$name" "$said" ;;
esac
run_ok "make uninstall" quiet_make uninstall DESTDIR="$dest" PREFIX=/usr
empty_ok "uninstall leaves no file" "$(find "$dest" ! -type d)"
tap_end
