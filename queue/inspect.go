package queue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/fb"
)

// inspect refuses what Badger would open and empty, or end the process over: tables that
// no manifest names are deleted, and a garbled one panics where nobody can recover. It
// changes nothing.
func inspect(dir string, known bool) error {
	unlock, err := lock(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if known {
			return damaged("the database in %s is gone", dir)
		}
		return nil
	}
	if err != nil {
		return err
	}
	defer unlock()
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("state directory: %w", err)
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
	tables, err := manifest(filepath.Join(dir, badger.ManifestFilename))
	switch {
	case errors.Is(err, fs.ErrNotExist) && data > 0:
		return damaged("%s has data but no MANIFEST", dir)
	case errors.Is(err, fs.ErrNotExist) && known:
		return damaged("the database in %s is gone", dir)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case len(tables) == 0 && (files[".sst"] > 2 || files[".sst"] > 0 && files[".mem"] == 0):
		// A process killed while it wrote its first table leaves one, with the log it came from.
		return damaged("the MANIFEST in %s has lost what it names", dir)
	}
	if err := inspectLogs(dir, logs); err != nil {
		return err
	}
	return verifyAll(dir, tables)
}

func damaged(what string, args ...any) error {
	return fmt.Errorf("%w: %w. Nothing was changed: restore the state directory from a backup, or move it away to begin anew", ErrDamaged, fmt.Errorf(what, args...))
}

// lock takes the database's lock the way Badger does, for as long as it is looked at.
func lock(dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = d.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s", ErrLocked, dir)
		}
		return nil, fmt.Errorf("lock the state directory %s: %w", dir, err)
	}
	return func() { _ = d.Close() }, nil
}

// manifest gives the tables that a manifest names.
func manifest(path string) (tables []uint64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	defer f.Close()
	m, _, err := badger.ReplayManifestFile(f, 0, dbOptions(filepath.Dir(path), valueLogSize(0)))
	if err != nil {
		return nil, damaged("%s: %s", path, strings.ReplaceAll(err.Error(), "\n", " "))
	}
	for id := range m.Tables {
		tables = append(tables, id)
	}
	slices.Sort(tables)
	return tables, nil
}

// verifyAll reads every table once. It reads and does not map them, so that they do not
// count as this process's memory.
func verifyAll(dir string, tables []uint64) error {
	ids, wrong := make(chan uint64), make(chan error, len(tables))
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			var buf []byte
			for id := range ids {
				path := filepath.Join(dir, fmt.Sprintf("%06d.sst", id))
				var err error
				if buf, err = readInto(buf, path); err == nil {
					err = verify(buf)
				}
				if err != nil {
					wrong <- damaged("%s: %w", path, err)
				}
			}
		})
	}
	for _, id := range tables {
		ids <- id
	}
	close(ids)
	readers.Wait()
	select {
	case err := <-wrong:
		return err
	default:
		return nil
	}
}

// maxTable is far more than a table takes with our options.
const maxTable = 64 << 20

func readInto(buf []byte, path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return buf, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return buf, err
	}
	if info.Size() > maxTable {
		return buf, fmt.Errorf("it is too large: %d bytes", info.Size())
	}
	buf = slices.Grow(buf[:0], int(info.Size()))[:info.Size()]
	_, err = f.ReadAt(buf, 0)
	return buf, err
}

var errTable = errors.New("it does not match its checksums")

// verify checks a table: blocks, then an index that says where they are and the index's
// length; both end in a checksum and the checksum's length.
func verify(table []byte) (err error) {
	defer func() {
		if recover() != nil { // an index that is odd for all its checksum
			err = errTable
		}
	}()
	rest, sum, ok := cutSum(table)
	if !ok || len(rest) < 4 {
		return errTable
	}
	size := int64(binary.BigEndian.Uint32(rest[len(rest)-4:]))
	rest = rest[:len(rest)-4]
	if size > int64(len(rest)) {
		return errTable
	}
	raw := rest[int64(len(rest))-size:]
	if !sumMatches(raw, sum) {
		return errTable
	}
	index := fb.GetRootAsTableIndex(raw, 0)
	var at fb.BlockOffset
	for i := range index.OffsetsLength() {
		if !index.Offsets(&at, i) || int64(at.Offset())+int64(at.Len()) > int64(len(rest)) {
			return errTable
		}
		block, sum, ok := cutSum(rest[at.Offset() : at.Offset()+at.Len()])
		if !ok || !sumMatches(block, sum) {
			return errTable
		}
	}
	return nil
}

// cutSum takes the checksum off the end of data.
func cutSum(data []byte) (rest, sum []byte, ok bool) {
	if len(data) < 4 {
		return nil, nil, false
	}
	n := int64(binary.BigEndian.Uint32(data[len(data)-4:]))
	if data = data[:len(data)-4]; n > int64(len(data)) {
		return nil, nil, false
	}
	at := int64(len(data)) - n
	return data[:at], data[at:], true
}

// sumMatches reads Badger's Checksum message: field 1, the algorithm, is left out for
// CRC-32C, and field 2 is the sum.
func sumMatches(data, message []byte) bool {
	if len(message) > 0 && message[0] == 2<<3 {
		sum, n := binary.Uvarint(message[1:])
		return n == len(message)-1 && sum == uint64(crc32.Checksum(data, castagnoli))
	}
	return len(message) == 0 && crc32.Checksum(data, castagnoli) == 0
}
