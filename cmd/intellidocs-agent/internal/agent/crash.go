package agent

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// The queue's files are mapped, and where a page of one cannot be brought from or to the disk,
// which others have just filled or which does not answer, the system ends the process by
// SIGBUS. That cannot be caught, but the runtime can be told where else to write its last
// words, so that the next process knows. All of the file is written beforehand: there is no
// room for it then.
const (
	crashName = "crash"
	crashSize = 64 << 10
)

// formerAgent is the process that had the state directory open before this one.
type formerAgent struct {
	state string
	queue lastFailure
	log   *slog.Logger
}

// failure returns what ended it, where that was the disk. Unless that is still to be told, this
// process leaves word of its own end from then on.
func (b formerAgent) failure() (f queue.Failure, failed bool) {
	f, failed = b.queue.LastFailure()
	crash, crashed := b.crash()
	if !crashed {
		b.awaitCrash()
		return f, failed
	}
	if !failed {
		f = crash
	}
	return f, true
}

// forget is called once people were told.
func (b formerAgent) forget() error {
	b.awaitCrash()
	return b.queue.ForgetFailure()
}

// crash returns how it was ended by SIGBUS. What it was ended by otherwise, a mistake of ours,
// is logged.
func (b formerAgent) crash() (f queue.Failure, crashed bool) {
	path := filepath.Join(b.state, crashName)
	text, err := os.ReadFile(path)
	text = bytes.TrimRight(text, "\x00")
	if err != nil || len(text) == 0 {
		return f, false
	}
	if !bytes.Contains(text, []byte("SIGBUS")) {
		first, _, _ := bytes.Cut(text, []byte("\n"))
		b.log.Error("the previous agent crashed; nothing that was acknowledged is lost. Please report this, with the file", "said", string(first), "file", path+".last")
		if err := os.Rename(path, path+".last"); err != nil {
			b.log.Warn("cannot keep what the previous agent wrote when it crashed", "error", err)
		}
		return f, false
	}
	if info, err := os.Stat(path); err == nil {
		f.At = info.ModTime()
	}
	f.Cause = "the system ended the agent (SIGBUS), since a page of the queue's files could not be read or written: the disk was filled all at once, or does not answer"
	return f, true
}

// awaitCrash has a crash of this process leave word for the next one.
func (b formerAgent) awaitCrash() {
	path := filepath.Join(b.state, crashName)
	err := os.WriteFile(path, make([]byte, crashSize), 0o600)
	if err == nil {
		var f *os.File
		if f, err = os.OpenFile(path, os.O_WRONLY, 0); err == nil {
			err = errors.Join(debug.SetCrashOutput(f, debug.CrashOptions{}), f.Close())
		}
	}
	if err != nil {
		b.log.Warn("cannot keep a record of crashes; if the agent crashes, the next one cannot report it", "error", err)
	}
}
