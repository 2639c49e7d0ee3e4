package tailer

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// naming is how a rotation names the n-th file that it puts away, counted from the oldest; of
// names that shift, all is how many there are.
type naming struct {
	live string
	name func(n, all int) string
}

var namings = map[string]naming{
	"logrotate with extension":    {"app.log", func(n, all int) string { return fmt.Sprintf("app.%d.log", all-n) }},
	"date before the extension":   {"app.log", func(n, _ int) string { return fmt.Sprintf("app-202611%02d.log", n+1) }},
	"underscore and time":         {"app.log", func(n, _ int) string { return fmt.Sprintf("app_2026-11-%02d_00-00-00_%06d.log", n+1, n*7919) }},
	"date in front":               {"app.log", func(n, _ int) string { return fmt.Sprintf("202611%02d-app.log", n+1) }},
	"multilog, svlogd and s6-log": {"current", func(n, _ int) string { return fmt.Sprintf("@4000000067%08x0badcafe%02x.s", n*86400, n)[:25] + ".s" }},
	"no extension":                {"events", func(n, _ int) string { return fmt.Sprintf("events_%d", n+100) }},
}

// TestRestart_RotatedSeveralTimesUnderForeignNamesWhileDown: of the first file the inode is
// known, of the others nothing but that they are called alike.
func TestRestart_RotatedSeveralTimesUnderForeignNamesWhileDown(t *testing.T) {
	for what, n := range namings {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, n.live)
			s, w := &store{}, newWriter(t, path)
			// One that was put away before the agent's time stays unread.
			old := filepath.Join(dir, n.name(0, 5))
			if n.live != "current" {
				must(t, os.WriteFile(old, []byte("old\n"), 0o644))
				must(t, os.Chtimes(old, time.Now(), time.Now().Add(-48*time.Hour)))
			}
			r := follow(t, s, path)
			w.lines(10)
			s.wait(t, 10)
			r.stop()
			begin := time.Now().Add(-time.Hour)
			for i := 1; i <= 4; i++ {
				w.lines(10)
				name := filepath.Join(dir, n.name(i, 5))
				w.rename(name)
				must(t, os.Chtimes(name, time.Now(), begin.Add(time.Duration(i)*time.Minute)))
				w.reopen()
			}
			w.lines(10)
			r = follow(t, s, path)
			s.want(t, w.written)
			r.stop()
			// What was learned outlives a restart, and nothing is read twice.
			w.lines(10)
			w.rename(filepath.Join(dir, n.name(5, 5)))
			w.reopen()
			w.lines(10)
			r = follow(t, s, path)
			s.want(t, w.written)
			r.settled(s)
			s.want(t, w.written)
			if g := s.gapCount(); g > 0 {
				t.Errorf("%d gaps", g)
			}
		})
	}
}

// TestRotation_UnderForeignNamesFasterThanItIsLookedAt renames twice between two looks.
func TestRotation_UnderForeignNamesFasterThanItIsLookedAt(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "app.log")
	s, w := &store{}, newWriter(t, path)
	follow(t, s, path, func(o *LogOptions) { o.Poll, o.Sweep = true, 300*time.Millisecond })
	for i := range 12 {
		w.lines(5)
		w.rename(filepath.Join(dir, fmt.Sprintf("app-2026112400%02d.log", i)))
		w.reopen()
		w.lines(5)
		if i%3 == 0 {
			s.wait(t, len(w.written))
		}
	}
	s.want(t, w.written)
}

