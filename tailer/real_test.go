package tailer

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// systemPython is Debian's, which sees Debian's modules.
const systemPython = "/usr/bin/python3"

func needPython(t *testing.T, modules ...string) {
	t.Helper()
	if _, err := os.Stat(systemPython); err != nil {
		t.Skipf("needs %s: %v", systemPython, err)
	}
	for _, m := range modules {
		if out, err := exec.Command(systemPython, "-c", "import "+m).CombinedOutput(); err != nil {
			t.Skipf("needs the Python module %s: %v: %s", m, err, out)
		}
	}
}

const producer = `
import logging, logging.handlers, sys, time
kind, path, who, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
if kind == "rotating":
    h = logging.handlers.RotatingFileHandler(path, maxBytes=100000, backupCount=1000)
elif kind == "concurrent":
    from concurrent_log_handler import ConcurrentRotatingFileHandler
    h = ConcurrentRotatingFileHandler(path, maxBytes=100000, backupCount=1000)
elif kind == "watched":
    h = logging.handlers.WatchedFileHandler(path)
else:
    h = logging.FileHandler(path)
h.setFormatter(logging.Formatter("[{asctime}] [{levelname}] [{name}] {message}", style="{"))
log = logging.getLogger("paperless.ai_webhooks")
log.addHandler(h)
log.setLevel(logging.INFO)
for i in range(count):
    log.info('{"event_type":"scan_completed","who":"%s","n":%d,"pad":"%s"}', who, i, "x" * (i % 120))
    if i % 200 == 199:
        time.sleep(0.02)
`

