// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"math/bits"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// Batches of 64 allocations, as batch.c times them. A goroutine has a thread of its own; what it waits for the collector is seen by voluntary
// switches of that thread.
type timer struct {
	left               int
	begun, wallStart   time.Time
	cpuStart, nrSleeps int64
	queued, median     uint64
	wall, own, pauses  histogram
	schedstat          int
	lost               []byte // float32 of each bin, not of the heap; nil without ARENA_BENCH_GC_SELF
}

const (
	batchAllocations = 64
	gapLeast         = 10 * time.Microsecond
	rusageThread     = 1
	threadClock      = 3
	bin              = 100 * time.Microsecond
	nrBins           = int(2 * time.Minute / bin)
	medianBatches    = 1024
)

var isSelf = os.Getenv("ARENA_BENCH_GC_SELF") != ""

// Buckets a sixteenth of their power of two wide (histogram.h).
type histogram struct {
	counts  [61 * 16]uint64
	nr, max uint64
}

func bucket(value uint64) int {
	if value < 16 {
		return int(value)
	}
	top := 63 - bits.LeadingZeros64(value)
	return (top-3)*16 + int(value>>(top-4)&15)
}

func limit(bucket int) uint64 {
	if bucket < 16 {
		return uint64(bucket)
	}
	return uint64(16+bucket%16+1)<<(bucket/16-1) - 1
}

func (h *histogram) add(value uint64) {
	h.counts[bucket(value)]++
	h.nr++
	if value > h.max {
		h.max = value
	}
}

func (h *histogram) merge(other *histogram) {
	for i, count := range other.counts {
		h.counts[i] += count
	}
	h.nr += other.nr
	if other.max > h.max {
		h.max = other.max
	}
}

func (h *histogram) percentile(share float64) uint64 {
	seen := uint64(0)
	for i, count := range h.counts {
		seen += count
		if float64(seen) >= share*float64(h.nr) && limit(i) < h.max {
			return limit(i)
		}
	}
	return h.max
}

func (h *histogram) report(which string) {
	fmt.Printf(" %s_p99_9:us=%g %s_p99_99:us=%g %s_max:us=%g", which, float64(h.percentile(0.999))/1e3, which, float64(h.percentile(0.9999))/1e3,
		which, float64(h.max)/1e3)
}

func threadTime() int64 {
	var now syscall.Timespec
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, threadClock, uintptr(unsafe.Pointer(&now)), 0)
	return now.Nano()
}

func sleeps() int64 {
	var usage syscall.Rusage
	syscall.Getrusage(rusageThread, &usage)
	return usage.Nvcsw
}

// Time on the run queue since the thread began.
func (t *timer) readQueued() uint64 {
	var text [96]byte
	nr, _ := syscall.Pread(t.schedstat, text[:], 0)
	var ran, queued uint64
	fmt.Sscan(string(text[:nr]), &ran, &queued)
	return queued
}

func newTimer() *timer {
	t := &timer{nrSleeps: sleeps(), begun: time.Now(), schedstat: -1}
	if isSelf {
		t.schedstat, _ = syscall.Open("/proc/thread-self/schedstat", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		t.lost, _ = syscall.Mmap(-1, 0, nrBins*4, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON|syscall.MAP_NORESERVE)
		t.queued = t.readQueued()
	}
	t.begin()
	return t
}

func (t *timer) lostIn(i int) *float32 {
	return (*float32)(unsafe.Pointer(&t.lost[i*4]))
}

func (t *timer) begin() {
	t.left = batchAllocations
	if isSelf {
		t.cpuStart = threadTime()
	}
	t.wallStart = time.Now()
}

// Once for each allocation.
func (t *timer) count() {
	if t.left--; t.left == 0 {
		t.end()
	}
}

func (t *timer) end() {
	wall := time.Since(t.wallStart)
	t.wall.add(uint64(wall))
	if isSelf {
		t.noteOwn(wall)
	}
	t.begin()
}

// Time without a CPU is on the run queue, or asleep, or the host's.
func (t *timer) noteOwn(wall time.Duration) {
	end, own, lost := time.Since(t.begun), time.Duration(threadTime()-t.cpuStart), time.Duration(0)
	now := sleeps()
	if gap := wall - own; gap > gapLeast {
		queued := t.readQueued()
		lost, t.queued = time.Duration(queued-t.queued), queued
		if lost > gap {
			lost = gap
		}
		if now != t.nrSleeps {
			own += gap - lost
		}
	}
	t.nrSleeps = now
	t.own.add(uint64(own))
	beyond := t.beyondProgram(own)
	if beyond > 0 {
		t.pauses.add(uint64(beyond))
	}
	t.lose(end, lost+beyond)
}

func (t *timer) beyondProgram(own time.Duration) time.Duration {
	if t.own.nr%medianBatches == medianBatches/2 {
		t.median = t.own.percentile(0.5)
	}
	if median := time.Duration(t.median); median > 0 && own > 2*median {
		return own - median
	}
	return 0
}

func (t *timer) lose(end, lost time.Duration) {
	for lost > 0 && end > 0 {
		i := int((end - 1) / bin)
		inBin := end - time.Duration(i)*bin
		part := lost
		if part > inBin {
			part = inBin
		}
		if i < nrBins {
			*t.lostIn(i) += float32(part)
		}
		lost, end = lost-part, end-inBin
	}
}

// The minimum over all windows of so many bins.
func (t *timer) utilization(window int) float64 {
	bins, sum, most := int(time.Since(t.begun)/bin)+1, 0.0, 0.0
	if bins > nrBins {
		bins = nrBins
	}
	for i := 0; i < bins; i++ {
		sum += float64(*t.lostIn(i))
		if i >= window {
			sum -= float64(*t.lostIn(i - window))
		}
		if i+1 >= window && sum > most {
			most = sum
		}
	}
	if share := 1 - most/(float64(window)*float64(bin)); share > 0 {
		return share
	}
	return 0
}

func (t *timer) merge(other *timer) {
	t.wall.merge(&other.wall)
	t.own.merge(&other.own)
	t.pauses.merge(&other.pauses)
}

var windows = []int{1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 2000, 5000, 10000}

// The worst thread's.
func worst(timers []*timer, window int) float64 {
	least := 1.0
	for _, t := range timers {
		if share := t.utilization(window); share < least {
			least = share
		}
	}
	return least
}

// What other runs have written stays.
func openTable(name string) *os.File {
	file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		die("cannot write a table")
	}
	return file
}

func writeTables(prefix string, timers []*timer) {
	pauses := openTable(prefix + ".pauses")
	defer pauses.Close()
	for i, count := range timers[0].pauses.counts {
		if count > 0 {
			fmt.Fprintf(pauses, "%g %d\n", float64(limit(i))/1e3, count)
		}
	}
	curve := openTable(prefix + ".utilization")
	defer curve.Close()
	for _, window := range windows {
		fmt.Fprintf(curve, "%g %g\n", float64(window)*bin.Seconds()*1e3, worst(timers, window))
	}
	fmt.Fprintln(curve)
}

// The first one's histograms are all threads'.
func report(timers []*timer) {
	timers[0].wall.report("wall")
	if !isSelf {
		return
	}
	timers[0].own.report("own")
	fmt.Printf(" utilization_10ms:ratio=%g", worst(timers, 100))
	if prefix := os.Getenv("ARENA_BENCH_GC_TABLES"); prefix != "" {
		writeTables(prefix, timers)
	}
}
