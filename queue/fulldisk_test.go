package queue

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
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
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		t.Skip("needs root on Linux: it mounts a small tmpfs")
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

// eventually polls until f is true.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !f(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
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
		return errors.Is(q.SetState(t.Context(), "a", []byte("x")), ErrFull)
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
	if c, err := q.Cursor("log"); string(c) != "here" {
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

func TestMaxSize_IntakeWaitsAndGoesOnWhenItIsRaised(t *testing.T) {
	q := open(t, Options{})
	fill := Batch{}
	for n := range 2000 {
		fill.Events = append(fill.Events, bigEvent(n, "a"))
	}
	commit(t, q, fill)
	q.SetLimits(1<<20, 0, 0) // not before: a commit of several transactions waits between two of them
	q.disk.measure()
	if s := q.Stats(); !s.Full || s.Reason == "" {
		t.Fatalf("%+v", s)
	}
	done := make(chan error, 1)
	go func() {
		_, err := q.Commit(t.Context(), Batch{Events: []NewEvent{event(5000, "a")}})
		done <- err
	}()
	d := due(t, q, "a", time.Now())[0]
	record(t, q, Outcome{DeliveryID: d.ID, Status: Success, Attempt: Attempt{N: 1, At: time.Now()}})
	select {
	case err := <-done:
		t.Fatalf("it was committed while full: %v", err)
	default:
	}
	q.SetLimits(1<<30, 0, 0)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestCommit_512EventsFor4WebhooksAreOneTransaction(t *testing.T) {
	q := open(t, Options{})
	b := Batch{Source: "/var/log/paperless.log", Cursor: bytes.Repeat([]byte("c"), 8000)}
	webhooks := []string{"slack-ai", "discord-team", "teams-documents", "archive"}
	for n := range 512 {
		b.Events = append(b.Events, bigEvent(n, webhooks...))
	}
	if _, c, last := q.part(b); !last {
		t.Errorf("it takes more than one: %+v of %+v", c, q.writer.room)
	}
	if got := commit(t, q, b); got.Deliveries != 4*512 {
		t.Fatalf("%+v", got)
	}
	long := Batch{Source: "x", Cursor: []byte("end")}
	name := string(bytes.Repeat([]byte("w"), 300))
	for n := range 2000 {
		e := event(10_000+n, name, name+"2", name+"3")
		e.Type = name
		long.Events = append(long.Events, e)
		long.Rejected = append(long.Rejected, Rejected{Source: "x", Offset: int64(n), Data: make([]byte, 100)})
	}
	if got := commit(t, q, long); got.Deliveries != 6000 || q.Stats().Rejected != 2000 {
		t.Fatalf("%+v", got)
	}
	if c, err := q.Cursor("x"); string(c) != "end" {
		t.Fatal(string(c), err)
	}
}

func TestMaxSize_ASmallQueueTakesTheLargestEvent(t *testing.T) {
	q := open(t, Options{MaxSize: 32 << 20})
	e := event(1, "a")
	// max_line_bytes of two-byte characters, each \uXXXX once it is canonical
	e.Body = bytes.Repeat([]byte(`\u00e9`), 1<<19)
	commit(t, q, Batch{Source: "log", Cursor: []byte("x"), Events: []NewEvent{e}})
	d := due(t, q, "a", time.Now())
	got, err := q.EventOf(d[0].ID)
	if err != nil || !bytes.Equal(got.Body, e.Body) {
		t.Fatalf("%d bytes, %v", len(got.Body), err)
	}
}
