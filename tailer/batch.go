package tailer

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"time"
)

const (
	firstPause = time.Second
	lastPause  = 30 * time.Second
)

// feed offers batches to the handler, each until it is kept.
type feed struct {
	source  string
	handler Handler
	log     *slog.Logger
	// failing is told the handler's error, and nil when it has recovered.
	failing func(error)
	// idle, where set, runs at this interval while a batch is not kept: rotations do not wait for
	// a full disk, and a rotated file that was not opened may soon be deleted.
	idle  func(ctx context.Context)
	every time.Duration
}

// offer returns once the handler has kept b, with what it says of the records;
// otherwise ctx's error.
func (f *feed) offer(ctx context.Context, b *Batch) ([]Rejection, error) {
	b.Source = f.source
	said := ""
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		rejected, err := f.handle(ctx, b)
		if err == nil {
			if said != "" {
				f.log.Info("batch kept, reading continues", "source", f.source)
				f.failing(nil)
			}
			return rejected, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if s := err.Error(); s != said {
			f.log.Error("batch cannot be kept, reading waits", "source", f.source, "records", len(b.Records), "error", err)
			said = s
		}
		f.failing(err)
		over := time.After(pause)
		if f.idle != nil {
			f.idle(ctx)
		}
		if f.idleUntil(ctx, over); ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

// handle returns what the handler does, which waits for as long as the queue is full.
func (f *feed) handle(ctx context.Context, b *Batch) (rejected []Rejection, err error) {
	if f.idle == nil {
		return f.handler(ctx, b)
	}
	done := make(chan time.Time)
	go func() {
		defer close(done)
		rejected, err = f.handler(ctx, b)
	}()
	f.idleUntil(ctx, done)
	<-done // it is the batch's owner until then
	return rejected, err
}

// idleUntil returns once over can be received from, or ctx has ended.
func (f *feed) idleUntil(ctx context.Context, over <-chan time.Time) {
	var tick <-chan time.Time
	if f.idle != nil {
		t := time.NewTicker(f.every)
		defer t.Stop()
		tick = t.C
	}
	for {
		select {
		case <-over:
			return
		case <-ctx.Done():
			return
		case <-tick:
			f.idle(ctx)
		}
	}
}

// pack collects records and the bytes they point into. It is used again for
// every batch, so that a steady stream allocates nothing.
type pack struct {
	records []Record
	arena   []byte
}

// maxArena is what is kept of an arena between batches.
const maxArena = 2 << 20

func (p *pack) reset() {
	clear(p.records)
	p.records = p.records[:0]
	if cap(p.arena) > maxArena {
		p.arena = nil
	}
	p.arena = p.arena[:0]
}

func (p *pack) add(r Record) { p.records = append(p.records, r) }

// keep copies b into the arena. Growth leaves earlier slices valid on the old one.
func (p *pack) keep(b []byte) []byte {
	from := len(p.arena)
	p.arena = append(p.arena, b...)
	return p.arena[from:len(p.arena):len(p.arena)]
}

// room makes n bytes in the arena to read into.
func (p *pack) room(n int64) []byte {
	from := len(p.arena)
	p.arena = slices.Grow(p.arena, int(n))[:from+int(n)]
	return p.arena[from:len(p.arena):len(p.arena)]
}

// keepLine copies a line and its terminator, so that the arena ends up holding
// exactly what was read of the file.
func (p *pack) keepLine(s string) []byte {
	from := len(p.arena)
	p.arena = append(p.arena, s...)
	to := len(p.arena)
	p.arena = append(p.arena, '\n')
	return p.arena[from:to:to]
}

var bom = []byte("\xef\xbb\xbf")

// trim takes off what belongs to the file and not to the line.
func trim(line []byte, offset int64) []byte {
	line = bytes.TrimSuffix(line, []byte{'\r'})
	if offset == 0 {
		line = bytes.TrimPrefix(line, bom)
	}
	return line
}
