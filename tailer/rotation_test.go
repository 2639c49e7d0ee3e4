package tailer

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Every way of rotating, named in both ways, with and without old files being deleted.
func TestRotation_EveryKind(t *testing.T) {
	for _, kind := range []string{"rename", "copytruncate"} {
		for _, name := range []string{"sequential", "timestamped"} {
			for _, keep := range []int{3, 100} {
				for _, poll := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s/%s/keep%d/poll=%v", kind, name, keep, poll), func(t *testing.T) {
						t.Parallel()
						testRotation(t, kind, name, keep, poll)
					})
				}
			}
		}
	}
}

func testRotation(t *testing.T, kind, name string, keep int, poll bool) {
	s, path := &store{}, logPath(t)
	w := newWriter(t, path)
	r := follow(t, s, path, func(o *LogOptions) { o.Poll = poll })
	for i := range 10 {
		w.lines(50)
		if keep < 10 {
			s.wait(t, len(w.written)) // or what is deleted is lost for good
		}
		to := path + ".1"
		if name == "sequential" {
			w.shift(keep)
		} else {
			to = fmt.Sprintf("%s-20260101-%02d", path, i)
			if i >= keep {
				must(t, os.Remove(fmt.Sprintf("%s-20260101-%02d", path, i-keep)))
			}
		}
		if kind == "rename" {
			w.rename(to)
			w.lines(3) // to the old inode: the writer has not noticed yet
			w.reopen()
		} else {
			w.copytruncate(to)
		}
	}
	w.lines(5)
	s.wait(t, len(w.written))
	r.settled(s)
	s.wantSet(t, w.written)
	if n := s.gapCount(); n != 0 {
		t.Errorf("%d gaps: %+v", n, s.gaps)
	}
}

func TestRotation_ThreeLogsInOneDirectory(t *testing.T) {
	dir := t.TempDir()
	var stores []*store
	var writers []*writer
	for i := range 3 {
		path := filepath.Join(dir, fmt.Sprintf("app%d.log", i))
		stores, writers = append(stores, &store{}), append(writers, newWriter(t, path))
		follow(t, stores[i], path)
	}
	for round := range 6 {
		for i, w := range writers {
			w.lines(100)
			if round%2 == 0 {
				stores[i].wait(t, len(w.written)) // slow
			}
			w.shift(10)
			w.rename(w.path + ".1")
			w.reopen()
		}
	}
	for i, w := range writers {
		w.lines(1)
		stores[i].wait(t, len(w.written))
		stores[i].wantSet(t, w.written)
	}
}

func TestRotation_MovedAwayAndWrittenToAfterwards(t *testing.T) {
	s, path := &store{}, logPath(t)
	w := newWriter(t, path)
	follow(t, s, path)
	w.lines(10)
	s.want(t, w.written)
	w.rename(filepath.Join(t.TempDir(), "elsewhere"))
	w.lines(10)
	s.want(t, w.written)
	w.reopen()
	w.lines(10)
	s.want(t, w.written)
}

// No pattern finds the name; the inode and the content do.
func TestRestart_RenamedToAnyNameWhileDown(t *testing.T) {
	s, path := &store{}, logPath(t)
	w := newWriter(t, path)
	r := follow(t, s, path)
	w.lines(10)
	s.wait(t, 10)
	r.stop()
	w.lines(10)
	other := filepath.Join(filepath.Dir(path), "other.log")
	must(t, os.WriteFile(other, []byte("not ours\n"), 0o644))
	w.rename(filepath.Join(filepath.Dir(path), "2026-01-01 old.log"))
	w.reopen()
	w.lines(10)
	r = follow(t, s, path)
	s.want(t, w.written)
	r.stop()
	must(t, os.Rename(path, path+".keep"))
	must(t, os.WriteFile(path+".keep", []byte("the inode is another's by now\n"), 0o644))
	must(t, os.Rename(path+".keep", filepath.Join(filepath.Dir(path), "third.log")))
	w.reopen()
	w.lines(10)
	follow(t, s, path)
	s.want(t, w.written)
	eventually(t, "gap", func() bool { return s.gapCount() == 1 })
	s.want(t, w.written)
}

