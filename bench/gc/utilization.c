// SPDX-License-Identifier: MIT
/* A window begins where a bin does: a stall shorter than a bin is never split, and one in two bins is seen by the windows that have both. */
#include "bench/gc/utilization.h"

void utilization_lose(float *lost_ns_of_bin, size_t nr_bins, uint64_t end_ns, uint64_t lost_ns)
{
	while (lost_ns && end_ns) {
		size_t bin = (end_ns - 1) / UTILIZATION_BIN_NS;
		uint64_t in_bin = end_ns - bin * UTILIZATION_BIN_NS, part = lost_ns < in_bin ? lost_ns : in_bin;

		if (bin < nr_bins)
			lost_ns_of_bin[bin] += (float)part;
		lost_ns -= part;
		end_ns -= in_bin;
	}
}

double utilization_min(const float *lost_ns_of_bin, size_t nr_bins, size_t window_bins)
{
	double lost = 0, most = 0;

	if (!window_bins || window_bins > nr_bins)
		return 1;
	for (size_t i = 0; i < nr_bins; i++) {
		lost += (double)lost_ns_of_bin[i];
		if (i >= window_bins)
			lost -= (double)lost_ns_of_bin[i - window_bins];
		if (i + 1 >= window_bins && lost > most)
			most = lost;
	}
	lost = 1 - most / ((double)window_bins * UTILIZATION_BIN_NS);
	return lost > 0 ? lost : 0;
}
