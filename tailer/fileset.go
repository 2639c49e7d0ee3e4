package tailer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// fileset is the files of one log and the streams they hold. Three questions follow each
// other at every scan: which names are there (directory), which inodes stand under them
// (inodes), and which streams those hold (holdings). retire ends what will not continue.
type fileset struct {
	holdings
	path string
	dir  directory
	// quiet is after how long without a change a rotated file is taken to be finished.
	quiet time.Duration
	// vanished is when the oldest of the files was written to that went before anything of them
	// was read, and that the backlog does not account for yet.
	vanished time.Time
	// archived are the compressed files that were there when the directories were last read with
	// nothing missed, and settled is when a name had last changed before that.
	archived map[sighting]bool
	settled  time.Time
}

func newFileset(o *LogOptions, cur *checkpoint) *fileset {
	h := holdings{
		inodes: inodes{files: map[fileID]*file{}}, cur: cur, dirty: len(o.Cursor) == 0,
		skipFirst: len(o.Cursor) == 0 && o.Start == FromEnd, maxLine: int64(o.MaxLine),
	}
	return &fileset{
		holdings: h, path: o.Path, quiet: quietSweeps * o.Sweep,
		dir: directory{path: o.Path, sweep: o.Sweep},
	}
}

// scan brings what is known of the files up to date and opens those that must not
// slip away: the live file and the unread ones.
func (set *fileset) scan(ctx context.Context) {
	now := time.Now()
	names := set.dir.watch.changed()
	set.findLive(now)
	if set.dir.changed(now) || names {
		set.discover(now)
	}
	for tries := 0; (set.moved() || set.checkAll(ctx)) && tries < 3; tries++ {
		set.findLive(now)
		set.discover(now)
	}
	if set.dir.full.Equal(now) && set.dir.problem == "" {
		set.dir.scanned, set.skipFirst = true, false
	}
}

// moved reports whether the live file was rotated since it was found. Of the files found
// since then some may be younger, and it would be read behind them.
func (set *fileset) moved() bool {
	if set.live == nil {
		return false
	}
	info, err := os.Stat(set.path)
	return err == nil && idOf(info) != set.live.id || errors.Is(err, fs.ErrNotExist)
}

// findLive says which file stands at the path.
func (set *fileset) findLive(now time.Time) {
	info, gone := set.dir.live()
	if info == nil {
		if gone {
			set.live = nil
		}
		return
	}
	f := set.add(set.dir.target, info, now)
	if set.live != f {
		set.live = f
		set.dir.full = time.Time{} // the old one has gone somewhere
	}
	// What was rotated away just now is no problem: the next scan finds what took its place.
	if err := f.open(); err != nil && !elsewhere(err) {
		set.dir.problem = err.Error()
	} else if err := readable(set.path); err != nil && !elsewhere(err) {
		set.dir.problem = fmt.Sprintf("%s cannot be opened any more (%v); what is written to it is still read, until it is rotated or the agent restarts", set.path, err)
	}
}

// discover finds the rotated files.
func (set *fileset) discover(now time.Time) {
	for _, f := range set.files {
		f.was, f.known = f.known, f == set.live
	}
	add := func(path string, info os.FileInfo) { set.add(path, info, now) }
	likes := len(set.dir.likes)
	whole, complete := set.dir.read(add)
	set.followHints(now)
	set.findStrays(now)
	set.learnNames()
	if len(set.dir.likes) > likes {
		whole, complete = set.dir.read(add)
	}
	if whole {
		set.dir.full = now
	}
	for _, f := range set.files {
		switch {
		case f.known:
		case !complete:
			f.known = f.was && f.isLinked() // it may have been missed
		case f.f == nil:
			set.vanish(f)
		}
	}
	set.complete = complete
	set.noteArchives()
	if complete && set.live != nil {
		set.cur.forgotten.retain(set.files)
	}
}

// vanish forgets a file that no name leads to. What was not read of it may be in a compressed one
// by now.
func (set *fileset) vanish(f *file) {
	waits := f.s != nil && f.s.off == 0 && f.s.holder(f) == nil && f.end() > f.s.pos
	if waits || f.unseen() {
		set.wentUnread(f.mod)
	}
	set.forget(f)
}

func (set *fileset) wentUnread(at time.Time) {
	if set.vanished.IsZero() || at.Before(set.vanished) {
		set.vanished = at
	}
}

// noteArchives looks for compressed files that are new and were written to since the directories
// were last read. One of them may be of a file that nobody has seen: if the process stood still,
// for one, it may have been made, rotated and compressed between two looks.
func (set *fileset) noteArchives() {
	if set.settled.Equal(set.dir.names) {
		return // no name has changed since
	}
	archived := make(map[sighting]bool, len(set.dir.archives))
	for _, path := range set.dir.archives {
		info, err := os.Stat(path)
		if err != nil || filepath.Ext(path) != ".gz" {
			continue // what others have compressed cannot be looked into
		}
		at := sightingOf(info)
		if archived[at] = true; set.archived != nil && !set.archived[at] && !info.ModTime().Before(set.settled) {
			set.wentUnread(info.ModTime())
		}
	}
	if set.complete {
		set.archived, set.settled = archived, set.dir.names
	}
}

