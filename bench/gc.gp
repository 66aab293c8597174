# SPDX-License-Identifier: MIT
# Draws what threads have for themselves, and how long the runtime keeps them, for each program that was timed, from the tables of the same runs (bench/gc/batch.h).
# Built into arena-bench, which sets: folder, output, programs, and for each program NAME_rows, which are the ends of its tables' names.

set output output
nr = words(programs)
set terminal svg size 1400,80 + 460 * nr dynamic font "sans,13" background rgb "white"
set multiplot layout nr,2 title "arena-bench gc: what threads have for themselves"

# Okabe and Ito's colors: told apart by people who see few colors, and in print.
colors = "#0072B2 #999999 #D55E00 #CC79A7 #009E73 #E69F00 #56B4E9"
color(i) = word(colors, (i - 1) % words(colors) + 1)
table(program, row, what) = folder."/".program.".".row.".".what
half_octave(us) = 2 ** (floor(2 * log(us) / log(2)) / 2.0)
set grid lt 1 lw 1 lc rgb "#DDDDDD"
set border lc rgb "#666666"
set logscale x

do for [p = 1:nr] {
	program = word(programs, p)
	rows = value(program."_rows")
	set title program.": minimum mutator utilization, the worst window of each length, a line for each run"
	set xlabel "window, ms"
	set ylabel "share of the window that a thread had for itself"
	unset logscale y
	set format y "%g"
	set xrange [0.1:1000]
	set yrange [0:1.02]
	set key bottom right
	plot for [i = 1:words(rows)] table(program, word(rows, i), "utilization") using 1:2 with linespoints lw 1.5 pt 7 ps 0.3 lc rgb color(i) title word(rows, i)

	set title program.": pauses of all runs, what batches took beyond the program's own time"
	set xlabel "us"
	set ylabel "pauses in half an octave"
	set logscale y
	set format y "10^{%L}"
	set xrange [1:1e6]
	set yrange [0.5:10<*]
	set key top right
	# The constant lies on the border: to have had no pause at all is no error.
	plot for [i = 1:words(rows)] table(program, word(rows, i), "pauses") using (half_octave($1)):2 smooth frequency with fsteps lw 2 lc rgb color(i) title word(rows, i), \
		0.5 notitle lc rgb "#666666"
}
unset multiplot
