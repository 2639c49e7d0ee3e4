package tailer

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The backlog of a log is what was rotated and compressed before anything of it was read, while
// the agent was down, usually. It begins at a time, checkpoint.behind: whatever compressed file
// was written to since then may be unread. It ends once each of them was looked into, and that
// can only be said of a directory that was read, and whose files were opened, with no name
// changing meanwhile. Until then what is seen of the backlog is read at each pass, and the
// cursor keeps the time, since younger files are read too.

// backlog is what a log knows of its backlog within one run.
type backlog struct {
	// begun are the streams that reading continues with, read is when something was read last,
	// and behind where the backlog began then: as the cursor had it.
	begun        []*stream
	read, behind time.Time
	// measured: where the backlog begins is known.
	measured bool
	// looked are the compressed files that were looked into.
	looked map[sighting]bool
}

// sighting is a file as it was at some time.
type sighting struct {
	id  fileID
	mod int64
}

func sightingOf(info os.FileInfo) sighting { return sighting{idOf(info), info.ModTime().UnixNano()} }

func newBacklog(cur *checkpoint) backlog {
	b := backlog{behind: cur.behind, looked: map[sighting]bool{}}
	for _, s := range cur.streams {
		if s.read.After(b.read) {
			b.read = s.read
		}
		if s.off > 0 && !s.done {
			b.begun = append(b.begun, s)
		}
	}
	return b
}

// measure finds out, once that can be known, where the backlog begins, and takes in what vanished.
func (b *backlog) measure(set *fileset) {
	if !b.measured {
		b.begin(set)
	}
	if set.vanished.IsZero() {
		return
	}
	set.cur.fallBehind(set.vanished)
	set.dirty = true
	if b.measured {
		set.vanished = noTime
	}
}

// begin finds out where the backlog began at the start. An absent log means nothing: its volume
// may not be mounted yet.
func (b *backlog) begin(set *fileset) {
	if set.live == nil && !set.dir.scanned {
		return
	}
	at, sure := b.leftOff(set)
	set.cur.behind = noTime
	set.cur.fallBehind(b.behind)
	set.cur.fallBehind(at)
	b.measured = sure
}

// leftOff is when the file was written to last with which reading continues, where that is a
// rotated one; otherwise when something was read last. It is zero where reading continues
// with the live file, or begins. sure is false while a file may not have been seen.
func (b *backlog) leftOff(set *fileset) (at time.Time, sure bool) {
	sure = true
	for _, s := range b.begun {
		f, mod := s.holder(nil), s.read
		switch {
		case f == nil && s.done:
			continue
		case f == nil && !set.complete:
			sure = false
		case f == nil || f == set.live:
			return noTime, true // of one that is gone missing says what must be done
		default:
			mod = f.mod
		}
		if at.IsZero() || mod.Before(at) {
			at = mod
		}
	}
	if at.IsZero() {
		at = b.read
	}
	return at, sure
}

// fallBehind makes the backlog begin at a time, unless it began before.
func (c *checkpoint) fallBehind(since time.Time) {
	if !since.IsZero() && (c.behind.IsZero() || since.Before(c.behind)) {
		c.behind = since
	}
}

// catchUp reads what there is of the backlog, before what is younger is read.
func (l *Log) catchUp(ctx context.Context) error {
	set := l.files
	if set.cur.behind.IsZero() || !l.backlog.measured {
		return nil
	}
	complete, names := set.complete, set.dir.names
	all, err := l.readBacklog(ctx)
	if err == nil && all && complete && set.dir.unrenamed(names) {
		set.cur.behind, set.dirty = noTime, true
		l.forgetLooked()
	}
	return err
}

