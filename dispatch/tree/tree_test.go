package tree

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func objects(size int, part string) []byte {
	return []byte(`{"event_type":"scan_completed","z":[0` + strings.Repeat(part, size/len(part)) + `]}`)
}

func TestUse_WhatWouldBeTooLargeIsNotDecoded(t *testing.T) {
	for _, part := range []string{`,{"":0}`, `,{}`, `,[]`, `,1`, `,[{}]`} {
		err := Use(objects(1<<20, part), func(map[string]any) error { t.Error("decoded"); return nil })
		if !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", part, err)
		}
	}
	for _, event := range [][]byte{[]byte(`{"a":`), []byte(`[1]`), nil} {
		if err := Use(event, func(map[string]any) error { return nil }); err == nil || errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", event, err)
		}
	}
}

func TestUse_AnEventOfManyDocumentsIsDecoded(t *testing.T) {
	document := `,{"id":1234567,"title":"Invoice 2025-11-14 of some length","created":"2025-11-14","correspondent":"Acme Corp","document_type":"Invoice","tags":["a"]}`
	err := Use(objects(10_000*len(document), document), func(payload map[string]any) error {
		if n := len(payload["z"].([]any)); n != 10_001 {
			t.Error(n)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// However many want a tree at once, those that exist stay within the allowance, and each
// has its turn, small ones and large ones alike.
func TestUse_AllTreesTogetherStayWithinTheAllowance(t *testing.T) {
	large, small := objects(200<<10, `,{"":0}`), objects(100, `,1`)
	var alive, most atomic.Int64
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			event, weight := large, int64(1)
			if i%2 == 0 {
				event, weight = small, 0
			}
			err := Use(event, func(map[string]any) error {
				n := alive.Add(weight)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				alive.Add(-weight)
				return errExpected
			})
			if !errors.Is(err, errExpected) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if most.Load() != 1 || inUse.used != 0 {
		t.Errorf("%d trees of 13 MiB at once; %d bytes left in use", most.Load(), inUse.used)
	}
}

var errExpected = errors.New("what use returned")
