package tailer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// fullSweeps is after how many sweeps the directories are read even if nothing
// hints at a change.
const fullSweeps = 25

// dirState is what was found where the log should be.
type dirState struct {
	// scanned: the directories have been read at least once.
	scanned bool
	// full is when they were last read whole.
	full time.Time
	// stamps are the directories' modification times then.
	stamps map[string]time.Time
	// archives are the compressed rotated files.
	archives []string
	// waiting is what is not there yet, problem what is wrong.
	waiting, problem string
}

func (d *dirState) state() (ready bool, reason string) {
	if d.problem != "" {
		return false, d.problem
	}
	return true, d.waiting
}

// look brings what is known of the files up to date and opens those that must not
// slip away: the live file and the unread ones.
func (l *Log) look() {
	now := time.Now()
	names := l.watch.changed()
	roots := l.findRoots(now)
	if l.rootsChanged(roots, now) || names {
		l.readRoots(roots, now)
	}
	for tries := 0; (l.moved() || l.checkAll()) && tries < 3; tries++ {
		l.readRoots(l.findRoots(now), now)
	}
	if l.dir.full.Equal(now) && l.dir.problem == "" {
		l.dir.scanned = true
	}
}

// findRoots finds the live file, and the names that those rotated from it begin with.
func (l *Log) findRoots(now time.Time) []string {
	l.dir.problem, l.dir.waiting = "", ""
	target := l.findLive(now)
	if target == "" || target == l.o.Path {
		return []string{l.o.Path}
	}
	return []string{l.o.Path, target}
}

// moved: the live file was rotated since it was found. Of the files found since then some
// may be younger, and it would be read behind them.
func (l *Log) moved() bool {
	if l.live == nil {
		return false
	}
	info, err := os.Stat(l.o.Path)
	return err == nil && idOf(info) != l.live.id || errors.Is(err, fs.ErrNotExist)
}

// findLive says which inode stands at the path, and its name without links.
func (l *Log) findLive(now time.Time) (target string) {
	info, err := os.Stat(l.o.Path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			l.live = nil
		}
		l.dir.absent(l.o.Path, err)
		return ""
	}
	if !info.Mode().IsRegular() {
		l.live = nil
		l.dir.problem = l.o.Path + " is not a regular file"
		return ""
	}
	if target, err = filepath.EvalSymlinks(l.o.Path); err != nil {
		target = l.o.Path
	}
	f := l.found(target, info, now)
	if l.live != f {
		l.live = f
		l.dir.full = time.Time{} // the old one has gone somewhere
	}
	// What was rotated away just now is no problem: the next look finds what took its place.
	if err := f.open(); err != nil && !elsewhere(err) {
		l.dir.problem = err.Error()
	} else if err := readable(l.o.Path); err != nil && !elsewhere(err) {
		l.dir.problem = fmt.Sprintf("%s cannot be opened any more (%v); what is written to it is still read, until it is rotated or the agent restarts", l.o.Path, err)
	}
	return target
}

func (d *dirState) absent(path string, err error) {
	dir := filepath.Dir(path)
	_, dirErr := os.Stat(dir)
	switch {
	case !errors.Is(err, fs.ErrNotExist):
		d.problem = err.Error()
	case errors.Is(dirErr, fs.ErrNotExist):
		d.problem = "directory " + dir + " does not exist"
	default:
		d.waiting = "waiting for " + path + " to be written"
	}
}

// found returns the file of an inode, a new one where it was not known.
func (l *Log) found(path string, info os.FileInfo, now time.Time) *file {
	id := idOf(info)
	f := l.files[id]
	if f == nil {
		f = &file{id: id, size: -1}
		l.files[id] = f
	}
	f.path, f.known = path, true
	f.refresh(info, now)
	return f
}

// rootsChanged reports whether the directories must be read again.
func (l *Log) rootsChanged(roots []string, now time.Time) bool {
	changed := now.Sub(l.dir.full) > fullSweeps*l.o.Sweep
	stamps := map[string]time.Time{}
	for _, root := range roots {
		dir := filepath.Dir(root)
		info, err := os.Stat(dir)
		if err != nil {
			l.watch.lost(dir)
			continue
		}
		l.watch.dir(dir, info)
		stamps[dir] = info.ModTime()
		if !l.dir.stamps[dir].Equal(info.ModTime()) || now.Sub(info.ModTime()) < recent {
			changed = true
		}
	}
	l.dir.stamps = stamps
	l.watch.only(func(name string) bool {
		for _, root := range roots {
			if strings.HasPrefix(name, root) || filepath.Dir(root) == name {
				return true
			}
		}
		return false
	})
	return changed
}

// readRoots finds the live file's rotated siblings.
func (l *Log) readRoots(roots []string, now time.Time) {
	for _, f := range l.files {
		f.known = f == l.live
	}
	l.dir.archives = nil
	whole := true
	for _, root := range roots {
		if err := l.readDir(filepath.Dir(root), filepath.Base(root), now); err != nil {
			whole = false
			if !errors.Is(err, fs.ErrNotExist) {
				l.dir.problem = err.Error()
			}
		}
	}
	l.readHints(now)
	l.readStrays(roots, now)
	if whole {
		l.dir.full = now
	}
	for id, f := range l.files {
		if !f.known && f.f == nil {
			delete(l.files, id)
		}
	}
}