// TestRestart_CompressedWhileDown: what nothing was read of is read in its turn.
func TestRestart_CompressedWhileDown(t *testing.T) {
	const begunPlain, begunPacked, nothingBegun = "the begun file is plain", "the begun file is compressed", "nothing is begun"
	for _, what := range []string{begunPlain, begunPacked, nothingBegun} {
		for _, name := range []string{"app.log.%d", "app-2026112%d.log"} {
			if what == nothingBegun && name != "app.log.%d" {
				continue // nothing tells what such files are called
			}
			t.Run(what+" "+name, func(t *testing.T) {
				dir := t.TempDir()
				path := filepath.Join(dir, "app.log")
				s, w := &store{}, newWriter(t, path)
				r := follow(t, s, path)
				w.lines(10)
				s.wait(t, 10)
				if what == nothingBegun {
					w.rename(filepath.Join(dir, "gone"))
					w.reopen()
					must(t, os.Remove(filepath.Join(dir, "gone")))
					eventually(t, "the end of the old file", func() bool { return bytes.Contains(s.lastCursor(), []byte(`"done":true`)) })
				}
				r.stop()
				at := time.Now().Add(time.Hour)
				for i := range 5 {
					w.lines(10)
					to := filepath.Join(dir, fmt.Sprintf(name, 9-i))
					if name != "app.log.%d" {
						to = filepath.Join(dir, fmt.Sprintf(name, i))
					}
					switch {
					case i == 0 && what == begunPlain, i == 4:
						w.rename(to)
						w.reopen()
					default:
						to += ".gz"
						w.compress(to)
					}
					must(t, os.Chtimes(to, at, at.Add(time.Duration(i)*time.Minute)))
				}
				w.lines(10)
				follow(t, s, path)
				s.wait(t, len(w.written))
				s.wantSet(t, w.written)
				if what == begunPlain {
					s.want(t, w.written)
				}
				if n := s.gapCount(); n > 0 {
					t.Errorf("%d gaps: %+v", n, s.gaps)
				}
			})
		}
	}
}

// TestRestart_MovedIntoADirectoryWhileDown is logrotate's olddir.
func TestRestart_MovedIntoADirectoryWhileDown(t *testing.T) {
	for _, packed := range []bool{false, true} {
		dir := t.TempDir()
		path := filepath.Join(dir, "app.log")
		s, w := &store{}, newWriter(t, path)
		r := follow(t, s, path)
		w.lines(10)
		s.wait(t, 10)
		r.stop()
		must(t, os.Mkdir(filepath.Join(dir, "old"), 0o755))
		at := time.Now().Add(time.Hour)
		for i := range 3 {
			w.lines(10)
			to := filepath.Join(dir, "old", fmt.Sprintf("app.log.%d", 3-i))
			if packed {
				to += ".gz"
				w.compress(to)
			} else {
				w.rename(to)
				w.reopen()
			}
			must(t, os.Chtimes(to, at, at.Add(time.Duration(i)*time.Minute)))
		}
		w.lines(10)
		follow(t, s, path)
		s.wait(t, len(w.written))
		s.wantSet(t, w.written)
		if n := s.gapCount(); n > 0 {
			t.Errorf("%d gaps: %+v", n, s.gaps)
		}
	}
}

func TestAlike_MatchesWhatDiffersInNumbersAlone(t *testing.T) {
	for _, tt := range []struct {
		base, name string
		yes, no    []string
	}{
		{"app.log", "app.1.log", []string{"app.2.log", "app.10.log"}, []string{"app.log", "other.1.log", "app.1.log.bak", "app.x.log"}},
		{"app.log", "app_2026-11-25.log", []string{"app_2026-11-26.log"}, []string{"app_2026-11.log", "app_2026-11-26.txt"}},
		{"current", "@400000006744c1b41a2b3c4d.s", []string{"@400000006744c1b51a2b3c4d.s", "@400000006744c1b51a2b3c4d.u"}, []string{"lock", "@4000.s", "current"}},
		{"app.log", "old.log", nil, []string{"old.log", "older.log"}},
		{"app.log", "worker-7.log", nil, []string{"worker-8.log"}},
		{"app2.log", "app2-1.log", []string{"app2-2.log"}, []string{"app3-1.log", "app3.log"}},
	} {
		re := alike(tt.base, tt.name)
		for _, name := range tt.yes {
			if re == nil || !re.MatchString(name) {
				t.Errorf("%s: %s should match", tt.name, name)
			}
		}
		for _, name := range tt.no {
			if re != nil && re.MatchString(name) {
				t.Errorf("%s: %s should not match", tt.name, name)
			}
		}
	}
}
