package mapped

import (
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Advice is what the kernel is told of a file's pages (madvise(2)).
type Advice uintptr

const (
	// Random has nothing read but what is touched. It holds as long as the mapping. Since Linux 6.3
	// that a page was touched does not keep it in memory either.
	Random Advice = unix.MADV_RANDOM
	// Cold has the pages that are in memory now go before others, should it be short.
	Cold Advice = unix.MADV_COLD
	// PageOut has them go now; what was changed is written first. MADV_DONTNEED would be quicker
	// and not safe.
	PageOut Advice = unix.MADV_PAGEOUT
)

// inOnePiece is from which size a value is read at once: the pages of smaller ones are few.
const inOnePiece = 16 << 10

// Advise tells the kernel of each mapped file that is wanted, by its real path. It reads
// /proc/self/maps, which takes some tens of microseconds.
func Advise(wanted func(path string) bool, advice ...Advice) {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(maps)) {
		at := strings.IndexByte(line, '/')
		if at < 0 || !wanted(strings.TrimSuffix(line[at:], "\n")) {
			continue
		}
		span, _, _ := strings.Cut(line, " ")
		for _, a := range advice {
			advise(span, uintptr(a))
		}
	}
}

// Unmap leaves the pages of files that are wanted to the system's cache, where they are anybody's
// and count as no process's; those that are needed come back without being read. It passes over
// mappings that may be written to, or were, whether what was written is in memory or swapped out: a
// program that is linked to run anywhere has what was changed for that in mappings that nobody may
// write to any more.
func Unmap(wanted func(path string) bool) {
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return
	}
	span := "" // of the mapping that the lines are about, while it is one of these
	for line := range strings.Lines(string(maps)) {
		switch fields := strings.Fields(line); {
		case len(fields) < 2:
		case !strings.HasSuffix(fields[0], ":"): // a line as in maps
			span = ""
			if at := strings.IndexByte(line, '/'); at >= 0 && strings.HasPrefix(fields[1], "r-") && wanted(strings.TrimSuffix(line[at:], "\n")) {
				span = fields[0]
			}
		case (fields[0] == "Anonymous:" || fields[0] == "Swap:") && fields[1] != "0":
			span = ""
		case fields[0] == "VmFlags:" && span != "": // the last of a mapping's lines (proc_pid_smaps(5))
			advise(span, unix.MADV_DONTNEED)
		}
	}
}

func advise(span string, advice uintptr) {
	lo, hi, _ := strings.Cut(span, "-")
	start, err1 := strconv.ParseUint(lo, 16, strconv.IntSize)
	end, err2 := strconv.ParseUint(hi, 16, strconv.IntSize)
	if err1 == nil && err2 == nil {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, uintptr(start), uintptr(end-start), advice)
	}
}

// ReadAtOnce has a large value of a mapped file read in as few pieces as the disk allows. Where
// the file is Random, it would come page by page.
func ReadAtOnce(value []byte) {
	if len(value) < inOnePiece {
		return
	}
	start := uintptr(unsafe.Pointer(unsafe.SliceData(value)))
	before := start % uintptr(os.Getpagesize())
	_, _, _ = unix.Syscall(unix.SYS_MADVISE, start-before, uintptr(len(value))+before, unix.MADV_WILLNEED)
}
