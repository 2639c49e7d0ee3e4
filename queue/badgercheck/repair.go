package badgercheck

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/table"
	"google.golang.org/protobuf/proto"
)

// Repair brings a directory back to what was acknowledged, where what is wrong with it was
// not or stands elsewhere too, and returns what it did. The rest is left for Check to refuse.
//
//   - After an unclean end the page cache may hold what a failed sync never brought to the
//     disk, and Badger would build on it. All that it appends to is written and synced again.
//   - A record of the MANIFEST whose sync failed names a table that Badger has removed for
//     that reason; what it held is where it came from. The record is taken back.
//   - Behind a record that is cut off, Badger deletes the table that it named. It is named
//     again: its entries have versions, so that what is there twice does no harm.
//   - A table whose sync failed, and that a compaction left out for it while its inputs went,
//     was put aside: see Unnamed. It is written again, and named.
//   - Badger cuts the newest value log off at the first entry that is damaged. A filler is
//     put over that one, so that those behind it stay.
//
// unclean is asked under the directory's lock whether the last process closed it, and marks it
// as open.
func Repair(dir string, unclean func() (bool, error)) (did []string, err error) {
	unlock, err := lock(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer unlock()
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	files := map[string][]string{} // by extension, in the order of their numbers
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		files[ext] = append(files[ext], e.Name())
	}
	open, err := unclean()
	if err != nil {
		return nil, err
	}
	if open {
		if err := resync(dir, files); err != nil {
			return nil, err
		}
	}
	note, err := repairManifest(dir, files)
	if err != nil {
		return nil, err
	}
	if note != "" {
		did = append(did, note)
	}
	named, err := nameLost(dir, files)
	if err != nil {
		return did, err
	}
	did = append(did, named...)
	if logs := files[".vlog"]; len(logs) > 0 {
		path := filepath.Join(dir, logs[len(logs)-1])
		bridged, err := bridge(path)
		if err != nil {
			return did, err
		}
		if bridged > 0 {
			did = append(did, fmt.Sprintf("%s: %d bytes are damaged; what follows them is kept", path, bridged))
		}
	}
	return did, nil
}

