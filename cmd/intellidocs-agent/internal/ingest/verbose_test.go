package ingest

import (
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"

	"github.com/dawnsystem/intellidocs-agent/queue"
	"github.com/dawnsystem/intellidocs-agent/tailer"
)

const (
	header = "[2025-11-14 15:00:00,123] [INFO] [paperless.consumer] Consuming"
	bare   = `{"event_type":"x","n":1}`
)

func queued(k *kept) (n int) {
	for _, b := range k.batches {
		n += len(b.Events)
	}
	return n
}

func TestVerbose_ALogOnceSeenToHaveHeadersKeepsToThem(t *testing.T) {
	k := &kept{}
	s := newSource(k, nil, false, Lines)
	handle := func(b *tailer.Batch) {
		t.Helper()
		if _, err := s.Handle(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	handle(lines(bare))
	if queued(k) != 1 {
		t.Fatal("a log of plain events is not read")
	}
	handle(lines(header, bare))
	handle(lines(bare, `{"event_type":"x","n":2}`))
	if queued(k) != 1 {
		t.Error("a line without a header was taken for an event")
	}
	other := lines(bare)
	other.Records[0].Stream, other.Records[0].Offset = "another", 0
	handle(other)
	if queued(k) != 2 {
		t.Error("another file is judged by this one")
	}
}

func TestVerbose_AfterARestartTheBeginningOfTheFileDecides(t *testing.T) {
	for text, want := range map[string]int{
		header + "\n" + bare + "\n": 0,
		bare + "\n" + bare + "\n":   1,
	} {
		path := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		k := &kept{}
		b := lines(bare)
		b.Records[0].Path, b.Records[0].Offset = path, int64(len(text)-len(bare)-1)
		if _, err := newSource(k, nil, false, Lines).Handle(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if queued(k) != want {
			t.Errorf("%q: %d", text, queued(k))
		}
		// The same where it was rotated and compressed meanwhile.
		packed, err := os.Create(path + ".1.gz")
		if err != nil {
			t.Fatal(err)
		}
		z := gzip.NewWriter(packed)
		if _, err := z.Write([]byte(text)); err != nil || z.Close() != nil || packed.Close() != nil {
			t.Fatal(err)
		}
		k = &kept{}
		b.Records[0].Path = packed.Name()
		if _, err := newSource(k, nil, false, Lines).Handle(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if queued(k) != want {
			t.Errorf("%q, compressed: %d", text, queued(k))
		}
	}
}

// Who has a rejected record tried again does not get past the rule either.
func TestVerbose_ARejectedLineWithoutAHeaderStaysRejected(t *testing.T) {
	k := &kept{}
	s := newSource(k, nil, false, Lines)
	record := `{"name":"paperless.ai_webhooks","event":` + bare + `}`
	if _, err := s.Handle(t.Context(), lines(header, record)); err != nil || len(k.batches) != 1 || len(k.batches[0].Rejected) != 1 {
		t.Fatal(err, k.batches)
	}
	ok, err := s.in.Again(t.Context(), k.batches[0].Rejected[0], Lines, nil)
	if err != nil || ok || queued(k) != 0 {
		t.Error(ok, err)
	}
}

// A line is read again as a whole: while one of its records cannot be, it stays rejected.
func TestAgain_ALineOfSeveralRecordsIsEventsOrStays(t *testing.T) {
	for text, want := range map[string]int{
		bare + bare:                    2,
		bare + `{"event_type":3}`:      0,
		`{"event_type":"x","ti` + bare: 0,
		"words":                        0,
	} {
		k := &kept{}
		s := newSource(k, nil, true, Lines)
		ok, err := s.in.Again(t.Context(), queue.Rejected{Source: "log", Stream: "s", Reason: "broken", Data: []byte(text)}, Lines, nil)
		if err != nil || ok != (want > 0) || queued(k) != want {
			t.Errorf("%s: %v %v, %d queued", text, ok, err, queued(k))
		}
	}
}

// One line, two records: the torn one is kept as rejected, the other is queued.
func TestGlued_BothAreKept(t *testing.T) {
	k := &kept{}
	s := newSource(k, nil, true, Lines)
	rejections, err := s.Handle(t.Context(), lines(`{"event_type":"x","ti`+bare, bare+bare))
	if err != nil || len(rejections) != 1 || rejections[0].Record != 0 {
		t.Fatal(rejections, err)
	}
	ids := map[string]bool{}
	for _, e := range k.batches[0].Events {
		ids[e.ID] = true
	}
	if len(k.batches[0].Events) != 3 || len(ids) != 3 || len(k.batches[0].Rejected) != 1 {
		t.Errorf("%d events under %d ids, %d rejected", len(k.batches[0].Events), len(ids), len(k.batches[0].Rejected))
	}
}
