# SPDX-License-Identifier: MIT
# Pictures of simulations, which need no machine but this one.

$(B)/tests/plot/pace: tests/plot/pace.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -Ilibarena $(CFLAGS) $(DEPFLAGS) $(LDFLAGS) -o $@ $<

## pace-plot: draw what the scavenger does with simulated loads (build/pace.svg)
.PHONY: pace-plot
pace-plot: $(B)/tests/plot/pace
	@B=$(B) tests/plot/plot-pace

$(B)/tests/plot/gc_pace: tests/plot/gc_pace.c $(B)/libarena-internal.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -Ilibarena $(CFLAGS) $(DEPFLAGS) $(LDFLAGS) -o $@ $^

## gc-pace-plot: draw what the collector's pacing does with simulated programs (build/gc_pace.svg)
.PHONY: gc-pace-plot
gc-pace-plot: $(B)/tests/plot/gc_pace
	@B=$(B) tests/plot/plot-gc-pace

## gc-plot: measure and draw what a collected program's threads have for themselves, beside other runtimes (build/gc.svg)
.PHONY: gc-plot
gc-plot: bench
	$(B)/arena-bench gc --program trees2 --reps 1 --svg $(B)/gc.svg

# tests/unit/plots.sh runs them, and tests/bench/gc.sh the second.
ifndef SAN
tests: $(B)/tests/plot/pace $(B)/tests/plot/gc_pace
endif