// produce starts writers and returns what waits for their end.
func produce(t *testing.T, kind, path string, processes, lines int) func() {
	t.Helper()
	var cmds []*exec.Cmd
	for i := range processes {
		cmd := exec.Command(systemPython, "-c", producer, kind, path, fmt.Sprint("p", i), fmt.Sprint(lines))
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		must(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		cmds = append(cmds, cmd)
	}
	return func() {
		for _, cmd := range cmds {
			if err := cmd.Wait(); err != nil {
				t.Errorf("writer: %v: %s", err, cmd.Stderr)
			}
		}
	}
}

// whileRestarting follows path, killed and restarted at random until stop.
func whileRestarting(t *testing.T, s *store, path string) (stop func() *running) {
	quit, done := make(chan struct{}), make(chan *running)
	first := follow(t, s, path)
	go func() {
		r := first
		for {
			select {
			case <-quit:
				done <- r
				return
			case <-time.After(time.Duration(rand.IntN(60)) * time.Millisecond):
				r.stop()
				r = follow(t, s, path)
			}
		}
	}()
	return func() *running { close(quit); return <-done }
}

// onDisk is every line of the log and its rotated files.
func onDisk(t *testing.T, path string) (lines []string) {
	t.Helper()
	files, err := filepath.Glob(path + "*")
	must(t, err)
	for _, f := range files {
		if strings.HasSuffix(f, ".lock") {
			continue
		}
		b, err := os.ReadFile(f)
		must(t, err)
		if len(b) > 0 {
			lines = append(lines, strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")...)
		}
	}
	return lines
}

func realLines(t *testing.T) int {
	if os.Getenv("INTELLIDOCS_SOAK") != "" {
		return 100_000
	}
	return 8000
}

func TestRealWriter_PythonRotatingFileHandler(t *testing.T) {
	needPython(t)
	testRealWriter(t, "rotating", 1)
}

func TestRealWriter_ConcurrentLogHandlerWithFourProcesses(t *testing.T) {
	needPython(t, "concurrent_log_handler", "portalocker")
	testRealWriter(t, "concurrent", 4)
}

func testRealWriter(t *testing.T, kind string, processes int) {
	t.Parallel()
	s, path := &store{}, logPath(t)
	stop := whileRestarting(t, s, path)
	n := realLines(t)
	produce(t, kind, path, processes, n/processes)()
	r := stop()
	want := onDisk(t, path)
	s.wait(t, len(want))
	r.settled(s)
	s.wantSet(t, want)
	if len(want) != n {
		t.Errorf("the writers left %d lines of %d on the disk", len(want), n)
	}
	if g := s.gapCount(); g != 0 {
		t.Errorf("%d gaps: %+v", g, s.gaps)
	}
}

func TestRealWriter_Logrotate(t *testing.T) {
	needPython(t)
	logrotate, err := exec.LookPath("logrotate")
	if err != nil {
		if logrotate = "/usr/sbin/logrotate"; !exists(logrotate) {
			t.Skipf("needs logrotate: %v", err)
		}
	}
	for _, c := range []struct{ mode, kind string }{{"create", "watched"}, {"copytruncate", "file"}} {
		t.Run(c.mode, func(t *testing.T) {
			t.Parallel()
			s, path := &store{}, logPath(t)
			dir := t.TempDir()
			must(t, os.Chmod(filepath.Dir(path), 0o755))
			conf := filepath.Join(dir, "conf")
			must(t, os.WriteFile(conf, []byte(fmt.Sprintf("%s {\n rotate 1000\n missingok\n su %d %d\n %s\n}\n", path, os.Getuid(), os.Getgid(), c.mode)), 0o644))
			stop := whileRestarting(t, s, path)
			wait := produce(t, c.kind, path, 1, realLines(t))
			ended := make(chan struct{})
			go func() { wait(); close(ended) }()
			for rotating := true; rotating; {
				select {
				case <-ended:
					rotating = false
				case <-time.After(70 * time.Millisecond):
					out, err := exec.Command(logrotate, "-f", "-s", filepath.Join(dir, "state"), conf).CombinedOutput()
					if err != nil && !strings.Contains(string(out), "does not exist") && !strings.Contains(string(out), "File exists") {
						// Those two: the writer was quicker to make the file than logrotate.
						t.Errorf("logrotate: %v: %s", err, out)
					}
				}
			}
			r := stop()
			want := onDisk(t, path)
			r.settled(s)
			// logrotate itself destroys lines: by copytruncate between its copy and its
			// truncation, by create where it finds a backup of its own in the way. Of those
			// some were read before, so that more may have been got than is left.
			got := s.got()
			slices.Sort(got)
			if n := len(got) - len(slices.Compact(slices.Clone(got))); n != 0 {
				t.Errorf("%d lines twice", n)
			}
			lost := 0
			for _, l := range want {
				// A copy made within a write ends in the middle of a line.
				if i, ok := slices.BinarySearch(got, l); !ok && (c.mode == "create" || i == len(got) || !strings.HasPrefix(got[i], l)) {
					lost++
				}
			}
			if lost != 0 {
				t.Errorf("%d of %d lines on the disk were lost", lost, len(want))
			}
			written := regexp.MustCompile(`^\[[^]]+\] \[INFO\] \[paperless\.ai_webhooks\] \{"event_type":"scan_completed","who":"p0","n":\d+,"pad":"x*"\}$`)
			for _, l := range got {
				if c.mode == "create" && !written.MatchString(l) {
					t.Fatalf("nobody wrote %q", l)
				}
			}
		})
	}
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

// asNobody runs the calling test again without root's rights.
func asNobody(t *testing.T) (inside bool) {
	t.Helper()
	if os.Geteuid() != 0 {
		return true
	}
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux: running a test as another user")
	}
	dir, err := os.MkdirTemp("", "tailer-nobody-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o777))
	exe, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	bin := filepath.Join(dir, "test")
	must(t, os.WriteFile(bin, exe, 0o755))
	cmd := exec.Command(bin, "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Dir, cmd.Env = dir, []string{"TMPDIR=" + dir}
	cmd.SysProcAttr = nobody()
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("as nobody: %v\n%s", err, out)
	}
	return false
}

func TestPermission_WithdrawnAndRestored(t *testing.T) {
	if !asNobody(t) {
		return
	}
	s, path := &store{}, logPath(t)
	w := newWriter(t, path)
	r := follow(t, s, path)
	w.lines(10)
	s.wait(t, 10)
	must(t, os.Chmod(path, 0))
	eventually(t, "not ready", func() bool {
		st := r.log.Status()
		return !st.Ready && strings.Contains(st.Reason, "permission denied")
	})
	w.lines(10) // through the descriptor that is open
	s.wait(t, 20)
	r.stop()
	w.lines(10)
	r = follow(t, s, path)
	eventually(t, "not ready", func() bool { return !r.log.Status().Ready })
	r.quiet()
	if n := s.count(); n != 20 {
		t.Fatalf("%d lines", n)
	}
	must(t, os.Chmod(path, 0o600))
	s.want(t, w.written)
	eventually(t, "ready", func() bool { return r.log.Status().Ready })
	r.stop()
	if n := strings.Count(s.log.String(), "level=WARN"); n != 2 {
		t.Errorf("warned %d times: %s", n, s.log.String())
	}
}

func TestSpool_WhatCannotBeRemovedIsNotReadTwice(t *testing.T) {
	if !asNobody(t) {
		return
	}
	s, dir := &store{}, t.TempDir()
	for i := range 5 {
		drop(t, dir, fmt.Sprintf("%d.json", i), fmt.Sprintf(`{"n":%d}`, i))
	}
	must(t, os.Chmod(dir, 0o500))
	t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
	r := spool(t, s, dir)
	s.wait(t, 5)
	eventually(t, "warned", func() bool { return strings.Count(s.log.String(), "spool file stays") == 5 })
	r.stop()
	r = spool(t, s, dir)
	eventually(t, "looked at", func() bool { return r.spool.Status().Files == 5 && r.spool.Status().LagBytes == 0 })
	must(t, os.Chmod(dir, 0o700))
	wantNames(t, dir)
	drop(t, dir, "0.json", `{"n":9}`)
	s.want(t, []string{`{"n":0}`, `{"n":1}`, `{"n":2}`, `{"n":3}`, `{"n":4}`, `{"n":9}`})
}

// TestRealRotation_ShredDestroysWhatWasReadAndNothingIsMissed is logrotate's compress with shred.
func TestRealRotation_ShredDestroysWhatWasReadAndNothingIsMissed(t *testing.T) {
	shred, err := exec.LookPath("shred")
	if err != nil {
		t.Skipf("needs shred: %v", err)
	}
	for _, args := range [][]string{{"-u"}, {"-u", "-z"}, {"-n", "8"}} {
		s, path := &store{}, logPath(t)
		w := newWriter(t, path)
		r := follow(t, s, path)
		for i := range 6 {
			w.lines(50)
			s.wait(t, len(w.written))
			w.rename(path + ".1")
			w.reopen()
			w.lines(1)
			s.wait(t, len(w.written))
			b, err := os.ReadFile(path + ".1")
			must(t, err)
			must(t, os.WriteFile(fmt.Sprintf("%s.%d.gz", path, 9-i), gzipped(t, b), 0o644))
			if out, err := exec.Command(shred, append(args, path+".1")...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if i%2 == 0 {
				r.settled(s)
			}
			_ = os.Remove(path + ".1")
		}
		w.lines(1)
		s.want(t, w.written)
		r.settled(s)
		r.quiet()
		if n := s.gapCount(); n > 0 {
			t.Errorf("shred %v: %d gaps: %+v", args, n, s.gaps)
		}
		r.stop()
	}
}

// TestRealRotation_LoggersThatWriteToCurrent stops in between, while they put several files
// away under names of their own: at the first start, and later.
func TestRealRotation_LoggersThatWriteToCurrent(t *testing.T) {
	for name, command := range map[string]func(dir string) []string{
		"multilog": func(dir string) []string { return []string{"s4096", "n100", dir} },
		"svlogd": func(dir string) []string {
			must(t, os.WriteFile(filepath.Join(dir, "config"), []byte("s4096\nn100\n"), 0o644))
			return []string{dir}
		},
		"s6-log": func(dir string) []string { return []string{"n100", "s4096", dir} },
	} {
		t.Run(name, func(t *testing.T) {
			program, err := exec.LookPath(name)
			if err != nil {
				t.Skipf("needs %s: %v", name, err)
			}
			dir := t.TempDir()
			cmd := exec.Command(program, command(dir)...)
			in, err := cmd.StdinPipe()
			must(t, err)
			must(t, cmd.Start())
			t.Cleanup(func() { _ = cmd.Process.Kill() })
			var written []string
			log := func(n int) {
				for range n {
					line := fmt.Sprintf(`{"event_type":"scan_completed","n":%d,"pad":"%s"}`, len(written), strings.Repeat("x", len(written)%60))
					written = append(written, line)
					_, err := in.Write([]byte(line + "\n"))
					must(t, err)
				}
			}
			onDisk := func() (n int) {
				files, _ := filepath.Glob(filepath.Join(dir, "*"))
				for _, f := range files {
					b, _ := os.ReadFile(f)
					n += bytes.Count(b, []byte("scan_completed"))
				}
				return n
			}
			path, s := filepath.Join(dir, "current"), &store{}
			log(200)
			eventually(t, "the first files", func() bool { return onDisk() == len(written) })
			for range 3 {
				r := follow(t, s, path)
				log(150)
				s.wait(t, len(written))
				s.wantSet(t, written)
				r.stop()
				log(300)
				eventually(t, "what came meanwhile", func() bool { return onDisk() == len(written) })
			}
			r := follow(t, s, path)
			s.wait(t, len(written))
			s.wantSet(t, written)
			must(t, in.Close())
			_ = cmd.Wait()
			r.settled(s)
			s.wait(t, len(written))
			s.wantSet(t, written)
			if n := s.gapCount(); n > 0 {
				t.Errorf("%d gaps: %+v", n, s.gaps)
			}
		})
	}
}

// TestRealRotation_LogrotateWhileDown rotates three times between two runs, in the ways that
// keep what was written.
func TestRealRotation_LogrotateWhileDown(t *testing.T) {
	logrotate, err := exec.LookPath("logrotate")
	if err != nil {
		t.Skipf("needs logrotate: %v", err)
	}
	for _, how := range []string{
		"", "extension .log", "dateext\ndateformat -%Y%m%d-%s", "dateext\ndateformat .%s\nextension .log", "dateext\ndateformat _%s\nextension .log", "start 0", "olddir old", "olddir old\nextension .log",
		"compress", "compress\ndelaycompress", "compress\nextension .log", "compress\nolddir old", "compress\nshred", "compress\ndateext\ndateformat -%s\nextension .log",
	} {
		t.Run(strings.ReplaceAll(how, "\n", ", "), func(t *testing.T) {
			t.Parallel()
			s, path := &store{}, logPath(t)
			dir := filepath.Dir(path)
			must(t, os.Mkdir(filepath.Join(dir, "old"), 0o755))
			conf := filepath.Join(t.TempDir(), "conf")
			must(t, os.WriteFile(conf, fmt.Appendf(nil, "%s {\n rotate 100\n create\n missingok\n%s\n}\n", path, how), 0o644))
			w := newWriter(t, path)
			r := follow(t, s, path)
			w.lines(20)
			s.wait(t, 20)
			r.stop()
			for range 3 {
				w.lines(20)
				if out, err := exec.Command(logrotate, "--force", "--state", conf+".state", conf).CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				w.reopen()
				if strings.Contains(how, "dateext") {
					time.Sleep(1100 * time.Millisecond) // its names have no more than seconds
				}
			}
			w.lines(20)
			r = follow(t, s, path)
			s.wait(t, len(w.written))
			s.wantSet(t, w.written)
			r.settled(s)
			r.quiet()
			if n := s.gapCount(); n > 0 {
				t.Errorf("%d gaps: %+v", n, s.gaps)
			}
		})
	}
}
