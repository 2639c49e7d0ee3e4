package badgercheck

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/dgraph-io/badger/v4/y"
)

// Badger reads the log of a memtable up to the first entry that is not whole and drops
// what follows, without a word. That is right for the commit that a power cut tore, since
// nobody was told that it is durable, and wrong for damage before other commits. What is
// read here is the layout of Badger v4's memtable.go: a header, then entries of a header,
// key, value and CRC-32C; a commit's entries have its timestamp and a mark, and an entry
// with another mark and the timestamp as its value ends it.
const (
	walHeader = 20
	walTxn    = 1 << 6
	walFin    = 1 << 7
	walKeyMax = 1 << 16
)

// walEntry is what is needed of an entry; size is 0 where there is none.
type walEntry struct {
	meta byte
	ts   uint64
	size int
}

// checkMemtables refuses logs in which whole commits follow what is damaged.
func checkMemtables(dir string, names []string) error {
	slices.Sort(names) // Badger pads the number to five digits, and they are few
	for i, name := range names {
		path := filepath.Join(dir, name)
		err := withMapped(path, func(data []byte) error {
			if at, lost := lostCommits(data, i == len(names)-1); lost {
				return damage(path, "what stands at byte %d is garbled, and commits follow it", at)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lostCommits reports whether commits that were durable lie behind an entry that is not
// whole, and where that one is. In the last log one commit may be torn.
func lostCommits(data []byte, last bool) (at int, lost bool) {
	if len(data) <= walHeader {
		return 0, false // emptied, and then not unlinked
	}
	at, commit := readCommits(data)
	rest := data[at:]
	if len(bytes.Trim(rest, "\x00")) == 0 {
		return 0, false
	}
	if !last {
		return at, true
	}
	for i := 0; i < len(rest); {
		e := readEntry(rest[i:])
		if e.size == 0 {
			i++
			continue
		}
		i += e.size
		if e.meta&walFin == 0 {
			continue
		}
		// Commits are written one after another, each synced before the next.
		if commit != 0 && e.ts != commit {
			return at, true
		}
		commit = e.ts
	}
	return 0, false
}

// readCommits returns where the first entry is that cannot be read, and the timestamp of
// the commit that it belongs to, 0 where that is unknown.
func readCommits(data []byte) (at int, commit uint64) {
	for at = walHeader; at < len(data); {
		e := readEntry(data[at:])
		switch {
		case e.size == 0:
			return at, commit
		case e.meta&(walTxn|walFin) != 0 && commit != 0 && e.ts != commit:
			return at, commit
		case e.meta&walTxn != 0:
			commit = e.ts
		case e.meta&walFin != 0:
			commit = 0
		}
		at += e.size
	}
	return at, commit
}

func readEntry(b []byte) walEntry {
	if len(b) < 2 {
		return walEntry{}
	}
	e, n := walEntry{meta: b[0]}, 2
	var lens [3]uint64 // of the key, of the value, and when it expires
	for i := range lens {
		v, size := binary.Uvarint(b[n:min(len(b), n+binary.MaxVarintLen64)])
		if size <= 0 {
			return walEntry{}
		}
		lens[i], n = v, n+size
	}
	left := uint64(len(b) - n)
	if lens[0] <= 8 || lens[0] > walKeyMax || lens[1] > left || lens[0]+lens[1]+crc32.Size > left {
		return walEntry{}
	}
	key, value := b[n:n+int(lens[0])], b[n+int(lens[0]):n+int(lens[0]+lens[1])]
	n += int(lens[0] + lens[1])
	if crc32.Checksum(b[:n], castagnoli) != binary.BigEndian.Uint32(b[n:]) {
		return walEntry{}
	}
	e.ts, e.size = y.ParseTs(key), n+crc32.Size
	if e.meta&walFin != 0 {
		ts, err := strconv.ParseUint(string(value), 10, 64)
		if err != nil {
			return walEntry{}
		}
		e.ts = ts
	}
	return e
}

// withMapped passes a file's content to f without making it this process's memory.
func withMapped(path string, f func(data []byte) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	data, err := syscall.Mmap(int(file.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map %s: %w", path, err)
	}
	return errors.Join(f(data), syscall.Munmap(data))
}
