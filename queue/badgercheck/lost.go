package badgercheck

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/table"
	"google.golang.org/protobuf/proto"
)

// LostExt is added to the name of a table that must not be deleted although no MANIFEST names
// it. Badger does not look at such files.
const LostExt = ".lost"

// Unnamed returns those of the tables that are there and that no record of the MANIFEST has
// ever named.
func Unnamed(dir string, tables []string) (unnamed []string) {
	if len(tables) == 0 {
		return nil
	}
	data, err := os.ReadFile(filepath.Join(dir, badger.ManifestFilename))
	if err != nil {
		return nil
	}
	all, _, ok := records(data)
	if !ok {
		return nil
	}
	named := map[string]bool{}
	for _, r := range all {
		for _, c := range r.set.GetChanges() {
			named[table.NewFilename(c.GetId(), dir)] = true
		}
	}
	for _, path := range tables {
		if _, err := os.Stat(path); err == nil && !named[path] {
			unnamed = append(unnamed, path)
		}
	}
	return unnamed
}

// nameLost names the tables that were put aside. They get the lowest numbers that are free:
// of two entries of one version Badger takes the one of the table with the higher number, and
// theirs may refer to a value log that was collected since.
func nameLost(dir string, files map[string][]string) (did []string, err error) {
	if len(files[LostExt]) == 0 {
		return nil, nil
	}
	path := filepath.Join(dir, badger.ManifestFilename)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	all, end, ok := records(data)
	if !ok {
		return nil, nil // Check says so
	}
	taken := tablesAfter(all)
	set := &pb.ManifestChangeSet{}
	for _, name := range files[LostExt] {
		lost := filepath.Join(dir, name)
		content, err := readInto(nil, lost)
		if err == nil {
			err = verifyTable(content)
		}
		if errors.Is(err, errTable) {
			return nil, damage(lost, "what a compaction left behind does not match its checksums")
		}
		if err != nil {
			return nil, err
		}
		id := uint64(1)
		for ; taken[id]; id++ {
		}
		taken[id] = true
		if err := writeDurably(table.NewFilename(id, dir), content); err != nil {
			return nil, err
		}
		set.Changes = append(set.Changes, &pb.ManifestChange{Id: id, Op: pb.ManifestChange_CREATE, Level: 0})
		did = append(did, fmt.Sprintf("%s: its sync failed; it is written again", lost))
	}
	if err := syncDir(dir); err != nil {
		return nil, err
	}
	if data, err = appendRecord(data[:end:end], set); err != nil {
		return nil, err
	}
	if err := replaceManifest(path, data); err != nil {
		return nil, err
	}
	for _, name := range files[LostExt] {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			return did, err
		}
	}
	return did, syncDir(dir)
}

func appendRecord(data []byte, set *pb.ManifestChangeSet) ([]byte, error) {
	raw, err := proto.Marshal(set)
	if err != nil {
		return nil, err
	}
	data = binary.BigEndian.AppendUint32(data, uint32(len(raw)))
	data = binary.BigEndian.AppendUint32(data, crc32.Checksum(raw, castagnoli))
	return append(data, raw...), nil
}

func writeDurably(path string, data []byte) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}
