//go:build amd64 || arm64

package fault

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// call is one of another process.
type call struct {
	*notification
	process int // pid is of the thread
}

// path is the file that the call is about; empty where that cannot be told.
func (c call) path() string {
	switch int(c.nr) {
	case unix.SYS_OPENAT, unix.SYS_UNLINKAT, unix.SYS_MKDIRAT, unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_NEWFSTATAT:
		name := c.text(c.args[1])
		if dir := int32(c.args[0]); !filepath.IsAbs(name) && dir != unix.AT_FDCWD {
			return filepath.Join(c.file(uint64(dir)), name)
		}
		return name
	case unix.SYS_STATFS:
		return c.text(c.args[0])
	case unix.SYS_MMAP:
		return c.file(c.args[4])
	case unix.SYS_MSYNC:
		return c.mapped(c.args[0])
	}
	return c.file(c.args[0])
}

// file is what a descriptor is of.
func (c call) file(fd uint64) string {
	path, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", c.process, int32(fd)))
	return path
}

// mapped is the file that is mapped at an address.
func (c call) mapped(address uint64) string {
	maps, _ := os.ReadFile(fmt.Sprintf("/proc/%d/maps", c.process))
	for line := range strings.Lines(string(maps)) {
		var from, to uint64
		if _, err := fmt.Sscanf(line, "%x-%x", &from, &to); err == nil && from <= address && address < to {
			if _, path, ok := strings.Cut(line, "/"); ok {
				return "/" + strings.TrimSpace(path)
			}
		}
	}
	return ""
}

// text is what stands at an address, up to a NUL.
func (c call) text(address uint64) string {
	b := c.memory(address, unix.PathMax)
	text, _, _ := bytes.Cut(b, []byte{0})
	return string(text)
}

func (c call) memory(address uint64, n int) []byte {
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", c.process))
	if err != nil {
		return nil
	}
	defer mem.Close()
	b := make([]byte, n)
	n, _ = mem.ReadAt(b, int64(address))
	return b[:n]
}

// half does half of a write in the process's place.
func (c call) half() (n int64, errno int32) {
	b := c.memory(c.args[1], int(c.args[2]/2))
	pidfd, err := unix.PidfdOpen(c.process, 0)
	if err != nil {
		return 0, -int32(unix.EIO)
	}
	defer unix.Close(pidfd)
	fd, err := unix.PidfdGetfd(pidfd, int(c.args[0]), 0)
	if err != nil {
		return 0, -int32(unix.EIO)
	}
	defer unix.Close(fd)
	var done int
	if int(c.nr) == unix.SYS_PWRITE64 {
		done, err = unix.Pwrite(fd, b, int64(c.args[3]))
	} else {
		done, err = unix.Write(fd, b)
	}
	if err != nil {
		return 0, -int32(unix.EIO)
	}
	return int64(done), 0
}
