package queue

import (
	"bufio"
	"context"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// soak skips what takes minutes.
func soak(t *testing.T) {
	t.Helper()
	if os.Getenv("INTELLIDOCS_SOAK") == "" {
		t.Skip("needs INTELLIDOCS_SOAK=1: it takes minutes")
	}
}

// memory is the process's resident memory now and at its highest, in bytes.
func memory(t testing.TB) (now, highest int64) {
	t.Helper()
	f, err := os.Open("/proc/self/status")
	if err != nil {
		t.Skipf("needs /proc: %v", err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 {
			continue
		}
		kb, _ := strconv.ParseInt(fields[1], 10, 64)
		switch fields[0] {
		case "VmRSS:":
			now = kb << 10
		case "VmHWM:":
			highest = kb << 10
		}
	}
	return now, highest
}

// TestSoak_AMillionEventsWithinTheMemoryAndTheDiskComesBack fills, reopens and drains
// under the limits that the agent sets itself.
func TestSoak_AMillionEventsWithinTheMemoryAndTheDiskComesBack(t *testing.T) {
	soak(t)
	const mib = 1 << 20
	total := 1_000_000
	if n, err := strconv.Atoi(os.Getenv("INTELLIDOCS_SOAK")); err == nil && n > 1 {
		total = n // for a quick look
	}
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(40 << 20))
	defer debug.SetGCPercent(debug.SetGCPercent(50))
	now := atomic.Int64{} // how far the clock was set forward
	o := Options{Dir: filepath.Join(t.TempDir(), "state"), Retention: time.Hour, DedupWindow: time.Hour, Now: func() time.Time { return time.Now().Add(time.Duration(now.Load())) }}
	webhooks := []string{"a", "b", "c", "d"}
	q := open(t, o)
	upkeep := func() (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- q.Run(ctx) }()
		return func() { cancel(); <-done }
	}
	stop := upkeep()
	began := time.Now()
	fill(t, q, total, func(n int) []string { return webhooks[n%4 : n%4+1] })
	_, highest := memory(t)
	t.Logf("filled %.0f events/s, peak %d MiB, %d MiB on the disk", float64(total)/time.Since(began).Seconds(), highest/mib, usage(q.disk.dir)/mib)

	stop()
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	q = open(t, o)
	t.Logf("opened in %s", time.Since(began))
	stop = upkeep()
	settled := int64(0)
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		<-time.After(time.Second) // idle is what is measured here
		if settled, _ = memory(t); settled <= 36*mib {
			break
		}
	}
	t.Logf("idle with all of it waiting: %d MiB", settled/mib)

	began = time.Now()
	slowest := drain(t, q, webhooks, 16)
	full := usage(q.disk.dir)
	_, highest = memory(t)
	if highest > 64*mib {
		t.Errorf("filling and draining took %d MiB of memory", highest/mib)
	}
	t.Logf("drained %.0f deliveries/s, slowest Due %s, peak %d MiB, %d MiB on the disk", float64(total)/time.Since(began).Seconds(), slowest, highest/mib, full/mib)

	now.Store(int64(3 * time.Hour))
	began = time.Now()
	for usage(q.disk.dir) > full/10 && time.Since(began) < 5*time.Minute {
		if err := q.Upkeep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	left := usage(q.disk.dir)
	_, highest = memory(t)
	t.Logf("expired in %s: %d MiB on the disk, peak %d MiB", time.Since(began), left/mib, highest/mib)
	stop()
	if left > full/10 {
		t.Errorf("%d of %d MiB stay after everything expired", left/mib, full/mib)
	}
	// Badger compacts all of a level at once for it.
	if settled > 36*mib || highest > 80*mib {
		t.Errorf("memory: idle %d MiB, while expiring %d MiB", settled/mib, highest/mib)
	}
}
