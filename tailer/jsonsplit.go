package tailer

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// maxDepth bounds how deep a value of a spool file may be nested.
const maxDepth = 10_000

// damage is why a file cannot be split further.
type damage struct {
	reason string
	off    int64
	// from is where the value begins that off is in, or off.
	from int64
	// short: more of the file might complete it.
	short bool
}

func (d *damage) Error() string { return fmt.Sprintf("%s at offset %d", d.reason, d.off) }

// splitter takes a JSON file apart into the elements of its outermost array, or
// into its one value, or into several one after another, without holding more than one element, and of one over
// the limit only its beginning. It knows brackets and strings; whether what is in
// them is good JSON is for the reader of the record to say.
type splitter struct {
	r     *bufio.Reader
	off   int64
	max   int
	state splitState
	array bool
	buf   []byte
	stack []byte
}

type splitState uint8

const (
	atStart splitState = iota
	atFirst            // after '[': an element or ']'
	atNext             // after ',': an element
	atSep              // after an element: ',' or ']'
	atEnd              // after the value: another one, or the end
)

func newSplitter(r io.Reader, maxRecord int) *splitter {
	return &splitter{r: bufio.NewReaderSize(r, blockLen), max: maxRecord}
}

// next returns io.EOF after the last value of a sound file, a *damage where it is not sound.
func (s *splitter) next() (frame, error) {
	for {
		c, err := s.byte()
		if errors.Is(err, io.EOF) {
			if s.state == atEnd {
				return frame{}, io.EOF
			}
			return frame{}, s.eof()
		}
		if err != nil {
			return frame{}, err
		}
		if space(c) || s.bom(c) {
			continue
		}
		switch {
		case c == '[' && (s.state == atStart || s.state == atEnd):
			s.array, s.state = true, atFirst
		case c == ']' && (s.state == atFirst || s.state == atSep):
			s.array, s.state = false, atEnd
		case c == ',' && s.state == atSep:
			s.state = atNext
		case s.state == atEnd && c != '{':
			return frame{}, s.bad("something follows the value", s.off-1)
		case s.state == atSep:
			return frame{}, s.bad("a comma or ] is missing", s.off-1)
		default:
			return s.value(c)
		}
	}
}

func (s *splitter) eof() error {
	reason := "the file ends within a value"
	if s.state == atStart {
		reason = "the file is empty"
	}
	return &damage{reason: reason, off: s.off, from: s.off, short: true}
}

func (s *splitter) bad(reason string, off int64) error {
	return &damage{reason: reason, off: off, from: off}
}

// byte reads one byte.
func (s *splitter) byte() (byte, error) {
	c, err := s.r.ReadByte()
	if err == nil {
		s.off++
	}
	return c, err
}

// bom skips a byte order mark at the very beginning.
func (s *splitter) bom(c byte) bool {
	if c != bom[0] || s.off != 1 {
		return false
	}
	if rest, _ := s.r.Peek(2); len(rest) < 2 || rest[0] != bom[1] || rest[1] != bom[2] {
		return false
	}
	n, _ := s.r.Discard(2)
	s.off += int64(n)
	return true
}

func space(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

// value reads the rest of the value that begins with c.
func (s *splitter) value(c byte) (frame, error) {
	f := frame{off: s.off - 1}
	s.buf, s.stack = s.buf[:0], s.stack[:0]
	var err error
	switch {
	case c == '{' || c == '[' || c == '"':
		err = s.nested(c, &f)
	case c == '-' || c >= '0' && c <= '9' || c == 't' || c == 'f' || c == 'n':
		err = s.scalar(c, &f)
	default:
		err = s.bad("this is not JSON", f.off)
	}
	if err != nil {
		return frame{}, err
	}
	f.data, f.size = s.buf, s.off-f.off
	s.state = atEnd
	if s.array {
		s.state = atSep
	}
	return f, nil
}

// put keeps c as long as the value is within the limit.
func (s *splitter) put(c byte, f *frame) {
	if f.tooLong {
		return
	}
	if s.buf = append(s.buf, c); len(s.buf) > s.max {
		f.tooLong = true
		s.buf = append([]byte(nil), s.buf[:min(HeadBytes, len(s.buf))]...)
	}
}

// nested reads an object, an array or a string.
func (s *splitter) nested(c byte, f *frame) error {
	quoted, escaped := false, false
	for {
		s.put(c, f)
		switch {
		case escaped:
			escaped = false
		case quoted && c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if len(s.stack) == maxDepth {
				return s.bad("nested too deep", f.off)
			}
			s.stack = append(s.stack, c+2) // the closing bracket: '[' and ']', '{' and '}' are two apart
		case c == '}' || c == ']':
			if s.stack[len(s.stack)-1] != c {
				return &damage{reason: fmt.Sprintf("%q where %q is due", c, s.stack[len(s.stack)-1]), off: s.off - 1, from: f.off}
			}
			s.stack = s.stack[:len(s.stack)-1]
		}
		if len(s.stack) == 0 && !quoted {
			return nil
		}
		var err error
		if c, err = s.byte(); errors.Is(err, io.EOF) {
			return &damage{reason: "the file ends within a value", off: f.off, from: f.off, short: true}
		} else if err != nil {
			return err
		}
	}
}

// scalar reads a number, true, false or null. By itself in a file it is of no use, and
// may as well be the first word of a text: that is one value, to the file's end.
func (s *splitter) scalar(c byte, f *frame) error {
	for {
		s.put(c, f)
		next, err := s.r.Peek(1)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if c = next[0]; s.array && (space(c) || c == ',' || c == ']' || c == '}') {
			return nil
		}
		if c, err = s.byte(); err != nil {
			return err
		}
	}
}
