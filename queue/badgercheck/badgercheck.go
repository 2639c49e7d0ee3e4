// Package badgercheck verifies that a directory is one that Badger v4 may open.
//
// Badger trusts its files more than a queue can: without a MANIFEST it deletes every
// table, a garbled one it panics over in a goroutine where nobody can recover, and behind
// damage in a memtable's log it drops what follows without a word. What is read here is
// the layout of Badger's own files: MANIFEST, tables (.sst) and memtable logs (.mem).
package badgercheck

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/dgraph-io/badger/v4"
)

// ErrLocked says that another process has the database open.
var ErrLocked = errors.New("the database is in use by another process")

// Damage is what makes a directory unfit to be opened.
type Damage struct {
	Path string // of the file, or of the directory where something is missing
	Err  error
}

func (d *Damage) Error() string { return d.Path + ": " + d.Err.Error() }
func (d *Damage) Unwrap() error { return d.Err }

func damage(path, format string, args ...any) error {
	return &Damage{path, fmt.Errorf(format, args...)}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Check returns nil where Badger may open the directory, a *Damage where it would lose
// what is there or end the process, and ErrLocked where another process has it open.
// exists says that there must be a database. It changes nothing.
func Check(dir string, options badger.Options, exists bool) error {
	unlock, err := lock(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if exists {
			return damage(dir, "the database is gone")
		}
		return nil
	}
	if err != nil {
		return err
	}
	defer unlock()
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	files := map[string]int{}
	var logs []string
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		files[ext]++
		if ext == ".mem" {
			logs = append(logs, e.Name())
		}
	}
	data := files[".sst"] + files[".vlog"] + files[".mem"]
	tables, err := manifest(filepath.Join(dir, badger.ManifestFilename), options)
	switch {
	case errors.Is(err, fs.ErrNotExist) && data > 0:
		return damage(dir, "it has data but no MANIFEST")
	case errors.Is(err, fs.ErrNotExist) && exists:
		return damage(dir, "the database is gone")
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case len(tables) == 0 && (files[".sst"] > 2 || files[".sst"] > 0 && files[".mem"] == 0):
		// A process killed while it wrote its first table leaves one, with the log it came from.
		return damage(dir, "the MANIFEST has lost what it names")
	}
	if err := checkMemtables(dir, logs); err != nil {
		return err
	}
	return checkTables(dir, tables)
}

// lock takes the database's lock the way Badger does, for as long as it is looked at.
func lock(dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = d.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, ErrLocked
		}
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return func() { _ = d.Close() }, nil
}

// manifest returns the tables that a manifest names.
func manifest(path string, options badger.Options) (tables []uint64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, _, err := badger.ReplayManifestFile(f, 0, options)
	if err != nil {
		return nil, damage(path, "%s", strings.ReplaceAll(err.Error(), "\n", " "))
	}
	for id := range m.Tables {
		tables = append(tables, id)
	}
	slices.Sort(tables)
	return tables, nil
}
