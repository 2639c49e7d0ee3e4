// Package tree decodes events for what looks at their parts: filters and templates. A
// text of a mebibyte may become a tree of seventy. So the size of a tree is known before
// it is made, one that is too large is refused, and all that exist at a time share one
// allowance: a decode for which there is no room waits for its turn.
package tree

import (
	"errors"
	"fmt"
	"sync"

	"github.com/dawnsystem/intellidocs-agent/parser/pyjson"
)

// MaxBytes is what the trees that exist at one time may take of memory together, in bytes,
// and so also what one may take. A deletion request of 10,000 documents takes two thirds
// of it.
const MaxBytes = 16 << 20

// ErrTooLarge is why an event is not decoded.
var ErrTooLarge = errors.New("the event has too many parts to look into")

// Use decodes an event and calls use with it. The tree must not be kept beyond that. An
// error is that of use, or of an event that cannot be decoded, which is for good.
func Use(event []byte, use func(payload map[string]any) error) error {
	size := pyjson.TreeSize(event)
	if size > MaxBytes {
		return fmt.Errorf("%w: as a tree it would take %d MiB of memory, and %d are allowed", ErrTooLarge, size>>20, MaxBytes>>20)
	}
	inUse.take(size)
	defer inUse.release(size)
	decoded, err := pyjson.Decode(event)
	if err != nil {
		return fmt.Errorf("decode the event: %w", err)
	}
	payload, ok := decoded.(map[string]any)
	if !ok {
		return errors.New("decode the event: it is not a JSON object")
	}
	return use(payload)
}

// inUse belongs to the process, as its memory does.
var inUse allowance

// allowance shares MaxBytes out, first come first served.
type allowance struct {
	turn  sync.Mutex // held by the one who is next
	mu    sync.Mutex
	freed sync.Cond
	used  int
}

func (a *allowance) take(size int) {
	a.turn.Lock()
	defer a.turn.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.freed.L = &a.mu
	for a.used+size > MaxBytes {
		a.freed.Wait()
	}
	a.used += size
}

func (a *allowance) release(size int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.used -= size
	a.freed.Signal()
}
