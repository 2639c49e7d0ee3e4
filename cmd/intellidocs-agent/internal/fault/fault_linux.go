//go:build amd64 || arm64

// Package fault has system calls of another process fail, by what they are about and for as
// long as is wanted, while that process runs and as it is started again. It is for tests.
//
// The process installs a seccomp filter that asks its parent about the calls (Install); the
// parent answers: as ever, with an error, or with a write that was only done in part.
// Unlike strace this costs nothing for all other calls, knows the file of each call, and can
// begin and end while the process runs. It needs Linux 5.7 and root.
package fault

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// callsEnv names the calls that a child is to ask about.
const callsEnv = "INTELLIDOCS_TEST_FAULTS"

// parentFD is the child's end of the socket to its parent.
const parentFD = 3

// numbers are of the calls that Rule.Calls may name.
var numbers = map[string]int{
	"openat": unix.SYS_OPENAT, "read": unix.SYS_READ, "pread64": unix.SYS_PREAD64, "write": unix.SYS_WRITE, "pwrite64": unix.SYS_PWRITE64,
	"fsync": unix.SYS_FSYNC, "fdatasync": unix.SYS_FDATASYNC, "msync": unix.SYS_MSYNC, "ftruncate": unix.SYS_FTRUNCATE, "mmap": unix.SYS_MMAP,
	"unlinkat": unix.SYS_UNLINKAT, "renameat": unix.SYS_RENAMEAT, "renameat2": unix.SYS_RENAMEAT2, "mkdirat": unix.SYS_MKDIRAT,
	"getdents64": unix.SYS_GETDENTS64, "fstatat": unix.SYS_NEWFSTATAT, "fstat": unix.SYS_FSTAT, "statfs": unix.SYS_STATFS, "flock": unix.SYS_FLOCK,
}

// Install has this process ask its parent about the calls that it was started for.
func Install() error {
	names := strings.Split(os.Getenv(callsEnv), ",")
	if err := os.Unsetenv(callsEnv); err != nil {
		return err
	}
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	equal := func(k uint32, then, otherwise uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: k, Jt: then, Jf: otherwise}
	}
	answer := func(action uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action}
	}
	const nr, fourth = 0, 16 + 8*4 // of struct seccomp_data; the descriptor of mmap
	program := []unix.SockFilter{load(nr)}
	for _, name := range names {
		number, ok := numbers[name]
		if !ok {
			return fmt.Errorf("no call %q", name)
		}
		if name == "mmap" { // of no file: the runtime's own
			program = append(program, equal(uint32(number), 0, 4), load(fourth), equal(^uint32(0), 0, 1), answer(unix.SECCOMP_RET_ALLOW), answer(unix.SECCOMP_RET_USER_NOTIF))
			continue
		}
		program = append(program, equal(uint32(number), 0, 1), answer(unix.SECCOMP_RET_USER_NOTIF))
	}
	program = append(program, answer(unix.SECCOMP_RET_ALLOW))
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	flags := uintptr(unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_TSYNC | unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH)
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(program)
	if errno != 0 {
		return fmt.Errorf("seccomp: %w", errno)
	}
	if err := unix.Sendmsg(parentFD, []byte{0}, unix.UnixRights(int(fd)), nil, 0); err != nil {
		return err
	}
	return errors.Join(unix.Close(int(fd)), unix.Close(parentFD))
}

// Rule says which calls fail, and how.
type Rule struct {
	Calls []string
	Path  *regexp.Regexp // of the file; of what is renamed, the old name
	Errno unix.Errno
	Short bool // the first one writes half of what it should
	Hangs bool // in place of failing, it takes as long as the fault lasts
}

// Injector has calls fail for one process after another.
type Injector struct {
	Rule

	mu    sync.Mutex
	armed bool
	once  bool
	last  time.Duration
	first time.Time // when the first one failed
	hits  int
}

// Arm has the next call that matches fail, and, with a duration, all until it has passed.
func (i *Injector) Arm(lasting time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.armed, i.once, i.last = true, lasting == 0, lasting
}

// Hits is how many calls have failed; over reports whether no more will.
func (i *Injector) Hits() (n int, over bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.hits, i.over()
}

func (i *Injector) over() bool {
	return i.hits > 0 && (i.once || time.Since(i.first) >= i.last)
}

// fails reports whether the call about a file is to fail, and whether it is the first to.
func (i *Injector) fails(path func() string) (first, fails bool) {
	i.mu.Lock()
	armed := i.armed && !i.over()
	i.mu.Unlock()
	if !armed || !i.Path.MatchString(path()) {
		return false, false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.over() {
		return false, false
	}
	if i.hits++; i.hits == 1 {
		i.first = time.Now()
	}
	return i.hits == 1, true
}

// Start starts a command whose process calls Install.
func (i *Injector) Start(cmd *exec.Cmd) error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	theirs, ours := os.NewFile(uintptr(pair[0]), "theirs"), os.NewFile(uintptr(pair[1]), "ours")
	defer ours.Close()
	cmd.Env = append(cmd.Environ(), callsEnv+"="+strings.Join(i.Calls, ","))
	cmd.ExtraFiles = []*os.File{theirs}
	err = errors.Join(cmd.Start(), theirs.Close())
	if err != nil {
		return err
	}
	fd, err := receiveFD(ours)
	if err != nil {
		return fmt.Errorf("the process does not ask (%w)", err)
	}
	go i.answer(fd, cmd.Process.Pid)
	return nil
}

func receiveFD(socket *os.File) (int, error) {
	conn, err := net.FileConn(socket)
	if err != nil {
		return -1, err
	}
	defer conn.Close()
	oob := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := conn.(*net.UnixConn).ReadMsgUnix(make([]byte, 1), oob)
	if err != nil {
		return -1, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) == 0 {
		return -1, errors.Join(errors.New("it ended"), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return -1, err
	}
	return fds[0], nil
}

// The kernel's struct seccomp_notif and seccomp_notif_resp.
type notification struct {
	id         uint64
	pid, flags uint32
	nr         int32
	arch       uint32
	ip         uint64
	args       [6]uint64
}

type response struct {
	id    uint64
	val   int64
	errno int32
	flags uint32
}

const asEver = 1 // SECCOMP_USER_NOTIF_FLAG_CONTINUE

// answer answers a process's calls until it has ended.
func (i *Injector) answer(fd, pid int) {
	defer unix.Close(fd)
	for {
		// Receiving alone would not notice the end.
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(poll, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
		if poll[0].Revents&unix.POLLIN == 0 {
			if poll[0].Revents != 0 {
				return
			}
			continue
		}
		var n notification
		if ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&n)) != nil {
			continue // a signal has taken it back; it comes again
		}
		r := response{id: n.id, flags: asEver}
		call := call{&n, pid}
		first, fails := i.fails(call.path)
		if fails && i.Hangs {
			time.AfterFunc(i.last, func() { _ = ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&r)) })
			continue
		}
		if fails {
			r.flags, r.errno = 0, -int32(i.Errno)
			if first && i.Short {
				r.val, r.errno = call.half()
			}
		}
		// The call may have been taken back meanwhile.
		_ = ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&r))
	}
}

func ioctl(fd int, request uint, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}
