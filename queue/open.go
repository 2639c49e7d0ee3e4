package queue

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/dawnsystem/intellidocs-agent/queue/badgercheck"
)

// Open opens the queue in a state directory, making both where there is none. The
// directory is kept at 0700. What cannot be opened is left as it is, with an error that
// says what to do.
func Open(ctx context.Context, o Options) (*Queue, error) {
	o.withDefaults()
	if err := prepare(o.Dir, o.Logger); err != nil {
		return nil, err
	}
	var err error
	// The system names mapped files by their real path.
	if o.Dir, err = filepath.EvalSymlinks(o.Dir); err == nil {
		o.Dir, err = filepath.Abs(o.Dir)
	}
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	if !o.Moving {
		if err := checkMoved(o.Dir); err != nil {
			return nil, err
		}
	}
	q, err := openDir(&o, filepath.Join(o.Dir, "queue"))
	if err != nil && failsDisk(err) && !errors.Is(err, ErrDisk) {
		err = newFailure(o.Dir, o.Logger).set("open", err)
	}
	if errors.Is(err, ErrDisk) {
		keepFailure(o.Dir, err, o.Now())
	}
	if err != nil {
		return nil, err
	}
	go q.writer.run()
	return q, nil
}

// openDir opens the database in a directory once that is fit to be opened.
func openDir(o *Options, dbDir string) (q *Queue, err error) {
	known, err := readIdentity(o.Dir)
	if err != nil {
		return nil, err
	}
	if err := roomFor(o.Dir); err != nil {
		return nil, err
	}
	repaired, err := repairDir(o, dbDir)
	if err != nil {
		return nil, err
	}
	if err := badgercheck.Check(dbDir, dbOptions(dbDir, o.Sizes), known != nil); err != nil {
		return nil, unfit(dbDir, err)
	}
	fail := newFailure(dbDir, o.Logger)
	err = fail.during(func() (err error) {
		q, err = openWith(o, dbDir, known, repaired, fail)
		return err
	})
	if err != nil {
		return nil, err // q may yet be written: what opens it may be stuck in Badger
	}
	return q, nil
}

// openWith opens the database in a directory that may be opened, and what is kept of it in
// memory.
func openWith(o *Options, dbDir string, known *identity, repaired bool, fail *failure) (*Queue, error) {
	db, err := openDB(dbDir, o.Sizes, fail)
	if err != nil {
		return nil, err
	}
	q := newQueue(o, &store{dir: dbDir, db: db, now: o.Now, failure: fail})
	// A new database had nothing to repair, and so was not marked.
	if _, err := markOpen(o.Dir); err != nil {
		return nil, errors.Join(fail.set("open", err), q.close())
	}
	if err := q.restore(o.Dir, known); err != nil {
		return nil, errors.Join(err, q.close())
	}
	if err := q.tellDamage(repaired); err != nil {
		return nil, errors.Join(err, q.close())
	}
	if o.Registerer != nil {
		metrics := collector{q, o.Webhooks}
		if err := o.Registerer.Register(metrics); err != nil {
			return nil, errors.Join(err, q.close())
		}
		q.unregister = func() { o.Registerer.Unregister(metrics) }
	}
	return q, nil
}

// newQueue joins the parts around an open database.
func newQueue(o *Options, s *store) *Queue {
	limits := NewLimits(o.MaxSize, o.Retention, o.DedupWindow)
	disk := &disk{dir: o.Dir, limits: limits, waiting: s.counts.waiting, log: o.Logger}
	wr := &writer{
		store: s, disk: disk, notify: o.Notify,
		requests: make(chan *request), quit: make(chan struct{}), done: make(chan struct{}),
		room: cost{int(s.db.MaxBatchCount()) * 9 / 10, s.db.MaxBatchSize() * 9 / 10},
	}
	q := &Queue{
		reader: reader{store: s}, writer: wr, disk: disk, limits: limits, unregister: func() {},
		intake:      intake{writer: wr, disk: disk, limits: limits},
		maintenance: &maintenance{store: s, writer: wr, disk: disk, limits: limits, log: o.Logger, webhooks: o.Webhooks, small: o.SmallMemory},
	}
	q.changes = changes{reader: &q.reader, writer: wr}
	return q
}

// withDefaults fills in what may be left out.
func (o *Options) withDefaults() {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Webhooks == nil {
		o.Webhooks = func() []string { return nil }
	}
	if o.Notify == nil {
		o.Notify = func([]string) {}
	}
	if o.Sizes == (Sizes{}) {
		o.Sizes = usualSizes(o.MaxSize)
	}
}

// repairDir undoes what an earlier process left that was never acknowledged, and reports
// whether any of it was damage.
func repairDir(o *Options, dir string) (repaired bool, err error) {
	// Under the lock: the mark of an agent that runs is no sign of an unclean end.
	did, err := badgercheck.Repair(dir, func() (bool, error) { return markOpen(o.Dir) })
	if err != nil {
		return false, unfit(dir, err)
	}
	for _, what := range did {
		o.Logger.Warn("the queue was repaired after an unclean end", "what", what)
	}
	return len(did) > 0, nil
}

