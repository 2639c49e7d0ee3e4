package tailer

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
)

// headLen and tailLen are how much of a stream tells it from others: its first bytes,
// and those just before the position.
const (
	headLen = 1024
	tailLen = 256
)

// fingerprint identifies a run of bytes by their number and a hash.
type fingerprint struct {
	n   int
	sum string
}

// fingerprintAt takes the fingerprint of the n bytes of r at off, at most headLen. ok is
// false where r ends before.
func fingerprintAt(r io.ReaderAt, off int64, n int) (p fingerprint, ok bool) {
	var buf [headLen]byte
	if got, _ := r.ReadAt(buf[:n], off); got < n {
		return fingerprint{}, false
	}
	return fingerprintOf(buf[:n]), true
}

func fingerprintOf(b []byte) fingerprint {
	h := sha256.Sum256(b)
	return fingerprint{n: len(b), sum: hex.EncodeToString(h[:12])}
}

// readAt reads n bytes; ok is false where r ends before.
func readAt(r io.ReaderAt, off, n int64) (b []byte, ok bool) {
	b = make([]byte, n)
	got, _ := r.ReadAt(b, off)
	return b, got == len(b)
}

// agree compares a, which begins at offset x, and b, which begins at y, where they overlap.
func agree(a []byte, x int64, b []byte, y int64) bool {
	from, to := max(x, y), min(x+int64(len(a)), y+int64(len(b)))
	return from >= to || bytes.Equal(a[from-x:to-x], b[from-y:to-y])
}

// sameBytes compares [from, to) of two files, at most the last 4 KiB of it.
func sameBytes(a, b io.ReaderAt, from, to int64) bool {
	if from = max(from, to-4096); from >= to {
		return true
	}
	x, ok1 := readAt(a, from, to-from)
	y, ok2 := readAt(b, from, to-from)
	return ok1 && ok2 && bytes.Equal(x, y)
}
