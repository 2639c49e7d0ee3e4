package queue

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
)

// Every value carries a checksum: after damage to a value log Badger returns empty or wrong
// values without an error, and a wrong payload must never be sent.

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sealSize is what a checksum takes at the beginning of a value.
const sealSize = 4

func seal(data []byte) []byte {
	return sealIn(append(make([]byte, sealSize, sealSize+len(data)), data...))
}

// sealIn seals data that begins behind the checksum's place.
func sealIn(value []byte) []byte {
	binary.BigEndian.PutUint32(value, crc32.Checksum(value[sealSize:], castagnoli))
	return value
}

func unseal(what string, value []byte) ([]byte, error) {
	data, ok := unsealed(value)
	if !ok {
		return nil, fmt.Errorf("%w: %s does not match its checksum", ErrDamaged, what)
	}
	return data, nil
}

func unsealed(value []byte) ([]byte, bool) {
	if len(value) < sealSize || binary.BigEndian.Uint32(value) != crc32.Checksum(value[sealSize:], castagnoli) {
		return nil, false
	}
	return value[sealSize:], true
}

// storedEvent is an event as kept: its metadata, then its body as it is sent.
type storedEvent struct {
	Event
	Webhooks []string `json:"webhooks"`
	// QueuedAt is there only where the clock was behind the event's seq.
	QueuedAt time.Time `json:"queued_at,omitzero"`
}

// queued is when an event was queued, which is when its deliveries were first due.
func (e *storedEvent) queued(seq uint64) time.Time {
	if e.QueuedAt.IsZero() {
		return seqTime(seq)
	}
	return e.QueuedAt
}

func encodeEvent(e *storedEvent) ([]byte, error) {
	meta, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	data := make([]byte, sealSize, sealSize+binary.MaxVarintLen32+len(meta)+len(e.Body))
	data = binary.AppendUvarint(data, uint64(len(meta)))
	data = append(data, meta...)
	return sealIn(append(data, e.Body...)), nil
}

// decodeEvent reads what encodeEvent gave; without its body unless that is wanted.
func decodeEvent(seq uint64, value []byte, body bool) (*storedEvent, error) {
	e, err := decodeSealed(value, body)
	if err != nil {
		return nil, fmt.Errorf("%w: the event of %s: %w", ErrDamaged, seqTime(seq).UTC().Format("2006-01-02T15:04:05.000000000Z"), err)
	}
	return e, nil
}

func decodeSealed(value []byte, body bool) (*storedEvent, error) {
	data, ok := unsealed(value)
	if !ok {
		return nil, errors.New("it does not match its checksum")
	}
	n, used := binary.Uvarint(data)
	if used <= 0 || uint64(len(data)-used) < n {
		return nil, errors.New("it is cut off")
	}
	e := &storedEvent{}
	if err := json.Unmarshal(data[used:used+int(n)], e); err != nil {
		return nil, err
	}
	if body {
		e.Body = bytes.Clone(data[used+int(n):])
	}
	return e, nil
}

func encodeJSON(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return seal(data), nil
}

// decodeJSON reads what get gave.
func decodeJSON(what string, data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrDamaged, what, err)
	}
	return nil
}

// clip bounds what an endpoint or a library said, on a rune's boundary.
func clip(s string, runes int) string {
	n := 0
	for i := range s {
		if n == runes {
			return s[:i]
		}
		n++
	}
	return s
}

func seqOf(b []byte) uint64 { return binary.BigEndian.Uint64(b) }
