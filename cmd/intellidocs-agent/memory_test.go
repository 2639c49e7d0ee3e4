package main

import (
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"time"
)

func TestMemoryLimit_LeavesRoomWithinBounds(t *testing.T) {
	for _, c := range []struct{ inUse, want int64 }{
		{0, leastMemory}, {20 << 20, leastMemory}, {30 << 20, leastMemory}, {30<<20 + 1, 42 << 20}, {35 << 20, 46 << 20}, {38 << 20, mostMemory}, {100 << 20, mostMemory},
	} {
		if got := limitFor(c.inUse); got != c.want {
			t.Errorf("%d in use: %d, want %d", c.inUse, got, c.want)
		}
	}
}

// What is in use counts what is held, and no garbage; each collection is noticed.
func TestMemoryInUse_IsWhatACollectionCannotFree(t *testing.T) {
	collected := make(chan int64, 100)
	over := atomic.Bool{}
	defer over.Store(true)
	afterCollections(func() bool {
		select {
		case collected <- memoryInUse():
		default:
		}
		return !over.Load()
	})
	inUse := func() (n int64) {
		for len(collected) > 0 {
			<-collected
		}
		deadline := time.After(time.Minute)
		for told := 0; told < 3; { // one that was under way may have begun before
			runtime.GC()
			select {
			case n = <-collected:
				told++
			case <-deadline:
				t.Fatal("no collection is noticed")
			case <-time.After(10 * time.Millisecond): // the last one is still being told of
			}
		}
		return n
	}
	before := inUse()
	held := make([]byte, 64<<20)
	with := inUse()
	runtime.KeepAlive(held)
	after := inUse()
	if with-before < 60<<20 || with-after < 60<<20 {
		t.Errorf("%d MiB, %d with 64 MiB held, %d without", before>>20, with>>20, after>>20)
	}
}

func TestLimitMemory_FollowsWhatIsInUse(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(1<<63 - 1))
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	limitMemory()
	held := make([]byte, 64<<20)
	for deadline := time.Now().Add(time.Minute); debug.SetMemoryLimit(-1) != mostMemory; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatalf("the limit is %d MiB with 64 MiB held", debug.SetMemoryLimit(-1)>>20)
		}
	}
	runtime.KeepAlive(held)
}