func (l *Log) readDir(dir, base string, now time.Time) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(256)
		for _, name := range names {
			if !rotated(base, name) || foreign(name) {
				continue
			}
			if compressed(name) {
				l.dir.archives = append(l.dir.archives, filepath.Join(dir, name))
				continue
			}
			path := filepath.Join(dir, name)
			if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() {
				l.found(path, info, now)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading directory %s: %w", dir, err)
		}
	}
}

// readHints looks where unfinished streams were last seen: what a symbolic link
// pointed to before is under no name that could be guessed.
func (l *Log) readHints(now time.Time) {
	for _, s := range l.cur.streams {
		if s.done || s.path == "" || s.off == 0 || l.holder(s, nil) != nil {
			continue
		}
		info, err := os.Lstat(s.path)
		if err != nil || !info.Mode().IsRegular() || idOf(info) != s.file {
			continue
		}
		l.found(s.path, info, now)
	}
}

// readStrays finds unfinished streams whose file was renamed to something that could not
// be guessed while nobody looked: by the inode, and then by what is in it.
func (l *Log) readStrays(roots []string, now time.Time) {
	lost := map[fileID]*stream{}
	for _, s := range l.cur.streams {
		if !s.done && s.off > 0 && s.file != (fileID{}) && l.files[s.file] == nil && l.holder(s, nil) == nil {
			lost[s.file] = s
		}
	}
	for _, root := range roots {
		if len(lost) == 0 {
			return
		}
		dir := filepath.Dir(root)
		entries, _ := os.ReadDir(dir) // readDir has told of what is wrong with it
		for _, e := range entries {
			if !e.Type().IsRegular() {
				continue
			}
			info, err := e.Info()
			if err != nil || lost[idOf(info)] == nil {
				continue
			}
			f := l.found(filepath.Join(dir, e.Name()), info, now)
			if f.known = false; f.open() != nil || !lost[f.id].matches(f.f, f.size) {
				f.close() // the inode is another's by now
				delete(l.files, f.id)
			}
			delete(lost, f.id)
		}
	}
}

// checkAll compares every file that changed with the stream it belongs to, and finds
// the streams of new ones. moved: names have changed meanwhile, or a stream has lost
// its file, perhaps to a copy made just now.
func (l *Log) checkAll() (moved bool) {
	l.restat()
	stale := make([]*file, 0, len(l.files))
	for _, f := range l.files {
		if f.stale {
			stale = append(stale, f)
		}
	}
	slices.SortFunc(stale, l.byAge)
	if n := len(stale); n > 0 && stale[n-1] == l.live {
		// First of all: what the others are depends on it.
		stale = append([]*file{l.live}, stale[:n-1]...)
	}
	for _, f := range stale {
		moved = l.check(f) || moved
	}
	return moved
}

// restat looks at all open files. The live one comes last: where a copy of it has
// been found, it must be known as it was when it was copied, or later.
func (l *Log) restat() {
	for _, f := range l.files {
		if f != l.live && f.f != nil {
			f.restat()
		}
	}
	if l.live != nil && l.live.f != nil {
		l.live.restat()
	}
}

// check opens f if need be. It stays open if there is something to read.
func (l *Log) check(f *file) (moved bool) {
	if f.size == 0 && f.s == nil {
		f.stale = false
		return false
	}
	if err := f.open(); err != nil {
		f.trouble = err
		moved = elsewhere(err)
		if !moved && f != l.live {
			l.dir.problem = err.Error()
		}
		return moved
	}
	f.trouble, f.stale = nil, false
	if f.s != nil && !l.still(f) {
		l.detach(f)
		moved = true
	}
	if f.s == nil && !f.old {
		l.identify(f)
	}
	if f.s != nil && f.s.pos <= f.size {
		if !f.s.sight(f.f, f.size) {
			f.stale = true // it has just been cut
			return true
		}
		f.s.size = max(f.s.size, f.size)
		if f.size > f.s.pos {
			f.s.done = false
		}
	}
	if f != l.live && f.known && (f.s == nil || f.s.done || l.openFiles() > maxOpen) {
		f.close()
	}
	return moved
}

// elsewhere: the file was not under its name any more.
func elsewhere(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, errChanged)
}

// still reports whether f goes on with its stream.
func (l *Log) still(f *file) bool {
	s := f.s
	if s.off == 0 {
		return f.size >= max(s.pos, s.scanned) && s.sameHead(f.f)
	}
	if g := l.holder(s, f); f.size < s.pos && f != l.live && g != nil && g.open() == nil {
		return partOf(f, g) // a copy, overtaken by its original
	}
	return s.matches(f.f, f.size)
}

func (l *Log) openFiles() (n int) {
	for _, f := range l.files {
		if f.f != nil {
			n++
		}
	}
	return n
}

// byAge orders files for reading: those begun before the others, then the oldest,
// and the live one last.
func (l *Log) byAge(a, b *file) int {
	begun := func(f *file) int {
		switch {
		case f == l.live:
			return 2
		case f.s != nil && f.s.off > 0:
			return 0
		}
		return 1
	}
	if c := begun(a) - begun(b); c != 0 {
		return c
	}
	if c := a.mod.Compare(b.mod); c != 0 {
		return c
	}
	if c := sequence(b.path) - sequence(a.path); c != 0 {
		return c
	}
	return strings.Compare(a.path, b.path)
}
