package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// idle is what an agent takes that has nothing to do.
func (b *bench) idle() error {
	percent, rss, err := b.idles()
	if err != nil {
		return err
	}
	must, aim := 0.2, 0.05
	if b.before != "" {
		if must, _, err = b.earlier().idles(); err != nil {
			return err
		}
		aim = 0
	}
	b.table.add("idle: CPU in %", atMost(percent, must, aim), "%.2f", percent)
	b.table.add("idle: RSS in MiB", atMost(rss, 22, 0), "%.0f", rss)
	return nil
}

// idles are the share of a processor in percent and the resident memory in MiB.
func (b *bench) idles() (percent, rss float64, err error) {
	path := filepath.Join(b.dir, "idle.log")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return 0, 0, err
	}
	p, err := b.start(path, hook{url: "http://127.0.0.1:1/", atOnce: 8})
	if err != nil {
		return 0, 0, err
	}
	pause := func(d time.Duration) {
		select {
		case <-b.ctx.Done():
		case <-time.After(d):
		}
	}
	pause(5 * time.Second)
	before, err := p.cpu()
	if err != nil {
		return 0, 0, err
	}
	watched := time.Duration(2*b.seconds) * time.Second
	pause(watched)
	used, err := p.cpu()
	if err != nil {
		return 0, 0, err
	}
	rss = p.memory("VmRSS")
	return 100 * (used - before).Seconds() / watched.Seconds(), rss, p.stop()
}

// queue measures the queue alone: durable commits against appending and syncing the same
// bytes, and taking and finishing with much or little waiting.
func (b *bench) queue() error {
	debug.SetMemoryLimit(40 << 20)
	debug.SetGCPercent(50)
	defer debug.SetMemoryLimit(1<<63 - 1)
	defer debug.SetGCPercent(100)
	durable, raw, err := b.commits(128, 300)
	if err != nil {
		return err
	}
	b.table.add("queue alone: enqueue at 128 a commit over raw append + sync", atLeast(durable/raw, 0.25, 0.4), "%.2f (%.0f/%.0f)", durable/raw, durable, raw)
	few, err := b.drain(40_000)
	if err != nil {
		return err
	}
	many, err := b.drain(1_000_000)
	if err != nil {
		return err
	}
	b.table.add("queue alone: take and finish, 1 M waiting over 40,000 waiting", atLeast(many/few, 0.9, 1), "%.2f (%.0f/%.0f)", many/few, many, few)
	return nil
}

func (b *bench) open() (*queue.Queue, error) {
	dir, err := os.MkdirTemp(b.dir, "queue")
	if err != nil {
		return nil, err
	}
	return queue.Open(b.ctx, queue.Options{Dir: dir, DedupWindow: time.Hour})
}

func event(n int) queue.NewEvent {
	body := eventLine(anEvent, n, 1000)
	return queue.NewEvent{Event: queue.Event{ID: fmt.Sprintf("evt_%032x", n), Type: "scan_completed", Source: "bench", Path: "/log", TraceID: fmt.Sprintf("%032x", n), ReadAt: time.Now(), Body: body}, Webhooks: []string{"a"}}
}

func (b *bench) commits(size, times int) (durable, raw float64, err error) {
	q, err := b.open()
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	for i := range times {
		batch := queue.Batch{Source: "log", Cursor: []byte("cursor")}
		for k := range size {
			batch.Events = append(batch.Events, event(i*size+k))
		}
		if _, err := q.Commit(b.ctx, batch); err != nil {
			return 0, 0, errors.Join(err, q.Close())
		}
	}
	took := time.Since(began)
	if err := q.Close(); err != nil {
		return 0, 0, err
	}
	f, err := os.Create(filepath.Join(b.dir, "raw"))
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	data := make([]byte, size*1200)
	began = time.Now()
	for range times {
		if _, err := f.Write(data); err != nil {
			return 0, 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, 0, err
		}
	}
	n := float64(size * times)
	return n / took.Seconds(), n / time.Since(began).Seconds(), nil
}

// drain takes and finishes 40,000 of those that wait, 64 at a time.
func (b *bench) drain(waiting int) (float64, error) {
	q, err := b.open()
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancel(b.ctx)
	upkeep := make(chan error, 1)
	go func() { upkeep <- q.Run(ctx) }()
	rate, err := func() (float64, error) {
		for n := 0; n < waiting; {
			var batch queue.Batch
			for ; len(batch.Events) < 500 && n < waiting; n++ {
				batch.Events = append(batch.Events, event(n))
			}
			if _, err := q.Commit(b.ctx, batch); err != nil {
				return 0, err
			}
		}
		const measured = 40_000
		began := time.Now()
		for done := 0; done < measured; {
			due, _, err := q.Due("a", time.Now(), 64, nil)
			if err != nil {
				return 0, err
			}
			var outcomes []queue.Outcome
			for _, d := range due {
				if _, err := q.EventOf(d.ID); err != nil {
					return 0, err
				}
				outcomes = append(outcomes, queue.Outcome{DeliveryID: d.ID, Status: queue.Success, URL: "http://127.0.0.1/…", Attempt: queue.Attempt{N: d.Attempts + 1, At: time.Now(), Took: time.Millisecond, Status: 200}})
			}
			if err := q.Record(b.ctx, outcomes...); err != nil {
				return 0, err
			}
			done += len(due)
		}
		return measured / time.Since(began).Seconds(), nil
	}()
	cancel()
	return rate, errors.Join(err, <-upkeep, q.Close())
}
