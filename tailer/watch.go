package tailer

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// watcher turns what inotify says of some directories into hints that something
// may have changed. A hint is never needed for correctness, only for speed.
type watcher struct {
	log   *slog.Logger
	fs    *fsnotify.Watcher
	hints chan struct{}
	done  sync.WaitGroup
	// dirs is what each watched path was when it was added.
	dirs map[string]fileID

	mu   sync.Mutex
	want func(name string) bool
	// names: something was made, moved or taken away.
	names bool
}

// newWatcher returns one without inotify if poll is set or there is none to be had.
func newWatcher(poll bool, log *slog.Logger) *watcher {
	w := &watcher{log: log, hints: make(chan struct{}, 1), dirs: map[string]fileID{}, names: true}
	if poll {
		return w
	}
	fs, err := fsnotify.NewWatcher()
	if err != nil {
		log.Warn("no inotify, looking at the files from time to time instead", "error", err)
		return w
	}
	w.fs = fs
	w.done.Add(1)
	go w.run()
	return w
}

func (w *watcher) run() {
	defer w.done.Done()
	events, errs := w.fs.Events, w.fs.Errors
	for {
		select {
		case e, ok := <-events:
			if !ok {
				return
			}
			w.hint(e.Name, e.Has(fsnotify.Create) || e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename))
		case err, ok := <-errs:
			if !ok {
				return
			}
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				w.log.Debug("inotify", "error", err)
			}
			w.hint("", true)
		}
	}
}

// hint notes an event for name, or for anything where name is empty.
func (w *watcher) hint(name string, names bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if name != "" && w.want != nil && !w.want(name) {
		return
	}
	w.names = w.names || names
	select {
	case w.hints <- struct{}{}:
	default:
	}
}

// only limits the hints to the names that want accepts.
func (w *watcher) only(want func(name string) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.want = want
}

// changed reports, once, whether names may have changed.
func (w *watcher) changed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.names
	w.names = false
	return c
}

// dir watches a directory, again if another stands at its path by now.
func (w *watcher) dir(path string, info os.FileInfo) {
	id := idOf(info)
	if w.fs == nil || w.dirs[path] == id {
		return
	}
	if _, had := w.dirs[path]; had {
		_ = w.fs.Remove(path) // the old directory is gone, and its watch with it
	}
	if err := w.fs.Add(path); err != nil {
		w.log.Debug("directory is not watched, looking at it from time to time", "path", path, "error", err)
		return
	}
	w.dirs[path] = id
	w.hint("", true) // what came before the watch made no event
}

// lost forgets a directory that is not there any more.
func (w *watcher) lost(path string) {
	if _, had := w.dirs[path]; had {
		_ = w.fs.Remove(path) // fails where the kernel has dropped it already
		delete(w.dirs, path)
	}
}

// close waits for the goroutine to end.
func (w *watcher) close() {
	if w.fs == nil {
		return
	}
	if err := w.fs.Close(); err != nil {
		w.log.Debug("closing inotify", "error", err)
	}
	w.done.Wait()
}

// rounds calls round until ctx ends, which is no error: at once while there is more, otherwise
// at every hint and after every sweep.
func rounds(ctx context.Context, sweep time.Duration, w *watcher, round func(context.Context) (more bool, err error)) error {
	tick := time.NewTicker(sweep)
	defer tick.Stop()
	for ctx.Err() == nil {
		more, err := round(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			return err
		case more || err != nil:
			continue
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-w.hints:
		}
	}
	return nil
}
