package config

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// quiet is how long nothing may change before the files are read: an editor, or a
	// ConfigMap's update, takes several steps.
	quiet = 100 * time.Millisecond
	// sweep finds what no event tells of: a network file system, a directory that went away.
	sweep = 5 * time.Second
)

// Watch calls changed, with the reason, when what agent.toml or a file it names holds has
// changed, and for each signal on force, until ctx ends. Events are hints only: what counts is the content behind the resolved path, so a
// file replaced by rename or by a moved link is seen, and a touched one is not.
func Watch(ctx context.Context, files func() Files, force <-chan os.Signal, changed func(why string)) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		// Without inotify (its instances are limited per user) the sweep still works.
		w = &fsnotify.Watcher{}
	} else {
		defer w.Close()
	}
	seen := Files{}
	if err == nil {
		watchDirs(w, files())
	}
	debounce := time.NewTimer(time.Hour)
	debounce.Stop()
	tick := time.NewTicker(sweep)
	defer tick.Stop()
	debounce.Reset(0) // what has changed since it was read is a change too
	for {
		why := ""
		select {
		case <-ctx.Done():
			return nil
		case s := <-force:
			why = s.String()
		case <-w.Events:
			debounce.Reset(quiet)
			continue
		case <-w.Errors:
			debounce.Reset(quiet)
			continue
		case <-debounce.C:
		case <-tick.C:
		}
		if differ(seen, files()) && why == "" {
			why = "file changed"
		}
		if why != "" {
			changed(why)
			debounce.Reset(quiet)
		}
		if err == nil {
			watchDirs(w, files())
		}
	}
}

// watchDirs watches the directories of files and of what links lead to. Adding one again
// is harmless, and needed where it went away and came back.
func watchDirs(w *fsnotify.Watcher, files Files) {
	for f := range files {
		_ = w.Add(filepath.Dir(f)) // one that is not there is looked for by the sweep
		if real, err := filepath.EvalSymlinks(f); err == nil {
			_ = w.Add(filepath.Dir(real))
		}
	}
}

// Files are paths, each with the fingerprint of what was there when it was read.
type Files map[string]string

func fingerprints(paths []string) Files {
	f := Files{}
	for _, p := range paths {
		f[p] = fingerprint(p)
	}
	return f
}

// differ reports whether a file's content, or whether it can be read at all, is not what was
// seen last, or else what it was when it was read; and notes what is.
func differ(seen, files Files) bool {
	changed := false
	for name, read := range files {
		last, known := seen[name]
		if !known {
			last = read
		}
		now := fingerprint(name)
		changed = changed || now != last
		seen[name] = now
	}
	return changed
}

// fingerprint is over where a path leads and what is there.
func fingerprint(name string) string {
	h := sha256.New()
	real, err := filepath.EvalSymlinks(name)
	if err == nil {
		err = hashInto(h, real)
	}
	var pathErr *os.PathError
	if errors.As(err, &pathErr) {
		fmt.Fprintf(h, "%v", pathErr.Err)
	}
	return string(h.Sum(nil))
}

func hashInto(w io.Writer, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, io.LimitReader(f, 16<<20))
	return errors.Join(err, f.Close())
}
