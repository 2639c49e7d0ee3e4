package queue

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
)

const (
	childDir   = "INTELLIDOCS_QUEUE_CHILD"
	childSmall = "INTELLIDOCS_QUEUE_SMALL"
	childClose = "INTELLIDOCS_QUEUE_CLOSE" // after so many commits
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := work(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// work is the process that is killed: it queues events 1, 2, … with their number as the
// cursor and finishes deliveries meanwhile, and says what is durable.
func work(dir string) error {
	ctx := context.Background()
	o := Options{Dir: dir}
	if os.Getenv(childSmall) != "" {
		o.Sizes = small
	}
	q, err := Open(ctx, o)
	if err != nil {
		return err
	}
	failed := make(chan error, 3)
	if o.Sizes == small {
		go func() { failed <- churn(ctx, q) }()
		go func() { failed <- q.Run(ctx) }()
	}
	go func() {
		for {
			ds, _, err := q.Due("a", time.Now(), 5, nil)
			var out []Outcome
			for i, d := range ds {
				s := []Status{Success, Failed, Retrying}[(i+len(d.ID)+d.Attempts)%3]
				o := Outcome{DeliveryID: d.ID, Status: s, Attempt: Attempt{N: d.Attempts + 1, At: time.Now()}}
				if s == Retrying {
					o.Due = time.Now().Add(time.Millisecond)
				}
				out = append(out, o)
			}
			if err == nil {
				err = q.Record(ctx, out...)
			}
			if err != nil {
				failed <- err
				return
			}
			for _, o := range out {
				fmt.Printf("recorded %s %d\n", o.DeliveryID, o.Attempt.N)
			}
		}
	}()
	c, _, err := q.Cursor("log")
	if err != nil {
		return err
	}
	n, _ := strconv.Atoi(string(c))
	last, _ := strconv.Atoi(os.Getenv(childClose))
	for commits := 0; len(failed) == 0; commits++ {
		if commits == last && last > 0 {
			return q.Close()
		}
		b := Batch{Source: "log"}
		for range 1 + n%7 {
			n++
			e := event(n, "a", "b")
			e.Body = bytes.Repeat(fmt.Appendf(nil, "%d ", n), 200)
			b.Events = append(b.Events, e)
		}
		b.Cursor = fmt.Append(nil, n)
		if _, err := q.Commit(ctx, b); err != nil {
			return err
		}
		fmt.Printf("committed %d\n", n)
	}
	return <-failed
}

// small has the database turn to its next files often, so that every kind of step is met.
var small = Sizes{Memtable: 512 << 10, ValueLog: 1 << 20}

// churn has the database flush, compact and collect all the time.
func churn(ctx context.Context, q *Queue) error {
	for {
		time.Sleep(20 * time.Millisecond)
		q.maintenance.writer.deleted.Store(1_000_000)
		if err := q.maintenance.reclaim(ctx); err != nil {
			return err
		}
	}
}

// audit fails unless everything in the queue agrees with everything else, and returns the
// number of its events.
func audit(t *testing.T, q *Queue) (events int) {
	t.Helper()
	index, due, counts := map[string]bool{}, map[string]bool{}, map[indexKey]int64{}
	err := q.view(func(txn *badger.Txn) error {
		keys := func(kind byte) (out []string) {
			it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kind}})
			defer it.Close()
			for it.Rewind(); it.Valid(); it.Next() {
				out = append(out, string(it.Item().Key()))
			}
			return out
		}
		for _, key := range keys(kindEvent) {
			events++
			e, err := loadEvent(txn, seqOf([]byte(key[1:])))
			if err != nil {
				return err
			}
			if _, err := txn.Get(dedupKey(e.ID)); err != nil {
				return fmt.Errorf("%s has no id: %w", e.ID, err)
			}
			for i := range e.Webhooks {
				r := ref{seqOf([]byte(key[1:])), uint16(i)}
				d, err := q.load(txn, r)
				if err != nil {
					return err
				}
				index[string(d.indexed().key(r))] = true
				counts[d.indexed()]++
				if !d.Finished() {
					due[string(dueKey(d.Webhook, d.NextAttemptAt, r))] = true
				}
			}
		}
		for kind, want := range map[byte]map[string]bool{kindIndex: index, kindDue: due} {
			got := keys(kind)
			if len(got) != len(want) {
				return fmt.Errorf("%d keys of kind %c, want %d", len(got), kind, len(want))
			}
			for _, key := range got {
				if !want[key] {
					return fmt.Errorf("%q should not be there", key)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := q.counts.where(func(indexKey) bool { return true }); !maps.Equal(got, counts) {
		t.Fatalf("counts %v, want %v", got, counts)
	}
	return events
}

// killed runs the child, kills it within a time after its first commit, and returns what it
// said was durable.
func killed(t *testing.T, dir string, within time.Duration, command ...string) (committed int, recorded map[string]int, stderr string) {
	t.Helper()
	c := exec.Command(command[0], command[1:]...)
	c.Env = append(os.Environ(), childDir+"="+dir)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // to be killed with its tracer
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	recorded = map[string]int{}
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil { // a line that is cut off says nothing
			break
		}
		if n, ok := strings.CutPrefix(line, "committed "); ok {
			if committed == 0 {
				time.AfterFunc(rand.N(within), func() { _ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) })
			}
			committed, _ = strconv.Atoi(strings.TrimSpace(n))
		}
		if f := strings.Fields(line); len(f) == 3 && f[0] == "recorded" {
			recorded[f[1]], _ = strconv.Atoi(f[2])
		}
	}
	_, _ = io.Copy(io.Discard, lines)
	_ = c.Wait() // it was killed
	return committed, recorded, errs.String()
}

// survives reopens what a killed process left, and checks it.
func survives(t *testing.T, dir string, committed int, recorded map[string]int) {
	t.Helper()
	q, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	events := audit(t, q)
	c, _, err := q.Cursor("log")
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := strconv.Atoi(string(c)); n != events || n < committed {
		t.Fatalf("the cursor says %d and there are %d events; %d were said to be durable", n, events, committed)
	}
	for id, n := range recorded {
		if d, err := q.Get(id); err != nil || d.Attempts < n {
			t.Fatalf("attempt %d of %s was recorded; there is %+v, %v", n, id, d, err)
		}
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
}

func rounds(short int) int {
	if os.Getenv("INTELLIDOCS_SOAK") != "" {
		return 100
	}
	return short
}

func TestKill_WhatWasDurableIsWholeAfterAKillAtAnyMoment(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	for range rounds(15) {
		committed, recorded, stderr := killed(t, dir, 60*time.Millisecond, os.Args[0])
		if committed == 0 {
			t.Fatalf("the child did not work: %s", stderr)
		}
		survives(t, dir, committed, recorded)
	}
}

// TestKill_BetweenAnyTwoStepsOfACommit kills at the n-th system call that changes a file
// or makes a change durable.
func TestKill_BetweenAnyTwoStepsOfACommit(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skipf("needs strace: %v", err)
	}
	if out, err := exec.Command(strace, "-f", "-o", "/dev/null", "true").CombinedOutput(); err != nil {
		t.Skipf("needs strace that may trace: %v %s", err, out)
	}
	for _, calls := range []string{"fsync,fdatasync,msync", "openat,ftruncate,unlinkat,renameat,rename", "write,pwrite64,mmap,munmap"} {
		dir := filepath.Join(t.TempDir(), "state")
		for range rounds(4) {
			n := 1 + rand.IntN(40)
			committed, recorded, _ := killed(t, dir, 600*time.Millisecond, strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace="+calls, "-e", fmt.Sprintf("inject=%s:signal=SIGKILL:when=%d", calls, n), os.Args[0])
			survives(t, dir, committed, recorded)
		}
	}
}
