package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/config"
)

// asNobody calls do on a thread that has nobody's rights, and ends with it.
func asNobody(t *testing.T, do func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become a user with fewer rights")
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its goroutine
		const keep, nobody = ^uintptr(0), 65534
		for _, call := range [][4]uintptr{{syscall.SYS_SETGROUPS, 0, 0, 0}, {syscall.SYS_SETRESGID, keep, nobody, keep}, {syscall.SYS_SETRESUID, keep, nobody, keep}} {
			if _, _, errno := syscall.RawSyscall(call[0], call[1], call[2], call[3]); errno != 0 {
				done <- errno
				return
			}
		}
		do()
		done <- nil
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// What the agent could not read or empty is said by check, run as the agent's user, with what
// would allow it.
func TestCheck_SaysWhatThisUserCouldNotRead(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	lay := func(name string, mode os.FileMode, group int) {
		t.Helper()
		path, err := filepath.Join(dir, name), error(nil)
		if strings.HasSuffix(name, ".log") {
			err = os.WriteFile(path, nil, 0o600)
		} else {
			err = os.Mkdir(path, 0o700)
		}
		if err == nil {
			err = os.Chmod(path, mode)
		}
		if err == nil && group != 0 {
			err = os.Chown(path, 0, group)
		}
		if err != nil {
			t.Skipf("cannot prepare %s: %v", name, err)
		}
	}
	lay("open", 0o755, 0)
	lay("open/a.log", 0o644, 0)
	lay("open/secret.log", 0o640, 4242)
	lay("entered", 0o711, 0)
	lay("entered/a.log", 0o644, 0)
	lay("closed", 0o700, 0)
	lay("closed/a.log", 0o644, 0)
	lay("spool", 0o755, 4242)
	lay("spool/archive", 0o700, 0)
	lay("shared", 0o777, 0)
	for _, c := range []struct {
		kind, path string
		want       []string // parts of the warnings, one each
	}{
		{"log", "open/a.log", nil},
		{"log", "open/secret.log", []string{"may not read it: " + dir + "/open/secret.log is root's, group 4242, mode 0640; put it into that group (usermod -aG 4242 nobody), or chmod o+r " + dir}},
		{"log", "entered/a.log", []string{"list its directory, where rotated files are looked for: " + dir + "/entered is root's, group root, mode 0711; chmod o+rx"}},
		{"log", "closed/a.log", []string{"may not enter " + dir + "/closed", "list its directory"}},
		{"log", "missing/a.log", []string{"neither it nor its directory exists yet"}},
		{"log", "open/b.log", []string{"it does not exist yet"}},
		{"log", "open", []string{"this is a directory"}},
		{"spool", "shared", nil},
		{"spool", "open/a.log", []string{"a spool must be a directory"}},
		{"spool", "closed", []string{"may not list it"}},
		{"spool", "spool", []string{"take files out of it", "and chmod g+w", "move files into " + dir + "/spool/archive"}},
	} {
		var got []string
		asNobody(t, func() {
			for _, p := range sourceWarnings(&config.Config{Sources: []config.Source{{Type: c.kind, Path: filepath.Join(dir, c.path)}}}) {
				got = append(got, p.Text)
			}
		})
		all := strings.Join(got, "\n")
		for _, want := range c.want {
			if !strings.Contains(all, want) {
				t.Errorf("%s %s: no %q in\n%s", c.kind, c.path, want, all)
			}
		}
		if len(c.want) == 0 && all != "" {
			t.Errorf("%s %s: %s", c.kind, c.path, all)
		}
		if strings.Contains(all, "o+w") {
			t.Errorf("%s %s: everybody would write there: %s", c.kind, c.path, all)
		}
	}
}
