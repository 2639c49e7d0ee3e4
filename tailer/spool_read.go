package tailer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// spoolFile is one file of the spool.
type spoolFile struct {
	name string
	mark spoolMark
	f    *os.File
	next func() (frame, error)
	pos  func() int64
	// damaged: it cannot be read further.
	damaged bool
}

func (f *spoolFile) close() {
	if f.f != nil {
		f.f.Close()
		f.f = nil
	}
}

// list returns the names to be read, in order, at most maxListed of them.
func (s *Spool) list() (names []string, more bool, err error) {
	d, err := os.Open(s.o.Path)
	if err != nil {
		return nil, false, err
	}
	defer d.Close()
	for {
		part, err := d.Readdirnames(1024)
		for _, name := range part {
			if spooled(name) {
				names = append(names, name)
			}
		}
		if len(names) > 2*maxListed {
			slices.Sort(names)
			names, more = names[:maxListed:maxListed], true
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, false, fmt.Errorf("reading directory %s: %w", s.o.Path, err)
		}
	}
	slices.Sort(names)
	s.relist = more
	return s.begunFirst(s.purge(names)), more, nil
}

// begunFirst puts the file first that was read in part before a restart: the cursor knows
// one such, and forgets it with the next.
func (s *Spool) begunFirst(names []string) []string {
	if s.cur.Part == nil {
		return names
	}
	name := string(s.cur.Part.Name)
	names = slices.DeleteFunc(names, func(n string) bool { return n == name })
	return slices.Insert(names, 0, name)
}

// spooled reports whether a file of this name is read.
func spooled(name string) bool {
	if strings.HasPrefix(name, ".") {
		return false
	}
	switch filepath.Ext(name) {
	case ".json", ".ndjson", ".jsonl":
		return true
	}
	return false
}

// purge drops what is no regular file, adds up the lag, and forgets the finished
// files that are gone: another of the same name is another file.
func (s *Spool) purge(names []string) []string {
	var lag int64
	seen := map[markKey]bool{}
	kept := names[:0]
	for _, name := range names {
		info, err := os.Lstat(filepath.Join(s.o.Path, name))
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		kept = append(kept, name)
		if m := markOf(info); s.cur.isDone(&m) {
			seen[m.file()] = true
		} else {
			lag += info.Size()
		}
	}
	s.cur.Done = slices.DeleteFunc(s.cur.Done, func(m spoolMark) bool { return !seen[m.file()] })
	s.mu.Lock()
	s.status.LagBytes, s.status.Files = lag, len(kept)
	s.mu.Unlock()
	return kept
}

// read takes the records of one file into the batch.
func (s *Spool) read(ctx context.Context, name string) error {
	f, err := s.open(name)
	if err != nil {
		s.trouble(name, err)
	}
	if err != nil || f == nil {
		return nil
	}
	s.part = f
	defer f.close()
	first, start := len(s.pack.records), f.mark.Off
	for {
		fr, err := f.next()
		switch {
		case errors.Is(err, io.EOF):
			return s.end(ctx, f)
		case err == nil:
			s.add(f, fr)
		default:
			var d *damage
			if !errors.As(err, &d) {
				s.trouble(name, err)
				s.part = nil
				return nil
			}
			age := time.Since(f.mark.modTime())
			if d.short && age >= 0 && age < s.settle && first >= 0 && start == 0 {
				// Somebody may write it in place, against the rules.
				s.pack.records = s.pack.records[:first]
				s.part, s.relist = nil, true
				return nil
			}
			s.addDamage(f, d)
			return s.end(ctx, f)
		}
		if len(s.pack.records) >= DefaultBatchLines || len(s.pack.arena) >= DefaultBatchBytes {
			if err := s.flush(ctx); err != nil {
				return err
			}
			first = -1
		}
	}
}

// open returns nil where there is nothing to read.
func (s *Spool) open(name string) (*spoolFile, error) {
	fd, err := os.OpenFile(filepath.Join(s.o.Path, name), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		s.trouble(name, nil)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	f, err := s.opened(name, fd)
	if err != nil || f == nil {
		fd.Close()
	}
	return f, err
}

func (s *Spool) opened(name string, fd *os.File) (*spoolFile, error) {
	info, err := fd.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, err
	}
	f := &spoolFile{name: name, f: fd, mark: markOf(info)}
	if s.cur.isDone(&f.mark) {
		s.remove(f) // once more
		return nil, nil
	}
	n := int(min(info.Size(), headLen))
	head, ok := fingerprintAt(fd, 0, n)
	if !ok {
		return nil, errChanged
	}
	f.mark.Head, f.mark.Len, f.mark.Stream = head.sum, n, f.mark.streamID(head)
	if p := s.cur.Part; p != nil && p.Size == f.mark.Size && p.Head == head.sum && (p.Ino == f.mark.Ino || p.Mod == f.mark.Mod) {
		f.mark.Stream, f.mark.Off, f.mark.Count, f.mark.Reasons = p.Stream, p.Off, p.Count, p.Reasons
	}
	return f, s.frames(f)
}