func TestRotation_AnEmptyFileIsNotHeldOpen(t *testing.T) {
	s, path := &store{}, logPath(t)
	w := newWriter(t, path)
	r := follow(t, s, path)
	w.rename(path + ".1")
	w.reopen()
	w.lines(1)
	s.want(t, w.written)
	r.settled(s)
	late, err := os.OpenFile(path+".1", os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	defer late.Close()
	_, err = late.WriteString("late\n")
	must(t, err)
	s.want(t, append(w.written, "late"))
}

func TestRotation_LateWritesToTheOldFile(t *testing.T) {
	s, path := &store{}, logPath(t)
	w := newWriter(t, path)
	r := follow(t, s, path)
	w.lines(10)
	old := &writer{t: t, path: path, f: w.f}
	w.rename(path + ".1")
	w.f = nil
	w.reopen()
	w.lines(10)
	s.wait(t, 20)
	r.settled(s) // the old file is closed by now
	old.raw("late\n")
	s.wait(t, 21)
	s.wantSet(t, append(w.written, "late"))
	old.f.Close()
}

func TestRotation_CopyWithAnUnreadTailThenTruncate(t *testing.T) {
	s, path := &store{}, logPath(t)
	w := newWriter(t, path)
	w.lines(10)
	r := follow(t, s, path)
	s.want(t, w.written)
	r.stop()
	w.lines(10)
	w.copytruncate(path + ".1")
	w.lines(10)
	r = follow(t, s, path)
	s.want(t, w.written)
	r.settled(s)
	s.want(t, w.written)
}

func TestRotation_AnIncompleteCopyIsNotReadFromItsBeginning(t *testing.T) {
	s, path := &store{}, logPath(t)
	w := newWriter(t, path)
	w.lines(100)
	r := follow(t, s, path)
	s.want(t, w.written)
	b, err := os.ReadFile(path)
	must(t, err)
	c := newWriter(t, path+".1")
	for _, part := range []int{10, 700, 2000, len(b)} {
		info, err := c.f.Stat()
		must(t, err)
		c.raw(string(b[info.Size():part]))
		w.lines(1)
		s.wait(t, len(w.written)) // so it was looked at
		r.quiet()
	}
	must(t, os.Truncate(path, 0))
	w.lines(10)
	s.wait(t, len(w.written))
	r.settled(s)
	s.want(t, w.written)
	r.stop()
	follow(t, s, path)
	w.lines(1)
	s.want(t, w.written)
}

// What was written between logrotate's copy and its truncation was read, and is in no file.
func TestRotation_ACopyOfLessThanWasReadIsDoneWith(t *testing.T) {
	s, path := &store{}, logPath(t)
	w := newWriter(t, path)
	r := follow(t, s, path)
	w.lines(100)
	s.wait(t, 100)
	w.rename(path + ".2")
	w.reopen()
	w.lines(50)
	s.wait(t, 150)
	b, err := os.ReadFile(path)
	must(t, err)
	w.lines(10)
	s.wait(t, 160)
	must(t, os.WriteFile(path+".1", b, 0o644))
	must(t, os.Truncate(path, 0))
	w.lines(10)
	s.want(t, w.written)
	r.stop()
	// As long as it is taken for a copy in the making, no gap can be told.
	w.lines(1)
	must(t, os.Remove(path))
	w.reopen()
	follow(t, s, path)
	eventually(t, "gap", func() bool { return s.gapCount() == 1 })
}

func TestRotation_ABackupCopyIsNoNews(t *testing.T) {
	s, path := &store{}, logPath(t)
	w := newWriter(t, path)
	w.lines(100)
	r := follow(t, s, path)
	s.want(t, w.written)
	b, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path+".bak", b, 0o644))
	w.lines(100)
	s.want(t, w.written)
	r.settled(s)
	for range 2 { // also once the original is gone, and after a restart
		r.stop()
		r = follow(t, s, path)
		w.lines(5)
		s.wait(t, len(w.written))
		r.settled(s)
		must(t, os.Remove(path))
		w.reopen()
		w.lines(5)
		s.wait(t, len(w.written))
		r.settled(s)
	}
	s.want(t, w.written)
}

