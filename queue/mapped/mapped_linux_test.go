package mapped

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A file that is mapped by itself, with what its pages are in /proc/self/smaps.
type file struct {
	t    *testing.T
	path string
	data []byte
}

func mapFile(t *testing.T, protection, flags int) *file {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a file of 1 MiB")
	if err := os.WriteFile(path, bytes.Repeat([]byte("0123456789abcdef"), 1<<16), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil { // what is to be written yet may stay for that
		t.Fatal(err)
	}
	data, err := unix.Mmap(int(f.Fd()), 0, 1<<20, protection, flags)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(data) })
	return &file{t, path, data}
}

func (f *file) is(path string) bool { return path == f.path }

// field is a line of the mapping in smaps, in KiB where it is one of those.
func (f *file) field(name string) []string {
	f.t.Helper()
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		f.t.Skip("needs /proc/self/smaps: ", err)
	}
	_, mine, _ := strings.Cut(string(smaps), f.path+"\n")
	for line := range strings.Lines(mine) {
		if fields := strings.Fields(line); fields[0] == name {
			return fields[1:]
		}
	}
	f.t.Fatalf("%s has no %s", f.path, name)
	return nil
}

func (f *file) resident() int {
	f.t.Helper()
	kib, err := strconv.Atoi(f.field("Rss:")[0])
	if err != nil {
		f.t.Fatal(err)
	}
	return kib
}

func (f *file) touch() {
	for i := 0; i < len(f.data); i += 4096 {
		touched ^= f.data[i]
	}
}

// comes waits until all of it is in the system's cache, where nobody has touched it.
func (f *file) comes() {
	f.t.Helper()
	page := os.Getpagesize()
	there := make([]byte, len(f.data)/page)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		_, _, err := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&f.data[0])), uintptr(len(f.data)), uintptr(unsafe.Pointer(&there[0])))
		if err != 0 {
			f.t.Fatal(err)
		}
		if !slices.ContainsFunc(there, func(b byte) bool { return b&1 == 0 }) {
			return
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("it is not read: %v", there)
		}
	}
}

// most is what divides much of a file of 1024 KiB from little: some of its pages may be on their
// way through the kernel's lists, and a busy system may want some.
const most = 512

var touched byte // what is read for nothing may not be read at all

func TestAdvise_IsForTheFilesThatAreWanted(t *testing.T) {
	mine, other := mapFile(t, unix.PROT_READ, unix.MAP_SHARED), mapFile(t, unix.PROT_READ, unix.MAP_SHARED)
	mine.touch()
	other.touch()
	Advise(mine.is, Random, PageOut)
	if flags := mine.field("VmFlags:"); !slices.Contains(flags, "rr") {
		t.Errorf("it is still read ahead: %v", flags)
	}
	if flags := other.field("VmFlags:"); slices.Contains(flags, "rr") || other.resident() < most {
		t.Errorf("of the other file %d KiB are left, %v", other.resident(), flags)
	}
	if n := mine.resident(); n > most {
		t.Errorf("%d KiB are left", n)
	}
	ReadAtOnce(mine.data[100 : 1<<20-100])
	mine.comes()
	if !bytes.Equal(mine.data, other.data) {
		t.Error("it reads as something else")
	}
}

// What a process wrote of a file for itself is nowhere else: dropping it is losing it.
func TestUnmap_LeavesWhatWasWritten(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(f *file)
		lock   bool
		stays  bool
	}{
		{"only read", func(*file) {}, true, false},
		{"may be written to", func(*file) {}, false, true},
		{"was written, and cannot be any more", func(f *file) { f.data[5] = 'X' }, true, true},
	} {
		f := mapFile(t, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
		f.touch()
		c.change(f)
		if c.lock {
			if err := unix.Mprotect(f.data, unix.PROT_READ); err != nil {
				t.Fatal(err)
			}
		}
		want := bytes.Clone(f.data)
		Unmap(f.is)
		if n := f.resident(); n > most != c.stays {
			t.Errorf("%s: %d KiB are left", c.name, n)
		}
		if !bytes.Equal(f.data, want) {
			t.Errorf("%s: it reads as something else", c.name)
		}
	}
}

// The program goes on without its pages.
func TestUnmap_OfTheProgramItself(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	Unmap(func(path string) bool { return path == program })
	TestUnmap_LeavesWhatWasWritten(t)
}
