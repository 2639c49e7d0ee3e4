package badgercheck

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/dgraph-io/badger/v4/fb"
)

// checkTables reads every table once. It reads and does not map them, so that they do not
// count as this process's memory.
func checkTables(dir string, tables []uint64) error {
	ids, wrong := make(chan uint64), make(chan error, len(tables))
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			var buf []byte
			for id := range ids {
				path := filepath.Join(dir, fmt.Sprintf("%06d.sst", id))
				var err error
				if buf, err = readInto(buf, path); err == nil {
					err = verifyTable(buf)
				}
				if err != nil {
					wrong <- &Damage{path, err}
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

// verifyTable checks a table: blocks, then an index that says where they are and the index's
// length; both end in a checksum and the checksum's length.
func verifyTable(table []byte) (err error) {
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

// TableKeys returns how many keys a table holds, as its index says. It is an error if the
// index is not there whole, as while the table is being written.
func TableKeys(path string) (keys uint32, err error) {
	err = withIndex(path, func(index *fb.TableIndex) { keys = index.KeyCount() })
	return keys, err
}

// withIndex passes a table's index to f. It maps nothing: Badger truncates the tables that it
// removes, and a page that is gone by then would end the process.
func withIndex(path string, f func(index *fb.TableIndex)) (err error) {
	defer func() {
		if recover() != nil { // an index that is odd for all its checksum
			err = errTable
		}
	}()
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	end := info.Size()
	sum, err := cutLast(file, &end)
	if err != nil {
		return err
	}
	raw, err := cutLast(file, &end)
	if err != nil {
		return err
	}
	if len(raw) == 0 || !sumMatches(raw, sum) {
		return errTable
	}
	f(fb.GetRootAsTableIndex(raw, 0))
	return nil
}

// cutLast reads what stands before its own length at the end of a file, and moves the end before it.
func cutLast(file io.ReaderAt, end *int64) ([]byte, error) {
	const number = 4
	var size [number]byte
	if *end -= number; *end < 0 {
		return nil, errTable
	}
	if _, err := file.ReadAt(size[:], *end); err != nil {
		return nil, err
	}
	n := int64(binary.BigEndian.Uint32(size[:]))
	if *end -= n; *end < 0 {
		return nil, errTable
	}
	data := make([]byte, n)
	_, err := file.ReadAt(data, *end)
	return data, err
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
