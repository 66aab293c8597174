# SPDX-License-Identifier: MIT
#
# Prints the figures of vm-bench, one JSON object a line, as a table, and below it each promise of
# the module with the figure that decides it. Exits with 1 when one is broken, or when a figure
# that decides one is missing.

# The promises: first touch of a ready chunk against the kernel's own huge pages; the cost of KEEP
# does not depend on the number of chunks.
BEGIN {
	THP_RATIO = 60
	HUGETLB_RATIO = 30
	KEEP_TOLERANCE_PERCENT = 10
	KEEP_CHUNKS_FROM = 1
	KEEP_CHUNKS_TO = 1024
}

# The value of a key in a flat JSON object.
function value(key,    text) {
	if (!match($0, "\"" key "\" *: *(\"[^\"]*\"|[-+.0-9eE]+)"))
		return ""
	text = substr($0, RSTART, RLENGTH)
	sub(/^"[^"]*" *: */, "", text)
	gsub(/"/, "", text)
	return text
}

function promise(kernel, text, kept) {
	printf "%-8s %-34s %s\n", kept ? "kept" : "BROKEN", kernel, text
	if (!kept)
		broken++
}

function ratio_promise(kernel, source, least,    ours, theirs) {
	ours = figure[kernel, "first_touch", "dev"]
	theirs = figure[kernel, "first_touch", source]
	if (!ours || !theirs)
		promise(kernel, "first touch: no figure for " (ours ? source : "dev"), 0)
	else
		promise(kernel, sprintf("first touch: %s / dev = %.1f (at least %d)", source,
			theirs / ours, least), theirs / ours >= least)
}

function keep_promise(kernel,    i, least, most, chunks, now, seen_from, seen_to) {
	for (i = 1; i <= nr_chunks; i++) {
		chunks = chunk_counts[i]
		if (!((kernel, "keep", chunks) in figure))
			continue
		if (chunks < KEEP_CHUNKS_FROM || chunks > KEEP_CHUNKS_TO)
			continue
		seen_from = seen_from || chunks == KEEP_CHUNKS_FROM
		seen_to = seen_to || chunks == KEEP_CHUNKS_TO
		now = figure[kernel, "keep", chunks]
		if (!least || now < least)
			least = now
		if (now > most)
			most = now
	}
	if (!seen_from || !seen_to)
		promise(kernel, sprintf("keep: no figures for %d and %d chunks", KEEP_CHUNKS_FROM,
			KEEP_CHUNKS_TO), 0)
	else
		promise(kernel, sprintf("keep: %d to %d from %d to %d chunks, middle +-%.1f %% (at most %d)",
			least, most, KEEP_CHUNKS_FROM, KEEP_CHUNKS_TO,
			100 * (most - least) / (most + least), KEEP_TOLERANCE_PERCENT),
			(most - least) * 100 <= (most + least) * KEEP_TOLERANCE_PERCENT)
}

/^[[:space:]]*$/ { next }

{
	kernel = value("kernel"); bench = value("bench"); metric = value("metric")
	source = value("source"); kind = value("case"); unit = value("unit"); median = value("median")
	if (kernel == "" || bench == "" || median == "" || unit == "") {
		printf "line %d is not a result: %s\n", NR, $0
		broken++
		next
	}
	if (!(kernel in known)) {
		known[kernel] = 1
		kernels[++nr_kernels] = kernel
	}
	if (!header++)
		printf "%-34s %-8s %-12s %-8s %-14s %16s %16s %16s  %s\n", "kernel", "bench",
			"metric", "source", "case", "median", "low", "high", "unit"
	printf "%-34s %-8s %-12s %-8s %-14s %16.0f %16.0f %16.0f  %s\n", kernel, bench, metric, source,
		kind, median, value("low"), value("high"), unit
	if (unit != "instructions")
		next
	if (bench == "fault")
		figure[kernel, metric, source] = median + 0
	if (bench == "reclaim" && source == "dev" && kind ~ /^chunks=/) {
		sub(/^chunks=/, "", kind)
		figure[kernel, metric, kind + 0] = median + 0
		if (!(kind in chunk_known)) {
			chunk_known[kind] = 1
			chunk_counts[++nr_chunks] = kind + 0
		}
	}
}

END {
	print ""
	if (!nr_kernels)
		promise("-", "no results at all", 0)
	for (k = 1; k <= nr_kernels; k++) {
		ratio_promise(kernels[k], "thp", THP_RATIO)
		ratio_promise(kernels[k], "hugetlb", HUGETLB_RATIO)
		keep_promise(kernels[k])
	}
	exit broken > 0
}