// unfit says why a directory is not opened.
func unfit(dir string, err error) error {
	var damage *badgercheck.Damage
	switch {
	case errors.Is(err, badgercheck.ErrLocked):
		return fmt.Errorf("%w: %s", ErrLocked, dir)
	case errors.As(err, &damage) && !failsDisk(err):
		return damagedError(err)
	}
	return fmt.Errorf("state directory: %w", err)
}

func damagedError(err error) error {
	return fmt.Errorf("%w: %w. Nothing was changed: restore the state directory from a backup, or move it away to start empty", ErrDamaged, err)
}

// prepare makes the state directory, or takes from others what they may do in it.
func prepare(dir string, log *slog.Logger) error {
	if dir == "" {
		return errors.New("the state directory has no path; set [state] path")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the state directory: %w (set [state] path to a directory that this user may write)", err)
	}
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return fmt.Errorf("state directory: %w", err)
	case !info.IsDir():
		return fmt.Errorf("state directory %s: it is not a directory", dir)
	case info.Mode().Perm()&0o077 != 0:
		if err := os.Chmod(dir, 0o700); err != nil {
			return fmt.Errorf("state directory %s: others may read it and that cannot be changed: %w", dir, err)
		}
		log.Warn("the state directory was open to others; it is now 0700", "dir", dir, "was", info.Mode().Perm().String())
	}
	return nil
}

// inline is the size from which values are kept in the value log.
const inline = 256

// dbOptions keep Badger small: its defaults take hundreds of megabytes.
func dbOptions(dir string, sizes Sizes) badger.Options {
	o := badger.DefaultOptions(dir).
		WithLogger(nil).
		WithSyncWrites(true).
		WithMemTableSize(sizes.Memtable).
		WithNumMemtables(2).
		WithValueThreshold(inline).
		WithValueLogFileSize(sizes.ValueLog).
		WithBaseTableSize(512 << 10).
		WithNumCompactors(2).
		WithNumLevelZeroTables(4).
		WithNumLevelZeroTablesStall(12).
		WithCompression(options.None).
		WithBlockCacheSize(0).
		WithIndexCacheSize(0).
		WithDetectConflicts(false).
		WithNumVersionsToKeep(1).
		WithMetricsEnabled(false).
		// Badger would read a value whole for it before ReadAtOnce is told of it. Each has a checksum
		// of its own (seal).
		WithVerifyValueChecksum(false)
	o.TableSizeMultiplier = 1
	return o
}

// valueLogSize is how large a file of payloads grows. The one that is written to is never
// reclaimed, so a small queue needs small ones; but the largest event must fit, a line of
// 1 MiB whose every character is escaped.
func valueLogSize(maxSize int64) int64 {
	const least, most = 8 << 20, 16 << 20
	if maxSize <= 0 {
		return most
	}
	return min(max(maxSize/64, least), most)
}

// maxEmptied is how many files there may be that were truncated and are still there.
const maxEmptied = 32

func openDB(dir string, sizes Sizes, fail *failure) (*badger.DB, error) {
	db, err := tryOpen(dir, sizes, fail)
	for tries := 0; err != nil && strings.Contains(err.Error(), "Create a new file") && tries < maxEmptied; tries++ {
		// An earlier process truncated a file and was killed before it unlinked it, or could
		// not; each such open cleans up after one.
		db, err = tryOpen(dir, sizes, fail)
	}
	switch {
	case err == nil:
		return db, nil
	case strings.Contains(err.Error(), "Cannot acquire directory lock"):
		return nil, fmt.Errorf("%w: %s", ErrLocked, dir)
	// Not all of Badger's errors let what they are of be told.
	case fail.err() != nil:
		return nil, fail.err()
	case errors.Is(err, fs.ErrPermission), strings.Contains(err.Error(), fs.ErrPermission.Error()):
		return nil, fmt.Errorf("open the queue: %w (run as the user that owns the state directory)", err)
	case isSystem(err) || systemText(err):
		return nil, fail.set("open", err)
	}
	return nil, damagedError(err)
}

// tryOpen turns Badger's panics on damaged files into errors.
func tryOpen(dir string, sizes Sizes, fail *failure) (db *badger.DB, err error) {
	defer func() {
		if p := recover(); p != nil {
			db, err = nil, fmt.Errorf("%v", p)
		}
	}()
	before := log.Writer()
	log.SetOutput(&fatalLog{fail, before})
	defer log.SetOutput(before)
	return badger.Open(dbOptions(dir, sizes).WithLogger(fail))
}

// restore reads what is kept in memory.
func (q *Queue) restore(stateDir string, known *identity) (err error) {
	if q.instance, err = q.identify(stateDir, known); err != nil {
		return err
	}
	q.hints.init()
	err = q.view(func(txn *badger.Txn) error {
		if data, err := get(txn, metaSeq, "the sequence"); err == nil && len(data) == 8 {
			q.writer.seq = binary.BigEndian.Uint64(data)
		} else if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		return q.counts.load(txn)
	})
	if err != nil {
		return err
	}
	q.disk.measure()
	return nil
}
