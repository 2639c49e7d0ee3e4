package tailer

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// linesOf are n lines as a log has them, from number from on.
func linesOf(from, n int) (lines []string) {
	for i := from; i < from+n; i++ {
		lines = append(lines, fmt.Sprintf("[2026-01-01 00:00:%02d,000] [INFO] [paperless] line %06d %s", i%60, i, strings.Repeat("x", i*7%90)))
	}
	return lines
}

func text(lines []string) string { return strings.Join(lines, "\n") + "\n" }

// What was read comes back different in part, while the follower runs or does not.
func TestResume_SameContentIsNotReadAgain(t *testing.T) {
	old := linesOf(0, 100)
	whole := text(old)
	cut := len(text(old[:60])) + 20 // within a line
	for name, change := range map[string]func(t *testing.T, path string){
		"cut": func(t *testing.T, path string) { must(t, os.Truncate(path, int64(cut))) },
		"cut at a line's end": func(t *testing.T, path string) {
			must(t, os.Truncate(path, int64(len(text(old[:60])))))
		},
		"cut and grown past the position": func(t *testing.T, path string) {
			must(t, os.Truncate(path, int64(cut)))
			appendTo(t, path, "\n"+text(linesOf(1000, 90)))
		},
		"the end is NULs": func(t *testing.T, path string) {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			must(t, err)
			defer f.Close()
			_, err = f.WriteAt(make([]byte, 3000), int64(len(whole)-3000))
			must(t, err)
		},
		"another inode": func(t *testing.T, path string) { replace(t, path, whole) },
		"another inode, shorter": func(t *testing.T, path string) {
			replace(t, path, text(old[:90]))
		},
		"touched": func(t *testing.T, path string) {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			must(t, err)
			defer f.Close()
			_, err = f.WriteAt([]byte(whole[500:600]), 500)
			must(t, err)
		},
	} {
		for _, running := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/running=%v", name, running), func(t *testing.T) {
				t.Parallel()
				s, path := &store{}, logPath(t)
				appendTo(t, path, whole)
				r := follow(t, s, path)
				s.want(t, old)
				if !running {
					r.stop()
				}
				change(t, path)
				if running {
					looks(t, r, 5)
				} else {
					r = follow(t, s, path)
				}
				fresh := linesOf(2000, 30)
				appendTo(t, path, "\n"+text(fresh))
				eventually(t, "the last line", func() bool { return last(s.got(), 1)[0] == fresh[29] })
				caughtUp(t, r)
				seen := map[string]int{}
				for _, l := range s.got() {
					seen[l]++
				}
				twice := 0
				for _, l := range old {
					if seen[l] > 1 {
						twice++
					}
				}
				for _, l := range fresh {
					if seen[l] != 1 {
						t.Errorf("new line read %d times: %.60q", seen[l], l)
					}
				}
				if limit := 3; twice > limit || running && twice > 0 { // the cursor holds fewer sums
					t.Errorf("%d lines twice", twice)
				}
			})
		}
	}
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	must(t, err)
	defer f.Close()
	_, err = f.WriteString(text)
	must(t, err)
}

func replace(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.WriteFile(path+"_new", []byte(text), 0o644))
	must(t, os.Rename(path+"_new", path))
}

// As systemd's StandardOutput=file: does it: a writer begins again at offset 0 and truncates
// nothing.
func TestResume_OverwrittenFromItsBeginning(t *testing.T) {
	for _, restarting := range []bool{false, true} {
		t.Run(fmt.Sprintf("restarting=%v", restarting), func(t *testing.T) {
			t.Parallel()
			s, path := &store{}, logPath(t)
			old := linesOf(0, 40)
			appendTo(t, path, text(old))
			r := follow(t, s, path)
			s.want(t, old)
			var fresh []string
			for generation := range 3 {
				f, err := os.OpenFile(path, os.O_WRONLY, 0)
				must(t, err)
				for i := range 25 + 20*generation {
					l := linesOf(1000*(generation+1)+i, 1)[0]
					fresh = append(fresh, l)
					_, err = f.WriteString(l + "\n")
					must(t, err)
					eventually(t, "line "+l, func() bool { return contains(s, l) })
					if restarting && i%7 == 6 {
						r.stop()
						r = follow(t, s, path)
					}
				}
				f.Close()
			}
			caughtUp(t, r)
			seen := map[string]int{}
			for _, l := range s.got() {
				seen[l]++
			}
			for _, l := range append(old, fresh...) {
				if seen[l] != 1 {
					t.Errorf("line read %d times: %.60q", seen[l], l)
				}
			}
		})
	}
}

func contains(s *store, line string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lines {
		if l == line {
			return true
		}
	}
	return false
}

// A copy made before the truncation has all that was read: what is in the log is new, however
// it begins.
func TestResume_NotWhereACopyHoldsWhatWasRead(t *testing.T) {
	for _, running := range []bool{true, false} {
		s, path := &store{}, logPath(t)
		banner := linesOf(0, 5)
		appendTo(t, path, text(append(banner[:5:5], linesOf(10, 50)...)))
		r := follow(t, s, path)
		s.wait(t, 55)
		if !running {
			r.stop()
		}
		b, err := os.ReadFile(path)
		must(t, err)
		must(t, os.WriteFile(path+".1", b, 0o644))
		must(t, os.Truncate(path, 0))
		appendTo(t, path, text(append(banner[:5:5], linesOf(100, 5)...)))
		if !running {
			r = follow(t, s, path)
		}
		s.wait(t, 65)
		r.settled(s)
		if n := s.count(); n != 65 {
			t.Errorf("running=%v: %d lines", running, n)
		}
		r.stop()
	}
}

// An inode that gets another number under the same name is no rotation. A hard link does
// nearly that: the name's inode changes, and the old one is still there under none.
func TestResume_SmallLogUnderAnotherInode(t *testing.T) {
	s, path := &store{}, logPath(t)
	follow(t, s, path)
	var want []string
	for i := range 20 {
		want = append(want, linesOf(i, 1)...)
		replace(t, path, text(want))
		s.want(t, want)
	}
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
}
