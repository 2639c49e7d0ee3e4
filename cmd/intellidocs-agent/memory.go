package main

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue/mapped"
)

// How much memory the Go runtime may take of the system: a sidecar's is taken from what it stands
// beside. Close to the limit the collector runs without a pause and takes half of the CPU, so
// it gets some room beyond what is in use. Not so in a small container, where the pages of the
// program and of the queue's files would go for it, and be read again and again.
const (
	leastMemory = 40 << 20
	mostMemory  = 48 << 20
	memoryRoom  = 10 << 20
	smallest    = 80 << 20 // that bears the most

	// spareProcessors are for pages that must be read: whoever waits for one keeps its processor of the
	// runtime's, which is not so with a system call. Where each had one to read, all would stand still.
	spareProcessors = 2

	// garbageIfSmall is how much garbage there may be before it is collected, in percent of what is in
	// use, where what it takes is lost for the pages of files.
	garbageIfSmall = 75

	// started is when the pages of the program that were needed for the start alone are given back.
	started = 10 * time.Second
)

// limitMemory keeps the heap small, and says whether there is little memory for the pages of files.
// GOMEMLIMIT and GOGC still have the last word of the heap.
func limitMemory() (small bool) {
	time.AfterFunc(started, func() { mapped.Unmap(isProgram) })
	if small = memoryAllowed() < smallest; small {
		// About two thirds of the program are used. Where its pages must go for others now and then,
		// what surrounds those that are read again would have to go for them: it stood still for a
		// minute. On a disk that turns it comes slowly by the page, so it is for small containers alone.
		mapped.Advise(isProgram, mapped.Random)
		if os.Getenv("GOMAXPROCS") == "" {
			runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + spareProcessors)
		}
	}
	percent := 100 // as Go has it: the limit alone bounds the heap
	if small {
		percent = garbageIfSmall
	}
	if previous := debug.SetGCPercent(percent); previous != 100 {
		debug.SetGCPercent(previous)
	}
	if debug.SetMemoryLimit(-1) != math.MaxInt64 {
		return small
	}
	limit := int64(leastMemory)
	debug.SetMemoryLimit(limit)
	if small {
		return small
	}
	afterCollections(func() bool {
		if debug.SetMemoryLimit(-1) != limit {
			return false // it is another's now
		}
		if now := limitFor(memoryInUse()); now != limit {
			limit = now
			debug.SetMemoryLimit(limit)
		}
		return true
	})
	return small
}

// isProgram is about a mapped file.
func isProgram(path string) bool {
	program, err := os.Executable()
	return err == nil && path == program
}

// limitFor is the limit where so much is in use, in steps, since each change stops everything
// for a moment.
func limitFor(inUse int64) int64 {
	const step = 2 << 20
	return min(max((inUse+memoryRoom+step-1)/step*step, leastMemory), mostMemory)
}

// memoryInUse is what the last collection could not free, and what the runtime takes beside the
// heap: stacks, and what it keeps of both.
func memoryInUse() int64 {
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
	}
	metrics.Read(samples)
	inUse := int64(samples[0].Value.Uint64() + samples[1].Value.Uint64())
	for _, heap := range samples[2:] {
		inUse -= int64(heap.Value.Uint64())
	}
	return inUse
}

// afterCollections calls f after each collection of garbage, one call at a time, until it says no.
// Between them it costs nothing.
func afterCollections(f func() bool) {
	garbage := new([64]byte)
	runtime.AddCleanup(garbage, func(struct{}) {
		if f() {
			afterCollections(f)
		}
	}, struct{}{})
}
