package tailer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/internal/race"
)

func TestSpool_WhatOthersPlantedInItIsNotWrittenThrough(t *testing.T) {
	dir, victim := t.TempDir(), filepath.Join(t.TempDir(), "victim")
	must(t, os.WriteFile(victim, []byte("untouched"), 0o600))
	must(t, os.Mkdir(filepath.Join(dir, rejectedDir), 0o777))
	must(t, os.Symlink(victim, filepath.Join(dir, rejectedDir, ".bad.json.tmp")))
	s := &store{}
	spool(t, s, dir)
	drop(t, dir, "bad.json", "hello")
	eventually(t, "the reason", func() bool { return exists(filepath.Join(dir, rejectedDir, "bad.json.reason")) })
	if b, err := os.ReadFile(victim); err != nil || string(b) != "untouched" {
		t.Errorf("%q %v", b, err)
	}
}

type spooling struct {
	spool *Spool
	stop  func()
}

func spool(t *testing.T, s *store, dir string, change ...func(*SpoolOptions)) *spooling {
	t.Helper()
	o := SpoolOptions{
		Source: "spool", Path: dir, Cursor: s.lastCursor(), Handler: s.handle, Sweep: testSweep,
		Logger: slog.New(slog.NewTextHandler(&s.log, nil)),
	}
	for _, c := range change {
		c(&o)
	}
	sp, err := NewSpool(o)
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- sp.Run(ctx) }()
	var once sync.Once
	stop := func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return &spooling{sp, stop}
}

// drop moves a finished file into the spool, as a producer should.
func drop(t *testing.T, dir, name, content string) {
	t.Helper()
	tmp := filepath.Join(dir, "."+name)
	must(t, os.WriteFile(tmp, []byte(content), 0o644))
	must(t, os.Rename(tmp, filepath.Join(dir, name)))
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	must(t, err)
	var list []string
	for _, e := range entries {
		if !e.IsDir() {
			list = append(list, e.Name())
		}
	}
	return list
}

func wantNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	slices.Sort(want)
	eventually(t, fmt.Sprintf("%s holds %q", dir, want), func() bool { return slices.Equal(names(t, dir), want) })
}

func TestSpool_FilesAreReadInNameOrderAndGoAway(t *testing.T) {
	s, dir := &store{}, t.TempDir()
	drop(t, dir, "2.json", `[{"n":2}, {"n":"]},{"} ,3]`)
	drop(t, dir, "1.json", "\xef\xbb\xbf{\n  \"n\": 1\n}\n")
	drop(t, dir, "3.ndjson", "{\"n\":4}\r\n\n{\"n\":5}")
	drop(t, dir, "4.jsonl", "{\"n\":6}\n")
	drop(t, dir, "5.json", "[]")
	drop(t, dir, "6.json", "{\"n\":7}\n\n{\"n\":8}\n[{\"n\":9},{\"n\":10}]\n{\"n\":11}")
	for _, ignored := range []string{"a.tmp", "b.json.part", ".c.json", "d.txt"} {
		must(t, os.WriteFile(filepath.Join(dir, ignored), []byte("{}"), 0o644))
	}
	must(t, os.Mkdir(filepath.Join(dir, "dir.json"), 0o755))
	must(t, os.Symlink("/etc/passwd", filepath.Join(dir, "link.json")))
	spool(t, s, dir)
	s.want(t, []string{"{\n  \"n\": 1\n}", `{"n":2}`, `{"n":"]},{"}`, "3", `{"n":4}`, `{"n":5}`, `{"n":6}`, `{"n":7}`, `{"n":8}`, `{"n":9}`, `{"n":10}`, `{"n":11}`})
	wantNames(t, dir, "a.tmp", "b.json.part", ".c.json", "d.txt", "link.json")
	drop(t, dir, "1.json", `{"again":1}`)
	s.wait(t, 13)
	wantNames(t, dir, "a.tmp", "b.json.part", ".c.json", "d.txt", "link.json")
	if r := s.records[0]; r.Time.IsZero() || r.Path != filepath.Join(dir, "1.json") {
		t.Errorf("record %+v", r)
	}
}