func TestRotation_IdenticalFirstKilobyte(t *testing.T) {
	head := strings.Repeat(strings.Repeat("=", 49)+"\n", 30)
	for _, kind := range []string{"copytruncate", "rename"} {
		t.Run(kind, func(t *testing.T) {
			s, path := &store{}, logPath(t)
			w := newWriter(t, path)
			follow(t, s, path)
			var want []string
			for i := range 4 {
				w.raw(head)
				for range 30 {
					want = append(want, strings.Repeat("=", 49))
				}
				for j := range 20 + i {
					l := fmt.Sprintf("round %d line %d", i, j)
					w.raw(l + "\n")
					want = append(want, l)
				}
				s.wait(t, len(want))
				w.shift(9)
				if kind == "rename" {
					w.rename(path + ".1")
					w.reopen()
				} else {
					w.copytruncate(path + ".1")
				}
			}
			s.want(t, want)
		})
	}
}

func TestRotation_SymlinkRetargetedOverThirtyFiles(t *testing.T) {
	dir := t.TempDir()
	s, path := &store{}, filepath.Join(dir, "current")
	var want []string
	var r *running
	for i := range 30 {
		target := filepath.Join(dir, "logs", fmt.Sprintf("%02d.log", i))
		must(t, os.MkdirAll(filepath.Dir(target), 0o755))
		w := newWriter(t, target)
		must(t, os.Symlink(target, path+".new"))
		must(t, os.Rename(path+".new", path))
		if r == nil {
			r = follow(t, s, path)
		}
		for j := range 10 {
			l := fmt.Sprintf("file %d line %d", i, j)
			w.raw(l + "\n")
			want = append(want, l)
		}
		s.wait(t, len(want))
	}
	s.want(t, want)
}

func TestTruncation_OpenClosedAndBlocked(t *testing.T) {
	for _, state := range []string{"open", "closed", "blocked"} {
		t.Run(state, func(t *testing.T) {
			s, path := &store{}, logPath(t)
			w := newWriter(t, path)
			r := follow(t, s, path)
			w.lines(20)
			s.wait(t, 20)
			var release, entered chan struct{}
			switch state {
			case "closed":
				r.stop()
			case "blocked":
				release, entered = make(chan struct{}), make(chan struct{})
				once := false
				s.mu.Lock()
				s.fail = func(*Batch) error {
					if !once {
						once = true
						close(entered)
						<-release
					}
					return nil
				}
				s.mu.Unlock()
				w.lines(1)
				<-entered
			}
			must(t, os.Truncate(path, 0))
			w.lines(15)
			switch state {
			case "closed":
				follow(t, s, path)
			case "blocked":
				close(release)
			}
			s.want(t, w.written)
		})
	}
}

func TestTruncation_RewrittenToTheSameSize(t *testing.T) {
	s, path := &store{}, logPath(t)
	must(t, os.WriteFile(path, []byte(strings.Repeat("aaaa\n", 1000)), 0o644))
	r := follow(t, s, path)
	s.wait(t, 1000)
	must(t, os.WriteFile(path, []byte(strings.Repeat("bbbb\n", 1000)), 0o644))
	s.wait(t, 2000)
	r.stop()
	must(t, os.WriteFile(path, []byte(strings.Repeat("cccc\n", 1000)), 0o644))
	follow(t, s, path)
	s.wait(t, 3000)
	want := append(append(repeat("aaaa", 1000), repeat("bbbb", 1000)...), repeat("cccc", 1000)...)
	s.want(t, want)
}

func repeat(s string, n int) []string {
	return strings.Split(strings.Repeat(s+"\n", n)[:(len(s)+1)*n-1], "\n")
}

func TestTruncation_AWriterThatKeepsItsOffset(t *testing.T) {
	s, path := &store{}, logPath(t)
	f, err := os.Create(path) // not O_APPEND
	must(t, err)
	defer f.Close()
	_, err = io.WriteString(f, strings.Repeat("before\n", 300_000))
	must(t, err)
	follow(t, s, path)
	s.wait(t, 300_000)
	must(t, os.Truncate(path, 0))
	_, err = io.WriteString(f, "after 1\nafter 2\n")
	must(t, err)
	s.wait(t, 300_002)
	if got := last(s.got(), 2); got[0] != "after 1" || got[1] != "after 2" {
		t.Errorf("got %q", got)
	}
}

