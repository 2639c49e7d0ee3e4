package tailer

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// missing lists the streams that were not read to their end and are nowhere to be found.
func (set *fileset) missing(now time.Time) (lost []*stream) {
	for _, s := range slices.Clone(set.cur.streams) {
		if s.done || s.holder(nil) != nil {
			continue
		}
		switch {
		case s.size >= 0 && s.size <= s.pos:
			s.done, set.dirty = true, true
		case !set.conclusive(), s.off == 0 && !set.cur.behind.IsZero():
		case s.missing.IsZero():
			s.missing = now
			set.dir.full = noTime // read the directories once more
		case now.Sub(s.missing) >= set.quiet:
			lost = append(lost, s)
		}
	}
	return lost
}

// conclusive reports whether all there is was looked at, so that what was not found is not
// there. An absent log means nothing: its volume may not be mounted yet.
func (set *fileset) conclusive() bool {
	if set.live == nil || set.live.f == nil || !set.dir.scanned || !set.complete || set.dir.problem != "" {
		return false
	}
	for _, f := range set.files {
		if f.copying || f.trouble != nil {
			return false
		}
	}
	return true
}

// gap describes the loss of s.
func (set *fileset) gap(s *stream) *Gap {
	g := &Gap{Path: s.path, Stream: s.id, Offset: s.pos, Since: s.read}
	if s.size > s.pos {
		g.Reason = fmt.Sprintf("the file was truncated or overwritten with %d bytes unread", s.size-s.pos)
	} else {
		g.Reason = "the file is gone, and whether it had been written to since is unknown"
	}
	if n := len(set.dir.archives); n > 0 {
		g.Reason += "; they may be in a compressed file such as " + set.dir.archives[n-1] + ", which can be ingested by hand"
	}
	return g
}

// reportLost reads what is left of s from an archive, or reports the gap.
func (l *Log) reportLost(ctx context.Context, s *stream) error {
	names := l.files.dir.names
	if ok, err := l.readArchived(ctx, s); ok || err != nil {
		return err
	}
	if !l.files.dir.unrenamed(names) {
		return nil // one that was renamed meanwhile was not looked into
	}
	s.done = true
	return l.reader.offer(ctx, &Batch{Gap: l.files.gap(s)})
}

// readArchived reads the rest of s from a rotated file that was compressed before it was
// read to its end, and what was rotated after that. ok is false where there is none, or none
// that is sound.
func (l *Log) readArchived(ctx context.Context, s *stream) (ok bool, err error) {
	for _, path := range l.files.dir.gzipped() {
		if ok, err = l.readRest(ctx, s, path); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// readRest reads the rest of s from the file at path, if it is there.
func (l *Log) readRest(ctx context.Context, s *stream, path string) (ok bool, err error) {
	a, info, err := openArchive(ctx, path)
	if err != nil {
		return false, nil
	}
	defer a.Close()
	if a.seek(s) != nil {
		return false, ctx.Err() // another's, or damaged; the gap will be reported
	}
	cur := l.files.cur
	behind := cur.behind
	cur.fallBehind(info.ModTime()) // before the cursor has s as read
	if ok, err = l.reader.readArchive(ctx, s, a, path); !ok || err != nil {
		cur.behind = behind
		return ok, err
	}
	l.backlog.looked[sightingOf(info)] = true
	l.files.learn(path, info.ModTime())
	return true, l.catchUp(ctx)
}
