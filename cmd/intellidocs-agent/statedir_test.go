package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestCommandsAsRoot_LeaveTheStateToItsOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to act for another user")
	}
	r := newRig(t, "")
	// As systemd's DynamicUser= lays it out.
	state := filepath.Join(r.dir, "private")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(state, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("private", filepath.Join(r.dir, "state")); err != nil {
		t.Fatal(err)
	}
	r.rows()
	err := filepath.Walk(state, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Sys().(*syscall.Stat_t).Uid != 65534 {
			t.Errorf("%s belongs to root", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestCommandsAsRoot_FollowNoLinksInAnothersState(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to act for another user")
	}
	for _, name := range []string{"queue.json.tmp", "queue/LOCK", "queue/MANIFEST-REWRITE"} {
		for kind, link := range map[string]func(from, to string) error{"symbolic": os.Symlink, "hard": os.Link} {
			t.Run(kind+" "+name, func(t *testing.T) {
				r := newRig(t, "")
				queue, precious := filepath.Join(r.dir, "state", "queue"), filepath.Join(r.dir, "precious")
				if err := os.MkdirAll(queue, 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(precious, []byte("precious"), 0o600); err != nil {
					t.Fatal(err)
				}
				at := filepath.Join(r.dir, "state", name)
				if err := link(precious, at); err != nil {
					t.Fatal(err)
				}
				for _, path := range []string{queue, filepath.Dir(queue)} {
					if err := os.Chown(path, 65534, 65534); err != nil {
						t.Fatal(err)
					}
				}
				if kind == "symbolic" {
					if err := os.Lchown(at, 65534, 65534); err != nil {
						t.Fatal(err)
					}
				}
				for _, command := range []string{"deliveries", "run"} {
					out, err := r.run(command)
					if err == nil || !strings.Contains(out, filepath.Base(name)) || !strings.Contains(out, "is a link") {
						t.Errorf("%s: %v\n%s", command, err, out)
					}
				}
				data, err := os.ReadFile(precious)
				if err != nil || string(data) != "precious" {
					t.Errorf("%q, %v", data, err)
				}
				info, err := os.Stat(precious)
				if err != nil || info.Sys().(*syscall.Stat_t).Uid != 0 {
					t.Error("it was given away")
				}
			})
		}
	}
}

func TestRoot_IsWarnedOfOthersFiles(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to work on another user's files")
	}
	r := newRig(t, "")
	r.append(eventLine(1))
	const want = "would run as root on files of nobody"
	if out, err := r.run("check"); err != nil || strings.Contains(out, want) {
		t.Fatalf("root's own: %v\n%s", err, out)
	}
	if err := os.Chown(r.log, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if out, err := r.run("check"); err != nil || !strings.Contains(out, want) || !strings.Contains(out, r.log) || !strings.Contains(out, "User=nobody") {
		t.Errorf("check: %v\n%s", err, out)
	}
	r.start()
	r.until("the event", time.Minute, func() bool { return r.recv.distinct() == 1 })
	if said, err := os.ReadFile(r.out.Name()); err != nil || !strings.Contains(string(said), want) {
		t.Errorf("run: %v\n%s", err, said)
	}
}

// Whoever may write to a directory above the state can put another state there. It is said,
// and stops nothing.
func TestStateDir_ThatOthersMayReplaceIsWarnedOf(t *testing.T) {
	r := newRig(t, "")
	const want = "[state].path: every user of this machine may replace it: "
	if out, err := r.run("check"); err != nil || strings.Contains(out, want) {
		t.Fatalf("before: %v\n%s", err, out)
	}
	if err := os.Chmod(r.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	r.append(eventLine(1))
	out, err := r.run("check")
	if err != nil || !strings.Contains(out, want+r.dir+" is ") || !strings.Contains(out, "mode 0777; chmod ") || strings.Count(out, "may replace") != 1 {
		t.Errorf("check: %v\n%s", err, out)
	}
	r.start()
	r.until("the event", time.Minute, func() bool { return r.recv.distinct() == 1 })
	if n := strings.Count(r.agentLog(), want); n != 1 {
		t.Errorf("run says it %d times\n%s", n, r.agentLog())
	}
}