func TestLog_DeletedAndMadeAgain(t *testing.T) {
	s, path := &store{}, logPath(t)
	w := newWriter(t, path)
	r := follow(t, s, path)
	for range 5 {
		w.lines(10)
		must(t, os.Remove(path)) // unread lines and all
		w.reopen()
		w.lines(10)
		s.wait(t, len(w.written))
	}
	s.want(t, w.written)
	r.settled(s)
}

func TestLog_DeletedWhileItsWriterGoesOn(t *testing.T) {
	s, path := &store{}, logPath(t)
	w := newWriter(t, path)
	r := follow(t, s, path)
	w.lines(10)
	s.wait(t, 10)
	must(t, os.Remove(path))
	r.quiet()
	w.lines(10)
	s.want(t, w.written)
}

func TestLog_DirectoryMissingAndMadeAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	s, path := &store{}, filepath.Join(dir, "app.log")
	r := follow(t, s, path)
	eventually(t, "not ready", func() bool { return strings.Contains(r.log.Status().Reason, "does not exist") })
	// A directory that is there for less than one look is not told of.
	said := func(what string, times int) {
		t.Helper()
		eventually(t, what, func() bool { return strings.Count(s.log.String(), what) >= times })
	}
	said("level=WARN", 1)
	var written []string
	for n := range 3 {
		must(t, os.Mkdir(dir, 0o755))
		w := newWriter(t, path)
		w.written = written
		w.lines(10)
		written = w.written
		s.wait(t, len(written))
		eventually(t, "ready", func() bool { return r.log.Status().Ready })
		said("log is followed again", n+1)
		must(t, os.RemoveAll(dir))
		eventually(t, "not ready", func() bool { return !r.log.Status().Ready })
		said("level=WARN", n+2)
	}
	r.stop()
	if n := strings.Count(s.log.String(), "level=WARN"); n != 4 {
		t.Errorf("warned %d times: %s", n, s.log.String())
	}
}

func TestLog_AbsentAtTheStartIsFine(t *testing.T) {
	s, path := &store{}, logPath(t)
	r := follow(t, s, path, func(o *LogOptions) { o.Start = FromEnd })
	eventually(t, "waiting", func() bool {
		st := r.log.Status()
		return st.Ready && strings.Contains(st.Reason, "waiting")
	})
	w := newWriter(t, path)
	w.lines(5)
	s.want(t, w.written) // all of it is after the start
}

func TestRestart_ManyRotatedFilesUnread(t *testing.T) {
	s, path := &store{}, logPath(t)
	w := newWriter(t, path)
	r := follow(t, s, path)
	w.lines(1)
	s.wait(t, 1)
	r.stop()
	for i := range 150 {
		w.lines(20)
		to := fmt.Sprintf("%s.%04d", path, i)
		w.rename(to)
		w.reopen()
		at := time.Now().Add(time.Duration(i-200) * time.Second)
		must(t, os.Chtimes(to, at, at))
	}
	w.lines(1)
	r = follow(t, s, path)
	s.want(t, w.written)
	r.settled(s)
	for range 2 { // more files than the cursor holds
		r.stop()
		r = follow(t, s, path)
		w.lines(1)
		s.want(t, w.written)
		r.settled(s)
	}
	if n := len(s.lastCursor()); n > 24<<10 {
		t.Errorf("cursor of %d bytes", n)
	}
}

// As a backup that was restored, or touched, has them. Their age tells nothing of which were
// read, so all of those must be remembered.
func TestRestart_ManyRotatedFilesOfOneAge(t *testing.T) {
	s, path := &store{}, logPath(t)
	w := newWriter(t, path)
	at := time.Now().Add(-time.Hour)
	for i := range 300 {
		w.lines(1)
		to := fmt.Sprintf("%s.%d", path, 300-i)
		w.rename(to)
		w.reopen()
		must(t, os.Chtimes(to, at, at))
	}
	full := errors.New("disk full")
	s.fail = func(*Batch) error {
		if len(s.lines) < 290 {
			return nil
		}
		return full
	}
	r := follow(t, s, path)
	s.wait(t, 290)
	eventually(t, "stuck", func() bool { return !r.log.Status().Ready })
	r.stop()
	s.fail = nil
	r = follow(t, s, path)
	s.want(t, w.written)
	r.settled(s)
	r.stop()
	follow(t, s, path)
	w.lines(1)
	s.want(t, w.written)
}

