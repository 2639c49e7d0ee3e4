package queue

import (
	"encoding/json"
	"errors"
	"io/fs"
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

// LastFailure returns the failure that an earlier process ended with, until ForgetFailure.
func (q *Queue) LastFailure() (Failure, bool) {
	data, err := os.ReadFile(filepath.Join(q.disk.dir, failureName))
	if err != nil {
		return Failure{}, false
	}
	var f Failure
	if json.Unmarshal(data, &f) != nil {
		f.Cause = "what the disk holds of the reason cannot be read"
	}
	return f, true
}

// ForgetFailure is called once people were told of LastFailure.
func (q *Queue) ForgetFailure() error {
	err := os.Remove(filepath.Join(q.disk.dir, failureName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// keepFailure notes the cause for the next process, as far as the disk lets it: an error
// here says nothing new.
func keepFailure(stateDir string, cause error, now time.Time) {
	data, err := json.Marshal(Failure{At: now, Cause: cause.Error()})
	if err != nil {
		return
	}
	path := filepath.Join(stateDir, failureName)
	if _, err := os.Stat(path); err == nil {
		return // the first is the cause
	}
	_ = writeSynced(path, data)
}

// markOpen reports whether the queue was not closed the last time.
func markOpen(stateDir string) (unclean bool, err error) {
	path := filepath.Join(stateDir, openName)
	if _, err := os.Stat(path); err == nil {
		return true, nil
	}
	return false, writeSynced(path, nil)
}

func markClosed(stateDir string) error { return os.Remove(filepath.Join(stateDir, openName)) }
