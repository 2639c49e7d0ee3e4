package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/dgraph-io/badger/v4"
)

// shortDigits is how many of a seq's last hex digits a short ID has: 28 bits, so that two
// of a million deliveries have the same with a probability of a third of a percent.
const shortDigits = 7

// ShortID is a delivery's ID as people type it: what tells it from the others, which all
// begin alike. Find finds it. What is no delivery's ID stays as it is.
func ShortID(id string) string {
	const digits = 8 + 16 + 4 // the instance, seq and idx
	hexed, ok := strings.CutPrefix(id, "dlv_")
	if !ok || len(hexed) != digits {
		return id
	}
	idx, err := strconv.ParseUint(hexed[digits-4:], 16, 16)
	if err != nil {
		return id
	}
	return fmt.Sprintf("%s.%d", hexed[digits-4-shortDigits:digits-4], idx)
}

// Find returns the IDs of events, deliveries or rejected records that begin with what
// somebody typed (evt_…, dlv_…, rej_…), or the deliveries of a short ID; at most most of them,
// the newest first but for events. It reads keys only, of a short ID all of the events'.
func (rd *reader) Find(ctx context.Context, typed string, most int) ([]string, error) {
	kind, _, _ := strings.Cut(typed, "_")
	low, idx, short := strings.Cut(typed, ".")
	var ids []string
	err := rd.view(func(txn *badger.Txn) (err error) {
		switch {
		case kind == "evt":
			ids, err = findEvents(ctx, txn, typed, most)
		case kind == "rej":
			ids, err = findSeqs(ctx, txn, kindRejected, func(seq uint64) ([]string, error) {
				return matching(typed, rejectedID(seq)), nil
			}, most)
		case kind == "dlv", short && len(low) == shortDigits:
			ids, err = findSeqs(ctx, txn, kindEvent, func(seq uint64) ([]string, error) {
				if short {
					if fmt.Sprintf("%0*x", shortDigits, seq&(1<<(4*shortDigits)-1)) != low {
						return nil, nil
					}
				} else if matching(typed[:min(len(typed), 4+8+16)], rd.deliveryID(ref{seq: seq})) == nil {
					return nil, nil
				}
				return rd.deliveriesLike(txn, seq, typed, idx, short)
			}, most)
		}
		return err
	})
	return ids, err
}

// deliveriesLike are the deliveries of an event whose ID begins as it was typed or, where a
// short ID was, whose place is idx.
func (s *store) deliveriesLike(txn *badger.Txn, seq uint64, typed, idx string, short bool) ([]string, error) {
	e, err := loadMeta(txn, seq)
	if errors.Is(err, ErrDamaged) || errors.Is(err, ErrNotFound) {
		return nil, nil // it can be looked up by its whole ID
	}
	if err != nil {
		return nil, err
	}
	var ids []string
	for i := range e.Webhooks {
		id := s.deliveryID(ref{seq, uint16(i)})
		if short && strconv.Itoa(i) == idx || !short && strings.HasPrefix(id, typed) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func findEvents(ctx context.Context, txn *badger.Txn, typed string, most int) ([]string, error) {
	prefix := dedupKey(typed)
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	var ids []string
	for it.Seek(prefix); it.Valid() && len(ids) < most && ctx.Err() == nil; it.Next() {
		id := string(it.Item().Key()[1:])
		seq, err := get(txn, dedupKey(id), "event "+id)
		if err != nil {
			continue // it can be looked up by its whole ID
		}
		// The event may have gone before its id.
		if _, err := txn.Get(eventKey(seqOf(seq))); err == nil {
			ids = append(ids, id)
		} else if !errors.Is(err, badger.ErrKeyNotFound) {
			return nil, err
		}
	}
	return ids, ctx.Err()
}

// findSeqs asks for the IDs of each seq of a kind, the newest first.
func findSeqs(ctx context.Context, txn *badger.Txn, kind byte, idsOf func(seq uint64) ([]string, error), most int) ([]string, error) {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kind}, Reverse: true})
	defer it.Close()
	var ids []string
	for it.Seek(after([]byte{kind})); it.Valid() && len(ids) < most && ctx.Err() == nil; it.Next() {
		if key := it.Item().Key(); len(key) == 9 {
			found, err := idsOf(seqOf(key[1:]))
			if err != nil {
				return nil, err
			}
			ids = append(ids, found...)
		}
	}
	return ids[:min(len(ids), most)], ctx.Err()
}

// matching is id where it begins as it was typed.
func matching(typed, id string) []string {
	if strings.HasPrefix(id, typed) {
		return []string{id}
	}
	return nil
}
