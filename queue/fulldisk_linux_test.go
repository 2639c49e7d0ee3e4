package queue

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// mount returns a file system of its own of a size, which may be filled.
func mount(t *testing.T, size string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it mounts a small tmpfs")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("needs the right to mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestFullDisk_IntakeStopsOutcomesGoOnAndItResumesByItself(t *testing.T) {
	root := mount(t, "96m")
	q := open(t, Options{Dir: filepath.Join(root, "state")})
	free, total := diskFree(root)
	fillTo(t, filepath.Join(root, "others"), free-total/4-8<<20)
	var committed atomic.Int64
	intake := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		for n := 0; ; {
			b := Batch{Source: "log"}
			for range 500 {
				b.Events = append(b.Events, bigEvent(n, "a"))
				n++
			}
			if _, err := q.Commit(ctx, b); err != nil {
				intake <- err
				return
			}
			committed.Add(1)
		}
	}()
	eventually(t, "intake did not stop", func() bool { return q.Stats().Full })
	if free := q.Stats().DiskFree; free < total/8 {
		t.Errorf("it stopped with %d MiB free", free>>20)
	}
	d := due(t, q, "a", time.Now())[0]
	record(t, q, Outcome{DeliveryID: d.ID, Status: Success, Attempt: Attempt{N: 1, At: time.Now()}})
	// With what others write on top even outcomes are refused: the system would end the process.
	free, _ = diskFree(root)
	fillTo(t, filepath.Join(root, "more"), free-4<<20)
	eventually(t, "writing continues with a full disk", func() bool {
		return errors.Is(q.SetState(t.Context(), "a", 1, []byte("{}")), ErrFull)
	})
	before := committed.Load()
	for _, name := range []string{"others", "more"} {
		if err := os.Remove(filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "intake did not resume", func() bool { return committed.Load() > before })
	stop()
	if err := <-intake; !errors.Is(err, context.Canceled) {
		t.Fatalf("intake ended with %v", err)
	}
	if got := q.Counts()["a"]; got[Success] != 1 || got[Pending] != 500*committed.Load()-1 {
		t.Fatalf("%v after %d batches", got, committed.Load())
	}
}

func TestFullDisk_ACursorAloneWaitsWithoutSpinning(t *testing.T) {
	root := mount(t, "64m")
	q := open(t, Options{Dir: filepath.Join(root, "state")})
	others := filepath.Join(root, "others")
	fillTo(t, others, 1<<30)
	committed := make(chan error, 1)
	go func() {
		_, err := q.Commit(t.Context(), Batch{Source: "log", Cursor: []byte("here")})
		committed <- err
	}()
	eventually(t, "it tries on and on", func() bool {
		var stacks bytes.Buffer
		return pprof.Lookup("goroutine").WriteTo(&stacks, 1) == nil && strings.Contains(stacks.String(), "(*disk).wait")
	})
	if err := os.Remove(others); err != nil {
		t.Fatal(err)
	}
	if err := <-committed; err != nil {
		t.Fatal(err)
	}
	if c, _, err := q.Cursor("log"); string(c) != "here" {
		t.Fatal(string(c), err)
	}
}

func TestFullDisk_OpeningIsRefusedRatherThanFatal(t *testing.T) {
	root := mount(t, "64m")
	dir := filepath.Join(root, "state")
	q := open(t, Options{Dir: dir})
	commit(t, q, Batch{Events: []NewEvent{bigEvent(1, "a")}})
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	fillTo(t, filepath.Join(root, "others"), 1<<30)
	if _, err := Open(t.Context(), Options{Dir: dir}); !errors.Is(err, ErrFull) {
		t.Fatalf("%v", err)
	}
	if err := os.Remove(filepath.Join(root, "others")); err != nil {
		t.Fatal(err)
	}
	if got := due(t, open(t, Options{Dir: dir}), "a", time.Now()); len(got) != 1 {
		t.Fatalf("%d due", len(got))
	}
}

// fillTo writes up to n bytes, or until there is no room.
func fillTo(t *testing.T, path string, n int64) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 64<<10)
	for ; n > 0; n -= int64(len(block)) {
		if _, err := f.Write(block); err != nil {
			return
		}
	}
}

func TestFullDisk_ReadingStopsAndDeliveringGoesOn(t *testing.T) {
	root := mount(t, "160m")
	q := open(t, Options{Dir: filepath.Join(root, "state"), Retention: time.Hour})
	commit(t, q, Batch{Events: []NewEvent{event(1, "a"), event(2, "a")}})
	hog := filepath.Join(root, "hog")
	free, total := diskFree(root)
	if err := os.WriteFile(hog, make([]byte, free-total/8), 0o600); err != nil {
		t.Fatal(err)
	}
	intakeWaits(t, q, func() {
		if err := os.Remove(hog); err != nil {
			t.Fatal(err)
		}
	})
	if n := q.Counts()["a"]; n[Success] != 2 || n[Pending] != 1 {
		t.Fatal(n)
	}
}
