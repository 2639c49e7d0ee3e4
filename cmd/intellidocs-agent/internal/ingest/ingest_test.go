package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/dawnsystem/intellidocs-agent/queue"
	"github.com/dawnsystem/intellidocs-agent/tailer"
)

// kept is a queue that can be made to fail; what a real one does is tested where it runs.
type kept struct {
	batches []queue.Batch
	fail    error
}

func (k *kept) Commit(_ context.Context, b queue.Batch) (queue.Committed, error) {
	if k.fail != nil {
		return queue.Committed{}, k.fail
	}
	k.batches = append(k.batches, b)
	done := queue.Committed{}
	for _, e := range b.Events {
		done.Queued = append(done.Queued, e.ID)
		done.Deliveries += len(e.Webhooks)
	}
	return done, nil
}

func newSource(k *kept, reg prometheus.Registerer, positional bool, kind Kind) *Source {
	in := New(Options{
		Queue: k, Route: func(string, []byte) []string { return []string{"a"} }, Logger: slog.New(slog.DiscardHandler), Registerer: reg,
		Positional: func() bool { return positional },
	})
	return in.Source("log", kind, nil)
}

func lines(texts ...string) *tailer.Batch {
	b := &tailer.Batch{Source: "log", Cursor: []byte("c" + fmt.Sprint(len(texts)))}
	for i, text := range texts {
		b.Records = append(b.Records, tailer.Record{Data: []byte(text), Path: "/log", Stream: "s", Offset: int64(100 * i), Size: int64(len(text) + 1)})
	}
	return b
}

