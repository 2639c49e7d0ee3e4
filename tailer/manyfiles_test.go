package tailer

import (
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"
)

// byHand returns a log that is read a pass at a time.
func byHand(t *testing.T, s *store, path string) (l *Log, pass func()) {
	t.Helper()
	logger := slog.New(slog.NewTextHandler(&s.log, nil))
	l, err := NewLog(LogOptions{Source: "test", Path: path, Handler: s.handle, Logger: logger})
	must(t, err)
	t.Cleanup(l.files.close)
	l.files.dir.watch = newWatcher(true, logger)
	t.Cleanup(l.files.dir.watch.close)
	return l, func() {
		t.Helper()
		for more := true; more; {
			var err error
			more, err = l.pass(t.Context())
			must(t, err)
		}
	}
}

// More files end in one pass than the checkpoint has room for: each batch that is offered
// for one of them lets others go, which are then not to be ended any more.
func TestRetire_EndsNoFileThatTheCheckpointLetGo(t *testing.T) {
	s, path := &store{}, logPath(t)
	var want []string
	for i := range maxStreams {
		want = append(want, fmt.Sprintf("[2026-01-01 00:00:00,000] [INFO] [paperless] rotated %d", i))
		name, at := fmt.Sprintf("%s.%d", path, maxStreams-i), time.Now().Add(time.Duration(i-1000)*time.Second)
		must(t, os.WriteFile(name, []byte(want[i]+"\n"), 0o644))
		must(t, os.Chtimes(name, at, at))
	}
	l, pass := byHand(t, s, path)
	pass()
	s.want(t, want)
	for _, f := range l.files.files {
		f.changed = time.Now().Add(-time.Hour) // all of them are quiet by now
	}
	must(t, os.WriteFile(path, []byte("[2026-01-01 00:00:00,000]"), 0o644)) // one more stream, and no line of it yet
	eventually(t, "a checkpoint within its bound", func() bool {            // once the directory was seen at rest
		l.files.dir.full = noTime
		pass()
		return len(l.files.cur.streams) <= maxStreams
	})
	for _, f := range l.files.files {
		if f != l.files.live && f.s != nil && !f.s.done {
			t.Errorf("%s was not ended", f.path)
		}
	}
	s.want(t, want)
}

// While a clock was ahead more files were rotated than the checkpoint holds. What is rotated
// once the clock is right again, and while the agent is down, is older than those.
func TestForget_AClockThatWasAheadHidesNothingAndRepeatsNothing(t *testing.T) {
	s, path := &store{}, logPath(t)
	var want []string
	rotated := func(n int, at time.Time) {
		want = append(want, fmt.Sprintf("[2026-01-01 00:00:00,000] [INFO] [paperless] rotated %d", n))
		name := fmt.Sprintf("%s.%d", path, 1000-n)
		must(t, os.WriteFile(name, []byte(want[n]+"\n"), 0o644))
		must(t, os.Chtimes(name, at, at))
	}
	const ahead = 3 * maxStreams
	for n := range ahead {
		rotated(n, time.Now().Add(time.Hour+time.Duration(n)*time.Second))
	}
	must(t, os.WriteFile(path, []byte("[2026-01-01 00:00:00,000]"), 0o644))
	l, pass := byHand(t, s, path)
	eventually(t, "a checkpoint within its bound", func() bool {
		l.files.dir.full = noTime
		pass()
		for _, f := range l.files.files {
			f.changed = time.Now().Add(-time.Hour) // all of them are quiet by now
		}
		return len(s.got()) == ahead && len(l.files.cur.streams) <= maxStreams
	})
	for n := range 10 {
		rotated(ahead+n, time.Now().Add(time.Duration(n-100)*time.Second))
	}
	again := follow(t, s, path)
	s.wait(t, len(want))
	again.stop()
	s.wantSet(t, want)
}

// Between two looks the log was copied and truncated, written again to the same size, and
// copied once more, while the truncation is still to come: what it holds and the last copy are one.
func TestRotation_ACopyOfWhatTheLogBecameIsNoOtherContent(t *testing.T) {
	for _, read := range []bool{true, false} { // whether the first content was read before
		s, path := &store{}, logPath(t)
		w := newWriter(t, path)
		l, pass := byHand(t, s, path)
		if w.lines(50); read {
			pass()
		} else {
			l.files.dir.scanned = false
			l.files.scan(t.Context())
		}
		w.copytruncate(path + ".2")
		w.lines(50)
		b, err := os.ReadFile(path)
		must(t, err)
		must(t, os.WriteFile(path+".1", b, 0o644))
		pass()
		must(t, os.Truncate(path, 0))
		w.lines(5)
		pass()
		s.wantSet(t, w.written)
		if n := s.gapCount(); n != 0 {
			t.Errorf("%d gaps: %+v", n, s.gaps)
		}
	}
}
