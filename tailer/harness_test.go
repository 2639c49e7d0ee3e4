package tailer

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// store is a handler that keeps records and cursor in one step, like the queue.
type store struct {
	mu      sync.Mutex
	lines   []string
	records []Record
	cursor  []byte
	gaps    []Gap
	batches int
	// fail, where set, is asked before anything is kept.
	fail func(b *Batch) error
	// reject, where set, says what is wrong with a record.
	reject func(r *Record) string
	log    logBuffer
}

func (s *store) handle(_ context.Context, b *Batch) ([]Rejection, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batches++
	if s.fail != nil {
		if err := s.fail(b); err != nil {
			return nil, err
		}
	}
	var rejected []Rejection
	for i, r := range b.Records {
		if s.reject != nil {
			if why := s.reject(&r); why != "" {
				rejected = append(rejected, Rejection{Record: i, Reason: why})
			}
		}
		s.lines = append(s.lines, string(r.Data))
		r.Data = nil
		s.records = append(s.records, r)
	}
	if b.Gap != nil {
		s.gaps = append(s.gaps, *b.Gap)
	}
	s.cursor = b.Position(rejected)
	return rejected, nil
}

func (s *store) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.lines)
}

func (s *store) got() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.lines...)
}

func (s *store) lastCursor() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cursor
}

func (s *store) gapCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.gaps)
}

// logBuffer takes what is logged.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// running is a follower at work.
type running struct {
	t    *testing.T
	log  *Log
	stop func()
}

const testSweep = 10 * time.Millisecond

// follow starts a follower at the store's cursor. Called again after stop, it is a restart.
func follow(t *testing.T, s *store, path string, change ...func(*LogOptions)) *running {
	t.Helper()
	o := LogOptions{
		Source: "test", Path: path, Cursor: s.lastCursor(), Handler: s.handle, Sweep: testSweep,
		Logger: slog.New(slog.NewTextHandler(&s.log, nil)),
	}
	for _, c := range change {
		c(&o)
	}
	l, err := NewLog(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	var once sync.Once
	r := &running{t: t, log: l}
	r.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
	t.Cleanup(r.stop)
	// Until its first look, what is rotated is old news to it.
	eventually(t, "first look", func() bool {
		st := l.Status()
		return s.lastCursor() != nil || !st.Ready && st.Reason != notStarted
	})
	return r
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		time.Sleep(2 * time.Millisecond) // between looks at the condition
	}
}

// wait waits until n lines were kept, for as long as some come.
func (s *store) wait(t *testing.T, n int) {
	t.Helper()
	came, since := -1, time.Now()
	for s.count() < n {
		if now := s.count(); now > came {
			came, since = now, time.Now()
		}
		if time.Since(since) > 20*time.Second {
			t.Fatalf("%d lines of %d came: last %q\nlog: %s", came, n, last(s.got(), 3), s.log.String())
		}
		time.Sleep(2 * time.Millisecond) // between looks at the condition
	}
}

func last(lines []string, n int) []string { return lines[max(0, len(lines)-n):] }

// settled waits until nothing is unread, no rotated file is waited for and nothing
// more is handed over.
func (r *running) settled(s *store) {
	r.t.Helper()
	eventually(r.t, "settled", func() bool {
		st := r.log.Status()
		return st.Reason != notStarted && st.LagBytes == 0 && st.Files <= 1
	})
}

// want compares all lines with what was written, order included.
func (s *store) want(t *testing.T, want []string) {
	t.Helper()
	s.wait(t, len(want))
	got := s.got()
	for i := range got {
		if i >= len(want) || got[i] != want[i] {
			t.Fatalf("line %d of %d (want %d): got %.80q, want %.80q", i, len(got), len(want), got[i], at(want, i))
		}
	}
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(nothing)"
}

// wantSet compares all lines with what was written, each once, in any order.
func (s *store) wantSet(t *testing.T, want []string) {
	t.Helper()
	seen := map[string]int{}
	for _, l := range s.got() {
		seen[l]++
	}
	lost, twice := 0, 0
	for _, l := range want {
		switch n := seen[l]; {
		case n == 0:
			lost++
			if lost <= 3 {
				t.Logf("lost: %.80q", l)
			}
		case n > 1:
			twice++
			if twice <= 3 {
				t.Logf("twice: %.80q", l)
			}
		}
		delete(seen, l)
	}
	if lost > 0 || twice > 0 || len(seen) > 0 {
		t.Fatalf("of %d lines %d lost, %d twice, %d that were never written", len(want), lost, twice, len(seen))
	}
}

// wantSetOf waits for n lines first.
func (s *store) wantSetOf(t *testing.T, n int, want []string) {
	t.Helper()
	s.wait(t, n)
	s.wantSet(t, want)
}

// writer appends numbered lines to a file that it holds open.
type writer struct {
	t       *testing.T
	path    string
	f       *os.File
	written []string
}

func newWriter(t *testing.T, path string) *writer {
	t.Helper()
	w := &writer{t: t, path: path}
	w.reopen()
	t.Cleanup(func() { w.f.Close() })
	return w
}

func (w *writer) reopen() {
	w.t.Helper()
	if w.f != nil {
		w.f.Close()
	}
	f, err := os.OpenFile(w.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		w.t.Fatal(err)
	}
	w.f = f
}

func (w *writer) raw(s string) {
	w.t.Helper()
	if _, err := w.f.WriteString(s); err != nil {
		w.t.Fatal(err)
	}
}

// lines writes n lines, each unlike all others.
func (w *writer) lines(n int) {
	w.t.Helper()
	for range n {
		l := fmt.Sprintf("[2026-01-01 00:00:00,000] [INFO] [paperless] line %06d %s", len(w.written), strings.Repeat("x", len(w.written)%50))
		w.raw(l + "\n")
		w.written = append(w.written, l)
	}
}

func (w *writer) rename(to string) {
	w.t.Helper()
	must(w.t, os.Rename(w.path, to))
}

// copytruncate does what logrotate does.
func (w *writer) copytruncate(to string) {
	w.t.Helper()
	b, err := os.ReadFile(w.path)
	must(w.t, err)
	must(w.t, os.WriteFile(to, b, 0o644))
	must(w.t, os.Truncate(w.path, 0))
}

// compress does what logrotate does with compress, and returns what it packed.
func (w *writer) compress(to string) []byte {
	w.t.Helper()
	b, err := os.ReadFile(w.path)
	must(w.t, err)
	must(w.t, os.WriteFile(to, gzipped(w.t, b), 0o644))
	must(w.t, os.Remove(w.path))
	w.reopen()
	return b
}

// shift renames .1 to .2 and so on, n at most, and makes room for .1.
func (w *writer) shift(n int) {
	w.t.Helper()
	for i := n - 1; i > 0; i-- {
		err := os.Rename(fmt.Sprintf("%s.%d", w.path, i), fmt.Sprintf("%s.%d", w.path, i+1))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			w.t.Fatal(err)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func logPath(t *testing.T) string { return filepath.Join(t.TempDir(), "app.log") }

// quiet waits for as long as it takes to think a file finished, counted in sweeps.
func (r *running) quiet() {
	r.t.Helper()
	time.Sleep(2 * quietSweeps * testSweep) // that nothing happens can only be waited for
}

func gzipped(t *testing.T, b []byte) []byte {
	t.Helper()
	var z bytes.Buffer
	zw := gzip.NewWriter(&z)
	_, err := zw.Write(b)
	must(t, errors.Join(err, zw.Close()))
	return z.Bytes()
}