// frames makes f ready to be read from its offset on.
func (s *Spool) frames(f *spoolFile) error {
	if filepath.Ext(f.name) != ".json" {
		if _, err := f.f.Seek(f.mark.Off, io.SeekStart); err != nil {
			return err
		}
		l := newLineReader(f.f, f.mark.Off, s.o.MaxRecord)
		f.next, f.pos = l.next, func() int64 { return l.off }
		return nil
	}
	sp := newSplitter(f.f, s.o.MaxRecord)
	if f.mark.Off > 0 {
		// Between two elements, or behind the one value.
		var c [1]byte
		for i := int64(0); ; i++ {
			if _, err := f.f.ReadAt(c[:], i); err != nil {
				return err
			}
			if !space(c[0]) && c[0] < 0x80 {
				break
			}
		}
		sp.array, sp.state, sp.off = c[0] == '[', atEnd, f.mark.Off
		if sp.array {
			sp.state = atSep
		}
		if _, err := f.f.Seek(f.mark.Off, io.SeekStart); err != nil {
			return err
		}
	}
	f.next, f.pos = sp.next, func() int64 { return sp.off }
	return nil
}

func (s *Spool) add(f *spoolFile, fr frame) {
	f.mark.Off = f.pos()
	if len(fr.data) == 0 {
		return // a blank line
	}
	s.pack.records = append(s.pack.records, Record{
		Data: s.pack.keep(fr.data), Path: filepath.Join(s.o.Path, f.name), Stream: f.mark.Stream,
		Offset: fr.off, Size: fr.size, Time: f.mark.modTime(), TooLong: fr.tooLong,
	})
}

// addDamage makes a record of what is left of f.
func (s *Spool) addDamage(f *spoolFile, d *damage) {
	size := max(0, f.mark.Size-d.from)
	data := s.pack.room(min(HeadBytes, size))
	n, _ := f.f.ReadAt(data, d.from)
	s.pack.records = append(s.pack.records, Record{
		Data: data[:n], Path: filepath.Join(s.o.Path, f.name), Stream: f.mark.Stream,
		Offset: d.from, Size: size, Time: f.mark.modTime(), Damage: d.Error(),
	})
	f.damaged = true
}

// end: all of f is in the batch.
func (s *Spool) end(ctx context.Context, f *spoolFile) error {
	f.close()
	s.part = nil
	s.finished = append(s.finished, f)
	if len(s.finished) >= maxFinished {
		return s.flush(ctx)
	}
	return nil
}

// flush hands over the batch and lets the files go that it finishes.
func (s *Spool) flush(ctx context.Context) error {
	if len(s.pack.records) == 0 && len(s.finished) == 0 {
		return nil
	}
	s.cur.Version, s.cur.Part = cursorVersion, nil
	if s.part != nil {
		p := s.part.mark
		p.Name = []byte(s.part.name)
		s.cur.Part = &p
	}
	for _, f := range s.finished {
		m := f.mark
		s.cur.Done = append(s.cur.Done, spoolMark{Dev: m.Dev, Ino: m.Ino, Size: m.Size, Mod: m.Mod, Count: m.Count, Reasons: m.Reasons})
	}
	cursor, err := json.Marshal(s.cur)
	if err != nil {
		return err
	}
	rejected, err := s.feed.offer(ctx, &Batch{Records: s.pack.records, Cursor: cursor})
	if err != nil {
		return err
	}
	s.noteRejected(rejected)
	s.mu.Lock()
	if len(s.pack.records) > 0 {
		s.status.LastRecord = time.Now()
	}
	for _, f := range s.finished {
		s.status.LagBytes = max(0, s.status.LagBytes-f.mark.Size)
		s.status.Files = max(0, s.status.Files-1)
	}
	s.mu.Unlock()
	s.handled += len(s.finished)
	for _, f := range s.finished {
		s.remove(f)
	}
	s.finished = s.finished[:0]
	s.pack.reset()
	return nil
}

// noteRejected keeps with the files what is wrong with their records.
func (s *Spool) noteRejected(rejected []Rejection) {
	files := map[string]*spoolFile{}
	for _, f := range s.finished {
		files[f.mark.Stream] = f
	}
	if s.part != nil {
		files[s.part.mark.Stream] = s.part
	}
	why := map[int]string{}
	for i, r := range s.pack.records {
		why[i] = r.Damage
	}
	for _, r := range rejected {
		why[r.Record] = r.Reason
	}
	for i, r := range s.pack.records {
		if f := files[r.Stream]; why[i] != "" && f != nil {
			f.mark.reject(r.Offset, why[i])
		}
	}
}
