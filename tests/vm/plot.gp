# SPDX-License-Identifier: MIT
# Draws instructions against chunks on two logarithmic scales: a flat line is constant, a slope of one is linear.
# Variables: folder (tables made by plot), kernels (words), output, format (svg or png).

nr = words(kernels)
if (format eq "png") {
	set terminal pngcairo size 600*nr,520 font "sans,11"
} else {
	set terminal svg size 600*nr,520 dynamic font "sans,14" background rgb "white"
}
set output output
set multiplot layout 1,nr title "What calls cost by number of chunks (guest instructions)"

# Okabe and Ito's colors: told apart by people who see few colors, and in print.
keep = "#009E73"
rereserve = "#0072B2"
zap = "#D55E00"
populate = "#CC79A7"
fork = "#E69F00"

set logscale xy 2
set logscale y 10
set grid lt 1 lw 1 lc rgb "#DDDDDD"
set border lc rgb "#666666"
set xlabel "chunks of 2 MiB"
set ylabel "instructions in all"
set xrange [0.8:1300]
set yrange [500:1000000000]
set format y "10^{%L}"
set key top left
do for [i = 1:nr] {
	kernel = word(kernels, i)
	set title "Linux ".kernel noenhanced
	table(metric) = folder."/".kernel.".".metric
	plot table("populate") with linespoints lw 2 pt 11 lc rgb populate title "POPULATE", \
	     table("zap") with linespoints lw 2 pt 7 lc rgb zap title "ZAP: one page-table entry a chunk", \
	     table("fork_call") with linespoints lw 2 pt 13 lc rgb fork title "fork with copies, beyond that without chunks", \
	     table("rereserve") with linespoints lw 2 pt 5 lc rgb rereserve title "RESERVE of what was kept", \
	     table("keep") with linespoints lw 2 pt 9 lc rgb keep title "KEEP"
}
unset multiplot