func TestRestart_RotatedAndCompressedWhileDown(t *testing.T) {
	for _, read := range []int{1, 10, 2000} {
		s, path := &store{}, logPath(t)
		w := newWriter(t, path)
		r := follow(t, s, path)
		w.lines(read)
		s.wait(t, read)
		r.stop()
		w.lines(1500)
		w.raw("no end")
		must(t, os.WriteFile(path+".3.gz", []byte("damaged"), 0o644))
		at := time.Now().Add(-time.Hour)
		must(t, os.Chtimes(path+".3.gz", at, at))
		b := w.compress(path + ".2.gz")
		r = follow(t, s, path)
		want := append(slices.Clone(w.written), "no end")
		s.want(t, want)
		r.stop()
		// It is done with, packed or not.
		must(t, os.WriteFile(path+".2", b, 0o644))
		follow(t, s, path)
		w.raw("next\n")
		s.want(t, append(want, "next"))
		if n := s.gapCount(); n != 0 {
			t.Errorf("%d gaps: %+v", n, s.gaps)
		}
	}
}

func TestGap_CompressedBeforeAnythingOfItWasReadAndDamaged(t *testing.T) {
	s, path := &store{}, logPath(t)
	w := newWriter(t, path)
	r := follow(t, s, path)
	w.lines(10)
	s.wait(t, 10)
	r.stop()
	w.lines(10)
	w.compress(path + ".2.gz")
	w.lines(10)
	w.compress(path + ".1.gz")
	must(t, os.Truncate(path+".1.gz", 30))
	w.lines(10)
	follow(t, s, path)
	eventually(t, "gap", func() bool { return s.gapCount() == 1 })
	if g := s.gaps[0]; g.Path != path+".1.gz" || !strings.Contains(g.Reason, "compressed") {
		t.Errorf("gap %+v", g)
	}
	want := append(slices.Clone(w.written[:20]), w.written[30:]...)
	s.wait(t, len(want))
	s.wantSet(t, want)
}

func TestGap_ContentThatIsGoneIsReported(t *testing.T) {
	s, path := &store{}, logPath(t)
	w := newWriter(t, path)
	r := follow(t, s, path)
	w.lines(100)
	s.wait(t, 100)
	r.stop()
	w.lines(10)
	lost := len(w.written)
	must(t, os.Remove(path))
	must(t, os.WriteFile(path+".1.gz", []byte("packed"), 0o644))
	w.reopen()
	w.lines(10)
	r = follow(t, s, path)
	s.wait(t, 110)
	eventually(t, "gap", func() bool { return s.gapCount() == 1 })
	g := s.gaps[0]
	if g.Stream != s.records[0].Stream || g.Offset == 0 || g.Since.IsZero() || !strings.Contains(g.Reason, ".1.gz") {
		t.Errorf("gap %+v", g)
	}
	eventually(t, "counted", func() bool { return r.log.Status().Gaps == 1 })
	r.stop()
	r = follow(t, s, path) // once is enough
	w.lines(1)
	s.wait(t, 111)
	r.settled(s)
	r.quiet()
	if n := s.gapCount(); n != 1 {
		t.Errorf("%d gaps", n)
	}
	s.want(t, append(append([]string(nil), w.written[:100]...), w.written[lost:]...))
}

func TestGap_TruncatedWithUnreadLines(t *testing.T) {
	s, path := &store{}, logPath(t)
	w := newWriter(t, path)
	follow(t, s, path, func(o *LogOptions) { o.BatchLines = 10 })
	w.lines(10)
	s.wait(t, 10)
	entered, release := make(chan struct{}), make(chan struct{})
	s.mu.Lock()
	s.fail = func(*Batch) error {
		close(entered)
		<-release
		s.fail = nil
		return nil
	}
	s.mu.Unlock()
	for range 30 {
		w.raw("one of a burst, in a single write\n" + strings.Repeat("another\n", 30))
	}
	<-entered
	must(t, os.Truncate(path, 0))
	w.lines(5)
	close(release)
	eventually(t, "gap", func() bool { return s.gapCount() == 1 })
	if g := s.gaps[0]; !strings.Contains(g.Reason, "truncated or overwritten") {
		t.Errorf("gap %+v", g)
	}
}
