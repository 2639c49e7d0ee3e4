package postgres

import (
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres/pgtest"
)

// A webhook of which nothing waits is not looked for from its first delivery on, which may be dead and in the
// way; what comes is found.
func TestDue_BeginsWhereADrainedWebhookEnded(t *testing.T) {
	url := pgtest.Server(t)
	q, other := agent(t, url, "agent-0", Options{}), agent(t, url, "agent-1", Options{})
	a := serve(t, q, "a")
	a.await(t, "a")
	expire := func() {
		q.places.mu.Lock()
		defer q.places.mu.Unlock()
		q.places.at("a").dueUntil = time.Time{}
	}
	placed := func() bool {
		q.places.mu.Lock()
		defer q.places.mu.Unlock()
		w := q.places.at("a")
		return !w.dueUntil.IsZero() && !w.dueAt.due.IsZero() && w.dueAt == w.past
	}
	queued(t, q, 3, 10)
	attempt(t, q, a, queue.Success, 1)
	expire()
	if left := due(t, q, "a"); len(left) > 0 || !placed() {
		t.Fatalf("%d are left; a place: %v", len(left), placed())
	}
	expire()
	for deadline := time.Now().Add(30 * time.Second); !placed(); time.Sleep(20 * time.Millisecond) { // it is looked at each second
		if time.Now().After(deadline) {
			t.Fatal("looking finds no place")
		}
	}
	commit(t, other, queue.Batch{Source: "other", Events: []queue.NewEvent{event(10, "a")}})
	if found := due(t, q, "a"); len(found) != 1 || found[0].EventID != event(10).ID {
		t.Fatalf("%+v", found)
	}
}

// What is put off is not where a webhook of which nothing is due begins: what others add is due before it.
func TestPlaces_OfNothingDueIsBeforeWhatIsPutOff(t *testing.T) {
	var p places
	now := time.Now()
	at := func(seq int64, d time.Duration) dueRef { return dueRef{ref: ref{seq: seq}, due: now.Add(d)} }
	p.sawNone("a", 0, 0)
	if from, _ := p.due("a"); from != (dueRef{}) {
		t.Error("a place before anything was seen")
	}
	p.sawDue("a", at(1, -time.Minute), now, 0, true, 0)
	p.sawDue("a", at(1, time.Hour), now, 0, false, 0)
	p.sawNone("a", 0, 0)
	if from, _ := p.due("a"); from != at(1, -time.Minute) {
		t.Errorf("from %v", from.due.Sub(now))
	}
	_, token := p.due("a")
	p.added("a", ref{seq: 2}, now.Add(-time.Hour)) // while it is looked for
	p.sawNone("a", token, 0)
	if from, _ := p.due("a"); from != (dueRef{}) {
		t.Error("what was added meanwhile is passed over")
	}
}
