package queue

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The key space. Every kind has a first byte of its own; numbers are big-endian, so that
// keys sort as their numbers do; names carry their length, so that none is a prefix of
// another.
//
//	e seq                          an event with its body and the webhooks that want it
//	x event-id                     seq of the latest event of that id (dedup), and its PayloadID
//	y seq event-id                 an x whose event is gone, to be deleted after the dedup window
//	d seq idx                      a delivery; absent while it has never been tried
//	q webhook due seq idx          what is unfinished, by when it is due
//	i webhook status type seq idx  every delivery, for lists
//	c webhook status type          how many of those there are
//	s source                       a source's cursor
//	u source                       from which seq to which its unfinished batch is queued
//	w webhook                      what the dispatcher keeps about a webhook
//	h webhook span place           what its attempts came to within one step of time (history.go)
//	l place                        what happened to the agent itself (log.go)
//	r seq                          a rejected record
//	R hash                         seq of the rejected record of a source, stream and offset
//	m name                         one-off values
//
// A seq is the moment of the commit in Unix nanoseconds, made unique and increasing; so
// it orders events, and a time is a bound on it. idx is the webhook's place in the list
// of those that want the event.
const (
	kindEvent    = 'e'
	kindDedup    = 'x'
	kindExpiry   = 'y'
	kindDelivery = 'd'
	kindDue      = 'q'
	kindIndex    = 'i'
	kindCount    = 'c'
	kindCursor   = 's'
	kindPartial  = 'u'
	kindState    = 'w'
	kindHistory  = 'h'
	kindLog      = 'l'
	kindRejected = 'r'
	kindRejectID = 'R'
	kindMeta     = 'm'
	kindFlush    = 0xFE // see flush
)

var (
	metaSeq      = []byte("mseq")
	metaIdentity = []byte("mlabel")
	metaFlush    = []byte("mflush") // has the tables of each flush end in a version that a compaction keeps; see badgercheck.Repair
	metaRejected = []byte("mrejected")
)

func u64(b []byte, n uint64) []byte { return binary.BigEndian.AppendUint64(b, n) }
func u16(b []byte, n uint16) []byte { return binary.BigEndian.AppendUint16(b, n) }

func appendName(b []byte, name string) []byte {
	return append(u16(b, uint16(len(name))), name...)
}

// ref names a delivery.
type ref struct {
	seq uint64
	idx uint16
}

func (r ref) append(b []byte) []byte { return u16(u64(b, r.seq), r.idx) }

// refSize is the length of a ref in a key.
const refSize = 10

// refAt reads the ref at a key's end.
func refAt(key []byte) ref {
	tail := key[len(key)-refSize:]
	return ref{binary.BigEndian.Uint64(tail), binary.BigEndian.Uint16(tail[8:])}
}

func eventKey(seq uint64) []byte      { return u64([]byte{kindEvent}, seq) }
func dedupKey(id string) []byte       { return append([]byte{kindDedup}, id...) }
func deliveryKey(r ref) []byte        { return r.append([]byte{kindDelivery}) }
func cursorKey(source string) []byte  { return append([]byte{kindCursor}, bounded(source)...) }
func partialKey(source string) []byte { return append([]byte{kindPartial}, bounded(source)...) }
func stateKey(webhook string) []byte  { return append([]byte{kindState}, bounded(webhook)...) }
func rejectedKey(seq uint64) []byte   { return u64([]byte{kindRejected}, seq) }
func expiryKey(seq uint64, id string) []byte {
	return append(u64([]byte{kindExpiry}, seq), id...)
}

func rejectIDKey(r *Rejected) []byte {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %d", r.Source, r.Stream, r.Offset)
	return h.Sum([]byte{kindRejectID})
}

func duePrefix(webhook string) []byte { return appendName([]byte{kindDue}, bounded(webhook)) }

func dueKey(webhook string, due time.Time, r ref) []byte {
	return r.append(u64(duePrefix(webhook), nanos(due)))
}

