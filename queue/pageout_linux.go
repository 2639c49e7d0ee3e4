package queue

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxResident is how much of the database's mapped files may stay in memory.
const maxResident = 6 << 20

// pager returns to the system the memory of the database's mapped files once they are too much of
// it: they stay mapped, so that with time all of the data would count as this process's.
type pager struct {
	rest int64 // what the other mapped files take: the program itself
}

// pageOut reports whether there was anything to return. MADV_PAGEOUT writes dirty pages
// first; MADV_DONTNEED would be quicker and not safe.
func (p *pager) pageOut(dir string) bool {
	now := resident()
	p.rest = min(p.rest, now)
	if now < p.rest+maxResident {
		return false
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return false
	}
	lines := bufio.NewScanner(bytes.NewReader(maps))
	for lines.Scan() {
		line := lines.Text()
		if !strings.Contains(line, dir+"/") {
			continue
		}
		span, _, _ := strings.Cut(line, " ")
		lo, hi, _ := strings.Cut(span, "-")
		start, err1 := strconv.ParseUint(lo, 16, 64)
		end, err2 := strconv.ParseUint(hi, 16, 64)
		if err1 == nil && err2 == nil {
			// Best effort: an old kernel does not know it, and a mapping may be gone by now.
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, uintptr(start), uintptr(end-start), unix.MADV_PAGEOUT)
		}
	}
	// Where the kernel cannot, this is all of it, and it is not tried over and over.
	p.rest = resident()
	return true
}

// resident is how much memory the process's file mappings take, 0 where that cannot be told.
func resident() int64 {
	statm, err := os.ReadFile("/proc/self/statm")
	fields := strings.Fields(string(statm))
	if err != nil || len(fields) < 3 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
