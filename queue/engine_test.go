package queue_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/dawnsystem/intellidocs-agent/internal/race"
	"github.com/dawnsystem/intellidocs-agent/queue"
	"github.com/dawnsystem/intellidocs-agent/queue/queuetest"
)

// badgerStore is a queue's state directory.
type badgerStore string

func (s badgerStore) Open(t testing.TB, o queuetest.Options) (queuetest.Engine, func(string) int64) {
	t.Helper()
	q, err := queue.Open(context.Background(), queue.Options{Dir: string(s), Retention: o.Retention, DedupWindow: o.DedupWindow, Now: o.Now})
	if err != nil {
		t.Fatal(err)
	}
	return q, func(string) int64 { return 1 }
}

func newStore(t *testing.T) queuetest.Store { return badgerStore(filepath.Join(t.TempDir(), "state")) }

func TestQueue_BehavesLikeItsModel(t *testing.T) {
	rounds, steps := race.Rounds(6, 2), 150
	if os.Getenv("INTELLIDOCS_SOAK") != "" {
		rounds, steps = 60, 1000
	}
	queuetest.Model(t, rounds, steps, newStore)
}
