package queue

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
)

// label is the file beside the database that says what it is. It is written once the
// database exists, so that with it and without a database something was lost.
type label struct {
	Format   int    `json:"format"`
	Instance string `json:"instance"`
}

const labelName = "queue.json"

func readLabel(dir string) (*label, error) {
	path := filepath.Join(dir, labelName)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	l := &label{}
	if err := json.Unmarshal(data, l); err != nil || l.Format < 1 || len(l.Instance) != 8 {
		return nil, fmt.Errorf("%w: %s is not readable; restore the state directory from a backup, or move it away to begin anew", ErrDamaged, path)
	}
	if l.Format > format {
		return nil, fmt.Errorf("%w: %s has format %d and this version knows %d; use the newer version again, nothing was changed", ErrNewer, dir, l.Format, format)
	}
	return l, nil
}

// identify gives the queue's instance. The database has the label too, so that its
// deliveries keep their ids should the file be lost.
func (q *Queue) identify(known *label) (string, error) {
	var data []byte
	if err := q.read(metaLabel, "the queue's label", &data); err != nil {
		return "", err
	}
	kept := known
	switch {
	case data != nil:
		kept = &label{}
		if err := decodeJSON("the queue's label", data, kept); err != nil {
			return "", err
		}
		if kept.Format > format {
			return "", fmt.Errorf("%w: the database has format %d and this version knows %d; use the newer version again, nothing was changed", ErrNewer, kept.Format, format)
		}
	case known != nil:
		// The label is written after the database has it.
		return "", fmt.Errorf("%w: the database in %s is empty and should not be; restore the state directory from a backup, or move it away to begin anew", ErrDamaged, q.dbDir())
	default:
		id := make([]byte, 4)
		if _, err := rand.Read(id); err != nil {
			return "", err
		}
		kept = &label{Format: format, Instance: hex.EncodeToString(id)}
	}
	if data == nil {
		value, err := encodeJSON(kept)
		if err != nil {
			return "", err
		}
		if err := q.db.Update(func(txn *badger.Txn) error { return txn.Set(metaLabel, value) }); err != nil {
			return "", fmt.Errorf("write to the queue: %w", err)
		}
	}
	if known == nil || *known != *kept {
		if err := writeLabel(q.dir, kept); err != nil {
			return "", fmt.Errorf("state directory: %w", err)
		}
	}
	return kept.Instance, nil
}

func writeLabel(dir string, l *label) error {
	data, err := json.Marshal(l)
	if err != nil {
		return err
	}
	tmp, err := os.OpenFile(filepath.Join(dir, labelName+".tmp"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = tmp.Write(append(data, '\n'))
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), filepath.Join(dir, labelName)); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
