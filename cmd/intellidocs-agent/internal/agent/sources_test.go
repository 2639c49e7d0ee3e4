package agent

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/config"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/ingest"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

// cursorQueue keeps cursors with their generations, as a queue that several agents share.
type cursorQueue struct {
	mu      sync.Mutex
	cursors map[string][]byte
	gens    map[string]int64
	events  map[string]int // how often each was committed
}

func (q *cursorQueue) Cursor(source string) ([]byte, int64, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.cursors[source], q.gens[source], nil
}

func (q *cursorQueue) Commit(_ context.Context, b queue.Batch) (queue.Committed, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if b.Gen != q.gens[b.Source] {
		return queue.Committed{}, queue.ErrMoved
	}
	for i := range b.Events {
		q.events[b.Events[i].ID]++
	}
	q.gens[b.Source]++
	q.cursors[b.Source] = b.Cursor
	return queue.Committed{Gen: q.gens[b.Source]}, nil
}

func (q *cursorQueue) count() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.events)
}

func TestSources_ReadOnFromTheStoredPositionWhereItWasMoved(t *testing.T) {
	q := &cursorQueue{cursors: map[string][]byte{}, gens: map[string]int64{}, events: map[string]int{}}
	log := slog.New(slog.DiscardHandler)
	s := newSources(q, log)
	s.ingest = ingest.New(ingest.Options{Queue: q, Shared: true, Route: func(string, []byte) []string { return nil }, Logger: log})
	path := filepath.Join(t.TempDir(), "ai.log")
	cfg := config.Source{Type: "log", Path: path, Name: "pod-0:" + path, Start: "beginning", MaxLineBytes: 1 << 20, Poll: true}
	s.apply([]config.Source{cfg})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = s.run(ctx) }()
	defer func() { cancel(); <-done }()

	add := func(n string) {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(`{"event_type":"x","n":` + n + "}\n"); err != nil {
			t.Fatal(err)
		}
	}
	add("1")
	await(t, "the first event", func() bool { return q.count() == 1 })
	// A failover has lost the latest commits: the cursor goes back, and so does the event.
	q.mu.Lock()
	q.cursors[cfg.Name], q.gens[cfg.Name], q.events = nil, 0, map[string]int{}
	q.mu.Unlock()
	add("2")
	await(t, "both events, read again", func() bool { return q.count() == 2 })
	// While nothing is written the store says so itself.
	q.mu.Lock()
	q.cursors[cfg.Name], q.gens[cfg.Name], q.events = nil, 0, map[string]int{}
	q.mu.Unlock()
	s.moved(cfg.Name)
	await(t, "both events, read once more", func() bool { return q.count() == 2 })
}

func TestSources_ASharedOneIsReadByItsHolderAlone(t *testing.T) {
	q := &cursorQueue{cursors: map[string][]byte{}, gens: map[string]int64{}, events: map[string]int{}}
	log := slog.New(slog.DiscardHandler)
	s := newSources(q, log)
	s.ingest = ingest.New(ingest.Options{Queue: q, Shared: true, Route: func(string, []byte) []string { return nil }, Logger: log})
	path := filepath.Join(t.TempDir(), "ai.log")
	if err := os.WriteFile(path, []byte(`{"event_type":"x","n":1}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := config.Source{Type: "log", Path: path, Name: "shared:" + path, Shared: true, Start: "beginning", MaxLineBytes: 1 << 20}
	s.apply([]config.Source{cfg})
	if all := s.shared(); len(all) != 1 || all[0].Webhook != cfg.Name {
		t.Fatalf("%+v", all)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = s.run(ctx) }()
	defer func() { cancel(); <-done }()
	if st := s.status(); !st[0].Ready || !st[0].Elsewhere || q.count() != 0 {
		t.Fatalf("%+v, %d read", st, q.count())
	}
	s.hold([]queue.Holding{{Webhook: cfg.Name}})
	await(t, "its event", func() bool { return q.count() == 1 && !s.status()[0].Elsewhere })
	s.hold(nil)
	await(t, "its end", func() bool { return len(s.open()) == 0 && s.status()[0].Elsewhere })
}

func await(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !f(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited a minute for " + what)
		}
	}
}
