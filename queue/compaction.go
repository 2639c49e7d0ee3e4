package queue

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
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
//
// One that is there may still be left out, where only its sync failed. That shows in the
// MANIFEST once the compaction is done. Such a table holds what its inputs did, and those are
// gone: it is put aside before the process ends, since Badger deletes what the MANIFEST does
// not name when it opens, and badgercheck.Repair names it.
type outputs struct {
	dir  string
	runs func(function string) bool

	mu       sync.Mutex
	begins   int                 // calls of begun
	expected map[uint32]int      // by number of keys
	seen     map[string]struct{} // tables that are accounted for, as far as they are there
	made     map[string]struct{} // of those, the ones that the MANIFEST has yet to name
}

func newOutputs(dir string) *outputs {
	return &outputs{dir: dir, runs: runs, expected: map[uint32]int{}, made: map[string]struct{}{}}
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
	o.begins++
}

var errNoTable = errors.New("a table could not be created, and Badger does not say why (no memory, room or descriptor for it?)")

// await returns once every table that was begun is there, or says that one never will be. It
// looks for who makes them only where that takes long: the stacks of a thousand goroutines
// beside many endpoints that hang were more work than the tables.
func (o *outputs) await() error {
	const longest = 50 * time.Millisecond
	for pause := time.Millisecond; ; pause = min(2*pause, longest) {
		if o.allThere() {
			return nil
		}
		if begins := o.begunSoFar(); pause == longest && !o.runs("(*levelsController).subcompact") {
			// Those that were being made when allThere looked may be there by now; and it takes a
			// while to go through the stacks, in which another compaction may have begun one.
			if o.allThere() {
				return nil
			}
			if o.begunSoFar() == begins {
				return errNoTable
			}
		}
		time.Sleep(pause)
	}
}

func (o *outputs) begunSoFar() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.begins
}

// unnamed are the tables that the MANIFEST may have yet to name.
func (o *outputs) unnamed() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Collect(maps.Keys(o.made))
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
		if err != nil {
			continue // being made, or removed
		}
		there[path] = struct{}{}
		if o.expected[keys] == 0 {
			continue // a flush's
		}
		o.made[path] = struct{}{}
		if o.expected[keys]--; o.expected[keys] == 0 {
			delete(o.expected, keys)
		}
	}
	o.seen = there
	return len(o.expected) == 0
}

// putAside keeps the tables that finished compactions have left out, and reports whether there
// were any. It asks once no compaction runs, when each has named all that it will; if one
// does for longer, the next to be done asks.
func (o *outputs) putAside() (lost bool) {
	made := o.unnamed() // before it looks who runs: what is made meanwhile is not named yet
	for tries := 0; o.runs("(*levelsController).runCompactDef"); tries++ {
		if tries == 10 {
			return false
		}
		time.Sleep(time.Millisecond)
		made = o.unnamed()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, path := range badgercheck.Unnamed(o.dir, made) {
		lost = true
		_ = os.Rename(path, path+badgercheck.LostExt) // the disk fails anyway
	}
	for _, path := range made {
		delete(o.made, path)
	}
	return lost
}

// runs reports whether a goroutine is within a function of Badger's, other than those that
// wait here.
func runs(function string) bool {
	records := make([]runtime.StackRecord, runtime.NumGoroutine()+16)
	n, ok := runtime.GoroutineProfile(records)
	if !ok {
		return true // more have come; look again
	}
	for i := range records[:n] {
		within := false
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
				within = false
				break
			}
			within = within || strings.Contains(f.Function, function)
		}
		if within {
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
		err := f.outputs.await()
		if err != nil {
			f.set("compact tables in", err)
		}
		if f.err() != nil {
			select {} // the MANIFEST must not be written
		}
	case strings.HasSuffix(format, "Compaction for level: %d DONE"):
		if f.outputs.putAside() {
			f.set("compact tables in", errNoTable)
			select {}
		}
	}
}