// followHints looks where unfinished streams were last seen: what a symbolic link
// pointed to before is under no name that could be guessed.
func (set *fileset) followHints(now time.Time) {
	for _, s := range set.cur.streams {
		if s.done || s.path == "" || s.off == 0 || s.holder(nil) != nil {
			continue
		}
		info, err := os.Lstat(s.path)
		if err != nil || !info.Mode().IsRegular() || idOf(info) != s.file {
			continue
		}
		set.add(s.path, info, now)
	}
}

// findStrays finds unfinished streams whose file was renamed to something that could not
// be guessed while nobody looked: by the inode, and then by its content.
func (set *fileset) findStrays(now time.Time) {
	lost := map[fileID]*stream{}
	for _, s := range set.cur.streams {
		if !s.done && s.off > 0 && s.file != (fileID{}) && set.files[s.file] == nil && s.holder(nil) == nil {
			lost[s.file] = s
		}
	}
	set.dir.readStrays(lost, func(path string, info os.FileInfo) {
		s := lost[idOf(info)]
		f := set.add(path, info, now)
		if f.known = false; f.open() != nil || !s.matches(f.f, f.size) {
			set.forget(f) // the inode is another's by now
			return
		}
		set.dir.learn(path, info.ModTime())
	})
}

// learn has the directories read again if a name tells more of what files are called.
func (set *fileset) learn(path string, mod time.Time) {
	likes := len(set.dir.likes)
	if set.dir.learn(path, mod); len(set.dir.likes) > likes {
		set.discover(time.Now())
	}
}

// learnNames has the directory look for more files of the kind of names that known ones have
// by now.
func (set *fileset) learnNames() {
	for _, f := range set.files {
		path := f.path
		if !f.known && f.f != nil && f.linked {
			path = f.nameNow() // it was renamed while it was read
		}
		if path != "" && f.s != nil && f != set.live {
			set.dir.learn(path, f.mod)
		}
	}
	for _, s := range set.cur.streams {
		if info, err := os.Lstat(s.path); err == nil && s.file == idOf(info) {
			set.dir.learn(s.path, info.ModTime())
		}
	}
}

// checkAll compares every file that changed with the stream it belongs to, and finds
// the streams of new ones. moved: names have changed meanwhile, or a stream has lost
// its file, perhaps to a copy made just now.
func (set *fileset) checkAll(ctx context.Context) (moved bool) {
	set.restat()
	stale := make([]*file, 0, len(set.files))
	for _, f := range set.files {
		if f.stale {
			stale = append(stale, f)
		}
	}
	slices.SortFunc(stale, set.byAge)
	if n := len(stale); n > 0 && stale[n-1] == set.live {
		// First of all: what the others are depends on it.
		stale = append([]*file{set.live}, stale[:n-1]...)
	}
	for _, f := range stale {
		moved = set.check(ctx, f) || moved
		if f.suspect {
			return true // what the others are, a copy of what it has become for one, depends on it
		}
	}
	return moved
}

// postpone leaves f for the next scan.
func (set *fileset) postpone(f *file, err error) (moved bool) {
	f.stale, f.trouble = true, err
	set.dir.problem = err.Error()
	if f.doubt.IsZero() {
		f.doubt = time.Now()
	}
	return false
}

// check opens f if need be. It stays open if there is something to read.
func (set *fileset) check(ctx context.Context, f *file) (moved bool) {
	if f.size == 0 && f.s == nil {
		f.stale = false
		return false
	}
	if err := f.open(); err != nil {
		f.trouble = err
		moved = elsewhere(err)
		if !moved && f != set.live {
			set.dir.problem = err.Error()
		}
		return moved
	}
	f.trouble, f.stale = nil, false
	set.forgetFailures()
	changed := f.s != nil && !set.unchanged(ctx, f)
	if err := set.undecided(f); err != nil {
		return set.postpone(f, err)
	}
	if changed {
		if f == set.live && !f.suspect {
			f.suspect, f.stale = true, true
			return true // what it was may be in a copy that was made just now
		}
		if err := set.changedContent(ctx, f); err != nil {
			return set.postpone(f, err)
		}
		f.spoiled = f.s == nil && f != set.live
		moved = true
	}
	if f.s == nil && !f.old {
		if err := set.match(ctx, f); err != nil {
			return set.postpone(f, err)
		}
	}
	f.suspect, f.doubt = false, noTime
	if f.s != nil && f.s.pos <= f.size {
		if !f.s.sight(f.f, f.size) {
			f.stale = true // it has just been cut
			return true
		}
		f.s.size = max(f.s.size, f.end())
		if f.end() > f.s.pos {
			f.s.done = false
		}
	}
	if f != set.live && f.known && (f.s == nil || f.s.done || set.open() > maxOpen) {
		f.close()
	}
	return moved
}
