package queue

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/dawnsystem/intellidocs-agent/queue/badgercheck"
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

// TestOutputs_ATableThatIsRemovedMeanwhileEndsNothing has tables cut off, as Badger does before it removes
// them, while they are looked at.
func TestOutputs_ATableThatIsRemovedMeanwhileEndsNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	q := open(t, Options{Dir: dir, Sizes: small})
	for i := range 20 {
		commit(t, q, someEvents(200*i, 200))
	}
	tables, _ := filepath.Glob(filepath.Join(dir, "queue", "*.sst"))
	if len(tables) == 0 {
		t.Fatal("there is no table")
	}
	whole, err := os.ReadFile(tables[0])
	if err != nil {
		t.Fatal(err)
	}
	other := t.TempDir()
	path := filepath.Join(other, "000001.sst")
	write := func() {
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Error(err)
		}
	}
	write()
	keys, err := badgercheck.TableKeys(path)
	if err != nil || keys == 0 {
		t.Fatalf("%d keys, %v", keys, err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 300 {
			write()
			if err := os.Truncate(path, 0); err != nil {
				t.Error(err)
			}
		}
	}()
	for looks := 0; ; looks++ {
		if n, err := badgercheck.TableKeys(path); err == nil && n != keys {
			t.Fatalf("%d keys, want %d or an error", n, keys)
		}
		select {
		case <-done:
			if looks < 10 {
				t.Errorf("only %d looks", looks)
			}
			return
		default:
		}
	}
}
