package tailer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// fullSweeps is after how many sweeps the directories are read even if nothing
// hints at a change.
const fullSweeps = 25

// directory finds the names that belong to a log: the live one, and those rotated from it.
type directory struct {
	// path is the live file's as configured, target its name without links; empty where
	// there is none.
	path, target string
	sweep        time.Duration
	watch        *watcher
	// scanned: the directories have been read at least once.
	scanned bool
	// full is when they were last read whole.
	full time.Time
	// stamps are the directories' modification times then.
	stamps map[string]time.Time
	// archives are the compressed rotated files.
	archives []string
	// names is when a name had changed last before they were read.
	names time.Time
	// likes are the names that rotated files were seen to get, beside those of rotated.
	likes []like
	// waiting is what is not there yet, problem what is wrong, warning what will be.
	waiting, problem, warning string
	// asked is the file that warning is about.
	asked fileID
}

func (d *directory) state() (ready bool, reason string) {
	if d.problem != "" {
		return false, d.problem
	}
	return true, d.waiting
}

// roots are the names that those of rotated files begin with.
func (d *directory) roots() []string {
	if d.target == "" || d.target == d.path {
		return []string{d.path}
	}
	return []string{d.path, d.target}
}

// live returns what stands at the path; nil where that is no file to read. gone: there is
// certainly none.
func (d *directory) live() (info os.FileInfo, gone bool) {
	d.problem, d.waiting, d.target = "", "", ""
	info, err := os.Stat(d.path)
	if err != nil {
		d.absent(err)
		return nil, errors.Is(err, fs.ErrNotExist)
	}
	if !info.Mode().IsRegular() {
		d.problem = d.path + " is not a regular file"
		return nil, true
	}
	if d.target, err = filepath.EvalSymlinks(d.path); err != nil {
		d.target = d.path
	}
	if id := idOf(info); id != d.asked {
		d.asked, d.warning = id, ""
		if IsMount(d.target) {
			d.warning = MountWarning(d.target)
		}
	}
	return info, false
}

func (d *directory) absent(err error) {
	dir := filepath.Dir(d.path)
	_, dirErr := os.Stat(dir)
	switch {
	case !errors.Is(err, fs.ErrNotExist):
		d.problem = err.Error()
	case errors.Is(dirErr, fs.ErrNotExist):
		d.problem = "directory " + dir + " does not exist"
	default:
		d.waiting = "waiting for " + d.path + " to be written"
	}
}

// changed reports whether the directories must be read again.
func (d *directory) changed(now time.Time) bool {
	changed := now.Sub(d.full) > fullSweeps*d.sweep
	stamps := map[string]time.Time{}
	roots := d.roots()
	for _, root := range roots {
		dir := filepath.Dir(root)
		info, err := os.Stat(dir)
		if err != nil {
			d.watch.lost(dir)
			continue
		}
		d.watch.dir(dir, info)
		stamps[dir] = info.ModTime()
		if !d.stamps[dir].Equal(info.ModTime()) || now.Sub(info.ModTime()) < recent {
			changed = true
		}
	}
	d.stamps = stamps
	d.watch.only(func(name string) bool {
		for _, root := range roots {
			if strings.HasPrefix(name, root) || filepath.Dir(root) == name {
				return true
			}
		}
		return false
	})
	return changed
}

// read calls found with every rotated file that is not compressed. It reports whether all
// directories could be read, and whether no name changed meanwhile, so that none was missed.
func (d *directory) read(found func(path string, info os.FileInfo)) (whole, complete bool) {
	d.archives, whole = nil, true
	d.names = d.renamedAt()
	settled := time.Now().Add(-tick)
	read := map[string]bool{}
	for _, root := range d.roots() {
		dir := filepath.Dir(root)
		read[dir] = true
		whole = d.readDir(dir, filepath.Base(root), found) && whole
	}
	for _, l := range d.likes {
		if !read[l.dir] {
			read[l.dir] = true
			d.readDir(l.dir, "", found) // that it is gone is no problem
		}
	}
	return whole, whole && d.names.Before(settled) && d.unrenamed(d.names)
}

// unrenamed reports whether no name has changed since that time.
func (d *directory) unrenamed(since time.Time) bool { return d.renamedAt().Equal(since) }

// tick is how long a file system may give a directory the same time of modification.
const tick = 20 * time.Millisecond

// renamedAt is when a name last changed in one of the directories. A file that is renamed while
// a directory is read may be under none of the names that reading it returns.
func (d *directory) renamedAt() (at time.Time) {
	look := func(dir string) {
		if info, err := os.Stat(dir); err == nil && info.ModTime().After(at) {
			at = info.ModTime()
		}
	}
	for _, root := range d.roots() {
		look(filepath.Dir(root))
	}
	for _, l := range d.likes {
		look(l.dir)
	}
	return at
}

// readDir reports whether the directory could be read whole.
func (d *directory) readDir(dir, base string, found func(path string, info os.FileInfo)) bool {
	err := d.readNames(dir, base, found)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.problem = err.Error()
	}
	return err == nil
}

// readNames calls found with the files in dir that are rotated from base, or else liked.
func (d *directory) readNames(dir, base string, found func(path string, info os.FileInfo)) error {
	r, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		names, err := r.Readdirnames(256)
		for _, name := range names {
			path := filepath.Join(dir, name)
			if foreign(name) || !rotated(base, name) && !d.liked(base, path) {
				continue
			}
			if compressed(name) {
				d.archives = append(d.archives, path)
			} else if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() {
				found(path, info)
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

// readStrays calls found with the files of these inodes, whatever their names.
func (d *directory) readStrays(lost map[fileID]*stream, found func(path string, info os.FileInfo)) {
	if len(lost) == 0 {
		return
	}
	for _, dir := range d.nearby() {
		entries, _ := os.ReadDir(dir) // readDir has reported what is wrong with it
		for _, e := range entries {
			if !e.Type().IsRegular() {
				continue
			}
			info, err := e.Info()
			if err != nil || lost[idOf(info)] == nil {
				continue
			}
			found(filepath.Join(dir, e.Name()), info)
			delete(lost, idOf(info))
			if len(lost) == 0 {
				return
			}
		}
	}
}
