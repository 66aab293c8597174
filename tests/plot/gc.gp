# SPDX-License-Identifier: MIT
# Draws what threads have for themselves, and how long they are in the runtime, for each runtime.
# Variables: folder (tables made by plot-gc), runtimes, title_text, output, format (svg or png).

if (format eq "png") {
	set terminal pngcairo size 1400,560 font "sans,10"
} else {
	set terminal svg size 1400,560 dynamic font "sans,13" background rgb "white"
}
set output output
set multiplot layout 1,2 title title_text

# Okabe and Ito's colors: told apart by people who see few colors, and in print.
colors = "#0072B2 #999999 #D55E00 #CC79A7"
set grid lt 1 lw 1 lc rgb "#DDDDDD"
set border lc rgb "#666666"

set title "Minimum mutator utilization: the worst window of each length"
set xlabel "window, ms"
set ylabel "share of the window that a thread had for itself"
set logscale x
set yrange [0:1.02]
set key bottom right
plot for [i = 1:words(runtimes)] folder."/".word(runtimes, i).".utilization" using 1:2 with linespoints lw 2 pt 7 ps 0.4 \
	lc rgb word(colors, i) title word(runtimes, i)

set title "Batches of 64 allocations: how many take longer, by the thread's own clock"
set xlabel "us"
set ylabel "batches that take longer"
set logscale xy
set format y "10^{%L}"
set yrange [0.5:*]
set key top right
plot for [i = 1:words(runtimes)] folder."/".word(runtimes, i).".above" using 1:2 with steps lw 2 lc rgb word(colors, i) title word(runtimes, i)
unset multiplot
