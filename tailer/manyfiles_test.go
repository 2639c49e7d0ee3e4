package tailer

import (
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"
)

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
	logger := slog.New(slog.NewTextHandler(&s.log, nil))
	l, err := NewLog(LogOptions{Source: "test", Path: path, Handler: s.handle, Logger: logger})
	must(t, err)
	defer l.files.close()
	l.files.dir.watch = newWatcher(true, logger)
	defer l.files.dir.watch.close()
	pass := func() {
		t.Helper()
		for more := true; more; {
			more, err = l.pass(t.Context())
			must(t, err)
		}
	}
	pass()
	s.want(t, want)
	for _, f := range l.files.files {
		f.changed = time.Now().Add(-time.Hour) // all of them are quiet by now
	}
	must(t, os.WriteFile(path, []byte("[2026-01-01 00:00:00,000]"), 0o644)) // one more stream, and no line of it yet
	l.files.dir.full = noTime
	pass()
	if n := len(l.files.cur.streams); n > maxStreams {
		t.Errorf("%d streams", n)
	}
	for _, f := range l.files.files {
		if f != l.files.live && f.s != nil && !f.s.done {
			t.Errorf("%s was not ended", f.path)
		}
	}
	s.want(t, want)
}
