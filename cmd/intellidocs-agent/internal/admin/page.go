package admin

import (
	"bytes"
	"encoding/json"
	"net/http"
)

// pageBytes is about how much a page of a list holds. What a page had no room for is in the
// next one: a list's rows may each be as large as what others wrote into a log.
const pageBytes = 512 << 10

// chunk is how many rows are in memory at once before they are written into the page.
const chunk = 50

// page is a list that is being written, up to its bounds.
type page struct {
	key  string // of the rows in the answer
	next string // the cursor of the next page; empty for the last one
	rows bytes.Buffer
	n    int
	most int
}

// add reports whether the row had room.
func (p *page) add(row any) (bool, error) {
	data, err := json.Marshal(row)
	if err != nil {
		return false, err
	}
	if p.n >= p.most || p.n > 0 && p.rows.Len()+len(data) > pageBytes {
		return false, nil
	}
	if p.n++; p.n > 1 {
		p.rows.WriteByte(',')
	}
	p.rows.Write(data)
	return true, nil
}

// upTo ends the page, with the cursor of the next one.
func (p *page) upTo(next string) *page {
	p.next = next
	return p
}

func (p *page) answer(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	var b bytes.Buffer
	b.WriteString(`{"` + p.key + `":[`)
	_, _ = w.Write(b.Bytes()) // the other side may be gone; there is nobody to tell
	_, _ = w.Write(p.rows.Bytes())
	b.Reset()
	b.WriteByte(']')
	if p.next != "" {
		b.WriteString(`,"next":`)
		data, _ := json.Marshal(p.next)
		b.Write(data)
	}
	b.WriteString("}\n")
	_, _ = w.Write(b.Bytes())
}
