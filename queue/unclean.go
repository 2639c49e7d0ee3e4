package queue

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"time"
)

// Two files beside the database outlive a process that ended badly.
const (
	// openName is there while the queue is open: found at an open, it says that the last
	// process did not close it, and that what it appended may not be on the disk.
	openName = "open"
	// failureName says why a process ended itself; see Failure.
	failureName = "failure.json"
)

// Failure is what ended an earlier process: a write or a sync of the queue that failed.
type Failure struct {
	At    time.Time `json:"at"`
	Cause string    `json:"cause"`
}

// failureSize is what failureName always takes, so that it can be written when there is no room.
const failureSize = 4 << 10

// LastFailure returns the failure that an earlier process ended with, until ForgetFailure.
func (q *Queue) LastFailure() (Failure, bool) {
	data := readFailure(q.disk.dir)
	if len(data) == 0 {
		return Failure{}, false
	}
	var f Failure
	if json.Unmarshal(data, &f) != nil {
		f.Cause = "what the disk holds of the reason cannot be read"
	}
	return f, true
}

// ForgetFailure is called once people were told of LastFailure.
func (q *Queue) ForgetFailure() error { return writeFailure(q.disk.dir, nil) }

func readFailure(stateDir string) []byte {
	data, err := os.ReadFile(filepath.Join(stateDir, failureName))
	if err != nil {
		return nil
	}
	return bytes.TrimRight(data, "\x00")
}

// writeFailure writes in place: there may be no room for another file.
func writeFailure(stateDir string, data []byte) error {
	f, err := os.OpenFile(filepath.Join(stateDir, failureName), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(append(data, make([]byte, failureSize-len(data))...), 0)
	return errors.Join(err, f.Sync(), f.Close())
}

// keepFailure notes the cause for the next process, as far as the disk lets it: an error
// here says nothing new.
func keepFailure(stateDir string, cause error, now time.Time) {
	if len(readFailure(stateDir)) > 0 {
		return // the first is the cause
	}
	const most = failureSize / 8 // of the cause, of which each byte may be escaped
	text := cause.Error()
	data, err := json.Marshal(Failure{At: now, Cause: text[:min(len(text), most)]})
	if err == nil {
		_ = writeFailure(stateDir, data)
	}
}

// markOpen reports whether the queue was not closed the last time.
func markOpen(stateDir string) (unclean bool, err error) {
	if info, err := os.Stat(filepath.Join(stateDir, failureName)); err != nil || info.Size() < failureSize {
		if err := writeFailure(stateDir, readFailure(stateDir)); err != nil {
			return false, err
		}
	}
	path := filepath.Join(stateDir, openName)
	if _, err := os.Stat(path); err == nil {
		return true, nil
	}
	return false, writeSynced(path, nil)
}

func markClosed(stateDir string) error { return os.Remove(filepath.Join(stateDir, openName)) }
