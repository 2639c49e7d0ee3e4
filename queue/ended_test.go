package queue

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

// A caller that has left must not find done what it was told was not, or was told nothing of.
func TestChanges_OfACallerThatHasLeftAreNotMade(t *testing.T) {
	q := open(t, Options{Dir: t.TempDir()})
	ctx, leave := context.WithCancel(t.Context())
	leave()
	for i := range 50 { // a select takes either half of the time
		e := NewEvent{Event: Event{ID: fmt.Sprintf("evt_%032x", i), Type: "custom", Body: []byte("{}")}, Webhooks: []string{"a"}}
		if _, err := q.Commit(ctx, Batch{Source: "log", Events: []NewEvent{e}}); !errors.Is(err, context.Canceled) {
			t.Errorf("commit %d: %v", i, err)
		}
	}
	if page, err := q.List(t.Context(), Filter{Limit: 100}); err != nil || len(page.Deliveries) != 0 {
		t.Errorf("%d deliveries, %v", len(page.Deliveries), err)
	}
}
