# SPDX-License-Identifier: MIT
# Draws the scene under memory pressure: both runs side by side on the same scales.
# Variables: output, format (svg or png), control, arenad (tables made by scene-table), oom_control,
# oom_arenad (seconds, or -1 for none), x_min, x_max, y_max, z_max (requests), kernel.

if (format eq "png") {
	set terminal pngcairo size 1200,1000 font "sans,11"
} else {
	set terminal svg size 1200,1000 dynamic font "sans,14" background rgb "white"
}
set output output
set datafile separator ","

# Okabe and Ito's colors: told apart by people who see few colors, and in print.
available = "#009E73"
pool = "#0072B2"
hog = "#D55E00"
service = "#CC79A7"
stall = "#E69F00"
marker = "#B00020"

set grid lt 1 lw 1 lc rgb "#DDDDDD"
set border lc rgb "#666666"
set xrange [x_min:x_max]
set multiplot title "A program wants more memory than is free while the arena pool idles (Linux ".kernel.")"

# Rows of panels in screen coordinates, each with its legend above it, shared by both columns.
do for [i = 1:2] {
	data = i == 1 ? control : arenad
	oom = i == 1 ? oom_control : oom_arenad
	legend(text) = i == 1 ? text : ""
	set lmargin at screen (i == 1 ? 0.07 : 0.56)
	set rmargin at screen (i == 1 ? 0.49 : 0.98)

	unset arrow
	unset label
	set arrow 1 from 0, graph 0 to 0, graph 1 nohead dt 3 lw 2 lc rgb "#666666"
	set label 1 "hog starts" at 0, graph 0.95 offset 0.6,0 tc rgb "#666666" front
	if (oom >= 0) {
		set arrow 2 from oom, graph 0 to oom, graph 1 nohead lw 2 lc rgb marker front
		# On the side of the line that has more room.
		if (oom > (x_min + x_max) / 2) {
			set label 2 "OOM kill" at oom, graph 0.95 right offset -0.6,0 tc rgb marker front
		} else {
			set label 2 "OOM kill" at oom, graph 0.95 left offset 0.6,0 tc rgb marker front
		}
	}

	set tmargin at screen 0.85
	set bmargin at screen 0.46
	set title (i == 1 ? "control: nobody gives memory back" : "with arenad") offset 0,2.8
	set ylabel "memory (MiB)"
	unset xlabel
	set format x ""
	set yrange [0:y_max]
	set key at screen 0.5, 0.885 center horizontal maxrows 2 samplen 2
	plot data using "time_s":"available_mib" with lines lw 2 lc rgb available title legend("available"), \
	     data using "time_s":"pool_mib" with lines lw 3 lc rgb pool title legend("idle in the pool"), \
	     data using "time_s":"hog_rss_mib" with lines lw 2 lc rgb hog title legend("RSS of the hog"), \
	     data using "time_s":"hog_wanted_mib" with lines lw 1 dt 2 lc rgb hog title legend("hog wants"), \
	     data using "time_s":"serve_rss_mib" with lines lw 2 lc rgb service title legend("RSS of the service")

	unset title
	unset label 1
	unset label 2
	set tmargin at screen 0.40
	set bmargin at screen 0.27
	set ylabel "stalled (% of time)"
	set yrange [0:100]
	set key at screen 0.5, 0.425
	plot data using "time_s":"some_percent" with steps lw 2 lc rgb stall title legend("some task waits for memory"), \
	     data using "time_s":"full_percent" with steps lw 2 lc rgb hog title legend("all tasks do")

	set tmargin at screen 0.21
	set bmargin at screen 0.08
	set format x "%g"
	set ylabel "requests"
	set xlabel "time since the hog started (s)"
	set yrange [0:z_max]
	set key at screen 0.5, 0.235
	plot data using "time_s":"requests" with steps lw 2 lc rgb service \
		title legend("answered by the service since its rush hour")
}
unset multiplot
