package queue

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"
)

// allEvents are what damagedState queued.
func allEvents() (b Batch) {
	b = Batch{Source: "ingest", Backfill: true}
	for n := range 300 {
		b.Events = append(b.Events, bigEvent(n, "a", "b"))
	}
	return b
}

func TestRepair_OneFlippedBitOfTheNewestValueLogCostsOneEventWhichIsNamedAndComesBack(t *testing.T) {
	dir := damagedState(t)
	logs := files(t, dir, ".vlog")
	edit(t, logs[len(logs)-1], func(data []byte) []byte {
		at := bytes.Index(data, []byte("xxxxxxxxxx"))
		data[at+100] ^= 1
		return data
	})
	var said bytes.Buffer
	q := open(t, Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(&said, nil))})
	lost, err := q.unreadable()
	if err != nil || len(lost) != 1 {
		t.Fatalf("%d events cannot be read, %v", len(lost), err)
	}
	if !strings.Contains(said.String(), lost[0].id) || !strings.HasPrefix(lost[0].id, "evt_") {
		t.Errorf("it does not name %q:\n%s", lost[0].id, said.String())
	}
	got := commit(t, q, allEvents())
	if len(got.Queued) != 1 || got.Queued[0] != lost[0].id || got.Duplicates != 299 {
		t.Errorf("read again: queued %v, %d duplicates", got.Queued, got.Duplicates)
	}
	if e, err := q.Event(lost[0].id); err != nil || len(e.Body) < 1000 {
		t.Errorf("it is not back: %v", err)
	}
}

func TestRepair_AManifestThatLostItsLastByteLosesNoTable(t *testing.T) {
	dir := damagedState(t)
	edit(t, dir+"/queue/MANIFEST", func(data []byte) []byte { return data[:len(data)-1] })
	q := open(t, Options{Dir: dir})
	if got := commit(t, q, allEvents()); got.Duplicates != 300 {
		t.Errorf("%d of 300 are still there", got.Duplicates)
	}
}

func TestRepair_ALostLogOfCommitsIsToldAndReadAgain(t *testing.T) {
	q := open(t, Options{Dir: damagedState(t)})
	for n := 300; n < 310; n++ {
		commit(t, q, Batch{Source: "log", Cursor: []byte("later"), Events: []NewEvent{bigEvent(n, "a", "b")}})
	}
	dir := copied(t, q.disk.dir)
	for _, path := range files(t, dir, ".mem") {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	var said bytes.Buffer
	q = open(t, Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(&said, nil))})
	if !strings.Contains(said.String(), "has lost its latest commits") || !strings.Contains(said.String(), "commits=10") {
		t.Errorf("it does not say what is gone:\n%s", said.String())
	}
	if c, _, err := q.Cursor("log"); err != nil || string(c) != "29" {
		t.Errorf("reading continues at %q, %v", c, err)
	}
	if got := commit(t, q, allEvents()); got.Duplicates != 300 {
		t.Errorf("%d of those before it are there", got.Duplicates)
	}
}
