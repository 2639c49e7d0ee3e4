package queue

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// How the pages of the database's files, which Badger maps, are kept from taking the memory that
// the program needs, in a small container above all:
//
//   - Whoever touches a page that is not in memory is given its surroundings too: 128 KiB, or as
//     much as the disk is set to read ahead, which may be 8 MiB. Of logs that are read by the value,
//     or written, each of these pages is one less for others, and once the program's own pages go
//     for them everything stands. So nothing is read ahead (readNothingAhead), and a large value is
//     asked for by its length, in one piece (readAtOnce).
//   - What was read stays mapped, so that with time all of the data would count as this process's.
//     It is returned once it is too much (pageOut).

const (
	// maxResident is how much of the database's mapped files may stay in memory.
	maxResident = 6 << 20
	// adviseEvery is how often new files are looked for, while the database is used.
	adviseEvery = 500 * time.Millisecond
	// inOnePiece is from which size a value is read at once: the pages of smaller ones are few.
	inOnePiece = 16 << 10
)

// pager keeps the pages of mapped files few. The zero value is ready.
type pager struct {
	rest    int64     // what the other mapped files take: the program itself
	advised time.Time // when readNothingAhead looked last
}

// pageOut reports whether there was anything to return. MADV_PAGEOUT writes dirty pages
// first; MADV_DONTNEED would be quicker and not safe.
func (p *pager) pageOut(dir string) bool {
	now := resident()
	p.rest = min(p.rest, now)
	if now < p.rest+maxResident {
		return false
	}
	advise(dir, unix.MADV_PAGEOUT, func(string) bool { return true })
	// Where the kernel cannot, this is all of it, and it is not tried over and over.
	p.rest = resident()
	return true
}

// readNothingAhead has the kernel read no more of the logs than what is touched. Tables, which a
// compaction reads from one end to the other, are left alone.
func (p *pager) readNothingAhead(dir string) {
	if time.Since(p.advised) < adviseEvery {
		return
	}
	p.advised = time.Now()
	advise(dir, unix.MADV_RANDOM, func(ext string) bool { return ext == ".vlog" || ext == ".mem" })
}

// readAtOnce has the kernel read a large value, which is in a mapped file, in as few parts as the
// disk allows.
func readAtOnce(value []byte) {
	if len(value) < inOnePiece {
		return
	}
	start := uintptr(unsafe.Pointer(unsafe.SliceData(value)))
	page := start % uintptr(os.Getpagesize())
	// Best effort, as in advise.
	_, _, _ = unix.Syscall(unix.SYS_MADVISE, start-page, uintptr(len(value))+page, unix.MADV_WILLNEED)
}

// advise tells the kernel how the mapped files of a directory are used, those with the extensions
// that are wanted.
func advise(dir string, advice uintptr, wanted func(ext string) bool) {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(maps)) {
		at := strings.Index(line, dir+"/")
		if at < 0 || !wanted(filepath.Ext(strings.TrimSpace(line[at:]))) {
			continue
		}
		span, _, _ := strings.Cut(line, " ")
		lo, hi, _ := strings.Cut(span, "-")
		start, err1 := strconv.ParseUint(lo, 16, 64)
		end, err2 := strconv.ParseUint(hi, 16, 64)
		if err1 == nil && err2 == nil {
			// Best effort: an old kernel does not know it, and a mapping may be gone by now.
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, uintptr(start), uintptr(end-start), advice)
		}
	}
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
