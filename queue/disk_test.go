package queue

import (
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/internal/race"
)

func TestUpkeep_TheDiskComesBackOnceHistoryExpires(t *testing.T) {
	now := time.Now()
	q := open(t, Options{MaxSize: 64 << 20, Retention: time.Hour, DedupWindow: time.Hour, Now: func() time.Time { return now }})
	history(t, q, race.Rounds(15_000, 5_000), []string{"a", "b"})
	full := usage(q.disk.dir)
	now = now.Add(3 * time.Hour)
	left := full
	for range 4 { // the agent does it every five minutes
		if err := q.Upkeep(t.Context()); err != nil {
			t.Fatal(err)
		}
		left = usage(q.disk.dir)
		t.Logf("%d of %d KiB stay, %v", left>>10, full>>10, q.Counts())
	}
	if left > full/10 {
		t.Errorf("%d of %d MiB stay after everything expired", left>>20, full>>20)
	}
}
