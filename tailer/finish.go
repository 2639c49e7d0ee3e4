package tailer

import (
	"context"
	"fmt"
	"slices"
	"time"
)

var noTime time.Time

// lingerSettles is for how many settling times a file that was moved away is held
// open: no name leads back to it if it is written to after all.
const lingerSettles = 20

// finish ends what will not go on: rotated files, copies, streams without a file.
// busy: there is more to read, so nothing can be said to be missing.
func (l *Log) finish(ctx context.Context, busy bool) error {
	now := time.Now()
	for _, f := range l.files {
		if f == l.live {
			continue
		}
		if err := l.finishFile(ctx, f, now); err != nil {
			return err
		}
	}
	if !busy {
		if err := l.findGaps(ctx, now); err != nil {
			return err
		}
	}
	l.prune()
	if !l.dirty {
		return nil
	}
	return l.offer(ctx, &Batch{})
}

func (l *Log) finishFile(ctx context.Context, f *file, now time.Time) error {
	quiet := now.Sub(f.quiet)
	if f.s == nil {
		if f.copying && quiet >= l.settle {
			l.finishCopy(f)
		}
		if !f.known || quiet >= l.settle {
			f.close()
		}
		if !f.known {
			delete(l.files, f.id)
		}
		return nil
	}
	if quiet < l.settle || f.unread() || f.trouble != nil {
		return nil
	}
	if g := l.holder(f.s, f); g != nil && (g == l.live || g.size > f.size) {
		l.let(f, quiet)
		return nil
	}
	if !f.s.done {
		if err := l.finishStream(ctx, f); err != nil {
			return err
		}
	}
	l.let(f, quiet)
	return nil
}

// finishStream takes what a writer left without an end when it died.
func (l *Log) finishStream(ctx context.Context, f *file) error {
	s := f.s
	l.pack.reset()
	was := *s
	if start := s.pos + s.lead; start < f.size {
		err := l.takeRest(f, start)
		if err == nil {
			err = s.confirm(f.f, l.pack.arena, start, f.size)
		}
		if err != nil {
			f.stale = true
			return nil
		}
	}
	l.join.give(s, func(r Record) { l.pack.records = append(l.pack.records, r) })
	if err := l.settleOffsets(); err != nil {
		f.stale = true
		s.off, s.head, s.tail = was.off, was.head, was.tail
		l.rewind(s)
		return nil
	}
	s.done = true
	return l.hand(ctx, s)
}

func (l *Log) takeRest(f *file, start int64) error {
	if err := f.open(); err != nil {
		return err
	}
	if f.size-start > int64(l.o.MaxLine) {
		return l.takeLong(f, start, f.size, 0)
	}
	buf := l.pack.room(f.size - start)
	if n, _ := f.f.ReadAt(buf, start); n < len(buf) {
		return errChanged
	}
	l.take(f, trim(buf, start), start, f.size-start)
	return nil
}

// let closes f, which has nothing to read, unless it would be out of sight then.
func (l *Log) let(f *file, quiet time.Duration) {
	switch {
	case f.known:
		f.close()
	case l.live == nil:
		// Nothing has taken its place: who deletes a log does not stop its writer.
	case !f.linked || quiet >= lingerSettles*l.settle:
		f.close()
		delete(l.files, f.id)
	}
}

// finishCopy records a file that holds only what was read elsewhere as read, so
// that it is known when its original is gone.
func (l *Log) finishCopy(f *file) {
	if f.open() != nil {
		return
	}
	defer f.close()
	for _, s := range l.cur.streams {
		if g := l.holder(s, f); g != nil && f.size < s.pos && g.open() == nil && partOf(f, g) {
			return // as long as the original is there it may yet be growing
		}
	}
	f.copying = false
	l.attach(f, l.addStream())
	l.skip(f, f.size)
}

// findGaps reports streams that were not read to their end and are nowhere to be found.
func (l *Log) findGaps(ctx context.Context, now time.Time) error {
	for _, s := range slices.Clone(l.cur.streams) {
		if s.done || l.holder(s, nil) != nil {
			continue
		}
		if s.size >= 0 && s.size <= s.pos {
			s.done, l.dirty = true, true
			continue
		}
		if !l.conclusive() {
			continue
		}
		if s.missing.IsZero() {
			s.missing = now
			l.dir.full = noTime // look once more
			continue
		}
		if now.Sub(s.missing) < l.settle {
			continue
		}
		if ok, err := l.readArchived(ctx, s); ok || err != nil {
			if err != nil {
				return err
			}
			continue
		}
		s.done = true
		if err := l.offer(ctx, &Batch{Gap: l.gap(s)}); err != nil {
			return err
		}
	}
	return nil
}

// conclusive: all there is was looked at, so what was not found is not there. An
// absent log says nothing: its volume may not be mounted yet.
func (l *Log) conclusive() bool {
	if l.live == nil || l.live.f == nil || !l.dir.scanned || l.dir.problem != "" {
		return false
	}
	for _, f := range l.files {
		if f.copying || f.trouble != nil {
			return false
		}
	}
	return true
}

func (l *Log) gap(s *stream) *Gap {
	g := &Gap{Path: s.path, Stream: s.id, Offset: s.pos, Since: s.read}
	if s.size > s.pos {
		g.Reason = fmt.Sprintf("the file was truncated or overwritten with %d bytes unread", s.size-s.pos)
	} else {
		g.Reason = "the file is gone, and whether it had been written to since is unknown"
	}
	if n := len(l.dir.archives); n > 0 {
		g.Reason += "; they may be in a compressed file such as " + l.dir.archives[n-1] + ", which can be ingested by hand"
	}
	return g
}

// prune bounds the cursor.
func (l *Log) prune() {
	gone := 0
	held := map[*stream]*file{}
	for _, f := range l.files {
		if f.s != nil {
			held[f.s] = f
		}
	}
	for i := len(l.cur.streams) - 1; i >= 0; i-- {
		s := l.cur.streams[i]
		if held[s] != nil {
			continue
		}
		if s.off == 0 && s.size <= s.pos {
			l.drop(s, nil)
		} else if s.done {
			if gone++; gone > maxGone {
				l.drop(s, nil)
			}
		}
	}
	for len(l.cur.streams) > maxStreams {
		s := l.oldestDone(held)
		if s == nil {
			return
		}
		l.drop(s, held[s])
	}
}

func (l *Log) oldestDone(held map[*stream]*file) *stream {
	var oldest *stream
	for _, s := range l.cur.streams {
		f := held[s]
		if f == nil && s.done {
			return s
		}
		if f == nil || f == l.live || s.pos < f.size {
			continue
		}
		if oldest == nil || f.mod.Before(held[oldest].mod) {
			oldest = s
		}
	}
	if oldest == nil {
		return nil
	}
	for _, f := range l.files {
		if f.unread() && f != l.live && !f.mod.After(held[oldest].mod) {
			return nil // it would be taken for one that was read
		}
	}
	return oldest
}

func (l *Log) drop(s *stream, f *file) {
	l.cur.streams = slices.DeleteFunc(l.cur.streams, func(t *stream) bool { return t == s })
	if f == nil {
		return
	}
	if f.mod.After(l.cur.horizon) {
		l.cur.horizon = f.mod
	}
	f.s, f.old = nil, true
	f.close()
}