// forgetLooked keeps in mind of the files that were looked into those that are still there. They
// are not read again when the backlog begins anew, whatever the checkpoint has let go meanwhile.
func (l *Log) forgetLooked() {
	there := map[sighting]bool{}
	for _, path := range l.files.dir.archives {
		if info, err := os.Stat(path); err == nil && l.backlog.looked[sightingOf(info)] {
			there[sightingOf(info)] = true
		}
	}
	l.backlog.looked = there
}

// compressedFile is one that was found under a name.
type compressedFile struct {
	path string
	info os.FileInfo
}

// readBacklog looks into the compressed files of the backlog, the oldest first. all: none has
// to be looked at again.
func (l *Log) readBacklog(ctx context.Context) (all bool, err error) {
	all = true
	var list []compressedFile
	for _, path := range l.files.dir.archives {
		info, err := os.Stat(path)
		switch {
		case err != nil:
			all = false // it was renamed
		case info.Mode().IsRegular() && !info.ModTime().Before(l.files.cur.behind):
			list = append(list, compressedFile{path, info})
		}
	}
	slices.SortFunc(list, func(a, b compressedFile) int {
		return cmp.Or(a.info.ModTime().Compare(b.info.ModTime()), sequence(plainName(b.path))-sequence(plainName(a.path)), strings.Compare(a.path, b.path))
	})
	for _, c := range list {
		looked, err := l.lookInto(ctx, c)
		if err != nil {
			return false, err
		}
		all = all && looked
	}
	return all, nil
}

// plainName is the name of a file before it was compressed.
func plainName(path string) string { return strings.TrimSuffix(path, filepath.Ext(path)) }

// lookInto reads a compressed file, unless it was read before, and reports the gap where it
// cannot be read. It is false where the file must be looked at again.
func (l *Log) lookInto(ctx context.Context, c compressedFile) (looked bool, err error) {
	a, info, failed := openArchive(ctx, c.path)
	if failed == nil {
		defer a.Close()
		c.info = info // of another file perhaps that has taken the name
	} else if errors.Is(failed, fs.ErrNotExist) {
		return false, nil
	}
	seen := sightingOf(c.info)
	if l.backlog.looked[seen] {
		return true, nil
	}
	// Asked first: what is not all there yet is not known either, and may be all there a moment later.
	young := time.Since(c.info.ModTime()).Abs() < l.files.quiet
	if failed == nil && young && a.sound() != nil {
		return false, nil // it is being compressed
	}
	if failed == nil && !l.knownArchive(a) {
		s := l.sighted(a)
		if s.holder(nil) != nil {
			return false, nil // it is read there
		}
		failed = l.readWhole(ctx, s, a, c.path)
	}
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if failed != nil {
		g := &Gap{Path: c.path, Reason: "it was rotated and compressed before it was read to its end, and can be ingested by hand (" + failed.Error() + ")"}
		if err := l.reader.offer(ctx, &Batch{Gap: g}); err != nil {
			return false, err
		}
	}
	l.backlog.looked[seen] = true
	return true, nil
}

// knownArchive reports whether a holds a stream that is known.
func (l *Log) knownArchive(a *archive) bool {
	return slices.ContainsFunc(l.files.cur.streams, func(s *stream) bool { return s.off > 0 && a.seek(s) == nil })
}

// sighted returns the stream that was seen, before anything of it was read, in what a holds now; a
// new one where there is none. It has a holder where the file is yet to be read.
func (l *Log) sighted(a *archive) *stream {
	for _, s := range l.files.cur.streams {
		f := s.holder(nil)
		if s.off == 0 && s.head.n > 0 && (f == nil || f.unread()) && a.seek(s) == nil {
			return s
		}
	}
	return newStream()
}

// readWhole reads an archive of which nothing was read.
func (l *Log) readWhole(ctx context.Context, s *stream, a *archive, path string) error {
	s.path = path
	if err := a.sight(s); err != nil {
		return err
	}
	ok, err := l.reader.readArchive(ctx, s, a, path)
	if err == nil && !ok {
		err = errors.New("it is damaged")
	}
	return err
}
