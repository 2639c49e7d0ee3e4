package queue

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dawnsystem/intellidocs-agent/queue/mapped"
)

// Nothing is read ahead of the logs that Badger maps, of new ones neither: the flag is "rr" in
// proc(5).
func TestPages_NothingIsReadAheadOfTheLogs(t *testing.T) {
	q := open(t, Options{SmallMemory: true})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- q.Run(ctx) }()
	for n := range 80 { // more than one file of 32 MiB
		e := event(n, "a")
		e.Body = bytes.Repeat([]byte("0123456789abcdef"), 1<<15)
		commit(t, q, Batch{Events: []NewEvent{e}})
	}
	eventually(t, "logs are read ahead", func() bool {
		q.touched.Store(true)
		logs, ahead := readAhead(t, q.disk.dir)
		return logs > 2 && len(ahead) == 0
	})
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, d := range due(t, q, "a", time.Now().Add(time.Hour)) {
		got, err := q.EventOf(d.ID)
		if err != nil || len(got.Body) != 1<<19 {
			t.Fatal(len(got.Body), err)
		}
	}
}

// A large value that is on the disk alone comes in one piece, not page by page: Badger must not
// have read it for a checksum before.
func TestPages_ALargeValueIsReadAtOnce(t *testing.T) {
	q := open(t, Options{})
	e := event(1, "a")
	e.Body = bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	commit(t, q, Batch{Events: []NewEvent{e}})
	d := due(t, q, "a", time.Now())[0]
	log := func(path string) bool {
		return filepath.Ext(path) == ".vlog" && strings.HasPrefix(path, q.disk.dir+"/")
	}
	least := int64(1 << 20)
	for range 5 { // others' faults count too, and pages may be held for a moment
		mapped.Advise(log, mapped.Random, mapped.PageOut)
		before := majorFaults(t)
		if got, err := q.EventOf(d.ID); err != nil || !bytes.Equal(got.Body, e.Body) {
			t.Fatal(len(got.Body), err)
		}
		least = min(least, majorFaults(t)-before)
	}
	if pages := int64(len(e.Body) / os.Getpagesize()); least > pages/4 {
		t.Errorf("%d of %d pages were waited for", least, pages)
	}
}

// majorFaults is how many pages were waited for so far.
func majorFaults(t *testing.T) int64 {
	t.Helper()
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return int64(usage.Majflt)
}

// readAhead counts the mapped logs below a directory and names those that are read ahead.
func readAhead(t *testing.T, dir string) (logs int, ahead []string) {
	t.Helper()
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Skip("needs /proc: ", err)
	}
	log := ""
	for line := range strings.Lines(string(smaps)) {
		fields := strings.Fields(line)
		switch {
		case strings.Contains(fields[0], "-") && !strings.HasSuffix(fields[0], ":"):
			log = ""
			path := fields[len(fields)-1]
			if ext := filepath.Ext(path); strings.HasPrefix(path, dir+"/") && (ext == ".vlog" || ext == ".mem") {
				log = path
				logs++
			}
		case fields[0] == "VmFlags:" && log != "" && !slices.Contains(fields, "rr"):
			ahead = append(ahead, log)
		}
	}
	return logs, ahead
}
