package tailer

import (
	"fmt"
	"testing"
)

func TestLog_LinesArriveAsTheyAreWritten(t *testing.T) {
	s, path := &store{}, logPath(t)
	w := newWriter(t, path)
	w.lines(10)
	follow(t, s, path)
	s.want(t, w.written)
	for range 20 {
		w.lines(7)
		s.wait(t, len(w.written))
	}
	s.want(t, w.written)
}

func TestRotation_ByRenameRightAfterAWrite(t *testing.T) {
	s, path := &store{}, logPath(t)
	w := newWriter(t, path)
	r := follow(t, s, path)
	for i := range 20 {
		w.lines(200)
		w.rename(fmt.Sprintf("%s.%03d", path, i))
		w.reopen()
	}
	w.lines(1)
	s.want(t, w.written)
	r.settled(s)
	s.want(t, w.written)
}

func TestRotation_ByCopyAndTruncate(t *testing.T) {
	s, path := &store{}, logPath(t)
	w := newWriter(t, path)
	r := follow(t, s, path)
	for range 10 {
		w.lines(200)
		w.shift(50)
		w.copytruncate(path + ".1")
	}
	w.lines(1)
	s.wait(t, len(w.written))
	r.settled(s)
	s.wantSet(t, w.written)
}

func TestRestart_SeveralRotationsWhileDown(t *testing.T) {
	s, path := &store{}, logPath(t)
	w := newWriter(t, path)
	r := follow(t, s, path)
	w.lines(100)
	s.wait(t, 100)
	r.stop()
	for range 5 {
		w.lines(50)
		w.shift(20)
		w.rename(path + ".1")
		w.reopen()
	}
	w.lines(5)
	r = follow(t, s, path)
	s.want(t, w.written)
	r.settled(s)
	s.want(t, w.written)
	if n := s.gapCount(); n != 0 {
		t.Errorf("%d gaps", n)
	}
}

func TestStart_FromEndSkipsWhatIsThere(t *testing.T) {
	s, path := &store{}, logPath(t)
	w := newWriter(t, path)
	w.lines(10)
	w.raw("begun ")
	r := follow(t, s, path, func(o *LogOptions) { o.Start = FromEnd })
	eventually(t, "first cursor", func() bool { return s.lastCursor() != nil })
	r.stop()
	w.raw("and ended\n")
	w.lines(3)
	follow(t, s, path)
	s.want(t, append([]string{"begun and ended"}, w.written[10:]...))
}

func TestStart_FilesRotatedBeforeTheFirstRunAreReadFirst(t *testing.T) {
	s, path := &store{}, logPath(t)
	w := newWriter(t, path)
	w.lines(3)
	w.rename(path + ".1")
	w.reopen()
	w.lines(3)
	r := follow(t, s, path)
	s.want(t, w.written)
	r.stop()
	w.lines(3)
	w.shift(9)
	w.rename(path + ".1")
	w.reopen()
	w.lines(3)
	r = follow(t, s, path)
	s.want(t, w.written)
	r.settled(s)
	s.want(t, w.written)
}
