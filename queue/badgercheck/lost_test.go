package badgercheck

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/pb"
)

// TestRepair_ATableThatACompactionLeftOutIsNamedAgain takes a table out of the MANIFEST, as a
// compaction does that could not sync its output and deleted what that came from.
func TestRepair_ATableThatACompactionLeftOutIsNamedAgain(t *testing.T) {
	dir := t.TempDir()
	options := badger.DefaultOptions(dir).WithLogger(nil).WithCompression(0)
	db, err := badger.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(func(txn *badger.Txn) error { return txn.Set([]byte("key"), []byte("value")) }); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	tables, _ := filepath.Glob(filepath.Join(dir, "*.sst"))
	if len(tables) != 1 {
		t.Fatalf("%d tables", len(tables))
	}
	manifest := filepath.Join(dir, badger.ManifestFilename)
	data, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	if left := Unnamed(dir, tables); len(left) != 0 {
		t.Fatalf("%v is named, and said not to be", left)
	}
	all, _, _ := records(data)
	// Without its record it is one that was never named.
	if err := os.WriteFile(manifest, data[:all[len(all)-1].at], 0o600); err != nil {
		t.Fatal(err)
	}
	if left := Unnamed(dir, tables); len(left) != 1 || left[0] != tables[0] {
		t.Fatalf("unnamed: %v", left)
	}
	// One that was named and then deleted is an input that a kill left behind.
	deleted, err := appendRecord(data, &pb.ManifestChangeSet{Changes: []*pb.ManifestChange{{Id: 1, Op: pb.ManifestChange_DELETE}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(manifest, deleted, 0o600); err != nil {
		t.Fatal(err)
	}
	if left := Unnamed(dir, tables); len(left) != 0 {
		t.Fatalf("%v was named, and said not to have been", left)
	}

	if err := os.Rename(tables[0], tables[0]+LostExt); err != nil {
		t.Fatal(err)
	}
	did, err := Repair(dir, func() (bool, error) { return true, nil })
	if err != nil || len(did) != 1 {
		t.Fatalf("%v, %v", did, err)
	}
	if err := Check(dir, options, true); err != nil {
		t.Fatal(err)
	}
	db, err = badger.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(txn *badger.Txn) error {
		item, err := txn.Get([]byte("key"))
		if err != nil {
			return err
		}
		return item.Value(func(v []byte) error {
			if string(v) != "value" {
				t.Errorf("got %q", v)
			}
			return nil
		})
	})
	if err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*"+LostExt)); len(left) > 0 {
		t.Errorf("%v is still there", left)
	}
}

func TestRepair_ALostTableThatIsDamagedIsRefused(t *testing.T) {
	dir := t.TempDir()
	db, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	lost := filepath.Join(dir, "000007.sst"+LostExt)
	if err := os.WriteFile(lost, make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Repair(dir, func() (bool, error) { return true, nil })
	var damage *Damage
	if !errors.As(err, &damage) || damage.Path != lost {
		t.Fatalf("got %v", err)
	}
}
