package queue

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// ErrMovedAway is why a queue is not opened whose contents are in another engine now, or on their way
// there: two queues of the same events would deliver them twice.
var ErrMovedAway = errors.New("the queue in the state directory was moved away")

// movedName is there from when a queue begins to be moved to another engine.
const movedName = "moved.json"

// moved says where a queue went.
type moved struct {
	To   string    `json:"to"` // for people
	At   time.Time `json:"at"`
	Done bool      `json:"done"`
}

// MarkMoved has Open refuse the state directory from now on. It is called when the move begins, and with
// done when all is there.
func MarkMoved(dir, to string, done bool) error {
	data, err := json.Marshal(moved{To: to, At: time.Now().UTC().Truncate(time.Second), Done: done})
	if err == nil {
		err = writeSynced(filepath.Join(dir, movedName), append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("mark the state directory: %w", err)
	}
	return nil
}

// Exists reports whether the state directory has a queue, wherever it may have been moved since.
func Exists(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, identityFile))
	return err == nil
}

// Unmoved reports whether the state directory has a queue that is not wholly elsewhere.
func Unmoved(dir string) bool {
	data, err := os.ReadFile(filepath.Join(dir, movedName))
	var m moved
	return Exists(dir) && (err != nil || json.Unmarshal(data, &m) != nil || !m.Done)
}

// checkMoved returns an ErrMovedAway where the directory is marked.
func checkMoved(dir string) error {
	path := filepath.Join(dir, movedName)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	var m moved
	switch err := json.Unmarshal(data, &m); {
	case err != nil:
		return fmt.Errorf("%w: %s", ErrMovedAway, path)
	case !m.Done:
		return fmt.Errorf("%w: a move to %s began on %s and did not end; finish it: intellidocs-agent queue move",
			ErrMovedAway, m.To, m.At.Format(time.DateTime))
	}
	return fmt.Errorf("%w: to %s, on %s. Set [queue] engine = \"postgres\"; to start an empty queue here instead, move %s away",
		ErrMovedAway, m.To, m.At.Format(time.DateTime), dir)
}
