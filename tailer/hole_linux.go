package tailer

import (
	"os"

	"golang.org/x/sys/unix"
)

// nextData returns where the data at or after off begins in f, which is of this size; off
// where the file system cannot say.
func nextData(f *os.File, off, size int64) int64 {
	at, err := unix.Seek(int(f.Fd()), off, unix.SEEK_DATA)
	switch {
	case err == unix.ENXIO:
		return size // a hole up to the end
	case err != nil:
		return off
	}
	return min(at, size)
}
