package pgtest

import (
	"errors"
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// keeper waits for the end of the test binary, however that comes. Then it ends every process
// that works below the directory, and removes it. A server that was killed leaves a segment of
// shared memory behind, whose number is in its postmaster.pid.
const keeper = `
base=$1
processes() {
  for p in /proc/[0-9]*; do
    case "$(readlink "$p/cwd" 2> /dev/null)" in "$base"/*) echo "${p#/proc/}" ;; esac
  done
}
cat > /dev/null
pids=$(processes)
[ -z "$pids" ] || { kill -CONT $pids; kill -QUIT $pids; } 2> /dev/null
for i in 1 2 3 4 5 6 7 8 9 10; do [ -n "$(processes)" ] || break; sleep 0.1; done
pids=$(processes)
[ -z "$pids" ] || kill -KILL $pids 2> /dev/null
for f in "$base"/*/data/postmaster.pid; do
  [ ! -e "$f" ] || ipcrm -m "$(sed -n 7p "$f" | awk '{ print $2 }')" 2> /dev/null
done
for m in "$base"/*; do ! mountpoint -q "$m" || umount -l "$m"; done
rm -rf "$base"
`

var kept struct {
	sync.Once
	dir string
	end *os.File // nothing is written; it closes with this process
	err error
}

// keptDir is a directory for servers that goes with the test binary, and all that runs in it.
func keptDir() (string, error) {
	kept.Do(func() { kept.dir, kept.end, kept.err = keep() })
	return kept.dir, kept.err
}

func keep() (dir string, end *os.File, err error) {
	dir, err = os.MkdirTemp("", "pgtest-")
	if err != nil {
		return "", nil, err
	}
	if err := os.Chmod(dir, 0o711); err != nil { // each server's own directory below it is 0700
		return "", nil, err
	}
	r, end, err := os.Pipe()
	if err != nil {
		return "", nil, err
	}
	c := exec.Command("sh", "-c", keeper, "sh", dir)
	c.Dir = "/"
	c.Stdin = r
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no signal of a terminal reaches it
	return dir, end, errors.Join(c.Start(), r.Close())
}
