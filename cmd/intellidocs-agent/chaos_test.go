package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// size is how much chaos: short by default, whole with INTELLIDOCS_SOAK.
func size() (events, kills int) {
	if soak() {
		return 100_000, 30
	}
	return 4_000, 5
}

func TestKill9_RotatingFileHandler_NothingLostNothingTwice(t *testing.T) {
	py := python(t)
	n, kills := size()
	r := newRig(t, "concurrency = 32")
	r.chaos(kills, exec.Command(py, "testdata/rotating.py", r.log, fmt.Sprint(n), "20"))
	r.wantAll(n)
}

func TestKill9_ConcurrentLogHandlerFourProcesses_NothingLostNothingTwice(t *testing.T) {
	py := python(t, "concurrent_log_handler", "portalocker")
	n, kills := size()
	r := newRig(t, "concurrency = 32")
	r.chaos(kills, exec.Command(py, "testdata/concurrent.py", r.log, fmt.Sprint(n), "20", "4"))
	r.wantAll(n)
}

func TestKill9_LogrotateCreate_NothingLostNothingTwice(t *testing.T) {
	py := python(t)
	n, kills := size()
	r := newRig(t, "concurrency = 32")
	stop := r.logrotate("create 0644")
	r.chaos(kills, exec.Command(py, "testdata/watched.py", r.log, fmt.Sprint(n), "20"))
	stop()
	r.wantAll(n)
}

func TestKill9_LogrotateCopytruncate_WhatIsOnTheDiskArrives(t *testing.T) {
	py := python(t)
	n, kills := size()
	r := newRig(t, "concurrency = 32")
	stop := r.logrotate("copytruncate")
	r.chaos(kills, exec.Command(py, "testdata/watched.py", r.log, fmt.Sprint(n), "20"))
	stop()
	disk := r.onDisk()
	looked := time.Time{}
	r.until("what is on the disk", 3*time.Minute, func() bool {
		if time.Since(looked) < time.Second {
			return false // comparing a hundred thousand at each arrival would keep them from arriving
		}
		looked = time.Now()
		got := r.numbers()
		for k := range disk {
			if !got[k] {
				return false
			}
		}
		return true
	})
	r.wantOneID()
	t.Logf("%d events written, %d still on the disk, %d delivered", n, len(disk), len(r.numbers()))
}

// chaos runs the agent beside a producer, killing it at random and leaving it dead for
// up to a second each time.
func (r *rig) chaos(kills int, producer *exec.Cmd) {
	r.t.Helper()
	var out strings.Builder
	producer.Stdout, producer.Stderr = &out, &out
	if err := producer.Start(); err != nil {
		r.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- producer.Wait() }()
	for range kills {
		r.start()
		r.pause(time.Duration(100+rand.IntN(900)) * time.Millisecond)
		r.kill(syscall.SIGKILL)
		r.pause(time.Duration(rand.IntN(1000)) * time.Millisecond)
	}
	r.start()
	if err := <-done; err != nil {
		r.t.Fatalf("producer: %v\n%s", err, out.String())
	}
}

// pause lets the programs run for a while: the moment of a kill is the test's input.
func (r *rig) pause(d time.Duration) { <-time.After(d) }

// logrotate turns the log every 300 ms until the function it returns is called.
func (r *rig) logrotate(how string) (stop func()) {
	r.t.Helper()
	bin := r.program("logrotate")
	conf := filepath.Join(r.dir, "logrotate.conf")
	text := fmt.Sprintf("%s {\n  size 1\n  rotate 2000\n  %s\n  missingok\n  su root root\n}\n", r.log, how)
	if os.Getuid() != 0 {
		text = strings.Replace(text, "  su root root\n", "", 1)
	}
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-quit:
				return
			case <-time.After(300 * time.Millisecond):
			}
			if out, err := exec.Command(bin, "-s", filepath.Join(r.dir, "logrotate.state"), conf).CombinedOutput(); err != nil {
				r.t.Errorf("logrotate: %v\n%s", err, out)
			}
		}
	}()
	return func() {
		close(quit)
		<-ended
	}
}

