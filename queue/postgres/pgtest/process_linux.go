package pgtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// processes are the server's: each of them works in its data directory.
func (n *node) processes() (pids []int) {
	found, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range found {
		cwd, err := os.Readlink(filepath.Join(p, "cwd"))
		if err == nil && strings.HasPrefix(cwd+"/", n.data()+"/") || strings.HasPrefix(cwd, n.data()+" (deleted)") {
			if pid, err := strconv.Atoi(filepath.Base(p)); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

func (n *node) signal(s syscall.Signal) {
	for _, pid := range n.processes() {
		_ = syscall.Kill(pid, s) // it may have ended meanwhile
	}
}

// kill ends the server as a machine that dies does: every process at once, with nothing said.
func (n *node) kill() error {
	n.signal(syscall.SIGSTOP) // so that none of them sees another's end
	deadline := time.Now().Add(time.Minute)
	for len(n.processes()) > 0 {
		if time.Now().After(deadline) {
			return fmt.Errorf("%s does not end: processes %v", n.name, n.processes())
		}
		n.signal(syscall.SIGKILL)
		time.Sleep(5 * time.Millisecond)
	}
	return n.removeSharedMemory()
}

// removeSharedMemory removes the segment that a killed server leaves: the seventh line of its postmaster.pid.
func (n *node) removeSharedMemory() error {
	b, err := os.ReadFile(filepath.Join(n.data(), "postmaster.pid"))
	if err != nil {
		return nil // no server was killed here
	}
	lines := strings.Split(string(b), "\n")
	if len(lines) < 7 {
		return nil
	}
	var key, id int
	if _, err := fmt.Sscan(lines[6], &key, &id); err != nil {
		return err
	}
	_, err = unix.SysvShmCtl(id, unix.IPC_RMID, nil)
	if err == unix.EINVAL { // it is gone
		return nil
	}
	return err
}
