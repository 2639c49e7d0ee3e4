package badgercheck

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
)

// bridge puts fillers over what is damaged in a value log and has whole entries behind it.
// It returns how many bytes those cover.
func bridge(path string) (bridged int, err error) {
	type gap struct{ at, size int }
	var gaps []gap
	err = withMapped(path, func(data []byte) error {
		for at := walHeader; at < len(data); {
			if e := readEntry(data[at:]); e.size > 0 {
				at += e.size
				continue
			}
			rest := data[at:]
			if len(bytes.Trim(rest, "\x00")) == 0 {
				return nil
			}
			size := 1
			for size < len(rest) && readEntry(rest[size:]).size == 0 {
				size++
			}
			if size == len(rest) {
				return nil // the end was torn; nobody was told that it is durable
			}
			gaps = append(gaps, gap{at, size})
			at += size
		}
		return nil
	})
	if err != nil || len(gaps) == 0 {
		return 0, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for _, g := range gaps {
		entry := filler(g.size)
		if entry == nil {
			return bridged, nil // too small for an entry; Badger cuts the log off here
		}
		if _, err := f.WriteAt(entry, int64(g.at)); err != nil {
			return bridged, err
		}
		bridged += g.size
	}
	return bridged, f.Sync()
}

// filler is an entry of an exact size under a key that nothing refers to.
func filler(size int) []byte {
	for klen := 9; klen < 14; klen++ {
		for vbytes := 1; vbytes <= 4; vbytes++ {
			vlen := size - 2 - 1 - vbytes - 1 - klen - crc32.Size
			if vlen < 0 || len(binary.AppendUvarint(nil, uint64(vlen))) != vbytes {
				continue
			}
			b := binary.AppendUvarint([]byte{0, 0}, uint64(klen))
			b = binary.AppendUvarint(b, uint64(vlen))
			b = append(b, 0) // never expires
			b = append(b, bytes.Repeat([]byte{0xFF}, klen)...)
			b = append(b, make([]byte, vlen)...)
			return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
		}
	}
	return nil
}

// Newer counts the entries in the newest value logs that are newer than every version in
// the database, and the commits they are of. More than one commit means that the log of a
// memtable is gone: one may have been torn.
func Newer(dir string, version uint64) (entries, commits int, err error) {
	logs, err := filepath.Glob(filepath.Join(dir, "*.vlog"))
	if err != nil {
		return 0, 0, err
	}
	slices.Sort(logs)
	seen := map[uint64]bool{}
	for _, path := range slices.Backward(logs) {
		before, empty := len(seen), true // Badger begins a new one at each open
		err := withMapped(path, func(data []byte) error {
			for at := walHeader; at < len(data); {
				e := readEntry(data[at:])
				if e.size == 0 {
					break
				}
				if e.ts > version && e.ts < 1<<62 {
					entries++
					seen[e.ts] = true
				}
				at, empty = at+e.size, false
			}
			return nil
		})
		if err != nil {
			return 0, 0, err
		}
		if len(seen) == before && !empty {
			break
		}
	}
	return entries, len(seen), nil
}
