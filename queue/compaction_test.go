package queue

import (
	"errors"
	"testing"
)

// TestOutputs_ATableThatIsBegunWhileOthersAreLookedForIsWaitedFor has another compaction begin a table
// between the look at who makes one and the look at the tables, which takes long beside many goroutines.
func TestOutputs_ATableThatIsBegunWhileOthersAreLookedForIsWaitedFor(t *testing.T) {
	o := newOutputs(t.TempDir())
	o.begun(5)
	looks := 0
	o.runs = func(string) bool {
		if looks++; looks <= 3 {
			o.begun(7)
		}
		return false
	}
	if err := o.await(); !errors.Is(err, errNoTable) || looks != 4 {
		t.Errorf("%v after %d looks, want %v once none was begun meanwhile", err, looks, errNoTable)
	}
}

// TestOutputs_ATableThatIsMadeMeanwhileIsNotPutAside has another compaction begin and make one while it is
// looked whether any runs.
func TestOutputs_ATableThatIsMadeMeanwhileIsNotPutAside(t *testing.T) {
	o := newOutputs(t.TempDir())
	o.runs = func(string) bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.made["000001.sst"] = struct{}{}
		return false
	}
	if o.putAside() || len(o.made) != 1 {
		t.Errorf("%v are left of what was made meanwhile", o.made)
	}
}
