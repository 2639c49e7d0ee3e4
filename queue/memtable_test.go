package queue

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// killedState is the state that a process leaves which was killed after thirty commits of
// ten events each.
func killedState(t *testing.T) string {
	t.Helper()
	q := open(t, Options{})
	for i := range 30 {
		b := Batch{Source: "log", Cursor: fmt.Append(nil, i)}
		for j := range 10 {
			b.Events = append(b.Events, bigEvent(10*i+j, "a"))
		}
		commit(t, q, b)
	}
	return copied(t, q.disk.dir)
}

func copied(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "state")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestDamage_ALogThatIsGarbledBeforeWholeCommitsIsRefused(t *testing.T) {
	state := killedState(t)
	for _, where := range []float64{0.05, 0.5, 0.9} {
		for name, spoil := range map[string]func(b []byte){
			"bit":    func(b []byte) { b[0] ^= 1 },
			"zeroed": func(b []byte) { clear(b) },
		} {
			t.Run(fmt.Sprintf("%s at %.2f", name, where), func(t *testing.T) {
				dir := copied(t, state)
				path := files(t, dir, ".mem")[0]
				var before []byte
				edit(t, path, func(data []byte) []byte {
					end := len(bytes.TrimRight(data, "\x00"))
					at := int(float64(end) * where)
					spoil(data[at : at+64])
					before = bytes.Clone(data)
					return data
				})
				if q, err := Open(t.Context(), Options{Dir: dir}); err == nil {
					t.Errorf("it opens, with %v", q.Counts())
					_ = q.Close()
				} else if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), filepath.Base(path)) {
					t.Errorf("the error does not help: %v", err)
				}
				if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
					t.Errorf("the log was changed: %v", err)
				}
			})
		}
	}
}

func TestDamage_TheCommitThatAPowerCutToreIsNoDamage(t *testing.T) {
	state := killedState(t)
	for lost := 1; lost < 2000; lost += 397 {
		dir := copied(t, state)
		edit(t, files(t, dir, ".mem")[0], func(data []byte) []byte {
			end := len(bytes.TrimRight(data, "\x00"))
			clear(data[end-lost : end-lost/2]) // a page came to the disk after the next one
			return data
		})
		q, err := Open(t.Context(), Options{Dir: dir})
		if err != nil {
			t.Fatalf("%d bytes before the end: %v", lost, err)
		}
		if n := q.Counts()["a"][Pending]; n != 290 {
			t.Errorf("%d bytes before the end: %d are there", lost, n)
		}
		_ = q.Close()
	}
}
