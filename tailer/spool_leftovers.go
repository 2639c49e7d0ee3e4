package tailer

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"
)

// leftovers is what lies in the directory and stays there: what is not read, and files that
// cannot be read or removed.
type leftovers struct {
	log          *slog.Logger
	source, path string
	settle       time.Duration
	// listed is what is not read, by reason; troubles say what is wrong with one file.
	listed   map[string]*others
	troubles map[string]string
	// text sums them up, since when it does; said was logged last.
	text  string
	since time.Time
	said  string
}

// trouble notes what is wrong with one file, nil where nothing is any more, and logs it once
// until it changes.
func (l *leftovers) trouble(name string, err error) {
	if err == nil {
		delete(l.troubles, name)
		return
	}
	if l.troubles[name] == err.Error() {
		return
	}
	if len(l.troubles) < maxStuck {
		l.troubles[name] = err.Error()
	}
	l.log.Warn("spool file stays where it is", "source", l.source, "file", name, "error", err)
}

// see takes in what a reading of the directory has found.
func (l *leftovers) see(dir *spoolDir, other map[string]*others) {
	l.listed = other
	for name := range l.troubles {
		if _, err := dir.root.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			delete(l.troubles, name)
		}
	}
}

// report returns how many there are and why, and logs that once it stays so: a link that is a
// producer's way of moving a file is gone in a moment.
func (l *leftovers) report(now time.Time) (n int, text string) {
	n, text = l.summary()
	if text != l.text {
		l.text, l.since = text, now
	}
	if text == l.said || now.Sub(l.since) < l.settle {
		return n, text
	}
	if l.said = text; n > 0 {
		l.log.Warn("files stay in the spool", "source", l.source, "path", l.path, "files", n, "reason", text)
	}
	return n, text
}

// maxShown is how many reasons a summary lists.
const maxShown = 5

// summary counts what was listed, and the files with a trouble of their own, by reason.
func (l *leftovers) summary() (n int, text string) {
	all := map[string]*others{}
	for why, o := range l.listed {
		all[why] = &others{o.count, o.example}
	}
	for name, why := range l.troubles {
		note(all, name, why)
	}
	var texts []string
	for _, why := range slices.Sorted(maps.Keys(all)) {
		o := all[why]
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