func TestSpool_ArchiveNeverOverwrites(t *testing.T) {
	s, dir := &store{}, t.TempDir()
	spool(t, s, dir, func(o *SpoolOptions) { o.After = Archive })
	for i := range 3 {
		drop(t, dir, "a.json", fmt.Sprintf(`{"n":%d}`, i))
		s.wait(t, i+1)
		wantNames(t, dir)
	}
	wantNames(t, filepath.Join(dir, archiveDir), "a.json", "a.1.json", "a.2.json")
}

func TestSpool_WhatCannotBeReadGoesToRejectedWithTheReason(t *testing.T) {
	for name, c := range map[string]struct{ content, reason, left string }{
		"text.json":     {"hello", "not JSON", "hello"},
		"empty.json":    {"", "empty", ""},
		"cut.json":      {`[{"a":1},{"b":`, "ends within a value", `{"b":`},
		"brackets.json": {`{"a":[1}`, "where", `{"a":[1}`},
		"more.json":     {`{"a":1} b`, "follows", `b`},
		"comma.json":    {`[{"a":1} {"b":2}]`, "comma", `{"b":2}]`},
	} {
		t.Run(name, func(t *testing.T) {
			s, dir := &store{}, t.TempDir()
			drop(t, dir, name, c.content)
			drop(t, dir, "z.json", `{"good":1}`)
			spool(t, s, dir, func(o *SpoolOptions) { o.After = Archive })
			wantNames(t, filepath.Join(dir, rejectedDir), name, name+".reason")
			wantNames(t, filepath.Join(dir, archiveDir), "z.json")
			why, err := os.ReadFile(filepath.Join(dir, rejectedDir, name+".reason"))
			must(t, err)
			if !strings.Contains(string(why), c.reason) {
				t.Errorf("reason is %s", why)
			}
			damaged := slices.IndexFunc(s.records, func(r Record) bool { return r.Damage != "" })
			if damaged < 0 || s.lines[damaged] != c.left {
				t.Errorf("no record has what is left: %q", s.lines)
			}
		})
	}
}

// It is counted once, and kept whole.
func TestSpool_ATextIsOneRecord(t *testing.T) {
	s, dir := &store{}, t.TempDir()
	drop(t, dir, "a.json", "not JSON at all\n")
	spool(t, s, dir)
	wantNames(t, dir)
	s.want(t, []string{"not JSON at all\n"})
}

func TestSpool_AFileWithARecordTheHandlerRejectsIsKept(t *testing.T) {
	s, dir := &store{}, t.TempDir()
	s.reject = func(r *Record) string {
		if strings.Contains(string(r.Data), "bad") {
			return "no event_type"
		}
		return ""
	}
	drop(t, dir, "a.ndjson", "{\"good\":1}\n{\"bad\":1}\n")
	spool(t, s, dir)
	wantNames(t, dir)
	wantNames(t, filepath.Join(dir, rejectedDir), "a.ndjson", "a.ndjson.reason")
	why, err := os.ReadFile(filepath.Join(dir, rejectedDir, "a.ndjson.reason"))
	must(t, err)
	if !strings.Contains(string(why), "offset 11: no event_type") {
		t.Errorf("reason is %s", why)
	}
}

func TestSpool_AValueOverTheLimitIsCutAndTheNextOneRead(t *testing.T) {
	s, dir := &store{}, t.TempDir()
	long := `{"long":"` + strings.Repeat("x", 300_000) + `"}`
	drop(t, dir, "a.json", "["+long+`,{"n":1}]`)
	drop(t, dir, "b.ndjson", long+"\n{\"n\":2}\n")
	spool(t, s, dir, func(o *SpoolOptions) { o.MaxRecord = 100_000 })
	s.want(t, []string{long[:HeadBytes], `{"n":1}`, long[:HeadBytes], `{"n":2}`})
	if r := s.records[0]; !r.TooLong || r.Size != int64(len(long)) || r.Offset != 1 {
		t.Errorf("record %+v", r)
	}
}

