package tailer

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// A network file system shows a file's size before what is in it. Each row is what is there
// first, as offsets of the pieces that are missing, and comes later.
func TestZeros_DataThatArrivesLateIsRead(t *testing.T) {
	line := func(i int) string { return fmt.Sprintf("line %d %s\n", i, strings.Repeat("x", 100)) }
	text := line(0) + line(1) + line(2) + line(3) + line(4)
	n := len(line(0))
	for name, gap := range map[string][2]int{
		"a whole line at the end":            {4 * n, 5 * n},
		"all but the first":                  {n, 5 * n},
		"all":                                {0, 5 * n},
		"a line between others":              {2 * n, 3 * n},
		"from within a line to within one":   {n + 10, 3*n + 10},
		"a line's end":                       {2*n + 50, 3 * n},
		"a line's beginning":                 {2 * n, 2*n + 50},
		"one byte":                           {2*n + 50, 2*n + 51},
		"the last terminator":                {5*n - 1, 5 * n},
		"the end of a line and what follows": {4*n - 1, 5 * n},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, path := &store{}, logPath(t)
			f, err := os.Create(path)
			must(t, err)
			defer f.Close()
			_, err = f.WriteAt([]byte(text[:gap[0]]), 0)
			must(t, err)
			must(t, f.Truncate(int64(len(text))))
			_, err = f.WriteAt([]byte(text[gap[1]:]), int64(gap[1]))
			must(t, err)
			r := follow(t, s, path, func(o *LogOptions) { o.Sweep = 5 * testSweep })
			s.wait(t, gap[0]/n)
			looks(t, r, 3)
			_, err = f.WriteAt([]byte(text[gap[0]:gap[1]]), int64(gap[0]))
			must(t, err)
			s.want(t, strings.Split(strings.TrimSuffix(text, "\n"), "\n"))
			caughtUp(t, r)
		})
	}
}

// looks waits until the follower has looked at the file n times more.
func looks(t *testing.T, r *running, n int) {
	t.Helper()
	time.Sleep(time.Duration(n) * r.log.o.Sweep) // that nothing happens can only be waited for
}

func caughtUp(t *testing.T, r *running) {
	t.Helper()
	eventually(t, "caught up", func() bool { return r.log.Status().LagBytes == 0 })
}

// What a power cut leaves, or a writer that kept its offset, also while the file changes.
func TestZeros_ThatStayAreSkippedAndWhatFollowsIsRead(t *testing.T) {
	for _, busy := range []bool{false, true} {
		for _, rotated := range []bool{false, true} {
			t.Run(fmt.Sprintf("busy=%v/rotated=%v", busy, rotated), func(t *testing.T) {
				t.Parallel()
				s, path := &store{}, logPath(t)
				w := newWriter(t, path)
				r := follow(t, s, path)
				w.lines(5)
				w.raw(strings.Repeat("\x00", 3000))
				if rotated {
					w.lines(5)
					w.rename(path + ".1")
					w.reopen()
				}
				w.lines(5)
				if !busy {
					s.want(t, w.written)
				}
				eventually(t, "the lines behind", func() bool {
					if busy {
						w.lines(1)
					}
					return s.count() >= 10
				})
				s.want(t, w.written)
				caughtUp(t, r)
				r.stop()
				follow(t, s, path)
				w.lines(1)
				s.want(t, w.written)
				if !strings.Contains(s.log.String(), "NUL bytes skipped") {
					t.Error("nothing is said of it")
				}
			})
		}
	}
}

func TestZeros_AtTheEndOfARotatedFileEndIt(t *testing.T) {
	s, path := &store{}, logPath(t)
	w := newWriter(t, path)
	r := follow(t, s, path)
	w.lines(5)
	w.raw("torn" + strings.Repeat("\x00", 3000))
	w.rename(path + ".1")
	w.reopen()
	w.lines(1)
	s.wait(t, 7)
	r.settled(s)
	s.wantSet(t, append(w.written, "torn"))
	r.stop()
	follow(t, s, path)
	w.lines(1)
	s.wait(t, 8)
	s.wantSet(t, append(w.written, "torn"))
}

// A hole of 64 GiB is not read through, wherever in a line it is; neither is its lag hidden,
// nor the end delayed.
func TestZeros_AHugeHole(t *testing.T) {
	const hole = 64 << 30
	for _, begin := range []string{"first\n", "first\nbegun "} {
		s, path := &store{}, logPath(t)
		must(t, os.WriteFile(path, []byte(begin), 0o644))
		r := follow(t, s, path)
		s.wait(t, 1)
		must(t, os.Truncate(path, int64(len(begin))+hole))
		eventually(t, "lag", func() bool { return r.log.Status().LagBytes >= hole })
		w := newWriter(t, path)
		w.raw("\nbehind\n")
		eventually(t, "the line behind", func() bool { return last(s.got(), 1)[0] == "behind" })
		caughtUp(t, r)
		r.stop()
	}
}

// wide is a text in UTF-16.
func wide(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		b.Write([]byte{c, 0})
	}
	return b.String()
}

func TestZeros_UTF16IsSaid(t *testing.T) {
	s, path := &store{}, logPath(t)
	var damaged []string
	s.reject = func(r *Record) string {
		if r.Damage != "" {
			damaged = append(damaged, r.Damage)
		}
		return r.Damage
	}
	w := newWriter(t, path)
	w.raw("\xff\xfe" + wide("text\r\n{\"event_type\":\"x\"}\r\n"))
	w.lines(1)
	r := follow(t, s, path)
	eventually(t, "the line behind", func() bool { return s.count() > 0 && strings.HasSuffix(last(s.got(), 1)[0], w.written[0]) })
	r.stop()
	if len(damaged) != 1 || damaged[0] != damageWide {
		t.Errorf("damaged: %q", damaged)
	}
}

func TestZeros_UTF16InACompressedFileIsSaid(t *testing.T) {
	s, w := begun(t)
	w.compress(w.path + ".2.gz")
	w.raw(wide("{\"event_type\":\"x\"}\r\n"))
	w.compress(w.path + ".1.gz")
	r := follow(t, s, w.path)
	at := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return slices.IndexFunc(s.records, func(r Record) bool { return r.Path == w.path+".1.gz" })
	}
	eventually(t, "the line", func() bool { return at() >= 0 })
	r.stop()
	if r := s.records[at()]; r.Damage != damageWide {
		t.Errorf("damaged: %q", r.Damage)
	}
}
