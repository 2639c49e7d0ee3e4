package queue

import (
	"fmt"
	"testing"
)

// A reader whose transaction was opened before a key was added must not raise the mark
// above that key, in whichever order the two are told.
func TestMarks_StayBelowWhatAReaderCouldNotSee(t *testing.T) {
	prefix, early, late := []byte("q"), []byte("q1"), []byte("q5")
	for name, told := range map[string]func(m *marks, token uint64){
		"added, then found": func(m *marks, token uint64) {
			m.lower([]placed{{"q", early}})
			m.found(prefix, late, token)
		},
		"found, then added": func(m *marks, token uint64) {
			m.found(prefix, late, token)
			m.lower([]placed{{"q", early}})
		},
		"more rounds than are remembered": func(m *marks, token uint64) {
			m.lower([]placed{{"q", early}})
			for range 2 * maxAdded {
				m.lower([]placed{{"q", late}})
			}
			m.found(prefix, late, token)
		},
	} {
		for _, known := range []bool{false, true} {
			m := &marks{}
			m.init()
			if known {
				m.found(prefix, early, m.token())
			}
			told(m, m.token())
			if from := m.from(prefix); string(from) > string(early) {
				t.Errorf("%s (known: %v): begins at %q and misses %q", name, known, from, early)
			}
			m.found(prefix, late, m.token())
			if from := m.from(prefix); string(from) != string(late) {
				t.Errorf("%s (known: %v): a reader who saw everything left the mark at %q", name, known, from)
			}
		}
	}
}

func TestMarks_AreBounded(t *testing.T) {
	m := &marks{}
	m.init()
	for n := range 3 * maxMarks {
		prefix := fmt.Append(nil, n)
		m.found(prefix, append(prefix, 'x'), m.token())
		if from := m.from(prefix); from[len(from)-1] != 'x' {
			t.Fatalf("a new mark is at %q", from)
		}
	}
	if len(m.of) > maxMarks {
		t.Errorf("%d marks", len(m.of))
	}
}
