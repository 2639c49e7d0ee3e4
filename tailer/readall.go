package tailer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// ReadOptions say how ReadAll reads.
type ReadOptions struct {
	// Source and Path are for the batches and records.
	Source, Path string
	// MaxLine in bytes, as in LogOptions.
	MaxLine int
	Partial func(line []byte) (key string, more bool)
	Handler Handler
	Logger  *slog.Logger
}

// ReadAll reads an old log once, from r to its end, in the same records and batches
// as Log does. The stream is named by the log's first bytes, so that reading it again
// yields the same names; offsets are those of the uncompressed bytes. The batches
// have no cursor. A handler's error is not retried but returned: somebody waits.
func ReadAll(ctx context.Context, r io.Reader, o ReadOptions) error {
	if o.Handler == nil {
		return errors.New("tailer: reading a log needs a handler")
	}
	o.MaxLine = orDefault(o.MaxLine, DefaultMaxLine)
	br := bufio.NewReaderSize(r, blockLen)
	head, err := br.Peek(headLen)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading %s: %w", o.Path, err)
	}
	a := &allReader{
		o: o, s: &stream{id: fingerprintOf(head).sum}, lines: newLineReader(br, 0, o.MaxLine),
		join: joiner{partial: o.Partial, maxLine: o.MaxLine},
	}
	return a.run(ctx)
}

type allReader struct {
	o     ReadOptions
	s     *stream
	lines *lineReader
	join  joiner
	pack  pack
}

func (a *allReader) run(ctx context.Context) error {
	for ctx.Err() == nil {
		f, err := a.lines.next()
		if errors.Is(err, io.EOF) {
			a.join.giveUp(a.s, a.pack.add)
			return a.flush(ctx)
		}
		if err != nil {
			return fmt.Errorf("reading %s at offset %d: %w", a.o.Path, a.lines.off, err)
		}
		if r, whole := a.join.addFrame(f, a.pack.keep(f.data), a.o.Path, a.s); whole {
			a.pack.add(r)
		}
		if len(a.pack.records) >= DefaultBatchLines || len(a.pack.arena) >= DefaultBatchBytes {
			if err := a.flush(ctx); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

func (a *allReader) flush(ctx context.Context) error {
	if len(a.pack.records) == 0 {
		return nil
	}
	_, err := a.o.Handler(ctx, &Batch{Source: a.o.Source, Records: a.pack.records})
	a.pack.reset()
	return err
}
