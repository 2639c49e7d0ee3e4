package queue

import (
	"fmt"
	"testing"
)

// A reader whose transaction was opened before a key was added must not raise the hint
// above that key, in whichever order the two are told.
func TestSeekHints_StayBelowWhatAReaderCouldNotSee(t *testing.T) {
	prefix, early, late := []byte("q"), []byte("q1"), []byte("q5")
	for name, told := range map[string]func(h *seekHints, token uint64){
		"added, then found": func(h *seekHints, token uint64) {
			h.lower([]placed{{prefix, early}})
			h.raise(prefix, late, token)
		},
		"found, then added": func(h *seekHints, token uint64) {
			h.raise(prefix, late, token)
			h.lower([]placed{{prefix, early}})
		},
		"more rounds than are remembered": func(h *seekHints, token uint64) {
			h.lower([]placed{{prefix, early}})
			for range 2 * maxAdded {
				h.lower([]placed{{prefix, late}})
			}
			h.raise(prefix, late, token)
		},
	} {
		for _, known := range []bool{false, true} {
			h := &seekHints{}
			h.init()
			if known {
				h.raise(prefix, early, h.token())
			}
			told(h, h.token())
			if from := h.start(prefix); string(from) > string(early) {
				t.Errorf("%s (known: %v): begins at %q and misses %q", name, known, from, early)
			}
			h.raise(prefix, late, h.token())
			if from := h.start(prefix); string(from) != string(late) {
				t.Errorf("%s (known: %v): a reader who saw everything left the hint at %q", name, known, from)
			}
		}
	}
}

func TestSeekHints_AreBounded(t *testing.T) {
	h := &seekHints{}
	h.init()
	for n := range 3 * maxHints {
		prefix := fmt.Append(nil, n)
		h.raise(prefix, append(prefix, 'x'), h.token())
		if from := h.start(prefix); from[len(from)-1] != 'x' {
			t.Fatalf("a new hint is at %q", from)
		}
	}
	if len(h.of) > maxHints {
		t.Errorf("%d hints", len(h.of))
	}
}
