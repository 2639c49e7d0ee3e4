package postgres

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// ref names a delivery: its event, and the place of its webhook among those that want it.
type ref struct {
	seq int64
	idx int32
}

func (r ref) less(o ref) bool { return r.seq < o.seq || r.seq == o.seq && r.idx < o.idx }

func compareRefs(a, b ref) int {
	switch {
	case a.less(b):
		return -1
	case b.less(a):
		return 1
	}
	return 0
}

// A seq orders events, within a source as they were read. It is the moment of the commit in
// microseconds, each event of a batch a microsecond after the one before and after all that were
// committed before, and in its last three digits the batch's number: so no two agents choose the same.
const seqStep = 1000

// firstSeq is the seq of a batch's first event. last is the latest that is known.
func firstSeq(now time.Time, last, batch int64) int64 {
	return max(now.UnixMicro(), last/seqStep+1)*seqStep + batch%seqStep
}

func seqTime(seq int64) time.Time { return time.UnixMicro(seq / seqStep) }

// seqAt is the lowest seq of a moment.
func seqAt(t time.Time) int64 {
	if t.IsZero() || t.Unix() < 0 {
		return 0
	}
	return (t.UnixNano() + seqStep - 1) / seqStep * seqStep
}

// queuedAt is when an event is said to be queued: a seq that is ahead of the clock is no time.
func queuedAt(seq int64, now time.Time) time.Time {
	if at := seqTime(seq); at.Sub(now) <= time.Second {
		return at
	}
	return now.Truncate(time.Microsecond)
}

// roundUp is a time as the database keeps it, not earlier than it is.
func roundUp(t time.Time) time.Time { return t.Add(time.Microsecond - 1).Truncate(time.Microsecond) }

// deliveryID is dlv_, the queue's instance, and the delivery's ref.
func (q *Queue) deliveryID(r ref) string {
	return fmt.Sprintf("dlv_%s%016x%04x", q.instance, uint64(r.seq), uint16(r.idx))
}

func (q *Queue) parseDeliveryID(id string) (ref, error) {
	hexed, ok := strings.CutPrefix(id, "dlv_"+q.instance)
	seq, idx := uint64(0), uint64(0)
	var err1, err2 error
	if ok = ok && len(hexed) == 20; ok {
		seq, err1 = strconv.ParseUint(hexed[:16], 16, 63)
		idx, err2 = strconv.ParseUint(hexed[16:], 16, 16)
	}
	if !ok || err1 != nil || err2 != nil {
		return ref{}, fmt.Errorf("delivery %s: %w", id, queue.ErrNotFound)
	}
	return ref{int64(seq), int32(idx)}, nil
}

func rejectedID(seq int64) string { return fmt.Sprintf("rej_%016x", uint64(seq)) }

func parseRejectedID(id string) (int64, error) {
	hexed, ok := strings.CutPrefix(id, "rej_")
	seq, err := strconv.ParseUint(hexed, 16, 63)
	if !ok || err != nil || len(hexed) != 16 {
		return 0, fmt.Errorf("rejected record %q: %w", id, queue.ErrNotFound)
	}
	return int64(seq), nil
}

func rejectedKey(r *queue.Rejected) []byte {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %d", r.Source, r.Stream, r.Offset)
	return h.Sum(nil)
}

// text is a name as PostgreSQL's text can hold it.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// webhookSeparator joins an event's webhooks on their way to the database; no name has it.
const webhookSeparator = "\x1f"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is of all that is kept of an event: a payload that was damaged must never be sent.
func checksum(meta, body []byte) int64 {
	return int64(crc32.Update(crc32.Checksum(meta, castagnoli), castagnoli, body))
}

// storedEvent is an event as it was read from the database.
type storedEvent struct {
	queue.Event
	webhooks []string
	queuedAt time.Time
	size     int // of its body, which may be absent
}

// decodeEvent reads an event's metadata, and verifies it where its body is there too.
func decodeEvent(seq int64, meta, body []byte, crc int64, whole bool) (queue.Event, error) {
	var e queue.Event
	err := json.Unmarshal(meta, &e)
	if whole && crc != checksum(meta, body) {
		err = fmt.Errorf("it does not match its checksum")
	}
	if err != nil {
		return e, fmt.Errorf("%w: the event of %s: %w", queue.ErrDamaged, seqTime(seq).UTC().Format(time.RFC3339Nano), err)
	}
	e.Body = body
	return e, nil
}
