package tailer

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// entry is a batch in a journal: what a queue would keep in one step.
type entry struct {
	Lines  []string
	Cursor []byte
	Gap    bool
}

// readJournal cuts off an entry that a kill left half written.
func readJournal(path string) (entries []entry, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	whole := int64(0)
	for r := bufio.NewReader(f); ; {
		b, err := r.ReadBytes('\n')
		if err != nil {
			return entries, f.Truncate(whole)
		}
		var e entry
		if err := json.Unmarshal(b, &e); err != nil {
			return nil, err
		}
		entries = append(entries, e)
		whole += int64(len(b))
	}
}

// child follows a log into a journal until it is killed.
func child(t *testing.T, path, journal string) {
	entries, err := readJournal(journal)
	must(t, err)
	var cursor []byte
	if n := len(entries); n > 0 {
		cursor = entries[n-1].Cursor
	}
	out, err := os.OpenFile(journal, os.O_APPEND|os.O_WRONLY, 0o644)
	must(t, err)
	l, err := NewLog(LogOptions{Path: path, Cursor: cursor, Sweep: testSweep, Handler: func(_ context.Context, b *Batch) ([]Rejection, error) {
		e := entry{Cursor: b.Cursor, Gap: b.Gap != nil}
		for _, r := range b.Records {
			e.Lines = append(e.Lines, string(r.Data))
		}
		j, err := json.Marshal(e)
		if err != nil {
			return nil, err
		}
		_, err = out.Write(append(j, '\n'))
		return nil, err
	}})
	must(t, err)
	must(t, l.Run(context.Background()))
}

func TestKill_AtAnyMomentLosesAndRepeatsNothing(t *testing.T) {
	path, journal := os.Getenv("TAILER_TEST_LOG"), os.Getenv("TAILER_TEST_JOURNAL")
	if path != "" {
		child(t, path, journal)
		return
	}
	t.Parallel()
	dir := t.TempDir()
	path, journal = filepath.Join(dir, "app.log"), filepath.Join(dir, "journal")
	start := func() *exec.Cmd {
		cmd := exec.Command("/proc/self/exe", "-test.run", "^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), "TAILER_TEST_LOG="+path, "TAILER_TEST_JOURNAL="+journal)
		must(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		return cmd
	}
	kept := func() (lines []string, gaps int) {
		b, err := os.ReadFile(journal)
		must(t, err)
		for len(b) > 0 {
			line, rest, ok := cutLine(b)
			if b = rest; !ok {
				break
			}
			var e entry
			must(t, json.Unmarshal(line, &e))
			lines = append(lines, e.Lines...)
			if e.Gap {
				gaps++
			}
		}
		return lines, gaps
	}
	w := newWriter(t, path)
	cmd := start()
	eventually(t, "first look", func() bool {
		return exists(journal) && func() bool { i, err := os.Stat(journal); return err == nil && i.Size() > 0 }()
	})
	kills := 12
	if os.Getenv("INTELLIDOCS_SOAK") != "" {
		kills = 200
	}
	for range kills {
		for until := time.Now().Add(time.Duration(rand.IntN(80)) * time.Millisecond); time.Now().Before(until); {
			w.lines(rand.IntN(400))
			w.shift(500)
			if rand.IntN(3) == 0 {
				w.copytruncate(path + ".1")
			} else {
				w.rename(path + ".1")
				w.lines(2)
				w.reopen()
			}
		}
		must(t, cmd.Process.Kill())
		_ = cmd.Wait()
		cmd = start()
	}
	w.lines(1)
	var got []string
	gaps := 0
	eventually(t, fmt.Sprintf("all %d lines kept", len(w.written)), func() bool {
		got, gaps = kept()
		return len(got) >= len(w.written)
	})
	(&store{lines: got}).wantSet(t, w.written)
	if gaps != 0 {
		t.Errorf("%d gaps", gaps)
	}
}

func cutLine(b []byte) (line, rest []byte, ok bool) {
	for i, c := range b {
		if c == '\n' {
			return b[:i], b[i+1:], true
		}
	}
	return nil, nil, false
}
