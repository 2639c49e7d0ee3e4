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

// identity is the file beside the database that says what it is. It is written once the
// database exists, so that with it and without a database something was lost.
type identity struct {
	Format   int    `json:"format"`
	Instance string `json:"instance"`
}

const identityFile = "queue.json"

func readIdentity(dir string) (*identity, error) {
	path := filepath.Join(dir, identityFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	l := &identity{}
	if err := json.Unmarshal(data, l); err != nil || l.Format < 1 || len(l.Instance) != 8 {
		return nil, fmt.Errorf("%w: %s is not readable; restore the state directory from a backup, or move it away to start empty", ErrDamaged, path)
	}
	if l.Format > format {
		return nil, fmt.Errorf("%w: %s has format %d and this version knows %d; use the newer version again, nothing was changed", ErrNewer, dir, l.Format, format)
	}
	return l, nil
}

// identify returns the queue's instance. The database has the identity too, so that its
// deliveries keep their ids should the file be lost.
func (s *store) identify(stateDir string, known *identity) (string, error) {
	data, err := s.read(metaIdentity, "the queue's identity")
	if err != nil {
		return "", err
	}
	kept := known
	switch {
	case data != nil:
		kept = &identity{}
		if err := decodeJSON("the queue's identity", data, kept); err != nil {
			return "", err
		}
		if kept.Format > format {
			return "", fmt.Errorf("%w: the database has format %d and this version knows %d; use the newer version again, nothing was changed", ErrNewer, kept.Format, format)
		}
	case known != nil:
		// The file is written after the database has it.
		return "", fmt.Errorf("%w: the database in %s is empty and should not be; restore the state directory from a backup, or move it away to start empty", ErrDamaged, s.dir)
	default:
		id := make([]byte, 4)
		if _, err := rand.Read(id); err != nil {
			return "", err
		}
		kept = &identity{Format: format, Instance: hex.EncodeToString(id)}
	}
	if data == nil {
		value, err := encodeJSON(kept)
		if err != nil {
			return "", err
		}
		if err := s.db.Update(func(txn *badger.Txn) error { return txn.Set(metaIdentity, value) }); err != nil {
			return "", fmt.Errorf("write to the queue: %w", err)
		}
	}
	if known == nil || *known != *kept {
		if err := writeIdentity(stateDir, kept); err != nil {
			return "", fmt.Errorf("state directory: %w", err)
		}
	}
	return kept.Instance, nil
}

func writeIdentity(dir string, l *identity) error {
	data, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return writeSynced(filepath.Join(dir, identityFile), append(data, '\n'))
}

// writeSynced replaces a file as a whole, durably.
func writeSynced(path string, data []byte) error {
	tmp, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
