#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# programs
#
# Real programs give the same output with the malloc replacement as without, and use it. Small inputs: this shows that they work, not
# how fast. Functions below say what is run; what they print is compared.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=tests/malloc/lib.sh
. tests/malloc/lib.sh

# ---------------------------------------------------------------- compiler

compile() {
	"${CC:-gcc}" -D_GNU_SOURCE -std=gnu11 -O2 -g -Ilibarena/include -Ilibarena -I. -c -o "$folder/heap.o" libarena/heap.c || return
	sha256sum <"$folder/heap.o"
}
same "${CC:-gcc} compiles to the same object" compile

# ---------------------------------------------------------------- data

tables() {
	cat <<-'END'
		create table a(id integer primary key, name text, size integer);
		with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)
			insert into a select i, 'name ' || (i * 7919 % 20011), i * i % 1009 from n;
		create table b as select id * 3 % 20000 as a_id, name || ' of b' as text from a;
		create index b_a on b(a_id);
		select size, count(*), sum(length(text)), min(text), max(name) from a join b on a_id = id group by size order by 2, 1 limit 300;
		delete from b where a_id % 3; vacuum;
		select count(*), group_concat(text, ',') from (select text from b order by text limit 500);
		pragma integrity_check;
	END
}
tables >"$folder/tables.sql"
join() { rm -f "$folder/db"; sqlite3 "$folder/db" ".read $folder/tables.sql" && sha256sum <"$folder/db"; }
same "sqlite3 loads, joins and vacuums" join

# shellcheck disable=SC2016 # perl's variables
same "perl fills hashes, sorts, and matches" perl -e '
	my (%h, @all);
	for my $i (1 .. 60000) { $h{"key " . $i * 7919 % 60013} .= "value $i " x ($i % 7) }
	for my $k (sort keys %h) { push @all, "$k=$h{$k}" if $h{$k} =~ /(\d+)5 value/ }
	print scalar(@all), " ", length(join ",", @all), " ", join(",", @all[0 .. 50]), "\n"'

cat libarena/*.c daemon/*.c kmod/*.c >"$folder/text"
squeeze() { xz -9 -T2 --block-size=200KiB -c "$folder/text" | tee "$folder/text.xz" | sha256sum && xz -dc -T2 "$folder/text.xz" | sha256sum; }
same "xz packs and unpacks with two threads" squeeze

seq 200000 | awk '{ print $1 * 7919 % 200003, $1 }' >"$folder/numbers"
same "sort, in memory and in files" sort -k1,1 -s -S 4M --parallel=2 "$folder/numbers"

# ---------------------------------------------------------------- git

history() {
	local i
	rm -rf "$folder/git" && mkdir "$folder/git" && cd "$folder/git" || return
	git init -q . && git config user.name test && git config user.email test@localhost
	for i in 1 2 3 4 5 6; do
		split -l $((200 * i)) "$folder/text" part-
		git add . && git commit -q -m "Parts of $((200 * i)) lines" || return
	done
}
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_DATE='2024-01-01T00:00:00Z' GIT_COMMITTER_DATE='2024-01-01T00:00:00Z'
repack() (
	history && git -c pack.threads=2 repack -q -a -d -f && git fsck --full --no-progress && git cat-file --batch-all-objects --batch-check &&
		git log --stat -M | tail -n 200
)
same "git commits, repacks and checks" repack

# ---------------------------------------------------------------- python

suites=(test_json test_dict test_list test_gc)

if python=$(find_python); then
	same "python3 builds and dumps objects" "$python" -c '
import json, threading
def fill(n): table[n] = {str(i): [i, {"x": i * n, "text": "t" * (i % 300)}] for i in range(3000)}
table = {}
threads = [threading.Thread(target=fill, args=(n,)) for n in range(4)]
for t in threads: t.start()
for t in threads: t.join()
text = json.dumps(table, sort_keys=True)
print(len(text), hash(len(text)), json.loads(text) == {str(k): v for k, v in table.items()})'
	run_ok "python3 passes its own ${suites[*]}" own_tests "$python" "${suites[@]}"
else
	skip "python3 passes its own ${suites[*]}" "python3 without its tests"
fi

# ---------------------------------------------------------------- java

# A virtual machine with some 20 threads, compilers among them, which begin and end whether or not there is anything to run.
if command -v java >/dev/null; then
	same "java says what it is" java -version
else
	skip "java says what it is" "not installed"
fi

tap_end
