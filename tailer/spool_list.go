package tailer

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxListed is how many names are sorted at once.
const maxListed = 20_000

// listing is what one reading of the directory has found.
type listing struct {
	// names are the files to be read, in order, at most maxListed of them. more: there are others.
	names []string
	more  bool
	// files is how many there are, and lag what is unread of them in bytes.
	files int
	lag   int64
	// again: a name was changed, and the directory must be read once more.
	again bool
	// known are the checkpoints, and byName the files they are of; seen are those still there.
	known  checkpoints
	byName map[string]fileID
	seen   map[fileID]bool
	// other is what is not read, by reason.
	other map[string]*others
}

// others are things that are not read, for one reason.
type others struct {
	count   int
	example string
}

// list reads the directory.
func list(ctx context.Context, dir *spoolDir, known checkpoints) (*listing, error) {
	l := &listing{known: known, byName: map[string]fileID{}, seen: map[fileID]bool{}, other: map[string]*others{}}
	for id, c := range known {
		l.byName[string(c.Name)] = id
	}
	for {
		part, err := dir.fd.ReadDir(1024)
		for _, e := range part {
			l.take(dir, e.Name())
		}
		if len(l.names) > 2*maxListed {
			l.first(maxListed)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
	}
	l.first(maxListed)
	known.begunFirst(l.names)
	return l, nil
}

// first sorts the names and keeps the first n.
func (l *listing) first(n int) {
	slices.Sort(l.names)
	if len(l.names) > n {
		l.names, l.more = l.names[:n:n], true
	}
}

// take takes in one name.
func (l *listing) take(dir *spoolDir, name string) {
	if strings.HasPrefix(name, ".") {
		if strings.HasPrefix(name, takenName) {
			l.again = dir.giveBack(name) || l.again
		}
		return
	}
	switch filepath.Ext(name) {
	case ".tmp", ".part":
		return
	}
	info, err := dir.root.Lstat(name)
	if err != nil {
		return // it is gone
	}
	switch why := otherThan(name, info); {
	case why != "":
		note(l.other, name, why)
		return
	case info.IsDir():
		return
	}
	l.names = append(l.names, name)
	l.files++
	id := idOf(info)
	if c := l.known[id]; c != nil {
		l.seen[id] = true
		l.lag += max(0, info.Size()-c.Off)
		return
	}
	l.lag += info.Size()
	if id, ok := l.byName[name]; ok {
		l.seen[id] = true // perhaps a copy of it
	}
}

// otherThan says why something is not read, empty where it is.
func otherThan(name string, info os.FileInfo) string {
	switch {
	case info.IsDir() && (name == archiveDir || name == rejectedDir || name == "lost+found"):
		return ""
	case !info.Mode().IsRegular():
		return "is " + kindOf(info.Mode())
	case !spooled(name):
		return "has a name that ends in neither .json, .ndjson nor .jsonl"
	}
	return ""
}

// spooled reports whether a file of this name is read.
func spooled(name string) bool {
	switch filepath.Ext(name) {
	case ".json", ".ndjson", ".jsonl":
		return !strings.HasPrefix(name, ".")
	}
	return false
}

func note(all map[string]*others, name, why string) {
	o := all[why]
	if o == nil {
		o = &others{example: name}
		all[why] = o
	}
	o.count++
	o.example = min(o.example, name)
}
