package queue

import (
	"reflect"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/ristretto/v2/z"
)

// tableBuilders are the pieces of memory in which Badger builds tables. It keeps up to eight that
// are not in use, each as large as the largest table that was ever built in it, until none has been
// wanted for seconds: 13 MiB and more where 64 are all there is, and the less is left, the more often
// garbage is collected. To make one anew costs little beside building a table.
type tableBuilders struct{ idle *z.AllocatorPool }

// tableBuildersOf are those of a database. Badger has no option for them. Where a later version keeps
// them elsewhere there are none.
func tableBuildersOf(db *badger.DB) tableBuilders {
	f := reflect.ValueOf(db).Elem().FieldByName("allocPool")
	if !f.IsValid() || f.Type() != reflect.TypeFor[*z.AllocatorPool]() {
		return tableBuilders{}
	}
	return tableBuilders{(*z.AllocatorPool)(f.UnsafePointer())}
}

// free gives up one that is not in use, and says how large it was; 0: there was none. The database
// must be open.
func (b tableBuilders) free() uint64 {
	if b.idle == nil {
		return 0
	}
	a := b.idle.Get(0, "") // a tiny new one where there is none
	defer a.Release()
	if size := a.Allocated(); size > 4<<10 {
		return size
	}
	return 0
}

// freeTableBuilder gives up one, unless the database is closed.
func (s *store) freeTableBuilder() uint64 {
	s.reading.RLock()
	defer s.reading.RUnlock()
	if s.db.IsClosed() {
		return 0
	}
	return tableBuildersOf(s.db).free()
}
