package tailer

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// frame is one line or value of a file that is read in one pass.
type frame struct {
	// data is valid until the next one is read. Of a frame over the limit it is the
	// first HeadBytes.
	data      []byte
	off, size int64
	tooLong   bool
}

// lineReader splits a stream into lines, each held only up to the limit.
type lineReader struct {
	r   *bufio.Reader
	off int64
	max int
	buf []byte
}

func newLineReader(r io.Reader, off int64, maxLine int) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, blockLen), off: off, max: maxLine}
}

// next returns io.EOF after the last line, which needs no terminator.
func (l *lineReader) next() (frame, error) {
	f := frame{off: l.off}
	l.buf = l.buf[:0]
	for {
		part, err := l.r.ReadSlice('\n')
		l.off += int64(len(part))
		f.size += int64(len(part))
		line, ended := bytes.CutSuffix(part, []byte{'\n'})
		if !f.tooLong {
			l.buf = append(l.buf, line...)
			if len(l.buf) > l.max {
				f.tooLong = true
				l.buf = append([]byte(nil), l.buf[:min(HeadBytes, len(l.buf))]...)
			}
		}
		switch {
		case ended:
			return l.finish(f), nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && f.size > 0:
			return l.finish(f), nil
		case err != nil:
			return f, err
		}
	}
}

func (l *lineReader) finish(f frame) frame {
	f.data = trim(l.buf, f.off)
	return f
}