// resync writes again what is in the files that Badger appends to, and syncs them.
func resync(dir string, files map[string][]string) error {
	names := append([]string{badger.ManifestFilename}, files[".mem"]...)
	logs := files[".vlog"]
	names = append(names, logs[max(0, len(logs)-2):]...)
	for _, name := range names {
		if err := rewrite(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
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

func rewrite(path string) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	buf, empty := make([]byte, 64<<10), make([]byte, 64<<10)
	for at := int64(0); ; {
		n, err := f.ReadAt(buf, at)
		// What is empty was never written, and would take room.
		if !bytes.Equal(buf[:n], empty[:n]) {
			if _, err := f.WriteAt(buf[:n], at); err != nil {
				return err
			}
		}
		if at += int64(n); n < len(buf) {
			if err != nil && n == 0 && at == 0 {
				return nil // it is empty
			}
			return f.Sync()
		}
	}
}

// record is one change of the MANIFEST: length, CRC-32C, and a ManifestChangeSet.
type record struct {
	at, end int
	set     pb.ManifestChangeSet
}

const manifestHeader = 8

// records reads the whole records, and where they end. ok is false where what is there is
// no MANIFEST, or damaged before its end.
func records(data []byte) (all []*record, end int, ok bool) {
	if len(data) < manifestHeader {
		return nil, 0, false
	}
	at := manifestHeader
	for len(data)-at >= 8 {
		size := int(binary.BigEndian.Uint32(data[at:]))
		if size > len(data)-at-8 {
			break
		}
		raw := data[at+8 : at+8+size]
		r := &record{at: at, end: at + 8 + size}
		if crc32.Checksum(raw, castagnoli) != binary.BigEndian.Uint32(data[at+4:]) || proto.Unmarshal(raw, &r.set) != nil {
			return nil, 0, false
		}
		all = append(all, r)
		at = r.end
	}
	return all, at, true
}

func repairManifest(dir string, files map[string][]string) (did string, err error) {
	path := filepath.Join(dir, badger.ManifestFilename)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	all, end, ok := records(data)
	if !ok || len(all) == 0 {
		return "", nil
	}
	onDisk := map[uint64]bool{}
	for _, name := range files[".sst"] {
		var id uint64
		if _, err := fmt.Sscanf(name, "%d.sst", &id); err == nil {
			onDisk[id] = true
		}
	}
	named := tablesAfter(all)
	if end < len(data) {
		return adopt(dir, path, data[:end:end], named, onDisk)
	}
	kept, flushes := acknowledged(all, named, onDisk)
	if kept == nil || flushes > 0 && len(files[".mem"]) < flushes+1 && !holdNext(dir, files[".mem"], tablesAfter(kept)) {
		return "", nil
	}
	repaired := slices.Clone(data[:manifestHeader])
	for _, r := range kept {
		repaired = append(repaired, data[r.at:r.end]...)
	}
	if err := replaceManifest(path, repaired); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s: %d of its last records, which were not acknowledged, are taken back", path, len(all)-len(kept)), nil
}

// acknowledged returns the records without those whose sync failed: their tables are named,
// and Badger has removed them. It is nil where there are none such, or where the tables are
// missing for another reason. flushes is how many of them name a memtable's table; its log
// must be there yet. The others are of compactions, which left their old tables.
//
// They need not be the last ones: a compaction may have ended while the agent did.
func acknowledged(all []*record, named, onDisk map[uint64]bool) (kept []*record, flushes int) {
	gone := func(r *record) bool {
		return slices.ContainsFunc(r.set.GetChanges(), func(c *pb.ManifestChange) bool {
			return c.GetOp() == pb.ManifestChange_CREATE && named[c.GetId()] && !onDisk[c.GetId()]
		})
	}
	for _, r := range all {
		switch compacts := slices.ContainsFunc(r.set.GetChanges(), isDelete); {
		case gone(r) && !compacts:
			flushes++
		case gone(r):
		case !compacts && flushes > 0:
			return nil, 0 // nothing is flushed behind a flush that failed
		default:
			kept = append(kept, r)
		}
	}
	if len(kept) == 0 || len(kept) == len(all) || missing(tablesAfter(kept), onDisk) {
		return nil, 0
	}
	return kept, flushes
}

func isDelete(c *pb.ManifestChange) bool { return c.GetOp() == pb.ManifestChange_DELETE }

// holdNext reports whether the logs hold the commit that comes right after those in the
// tables, so that no table between them is lost.
func holdNext(dir string, logs []string, tables map[uint64]bool) bool {
	var newest uint64
	for id := range tables {
		err := withIndex(filepath.Join(dir, table.IDToFilename(id)), func(index *fb.TableIndex) {
			newest = max(newest, index.MaxVersion())
		})
		if err != nil {
			return false
		}
	}
	found := false
	for _, name := range logs {
		err := withMapped(filepath.Join(dir, name), func(data []byte) error {
			for at := walHeader; at < len(data) && !found; {
				e := readEntry(data[at:])
				if e.size == 0 {
					break
				}
				found = e.ts == newest+1
				at += e.size
			}
			return nil
		})
		if err != nil {
			return false
		}
	}
	return found
}

func tablesAfter(all []*record) map[uint64]bool {
	tables := map[uint64]bool{}
	for _, r := range all {
		for _, c := range r.set.GetChanges() {
			if c.GetOp() == pb.ManifestChange_CREATE {
				tables[c.GetId()] = true
			} else {
				delete(tables, c.GetId())
			}
		}
	}
	return tables
}

// missing reports whether any of the tables is not on the disk.
func missing(tables, onDisk map[uint64]bool) bool {
	for id := range tables {
		if !onDisk[id] {
			return true
		}
	}
	return false
}

// adopt names the tables that are whole and that the MANIFEST, of which data is there, does not.
func adopt(dir, path string, data []byte, named, onDisk map[uint64]bool) (did string, err error) {
	set := &pb.ManifestChangeSet{}
	var buf []byte
	var names []string
	for _, id := range slices.Sorted(maps.Keys(onDisk)) {
		if named[id] {
			continue
		}
		name := fmt.Sprintf("%06d.sst", id)
		if buf, err = readInto(buf, filepath.Join(dir, name)); err != nil || verifyTable(buf) != nil {
			continue // it was being written
		}
		set.Changes = append(set.Changes, &pb.ManifestChange{Id: id, Op: pb.ManifestChange_CREATE, Level: 0})
		names = append(names, name)
	}
	if len(names) == 0 {
		return "", nil
	}
	if data, err = appendRecord(data, set); err != nil {
		return "", err
	}
	if err := replaceManifest(path, data); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s was cut off; it names %s again", path, strings.Join(names, ", ")), nil
}

func replaceManifest(path string, data []byte) error {
	tmp := path + ".repair"
	if err := writeDurably(tmp, data); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}
