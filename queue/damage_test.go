package queue

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// damagedState makes a closed queue of 300 events for a and b, some of them delivered,
// with tables, a value log and a log of what is in memory.
func damagedState(t *testing.T) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "state")
	q := open(t, Options{Dir: dir})
	for i := range 30 {
		b := Batch{Source: "log", Cursor: fmt.Append(nil, i)}
		for j := range 10 {
			b.Events = append(b.Events, bigEvent(10*i+j, "a", "b"))
		}
		commit(t, q, b)
	}
	for _, d := range due(t, q, "a", time.Now())[:50] {
		record(t, q, Outcome{DeliveryID: d.ID, Status: Success, Attempt: Attempt{N: 1, At: time.Now()}})
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func files(t *testing.T, dir, suffix string) []string {
	t.Helper()
	out, err := filepath.Glob(filepath.Join(dir, "queue", "*"+suffix))
	if err != nil || len(out) == 0 {
		t.Fatalf("no %s: %v", suffix, err)
	}
	return out
}

func edit(t *testing.T, path string, f func(data []byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, f(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

// honest opens a damaged queue and reads all of it: it must refuse, or give every event
// as it was or an error for it; nothing may be missing in silence.
func honest(t *testing.T, dir string) {
	t.Helper()
	q, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "backup") {
			t.Errorf("the error does not help: %v", err)
		}
		t.Logf("refused: %v", err)
		return
	}
	defer func() { _ = q.Close() }()
	var damaged, good int
	for _, webhook := range []string{"a", "b"} {
		ds, _, err := q.Due(webhook, time.Now(), 1000, nil)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Error(err)
			}
			damaged++
		}
		for _, d := range ds {
			e, err := q.EventOf(d.ID)
			var n int
			switch {
			case errors.Is(err, ErrDamaged):
				damaged++
			case err != nil:
				t.Error(err)
			case len(e.Body) < 1000:
				t.Fatalf("%s has the body %q", d.ID, e.Body)
			default:
				if _, err := fmt.Sscanf(string(e.Body), `{"n": %d`, &n); err != nil || e.ID != bigEvent(n).ID {
					t.Fatalf("%s has the body %q", d.ID, e.Body)
				}
				good++
			}
		}
	}
	page, err := q.List(t.Context(), Filter{Limit: 1000})
	if err == nil && len(page.Deliveries) != 600 || err != nil && !errors.Is(err, ErrDamaged) {
		t.Errorf("listed %d, %v", len(page.Deliveries), err)
	}
	t.Logf("opened: %d good, %d said to be damaged", good, damaged)
	if damaged == 0 && good != 550 {
		t.Errorf("%d of 550 are there and nobody is told", good)
	}
}

func TestDamage_IsAnErrorAndNeverAPanicNorAnEmptyQueue(t *testing.T) {
	cut := func(data []byte) []byte { return data[:len(data)/2] }
	garbage := func(data []byte) []byte { return []byte(strings.Repeat("garbage ", 1+len(data)/8)) }
	empty := func([]byte) []byte { return nil }
	flip := func(where float64) func(data []byte) []byte {
		return func(data []byte) []byte {
			end := len(data)
			for end > 0 && data[end-1] == 0 {
				end-- // files are longer than what is in them
			}
			for i := range 16 {
				data[min(end-1, int(float64(end)*where)+i)] ^= 0x55
			}
			return data
		}
	}
	for _, suffix := range []string{"MANIFEST", "KEYREGISTRY", ".sst", ".vlog"} {
		for name, f := range map[string]func([]byte) []byte{
			"missing": nil, "empty": empty, "cut off": cut, "garbage": garbage,
			"flipped at its start": flip(0.01), "flipped in its middle": flip(0.5), "flipped at its end": flip(0.98),
		} {
			t.Run(suffix+" "+name, func(t *testing.T) {
				dir := damagedState(t)
				path := files(t, dir, suffix)[0]
				if f == nil {
					if err := os.Remove(path); err != nil {
						t.Fatal(err)
					}
				} else {
					edit(t, path, f)
				}
				honest(t, dir)
			})
		}
	}
}

func TestDamage_ADamagedDeliveryCanBeGivenUp(t *testing.T) {
	q := open(t, Options{})
	commit(t, q, Batch{Events: []NewEvent{event(1, "a"), event(2, "a"), event(3, "a")}})
	ds := due(t, q, "a", time.Now())
	err := q.writer.submit(t.Context(), cost{}, func(w *writeTxn) error {
		seq := func(i int) uint64 { at, _ := q.parseDeliveryID(ds[i].ID); return at.seq }
		if err := w.set(eventKey(seq(0)), []byte("not what was sealed")); err != nil {
			return err
		}
		q.recent.forget(seq(0)) // as after a restart
		// Of the second there is only its due key.
		if err := w.delete(indexKeyFor("a", Pending, "scan_completed").key(ref{seq: seq(1)})); err != nil {
			return err
		}
		return w.delete(eventKey(seq(1)))
	})
	if err != nil {
		t.Fatal(err)
	}
	again := due(t, q, "a", time.Now())
	if len(again) != 3 {
		t.Fatalf("%d are due: what cannot be read must be claimed to be given up", len(again))
	}
	if _, err := q.EventOf(again[0].ID); !errors.Is(err, ErrDamaged) {
		t.Fatal(err)
	}
	if _, err := q.EventOf(again[1].ID); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	for _, d := range again[:2] {
		record(t, q, Outcome{DeliveryID: d.ID, Status: Failed, Attempt: Attempt{N: 1, At: time.Now(), Error: "damaged"}})
	}
	if left := due(t, q, "a", time.Now()); len(left) != 1 || left[0].EventID != event(3).ID {
		t.Fatalf("still due: %+v", left)
	}
	if d, err := q.Get(again[0].ID); err != nil || d.Status != Failed || q.Counts()["a"][Failed] != 1 {
		t.Fatalf("%+v %v %v", d, err, q.Counts())
	}
}

func TestOpen_SaysWhatIsWrongWithTheDirectory(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{Dir: file}); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("a file: %v", err)
	}
	if _, err := Open(t.Context(), Options{}); err == nil || !strings.Contains(err.Error(), "[state] path") {
		t.Errorf("no path: %v", err)
	}
	lax := filepath.Join(dir, "lax")
	if err := os.Mkdir(lax, 0o755); err != nil {
		t.Fatal(err)
	}
	open(t, Options{Dir: lax})
	if info, err := os.Stat(lax); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	for _, name := range []string{"queue.json", "queue/MANIFEST"} {
		if info, err := os.Stat(filepath.Join(lax, name)); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
	if os.Geteuid() == 0 {
		return // may write anywhere
	}
	shut := filepath.Join(dir, "shut")
	if err := os.Mkdir(shut, 0o500); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{Dir: filepath.Join(shut, "state")}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("not writable: %v", err)
	}
}
