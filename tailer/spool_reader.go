package tailer

import (
	"context"
	"io"
	"os"
)

// longHole is how long a hole must be to be passed over instead of read.
const longHole = 1 << 20

// spoolReader reads a file from off on until ctx ends. A long hole, of which a sparse file
// may have many GiB, reads as one NUL: no JSON holds it, so what it is in is rejected.
// Offsets behind a hole are too small by then; real corrects them.
type spoolReader struct {
	ctx    context.Context
	f      *os.File
	off    int64
	size   int64
	sparse bool
	holes  []hole
	// passed is the sum of the holes before those of the list.
	passed int64
	// shift is the sum of all holes.
	shift int64
}

// hole is at an offset as the reader of the file counts, and so much longer than the NUL
// it reads as.
type hole struct{ at, more int64 }

func newSpoolReader(f *os.File, info os.FileInfo) *spoolReader {
	return &spoolReader{ctx: context.Background(), f: f, size: info.Size(), sparse: blocksOf(info)*512 < info.Size()-longHole}
}

func (r *spoolReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if r.sparse {
		if data := dataAt(r.f, r.off, r.size); data-r.off >= longHole {
			r.holes = append(r.holes, hole{r.off - r.shift, data - r.off - 1})
			r.shift += data - r.off - 1
			r.off = data
			p[0] = 0
			return 1, nil
		}
	}
	n, err := r.f.ReadAt(p, r.off)
	r.off += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

// real returns the offset in the file for one as the reader counts. It must not be asked for
// one before the last.
func (r *spoolReader) real(at int64) int64 {
	for len(r.holes) > 0 && r.holes[0].at < at {
		r.passed += r.holes[0].more
		r.holes = r.holes[1:]
	}
	return at + r.passed
}
