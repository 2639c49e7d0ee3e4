//go:build amd64 || arm64

package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// supervise starts the agent whenever it has ended, as systemd does.
func (f *faulty) supervise() {
	defer close(f.done)
	for {
		var said bytes.Buffer
		cmd := exec.Command(f.program, "run", "-c", f.toml)
		cmd.Stdout, cmd.Stderr = &said, &said
		f.held.Lock()
		f.mu.Lock()
		if f.stopping {
			f.mu.Unlock()
			f.held.Unlock()
			return
		}
		var err error
		if f.injector != nil {
			err = f.injector.Start(cmd)
		} else {
			err = cmd.Start()
		}
		f.running = cmd
		f.mu.Unlock()
		f.held.Unlock()
		if err != nil {
			f.t.Error(err)
			return
		}
		_ = cmd.Wait() // how it ended is told below
		_, _ = f.out.Write(append(said.Bytes(), '\n'))
		f.mu.Lock()
		stopping := f.stopping
		f.ends = append(f.ends, fmt.Sprintf("%s: %s", cmd.ProcessState, lastWords(said.String())))
		f.mu.Unlock()
		if stopping {
			return
		}
		time.Sleep(300 * time.Millisecond)
	}
}

// lastWords is what a program says of why it ends.
func lastWords(said string) string {
	for _, mark := range []string{"panic:", "unexpected fault", "SIGBUS", "fatal error:", "intellidocs-agent:"} {
		if at := strings.Index("\n"+said, "\n"+mark); at >= 0 {
			return strings.TrimSpace(said[at:min(len(said), at+600)])
		}
	}
	said = strings.TrimSpace(said)
	return said[max(0, len(said)-200):]
}

func (f *faulty) signal(sig syscall.Signal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running != nil {
		_ = f.running.Process.Signal(sig)
	}
}

// stop ends the agent in order, for good.
func (f *faulty) stop() {
	f.mu.Lock()
	f.stopping = true
	f.mu.Unlock()
	f.signal(syscall.SIGTERM)
	select {
	case <-f.done:
	case <-time.After(time.Minute):
		f.signal(syscall.SIGQUIT)
		<-f.done
		f.t.Error("it does not stop")
	}
}

func (f *faulty) halt() {
	f.mu.Lock()
	f.stopping = true
	started := f.running != nil
	f.mu.Unlock()
	f.signal(syscall.SIGKILL)
	if started {
		<-f.done
	}
}
