package queue

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// fault is a system call that fails, from its n-th time in a thread on.
type fault struct {
	call, errno string
	n           int
	lasting     bool // and each time after, over several starts
}

func (f fault) String() string {
	return fmt.Sprintf("%s %s at %d lasting %v", f.call, f.errno, f.n, f.lasting)
}

func (f fault) command(strace string) []string {
	when := strconv.Itoa(f.n)
	if f.lasting {
		when += "+"
	}
	return []string{strace, "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=" + f.call, "-e", fmt.Sprintf("inject=%s:error=%s:when=%s", f.call, f.errno, when), os.Args[0]}
}

// ended is how a child came to its end.
type ended struct {
	committed int
	recorded  map[string]int
	stderr    string
	code      int  // -1: killed, since it worked on
	idle      bool // it was killed, and had committed nothing for a second
}

// runFor runs the child until it ends, and no longer than a time.
func runFor(t *testing.T, dir string, limit time.Duration, command ...string) (e ended) {
	t.Helper()
	return runWith(t, []string{childDir + "=" + dir, childSmall + "=1"}, limit, command...)
}

func runWith(t *testing.T, env []string, limit time.Duration, command ...string) (e ended) {
	t.Helper()
	c := exec.Command(command[0], command[1:]...)
	c.Env = append(os.Environ(), env...)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	e.recorded = map[string]int{}
	var last atomic.Int64
	last.Store(time.Now().UnixNano())
	ended := make(chan struct{})
	kill := time.AfterFunc(limit, func() {
		idle := func() bool { return time.Since(time.Unix(0, last.Load())) > limit/2 }
		for patience := time.After(time.Minute); idle(); { // a busy disk takes its time
			select {
			case <-ended:
				return
			case <-time.After(10 * time.Millisecond):
				continue
			case <-patience:
			}
			_ = syscall.Kill(-c.Process.Pid, syscall.SIGQUIT) // to have it say where it stands
			time.Sleep(time.Second)
			break
		}
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
	})
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			break
		}
		if n, ok := strings.CutPrefix(line, "committed "); ok {
			e.committed, _ = strconv.Atoi(strings.TrimSpace(n))
			last.Store(time.Now().UnixNano())
		}
		if f := strings.Fields(line); len(f) == 3 && f[0] == "recorded" {
			e.recorded[f[1]], _ = strconv.Atoi(f[2])
		}
	}
	_ = c.Wait()
	close(ended)
	kill.Stop()
	e.stderr, e.code = errs.String(), c.ProcessState.ExitCode()
	if !c.ProcessState.Exited() || strings.Contains(e.stderr, "SIGQUIT: quit") {
		e.code, e.idle = -1, strings.Contains(e.stderr, "SIGQUIT: quit")
	}
	return e
}

// withStrace returns strace, or skips.
func withStrace(t *testing.T) string {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skipf("needs strace: %v", err)
	}
	if out, err := exec.Command(strace, "-f", "-o", "/dev/null", "true").CombinedOutput(); err != nil {
		t.Skipf("needs strace that may trace: %v %s", err, out)
	}
	return strace
}

// faults are each call that a commit, a flush, a compaction, a turn of a log, upkeep and an
// open make, failing once and for as long as somebody starts it again.
func faults() (all []fault) {
	errnos, times := map[string][]string{}, []int{6}
	for _, call := range []string{"msync", "fsync", "openat", "ftruncate", "mmap", "unlinkat", "renameat", "write"} {
		errnos[call] = []string{"EIO"}
	}
	errnos["openat"], errnos["mmap"], errnos["ftruncate"] = []string{"EMFILE"}, []string{"ENOMEM"}, []string{"ENOSPC"}
	if os.Getenv("INTELLIDOCS_SOAK") != "" {
		times = []int{1, 2, 3, 5, 8, 13, 21, 34, 55, 89}
		for call := range errnos {
			errnos[call] = []string{"EIO", "ENOSPC", "EDQUOT", "EROFS", "ESTALE"}
		}
		errnos["openat"] = append(errnos["openat"], "EMFILE", "ENFILE")
		errnos["mmap"] = append(errnos["mmap"], "ENOMEM")
	}
	for call, of := range errnos {
		for _, errno := range of {
			for _, n := range times {
				if call == "mmap" {
					n += 40 // what starts the program maps too
				}
				all = append(all, fault{call, errno, n, false}, fault{call, errno, n, true})
			}
		}
	}
	return all
}

