# SPDX-License-Identifier: MIT
# Draws memory in use and memory held against time, a panel for each simulated load.
# Variables: folder (tables made by plot-pace), output, format (svg or png).

if (format eq "png") {
	set terminal pngcairo size 1200,800 font "sans,11"
} else {
	set terminal svg size 1200,800 dynamic font "sans,14" background rgb "white"
}
set output output
set multiplot layout 2,2 title "What the scavenger leaves (simulated; chunks of 2 MiB)"

# Okabe and Ito's colors: told apart by people who see few colors, and in print.
held = "#56B4E9"
used = "#D55E00"

set grid lt 1 lw 1 lc rgb "#DDDDDD"
set border lc rgb "#666666"
set ylabel "chunks"
set yrange [0:*]
set offsets 0, 0, graph 0.22, 0
set key top left
do for [load in "steady spike sawtooth day"] {
	table = folder."/".load
	scale = load eq "day" ? 3600.0 : 1.0
	set xlabel (load eq "day" ? "hours" : "seconds")
	set title load
	plot table using ($1/scale):3 with lines lw 2 lc rgb held title "held", \
	     table using ($1/scale):2 with lines lw 1 lc rgb used title "in use"
}
unset multiplot
