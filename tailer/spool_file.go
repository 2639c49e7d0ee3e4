package tailer

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// spoolFile is one open file of the spool, which it takes apart into records from where its
// checkpoint is.
type spoolFile struct {
	// name is in the directory, path for people.
	name, path string
	c          *spoolCheckpoint
	f          *os.File
	r          *spoolReader
	next       func() (frame, error)
	// settle is for how long after a change it may still be being written.
	settle time.Duration
	// array: the values are elements of an array.
	array bool
	// late: it was removed, and may still be written to.
	late bool
	// quiet is since when a late file has not changed.
	quiet time.Time
}

func (f *spoolFile) close() {
	if f.f != nil {
		f.f.Close()
		f.f = nil
	}
}

// begin makes f ready to be read from its offset on.
func (f *spoolFile) begin(info os.FileInfo, maxRecord int) {
	f.r = newSpoolReader(f.f, info)
	f.r.off = f.c.Off
	if filepath.Ext(f.name) != ".json" {
		f.next = newLineReader(f.r, f.r.off, maxRecord).next
		return
	}
	sp := newSplitter(f.r, maxRecord)
	if sp.off = f.r.off; f.r.off > 0 {
		if sp.state = atEnd; f.c.Array {
			sp.array, sp.state = true, atSep
		}
	}
	f.next = func() (frame, error) {
		fr, err := sp.next()
		f.array = sp.array
		return fr, err
	}
}

// take puts a frame into the pack, and moves the offset behind it.
func (f *spoolFile) take(fr frame, p *pack) {
	off := f.r.real(fr.off)
	end := f.r.real(fr.off + fr.size)
	f.c.Off, f.c.Array = end, f.array
	if len(fr.data) == 0 {
		return // a blank line
	}
	p.add(Record{
		Data: p.keep(fr.data), Path: f.path, Stream: f.c.Stream,
		Offset: off, Size: end - off, Time: f.c.modTime(), TooLong: fr.tooLong,
	})
}

// takeDamaged makes a record of the rest of f.
func (f *spoolFile) takeDamaged(d *damage, p *pack) {
	real := *d
	real.off, real.from = f.r.real(d.off), f.r.real(d.from)
	size := max(0, f.c.Size-real.from)
	data := p.room(min(HeadBytes, size))
	n, _ := f.f.ReadAt(data, real.from)
	p.add(Record{
		Data: data[:n], Path: f.path, Stream: f.c.Stream,
		Offset: real.from, Size: size, Time: f.c.modTime(), Damage: real.Error(),
	})
	f.c.Off = max(f.c.Off, real.from)
}

// unfinished reports whether somebody may still write to the file.
func (f *spoolFile) unfinished(info os.FileInfo) bool {
	age := time.Since(info.ModTime())
	return writersOf(f.f) == someWriter || age >= 0 && age < f.settle
}

// waits reports whether the value at the offset, which had no end, has none yet: the file has
// not grown, or not by enough to look at a long value once more.
func (f *spoolFile) waits(info os.FileInfo) bool {
	c := f.c
	if c.scanned == 0 || !f.unfinished(info) {
		return false
	}
	return info.Size() == c.scanned || c.scanned-c.Off > DefaultMaxLine && info.Size()-c.Off < 2*(c.scanned-c.Off)
}

// torn reports whether fr is the last line of a file, not a whole event, and may yet become
// one.
func (f *spoolFile) torn(fr *frame) bool {
	if filepath.Ext(f.name) == ".json" || len(fr.data) == 0 {
		return false
	}
	var last [1]byte
	end := f.r.real(fr.off + fr.size)
	if n, _ := f.f.ReadAt(last[:], end-1); n == 1 && last[0] == '\n' {
		return false
	}
	if !fr.tooLong && json.Valid(fr.data) && fr.data[0] == '{' {
		return false
	}
	return f.mayGrow()
}

// mayGrow reports whether, in place and against the rules, somebody is still writing the file.
func (f *spoolFile) mayGrow() bool {
	info, err := f.f.Stat()
	if err != nil || !f.unfinished(info) {
		return false
	}
	f.c.scanned = info.Size()
	return true
}

// stillWritten reports whether a file must stay because somebody has it open to write. Where
// that cannot be found out, a file that was last changed by writing, not by being moved
// here, or that was appended to before, is given time, unless the spool is crowded.
func (f *spoolFile) stillWritten(info os.FileInfo, crowded bool) bool {
	switch writersOf(f.f) {
	case someWriter:
		return true
	case noWriter:
		return false
	}
	age := time.Since(info.ModTime())
	if age < 0 || crowded {
		return false
	}
	return f.c.grown && age < lateFor || !movedHere(f.f) && age < f.settle
}

// reasons is the text of a .reason file.
func (f *spoolFile) reasons() string {
	var b strings.Builder
	fmt.Fprintf(&b, "time: %s\nfile: %s\nrejected: %d\n", time.Now().UTC().Format(time.RFC3339), printable(f.name), f.c.Rejected)
	for _, r := range f.c.Reasons {
		fmt.Fprintf(&b, "offset %d: %s\n", r.Off, printable(r.Text))
	}
	if n := f.c.Rejected - len(f.c.Reasons); n > 0 {
		fmt.Fprintf(&b, "and %d more\n", n)
	}
	return b.String()
}
