package tailer

import (
	"os"
	"testing"
	"time"
)

// The log was copied, truncated and written on, and the copy cannot be read for a while. Until
// then nobody knows where what was read is, and that is not asked without a pause. What both
// begin with is no reason to go on behind it.
func TestDoubt_ACopyThatCannotBeReadIsWaitedFor(t *testing.T) {
	for _, banner := range []int{0, 50} { // how many lines each log begins with
		s, path := &store{}, logPath(t)
		w := newWriter(t, path)
		l, pass := byHand(t, s, path)
		w.lines(banner + 50)
		pass()
		w.lines(5)
		w.copytruncate(path + ".1")
		info, err := os.Lstat(path + ".1")
		must(t, err)
		broken := l.files.add(path+".1", info, time.Now())
		must(t, broken.open())
		broken.f.Close() // whatever is read of it is an error
		for _, line := range w.written[:banner] {
			w.raw(line + "\n")
		}
		w.written = append(w.written, w.written[:banner]...)
		w.lines(200)
		for range 3 {
			more, err := l.pass(t.Context())
			must(t, err)
			if st := l.Status(); more || st.Ready {
				t.Errorf("asked again at once %v, ready %v", more, st.Ready)
			}
		}
		if n := s.count(); n != banner+50 {
			t.Errorf("%d lines were read of what nobody knows", n-banner-50)
		}
		broken.f = nil
		pass()
		s.want(t, w.written)
	}
}