func TestSpool_NothingGoesAwayBeforeItIsKept(t *testing.T) {
	s, dir := &store{}, t.TempDir()
	tries := make(chan struct{}, 100)
	s.fail = func(*Batch) error { tries <- struct{}{}; return errors.New("disk full") }
	drop(t, dir, "a.json", `{"n":1}`)
	r := spool(t, s, dir)
	<-tries
	wantNames(t, dir, "a.json")
	eventually(t, "status says so", func() bool {
		st := r.spool.Status()
		return !st.Ready && strings.Contains(st.Reason, "disk full")
	})
	r.stop()
	s.fail = nil
	spool(t, s, dir)
	s.want(t, []string{`{"n":1}`})
	wantNames(t, dir)
}

func TestSpool_ACrashBeforeTheRemovalReadsNothingTwice(t *testing.T) {
	s, dir := &store{}, t.TempDir()
	drop(t, dir, "a.json", `{"n":1}`)
	// The crash: the batch is kept, and the process ends before it is told so.
	ctx, cancel := context.WithCancel(context.Background())
	sp, err := NewSpool(SpoolOptions{Path: dir, Sweep: testSweep, Handler: func(ctx context.Context, b *Batch) ([]Rejection, error) {
		if _, err := s.handle(ctx, b); err != nil {
			return nil, err
		}
		cancel()
		return nil, ctx.Err()
	}})
	must(t, err)
	must(t, sp.Run(ctx))
	wantNames(t, dir, "a.json")
	drop(t, dir, "b.json", `{"n":2}`)
	spool(t, s, dir)
	s.want(t, []string{`{"n":1}`, `{"n":2}`})
	wantNames(t, dir)
	s.want(t, []string{`{"n":1}`, `{"n":2}`})
}

func TestSpool_WhatCannotBeMovedIsToldOnce(t *testing.T) {
	s, dir := &store{}, t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, archiveDir), []byte("in the way"), 0o644))
	spool(t, s, dir, func(o *SpoolOptions) { o.After = Archive })
	for i := range 5 { // each time the directory is read again
		drop(t, dir, fmt.Sprintf("%d.json", i), "{}")
		s.wait(t, i+1)
	}
	if n := strings.Count(s.log.String(), "file=0.json"); n != 1 {
		t.Errorf("told %d times: %s", n, s.log.String())
	}
	must(t, os.Remove(filepath.Join(dir, archiveDir)))
	drop(t, dir, "5.json", "{}")
	wantNames(t, dir)
	s.wait(t, 6)
	wantNames(t, filepath.Join(dir, archiveDir), "0.json", "1.json", "2.json", "3.json", "4.json", "5.json")
}

// Files that come before it in name order do not make it begin again.
func TestSpool_ABigFileGoesOnBeforeOthers(t *testing.T) {
	s, dir := &store{}, t.TempDir()
	var want []string
	for i := range 2000 {
		want = append(want, fmt.Sprintf(`{"n":%d}`, i))
	}
	drop(t, dir, "b.ndjson", strings.Join(want, "\n"))
	kept := false
	s.fail = func(*Batch) error {
		if kept {
			return errors.New("dead")
		}
		kept = true
		return nil
	}
	r := spool(t, s, dir)
	s.wait(t, 1)
	r.stop()
	s.fail = nil
	drop(t, dir, "a.json", `{"n":-1}`)
	spool(t, s, dir)
	wantNames(t, dir)
	s.want(t, append(want, `{"n":-1}`))
}

