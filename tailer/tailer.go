// Package tailer reads files that others write: it follows logs through rotation,
// truncation and restarts, and empties spool directories. It hands out batches of
// records together with the cursor that stands behind them.
//
// It knows nothing of what the records mean and keeps nothing on disk: the handler
// makes a batch and its cursor durable in one step, and a batch is read again unless
// the handler returned nil.
package tailer

import (
	"context"
	"time"
)

// HeadBytes is how much is kept of a record that is longer than the limit.
const HeadBytes = 64 << 10

// Record is one line of a log, or one JSON value of a spool file.
type Record struct {
	// Data is without its line terminator and valid only until the handler returns.
	// Of a record longer than the limit it is the first HeadBytes. A record that a
	// container runtime cut into pieces is all of their lines, joined by '\n'.
	Data []byte
	// Path is the file the record was read from, under the name it had then.
	Path string
	// Stream names the content the record was read from. It is stable over renames,
	// copies and restarts; Stream and Offset together name a record forever.
	Stream string
	// Offset is where the record begins in its stream.
	Offset int64
	// Size is how many bytes the record takes, terminator included.
	Size int64
	// Time is a spool file's modification time; zero for a log.
	Time time.Time
	// TooLong: the record is longer than the limit.
	TooLong bool
	// Damage says why a spool file cannot be split into records, or why a line cannot be
	// text; empty otherwise.
	Damage string
}

// Batch is what one call of the handler makes durable.
type Batch struct {
	// Source is the name given in the options.
	Source string
	// Records may be empty: a cursor can move without any (a rotation, a gap).
	Records []Record
	// Cursor is where reading continues after this batch. Opaque, a few KiB at most.
	// Handlers take it from Position.
	Cursor []byte
	// seal returns the cursor for what the handler rejects.
	seal func(rejected []Rejection) []byte
	// Gap is set where content that was never read is known to be gone.
	Gap *Gap
}

// Position returns the cursor to commit together with the batch. A spool's also holds which
// files have rejected records: were that known only after the commit, a crash between the
// two would leave a broken file that looks like one that was read.
func (b *Batch) Position(rejected []Rejection) []byte {
	if b.seal != nil {
		return b.seal(rejected)
	}
	return b.Cursor
}

// Gap is what is known of records that were on the disk and can no longer be read.
type Gap struct {
	Path   string
	Stream string
	// Offset is how far the lost stream had been read.
	Offset int64
	// Since is when it was last read, zero where unknown.
	Since  time.Time
	Reason string
}

// Rejection is the handler's verdict on a record that could not be used.
type Rejection struct {
	// Record is its index in the batch.
	Record int
	Reason string
}

// Handler makes a batch and its Position durable and returns which records it could not use,
// in their order; a spool file with such a record goes to rejected/ and not to archive/.
// While it runs nothing more is read, which is the backpressure; an error means that nothing
// was kept: the batch is offered again after a pause.
type Handler func(ctx context.Context, b *Batch) ([]Rejection, error)

// Status is what can be said of a source at any time.
type Status struct {
	Source string
	// Ready: the file or directory is open, or it is fine that it is not there yet.
	Ready bool
	// Reason says what is wrong or waited for; empty when all is well.
	Reason string
	// Warning says what will go wrong as things are; empty when nothing will.
	Warning string
	// LagBytes is what is on the disk and not yet read.
	LagBytes int64
	// Files is how many files are open or waiting.
	Files int
	// Remaining is how many files stay in a spool, because they are not read or cannot be
	// removed, and RemainingWhy names them and the reasons.
	Remaining    int
	RemainingWhy string
	// LastRecord is when the last record was handed over.
	LastRecord time.Time
	// Gaps counts the gaps since the start.
	Gaps int64
}

// Start says where the first run begins.
type Start uint8

const (
	// FromBeginning reads all there is: the files rotated before the first run, oldest
	// first, and the live one. Which rotation came just before that run nobody can tell.
	FromBeginning Start = iota
	// FromEnd skips what is there at the first run.
	FromEnd
)

// Defaults of the options.
const (
	DefaultMaxLine    = 1 << 20
	DefaultBatchLines = 512
	DefaultBatchBytes = 512 << 10
	DefaultSweep      = 200 * time.Millisecond
)

// After says what becomes of a spool file whose records are all kept.
type After uint8

const (
	// Delete removes it.
	Delete After = iota
	// Archive moves it to archive/ in the spool directory.
	Archive
)
