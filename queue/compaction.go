package queue

import (
	"errors"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue/badgercheck"
)

// outputs watches over the tables that compactions make.
//
// Badger v4.9.6 loses the error of the goroutine that makes such a table (subcompact in
// levels.go evaluates inflightBuilders.Done(err) before there is an error). When no file could
// be opened or mapped for it once, the MANIFEST would name the other outputs, the inputs would
// go, and with them what the missing table should have held.
//
// Two of Badger's messages tell enough to stop that. "LOG Compact. Added %d keys" comes before
// each table is made, from the compaction's own goroutine; "Discard stats" comes once the last
// one was begun, and before the MANIFEST is written. There the compaction is held up until the
// goroutines that make tables have ended, and a table with that many keys is there for each.
type outputs struct {
	dir string

	mu       sync.Mutex
	expected map[uint32]int      // by number of keys
	seen     map[string]struct{} // tables that are accounted for, as far as they are there
}

func newOutputs(dir string) *outputs {
	return &outputs{dir: dir, expected: map[uint32]int{}}
}

func (o *outputs) list() []string {
	paths, _ := filepath.Glob(filepath.Join(o.dir, "*.sst")) // the pattern is a good one
	return paths
}

// begun takes note of a table that is about to be made.
func (o *outputs) begun(keys uint64) {
	if keys == 0 {
		return // none is
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.seen == nil {
		// Not before the first one: opening a database removes tables that an earlier process
		// left, and their names are used again.
		o.seen = map[string]struct{}{}
		for _, path := range o.list() {
			o.seen[path] = struct{}{}
		}
	}
	o.expected[uint32(keys)]++
}

var errNoTable = errors.New("a table could not be created, and Badger does not say why (no memory, room or descriptor for it?)")

// await returns once every table that was begun is there, or says that one never will be.
func (o *outputs) await() error {
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		if o.allThere() {
			return nil
		}
		if !makingTables() {
			// Those that were being made when allThere looked may be there by now.
			if o.allThere() {
				return nil
			}
			return errNoTable
		}
		time.Sleep(pause)
	}
}

// allThere strikes out the expected tables that are there, and reports whether none is left.
func (o *outputs) allThere() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	there := map[string]struct{}{}
	for _, path := range o.list() {
		if _, ok := o.seen[path]; ok {
			there[path] = struct{}{}
			continue
		}
		keys, err := badgercheck.TableKeys(path)
		if err != nil || o.expected[keys] == 0 {
			continue // being made, or a flush's
		}
		there[path] = struct{}{}
		if o.expected[keys]--; o.expected[keys] == 0 {
			delete(o.expected, keys)
		}
	}
	o.seen = there
	return len(o.expected) == 0
}

// makingTables reports whether a goroutine is within a compaction's part, other than those
// that wait here.
func makingTables() bool {
	records := make([]runtime.StackRecord, runtime.NumGoroutine()+16)
	n, ok := runtime.GoroutineProfile(records)
	if !ok {
		return true // more have come; look again
	}
	for i := range records[:n] {
		making := false
		stack := records[i].Stack()
		if len(stack) == len(records[i].Stack0) {
			return true // cut off above; look again
		}
		frames := runtime.CallersFrames(stack)
		for first, more := true, true; more; first = false {
			var f runtime.Frame
			f, more = frames.Next()
			if first && f.Function == "runtime.goexit" {
				return true // it has not run yet, and may be one of them: its function is not on its stack
			}
			if strings.HasSuffix(f.Function, "(*outputs).await") {
				making = false
				break
			}
			making = making || strings.Contains(f.Function, "(*levelsController).subcompact")
		}
		if making {
			return true
		}
	}
	return false
}

// compaction handles Badger's messages about compactions; see outputs.
func (f *failure) compaction(format string, args []any) {
	switch {
	case strings.HasPrefix(format, "[%d] LOG Compact. Added %d keys") && len(args) > 1:
		if keys, ok := args[1].(uint64); ok {
			f.outputs.begun(keys)
		}
	case strings.HasPrefix(format, "Discard stats"):
		if err := f.outputs.await(); err != nil {
			f.set("compact tables in", err)
			select {} // the MANIFEST must not be written
		}
	}
}