// TestDiskFault_ACallThatFailsEndsItAndNothingIsLost is the table: a call that fails ends
// the process with the cause, or is got over; never is it up and does nothing. Started
// again, all that was acknowledged is there, once.
func TestDiskFault_ACallThatFailsEndsItAndNothingIsLost(t *testing.T) {
	strace := withStrace(t)
	for _, f := range faults() {
		t.Run(strings.ReplaceAll(f.String(), " ", "_"), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			first := runFor(t, dir, 2*time.Second, f.command(strace)...)
			if first.idle {
				t.Fatalf("it was up and did nothing\n%s", first.stderr)
			}
			starts := 1
			for ; f.lasting && starts < 3; starts++ {
				// What it is started with fails too.
				again := runFor(t, dir, time.Second, fault{f.call, f.errno, 1 + starts, true}.command(strace)...)
				first.committed = max(first.committed, again.committed)
				for id, n := range again.recorded {
					first.recorded[id] = max(first.recorded[id], n)
				}
			}
			began := time.Now()
			survives(t, dir, first.committed, first.recorded)
			after := runFor(t, dir, 300*time.Millisecond, os.Args[0])
			for d := time.Second; after.committed <= first.committed && d < 30*time.Second; d *= 3 {
				after = runFor(t, dir, d, os.Args[0]) // a busy machine, or the race detector, takes longer to open
			}
			if after.committed <= first.committed {
				t.Fatalf("it does not continue: %d after %d\n%s", after.committed, first.committed, after.stderr)
			}
			survives(t, dir, after.committed, after.recorded)
			t.Logf("%d events, exit %d after %d starts, whole again in %s: %s", first.committed, first.code, starts, time.Since(began).Round(time.Millisecond), lastLine(first.stderr))
		})
	}
}

// TestDiskFault_WhileItClosesEndsItAndItOpensAgain has the table that a close writes fail.
// Its log is the only one then, and its record in the MANIFEST names what is not there.
func TestDiskFault_WhileItClosesEndsItAndItOpensAgain(t *testing.T) {
	strace := withStrace(t)
	failures := 0
	for _, call := range []string{"fsync", "msync"} {
		for n := 1; n <= 12; n++ {
			f := fault{call, "EIO", n, false}
			dir := filepath.Join(t.TempDir(), "state")
			e := runWith(t, []string{childDir + "=" + dir, childClose + "=5"}, 30*time.Second, f.command(strace)...)
			if e.code == -1 {
				t.Fatalf("%s: it did not end\n%s", f, e.stderr)
			}
			if e.code != 0 {
				failures++
			}
			survives(t, dir, e.committed, e.recorded)
		}
	}
	if failures == 0 {
		t.Error("nothing failed")
	}
}

// TestDiskFault_ATableOfACompactionThatWasNotSynced fails the syncs among which the first
// compactions' are. Badger forgets such a table and deletes what it was made of.
func TestDiskFault_ATableOfACompactionThatWasNotSynced(t *testing.T) {
	strace := withStrace(t)
	for range rounds(2) {
		for n := 18; n < 30; n++ {
			dir := filepath.Join(t.TempDir(), "state")
			f := fault{"msync", "EIO", n, false}
			e := runFor(t, dir, 3*time.Second, f.command(strace)...)
			if e.idle {
				t.Fatalf("%s: it was up and did nothing\n%s", f, e.stderr)
			}
			survives(t, dir, e.committed, e.recorded)
		}
	}
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}
