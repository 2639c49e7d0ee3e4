//go:build amd64 || arm64

package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The disks here are real ones: an ext4 on a loop device, in a file on a tmpfs that may be
// smaller than the ext4 believes.

// failingDisks are the cells whose disk fails as a whole.
func failingDisks() []*diskFault {
	return []*diskFault{
		{what: "thin volume without room", place: "ext4, no journal", lasts: true, prepare: func(f *faulty) string { return f.thin("^has_journal") }, begin: (*faulty).fillPool, end: (*faulty).emptyPool},
		{what: "thin volume without room", place: "ext4", lasts: true, prepare: func(f *faulty) string { return f.thin("") }, begin: (*faulty).fillPool, end: func(f *faulty) { f.emptyPool(); f.remount() }, silent: true},
		{what: "thin volume without room, then a power cut", place: "ext4", prepare: func(f *faulty) string { return f.thin("") }, begin: func(f *faulty) { f.fillPool(); f.pause(2 * time.Second); f.emptyPool(); f.powerCut() }, silent: true},
		{what: "power cut", place: "ext4", prepare: (*faulty).ext4, begin: (*faulty).powerCut},
		{what: "read-only after an error", place: "ext4", lasts: true, prepare: (*faulty).ext4, begin: (*faulty).abort, end: (*faulty).remount, silent: true},
		{what: "filled at once", place: "ext4", lasts: true, prepare: (*faulty).ext4, begin: (*faulty).fill, end: (*faulty).unfill},
		{what: "filled at once", place: "tmpfs", lasts: true, prepare: (*faulty).tmpfs, begin: (*faulty).fill, end: (*faulty).unfill},
		{what: "filled at once", place: "tmpfs", prepare: (*faulty).tmpfs, begin: (*faulty).fillForAMoment},
		{what: "SIGBUS", place: "of a mapped page", begin: func(f *faulty) { f.signal(syscall.SIGBUS) }},
	}
}

func (f *faulty) command(name string, args ...string) {
	f.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		f.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// mounted mounts a tmpfs of a size under the rig's directory.
func (f *faulty) mounted(name, size string) (dir string) {
	f.t.Helper()
	dir = filepath.Join(f.dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		f.t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		f.t.Skipf("needs the right to mount: %v", err)
	}
	f.t.Cleanup(func() {
		f.halt() // it holds it open
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			f.t.Error(err)
		}
	})
	return dir
}

func (f *faulty) tmpfs() string {
	return filepath.Join(f.mounted("disk", "64m"), "state")
}

func (f *faulty) ext4() string { return f.makeExt4("200m", "96m", "") }

// thin has room for a good part of what the file system believes to have.
func (f *faulty) thin(features string) string { return f.makeExt4("80m", "256m", features) }

func (f *faulty) makeExt4(pool, size, features string) string {
	f.t.Helper()
	image := filepath.Join(f.mounted("pool", pool), "image")
	f.command("truncate", "-s", size, image)
	// What is not data has its place from the beginning, so that it is the data that fails.
	args := []string{"-q", "-F", "-m", "0", "-N", "2000", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0"}
	if features != "" {
		args = append(args, "-O", features)
	}
	f.command("mkfs.ext4", append(args, image)...)
	if err := os.Mkdir(filepath.Join(f.dir, "disk"), 0o700); err != nil {
		f.t.Fatal(err)
	}
	f.mountExt4()
	f.t.Cleanup(func() {
		f.halt()
		f.command("umount", "-l", filepath.Join(f.dir, "disk"))
	})
	return filepath.Join(f.dir, "disk", "state")
}

func (f *faulty) mountExt4() {
	f.t.Helper()
	f.command("mount", "-o", "loop,nodiscard", filepath.Join(f.dir, "pool", "image"), filepath.Join(f.dir, "disk"))
}

func (f *faulty) fillPool()  { f.fillDir("pool") }
func (f *faulty) emptyPool() { f.removeHog("pool") }
func (f *faulty) fill()      { f.fillDir("disk") }
func (f *faulty) unfill()    { f.removeHog("disk") }

func (f *faulty) fillForAMoment() {
	f.fill()
	f.pause(200 * time.Millisecond)
	f.unfill()
}

// fillDir has others write until there is no room.
func (f *faulty) fillDir(name string) {
	f.t.Helper()
	hog, err := os.Create(filepath.Join(f.dir, name, "hog"))
	if err != nil {
		f.t.Fatal(err)
	}
	defer hog.Close()
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(hog.Fd()), &st); err != nil {
		f.t.Fatal(err)
	}
	_ = unix.Fallocate(int(hog.Fd()), 0, 0, int64(st.Bavail)*st.Bsize) // at once; what is missing follows
	if _, err := hog.Seek(0, io.SeekEnd); err != nil {
		f.t.Fatal(err)
	}
	for block := make([]byte, 1<<20); len(block) > 0; {
		if _, err := hog.Write(block); err != nil {
			block = block[:len(block)/2]
		}
	}
}

func (f *faulty) removeHog(name string) {
	f.t.Helper()
	if err := os.Remove(filepath.Join(f.dir, name, "hog")); err != nil {
		f.t.Fatal(err)
	}
}

const shutdownNoFlush = 2 // EXT4_GOING_FLAGS_NOLOGFLUSH: as if the power were cut

// powerCut ends the machine, as far as the disk is concerned, and starts it again.
func (f *faulty) powerCut() {
	f.t.Helper()
	disk, err := os.Open(filepath.Join(f.dir, "disk"))
	if err != nil {
		f.t.Fatal(err)
	}
	err = unix.IoctlSetPointerInt(int(disk.Fd()), 0x8004587d, shutdownNoFlush) // EXT4_IOC_SHUTDOWN
	if err := disk.Close(); err != nil {
		f.t.Fatal(err)
	}
	if err != nil {
		f.t.Fatalf("shut the file system down: %v", err)
	}
	f.remount()
}

// abort has the file system find an error, after which it is read-only.
func (f *faulty) abort() {
	f.t.Helper()
	f.command("mount", "-o", "remount,abort", filepath.Join(f.dir, "disk"))
}

// remount does what a person, or the start of a machine, does with a file system that has ended.
func (f *faulty) remount() {
	f.t.Helper()
	f.held.Lock() // nobody starts it on a disk that is not there
	defer f.held.Unlock()
	f.signal(syscall.SIGKILL)
	disk := filepath.Join(f.dir, "disk")
	f.until("the file system to be let go", time.Minute, func() bool { return unix.Unmount(disk, 0) == nil })
	if out, err := exec.Command("e2fsck", "-p", "-f", filepath.Join(f.dir, "pool", "image")).CombinedOutput(); err != nil {
		if e, ok := err.(*exec.ExitError); !ok || e.ExitCode() > 1 {
			f.t.Fatal(fmt.Errorf("e2fsck: %w\n%s", err, out))
		}
	}
	f.mountExt4()
}
