#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# api
#
# The programs of this folder that print TAP themselves, run with the malloc replacement; and what malloc_info() prints, to a parser of XML.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

B=${B:-build}

# python3 asks its own malloc(): one heap, of which it has used something, with each number where glibc has it.
run_ok "malloc_info() writes XML, of elements and attributes as glibc's" env LD_PRELOAD="$PWD/$B/libarena-malloc.so" python3 -c '
import ctypes, os, tempfile, xml.etree.ElementTree as tree
me = ctypes.CDLL(None)
me.fdopen.restype = ctypes.c_void_p
file = tempfile.TemporaryFile()
stream = ctypes.c_void_p(me.fdopen(os.dup(file.fileno()), b"w"))
assert me.malloc_info(0, stream) == 0 and me.fclose(stream) == 0
file.seek(0)
root = tree.parse(file).getroot()
sums = [("total", "fast"), ("total", "rest"), ("system", "current"), ("system", "max"), ("aspace", "total"), ("aspace", "mprotect")]
def shape(of): return [(it.tag, it.get("type")) for it in of]
assert root.tag == "malloc" and root.attrib == {"version": "1"}, (root.tag, root.attrib)
heap = root[0]
assert heap.tag == "heap" and heap.attrib == {"nr": "0"} and heap[0].tag == "sizes", tree.tostring(heap)
assert shape(heap[1:]) == sums, shape(heap)
assert shape(root[1:]) == sums[:2] + [("total", "mmap")] + sums[2:], shape(root)
assert len(heap[0]) > 5 and all(it.tag == "size" and set(it.attrib) == {"from", "to", "total", "count"} for it in heap[0])
numbers = [int(value) for it in root.iter() if it.tag not in ("malloc", "heap") for key, value in it.items() if key != "type"]
assert min(numbers) >= 0 and max(numbers) > 1 << 20, numbers
assert not any((text or "").strip() for it in root.iter() for text in (it.text, it.tail)), "text between elements"'

for program in api life new misuse limit; do
	[ "$program" != limit ] || export ARENA_MEMORY_LIMIT=64M
	run_ok "$program" env LD_PRELOAD="$PWD/$B/libarena-malloc.so" "$B/tests/malloc/$program"
done
tap_end
