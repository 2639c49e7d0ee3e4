package queue

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestLog_KeepsTheLatestInOrderAcrossRestarts(t *testing.T) {
	dir := t.TempDir()
	q := open(t, Options{Dir: dir})
	first := &LogEntry{At: time.Unix(1, 0), Count: 1, Kind: "started", Text: "first"}
	if err := q.AppendLog(t.Context(), first); err != nil || first.N != 1 {
		t.Fatal(err, first)
	}
	first.Count, first.Text = 2, strings.Repeat("ü", 1000)
	if err := q.AppendLog(t.Context(), first, &LogEntry{Text: "second"}); err != nil {
		t.Fatal(err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	q = open(t, Options{Dir: dir})
	got, err := q.Log(0, 10)
	if err != nil || len(got) != 2 || got[0].Text != "second" || got[0].N != 2 || got[1].Count != 2 || got[1].Text != strings.Repeat("ü", maxLogText) {
		t.Fatalf("%+v %v", got, err)
	}
	var many []*LogEntry
	for i := range MaxLog + 9 {
		many = append(many, &LogEntry{Text: fmt.Sprint("many ", i)})
	}
	if err := q.AppendLog(t.Context(), many...); err != nil {
		t.Fatal(err)
	}
	// What has been pushed out stays out.
	if err := q.AppendLog(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	seen, before := 0, uint64(0)
	for {
		part, err := q.Log(before, 100)
		if err != nil {
			t.Fatal(err)
		}
		if len(part) == 0 {
			break
		}
		for _, e := range part {
			if want := fmt.Sprint("many ", MaxLog+8-seen); e.Text != want {
				t.Fatalf("entry %d is %q, want %q", e.N, e.Text, want)
			}
			seen, before = seen+1, e.N
		}
	}
	if seen != MaxLog {
		t.Errorf("%d entries, want %d", seen, MaxLog)
	}
	// One that is damaged is left out, and keeps no other from being kept.
	err = q.writer.submit(t.Context(), cost{1, 100}, func(w *writeTxn) error { return w.set(logKey(before+3), []byte("no entry")) })
	if err != nil {
		t.Fatal(err)
	}
	if err := q.AppendLog(t.Context(), &LogEntry{Text: "the last"}); err != nil {
		t.Fatal(err)
	}
	if all, err := q.Log(0, 1000); err != nil || len(all) != MaxLog-1 || all[0].Text != "the last" {
		t.Errorf("%d entries, the last %+v, %v", len(all), all[0], err)
	}
}
