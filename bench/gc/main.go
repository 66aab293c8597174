// SPDX-License-Identifier: MIT

// arena-bench-gc-go: the programs of `arena-bench gc` in Go, on Go's own heap. What they do, and what the line says that this prints, is
// written at the C ones (driver.c, trees.c, splay.c, tables.c): the same random numbers, the same objects, the same checksum.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

type program struct {
	run       func(size int, thread uint64, t *timer) uint64
	nrThreads int
}

var programs = map[string]program{
	"trees": {runTrees, 1}, "trees2": {runHalfTrees, 2}, "gcbench": {runGCBench, 1}, "gcbench4": {runGCBench, 4}, "splay": {runSplay, 1},
	"lru": {runLRU, 1}, "intern": {runIntern, 1}, "large": {runLarge, 1}, "large4": {runLarge, 4},
}

func die(what string) {
	fmt.Fprintln(os.Stderr, "arena-bench-gc-go: "+what)
	os.Exit(1)
}

func randomSeed(thread uint64) uint64 {
	return 88172645463325252 + thread*0x9e3779b97f4a7c15
}

func randomNext(state *uint64) uint64 {
	x := *state
	x ^= x << 13
	x ^= x >> 7
	x ^= x << 17
	*state = x
	return x
}

// ---------------------------------------------------------------- one run

func cpuTime() time.Duration {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func peakRSS() float64 {
	file, err := os.Open("/proc/self/status")
	if err != nil {
		die("cannot read VmHWM")
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) > 1 && fields[0] == "VmHWM:" {
			kib, _ := strconv.ParseFloat(fields[1], 64)
			return kib / 1024
		}
	}
	die("cannot read VmHWM")
	return 0
}

func runThreads(name string, p program, size int) (uint64, []*timer) {
	timers := make([]*timer, p.nrThreads)
	sums := make([]uint64, p.nrThreads)
	done := make(chan int)
	if name != "gcbench4" {
		size /= p.nrThreads
	}
	for i := range timers {
		go func(i int) {
			runtime.LockOSThread()
			timers[i] = newTimer()
			sums[i] = p.run(size, uint64(i), timers[i])
			done <- i
		}(i)
	}
	for range timers {
		<-done
	}
	checksum := uint64(0)
	for i := range timers {
		checksum = checksum*31 + sums[i]
		if i > 0 {
			timers[0].merge(timers[i])
		}
	}
	return checksum, timers
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "version" {
		fmt.Println(strings.TrimPrefix(runtime.Version(), "go"))
		return
	}
	if len(os.Args) != 3 {
		die("usage: arena-bench-gc-go PROGRAM SIZE")
	}
	p, known := programs[os.Args[1]]
	size, err := strconv.Atoi(os.Args[2])
	if !known || err != nil || size < 1 {
		die("no such program, or bad size")
	}
	cpu, start := cpuTime(), time.Now()
	checksum, timers := runThreads(os.Args[1], p, size)
	elapsed := time.Since(start)
	fmt.Printf("checksum=%016x elapsed:ms=%.6g cpu:ms=%.6g peak_rss:MiB=%.6g", checksum, elapsed.Seconds()*1e3,
		(cpuTime()-cpu).Seconds()*1e3, peakRSS())
	report(timers)
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	fmt.Printf(" cycles:n=%d\n", stats.NumGC)
}
