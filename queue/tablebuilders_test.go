package queue

import "testing"

func TestTableBuilders_AreGivenUp(t *testing.T) {
	q := open(t, Options{})
	for i := range 20 {
		commit(t, q, Batch{Source: "log", Events: []NewEvent{bigEvent(i, "a")}})
	}
	if err := q.maintenance.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	freed := q.freeTableBuilder()
	if freed < 512<<10 {
		t.Errorf("of what a table was built in, %d bytes were given up: does Badger keep it elsewhere now?", freed)
	}
	for range 8 {
		freed = q.freeTableBuilder()
	}
	if freed != 0 {
		t.Errorf("%d bytes are still there", freed)
	}
	// Tables are built as before.
	commit(t, q, Batch{Source: "log", Events: []NewEvent{bigEvent(20, "a")}})
	if err := q.maintenance.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	if freed := q.freeTableBuilder(); freed != 0 {
		t.Errorf("of a closed queue %d bytes were given up", freed)
	}
}
