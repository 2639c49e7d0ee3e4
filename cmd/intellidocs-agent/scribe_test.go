package main

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// scribe writes numbered events to a log and turns it, as Python's RotatingFileHandler does or, compressing, as
// logrotate does with delaycompress.
type scribe struct {
	test        testing.TB
	path        string
	first, step int // the numbers are first, first+step, …
	every       time.Duration
	most        int // bytes, of the log
	compress    bool

	writing sync.Mutex // held by the writer, and where it must stand still
	written int
	size    int // of the log
	rotated int
}

func newScribe(t testing.TB, path string) *scribe {
	return &scribe{test: t, path: path, step: 1, every: 2 * time.Millisecond, most: 10_000}
}

// produce writes until the function it returns is called, which tells how many events there are.
func (s *scribe) produce() (stop func() int) {
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-quit:
				return
			case <-time.After(s.every):
				s.event()
			}
		}
	}()
	stop = sync.OnceValue(func() int {
		close(quit)
		<-ended
		return s.written
	})
	s.test.Cleanup(func() { stop() })
	return stop
}

func (s *scribe) event() {
	s.writing.Lock()
	defer s.writing.Unlock()
	line := eventLine(s.first + s.written*s.step)
	appendTo(s.test, s.path, line+"\n")
	s.written++
	if s.size += len(line); s.size >= s.most {
		s.turn()
	}
}

func (s *scribe) turn() {
	suffix := ""
	if s.compress {
		suffix = ".gz"
		if s.rotated > 0 {
			if out, err := exec.Command("gzip", s.path+".1").CombinedOutput(); err != nil {
				s.test.Errorf("gzip: %v\n%s", err, out)
			}
		}
	}
	for i := s.rotated; i > 0; i-- {
		if err := os.Rename(fmt.Sprintf("%s.%d%s", s.path, i, suffix), fmt.Sprintf("%s.%d%s", s.path, i+1, suffix)); err != nil {
			s.test.Error(err)
		}
	}
	if err := os.Rename(s.path, s.path+".1"); err != nil {
		s.test.Error(err)
	}
	s.size = 0
	s.rotated++
}
