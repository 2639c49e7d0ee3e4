package queue

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// The log is what happened to the agent itself, for people: a ring of the latest 500 entries. An
// entry's place is its number in the ring's length, so that a new one takes the oldest one's.
const (
	MaxLog     = 500 // entries
	maxLogText = 500 // runes
)

// LogEntry is something that happened to the agent.
type LogEntry struct {
	N       uint64    `json:"n"`    // its number, set by AppendLog
	At      time.Time `json:"at"`   // when it happened first
	Last    time.Time `json:"last"` // and last
	Count   int       `json:"count"`
	Kind    string    `json:"kind"`
	Bad     bool      `json:"bad"` // somebody should act
	Webhook string    `json:"webhook,omitempty"`
	Source  string    `json:"source,omitempty"`
	Text    string    `json:"text"`
	Detail  string    `json:"detail,omitempty"`
}

// Clipped is the entry with its texts cut to what is kept of them.
func (e *LogEntry) Clipped() LogEntry {
	kept := *e
	kept.Text, kept.Detail = clip(e.Text, maxLogText), clip(e.Detail, maxLogText)
	return kept
}

func logKey(n uint64) []byte { return u16([]byte{kindLog}, uint16(n%MaxLog)) }

// AppendLog keeps entries, and sets the numbers of those that have none. One with a number is
// kept instead of the one that has it, as long as that is there. It does not wait for room.
func (q *Queue) AppendLog(ctx context.Context, entries ...*LogEntry) error {
	for part := range slices.Chunk(entries, maxChanges) {
		numbers := make([]uint64, len(part))
		err := q.writer.submit(ctx, cost{len(part), 600 * int64(len(part))}, func(w *writeTxn) error {
			last := uint64(0)
			for _, e := range logEntries(w.txn) {
				last = max(last, e.N)
			}
			for i, e := range part {
				kept := e.Clipped()
				switch {
				case kept.N == 0:
					last++
					kept.N = last
				case kept.N+MaxLog <= last:
					continue // its place is another's
				}
				value, err := encodeJSON(kept)
				if err != nil {
					return err
				}
				if err := w.set(logKey(kept.N), value); err != nil {
					return err
				}
				numbers[i] = kept.N
			}
			return nil
		})
		if err != nil {
			return err
		}
		for i, e := range part {
			e.N = cmp.Or(numbers[i], e.N)
		}
	}
	return nil
}

// logEntries reads all entries; one that cannot be read is left out.
func logEntries(txn *badger.Txn) (out []LogEntry) {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kindLog}})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		var e LogEntry
		key := it.Item().KeyCopy(nil)
		value, err := get(txn, key, "an entry of the log")
		if err == nil && len(key) == 3 && decodeJSON("an entry of the log", value, &e) == nil && e.N%MaxLog == uint64(binary.BigEndian.Uint16(key[1:])) {
			out = append(out, e)
		}
	}
	return out
}

// Log returns entries, newest first, at most limit; before, where not 0, only those with smaller numbers.
func (rd *reader) Log(before uint64, limit int) ([]LogEntry, error) {
	var out []LogEntry
	err := rd.view(func(txn *badger.Txn) error {
		out = logEntries(txn)
		return nil
	})
	out = slices.DeleteFunc(out, func(e LogEntry) bool { return before != 0 && e.N >= before })
	slices.SortFunc(out, func(a, b LogEntry) int { return cmp.Compare(b.N, a.N) })
	return out[:min(limit, len(out))], err
}
