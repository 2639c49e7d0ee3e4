package tailer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// listing is what one reading of the directory has found.
type listing struct {
	names []string
	more  bool
	files int
	lag   int64
	known map[string]fileID
	seen  map[fileID]bool
	other map[string]*others // by reason
}

// others are things that are not read, for one reason.
type others struct {
	count   int
	example string
}

// list returns the names to be read, in order, at most maxListed of them.
func (s *Spool) list(ctx context.Context) (names []string, more bool, err error) {
	l := &listing{seen: map[fileID]bool{}, other: map[string]*others{}, known: map[string]fileID{}}
	for id, c := range s.known {
		l.known[string(c.Name)] = id
	}
	for {
		part, err := s.root.fd.ReadDir(1024)
		for _, e := range part {
			s.take(l, e.Name())
		}
		if len(l.names) > 2*maxListed {
			slices.Sort(l.names)
			l.names, l.more = l.names[:maxListed:maxListed], true
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, false, fmt.Errorf("reading directory %s: %w", s.o.Path, err)
		}
	}
	slices.Sort(l.names)
	if len(l.names) > maxListed {
		l.names, l.more = l.names[:maxListed], true
	}
	maps.DeleteFunc(s.known, func(id fileID, _ *spoolCheckpoint) bool { return !l.seen[id] })
	for name := range s.troubles {
		if _, err := s.root.root.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			delete(s.troubles, name)
		}
	}
	s.relist = s.relist || l.more
	s.remaining.listed = l.other
	s.mu.Lock()
	s.status.LagBytes, s.status.Files = l.lag, l.files
	s.mu.Unlock()
	return s.begunFirst(l.names), l.more, nil
}

// take takes in one name.
func (s *Spool) take(l *listing, name string) {
	if strings.HasPrefix(name, ".") {
		if strings.HasPrefix(name, takenName) {
			s.giveBack(name)
		}
		return
	}
	switch filepath.Ext(name) {
	case ".tmp", ".part":
		return
	}
	info, err := s.root.root.Lstat(name)
	if err != nil {
		return // it is gone
	}
	switch why := otherThan(name, info); {
	case why != "":
		l.note(name, why)
		return
	case info.IsDir():
		return
	}
	l.names = append(l.names, name)
	l.files++
	id := idOf(info)
	if c := s.known[id]; c != nil {
		l.seen[id] = true
		l.lag += max(0, info.Size()-c.Off)
		return
	}
	l.lag += info.Size()
	if id, ok := l.known[name]; ok {
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

func (l *listing) note(name, why string) {
	o := l.other[why]
	if o == nil {
		o = &others{example: name}
		l.other[why] = o
	}
	o.count++
	o.example = min(o.example, name)
}

// spooled reports whether a file of this name is read.
func spooled(name string) bool {
	switch filepath.Ext(name) {
	case ".json", ".ndjson", ".jsonl":
		return !strings.HasPrefix(name, ".")
	}
	return false
}

// begunFirst puts the files first that were read in part before a restart.
func (s *Spool) begunFirst(names []string) []string {
	begun := map[string]bool{}
	for _, c := range s.known {
		if !c.Done {
			begun[string(c.Name)] = true
		}
	}
	if len(begun) == 0 {
		return names
	}
	slices.SortStableFunc(names, func(a, b string) int {
		switch {
		case begun[a] == begun[b]:
			return 0
		case begun[a]:
			return -1
		}
		return 1
	})
	return names
}

// remaining is what lies in the directory and stays there, and since when that is so.
type remaining struct {
	listed map[string]*others
	text   string
	since  time.Time
	said   string
}

// maxShown is how many reasons a summary lists.
const maxShown = 5

// complainRemaining makes visible what stays in the directory, and logs it once it stays so:
// a link that is a producer's way of moving a file is gone in a moment.
func (s *Spool) complainRemaining() {
	n, text := s.remaining.summary(s.troubles)
	s.mu.Lock()
	s.status.Remaining, s.status.RemainingWhy = n, text
	s.mu.Unlock()
	r, now := &s.remaining, time.Now()
	if text != r.text {
		r.text, r.since = text, now
	}
	if text == r.said || now.Sub(r.since) < s.settle {
		return
	}
	if r.said = text; n > 0 {
		s.o.Logger.Warn("files stay in the spool", "source", s.o.Source, "path", s.o.Path, "files", n, "reason", text)
	}
}

// summary counts what was listed, and the files with a trouble of their own, by reason.
func (r *remaining) summary(troubles map[string]string) (n int, text string) {
	all := listing{other: map[string]*others{}}
	for why, o := range r.listed {
		all.other[why] = &others{o.count, o.example}
	}
	for name, why := range troubles {
		all.note(name, why)
	}
	var texts []string
	for _, why := range slices.Sorted(maps.Keys(all.other)) {
		o := all.other[why]
		n += o.count
		switch {
		case len(texts) == maxShown:
			texts = append(texts, "and more")
		case len(texts) > maxShown:
		case o.count == 1:
			texts = append(texts, fmt.Sprintf("%q %s", o.example, why))
		default:
			texts = append(texts, fmt.Sprintf("%q and %d more: %s", o.example, o.count-1, why))
		}
	}
	return n, strings.Join(texts, "; ")
}