// wantAll waits for events 0 to n-1 and checks that each has one id.
func (r *rig) wantAll(n int) {
	r.t.Helper()
	last, since := 0, time.Now()
	for {
		got := r.recv.distinct()
		if got >= n {
			break
		}
		if got != last {
			last, since = got, time.Now()
		}
		if time.Since(since) > 2*time.Minute {
			// What the agent itself has to say is worth more than the number.
			waiting, err := r.run("deliveries", "--status", "pending,retrying", "--limit", "5")
			status, err2 := r.run("top", "--once")
			r.verdict = fmt.Sprintf("waiting: %v %s\nstatus: %v %s\n%d of %d arrived; missing: %s",
				err, waiting, err2, status, got, n, r.missing())
			if keep := os.Getenv("CI_ARTEFACTS"); keep != "" {
				_ = os.CopyFS(filepath.Join(keep, r.t.Name()), os.DirFS(r.dir))
			}
			r.kill(syscall.SIGQUIT)
			r.t.Fatalf("%d of %d events arrived, and no more: %d lost", got, n, n-got)
		}
		select {
		case <-r.recv.changed:
		case <-time.After(time.Second):
		}
	}
	if got := len(r.numbers()); got != n {
		r.t.Errorf("%d distinct events of %d", got, n)
	}
	r.wantOneID()
}

// missing names, for each file of the log, the first event in it that did not arrive.
func (r *rig) missing() string {
	var out strings.Builder
	got := r.numbers()
	files, _ := filepath.Glob(r.log + "*")
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			return err.Error()
		}
		first, lost := -1, 0
		for _, m := range numberRE.FindAllSubmatch(data, -1) {
			if n, _ := strconv.Atoi(string(m[1])); !got[n] {
				if lost++; first < 0 {
					first = n
				}
			}
		}
		if lost > 0 && out.Len() < 2000 {
			fmt.Fprintf(&out, "%s: %d from %d; ", filepath.Base(f), lost, first)
		}
	}
	return out.String()
}

func (r *rig) wantOneID() {
	r.t.Helper()
	r.recv.mu.Lock()
	defer r.recv.mu.Unlock()
	twice := 0
	for _, ids := range r.recv.ids {
		if len(ids) > 1 {
			twice++
		}
	}
	if twice > 0 {
		r.t.Errorf("%d events came under two ids", twice)
	}
	if len(r.recv.wrong) > 0 {
		r.t.Errorf("%d wrong signatures, the first: %s", len(r.recv.wrong), r.recv.wrong[0])
	}
	r.t.Logf("%d events, %d requests (%d repeats under the same id)", len(r.recv.ids), len(r.recv.requests), len(r.recv.requests)-len(r.recv.ids))
}

// numbers are the n of the events that arrived.
func (r *rig) numbers() map[int]bool {
	r.recv.mu.Lock()
	defer r.recv.mu.Unlock()
	out := map[int]bool{}
	for body := range r.recv.ids {
		var e struct{ N int }
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			r.t.Fatal(err)
		}
		out[e.N] = true
	}
	return out
}

var numberRE = regexp.MustCompile(`"n": ?(\d+)`)

// onDisk are the n of the events in the log and its rotated files.
func (r *rig) onDisk() map[int]bool {
	out := map[int]bool{}
	files, _ := filepath.Glob(r.log + "*")
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			r.t.Fatal(err)
		}
		for line := range strings.SplitSeq(string(data), "\n") {
			if m := numberRE.FindStringSubmatch(line); m != nil && strings.HasSuffix(line, "}") {
				var n int
				fmt.Sscan(m[1], &n)
				out[n] = true
			}
		}
	}
	return out
}
