package tailer

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// BenchmarkFollow reads lines of 2 KB to a handler that looks at every byte of them.
func BenchmarkFollow(b *testing.B) {
	benchmarkFollow(b, "2KB", strings.Repeat("x", 2047)+"\n")
	benchmarkFollow(b, "200B", strings.Repeat("x", 199)+"\n")
}

func benchmarkFollow(b *testing.B, name, line string) {
	b.Run(name, func(b *testing.B) {
		const size = 64 << 20
		path := filepath.Join(b.TempDir(), "app.log")
		n := size / len(line)
		if err := os.WriteFile(path, []byte(strings.Repeat(line, n)), 0o644); err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(n * len(line)))
		b.ReportAllocs()
		for b.Loop() {
			ctx, cancel := context.WithCancel(context.Background())
			got := 0
			l, err := NewLog(LogOptions{Path: path, Handler: func(_ context.Context, batch *Batch) ([]Rejection, error) {
				for _, r := range batch.Records {
					if bytes.IndexByte(r.Data, 'y') < 0 {
						got++
					}
				}
				if got == n {
					cancel()
				}
				return nil, nil
			}})
			if err != nil {
				b.Fatal(err)
			}
			if err := l.Run(ctx); err != nil {
				b.Fatal(err)
			}
			cancel()
		}
	})
}

// BenchmarkLongLine reads a line of 200 MB without a newline until then.
func BenchmarkLongLine(b *testing.B) {
	path := filepath.Join(b.TempDir(), "app.log")
	if err := os.WriteFile(path, append(bytes.Repeat([]byte("x"), 200<<20), '\n'), 0o644); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(200 << 20)
	b.ReportAllocs()
	for b.Loop() {
		ctx, cancel := context.WithCancel(context.Background())
		l, err := NewLog(LogOptions{Path: path, Handler: func(_ context.Context, batch *Batch) ([]Rejection, error) {
			if len(batch.Records) > 0 {
				cancel()
			}
			return nil, nil
		}})
		if err != nil {
			b.Fatal(err)
		}
		if err := l.Run(ctx); err != nil {
			b.Fatal(err)
		}
		cancel()
	}
}
