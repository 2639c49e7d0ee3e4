package tailer

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// readArchived reads the rest of s from a rotated file that was compressed before it was
// read to its end, and what was rotated after that. ok is false where there is none, or none
// that is sound.
func (l *Log) readArchived(ctx context.Context, s *stream) (ok bool, err error) {
	for _, path := range l.files.dir.gzipped() {
		info, err := os.Stat(path)
		if err != nil {
			continue
		}
		a, err := openArchive(path, s)
		if err != nil {
			continue // another's, or damaged; the gap will be reported
		}
		ok, err = l.readArchive(ctx, s, a, path)
		a.Close()
		if ok && err == nil {
			l.files.learn(path, info.ModTime())
			err = l.readUntouched(ctx, info.ModTime())
		}
		if ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// catchUp reads what was rotated and compressed since the last run, before what is younger is
// read. It does so once, when all names are known.
func (l *Log) catchUp(ctx context.Context) error {
	if l.caughtUp || !l.files.dir.scanned {
		return nil
	}
	l.caughtUp = true
	if since := l.files.leftOff(); !since.IsZero() {
		return l.readUntouched(ctx, since)
	}
	return nil
}

// leftOff is when the file was written to last with which reading continues, where that is a
// rotated one; otherwise when something was read last. It is zero where reading continues
// with the live file, or begins.
func (h *holdings) leftOff() (at time.Time) {
	var read time.Time
	for _, s := range h.cur.streams {
		if s.read.After(read) {
			read = s.read
		}
		if s.done || s.off == 0 {
			continue
		}
		f := s.holder(nil)
		if f == nil || f == h.live {
			return noTime // of one that is gone missing says what must be done
		}
		if at.IsZero() || f.mod.Before(at) {
			at = f.mod
		}
	}
	if at.IsZero() {
		return read
	}
	return at
}

// readUntouched reads what was rotated after a time, and compressed before anything of it was
// read, the oldest first. Of what cannot be read it reports the gap.
func (l *Log) readUntouched(ctx context.Context, since time.Time) error {
	type candidate struct {
		path string
		mod  time.Time
	}
	var all []candidate
	for _, path := range l.files.dir.archives {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && !info.ModTime().Before(since) && !l.archived(path) {
			all = append(all, candidate{path, info.ModTime()})
		}
	}
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(a.mod.Compare(b.mod), sequence(plainName(b.path))-sequence(plainName(a.path)), strings.Compare(a.path, b.path))
	})
	for _, c := range all {
		err := errNoGzip
		if filepath.Ext(c.path) == ".gz" {
			err = l.readWhole(ctx, c.path)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			continue
		}
		g := &Gap{Path: c.path, Reason: "it was rotated and compressed before it was read to its end, and can be ingested by hand (" + err.Error() + ")"}
		if err := l.offer(ctx, &Batch{Gap: g}); err != nil {
			return err
		}
	}
	return nil
}

var errNoGzip = errors.New("only gzip is read here")

// plainName is the name of an archive before it was compressed.
func plainName(path string) string { return strings.TrimSuffix(path, filepath.Ext(path)) }

// readWhole reads an archive of which nothing is known.
func (l *Log) readWhole(ctx context.Context, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	a := &archive{f: f}
	defer a.Close()
	s := &stream{id: newStreamID(), path: path, size: -1, done: true}
	if err := a.sight(s); err != nil {
		return err
	}
	l.files.cur.streams = append(l.files.cur.streams, s)
	ok, err := l.readArchive(ctx, s, a, path)
	if err == nil && !ok {
		err = errors.New("it is damaged")
	}
	return err
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
	if err := l.takeTurn(ctx, int64(l.o.BatchBytes)); err != nil {
		return false, err
	}
	defer func() {
		if l.turn != nil {
			l.endTurn()
		}
	}()
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
			l.endTurn()
			if err := l.takeTurn(ctx, int64(l.o.BatchBytes)); err != nil {
				return false, err
			}
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
	if err := a.rewind(); err != nil {
		return err
	}
	if _, err := io.CopyN(io.Discard, a, s.off); err != nil || fingerprintOf(a.last) != s.tail {
		return errChanged
	}
	return nil
}

// sight takes the fingerprint of the head, and opens a at its beginning.
func (a *archive) sight(s *stream) (err error) {
	if a.z, err = gzip.NewReader(bufio.NewReader(a.f)); err != nil {
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

func (a *archive) rewind() error {
	if _, err := a.f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return a.z.Reset(bufio.NewReader(a.f))
}

func (a *archive) Read(p []byte) (int, error) {
	n, err := a.z.Read(p)
	a.last = append(a.last, p[:n]...)
	a.last = append(a.last[:0], a.last[max(0, len(a.last)-tailLen):]...)
	return n, err
}

// Close closes the file; the reader in it holds nothing.
func (a *archive) Close() { a.f.Close() }
