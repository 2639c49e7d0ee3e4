package tailer

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// rotated reports whether name is one that base gets when it is rotated.
func rotated(base, name string) bool {
	rest, ok := strings.CutPrefix(name, base)
	return ok && base != "" && len(rest) > 1 && (rest[0] == '.' || rest[0] == '-')
}

// compressed and foreign are names beside a log that are not read.
func compressed(name string) bool {
	switch filepath.Ext(name) {
	case ".gz", ".bz2", ".xz", ".zst", ".lz4", ".Z", ".zip":
		return true
	}
	return false
}

func foreign(name string) bool {
	switch filepath.Ext(name) {
	case ".lock", ".pid", ".swp", ".tmp":
		return true
	}
	return false
}

// sequence is the number at the end of a rotated file's name, or before its extension, 0
// where it has none. Of two files of one age the one with the higher number is the older: .2
// was .1 before. A date or a number with leading zeros is no such number.
func sequence(path string) int {
	parts := strings.Split(filepath.Base(path), ".")
	for _, part := range []string{parts[len(parts)-1], parts[max(0, len(parts)-2)]} {
		if n, err := strconv.Atoi(part); err == nil && len(part) <= 4 && part[0] != '0' {
			return n
		}
	}
	return 0
}

// like is a kind of name that a begun stream was found under, and so what the files rotated
// after it are called: app-2026-11-25.log, app.1.log (logrotate's extension), @4000….s
// (multilog, svlogd, s6-log). What is older than that stream was read before it, or not meant
// to be.
type like struct {
	dir   string
	name  *regexp.Regexp
	since time.Time
}

const stamp = `@[0-9a-f]{24}` // TAI64N

var (
	stamped = regexp.MustCompile(`^` + stamp + `\.[su]$`)
	digits  = regexp.MustCompile(`[0-9]+`)
)

// gzipped lists the files that gzip has compressed: those rotated from the log, and then the
// others beside it and below, since one of them may hold what is missing under a foreign name.
func (d *directory) gzipped() (paths []string) {
	all := slices.Clone(d.archives)
	for _, dir := range d.nearby() {
		entries, _ := os.ReadDir(dir) // what is wrong with it read has reported
		for _, e := range entries[:min(len(entries), maxOthers)] {
			all = append(all, filepath.Join(dir, e.Name()))
		}
	}
	for _, path := range all {
		if filepath.Ext(path) == ".gz" && !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	return paths
}

// nearby lists the directories where a rotated file may be: the log's and those in it
// (logrotate's olddir).
func (d *directory) nearby() (dirs []string) {
	for _, root := range d.roots() {
		dir := filepath.Dir(root)
		if slices.Contains(dirs, dir) {
			continue
		}
		dirs = append(dirs, dir)
		entries, _ := os.ReadDir(dir)
		for _, e := range entries[:min(len(entries), maxOthers)] {
			if e.IsDir() {
				dirs = append(dirs, filepath.Join(dir, e.Name()))
			}
		}
	}
	return dirs
}

// maxOthers bounds how many files of a directory are looked at for what is missing of a log.
const maxOthers = 1000

// learn takes note that a file of the log is at path by now.
func (d *directory) learn(path string, mod time.Time) {
	dir, name := filepath.Split(path)
	dir = filepath.Clean(dir)
	for _, root := range d.roots() {
		base, beside := filepath.Base(root), dir == filepath.Dir(root)
		if !beside && filepath.Dir(dir) != filepath.Dir(root) {
			continue
		}
		switch {
		case !rotated(base, name):
			if re := alike(base, name); re != nil && name != base {
				d.add(like{dir, re, mod})
			}
		case !beside: // moved, and called as always
			d.add(like{dir, regexp.MustCompile("^" + regexp.QuoteMeta(base) + "[.-].+$"), mod})
		}
	}
}

func (d *directory) add(l like) {
	for i := range d.likes {
		if have := &d.likes[i]; have.dir == l.dir && have.name.String() == l.name.String() {
			if l.since.Before(have.since) {
				have.since, d.full = l.since, noTime
			}
			return
		}
	}
	if len(d.likes) < maxLikes {
		d.likes, d.full = append(d.likes, l), noTime
	}
}

// maxLikes bounds what one log's files may be called.
const maxLikes = 8

// liked reports whether the file at path has such a name and is young enough.
func (d *directory) liked(base, path string) bool {
	dir, name := filepath.Dir(path), filepath.Base(path)
	if name == base {
		return false
	}
	if base == "current" && stamped.MatchString(name) {
		return true
	}
	plain := name
	if compressed(name) {
		plain = strings.TrimSuffix(name, filepath.Ext(name))
	}
	for _, l := range d.likes {
		if l.dir != dir || !l.name.MatchString(plain) {
			continue
		}
		info, err := os.Lstat(path)
		return err == nil && !info.ModTime().Before(l.since)
	}
	return false
}

// alike matches the names that differ from name in its numbers alone; nil where others' files
// could be meant too, since there are no numbers, or nothing of the log's name.
func alike(base, name string) *regexp.Regexp {
	if stamped.MatchString(name) {
		return stamped
	}
	if compressed(name) {
		name = strings.TrimSuffix(name, filepath.Ext(name))
	}
	stem := strings.TrimSuffix(base, filepath.Ext(base))
	at := strings.Index(name, stem)
	if stem == "" || at < 0 {
		return nil
	}
	general := func(s string) string { return digits.ReplaceAllString(regexp.QuoteMeta(s), `[0-9]+`) }
	before, after := general(name[:at]), general(name[at+len(stem):])
	if !digits.MatchString(name[:at] + name[at+len(stem):]) {
		return nil
	}
	return regexp.MustCompile("^" + before + regexp.QuoteMeta(stem) + after + "$")
}