// dueOf reads the due time of a due key.
func dueOf(key []byte) time.Time {
	return time.Unix(0, int64(binary.BigEndian.Uint64(key[len(key)-refSize-8:])))
}

// nanos is a time as a key has it; times before 1970 are not told apart.
func nanos(t time.Time) uint64 {
	if t.IsZero() || t.Unix() < 0 {
		return 0
	}
	return uint64(t.UnixNano())
}

func seqTime(seq uint64) time.Time { return time.Unix(0, int64(seq)) }

// indexKey is what deliveries are indexed and counted by.
type indexKey struct {
	webhook string
	status  Status
	typ     string
}

var statusByte = map[Status]byte{Pending: 'p', Retrying: 'r', Success: 's', Failed: 'f'}

var byteStatus = map[byte]Status{'p': Pending, 'r': Retrying, 's': Success, 'f': Failed}

func (c indexKey) append(b []byte) []byte {
	b = appendName(b, bounded(c.webhook))
	b = append(b, statusByte[c.status])
	return appendName(b, bounded(c.typ))
}

func (c indexKey) prefix() []byte   { return c.append([]byte{kindIndex}) }
func (c indexKey) key(r ref) []byte { return r.append(c.prefix()) }
func (c indexKey) countKey() []byte { return c.append([]byte{kindCount}) }

// parseCountKey reads a count key.
func parseCountKey(key []byte) (indexKey, error) {
	var c indexKey
	key = key[1:]
	name := func() (string, bool) {
		if len(key) < 2 {
			return "", false
		}
		n := int(binary.BigEndian.Uint16(key))
		if len(key) < 2+n {
			return "", false
		}
		s := string(key[2 : 2+n])
		key = key[2+n:]
		return s, true
	}
	var ok bool
	if c.webhook, ok = name(); ok && len(key) > 0 {
		c.status = byteStatus[key[0]]
		key = key[1:]
		if c.typ, ok = name(); ok && c.status != "" && len(key) == 0 {
			return c, nil
		}
	}
	return c, fmt.Errorf("%w: a count has an odd key", ErrDamaged)
}

// bounded keeps names from anywhere within what a key can hold.
func bounded(name string) string {
	const most = 200
	if len(name) <= most {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return name[:most-2*len(sum)-1] + "~" + hex.EncodeToString(sum[:])
}

// deliveryID is dlv_, the queue's instance, and where the delivery is kept.
func (s *store) deliveryID(r ref) string {
	id := make([]byte, 0, len("dlv_")+len(s.instance)+2*refSize)
	id = append(append(id, "dlv_"...), s.instance...)
	return string(hex.AppendEncode(id, r.append(make([]byte, 0, refSize))))
}

func (s *store) parseDeliveryID(id string) (ref, error) {
	hexed, ok := strings.CutPrefix(id, "dlv_"+s.instance)
	if !ok || len(hexed) != 20 {
		return ref{}, fmt.Errorf("delivery %s: %w", id, ErrNotFound)
	}
	seq, err1 := strconv.ParseUint(hexed[:16], 16, 64)
	idx, err2 := strconv.ParseUint(hexed[16:], 16, 16)
	if err1 != nil || err2 != nil {
		return ref{}, fmt.Errorf("delivery %s: %w", id, ErrNotFound)
	}
	return ref{seq, uint16(idx)}, nil
}

func rejectedID(seq uint64) string { return fmt.Sprintf("rej_%016x", seq) }

func parseRejectedID(id string) (uint64, error) {
	hexed, ok := strings.CutPrefix(id, "rej_")
	seq, err := strconv.ParseUint(hexed, 16, 64)
	if !ok || err != nil || len(hexed) != 16 {
		return 0, fmt.Errorf("rejected record %q: %w", id, ErrNotFound)
	}
	return seq, nil
}

// after is the smallest key that is larger than every key with the prefix.
func after(prefix []byte) []byte { return append(bytes.Clone(prefix), 0xFF) }