func TestHandle_OneCommitHoldsEventsRejectedAndCursor(t *testing.T) {
	k, reg := &kept{}, prometheus.NewRegistry()
	s := newSource(k, reg, false, Lines)
	b := lines(`{"event_type":"x","n":1}`, `nothing`, `{"event_type":"x","n":`)
	b.Records = append(b.Records, tailer.Record{Data: []byte("xx"), TooLong: true, Size: 1 << 30, Offset: 999, Stream: "s"})
	rejected, err := s.Handle(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	if len(k.batches) != 1 {
		t.Fatalf("%d commits", len(k.batches))
	}
	got := k.batches[0]
	if len(got.Events) != 1 || len(got.Rejected) != 2 || string(got.Cursor) != "c3" || got.Events[0].Webhooks[0] != "a" || len(got.Events[0].TraceID) != 32 {
		t.Errorf("%+v", got)
	}
	if len(rejected) != 2 || rejected[0].Record != 2 || rejected[1].Record != 3 || rejected[0].Reason == "" {
		t.Error("the reader is not told which records were rejected")
	}
	if tot := s.Totals(); tot.Records != 4 || tot.Queued != 1 || tot.Rejected != 2 || tot.Skipped != 1 {
		t.Errorf("%+v", tot)
	}
	err = testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP intellidocs_agent_records_rejected_total Records meant as an event that cannot be read as one.
# TYPE intellidocs_agent_records_rejected_total counter
intellidocs_agent_records_rejected_total{source="log"} 2
`), "intellidocs_agent_records_rejected_total")
	if err != nil {
		t.Error(err)
	}
}

func TestHandle_AFailedCommitIsCountedOnlyOnceItSucceeds(t *testing.T) {
	k := &kept{fail: errors.New("disk")}
	s := newSource(k, nil, false, Lines)
	b := lines(`{"event_type":"x","n":1}`)
	if _, err := s.Handle(t.Context(), b); !errors.Is(err, k.fail) || s.Totals().Queued != 0 {
		t.Fatal(err, s.Totals())
	}
	k.fail = nil
	if _, err := s.Handle(t.Context(), b); err != nil || s.Totals().Queued != 1 || s.Totals().Records != 1 {
		t.Fatal(err, s.Totals())
	}
}

func TestHandle_ACursorBehindSkippedRecordsIsPutOffAndNotForgotten(t *testing.T) {
	k := &kept{}
	s := newSource(k, nil, false, Lines)
	for _, b := range []*tailer.Batch{lines("a"), lines("a", "b"), lines("a", "b", "c")} {
		if _, err := s.Handle(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	if len(k.batches) != 1 {
		t.Errorf("%d commits for three batches of nothing", len(k.batches))
	}
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(k.batches); n != 2 || string(k.batches[1].Cursor) != "c3" {
		t.Errorf("%d commits, the last %+v", n, k.batches[n-1])
	}
	if err := s.Flush(t.Context()); err != nil || len(k.batches) != 2 {
		t.Error("flushed twice", err)
	}
}

func TestIdentity_ByPositionWhereNothingIsToBeMerged(t *testing.T) {
	same := `{"event_type":"x","n":1}`
	for positional, want := range map[bool]int{false: 1, true: 2} {
		k := &kept{}
		if _, err := newSource(k, nil, positional, Lines).Handle(t.Context(), lines(same, same)); err != nil {
			t.Fatal(err)
		}
		ids := map[string]bool{}
		for _, e := range k.batches[0].Events {
			ids[e.ID] = true
		}
		if len(ids) != want {
			t.Errorf("positional %t: %d ids, want %d", positional, len(ids), want)
		}
	}
}

func TestHandle_AnEventTheQueueCannotKeepIsNotInTheWay(t *testing.T) {
	k := &kept{}
	s := newSource(k, nil, false, Objects)
	big := `{"event_type":"x","t":"` + strings.Repeat("é", 2<<20) + `"}`
	if _, err := s.Handle(t.Context(), lines(big, `{"event_type":"x"}`)); err != nil {
		t.Fatal(err)
	}
	if got := k.batches[0]; len(got.Events) != 1 || len(got.Rejected) != 1 || len(got.Rejected[0].Data) != tailer.HeadBytes {
		t.Errorf("%d events, %d rejected", len(got.Events), len(got.Rejected))
	}
}

func TestAgain_AnEventWithoutATimeHasThatOfItsFirstReading(t *testing.T) {
	k := &kept{}
	rec := queue.Rejected{Source: "log", Data: []byte(`{"event_type":"x"}`), At: time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)}
	ok, err := newSource(k, nil, false, Objects).in.Again(t.Context(), rec, Objects, nil)
	if err != nil || !ok || !strings.Contains(string(k.batches[0].Events[0].Body), `"timestamp": "2025-01-02T03:04:05Z"`) {
		t.Fatal(ok, err, k.batches)
	}
}

func TestMetrics_EventTypesAreBounded(t *testing.T) {
	k, reg := &kept{}, prometheus.NewRegistry()
	s := newSource(k, reg, false, Lines)
	for i := range 200 {
		if _, err := s.Handle(t.Context(), lines(fmt.Sprintf(`{"event_type":"type %d"}`, i))); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := testutil.GatherAndCount(reg, "intellidocs_agent_events_ingested_total"); err != nil || n > maxTypes+1 {
		t.Errorf("%d series, %v", n, err)
	}
}

// moving is a queue that several agents share: a cursor moves from the generation it has.
type moving struct {
	kept
	gen int64
}

func (m *moving) Commit(ctx context.Context, b queue.Batch) (queue.Committed, error) {
	if b.Gen != m.gen {
		return queue.Committed{}, queue.ErrMoved
	}
	done, err := m.kept.Commit(ctx, b)
	m.gen++
	done.Gen = m.gen
	return done, err
}

func TestHandle_GoesOnFromTheGenerationThatItKnows(t *testing.T) {
	m := &moving{gen: 7}
	in := New(Options{Queue: m, Shared: true, Route: func(string, []byte) []string { return nil }, Logger: slog.New(slog.DiscardHandler), Positional: func() bool { return true }})
	s := in.Source("pod-0:/log", Lines, nil).From(7)
	for i := range 2 {
		if _, err := s.Handle(t.Context(), lines(fmt.Sprintf(`{"event_type":"x","n":%d}`, i))); err != nil {
			t.Fatal(err)
		}
	}
	if len(m.batches) != 2 || m.batches[0].Gen != 7 || m.batches[1].Gen != 8 {
		t.Fatalf("%d batches", len(m.batches))
	}
	other := in.Source("pod-1:/log", Lines, nil).From(9)
	if _, err := other.Handle(t.Context(), lines(`{"event_type":"x","n":0}`)); err != nil {
		t.Fatal(err)
	}
	if m.batches[0].Events[0].ID == m.batches[2].Events[0].ID {
		t.Error("the same place in the logs of two agents is one event")
	}
	if _, err := s.Handle(t.Context(), lines(`{"event_type":"x","n":3}`)); !errors.Is(err, queue.ErrMoved) {
		t.Errorf("%v, want that it was moved", err)
	}
}