func TestSpool_ABigFileGoesOnWhereItWasLeft(t *testing.T) {
	for _, ext := range []string{"json", "ndjson", "lines.json"} {
		t.Run(ext, func(t *testing.T) {
			s, dir := &store{}, t.TempDir()
			var want []string
			for i := range 5000 {
				want = append(want, fmt.Sprintf(`{"n":%d}`, i))
			}
			content := "[" + strings.Join(want, ", ") + "]"
			switch ext {
			case "ndjson":
				content = strings.Join(want, "\n")
			case "lines.json":
				content = "[" + strings.Join(want[:2000], ",\n") + "]\n" + strings.Join(want[2000:], "\n")
			}
			drop(t, dir, "a."+ext, content)
			for s.count() < len(want) {
				// Each life keeps one batch more.
				kept := false
				s.fail = func(*Batch) error {
					if kept {
						return errors.New("dead")
					}
					kept = true
					return nil
				}
				before := s.count()
				r := spool(t, s, dir)
				s.wait(t, before+1)
				r.stop()
			}
			s.fail = nil
			spool(t, s, dir)
			wantNames(t, dir)
			s.want(t, want)
			ids := map[string]bool{}
			for _, r := range s.records {
				ids[r.Stream] = true
			}
			if len(ids) != 1 {
				t.Errorf("%d streams for one file", len(ids))
			}
		})
	}
}

func TestSpool_TwentyThousandFilesAtOnce(t *testing.T) {
	t.Parallel()
	s, dir := &store{}, t.TempDir()
	r := spool(t, s, dir, func(o *SpoolOptions) { o.Sweep = DefaultSweep })
	n := race.Rounds(20_000, 4_000)
	if testing.Short() {
		n = 2000
	}
	for i := range n {
		must(t, os.WriteFile(filepath.Join(dir, "tmp"), []byte(fmt.Sprintf(`{"n":%d}`, i)), 0o644))
		must(t, os.Rename(filepath.Join(dir, "tmp"), filepath.Join(dir, fmt.Sprintf("%06d.json", i))))
	}
	s.wait(t, n)
	wantNames(t, dir)
	eventually(t, "no lag", func() bool { return r.spool.Status().LagBytes == 0 })
	var want []string
	for i := range n {
		want = append(want, fmt.Sprintf(`{"n":%d}`, i))
	}
	s.wantSet(t, want)
}

func TestSpool_AFileWrittenInPlaceIsWaitedFor(t *testing.T) {
	s, dir := &store{}, t.TempDir()
	spool(t, s, dir, func(o *SpoolOptions) { o.Sweep = 200 * time.Millisecond })
	f, err := os.Create(filepath.Join(dir, "a.json"))
	must(t, err)
	defer f.Close()
	_, err = f.WriteString(`[{"n":1},`)
	must(t, err)
	drop(t, dir, "b.json", `{"n":3}`)
	s.wait(t, 1)
	_, err = f.WriteString(`{"n":2}]`)
	must(t, err)
	s.wantSetOf(t, 3, []string{`{"n":3}`, `{"n":1}`, `{"n":2}`})
}

func TestSpool_DirectoryThatIsMissingOrMadeAgain(t *testing.T) {
	s, dir := &store{}, filepath.Join(t.TempDir(), "spool")
	r := spool(t, s, dir)
	eventually(t, "not ready", func() bool { return strings.Contains(r.spool.Status().Reason, "does not exist") })
	for i := range 3 {
		must(t, os.Mkdir(dir, 0o755))
		drop(t, dir, "a.json", fmt.Sprintf(`{"n":%d}`, i))
		s.wait(t, i+1)
		wantNames(t, dir)
		eventually(t, "ready", func() bool { return r.spool.Status().Ready })
		must(t, os.RemoveAll(dir))
		eventually(t, "not ready", func() bool { return !r.spool.Status().Ready })
	}
	eventually(t, "said each time", func() bool { return strings.Count(s.log.String(), "does not exist") >= 4 })
	r.stop()
	if n := strings.Count(s.log.String(), "does not exist"); n != 4 {
		t.Errorf("said %d times: %s", n, s.log.String())
	}
}

func TestSpool_ACursorThatIsNoneIsRefused(t *testing.T) {
	for _, c := range []string{"x", `{"v":9}`, `{"v":2,"files":[{"off":9,"size":1}]}`, `{"v":2,"files":[null]}`, `{"v":2,"files":[{"id":"x","off":1,"tail_len":2}]}`} {
		_, err := NewSpool(SpoolOptions{Path: "/x", Cursor: []byte(c), Handler: (&store{}).handle})
		if err == nil {
			t.Errorf("%s: taken", c)
		}
	}
}
