# SPDX-License-Identifier: MIT
# Draws a collected heap, its goal and what the program can reach against time, with the collector's share of CPU, a panel for each simulated load.
# Variables: folder (tables made by plot-gc-pace), output, format (svg or png).

if (format eq "png") {
	set terminal pngcairo size 1400,1150 font "sans,10"
} else {
	set terminal svg size 1400,1150 dynamic font "sans,13" background rgb "white"
}
set output output
set multiplot layout 3,3 title "Where the collector's pacing leaves a heap (simulated; two CPUs, percent 100)"

# Okabe and Ito's colors: told apart by people who see few colors, and in print.
heap = "#0072B2"
goal = "#999999"
live = "#D55E00"
share = "#F6E3B4"

set grid lt 1 lw 1 lc rgb "#DDDDDD"
set border lc rgb "#666666"
set xlabel "seconds"
set ylabel "MiB"
set y2label "collector, % of CPU" offset -1
set y2range [0:100]
set ytics nomirror
set y2tics 0,25,100
set key top left
set style fill solid 1.0 noborder
titles = "'steady' 'growing, then dropped' '256 MiB live, from 4 s on 16' 'bursts: 20 times as fast for 0.1 s' '20 times as fast from 2 to 4 s' 'all rates 20 % up or down each ms' '200 KiB live' 'limit of 100 MiB, 80 live' 'limit of 100 MiB, 150 live: overshoot'"
tops = "220 720 1300 260 260 300 6 220 260"
do for [i = 1:9] {
	table = folder."/".word("steady growing shrinking bursts faster jitter tiny limit above", i)
	set title word(titles, i)
	set yrange [0:word(tops, i) + 0]
	plot table using 1:5 with filledcurves y2=0 axes x1y2 lc rgb share title "collector", \
	     table using 1:3 with lines lw 1 lc rgb goal title "goal", \
	     table using 1:2 with lines lw 1.5 lc rgb heap title "heap", \
	     table using 1:4 with lines lw 1.5 lc rgb live title "reachable"
}
unset multiplot
