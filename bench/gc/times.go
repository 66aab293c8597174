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
// switches of that thread. There is no timeline.
type timer struct {
	left               int
	wallStart          time.Time
	cpuStart, nrSleeps int64
	wall, own          histogram
}

const (
	batchAllocations = 64
	gap              = 10 * time.Microsecond
	rusageThread     = 1
	threadClock      = 3
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

func newTimer() *timer {
	t := &timer{nrSleeps: sleeps()}
	t.begin()
	return t
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

// Time without a CPU counts when the thread went to sleep in the batch; it may have waited for a CPU after that, which is counted too.
func (t *timer) noteOwn(wall time.Duration) {
	own := time.Duration(threadTime() - t.cpuStart)
	now := sleeps()
	if wall-own > gap && now != t.nrSleeps {
		own = wall
	}
	t.nrSleeps = now
	t.own.add(uint64(own))
}

func (t *timer) merge(other *timer) {
	t.wall.merge(&other.wall)
	t.own.merge(&other.own)
}

func (t *timer) report() {
	t.wall.report("wall")
	if isSelf {
		t.own.report("own")
	}
}
