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

// readArchived reads the rest of s from a rotated file that was compressed before it was
// read to its end. ok is false where there is none, or none that is sound.
func (l *Log) readArchived(ctx context.Context, s *stream) (ok bool, err error) {
	for _, path := range l.files.dir.archives {
		if filepath.Ext(path) != ".gz" {
			continue
		}
		a, err := openArchive(path, s)
		if err != nil {
			continue // another's, or damaged; the gap will be reported
		}
		if err = l.reportUntouched(ctx, a); err == nil {
			ok, err = l.readArchive(ctx, s, a, path)
		}
		a.Close()
		if ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// reportUntouched reports what was rotated after a, and compressed before anything of it was
// read: nothing else is missing of that.
func (l *Log) reportUntouched(ctx context.Context, a *archive) error {
	from, err := a.f.Stat()
	if err != nil {
		return nil // it is open: this does not happen
	}
	for _, path := range l.files.dir.archives {
		info, err := os.Stat(path)
		if err != nil || info.ModTime().Before(from.ModTime()) || l.archived(path) {
			continue
		}
		g := &Gap{Path: path, Reason: "it was rotated and compressed before anything of it was read, and can be ingested by hand"}
		if err := l.offer(ctx, &Batch{Gap: g}); err != nil {
			return err
		}
	}
	return nil
}

// archived reports whether the file at path holds a stream that is known.
func (l *Log) archived(path string) bool {
	for _, s := range l.files.cur.streams {
		if s.off == 0 {
			continue
		}
		if a, err := openArchive(path, s); err == nil {
			a.Close()
			return true
		}
	}
	return false
}

// readArchive hands over what follows the position of s in a, and ends s.
func (l *Log) readArchive(ctx context.Context, s *stream, a *archive, path string) (ok bool, err error) {
	l.rewind(s)
	l.pack.reset()
	lines := newLineReader(a, s.off, l.o.MaxLine)
	for {
		f, err := lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			l.rewind(s)
			return false, nil
		}
		data := l.pack.keep(f.data)
		if f.tooLong {
			l.pack.add(Record{Data: data, Path: path, Stream: s.id, Offset: f.off, Size: f.size, TooLong: true})
		} else if r, whole := l.join.add(data, path, place{s, f.off}, f.size); whole {
			l.pack.add(r)
		}
		if len(l.pack.records) >= l.o.BatchLines || len(l.pack.arena) >= l.o.BatchBytes {
			if err := l.offer(ctx, &Batch{Records: l.pack.records}); err != nil {
				return false, err
			}
			l.pack.reset()
		}
	}
	l.join.giveUp(s, l.pack.add)
	s.off, s.tail, s.done = lines.off, fingerprintOf(a.last), true
	s.advance(s.off)
	return true, l.offer(ctx, &Batch{Records: l.pack.records})
}

// archive is a compressed file, of which the last tailLen bytes read are kept.
type archive struct {
	f    *os.File
	z    *gzip.Reader
	last []byte
}

// openArchive opens the file at path at the position of s, if it holds what was read of s.
func openArchive(path string, s *stream) (*archive, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	a := &archive{f: f}
	if err := a.seek(s); err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

func (a *archive) seek(s *stream) (err error) {
	if a.z, err = gzip.NewReader(bufio.NewReader(a.f)); err != nil {
		return err
	}
	head := make([]byte, s.head.n) // which may reach beyond the position
	if _, err := io.ReadFull(a.z, head); err != nil || fingerprintOf(head) != s.head {
		return errChanged
	}
	if _, err := a.f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := a.z.Reset(bufio.NewReader(a.f)); err != nil {
		return err
	}
	if _, err := io.CopyN(io.Discard, a, s.off); err != nil || fingerprintOf(a.last) != s.tail {
		return errChanged
	}
	return nil
}

func (a *archive) Read(p []byte) (int, error) {
	n, err := a.z.Read(p)
	a.last = append(a.last, p[:n]...)
	a.last = append(a.last[:0], a.last[max(0, len(a.last)-tailLen):]...)
	return n, err
}

// Close closes the file; the reader in it holds nothing.
func (a *archive) Close() { a.f.Close() }
