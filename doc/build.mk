# SPDX-License-Identifier: MIT
# make doc: what is rendered from headers and man pages, below the build folder.

DOC_MAN := $(wildcard doc/man/*.[1-8] daemon/*.[1-8] bench/*.[1-8])
DOC_HTML := $(addprefix $(B)/doc/,$(addsuffix .html,$(notdir $(DOC_MAN))))
vpath %.1 daemon bench doc/man
vpath %.3 doc/man
vpath %.4 doc/man
vpath %.7 doc/man
vpath %.8 daemon doc/man

$(B)/doc/reference.md: libarena/include/arena/arena.h libarena/include/arena/heap.h scripts/reference
	@mkdir -p $(@D)
	for header in $(filter %.h,$^); do scripts/reference $$header || exit 1; done >$@

$(B)/doc/%.html: %
	@mkdir -p $(@D)
	mandoc -T html -O style=mandoc.css,man=%N.%S.html $< >$@

## doc: the library's reference from its header, and the man pages as HTML, in build/doc
.PHONY: doc
doc: $(B)/doc/reference.md $(DOC_HTML)
