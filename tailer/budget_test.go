package tailer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestBudget_NeverMoreThanThereIsAndNobodyIsPassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(100)
		var used, most, looked atomic.Int64
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+rand.IntN(100))*time.Second)
				defer cancel()
				for range 20 {
					n := int64(1 + (i*37)%150)
					turn, err := b.take(ctx, n, time.Second, func(context.Context) { looked.Add(1) })
					if err != nil {
						return
					}
					now := used.Add(min(n, 100))
					for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
					}
					if len(turn.pack.records) > 0 || len(turn.pack.arena) > 0 {
						t.Error("a pack is not empty")
					}
					turn.pack.keep([]byte("x"))
					turn.pack.add(Record{})
					time.Sleep(time.Duration(rand.IntN(3)) * time.Second)
					used.Add(-min(n, 100))
					b.release(turn)
				}
			})
		}
		all.Wait()
		if most.Load() > 150 || b.large.used+b.small.used != 0 || len(b.large.waiting)+len(b.small.waiting) != 0 || looked.Load() == 0 {
			t.Errorf("%d of 150 at most; left are %+v and %+v; looked %d times", most.Load(), b.large, b.small, looked.Load())
		}
	})
}

// A source that writes large lines without end delays none that has little to read.
func TestBudget_LittleDoesNotWaitForMuch(t *testing.T) {
	b := NewBudget(1000)
	large, err := b.take(t.Context(), 5000, time.Hour, func(context.Context) {})
	must(t, err)
	for range 10 {
		little, err := b.take(t.Context(), 50, time.Hour, func(context.Context) {})
		must(t, err)
		b.release(little)
	}
	b.release(large)
}

// TestBudget_ManySourcesWithLargeLinesTakeTurns: what one holds while it is kept, the others
// do not read.
func TestBudget_ManySourcesWithLargeLinesTakeTurns(t *testing.T) {
	dir, shared := t.TempDir(), NewBudget(DefaultBudget)
	var held, most atomic.Int64
	var stores []*store
	var runs []*running
	var want []string
	for i := range 20 {
		var text strings.Builder
		want = want[:0]
		for n := range 6 {
			line := fmt.Sprintf("%d %s", n, strings.Repeat("x", 400_000))
			want = append(want, line)
			text.WriteString(line + "\n")
		}
		path := filepath.Join(dir, fmt.Sprint(i))
		must(t, os.WriteFile(path, []byte(text.String()), 0o644))
		s := &store{}
		s.fail = func(b *Batch) error {
			size := int64(0)
			for _, r := range b.Records {
				size += int64(len(r.Data))
			}
			now := held.Add(size)
			for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
			}
			time.Sleep(time.Millisecond) // as a commit takes
			held.Add(-size)
			return nil
		}
		stores = append(stores, s)
		runs = append(runs, follow(t, s, path, func(o *LogOptions) { o.Budget = shared }))
	}
	for i, s := range stores {
		s.want(t, want)
		runs[i].stop()
	}
	if most.Load() > DefaultBudget {
		t.Errorf("%d bytes were held at once", most.Load())
	}
}
