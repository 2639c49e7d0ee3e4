package ingest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"os"

	"github.com/dawnsystem/intellidocs-agent/parser"
	"github.com/dawnsystem/intellidocs-agent/tailer"
)

// verboseLogs remembers which logs are of IntelliDocs' verbose format: those in which a
// record began with its header. From there on a line without one is part of the record
// before it (parser.Options.Verbose). After a restart reading continues in the middle of a
// log, so the beginning of its file is asked.
type verboseLogs struct {
	streams map[string]bool
}

// maxStreams bounds the memory; what was forgotten is asked again.
const maxStreams = 1000

// knows reports whether r stands in a log of the verbose format.
func (v *verboseLogs) knows(r *tailer.Record) bool {
	verbose, known := v.streams[r.Stream]
	if !known {
		verbose = r.Offset > 0 && beginsVerbose(r.Path, r.Offset)
		v.set(r.Stream, verbose)
	}
	return verbose
}

// learn notes that r began with a header.
func (v *verboseLogs) learn(r *tailer.Record) { v.set(r.Stream, true) }

func (v *verboseLogs) set(stream string, verbose bool) {
	if v.streams == nil || len(v.streams) >= maxStreams {
		v.streams = map[string]bool{}
	}
	v.streams[stream] = verbose
}

// beginningBytes is how much of a log's beginning is looked at.
const beginningBytes = 64 << 10

// beginsVerbose reports whether a record before the offset, near the beginning of the file,
// has a header. A file that cannot be read says nothing.
func beginsVerbose(path string, offset int64) bool {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	text := bufio.NewReader(f)
	var begin io.Reader = text
	if magic, _ := text.Peek(2); string(magic) == "\x1f\x8b" {
		// It was rotated and compressed since it was begun.
		if begin, err = gzip.NewReader(text); err != nil {
			return false
		}
	}
	// What is there before an error tells enough.
	head, _ := io.ReadAll(io.LimitReader(begin, min(offset, beginningBytes)))
	for line := range bytes.Lines(head) {
		if parser.Headed(line) {
			return true
		}
	}
	return false
}
