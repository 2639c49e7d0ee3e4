package tailer

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
)

// archive is a compressed file, of which the last tailLen bytes read are kept.
type archive struct {
	f    *os.File
	in   io.Reader // f
	z    *gzip.Reader
	last []byte
}

// cancellable fails once ctx has ended. A little file may decompress to very much, or to
// nothing however long it is.
type cancellable struct {
	ctx context.Context
	io.Reader
}

func (c cancellable) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.Reader.Read(p)
}

func openArchive(ctx context.Context, path string) (*archive, os.FileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return &archive{f: f, in: cancellable{ctx, f}}, info, nil
}

var errNoGzip = errors.New("only gzip is read here")

// rewind makes reading begin at the beginning.
func (a *archive) rewind() (err error) {
	if filepath.Ext(a.f.Name()) != ".gz" {
		return errNoGzip
	}
	if _, err := a.f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	a.last = a.last[:0]
	if a.z == nil {
		a.z, err = gzip.NewReader(bufio.NewReader(a.in))
		return err
	}
	return a.z.Reset(bufio.NewReader(a.in))
}

// seek makes reading begin at the position of s, if a holds what was read of s.
func (a *archive) seek(s *stream) error {
	if err := a.rewind(); err != nil {
		return err
	}
	head := make([]byte, s.head.n) // which may reach beyond the position
	if _, err := io.ReadFull(a.z, head); err != nil || fingerprintOf(head) != s.head {
		return errChanged
	}
	if err := a.rewind(); err != nil {
		return err
	}
	if s.off == 0 {
		return nil
	}
	if _, err := io.CopyN(io.Discard, a, s.off); err != nil || fingerprintOf(a.last) != s.tail {
		return errChanged
	}
	return nil
}

// sight takes the fingerprint of the head, and makes reading begin at the beginning.
func (a *archive) sight(s *stream) error {
	if err := a.rewind(); err != nil {
		return err
	}
	head := make([]byte, headLen)
	n, err := io.ReadFull(a.z, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return err
	}
	s.head = fingerprintOf(head[:n])
	return a.rewind()
}

// sound returns why a cannot be read to its end, if it cannot.
func (a *archive) sound() error {
	if err := a.rewind(); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, a.z)
	return err
}

func (a *archive) Read(p []byte) (int, error) {
	n, err := a.z.Read(p)
	a.last = append(a.last, p[:n]...)
	a.last = append(a.last[:0], a.last[max(0, len(a.last)-tailLen):]...)
	return n, err
}

// Close closes the file; the reader in it holds nothing.
func (a *archive) Close() { a.f.Close() }

// readArchive hands over what follows the position of s in a, and ends s, which is known from
// then on.
func (r *logReader) readArchive(ctx context.Context, s *stream, a *archive, path string) (ok bool, err error) {
	r.rewind(s)
	if err := r.takeTurn(ctx, int64(r.o.BatchBytes)); err != nil {
		return false, err
	}
	defer r.endTurn()
	lines := newLineReader(a, s.off, r.o.MaxLine)
	for {
		f, err := lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			r.rewind(s)
			return false, ctx.Err()
		}
		if rec, whole := r.join.addFrame(f, r.pack.keep(f.data), path, s); whole {
			r.pack.add(rec)
		}
		if len(r.pack.records) >= r.o.BatchLines || len(r.pack.arena) >= r.o.BatchBytes {
			if err := r.offer(ctx, &Batch{Records: r.pack.records}); err != nil {
				return false, err
			}
			r.endTurn()
			if err := r.takeTurn(ctx, int64(r.o.BatchBytes)); err != nil {
				return false, err
			}
		}
	}
	r.join.giveUp(s, r.pack.add)
	s.off, s.tail, s.done = lines.off, fingerprintOf(a.last), true
	s.advance(s.off)
	r.files.cur.keep(s)
	return true, r.offer(ctx, &Batch{Records: r.pack.records})
}
