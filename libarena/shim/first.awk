# SPDX-License-Identifier: MIT
# From a list of functions (first) and what `ld --verbose` prints: the linker's own script, in which these functions come first of all code. It stays one
# section, .text, because Valgrind and others look at one.
FNR == NR {
	if (/^[a-z]/)
		code = code "    *(.text." $1 " .text." $1 ".* .text.unlikely." $1 " .text.startup." $1 " .text.exit." $1 ")\n"
	next
}
/^====/ {
	is_script = !is_script
	next
}
is_script {
	print
}
is_script && /^  \.text / {
	is_text = 1
}
is_script && is_text && /{/ {
	printf "%s    *libgcc.a:*(.text) *libc_nonshared.a:*(.text .text.*)\n", code
	is_text = 0
	is_done = 1
}
END {
	exit !is_done
}
